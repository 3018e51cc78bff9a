/**
 * Calls of the tools of nodes, by the agent and by the owner of the gateway.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Nodes, ToolCall } from "./Nodes.ts"

/** No node has this tool, or its node did not answer. */
export class ToolCallFailed extends Schema.TaggedError<ToolCallFailed>()("ToolCallFailed", {
  code: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `the tool was not called: ${this.reason} (${this.code})`
  }
}

/** What a tool gave. `details.status` is `error` where the tool says that it failed. */
export interface ToolOutput {
  readonly content: ReadonlyArray<unknown>
  readonly details: Readonly<Record<string, unknown>>
}

/** Calls a tool by the name under which the agent has it. Interrupted, it cancels the invocation. */
export const call = (nodes: Pick<Nodes, "call">, call: ToolCall): Effect.Effect<ToolOutput, ToolCallFailed> =>
  Effect.callback((resume) => {
    const cancel = nodes.call(call, (outcome) =>
      resume(
        outcome.ok
          ? Effect.succeed({ content: outcome.content, details: outcome.details })
          : Effect.fail(new ToolCallFailed({ code: outcome.code, reason: outcome.message }))
      ))
    return Effect.sync(cancel)
  })
