/**
 * What follows for a task from one input: a pure function from its life and the input to the next life and the actions that are
 * due, in order.
 *
 * Total: every input has an answer in every stage, and one that comes too late changes nothing. Times are milliseconds on this
 * process's clock.
 */
import * as Result from "effect/Result"
import * as GatewayAnswer from "./GatewayAnswer.ts"
import type { ShortReply } from "./HistoryVerdict.ts"
import { completedShort, unavailable, withoutText } from "./HistoryVerdict.ts"
import * as Misaddressed from "./Misaddressed.ts"
import * as RunAfterEnd from "./RunAfterEnd.ts"
import { isRequest } from "./RunAfterEnd.ts"
import * as RunEvent from "./RunEvent.ts"
import type { TaskOutcome } from "./Task.ts"
import {
  after,
  andThen,
  answerAbort,
  ask,
  due,
  ended,
  factsOf,
  failed,
  isActive,
  nothing,
  onNews,
  proceed,
  show,
  stay,
  withActivity
} from "./TaskActivity.ts"
import type {
  Action,
  ActiveStage,
  Answered,
  Failing,
  Input,
  OpenStage,
  Rules,
  Stepped,
  TaskLife,
  Timer,
  Unanswered
} from "./TaskLife.ts"

export const step = (rules: Rules, life: TaskLife, input: Input, nowMs: number): Stepped => {
  const { stage } = life
  return stage._tag === "Ended"
    ? RunAfterEnd.step(rules, life, stage, input)
    : endExpiring(rules, stepOpen(rules, life, stage, input, nowMs))
}

const stepOpen = (rules: Rules, life: TaskLife, stage: OpenStage, input: Input, nowMs: number): Stepped => {
  switch (input._tag) {
    case "Accepted":
      return andThen(show(life, stage), (shown) => proceed(shown, nowMs))
    case "ConnectionChanged":
      return andThen(
        show({ ...life, waitsFor: input.waitsFor, away: input.away }, stage),
        (shown) => proceed(shown, nowMs)
      )
    case "LinkUp":
      return onLinkUp(rules, life, nowMs)
    case "LinkLost":
      return onLinkLost({ ...life, linked: false }, stage)
    case "Hearing":
      return stay({ ...life, deaf: input.deaf })
    case "Turn":
      return andThen(show({ ...life, turn: true }, stage), (shown) => proceed(shown, nowMs))
    case "TimerDue":
      return onTimer(rules, life, stage, input.timer, nowMs)
    case "AbortWanted":
      return onAbortWanted(rules, life, stage, input.by)
    case "Broken":
      return ended(rules, life, stage, unknown(life, stage), true)
    default:
      return stage._tag === "Failing"
        ? whileFailing(rules, life, stage, input)
        // What was held until the gateway takes work again may be something else by now.
        : goOnWith(whileActive(rules, life, stage, input, nowMs), nowMs)
  }
}

const goOnWith = (stepped: Stepped, nowMs: number): Stepped => {
  const { stage } = stepped[0]
  return isActive(stage) && stage.activity._tag === "Due"
    ? andThen(stepped, (life) => proceed(life, nowMs))
    : stepped
}

const onLinkUp = (rules: Rules, life: TaskLife, nowMs: number): Stepped => {
  const linked: TaskLife = { ...life, linked: true, deaf: false, timed: true }
  const timer: ReadonlyArray<Action> = life.timed
    ? nothing
    : [{ _tag: "Arm", timer: "deadline", ms: rules.timeoutMs }]
  return after(timer, proceed(linked, nowMs))
}

/** The end of a task of which nothing more can be learned. */
const unknown = (life: TaskLife, stage: OpenStage): TaskOutcome => {
  const short = shortOf(stage)
  const facts = factsOf(life, stage)
  return short === undefined
    ? withoutText(facts) ?? { _tag: "Unknown", evidence: unavailable(facts) }
    : completedShort(short)
}

const shortOf = (stage: OpenStage): ShortReply | undefined => "short" in stage ? stage.short : undefined

