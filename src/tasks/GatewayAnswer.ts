/**
 * What follows for an open task from an answer: the journal's to a write, or the gateway's to a request.
 */
import * as Hash from "effect/Hash"
import * as Result from "effect/Result"
import type { RequestError, RequestRejected } from "../connection/RequestError.ts"
import type { Verdict, Whole } from "./HistoryVerdict.ts"
import { completedShort, judge, judgeEnd, unavailable } from "./HistoryVerdict.ts"
import * as Misaddressed from "./Misaddressed.ts"
import type { RunEnd } from "./RunEnd.ts"
import * as ShortenedText from "./ShortenedText.ts"
import {
  after,
  answerAbort,
  ask,
  due,
  ended,
  factsOf,
  goOn,
  idle,
  nothing,
  pause,
  proceed,
  readHistory,
  receive,
  recheckMs,
  settleLater,
  stay,
  withActivity
} from "./TaskActivity.ts"
import type { SessionConflicted } from "./TaskError.ts"
import { runError, TakenAsCommand } from "./TaskError.ts"
import type {
  AbortError,
  Action,
  ActiveStage,
  Activity,
  Answered,
  HistoryRead,
  Input,
  Rules,
  Stepped,
  TaskLife,
  Unanswered
} from "./TaskLife.ts"
import { entryOf, takesWork, unanswered } from "./TaskLife.ts"

/** A gateway that continues what its own restart interrupted begins within this time after the start of its process. */
const resumptionMs = 60_000

export const onSaved = (life: TaskLife, stage: ActiveStage, ok: boolean, nowMs: number): Stepped => {
  const { activity } = stage
  if (activity._tag !== "Saving") return stay(life)
  // Meanwhile an event showed that another process has sent it.
  if (stage._tag !== "Waiting") return proceed(withActivity(life, stage, due.Settle), nowMs)
  if (!ok) return pause(life, stage, "Send", recheckMs)
  if (!takesWork(life)) return stay(withActivity(life, stage, due.Send))
  const given = unanswered(stage, { _tag: "Sending", news: false }, activity.sentAtMs, nowMs)
  return [{ ...life, stage: given }, [{ _tag: "Send" }]]
}

export const onSendAnswered = (
  rules: Rules,
  life: TaskLife,
  stage: Unanswered | Answered,
  { answer, shared }: Extract<Input, { readonly _tag: "SendAnswered" }>,
  nowMs: number
): Stepped => {
  if (Result.isSuccess(answer)) {
    return "status" in answer.success
      ? onReceipt(life, stage, answer.success, shared, nowMs)
      : ended(rules, life, stage, {
        _tag: "Failed",
        error: new TakenAsCommand({ stoppedRunIds: answer.success.runIds })
      })
  }
  const error = answer.failure
  switch (error._tag) {
    case "LinkError":
      return goOn(life, stage, idle, nowMs)
    case "RequestTimeout":
      return goOn(life, stage, due.Settle, nowMs)
    case "AnswerInvalid":
      return onReceipt(life, stage, {}, shared, nowMs)
    case "AttachmentRefused":
    case "FrameTooLarge":
    case "MissingScope":
      return ended(rules, life, stage, { _tag: "Failed", error })
    case "RequestRejected":
      if (error.retryAfterMs === undefined && error.retryable !== true) {
        return ended(rules, life, stage, { _tag: "Failed", error: refusalError(life.subject.runId, error) })
      }
      return stage._tag === "Answered"
        ? goOn(life, stage, due.Settle, nowMs)
        : unlessAborted(rules, life, stage, onRefusedForNow(life, stage, error))
  }
}

const onRefusedForNow = (life: TaskLife, stage: Unanswered, error: RequestRejected): Stepped => {
  const times = (stage.refusal?.times ?? 0) + 1
  return pause(life, { ...stage, refusal: { error, times } }, "Send", backOffMs(life.subject.runId, error, times))
}

/** Waits before a refused task is sent again double from the one to the other. */
const backOffBaseMs = 1000
const backOffTopMs = 30_000
/** They are longer by up to this share, so that tasks that were refused together do not come back together. */
const backOffSpread = 0.1

/**
 * How long to wait after a refusal: never less than the gateway named, and after the first such refusal never less than the
 * ladder says.
 */
const backOffMs = (runId: string, { retryAfterMs }: RequestRejected, times: number): number => {
  const rung = retryAfterMs === undefined ? times : times - 1
  const ladderMs = rung === 0 ? 0 : Math.min(backOffBaseMs * 2 ** (rung - 1), backOffTopMs)
  const unit = (Hash.string(runId) >>> 0) / 2 ** 32
  return Math.max(retryAfterMs ?? 0, Math.ceil(ladderMs * (1 + backOffSpread * unit)))
}

