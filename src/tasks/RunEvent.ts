/**
 * What follows for an open task from an event of its run.
 */
import type { AgentPhase, ChatEvent } from "./ChatEvent.ts"
import { after, ended, onNews, receive, stay } from "./TaskActivity.ts"
import type { ActiveStage, Answered, Rules, Stepped, TaskLife } from "./TaskLife.ts"
import { entryOf } from "./TaskLife.ts"

/** How long to wait for the second of two errors, which releases from 2026.6 send for one run, with a longer text. */
const secondErrorMs = 500

export const onChat = (rules: Rules, life: TaskLife, stage: ActiveStage, event: ChatEvent, nowMs: number): Stepped => {
  const [known, told] = receive(life, stage)
  switch (event._tag) {
    case "Status":
      return after(told, showPhase(life, { ...known, begun: true, hasStatus: true }, event.phase))
    case "Delta":
      return [{ ...life, stage: { ...known, begun: true, partial: event.text } }, told]
    case "Final":
      // Gateways report the end of a run a moment before its session is free, so that the next task can meet a busy
      // session.
      return after(
        told,
        event.text === "" && !known.begun
          ? onMerged(life, known, nowMs)
          : ended(rules, life, known, { _tag: "Completed", text: event.text, atMs: event.atMs })
      )
    case "Aborted":
      return after(
        told,
        ended(rules, life, known, { _tag: "Aborted", text: event.text === "" ? known.partial : event.text })
      )
    case "Error":
      return after(told, onError(life, known, event.text))
  }
}

/** The answer comes in a run whose id nobody was told. */
const onMerged = (life: TaskLife, stage: Answered, nowMs: number): Stepped => {
  const merged: Answered = { ...stage, merged: true, over: true }
  const next: TaskLife = { ...life, stage: merged }
  return after(
    [{ _tag: "Save", entry: entryOf(next, merged.sentAtMs) }],
    onNews(next, merged, nowMs)
  )
}

/** Asks nothing more of the gateway and waits for a second error. */
const onError = (life: TaskLife, stage: Answered, text: string): Stepped => {
  const { activity, shown } = stage
  const given = activity._tag === "Sending" || activity._tag === "ReadingHistory" || activity._tag === "Asking"
  return [
    { ...life, stage: { _tag: "Failing", shown, text } },
    [
      ...(given ? [{ _tag: "Cancel" } as const] : []),
      ...(activity._tag === "Paused" ? [{ _tag: "Disarm", timer: "pause" } as const] : []),
      { _tag: "Arm", timer: "secondError", ms: secondErrorMs }
    ]
  ]
}

export const onAgent = (life: TaskLife, stage: ActiveStage, phase: AgentPhase | undefined): Stepped => {
  const [known, told] = receive(life, stage)
  const begun: Answered = known.begun ? known : { ...known, begun: true }
  return after(
    told,
    phase === undefined || (phase.stream === "lifecycle" && known.hasStatus)
      ? stay({ ...life, stage: begun })
      : showPhase(life, begun, phase.label)
  )
}

const showPhase = (life: TaskLife, stage: Answered, phase: string): Stepped => {
  const { runId, taskId } = life.subject
  if (stage.shown._tag === "Running" && stage.shown.phase === phase) return stay({ ...life, stage })
  return [
    { ...life, stage: { ...stage, shown: { _tag: "Running", phase } } },
    [{ _tag: "Publish", event: { _tag: "Phase", taskId, runId, phase } }]
  ]
}
