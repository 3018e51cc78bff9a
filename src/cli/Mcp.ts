/**
 * `mcp`: the task tools for any client of the Model Context Protocol, over standard input and output.
 *
 * Standard output carries the protocol and nothing else. What happens is told on standard error, which clients keep as the
 * server's log. The end of standard input ends the server, after the requests that it holds.
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { AgentEvents } from "../agent/AgentEvents.ts"
import { encodeAgentEvent } from "../protocol/AgentEvent.ts"
import { agent, chosenGateway, ownIdentity, withSettings } from "./AgentLayer.ts"
import { plain, render } from "./EventText.ts"
import { Invocation } from "./Invocation.ts"
import * as McpInput from "./McpInput.ts"
import { Output } from "./Output.ts"
import { session } from "./Root.ts"
import { serving } from "./Signals.ts"

export const mcp = Command.make(
  "mcp",
  { session },
  ({ session }) =>
    withSettings(
      Effect.fnUntraced(function*(checked) {
        yield* serving
        const { version } = yield* Invocation
        const { commands, gateway } = yield* chosenGateway(checked, "sharedToken")
        const modules = yield* load
        return yield* serve(modules, version).pipe(
          // The options of the server are ours, and no input of a person.
          Effect.catchTag("IllegalArgumentError", Effect.die),
          Effect.provide(
            modules.TaskTools.layer.pipe(
              Layer.provideMerge(agent(checked, gateway, { embedded: false, commands, keepTasks: true })),
              Layer.provide(commands),
              Layer.provide(ownIdentity(checked))
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

/** Loaded when they are needed: the other commands start faster without them. */
const load = Effect.all({
  McpProtocol: Effect.promise(() => import("effect/ai/McpProtocol")),
  McpServer: Effect.promise(() => import("effect/ai/McpServer")),
  TaskTools: Effect.promise(() => import("../agent/TaskTools.ts"))
})

const serve = Effect.fnUntraced(function*(
  { McpProtocol, McpServer, TaskTools }: Effect.Success<typeof load>,
  version: string
) {
  const output = yield* Output
  const { events } = yield* AgentEvents
  yield* Effect.forkScoped(
    Stream.runForEach(events, (event) => {
      const text = output.json ? encodeAgentEvent(event) : render(event, plain)
      return text === undefined ? Effect.void : output.warn(text)
    }).pipe(Effect.ignoreCause({ log: "Error", message: "events no longer told" }))
  )
  // The protocol interrupts the fiber that builds it when standard input has ended and everything is answered.
  const stdio = yield* Stdio.Stdio
  const server = McpServer.layerStdio({
    name: "openclaw-device",
    version,
    instructions: "Delegates tasks to OpenClaw. A person may have to approve this device once; the answers say how.",
    protocols: [
      McpProtocol.v2025_11_25,
      McpProtocol.v2025_06_18,
      McpProtocol.v2025_03_26,
      McpProtocol.v2024_11_05,
      McpProtocol.v2026_07_28
    ],
    registrations: McpServer.toolkit(TaskTools.TaskTools)
  })
  return yield* Effect.provideService(Layer.launch(server), Stdio.Stdio, McpInput.checked(stdio))
}, Effect.scoped)