/** A task that is to be aborted, and that the gateway does not have, ends instead of being sent again. */
const unlessAborted = (rules: Rules, life: TaskLife, stage: ActiveStage, again: Stepped): Stepped =>
  stage._tag === "Unanswered" && stage.abort !== "NotWanted"
    ? ended(rules, life, stage, { _tag: "Aborted", text: "" })
    : again

/** For a key whose run came to nothing, the gateway repeats the error of that run. */
export const refusalError = (runId: string, error: RequestRejected): RequestRejected | SessionConflicted => {
  const said = runError(runId, error.gatewayMessage)
  return said._tag === "SessionConflicted" ? said : error
}

const onReceipt = (
  life: TaskLife,
  stage: Unanswered | Answered,
  receipt: { readonly status?: string; readonly runId?: string },
  shared: boolean,
  nowMs: number
): Stepped => {
  const answeredRunId = receipt.runId ?? life.subject.runId
  const [known, told] = receive(life, stage)
  const merged = known.merged || shared
  const over = receipt.status === "ok"
  const next: Answered = { ...known, answeredRunId, merged, over }
  const named: TaskLife = { ...life, stage: next }
  return after(
    [
      { _tag: "Listen", runId: answeredRunId },
      ...told,
      { _tag: "Save", entry: entryOf(named, next.sentAtMs) }
    ],
    goOn(named, next, over || merged ? due.Settle : idle, nowMs)
  )
}

export const onHistory = (
  rules: Rules,
  life: TaskLife,
  stage: ActiveStage,
  history: HistoryRead,
  nowMs: number
): Stepped => {
  const named = Misaddressed.isNamed(stage, history)
  if (named && Misaddressed.hasEnd(stage)) {
    return Misaddressed.end(rules, life, stage, nowMs, (next, known) => onHistory(rules, next, known, history, nowMs))
  }
  const lacksIt = history.finding._tag === "Absent" || history.finding._tag === "Unreadable"
  const [known, told]: readonly [ActiveStage, ReadonlyArray<Action>] = lacksIt && !named
    ? [stage, nothing]
    : withBeginning(receive(life, stage), history)
  const here: TaskLife = { ...life, stage: known }
  return after(told, follow(rules, here, known, history, judgement(here, known, history, nowMs), nowMs))
}

/** A run that is at work has begun, whatever of it was heard. */
const withBeginning = (
  [stage, told]: readonly [Answered, ReadonlyArray<Action>],
  { finding }: HistoryRead
): readonly [Answered, ReadonlyArray<Action>] =>
  finding._tag === "Running" && finding.queued !== true ? [{ ...stage, begun: true }, told] : [stage, told]

const judgement = (
  life: TaskLife,
  stage: ActiveStage,
  history: HistoryRead,
  nowMs: number
): Verdict => {
  const { busy, finding, gatewayStartedAtMs = 0, renamed, unkept } = history
  const { activity } = stage
  const lastSentAtMs = stage._tag === "Waiting" ? undefined : stage.lastSentAtMs
  const restarted = gatewayStartedAtMs > (lastSentAtMs ?? Infinity)
  // A restart ended what was at work before it. Releases before 2026.6 never say so.
  const settled = restarted && nowMs - gatewayStartedAtMs > resumptionMs
  return judge(
    {
      ...factsOf(life, stage),
      renamed,
      heard: Misaddressed.isNamed(stage, history) && Misaddressed.goesOn(stage),
      end: activity._tag === "ReadingHistory" ? activity.end : undefined
    },
    finding,
    busy ?? (settled ? false : undefined),
    // It has also forgotten the key, so that a message that it may have had must not be sent again.
    restarted && unkept
  )
}

const follow = (
  rules: Rules,
  life: TaskLife,
  stage: ActiveStage,
  history: HistoryRead,
  verdict: Verdict,
  nowMs: number
): Stepped => {
  switch (verdict._tag) {
    case "Finish":
      // No history tells the gateway's names of sessions, so that what was heard under another one is all there is.
      return verdict.outcome._tag === "Unknown" && history.sessionKey === undefined && Misaddressed.hasEnd(stage)
        ? Misaddressed.end(
          rules,
          life,
          stage,
          nowMs,
          (next, known) => follow(rules, next, known, history, judgement(next, known, history, nowMs), nowMs)
        )
        : ended(rules, life, stage, verdict.outcome, verdict.runOver)
    case "FetchWhole": {
      const { messageId, short } = verdict
      if (stage._tag === "Waiting") return ended(rules, life, stage, completedShort(short))
      const { activity } = stage
      const fetching: Activity = { _tag: "Fetching", news: "news" in activity && activity.news }
      const next: ActiveStage = { ...stage, short: ShortenedText.longer(stage.short, short) }
      return [withActivity(life, next, fetching), [{ _tag: "FetchWhole", messageId }]]
    }
    case "SendAgain":
      return unlessAborted(rules, life, stage, proceed(withActivity(life, stage, due.Send), nowMs))
    case "LookAgain": {
      const { evidence, idleReads } = verdict
      const next: ActiveStage = stage._tag === "Waiting" ? stage : { ...stage, evidence, idleReads }
      return verdict.when === "Soon" ? settleLater(life, next, nowMs) : goOn(life, next, idle, nowMs)
    }
  }
}

