/**
 * Why a task was not taken, and why one that was taken came to nothing.
 */
import * as Schema from "effect/Schema"
import type { MissingScope, RequestRejected } from "../connection/RequestError.ts"

/** The task was not taken, and nothing was sent. */
export class TaskRefused extends Schema.TaggedError<TaskRefused>()("TaskRefused", {
  /**
   * `Empty`: no text but white space. `TooLarge`: more UTF-8 bytes than `limit`. `TooMany`: `limit` tasks wait to be sent
   * already. `Stopped`: the connection is over for good.
   */
  reason: Schema.Literals(["Empty", "TooLarge", "TooMany", "Stopped"]),
  limit: Schema.optional(Schema.Int)
}) {
  override get message(): string {
    switch (this.reason) {
      case "Empty":
        return "task refused: it has no text"
      case "TooLarge":
        return `task refused: its text is longer than ${this.limit} bytes`
      case "TooMany":
        return `task refused: ${this.limit} tasks wait to be sent already`
      case "Stopped":
        return "task refused: the connection to the gateway has been stopped"
    }
  }
}

/** No task of this name, or one that ended so long ago that it was forgotten. */
export class TaskNotFound extends Schema.TaggedError<TaskNotFound>()("TaskNotFound", {
  taskId: Schema.String
}) {
  override get message(): string {
    return `no task ${this.taskId}`
  }
}

/** OpenClaw's agent began the run and could not finish it: its model provider failed, for example. */
export class RunFailed extends Schema.TaggedError<RunFailed>()("RunFailed", {
  runId: Schema.String,
  /** The gateway's words; both texts where it sent two. */
  gatewayMessage: Schema.String
}) {
  override get message(): string {
    return `the OpenClaw agent failed: ${this.gatewayMessage}`
  }
}

/** The gateway read the text as its stop command, stopped the session's runs, and gave it to no agent. */
export class TakenAsCommand extends Schema.TaggedError<TakenAsCommand>()("TakenAsCommand", {
  stoppedRunIds: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `the gateway took the text as its stop command and stopped ${this.stoppedRunIds.length} runs`
  }
}

export type TaskError = RunFailed | TakenAsCommand | RequestRejected | MissingScope
