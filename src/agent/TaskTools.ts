/**
 * Delegation as tools for a model: `claw_task_delegate`, `claw_task_status`, `claw_task_abort`.
 *
 * Every answer comes within 200 ms, link or no link; none waits for OpenClaw's reply. It says how the task stands and what has to
 * happen for it to go on, so that the model can tell its user, and it names the task. What is refused is an answer as well.
 */
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { taskAdvice } from "../advice/TaskAdvice.ts"
import type { Approval, ConnectionStatus } from "../connection/ConnectionStatus.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import { ApproveCommands } from "../pairing/ApproveCommand.ts"
import { field, lengths, redact } from "../protocol/OutsideText.ts"
import type { QueuedReason, Task, TaskEvent } from "../tasks/Task.ts"
import { isEnd, TaskId } from "../tasks/Task.ts"
import * as TaskFollowUp from "../tasks/TaskFollowUp.ts"
import { TaskRunner } from "../tasks/TaskRunner.ts"
import { queuedWords } from "../tasks/TaskWords.ts"
import { failure } from "./AgentEvents.ts"

/** How a task stands. `message` is for the model and its user; it names the task. */
export const TaskAnswer = Schema.Struct({
  task_id: Schema.String,
  status: Schema.Literals(["queued", "sent", "running", "completed", "failed", "aborted", "expired", "unknown"]),
  message: Schema.String
})
export type TaskAnswer = typeof TaskAnswer.Type

/** Nothing was done. */
export const TaskRefusal = Schema.Struct({
  status: Schema.Literal("refused"),
  /** `NotFound`, or the class of the failure and, for `TaskRefused`, its reason behind a dot: `TaskRefused.TooLarge`. */
  reason: Schema.String,
  message: Schema.String
})
export type TaskRefusal = typeof TaskRefusal.Type

const task_id = TaskId.annotate({ description: "The task_id that claw_task_delegate answered." })

/** `claw_task_delegate`: hands a task over and answers with its id, without waiting for the result. */
export const Delegate = Tool.make("claw_task_delegate", {
  description:
    "Delegate a task to OpenClaw, an agent with tools and memory of its own. Answers at once with a task_id and with what has "
    + "to happen, if anything, before the task is sent; the result comes later. Delegate a task once: one that is kept is sent "
    + "by itself.",
  parameters: Schema.Struct({
    summary: Schema.String.annotate({
      description: "The whole task in words. OpenClaw sees nothing else of this conversation."
    })
  }),
  success: TaskAnswer,
  failure: TaskRefusal,
  failureMode: "return"
}).annotate(Tool.Title, "Delegate a task to OpenClaw").annotate(Tool.Destructive, false)

/** `claw_task_status`: the state of a task by its id, with the result when it has ended. */
export const Status = Tool.make("claw_task_status", {
  description: "How a task delegated to OpenClaw stands, and its result when it has ended.",
  parameters: Schema.Struct({ task_id }),
  success: TaskAnswer,
  failure: TaskRefusal,
  failureMode: "return"
}).annotate(Tool.Title, "How a delegated task stands").annotate(Tool.Readonly, true).annotate(Tool.Destructive, false)

/** `claw_task_abort`: asks the gateway to stop a task. What the task has done stays done. */
export const Abort = Tool.make("claw_task_abort", {
  description: "Stop a task that was delegated to OpenClaw. What it has done until then stays done.",
  parameters: Schema.Struct({ task_id }),
  success: TaskAnswer,
  failure: TaskRefusal,
  failureMode: "return"
}).annotate(Tool.Title, "Abort a delegated task").annotate(Tool.Idempotent, true)

/** The three tools as a toolkit of `effect/ai`. `layer` gives their handlers, which need the services of an agent. */
export const TaskTools = Toolkit.make(Delegate, Status, Abort)

/** How long an answer may wait for what the gateway has to say. */
const patienceMs = 80
/** How often an approval is asked for when somebody waits. Calls do not make it more often. */
const attendedCheckMs = 3000
const keptLate = 50

