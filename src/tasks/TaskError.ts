/**
 * Why a task was not taken, and why one that was taken came to nothing.
 */
import * as Schema from "effect/Schema"
import type { MissingScope, RequestRejected } from "../connection/RequestError.ts"
import type { FrameTooLarge } from "../protocol/FrameLimit.ts"
import { field, lengths } from "../protocol/OutsideText.ts"

/** The task was not taken, and nothing was sent. */
export class TaskRefused extends Schema.TaggedError<TaskRefused>()("TaskRefused", {
  /**
   * `Empty`: no text but white space and control characters. `NotText`: it has U+0000, which gateways refuse, or half of a
   * surrogate pair, which gateways drop. `TooLarge`: more UTF-8 bytes than `limit`. `TooMany`: `limit` tasks wait to be sent
   * already. `Stopped`: the connection is over for good. `NotKept`: the journal could not be written, so that the task might
   * have run twice, or never.
   */
  reason: Schema.Literals(["Empty", "NotText", "TooLarge", "TooMany", "Stopped", "NotKept"]),
  limit: Schema.optional(Schema.Int),
  /** For `NotKept`: the `TaskJournalError`. */
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    switch (this.reason) {
      case "Empty":
        return "task refused: it has no text"
      case "NotText":
        return "task refused: its text has a NUL character (U+0000), or half of a surrogate pair"
      case "TooLarge":
        return `task refused: its text is longer than ${this.limit} bytes`
      case "TooMany":
        return `task refused: ${this.limit} tasks wait to be sent already`
      case "Stopped":
        return "task refused: the connection to the gateway has been stopped"
      case "NotKept":
        return `task refused: ${
          this.cause instanceof Error ? this.cause.message : "the task journal could not be written"
        }`
    }
  }
}

/** No task has this id, or it ended so long ago that it is not listed any more. */
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
  /** The gateway's words as they came; both texts where it sent two. `message` has them as a field. */
  gatewayMessage: Schema.String
}) {
  override get message(): string {
    return `the OpenClaw agent failed: ${field(this.gatewayMessage, { maxLength: lengths.text })}`
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

/**
 * OpenClaw 2026.6 gave up before it began, because other work of the session was just being recorded. The gateway keeps
 * this answer under the task's key for five minutes, so that sending it again changes nothing; newer releases try again by
 * themselves.
 */
export class SessionConflicted extends Schema.TaggedError<SessionConflicted>()("SessionConflicted", {
  runId: Schema.String,
  gatewayMessage: Schema.String
}) {
  override get message(): string {
    return "the OpenClaw gateway could not begin the task, because its session was in use at that moment; "
      + "nothing ran, and it may be delegated again"
  }
}

/** A run that could not be finished, or not even begun, by what the gateway said about it. */
export const runError = (runId: string, gatewayMessage: string): RunFailed | SessionConflicted =>
  /reply session initialization conflicted for \S+/.test(gatewayMessage)
    ? new SessionConflicted({ runId, gatewayMessage })
    : new RunFailed({ runId, gatewayMessage })

/**
 * Why a task is `Failed`: OpenClaw's agent failed, the gateway refused the task, or the task was never sent because it is
 * too large.
 */
export type TaskError = RunFailed | TakenAsCommand | SessionConflicted | RequestRejected | MissingScope | FrameTooLarge