/** What the gateway remembers of the end of the run. History follows where that does not say everything. */
export const onEndAnswered = (
  rules: Rules,
  life: TaskLife,
  stage: ActiveStage,
  { end, linkLost }: { readonly end: RunEnd; readonly linkLost: boolean },
  nowMs: number
): Stepped => {
  const { activity } = stage
  // It may have ended since it was asked.
  const outdated = end._tag === "NotKnown" && "news" in activity && activity.news
  if (linkLost || outdated) return goOn(life, stage, idle, nowMs)
  const [known, told]: readonly [ActiveStage, ReadonlyArray<Action>] = end._tag === "NotKnown"
    ? [stage, nothing]
    : receive(life, stage)
  const verdict = judgeEnd(factsOf(life, known), end)
  if (verdict?._tag === "Finish") return after(told, ended(rules, life, known, verdict.outcome, verdict.runOver))
  if (!life.linked) return after(told, stay(withActivity(life, known, due.Settle)))
  // Its time is up, and the gateway does not say that the run ended.
  if (end._tag === "NotKnown" && known._tag !== "Waiting" && known.expiring) {
    return stay(withActivity(life, known, idle))
  }
  const next: ActiveStage = known._tag === "Waiting"
    ? known
    : {
      ...known,
      // Of a run that is answered in another one, no more is asked.
      emptyEnd: known._tag === "Answered" && known.merged ? undefined : known.emptyEnd,
      over: known.over || end._tag === "Ended"
    }
  return after(told, readHistory({ ...life, stage: next }, next, end))
}

export const onWholeFetched = (
  rules: Rules,
  life: TaskLife,
  stage: Unanswered | Answered,
  whole: Whole,
  nowMs: number
): Stepped => {
  const { short = { text: "", atMs: undefined } } = stage
  switch (whole._tag) {
    case "Whole":
      return ended(rules, life, stage, { _tag: "Completed", text: whole.text, atMs: short.atMs })
    case "Short":
      return ended(rules, life, stage, completedShort(ShortenedText.longer(short, { ...short, text: whole.text })))
    case "NotGiven":
      return ended(rules, life, stage, completedShort(short))
    case "Failed":
      return whole.linkLost ? goOn(life, stage, idle, nowMs) : settleLater(life, stage, nowMs)
  }
}

export const onHistoryFailed = (
  rules: Rules,
  life: TaskLife,
  stage: ActiveStage,
  linkLost: boolean,
  nowMs: number
): Stepped => {
  const end = stage.activity._tag === "ReadingHistory" ? stage.activity.end : undefined
  const verdict = judge({ ...factsOf(life, stage), end }, { _tag: "Unreadable" }, undefined, false)
  // The gateway gave the end before.
  if (verdict._tag === "Finish" && !linkLost) return ended(rules, life, stage, verdict.outcome, verdict.runOver)
  const next: ActiveStage = stage._tag === "Waiting" || stage.evidence !== undefined
    ? stage
    : { ...stage, evidence: unavailable(factsOf(life, stage)) }
  return linkLost ? goOn(life, next, idle, nowMs) : settleLater(life, next, nowMs)
}

export const onAbortAnswered = (
  life: TaskLife,
  stage: Unanswered | Answered,
  answer: Result.Result<boolean, RequestError>
): Stepped => {
  const { activity } = stage
  const next: Unanswered | Answered = {
    ...stage,
    abort: Result.isFailure(answer) ? "Wanted" : answer.success ? "Confirmed" : "Denied"
  }
  const told = [answerAbort(toCaller(answer))]
  if (activity._tag !== "Aborting") return [{ ...life, stage: next }, told]
  return life.linked ? after(told, ask({ ...life, stage: next }, next)) : [withActivity(life, next, due.Settle), told]
}

/** A request that was lost on the way is made again before the next read of history. */
export const toCaller = (answer: Result.Result<boolean, RequestError>): Result.Result<boolean, AbortError> => {
  if (Result.isSuccess(answer)) return Result.succeed(answer.success)
  const error = answer.failure
  return error._tag === "LinkError" || error._tag === "RequestTimeout" ? Result.succeed(true) : Result.fail(error)
}
