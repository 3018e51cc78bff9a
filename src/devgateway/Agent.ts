/**
 * The agent that `chat.send` runs. It is pluggable; the default one repeats its message.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { ToolCallFailed, ToolOutput } from "./ToolCalls.ts"

/** A file that a client sent with a message, or that the agent shows. */
export interface AgentFile {
  readonly name: string
  readonly mimeType: string
  readonly content: Uint8Array
}

/** One `chat.send`, as the agent gets it. `runId` is the client's idempotency key. */
export interface AgentInput {
  /** In its full form, for example `agent:main:main`. */
  readonly sessionKey: string
  readonly message: string
  readonly runId: string
  /** What came with the message. */
  readonly attachments: ReadonlyArray<AgentFile>
  /** Calls a tool of a node, by the name under which `DevGateway.tools` lists it. An abort of the run cancels the call. */
  readonly callTool: (name: string, args: unknown) => Effect.Effect<ToolOutput, ToolCallFailed>
}

/**
 * `Text` is appended to the reply. `Phase` becomes a chat status. `Event` is passed on as an `agent` event as it is. `File` is shown with
 * the reply: a client asks for it by `artifacts.list`.
 */
export type AgentStep =
  | { readonly _tag: "Text"; readonly delta: string }
  | { readonly _tag: "Phase"; readonly phase: string }
  | { readonly _tag: "Event"; readonly stream: string; readonly data: unknown }
  | { readonly _tag: "File"; readonly file: AgentFile }

/** The run fails: the gateway sends the two `error` events that release 2026.9.6 sends for one failed run. */
export class AgentFailed extends Schema.TaggedError<AgentFailed>()("AgentFailed", {
  errorMessage: Schema.String,
  failoverReason: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    return `agent run failed: ${this.errorMessage}`
  }
}

/** Runs one message. The stream's end completes the run; `AgentFailed` fails it; an abort interrupts the stream. */
export type Agent = (input: AgentInput) => Stream.Stream<AgentStep, AgentFailed>

const text = (delta: string): AgentStep => ({ _tag: "Text", delta })

/** Replies `echo: <message>` in two pieces, at once, and shows the files that came with the message. */
export const echo: Agent = ({ attachments, message }) =>
  Stream.make(
    ...attachments.map((file): AgentStep => ({ _tag: "File", file })),
    text("echo:"),
    text(` ${message}`)
  )

/** Replies with the one text that `reply` gives. An empty text is a reply without a message. */
export const fromReply = (reply: (input: AgentInput) => Effect.Effect<string, AgentFailed>): Agent => (input) =>
  Stream.fromEffect(Effect.map(reply(input), text))
