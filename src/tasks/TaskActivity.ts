/**
 * What an open task does next: the parts of the step that answers, events and timers share.
 */
import type * as Result from "effect/Result"
import type { Facts } from "./HistoryVerdict.ts"
import * as RunAfterEnd from "./RunAfterEnd.ts"
import type { RunEnd } from "./RunEnd.ts"
import type { TaskOutcome } from "./Task.ts"
import { runError } from "./TaskError.ts"
import type {
  AbortError,
  Action,
  ActiveStage,
  Activity,
  Answered,
  Next,
  OpenStage,
  Reads,
  Rules,
  Stepped,
  TaskLife
} from "./TaskLife.ts"
import { answered, entryOf, queued, reasonOf, sent, takesWork } from "./TaskLife.ts"

/** How often the gateway is asked again for a run whose end may have been missed. */
export const recheckMs = 5000

export const nothing: ReadonlyArray<Action> = []
export const stay = (life: TaskLife): Stepped => [life, nothing]
export const andThen = ([life, actions]: Stepped, next: (life: TaskLife) => Stepped): Stepped =>
  after(actions, next(life))
/** Puts actions before those of a step. */
export const after = (before: ReadonlyArray<Action>, [life, actions]: Stepped): Stepped =>
  before.length === 0 ? [life, actions] : actions.length === 0 ? [life, before] : [life, [...before, ...actions]]

export const isActive = (stage: TaskLife["stage"]): stage is ActiveStage =>
  stage._tag !== "Failing" && stage._tag !== "Ended"

export const withActivity = (life: TaskLife, stage: ActiveStage, activity: Activity): TaskLife => ({
  ...life,
  stage: { ...stage, activity }
})
export const idle: Activity = { _tag: "Idle" }
export const due: Readonly<Record<Next, Activity>> = {
  Send: { _tag: "Due", next: "Send" },
  Settle: { _tag: "Due", next: "Settle" }
}

export const ended = (
  rules: Rules,
  life: TaskLife,
  stage: OpenStage,
  outcome: TaskOutcome,
  runOver?: boolean
): Stepped => RunAfterEnd.end(rules, life, stage, outcome, runOver)

export const failed = (rules: Rules, life: TaskLife, stage: OpenStage, text: string): Stepped =>
  ended(rules, life, stage, { _tag: "Failed", error: runError(life.subject.runId, text) })

export const answerAbort = (answer: Result.Result<boolean, AbortError>): Action => ({ _tag: "AnswerAbort", answer })

/** Publishes why the task waits. A task that was given to a link waits only if the connection is for another gateway. */
export const show = (life: TaskLife, stage: OpenStage): Stepped => {
  const { shown } = stage
  const moved = life.away || (shown._tag === "Queued" && shown.reason === "OtherGateway")
  if (!moved && stage._tag !== "Waiting") return stay(life)
  const reason = reasonOf(life)
  if (shown._tag === "Queued" && shown.reason === reason) return stay(life)
  const { runId, summary, taskId } = life.subject
  return [
    { ...life, stage: { ...stage, shown: queued(reason) } },
    reason === undefined ? nothing : [{ _tag: "Publish", event: { _tag: "Queued", taskId, runId, summary, reason } }]
  ]
}

/** Begins what is due, if there is a link and it is the task's turn. */
export const proceed = (life: TaskLife, nowMs: number): Stepped => {
  const { stage } = life
  if (!isActive(stage) || stage.activity._tag !== "Due" || !life.linked || !life.turn) return stay(life)
  if (stage.activity.next === "Settle") return settle(life, stage, nowMs)
  return takesWork(life) ? send(life, stage, nowMs) : stay(life)
}

const send = (life: TaskLife, stage: ActiveStage, nowMs: number): Stepped => {
  switch (stage._tag) {
    case "Waiting":
      // It is not sent before the journal says so.
      return [
        withActivity(life, stage, { _tag: "Saving", sentAtMs: nowMs }),
        [{ _tag: "Save", entry: entryOf(life, nowMs) }]
      ]
    case "Unanswered":
      return [
        { ...life, stage: { ...stage, lastSentAtMs: nowMs, activity: { _tag: "Sending", news: false } } },
        [{ _tag: "Send" }]
      ]
    case "Answered":
      return settle(life, stage, nowMs)
  }
}

/** How often a task is settled within `recheckMs`, whatever happens. */
const readsAtMost = 10

/** The reads with one more; nothing when that would be too many. */
const oneMore = ({ reads }: TaskLife, nowMs: number): Reads | undefined => {
  // The clock may have been set back.
  if (nowMs < reads.sinceMs || nowMs >= reads.sinceMs + recheckMs) return { sinceMs: nowMs, count: 1 }
  return reads.count < readsAtMost ? { ...reads, count: reads.count + 1 } : undefined
}

