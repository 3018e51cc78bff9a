/**
 * A module with a marked tool for the tests of the command line.
 */
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const parameters = Schema.Struct({ path: Schema.String })

export const toolkit = Toolkit.make(
  Tool.make("wipe", { description: "Removes a file.", parameters, success: Schema.String })
    .annotate(Tool.Title, "Remove a file").annotate(Tool.Destructive, true)
)

export const handlers = toolkit.toLayer({ wipe: ({ path }) => Effect.succeed(`wiped ${path}`) })
