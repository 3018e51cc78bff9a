/**
 * The events of a task: of its end, of an answer that comes after it, and those that tell a new subscriber how it stands. Pure.
 */
import type { TaskEvent, TaskOutcome } from "./Task.ts"
import { truncation } from "./Task.ts"
import type { LateReply, Subject, TaskLife } from "./TaskLife.ts"

/** The event of an end. */
export const endEvent = ({ runId, taskId }: Subject, outcome: TaskOutcome): TaskEvent =>
  outcome._tag === "Completed"
    ? { _tag: "Replied", taskId, runId, text: outcome.text, at: outcome.atMs, late: false, ...truncation(outcome) }
    : { ...outcome, taskId, runId }

/** The event of an answer that comes after the end. */
export const lateEvent = ({ runId, taskId }: Subject, reply: LateReply): TaskEvent => ({
  _tag: "Replied",
  taskId,
  runId,
  text: reply.text,
  at: reply.atMs,
  late: true,
  ...truncation(reply)
})

/**
 * What a subscriber that comes now is told of a task. Of ended tasks only those of an earlier process: its subscribers are
 * gone, so that nobody may have seen the end.
 */
export const snapshotOf = ({ stage, subject }: TaskLife): ReadonlyArray<TaskEvent> => {
  const { inherited, runId, summary, taskId } = subject
  if (stage._tag === "Ended") {
    if (!inherited) return []
    const late = stage.lateReply === undefined ? [] : [lateEvent(subject, stage.lateReply)]
    return [endEvent(subject, stage.outcome), ...late]
  }
  const { shown } = stage
  switch (shown._tag) {
    case "Queued":
      // It is about to be sent, and `Sent` follows.
      return shown.reason === undefined ? [] : [{ _tag: "Queued", taskId, runId, summary, reason: shown.reason }]
    case "Sent":
      return [{ _tag: "Sent", taskId, runId, summary }]
    case "Running":
      return [{ _tag: "Phase", taskId, runId, phase: shown.phase }]
  }
}
