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
   * have run twice, or never. `Attachment`: the gateway would not take one of its files.
   */
  reason: Schema.Literals(["Empty", "NotText", "TooLarge", "TooMany", "Stopped", "NotKept", "Attachment"]),
  limit: Schema.optional(Schema.Int),
  /** For `NotKept` the `TaskJournalError`, for `Attachment` the `AttachmentRefused`. */
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
      case "Attachment":
        return `task refused: ${this.cause instanceof Error ? this.cause.message : "a file of it cannot be sent"}`
      case "NotKept":
        return `task refused: ${
          this.cause instanceof Error ? this.cause.message : "the task journal could not be written"
        }`
    }
  }
}

/** A file of the task cannot be sent to this gateway. Nothing of the task was sent. */
export class AttachmentRefused extends Schema.TaggedError<AttachmentRefused>()("AttachmentRefused", {
  /**
   * `TooMany`: more files than `limit`. `Name`: no file name, or a path. `Type`: no MIME type. `Empty`: it has no content.
   * `TooLarge`, `ImageTooLarge`: more bytes than the gateway's `limit` for a file, or for an image. `ImagesOnly`: the gateway drops files
   * that are no images. `TogetherTooLarge`: the frame with all of them would have `bytes`. `Lost`: the journal does not have the
   * content any more. `NotKept`: the journal of this program keeps no files.
   */
  reason: Schema.Literals([
    "TooMany",
    "Name",
    "Type",
    "Empty",
    "TooLarge",
    "ImageTooLarge",
    "ImagesOnly",
    "TogetherTooLarge",
    "Lost",
    "NotKept"
  ]),
  /** The file's name as it was given. `message` has it as a field. */
  name: Schema.optionalKey(Schema.String),
  bytes: Schema.optionalKey(Schema.Int),
  limit: Schema.optionalKey(Schema.Int)
}) {
  override get message(): string {
    const { bytes, limit, reason } = this
    const name = field(this.name ?? "", { maxLength: lengths.name })
    switch (reason) {
      case "TooMany":
        return `more than ${limit} files`
      case "Name":
        return `${name === "" ? "a file without a name" : name} is no name of a file`
      case "Type":
        return `${name} has no valid MIME type`
      case "Empty":
        return `${name} is empty`
      case "TooLarge":
        return `${name} has ${bytes} bytes, and the gateway takes files of at most ${limit}`
      case "ImageTooLarge":
        return `${name} has ${bytes} bytes, and the gateway takes images of at most ${limit}`
      case "ImagesOnly":
        return `${name} is no image, and this release of the gateway drops other files`
      case "TogetherTooLarge":
        return `all files together make a frame of ${bytes} bytes; this gateway accepts ${limit}`
      case "Lost":
        return `the content of ${name} is not in the task journal any more`
      case "NotKept":
        return "the task journal of this program keeps no files"
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
 * too large, or a file of it cannot be sent.
 */
export type TaskError =
  | RunFailed
  | TakenAsCommand
  | SessionConflicted
  | RequestRejected
  | MissingScope
  | FrameTooLarge
  | AttachmentRefused
