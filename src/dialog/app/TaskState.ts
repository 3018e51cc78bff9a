/**
 * What the page knows of a task: a pure step from what it knew and one event to what it knows now.
 */
import type { Failure, TaskEvent } from "./EventReader.ts"

export type TaskState =
  | { readonly is: "accepted" }
  /** The agent holds it back; `reason` is a code that says what has to happen first. */
  | { readonly is: "queued"; readonly reason: string }
  /** `text`: what the agent has written so far. */
  | { readonly is: "sent"; readonly text?: string }
  | { readonly is: "running"; readonly phase: string; readonly text?: string }
  /** `late`: after the agent had given the task up. `truncated`: the gateway did not give the whole text. */
  | { readonly is: "replied"; readonly text: string; readonly late: boolean; readonly truncated?: true }
  | { readonly is: "failed"; readonly error: Failure }

export const hasEnded = ({ is }: TaskState): boolean => is === "replied" || is === "failed"

/** What the agent has written so far of the reply to an open task. */
export const writtenOf = (state: TaskState): string =>
  state.is === "sent" || state.is === "running" ? state.text ?? "" : ""

/** A task that has ended stays ended, whatever a stream repeats; only a reply still counts after a failure. */
export const stepTask = (state: TaskState, event: TaskEvent): TaskState => {
  if (event.event === "task.reply") {
    const { late, text, truncated } = event
    return { is: "replied", text, late, ...(truncated === true ? { truncated } : {}) }
  }
  if (hasEnded(state)) return state
  const before = writtenOf(state)
  const written = before === "" ? {} : { text: before }
  switch (event.event) {
    case "task.queued":
      return { is: "queued", reason: event.reason }
    case "task.sent":
      return { is: "sent", ...written }
    case "task.phase":
      return event.phase === "" ? { is: "sent", ...written } : { is: "running", phase: event.phase, ...written }
    case "task.text":
      // Something before it is missing; the reply has it.
      if (event.from > before.length) return state
      return {
        is: "running",
        phase: state.is === "running" ? state.phase : "",
        text: before.slice(0, event.from) + event.text
      }
    case "task.failed":
      return { is: "failed", error: event.error }
  }
}