const onLinkLost = (life: TaskLife, before: OpenStage): Stepped => {
  if (!isActive(before)) return stay(life)
  const stage = Misaddressed.loseLink(before)
  const { activity } = stage
  switch (activity._tag) {
    case "Idle":
      return stay(withActivity(life, stage, due.Settle))
    case "Paused":
      // A wait that the gateway asked for goes on.
      return activity.next === "Send"
        ? stay({ ...life, stage })
        : [withActivity(life, stage, due.Settle), [{ _tag: "Disarm", timer: "pause" }]]
    case "Due":
    case "Saving":
      return stay({ ...life, stage })
    default:
      return stay(withActivity(life, stage, { ...activity, news: true }))
  }
}

const onTimer = (rules: Rules, life: TaskLife, stage: OpenStage, timer: Timer, nowMs: number): Stepped => {
  switch (timer) {
    case "deadline":
      return life.timed ? onDeadline(rules, { ...life, timed: false }, stage) : stay(life)
    case "secondError":
      return stage._tag === "Failing" ? failed(rules, life, stage, stage.text) : stay(life)
    case "pause":
      return isActive(stage) && stage.activity._tag === "Paused"
        ? proceed(withActivity(life, stage, due[stage.activity.next]), nowMs)
        : stay(life)
    case "hold":
      return stay(life)
  }
}

/** How long to wait for the answers to the last questions about a task whose time is up. */
const lastAnswersMs = 2000

const onDeadline = (rules: Rules, life: TaskLife, stage: OpenStage): Stepped => {
  // Nothing can be learned about it now. With the next link to its gateway its time begins anew.
  if (life.away) return stay(life)
  if (stage._tag === "Failing") return failed(rules, life, stage, stage.text)
  if (stage._tag === "Waiting") return ended(rules, life, stage, { _tag: "Expired", sent: false })
  return mayAsk(life, stage) ? askLast(life, stage) : expire(rules, life, stage)
}

/** Its end may have been missed, or never told. */
const mayAsk = ({ linked }: TaskLife, stage: Unanswered | Answered): boolean =>
  linked && !stage.expiring && stage.short === undefined && !isToBeSent(stage)
  && stage.activity._tag !== "Aborting" && stage.activity._tag !== "Saving"

const askLast = (life: TaskLife, before: Unanswered | Answered): Stepped => {
  const { activity } = before
  const stage: typeof before = { ...before, expiring: true }
  return after(
    [
      ...(isRequest(activity._tag) ? [{ _tag: "Cancel" } as const] : []),
      ...(activity._tag === "Paused" ? [{ _tag: "Disarm", timer: "pause" } as const] : []),
      { _tag: "Arm", timer: "deadline", ms: lastAnswersMs }
    ],
    ask({ ...life, timed: true, stage }, stage)
  )
}

/** Ends a task whose time is up as soon as nothing more is asked about it. */
const endExpiring = (rules: Rules, [life, actions]: Stepped): Stepped => {
  const { stage, timed } = life
  if (!isActive(stage) || stage._tag === "Waiting" || !stage.expiring || isRequest(stage.activity._tag)) {
    return [life, actions]
  }
  if (!life.away) return after(actions, expire(rules, life, stage))
  return [
    { ...life, timed: false, stage: { ...stage, expiring: false } },
    timed ? [...actions, { _tag: "Disarm", timer: "deadline" }] : actions
  ]
}

const expire = (rules: Rules, life: TaskLife, stage: Unanswered | Answered): Stepped => {
  const short = shortOf(stage)
  if (short !== undefined) return ended(rules, life, stage, completedShort(short))
  const toldEnd = withoutText(factsOf(life, stage))
  if (toldEnd !== undefined) return ended(rules, life, stage, toldEnd)
  // The gateway refused it, so that nothing of it is at work.
  if (stage._tag === "Unanswered" && stage.refusal !== undefined && isToBeSent(stage)) {
    const error = GatewayAnswer.refusalError(life.subject.runId, stage.refusal.error)
    return ended(rules, life, stage, { _tag: "Failed", error })
  }
  const evidence = stage.evidence ?? (life.linked ? undefined : unavailable(factsOf(life, stage)))
  return ended(
    rules,
    life,
    stage,
    evidence === undefined ? { _tag: "Expired", sent: true } : { _tag: "Unknown", evidence }
  )
}

