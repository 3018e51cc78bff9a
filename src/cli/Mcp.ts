/**
 * `mcp`: the task tools for any client of the Model Context Protocol, over standard input and output.
 *
 * Standard output carries the protocol and nothing else. What happens is told on standard error, which clients keep as the
 * server's log. The end of standard input ends the server, after the requests that it holds.
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { agent, chosenGateway, ownIdentity, withSettings } from "./AgentLayer.ts"
import { Invocation } from "./Invocation.ts"
import { session } from "./Root.ts"
import { serving } from "./Signals.ts"

/** Loaded when it is needed: the other commands start faster without it. */
const load = Effect.promise(() => import("./McpServing.ts"))

export const mcp = Command.make(
  "mcp",
  { session },
  ({ session }) =>
    withSettings(
      Effect.fnUntraced(function*(checked) {
        yield* serving
        const { version } = yield* Invocation
        const { commands, gateway } = yield* chosenGateway(checked, "sharedToken")
        const { serve, tools } = yield* load
        const { start } = yield* Effect.promise(() => import("./StatusServing.ts"))
        return yield* Effect.andThen(start("mcp", checked, gateway), serve(version)).pipe(
          Effect.scoped,
          // The options of the server are ours, and no input of a person.
          Effect.catchTag("IllegalArgumentError", Effect.die),
          Effect.provide(
            tools.pipe(
              Layer.provideMerge(
                agent(checked, gateway, { embedded: false, commands, keepTasks: true, livesLong: true })
              ),
              Layer.provide(commands),
              Layer.provideMerge(ownIdentity(checked))
            )
          )
        )
      }),
      session
    )
).pipe(
  Command.withDescription("Offer the task tools to an MCP client, over standard input and output"),
  Command.withExamples([{
    command: "openclaw-device mcp --gateway-url ws://127.0.0.1:18789",
    description: "What an MCP client is told to start"
  }])
)
