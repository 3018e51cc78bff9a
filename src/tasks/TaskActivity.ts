/**
 * What an open task does next: the moves that the answers, events and timers of its life have in common.
 */
import type * as Result from "effect/Result"
import type { Facts } from "./HistoryVerdict.ts"
import * as RunAfterEnd from "./RunAfterEnd.ts"
import type { TaskOutcome } from "./Task.ts"
import { runError } from "./TaskError.ts"
import type {
  AbortError,
  Action,
  ActiveStage,
  Activity,
  Answered,
  Looks,
  Next,
  OpenStage,
  Rules,
  Stepped,
  TaskLife
} from "./TaskLife.ts"
import { answered, entryOf, queued, reasonOf, sent } from "./TaskLife.ts"

/** How often history is looked into again, for a run whose end may have been missed. */
export const recheckMs = 5000

export const nothing: ReadonlyArray<Action> = []
export const stay = (life: TaskLife): Stepped => [life, nothing]
export const andThen = ([life, actions]: Stepped, next: (life: TaskLife) => Stepped): Stepped =>
  after(actions, next(life))
/** What comes after other actions. */
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
  Look: { _tag: "Due", next: "Look" }
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

/** Tells others why the task waits. One that a link has waits for nothing, unless its gateway is not the connection's. */
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
  return stage.activity.next === "Look" ? look(life, stage, nowMs) : send(life, stage, nowMs)
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
      return look(life, stage, nowMs)
  }
}

/** How often a task looks into history within `recheckMs`, whatever happens. */
const looksAtMost = 10

/** The looks with one more; nothing when there were too many of late. */
const oneMore = ({ looks }: TaskLife, nowMs: number): Looks | undefined => {
  // The clock may have been set back.
  if (nowMs < looks.sinceMs || nowMs >= looks.sinceMs + recheckMs) return { sinceMs: nowMs, count: 1 }
  return looks.count < looksAtMost ? { ...looks, count: looks.count + 1 } : undefined
}

const look = (before: TaskLife, stage: ActiveStage, nowMs: number): Stepped => {
  const looks = oneMore(before, nowMs)
  if (looks === undefined) return pause(before, stage, "Look", recheckMs)
  const life: TaskLife = { ...before, looks }
  if (stage._tag === "Waiting" || (stage.abort !== "Wanted" && stage.abort !== "Asked")) {
    return [withActivity(life, stage, { _tag: "Looking", news: false }), [{ _tag: "Look" }]]
  }
  return [
    { ...life, stage: { ...stage, abort: "Asked", activity: { _tag: "Aborting", news: false } } },
    stage.abort === "Asked" ? nothing : [{ _tag: "Abort" }]
  ]
}

/** History is worth a look now, or as soon as the request under way is answered. */
export const onNews = (life: TaskLife, stage: ActiveStage, nowMs: number): Stepped => {
  const { activity } = stage
  switch (activity._tag) {
    case "Idle":
      return proceed(withActivity(life, stage, due.Look), nowMs)
    case "Paused":
      return activity.next === "Send" || oneMore(life, nowMs) === undefined ? stay(life) : after(
        [{ _tag: "Disarm", timer: "pause" }],
        proceed(withActivity(life, stage, due.Look), nowMs)
      )
    case "Due":
    case "Saving":
      return stay(life)
    default:
      return stay(withActivity(life, stage, { ...activity, news: true }))
  }
}

/** Goes on after a request: with a look if there was news meanwhile, else as the answer says. */
export const goOn = (life: TaskLife, stage: ActiveStage, answer: Activity, nowMs: number): Stepped => {
  const { activity } = stage
  if ("news" in activity && activity.news) return proceed(withActivity(life, stage, due.Look), nowMs)
  return proceed(withActivity(life, stage, answer), nowMs)
}

export const pause = (life: TaskLife, stage: ActiveStage, next: Next, ms: number): Stepped => [
  withActivity(life, stage, { _tag: "Paused", next }),
  [{ _tag: "Arm", timer: "pause", ms }]
]

export const lookLater = (life: TaskLife, stage: ActiveStage, nowMs: number): Stepped => {
  const { activity } = stage
  return "news" in activity && activity.news
    ? goOn(life, stage, due.Look, nowMs)
    : pause(life, stage, "Look", recheckMs)
}

/** The gateway has the task: it answered, or told something of the run. */
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
    idleLooks: given?.idleLooks ?? 0,
    renamed: false
  }
}