const isToBeSent = ({ activity }: ActiveStage): boolean => "next" in activity && activity.next === "Send"

const onAbortWanted = (rules: Rules, life: TaskLife, stage: OpenStage, by: "Caller" | "OtherProcess"): Stepped => {
  const stopped: ReadonlyArray<Action> = [answerAbort(Result.succeed(true))]
  if (stage._tag === "Failing") return [life, [answerAbort(Result.succeed(false))]]
  // The gateway does not have it.
  if (stage._tag === "Waiting" || isToBeSent(stage)) {
    const [next, actions] = ended(rules, life, stage, { _tag: "Aborted", text: "" })
    return [next, [...actions, ...stopped]]
  }
  if (by === "OtherProcess" && stage.requestSeen) return stay(life)
  const requestSeen = stage.requestSeen || by === "OtherProcess"
  const seen = (abort: typeof stage.abort): TaskLife => ({ ...life, stage: { ...stage, requestSeen, abort } })
  if (stage.abort === "Confirmed") return [seen("Confirmed"), stopped]
  if (stage.abort === "Asked") return stay(seen("Asked"))
  return life.linked ? [seen("Asked"), [{ _tag: "Abort" }]] : [seen("Wanted"), stopped]
}

const whileFailing = (rules: Rules, life: TaskLife, stage: Failing, input: Input): Stepped => {
  switch (input._tag) {
    case "ChatTold":
      return input.event._tag === "Error"
        ? failed(rules, life, stage, joinErrors(stage.text, input.event.text))
        : stay(life)
    case "AbortAnswered":
      return [life, [answerAbort(GatewayAnswer.toCaller(input.answer))]]
    default:
      return stay(life)
  }
}

/** The second text mostly repeats the first with words before it. */
const joinErrors = (first: string, second: string): string =>
  second.includes(first) ? second : first.includes(second) ? first : `${first}\n${second}`

const whileActive = (rules: Rules, life: TaskLife, stage: ActiveStage, input: Input, nowMs: number): Stepped => {
  switch (input._tag) {
    case "Saved":
      return GatewayAnswer.onSaved(life, stage, input.ok, nowMs)
    case "SendAnswered":
      return stage._tag === "Waiting" || stage.activity._tag !== "Sending"
        ? stay(life)
        : GatewayAnswer.onSendAnswered(rules, life, stage, input, nowMs)
    case "HistoryRead":
      return stage.activity._tag === "ReadingHistory"
        ? GatewayAnswer.onHistory(rules, life, stage, input.history, nowMs)
        : stay(life)
    case "HistoryFailed":
      return stage.activity._tag === "ReadingHistory"
        ? GatewayAnswer.onHistoryFailed(rules, life, stage, input.linkLost, nowMs)
        : stay(life)
    case "EndAnswered":
      return stage.activity._tag === "Asking"
        ? GatewayAnswer.onEndAnswered(rules, life, stage, input, nowMs)
        : stay(life)
    case "ChatTold":
      return RunEvent.onChat(rules, life, stage, input.event, nowMs)
    case "AgentTold":
      return RunEvent.onAgent(life, stage, input.phase)
    case "WholeFetched":
      return stage._tag !== "Waiting" && stage.activity._tag === "Fetching"
        ? GatewayAnswer.onWholeFetched(rules, life, stage, input.whole, nowMs)
        : stay(life)
    case "Misaddressed":
      return Misaddressed.hear(life, stage, input, nowMs)
    case "OtherRunEnded":
      return stage._tag === "Answered" && stage.merged ? onNews(life, stage, nowMs) : stay(life)
    case "AbortAnswered":
      return stage._tag === "Waiting" ? stay(life) : GatewayAnswer.onAbortAnswered(life, stage, input.answer)
    default:
      return stay(life)
  }
}
