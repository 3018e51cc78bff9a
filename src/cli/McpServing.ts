/**
 * The MCP server of `mcp`, apart from the command so that the other commands start without it.
 */
import * as McpProtocol from "effect/ai/McpProtocol"
import * as McpServer from "effect/ai/McpServer"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { AgentEvents } from "../agent/AgentEvents.ts"
import { layer, TaskTools } from "../agent/TaskTools.ts"
import { encodeAgentEvent } from "../protocol/AgentEvent.ts"
import { plain, render } from "./EventText.ts"
import * as McpInput from "./McpInput.ts"
import { Output } from "./Output.ts"

/** The handlers of the tools that `serve` offers. */
export const tools = layer

/** Serves until standard input ends. The services of the tools come from outside. */
export const serve = Effect.fnUntraced(function*(version: string) {
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
    registrations: McpServer.toolkit(TaskTools)
  })
  return yield* Effect.provideService(Layer.launch(server), Stdio.Stdio, McpInput.checked(stdio))
}, Effect.scoped)