const settle = (before: TaskLife, stage: ActiveStage, nowMs: number): Stepped => {
  const reads = oneMore(before, nowMs)
  if (reads === undefined) return pause(before, stage, "Settle", recheckMs)
  const life: TaskLife = { ...before, reads }
  if (stage._tag === "Waiting" || (stage.abort !== "Wanted" && stage.abort !== "Asked")) return ask(life, stage)
  return [
    { ...life, stage: { ...stage, abort: "Asked", activity: { _tag: "Aborting", news: false } } },
    stage.abort === "Asked" ? nothing : [{ _tag: "Abort" }]
  ]
}

/**
 * Asks what became of the run. What is known of the end of a run that is answered in another one says nothing of that answer, so
 * history is read at once.
 */
export const ask = (life: TaskLife, stage: ActiveStage): Stepped =>
  stage._tag === "Answered" && stage.merged && stage.emptyEnd === undefined
    ? readHistory(life, stage, undefined)
    : [withActivity(life, stage, { _tag: "Asking", news: false }), [{
      _tag: "AskHowItEnded",
      runId: runIdOf(life, stage)
    }]]

export const readHistory = (life: TaskLife, stage: ActiveStage, end: RunEnd | undefined): Stepped => [
  withActivity(life, stage, { _tag: "ReadingHistory", news: false, end }),
  [{ _tag: "ReadHistory" }]
]

const runIdOf = ({ subject }: TaskLife, stage: ActiveStage): string =>
  (stage._tag === "Answered" ? stage.answeredRunId : undefined) ?? subject.runId

/** Settles the task now, or as soon as the request under way is answered. */
export const onNews = (life: TaskLife, stage: ActiveStage, nowMs: number): Stepped => {
  const { activity } = stage
  switch (activity._tag) {
    case "Idle":
      return proceed(withActivity(life, stage, due.Settle), nowMs)
    case "Paused":
      return activity.next === "Send" || oneMore(life, nowMs) === undefined ? stay(life) : after(
        [{ _tag: "Disarm", timer: "pause" }],
        proceed(withActivity(life, stage, due.Settle), nowMs)
      )
    case "Due":
    case "Saving":
      return stay(life)
    default:
      return stay(withActivity(life, stage, { ...activity, news: true }))
  }
}

/** Goes on after a request: with another question if there was news meanwhile, else as the answer says. */
export const goOn = (life: TaskLife, stage: ActiveStage, answer: Activity, nowMs: number): Stepped => {
  const { activity } = stage
  if ("news" in activity && activity.news) return proceed(withActivity(life, stage, due.Settle), nowMs)
  // Nothing is told, so it is asked.
  if (answer._tag === "Idle" && life.deaf && life.linked) return pause(life, stage, "Settle", recheckMs)
  return proceed(withActivity(life, stage, answer), nowMs)
}

export const pause = (life: TaskLife, stage: ActiveStage, next: Next, ms: number): Stepped => [
  withActivity(life, stage, { _tag: "Paused", next }),
  [{ _tag: "Arm", timer: "pause", ms }]
]

/** Settles the task again after a while, or at once if there was news meanwhile. */
export const settleLater = (life: TaskLife, stage: ActiveStage, nowMs: number): Stepped => {
  const { activity } = stage
  return "news" in activity && activity.news
    ? goOn(life, stage, due.Settle, nowMs)
    : pause(life, stage, "Settle", recheckMs)
}

/** Notes that the gateway has the task: it answered, or told something of the run. */
export const receive = ({ subject }: TaskLife, stage: ActiveStage): readonly [Answered, ReadonlyArray<Action>] => {
  const known: Answered = stage._tag !== "Answered"
    ? answered(stage, subject)
    : stage.evidence === undefined
    ? stage
    : { ...stage, evidence: undefined }
  if (known.shown._tag !== "Queued") return [known, nothing]
  const { runId, summary, taskId } = subject
  return [{ ...known, shown: sent }, [{ _tag: "Publish", event: { _tag: "Sent", taskId, runId, summary } }]]
}

export const factsOf = ({ subject }: TaskLife, stage: OpenStage): Facts => {
  const given = stage._tag === "Unanswered" || stage._tag === "Answered" ? stage : undefined
  const run = stage._tag === "Answered" ? stage : undefined
  return {
    runId: subject.runId,
    answered: run?.answeredRunId !== undefined,
    received: run !== undefined,
    over: given?.over ?? false,
    merged: run?.merged ?? false,
    aborted: given?.abort === "Confirmed",
    partial: run?.partial ?? "",
    emptyEnd: given?.emptyEnd,
    idleReads: given?.idleReads ?? 0,
    renamed: false,
    short: given?.short
  }
}
