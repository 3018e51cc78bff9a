/**
 * The end of a task, and what its run does after it. A run that outlived its task keeps the session busy, may be stopped, and
 * may still answer; nothing of that changes how the task ended.
 */
import * as Result from "effect/Result"
import type { RequestError } from "../connection/RequestError.ts"
import type { ChatEvent } from "./ChatEvent.ts"
import type { TaskEvent, TaskOutcome } from "./Task.ts"
import { truncation } from "./Task.ts"
import type {
  AbortError,
  Action,
  Activity,
  Ended,
  Input,
  LateReply,
  OpenStage,
  Rules,
  RunAfterEnd,
  Stepped,
  Stop,
  Subject,
  TaskLife,
  Timer
} from "./TaskLife.ts"

/** How long until the gateway is asked again to stop a run. */
export const stopAgainMs = 5000

/** Ends an open task. With `runOver` nothing of its run is at work any more. */
export const end = (
  rules: Rules,
  life: TaskLife,
  stage: OpenStage,
  outcome: TaskOutcome,
  runOver = false
): Stepped => {
  const run = runAfter(rules, life, stage, outcome, runOver)
  return [
    { ...life, timed: false, stage: { _tag: "Ended", outcome, run, lateReply: undefined } },
    [
      ...release(life, stage),
      ...claim(life, stage, outcome),
      ...(run._tag === "Over" ? [{ _tag: "Unlisten" } as const] : []),
      { _tag: "Publish", event: endEvent(life.subject, outcome) },
      { _tag: "Forget", ended: outcome._tag },
      ...(run._tag === "Holding" ? hold(rules, stage, run.stop) : [{ _tag: "LeaveLane" } as const])
    ]
  ]
}

/** Whether the run of a task with this outcome may be at work, and may answer. */
const mayRun = (outcome: TaskOutcome): boolean =>
  outcome._tag === "Unknown" || (outcome._tag === "Expired" && outcome.sent)

const isAborting = (stage: OpenStage): boolean => "abort" in stage && stage.abort === "Asked"

const runAfter = (
  rules: Rules,
  life: TaskLife,
  stage: OpenStage,
  outcome: TaskOutcome,
  runOver: boolean
): RunAfterEnd => {
  if (!mayRun(outcome)) return { _tag: "Over" }
  const asked = isAborting(stage)
  if (runOver) return { _tag: "Listening", stopped: true, asked }
  const stop: Stop = asked || (rules.abortExpired && life.linked) ? "Asked" : rules.abortExpired ? "Due" : "NotWanted"
  return { _tag: "Holding", stop }
}

/** Whether a request other than an abort is under way. */
export const isRequest = (activity: Activity["_tag"]): boolean =>
  activity === "Sending" || activity === "ReadingHistory" || activity === "Asking" || activity === "Fetching"

/** Ends what is under way for an open task, but not a request to abort: its answer is owed to callers. */
const release = ({ timed }: TaskLife, stage: OpenStage): ReadonlyArray<Action> => {
  const activity = "activity" in stage ? stage.activity._tag : undefined
  const timers: ReadonlyArray<Timer> = [
    ...(timed ? ["deadline" as const] : []),
    ...(activity === "Paused" ? ["pause" as const] : []),
    ...(stage._tag === "Failing" ? ["secondError" as const] : [])
  ]
  return [
    ...(activity !== undefined && isRequest(activity) ? [{ _tag: "Cancel" } as const] : []),
    ...timers.map((timer) => ({ _tag: "Disarm" as const, timer }))
  ]
}

/** The reply of a task's own run answers no other task. */
const claim = ({ subject }: TaskLife, stage: OpenStage, outcome: TaskOutcome): ReadonlyArray<Action> =>
  outcome._tag === "Completed" && stage._tag === "Answered" && !stage.merged
    ? [{ _tag: "Claim", runId: stage.answeredRunId ?? subject.runId }]
    : []

const hold = ({ timeoutMs }: Rules, stage: OpenStage, stop: Stop): ReadonlyArray<Action> => [
  { _tag: "Arm", timer: "hold", ms: timeoutMs },
  ...(stop === "Asked" && !isAborting(stage) ? [{ _tag: "Abort" } as const] : [])
]

const nothing: ReadonlyArray<Action> = []

/** What happens to a task that has ended. Its outcome stays. */
export const step = (rules: Rules, life: TaskLife, stage: Ended, input: Input): Stepped => {
  switch (input._tag) {
    case "LinkUp":
      return stage.run._tag === "Holding" && stage.run.stop === "Due"
        ? stopDue({ ...life, linked: true }, stage)
        : [{ ...life, linked: true }, nothing]
    case "LinkLost":
      return onLinkLost({ ...life, linked: false }, stage)
    case "ChatTold":
      return onChat(life, stage, input.event)
    case "TimerDue":
      return onTimer(life, stage, input.timer)
    case "AbortWanted":
      return onAbortWanted(life, stage)
    case "AbortAnswered":
      return onAbortAnswered(rules, life, stage, input.answer)
    default:
      return [life, nothing]
  }
}

