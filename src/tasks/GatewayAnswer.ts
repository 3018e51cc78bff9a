/**
 * What follows for an open task from an answer: the journal's to a write, or the gateway's to a request.
 */
import * as Hash from "effect/Hash"
import * as Result from "effect/Result"
import type { RequestError, RequestRejected } from "../connection/RequestError.ts"
import type { RunEnd, Verdict, Whole } from "./HistoryVerdict.ts"
import { completedShort, judge, unavailable } from "./HistoryVerdict.ts"
import * as Misaddressed from "./Misaddressed.ts"
import * as ShortenedText from "./ShortenedText.ts"
import {
  after,
  answerAbort,
  due,
  ended,
  factsOf,
  goOn,
  idle,
  nothing,
  pause,
  proceed,
  readLater,
  receive,
  recheckMs,
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
import { entryOf, unanswered } from "./TaskLife.ts"

/** A gateway that continues what its own restart interrupted begins within this time after the start of its process. */
const resumptionMs = 60_000

export const onSaved = (life: TaskLife, stage: ActiveStage, ok: boolean, nowMs: number): Stepped => {
  const { activity } = stage
  if (activity._tag !== "Saving") return stay(life)
  // Meanwhile an event showed that another process has sent it.
  if (stage._tag !== "Waiting") return proceed(withActivity(life, stage, due.ReadHistory), nowMs)
  if (!ok) return pause(life, stage, "Send", recheckMs)
  if (!life.linked) return stay(withActivity(life, stage, due.Send))
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
      return goOn(life, stage, due.ReadHistory, nowMs)
    case "AnswerInvalid":
      return onReceipt(life, stage, {}, shared, nowMs)
    case "FrameTooLarge":
    case "MissingScope":
      return ended(rules, life, stage, { _tag: "Failed", error })
    case "RequestRejected":
      if (error.retryAfterMs === undefined && error.retryable !== true) {
        return ended(rules, life, stage, { _tag: "Failed", error: refusalError(life.subject.runId, error) })
      }
      return stage._tag === "Answered"
        ? goOn(life, stage, due.ReadHistory, nowMs)
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
    goOn(named, next, over || merged ? due.ReadHistory : idle, nowMs)
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
    : receive(life, stage)
  const here: TaskLife = { ...life, stage: known }
  return after(told, follow(rules, here, known, history, judgement(here, known, history, undefined, nowMs), nowMs))
}

const judgement = (
  life: TaskLife,
  stage: ActiveStage,
  history: HistoryRead,
  end: RunEnd | undefined,
  nowMs: number
): Verdict => {
  const { busy, finding, gatewayStartedAtMs = 0, renamed, unkept } = history
  const lastSentAtMs = stage._tag === "Waiting" ? undefined : stage.lastSentAtMs
  const restarted = gatewayStartedAtMs > (lastSentAtMs ?? Infinity)
  // A restart ended what was at work before it. Releases before 2026.6 never say so.
  const settled = restarted && nowMs - gatewayStartedAtMs > resumptionMs
  return judge(
    {
      ...factsOf(life, stage),
      renamed,
      heard: Misaddressed.isNamed(stage, history) && Misaddressed.goesOn(stage),
      end
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
          (next, known) => follow(rules, next, known, history, judgement(next, known, history, undefined, nowMs), nowMs)
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
    case "AskHowItEnded": {
      const { activity } = stage
      const asking: Activity = { _tag: "Asking", news: "news" in activity && activity.news, history }
      const next: ActiveStage = stage._tag === "Waiting" ? stage : { ...stage, evidence: verdict.evidence }
      const runId = stage._tag === "Answered" ? stage.answeredRunId : undefined
      return [withActivity(life, next, asking), [{ _tag: "AskHowItEnded", runId: runId ?? life.subject.runId }]]
    }
    case "LookAgain": {
      const { evidence, idleReads } = verdict
      const next: ActiveStage = stage._tag === "Waiting" ? stage : { ...stage, evidence, idleReads }
      return verdict.when === "Soon" ? readLater(life, next, nowMs) : goOn(life, next, idle, nowMs)
    }
  }
}

export const onEndAnswered = (
  rules: Rules,
  life: TaskLife,
  stage: Unanswered | Answered,
  history: HistoryRead,
  end: RunEnd,
  nowMs: number
): Stepped => {
  const verdict = judgement(life, stage, history, end, nowMs)
  const told: ActiveStage = end._tag === "Ended" ? { ...stage, over: true } : stage
  return follow(rules, { ...life, stage: told }, told, history, verdict, nowMs)
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
      return whole.linkLost ? goOn(life, stage, idle, nowMs) : readLater(life, stage, nowMs)
  }
}

export const onHistoryFailed = (
  life: TaskLife,
  stage: ActiveStage,
  linkLost: boolean,
  nowMs: number
): Stepped => {
  const next: ActiveStage = stage._tag === "Waiting" || stage.evidence !== undefined
    ? stage
    : { ...stage, evidence: unavailable(factsOf(life, stage)) }
  return linkLost ? goOn(life, next, idle, nowMs) : readLater(life, next, nowMs)
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
  return life.linked
    ? [withActivity(life, next, { _tag: "ReadingHistory", news: false }), [...told, { _tag: "ReadHistory" }]]
    : [withActivity(life, next, due.ReadHistory), told]
}

/** A request that was lost on the way is made again before the next read of history. */
export const toCaller = (answer: Result.Result<boolean, RequestError>): Result.Result<boolean, AbortError> => {
  if (Result.isSuccess(answer)) return Result.succeed(answer.success)
  const error = answer.failure
  return error._tag === "LinkError" || error._tag === "RequestTimeout" ? Result.succeed(true) : Result.fail(error)
}
