/**
 * What follows for an open task from an event of its run.
 */
import type { AgentPhase, ChatEvent } from "./ChatEvent.ts"
import { isRequest } from "./RunAfterEnd.ts"
import * as ShortenedText from "./ShortenedText.ts"
import { after, andThen, ended, idle, onNews, pause, receive, stay, withActivity } from "./TaskActivity.ts"
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
    case "Final": {
      // Gateways report the end of a run a moment before its session is free, so that the next task can meet a busy
      // session.
      const unfinished = withoutReply(known, event)
      return after(
        told,
        unfinished === undefined
          ? ended(rules, life, known, { _tag: "Completed", text: event.text, atMs: event.atMs })
          : andThen(keep(life, unfinished), (kept) => onNews(kept, unfinished, nowMs))
      )
    }
    case "Aborted": {
      const uncertain = withoutReply(known, event)
      return after(
        told,
        uncertain === undefined
          ? ended(rules, life, known, { _tag: "Aborted", text: event.text === "" ? known.partial : event.text })
          : onNews({ ...life, stage: uncertain }, uncertain, nowMs)
      )
    }
    case "Error":
      return after(told, onError(life, known, event.text))
  }
}

/** What is known after an end that does not say everything; nothing after any other event. */
export const withoutReply = (stage: Answered, event: ChatEvent): Answered | undefined => {
  if (event._tag === "Aborted" && event.uncertain === true) {
    const partial = event.text === "" ? stage.partial : event.text
    return { ...stage, begun: true, over: true, partial, emptyEnd: "Aborted" }
  }
  if (event._tag !== "Final") return undefined
  const { atMs, shortened, text } = event
  if (shortened === true) {
    return { ...stage, begun: true, over: true, short: ShortenedText.longer(stage.short, { text, atMs }) }
  }
  if (text !== "") return undefined
  // Before it began: the answer comes in a run whose id nobody was told.
  return { ...stage, over: true, emptyEnd: "Final", merged: stage.merged || !stage.begun }
}

/** The stage in the life of its task, and in the journal as far as that keeps it. */
export const keep = (life: TaskLife, stage: Answered): Stepped => {
  const next: TaskLife = { ...life, stage }
  return [next, stage.merged ? [{ _tag: "Save", entry: entryOf(next, stage.sentAtMs) }] : []]
}

/** Asks nothing more of the gateway and waits for a second error. */
const onError = (life: TaskLife, stage: Answered, text: string): Stepped => {
  const { activity, shown } = stage
  return [
    { ...life, stage: { _tag: "Failing", shown, text } },
    [
      ...(isRequest(activity._tag) ? [{ _tag: "Cancel" } as const] : []),
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
    andThen(
      phase === undefined || (phase.stream === "lifecycle" && known.hasStatus)
        ? stay({ ...life, stage: begun })
        : showPhase(life, begun, phase.label),
      (shown) => onTurn(shown, phase)
    )
  )
}

/** How long the end of a run is waited for once its agent has ended. */
const untoldEndMs = 2000

/** Settles the task if its end is not told soon, unless the agent tries again. */
const onTurn = (life: TaskLife, phase: AgentPhase | undefined): Stepped => {
  const { stage } = life
  if (stage._tag !== "Answered" || phase?.turn === undefined) return stay(life)
  if (phase.turn === "Ends") {
    return stage.activity._tag === "Idle"
      ? pause(life, { ...stage, untoldEnd: true }, "Settle", untoldEndMs)
      : stay(life)
  }
  return stage.untoldEnd && stage.activity._tag === "Paused"
    ? [withActivity(life, { ...stage, untoldEnd: false }, idle), [{ _tag: "Disarm", timer: "pause" }]]
    : stay(life)
}

const showPhase = (life: TaskLife, stage: Answered, phase: string): Stepped => {
  const { runId, taskId } = life.subject
  if (stage.shown._tag === "Running" && stage.shown.phase === phase) return stay({ ...life, stage })
  return [
    { ...life, stage: { ...stage, shown: { _tag: "Running", phase } } },
    [{ _tag: "Publish", event: { _tag: "Phase", taskId, runId, phase } }]
  ]
}