const make = Effect.gen(function*() {
  const runner = yield* TaskRunner
  const supervisor = yield* Supervisor
  const commands = yield* ApproveCommands
  const scope = yield* Scope.Scope

  /** Answers that came after the end of their task. The runner keeps listing the task by its end. */
  const late = new Map<TaskId, TaskEvent>()
  yield* runner.events.pipe(
    Stream.runForEach((event) =>
      Effect.sync(() => {
        if (event._tag !== "Replied" || !event.late) return
        late.set(event.taskId, event)
        for (const taskId of late.keys()) if (late.size > keptLate) late.delete(taskId)
      })
    ),
    Effect.ignoreCause({ log: "Error", message: "late answers no longer followed" }),
    Effect.forkScoped({ startImmediately: true })
  )

  // A task may be looked at after the session whose gateway told its end.
  let secrets: ReadonlyArray<Redacted.Redacted> = []
  yield* supervisor.changes.pipe(
    Stream.runForEach(({ status }) =>
      Effect.sync(() => {
        if (status._tag === "Connected" && status.session.secrets !== undefined) secrets = status.session.secrets
      })
    ),
    Effect.ignoreCause({ log: "Error", message: "the connection is no longer followed" }),
    Effect.forkScoped({ startImmediately: true })
  )
  const clean = (told: TaskAnswer): TaskAnswer => ({ ...told, message: redact(told.message, secrets) })

  const taskOf = (taskId: TaskId) => Effect.mapError(runner.get(taskId), () => notFound(taskId))

  /** Asks the gateway again, as a person waits behind the model. Not after a refusal: asking again would not change it. */
  const nudge = (status: ConnectionStatus, nowMs: number) =>
    (status._tag === "AwaitingApproval" && !status.checking && status.nextCheckAtMs > nowMs + attendedCheckMs)
      || (status._tag === "Halted" && status.cause._tag === "ApprovalTimedOut")
      ? supervisor.checkNow
      : Effect.void

  /** The status, or the next one when a connection is being made: that mostly takes a moment. */
  const settled = Effect.gen(function*() {
    const status = yield* supervisor.status
    if (status._tag !== "Connecting") return status
    const next = yield* supervisor.changes.pipe(
      Stream.map((change) => change.status),
      Stream.filter(({ _tag }) => _tag !== "Connecting"),
      Stream.runHead,
      Effect.timeoutOption(patienceMs)
    )
    return Option.getOrElse(Option.flatten(next), () => status)
  })

  const kept = Effect.fnUntraced(function*(taskId: TaskId, reason: QueuedReason | undefined) {
    const status = yield* settled
    const nowMs = yield* Clock.currentTimeMillis
    if (reason !== "OtherGateway") yield* nudge(status, nowMs)
    const because = reason === "Busy" || reason === "OtherGateway" || reason === "Suspended"
      ? queuedWords[reason]
      : why(status, commands, nowMs)
    return answer(
      taskId,
      "queued",
      `Task ${taskId} is kept${reason === "OtherGateway" ? "" : " and not sent yet"}. ${because}`
    )
  })

  const describe = Effect.fnUntraced(function*(task: Task) {
    const { state, taskId } = task
    switch (state._tag) {
      case "Queued":
        return yield* kept(taskId, state.reason)
      case "Sent":
        return answer(taskId, "sent", `Task ${taskId} is with OpenClaw. ${later}`)
      case "Running":
        return clean(answer(
          taskId,
          "running",
          `OpenClaw works on task ${taskId} (${field(state.phase, { maxLength: lengths.phase })}). ${later}`
        ))
      default:
        return clean(ended(task, late.get(taskId)))
    }
  })

  return TaskTools.of({
    claw_task_delegate: Effect.fn("TaskTools.delegate")(function*({ summary }) {
      const { queued, taskId } = yield* Effect.mapError(
        runner.delegate(summary),
        (error) => {
          const { action, next } = taskAdvice.TaskRefused[error.reason]
          return refusal(`TaskRefused.${error.reason}`, `${error.message}. ${action} ${next}`)
        }
      )
      return queued === undefined
        ? answer(taskId, "sent", `Task ${taskId} was sent to OpenClaw. ${later}`)
        : yield* kept(taskId, queued)
    }),
    claw_task_status: Effect.fn("TaskTools.status")(function*({ task_id }) {
      return yield* describe(yield* taskOf(task_id))
    }),
    claw_task_abort: Effect.fn("TaskTools.abort")(function*({ task_id }) {
      const { state } = yield* taskOf(task_id)
      // The gateway may take its time, and the answer may not.
      const asking = yield* Effect.forkIn(Effect.result(runner.abort(task_id)), scope)
      const asked = yield* Effect.timeoutOption(Fiber.join(asking), patienceMs)
      if (Option.isSome(asked) && Result.isFailure(asked.value)) {
        const error = asked.value.failure
        return yield* Effect.fail(refusal(error._tag, `Task ${task_id} could not be aborted: ${error.message}`))
      }
      const now = yield* taskOf(task_id)
      const described = yield* describe(now)
      const stopped = Option.isSome(asked) && Result.isSuccess(asked.value) && asked.value.success
      if (isEnd(state)) {
        const first = stopped
          ? "It had ended already; OpenClaw, still at work on it, was stopped."
          : "It had ended already."
        return { ...described, message: `${first}\n${described.message}` }
      }
      if (isEnd(now.state)) return described
      const message = Option.isSome(asked) && Result.isSuccess(asked.value) && !asked.value.success
        ? `OpenClaw says that nothing of task ${task_id} runs, so there was nothing to stop. ${later}`
        : `OpenClaw was asked, or is asked with the next connection, to stop task ${task_id}. ${later}`
      return { ...described, message }
    })
  })
})

