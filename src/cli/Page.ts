/**
 * The page that `run` offers beside the terminal. Without it everything else goes on, unless a person chose its port.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { find, sentences } from "../advice/Entry.ts"
import { dialogAdvice } from "../dialog/DialogAdvice.ts"
import type { Options } from "../dialog/DialogServer.ts"
import type { AgentEvent } from "../protocol/AgentEvent.ts"
import { as } from "./CommandError.ts"
import { now, Output } from "./Output.ts"

/** Loaded where it is used, as an HTTP server would slow every other command's start. */
const dialog = Effect.promise(() => import("../dialog/DialogServer.ts"))

/**
 * Serves the page until the scope closes, and gives the event with its URL. The URL is as good as a password, so only the person
 * who started the program gets it. Therefore this has no span: a tracer would keep the result of the span.
 */
export const start = Effect.fnUntraced(
  function*(options: Options) {
    const { DialogServer } = yield* dialog
    const { url } = Context.get(yield* Layer.build(DialogServer.layer(options)), DialogServer)
    return { at: yield* now, event: "page", url: Redacted.value(url) } satisfies AgentEvent as AgentEvent | undefined
  },
  Effect.catchTag("DialogUnavailable", (error) => {
    const entry = find(dialogAdvice, error._tag, error.reason)
    // A port that a person chose is a setting that is wrong; otherwise the page is a convenience.
    if (error.port !== undefined) {
      return Effect.fail(as("settings")(error))
    }
    const told = entry === undefined ? error.message : `${sentences(entry)} ${entry.next}`
    return Effect.flatMap(Output, (output) => Effect.as(output.warn(`warning: ${told}`), undefined))
  })
)