const withRun = (life: TaskLife, stage: Ended, run: RunAfterEnd): TaskLife => ({ ...life, stage: { ...stage, run } })

const withStop = (life: TaskLife, stage: Ended, stop: Stop): TaskLife => withRun(life, stage, { _tag: "Holding", stop })

const stopDue = (life: TaskLife, stage: Ended): Stepped =>
  life.linked
    ? [withStop(life, stage, "Asked"), [{ _tag: "Abort" }]]
    : [withStop(life, stage, "Due"), nothing]

const onLinkLost = (life: TaskLife, stage: Ended): Stepped =>
  stage.run._tag === "Holding" && stage.run.stop === "Paused"
    ? [withStop(life, stage, "Due"), [{ _tag: "Disarm", timer: "pause" }]]
    : [life, nothing]

/** The run tells its own end, once. */
const onChat = (life: TaskLife, stage: Ended, event: ChatEvent): Stepped => {
  if (stage.run._tag === "Over" || event._tag === "Status" || event._tag === "Delta") return [life, nothing]
  const lateReply: LateReply | undefined = event._tag === "Final"
    ? { text: event.text, atMs: event.atMs, ...truncation({ truncated: event.shortened }) }
    : undefined
  return [
    { ...life, stage: { ...stage, run: { _tag: "Over" }, lateReply } },
    [
      { _tag: "Unlisten" },
      ...(lateReply === undefined ? [] : [{ _tag: "Publish" as const, event: lateEvent(life.subject, lateReply) }]),
      ...leaveLane(stage)
    ]
  ]
}

const leaveLane = ({ run }: Ended): ReadonlyArray<Action> =>
  run._tag !== "Holding" ? nothing : [
    { _tag: "Disarm", timer: "hold" },
    ...(run.stop === "Paused" ? [{ _tag: "Disarm", timer: "pause" } as const] : []),
    { _tag: "LeaveLane" }
  ]

const onTimer = (life: TaskLife, stage: Ended, timer: Timer): Stepped => {
  const { run } = stage
  if (run._tag !== "Holding") return [life, nothing]
  if (timer === "hold") {
    const listening: RunAfterEnd = { _tag: "Listening", stopped: false, asked: run.stop === "Asked" }
    return [withRun(life, stage, listening), leaveLane(stage)]
  }
  return timer === "pause" && run.stop === "Paused" ? stopDue(life, stage) : [life, nothing]
}

const isAsked = (run: RunAfterEnd): boolean =>
  run._tag === "Holding" ? run.stop === "Asked" : run._tag === "Listening" && run.asked

const answer = (stopped: boolean): Action => ({ _tag: "AnswerAbort", answer: Result.succeed(stopped) })

const onAbortWanted = (life: TaskLife, stage: Ended): Stepped => {
  const { run } = stage
  if (run._tag === "Over" || (run._tag === "Listening" && run.stopped)) return [life, [answer(false)]]
  // The answer to the request under way is for all callers.
  if (isAsked(run)) return [life, nothing]
  if (!life.linked) return [life, [answer(false)]]
  return run._tag === "Holding"
    ? [withStop(life, stage, "Asked"), [
      ...(run.stop === "Paused" ? [{ _tag: "Disarm", timer: "pause" } as const] : []),
      { _tag: "Abort" }
    ]]
    : [withRun(life, stage, { ...run, asked: true }), [{ _tag: "Abort" }]]
}

const onAbortAnswered = (
  rules: Rules,
  life: TaskLife,
  stage: Ended,
  answered: Result.Result<boolean, RequestError>
): Stepped => {
  const { run } = stage
  const told: Action = { _tag: "AnswerAbort", answer: answerToCaller(answered) }
  if (run._tag === "Over" || !isAsked(run)) return [life, [told]]
  const stopped = Result.isSuccess(answered) && answered.success
  if (run._tag === "Listening") {
    return [withRun(life, stage, { ...run, asked: false, stopped: run.stopped || stopped }), [told]]
  }
  if (stopped || (rules.abortExpired && Result.isSuccess(answered))) {
    return [withRun(life, stage, { _tag: "Listening", stopped: true, asked: false }), [told, ...leaveLane(stage)]]
  }
  if (!rules.abortExpired) return [withStop(life, stage, "NotWanted"), [told]]
  return life.linked
    ? [withStop(life, stage, "Paused"), [told, { _tag: "Arm", timer: "pause", ms: stopAgainMs }]]
    : [withStop(life, stage, "Due"), [told]]
}

/** Lost requests stopped nothing, as far as is known. */
const answerToCaller = (answered: Result.Result<boolean, RequestError>): Result.Result<boolean, AbortError> => {
  if (Result.isSuccess(answered)) return Result.succeed(answered.success)
  const error = answered.failure
  return error._tag === "LinkError" || error._tag === "RequestTimeout" ? Result.succeed(false) : Result.fail(error)
}

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