/** The handlers. A summary goes to the runner's own session. */
export const layer: Layer.Layer<
  Tool.HandlersFor<Toolkit.Tools<typeof TaskTools>>,
  never,
  TaskRunner | Supervisor | ApproveCommands
> = TaskTools.toLayer(make)

const later = "The result comes later; claw_task_status tells how it stands."

const answer = (taskId: TaskId, status: TaskAnswer["status"], message: string): TaskAnswer => ({
  task_id: taskId,
  status,
  message
})

const refusal = (reason: string, message: string): TaskRefusal => ({ status: "refused", reason, message })

const notFound = (taskId: TaskId): TaskRefusal =>
  refusal("NotFound", `There is no task ${field(taskId, { maxLength: 40 })}, or it ended long ago.`)

const outcomes = {
  Queued: "queued",
  Sent: "sent",
  Running: "running",
  Completed: "completed",
  Failed: "failed",
  Aborted: "aborted",
  Expired: "expired",
  Unknown: "unknown"
} as const

const ended = (task: Task, lateAnswer: TaskEvent | undefined): TaskAnswer => {
  const finished = (lateAnswer === undefined ? undefined : TaskFollowUp.fromEvent(task, lateAnswer))
    ?? TaskFollowUp.fromTask(task)
  const status = finished?.outcome._tag ?? task.state._tag
  return answer(task.taskId, outcomes[status], finished === undefined ? "" : TaskFollowUp.text(finished))
}

const bySelf = "The task is then sent by itself."

/** Why nothing can be sent, and what ends that, as sentences. */
const why = (status: ConnectionStatus, commands: ApproveCommands["Service"], nowMs: number): string => {
  switch (status._tag) {
    case "AwaitingApproval":
      return approve(status.approval, commands)
    case "Waiting": {
      if (status.approval !== undefined) return approve(status.approval, commands)
      const seconds = Math.max(0, Math.ceil((status.retryAtMs - nowMs) / 1000))
      const { advice, message } = failure(status.cause)
      return [
        `There is no connection to the gateway: ${message}.`,
        ...(advice === undefined ? [] : [advice]),
        `The next try is in ${seconds} seconds. ${bySelf}`
      ].join(" ")
    }
    case "Halted":
      return halted(status, commands)
    case "Paused":
      return `The connection is paused, and somebody has to resume it. ${bySelf}`
    case "Connecting":
      return `The connection to the gateway is being made. ${bySelf}`
    case "Connected":
      return "It is sent now."
    case "Stopped":
      return taskAdvice.TaskRefused.Stopped.problem
  }
}

const approve = (approval: Approval, { approve, list, note }: ApproveCommands["Service"]): string =>
  [
    "A person has to approve this device on the gateway, once. That is not for you to do.",
    approval.requestId === undefined
      ? `Tell the user to list what waits there: ${list.text}`
      : `Tell the user that request ${approval.requestId} waits there, and the command that approves it: ${
        approve(approval.requestId).text
      }`,
    ...(note === undefined ? [] : [note]),
    bySelf
  ].join("\n")

const halted = (
  { approval, cause }: Extract<ConnectionStatus, { readonly _tag: "Halted" }>,
  commands: ApproveCommands["Service"]
): string => {
  const { advice, message, next } = failure(cause)
  if (cause._tag === "ApprovalTimedOut") {
    return `The wait for approval had been given up: ${message}. The gateway is asked again now; claw_task_status tells the new request in a moment.`
  }
  return [
    `The connection to the gateway has been given up: ${message}.`,
    ...(advice === undefined ? [] : [advice]),
    ...(approval === undefined || cause._tag !== "PairingRequired" ? [] : [approve(approval, commands)]),
    ...(next === undefined ? [] : [next])
  ].join("\n")
}
