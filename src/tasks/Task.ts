/**
 * A task as others see it: what was delegated, where it stands, and what happened to it.
 */
import * as Schema from "effect/Schema"
import type { TaskError } from "./TaskError.ts"

/** Names a task for people and programs: eight lower-case hex characters. */
export const TaskId = Schema.NonEmptyString.pipe(Schema.brand("TaskId"))
export type TaskId = typeof TaskId.Type

/** The idempotency key of a task for its whole life, a UUID of version 4. The gateway uses it as the run id. */
export const RunId = Schema.NonEmptyString.pipe(Schema.brand("RunId"))
export type RunId = typeof RunId.Type

/**
 * Why a task is kept instead of sent. `AwaitingApproval`: a person has to approve the device. `Offline`: no link at the
 * moment. `Paused` and `Halted`: no link until a person acts. `Suspended`: the gateway takes no work, and says when it does
 * again. `Busy`: an earlier task of the same session is not done.
 * `OtherGateway`: the settings name another gateway now. The task, sent or not, goes on when they name its own again, in
 * this process or a later one.
 */
export type QueuedReason = "AwaitingApproval" | "Offline" | "Paused" | "Halted" | "Suspended" | "Busy" | "OtherGateway"

/** What is known of a run whose end was not seen. */
export interface Evidence {
  /** The gateway answered `chat.send`, so it had the task. */
  readonly answered: boolean
  /**
   * What the session's history showed when it was last read: the message without a reply, no such message, or nothing, because
   * it could not be read.
   */
  readonly history: "NoReply" | "Absent" | "Unavailable"
}

/** How a task ended. Times are on the gateway's clock, in milliseconds. */
export type TaskOutcome =
  /**
   * Text is empty when the agent said nothing. `truncated`: the gateway shortened the reply and gave no more of it; then an empty
   * text means that it gave none of it.
   */
  | {
    readonly _tag: "Completed"
    readonly text: string
    readonly atMs: number | undefined
    readonly truncated?: true | undefined
  }
  | { readonly _tag: "Failed"; readonly error: TaskError }
  /** Text is what the agent had written until then. */
  | { readonly _tag: "Aborted"; readonly text: string }
  /** Not done in time. It was never sent, or the run may still be at work. */
  | { readonly _tag: "Expired"; readonly sent: boolean }
  /**
   * A link was lost while the run was at work, and its end could not be learned in time, or at all because the gateway has
   * no such run any more.
   */
  | { readonly _tag: "Unknown"; readonly evidence: Evidence }

/**
 * The state of a task: `Queued` before it is sent, `Sent` after that, `Running` once the gateway names a phase of the run,
 * or how it ended.
 */
export type TaskState =
  | { readonly _tag: "Queued"; readonly reason: QueuedReason | undefined }
  | { readonly _tag: "Sent" }
  | { readonly _tag: "Running"; readonly phase: string }
  | TaskOutcome

/** A task as the runner lists it. */
export interface Task {
  readonly taskId: TaskId
  readonly runId: RunId
  readonly sessionKey: string
  readonly summary: string
  /** Milliseconds on this process's clock. */
  readonly acceptedAtMs: number
  /** An earlier process accepted it. */
  readonly inherited: boolean
  readonly state: TaskState
}

/** The answer of `delegate`: the journal has the task. */
export interface TaskReceipt {
  readonly taskId: TaskId
  readonly runId: RunId
  /** Why it is kept for now; absent when it is sent at once. */
  readonly queued: QueuedReason | undefined
}

/** What happened to a task, in order for each task. `at` is on the gateway's clock, in milliseconds. */
export type TaskEvent =
  & { readonly taskId: TaskId; readonly runId: RunId }
  & (
    | { readonly _tag: "Queued"; readonly summary: string; readonly reason: QueuedReason }
    | { readonly _tag: "Sent"; readonly summary: string }
    | { readonly _tag: "Phase"; readonly phase: string }
    /**
     * `late` when the task had already ended as `Expired` or `Unknown`; the outcome stays that. `truncated` as in the outcome
     * `Completed`.
     */
    | {
      readonly _tag: "Replied"
      readonly text: string
      readonly at: number | undefined
      readonly late: boolean
      readonly truncated?: true | undefined
    }
    | { readonly _tag: "Failed"; readonly error: TaskError }
    | { readonly _tag: "Aborted"; readonly text: string }
    | { readonly _tag: "Expired"; readonly sent: boolean }
    | { readonly _tag: "Unknown"; readonly evidence: Evidence }
  )

/** Whether the task is over. */
export const isEnd = (state: TaskState): state is TaskOutcome =>
  state._tag !== "Queued" && state._tag !== "Sent" && state._tag !== "Running"

/** How many phases of one task wait for a slow subscriber: the last ones. */
export const waitingPhases = 16

/** The mark of a shortened reply, to be spread; nothing for a whole one. */
export const truncation = (
  { truncated }: { readonly truncated?: boolean | undefined }
): { readonly truncated?: true } => truncated === true ? { truncated } : {}

/** The state of a task after an event. A late reply gives `Completed`, although the outcome stays what it was. */
export const stateAfter = (event: TaskEvent): TaskState => {
  switch (event._tag) {
    case "Queued":
      return { _tag: "Queued", reason: event.reason }
    case "Sent":
      return { _tag: "Sent" }
    case "Phase":
      return { _tag: "Running", phase: event.phase }
    case "Replied":
      return { _tag: "Completed", text: event.text, atMs: event.at, ...truncation(event) }
    case "Failed":
      return { _tag: "Failed", error: event.error }
    case "Aborted":
      return { _tag: "Aborted", text: event.text }
    case "Expired":
      return { _tag: "Expired", sent: event.sent }
    case "Unknown":
      return { _tag: "Unknown", evidence: event.evidence }
  }
}
