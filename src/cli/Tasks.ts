/**
 * `tasks`: what is open in the journal of a state directory, whether the program that took it runs or not.
 *
 * Only the program that owns a task sends and ends it. So `abort` asks that program. If it is gone, this program takes the task
 * over, finds out what became of it, and ends it.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { Supervisor } from "../connection/Supervisor.ts"
import { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import { isoTime } from "../protocol/AgentEvent.ts"
import { field, lengths, reply } from "../protocol/OutsideText.ts"
import type { RunId } from "../tasks/Task.ts"
import type { AbortAnswer, JournalRecord } from "../tasks/TaskJournal.ts"
import { TaskJournal } from "../tasks/TaskJournal.ts"
import { TaskRunner } from "../tasks/TaskRunner.ts"
import { agent, chosenGateway, ownIdentity, settled, withSettings } from "./AgentLayer.ts"
import { as, CommandFailed, orSettings } from "./CommandError.ts"
import { Processes } from "./Invocation.ts"
import type { Output } from "./Output.ts"
import type { Settings } from "./Settings.ts"
import { stored } from "./Stored.ts"

const journal = (checked: Settings, only?: RunId) =>
  Layer.unwrap(Effect.gen(function*() {
    const directory = (yield* stored(checked)).tasks
    return TaskJournal.layerFile({ directory, processes: yield* Processes, only })
  }))

const withTasks = (
  body: (tasks: ReadonlyArray<JournalRecord>, output: Output["Service"]) => Effect.Effect<void, CommandFailed>
) =>
  withSettings(Effect.fnUntraced(function*(checked, output) {
    const tasks = yield* Effect.flatMap(TaskJournal, ({ read }) => read).pipe(
      Effect.provide(journal(checked)),
      Effect.mapError(orSettings)
    )
    yield* body(tasks, output)
  }))

/** A name from the journal, which is a file. */
const name = (text: string): string => field(text, { maxLength: lengths.name })

const findTask = (tasks: ReadonlyArray<JournalRecord>, taskId: string): Effect.Effect<JournalRecord, CommandFailed> => {
  const task = tasks.find((task) => task.taskId === taskId)
  return task !== undefined ? Effect.succeed(task) : Effect.fail(
    new CommandFailed({
      exit: "failed",
      error: "TaskNotFound",
      problem: `no task ${name(taskId)} is open: it has ended, or was never here; \`tasks list\` shows those that are`
    })
  )
}

/**
 * One task as JSON. Times are this machine's; `sentAt` is when it was first about to be sent; `pid` is the process that owns it,
 * absent when no living process does.
 */
const asJson = (task: JournalRecord): string => {
  const { abortRequested, acceptedAtMs, deviceId, gatewayScope, ownerPid, runId, sentAtMs } = task
  const { sessionKey, summary, taskId } = task
  return JSON.stringify({
    taskId,
    runId,
    ...(deviceId === undefined ? {} : { deviceId }),
    gateway: gatewayScope,
    sessionKey,
    summary,
    acceptedAt: isoTime(acceptedAtMs),
    ...(sentAtMs === undefined ? {} : { sentAt: isoTime(sentAtMs) }),
    ...(ownerPid === undefined ? {} : { pid: ownerPid }),
    ...(abortRequested === true ? { abortRequested } : {})
  })
}

const list = Command.make("list", {}, () =>
  withTasks(Effect.fnUntraced(function*(tasks, output) {
    if (tasks.length === 0 && !output.json) return yield* output.line("No task is open.")
    for (const task of tasks) {
      yield* output.line(
        output.json
          ? asJson(task)
          : `${name(task.taskId)}  ${task.sentAtMs === undefined ? "kept" : "sent"}  ${isoTime(task.acceptedAtMs)}  ${
            field(task.summary)
          }`
      )
    }
  }))).pipe(
    Command.withDescription("List the tasks that are open: kept until they can be sent, or sent and not answered"),
    Command.withExamples([{ command: "openclaw-device tasks list", description: "What is open on this machine" }])
  )

const show = Command.make("show", {
  taskId: Argument.String("task-id").pipe(Argument.withDescription("The id that `delegate` and `tasks list` show"))
}, ({ taskId }) =>
  withTasks(Effect.fnUntraced(function*(tasks, output) {
    const task = yield* findTask(tasks, taskId)
    if (output.json) return yield* output.line(asJson(task))
    yield* output.line(`task      ${name(task.taskId)}`)
    yield* output.line(`state     ${task.sentAtMs === undefined ? "kept" : `sent at ${isoTime(task.sentAtMs)}`}`)
    if (task.abortRequested === true) yield* output.line("abort     asked for")
    yield* output.line(
      `at work   ${task.ownerPid === undefined ? "nowhere; the next program takes it up" : `process ${task.ownerPid}`}`
    )
    yield* output.line(`taken at  ${isoTime(task.acceptedAtMs)}`)
    yield* output.line(`gateway   ${field(task.gatewayScope)}`)
    yield* output.line(`session   ${field(task.sessionKey)}`)
    yield* output.line(`run       ${name(task.runId)}`)
    yield* output.line(`what      ${field(task.summary)}`)
  }))).pipe(
    Command.withDescription("Show one open task"),
    Command.withExamples([{
      command: "openclaw-device tasks show 1a2b3c4d",
      description: "Where it is and since when"
    }])
  )

/** How long to wait for the outcome of an abort. */
const patience = "10 seconds"

/** The outcome of an abort, and the reply if the task had ended with one that nobody was shown. */
interface AbortOutcome {
  readonly how: AbortAnswer
  readonly text?: string
}

/** Waits for the answer of the program that owns the task. */
const ownerAnswer = Effect.fnUntraced(function*({ runId }: JournalRecord) {
  const { abortAnswer } = yield* TaskJournal
  const answer = yield* Effect.mapError(abortAnswer(runId), as("settings")).pipe(
    Effect.repeat({ schedule: Schedule.spaced("200 millis"), until: Option.isSome }),
    Effect.timeoutOption(patience)
  )
  return Option.map(Option.flatten(answer), (how): AbortOutcome => ({ how }))
})

/** Removes a task that was never sent. No gateway has to be asked. */
const forget = (checked: Settings, { gatewayScope, runId }: JournalRecord) =>
  Effect.gen(function*() {
    const { remove, claim } = yield* TaskJournal
    const taken = yield* claim(gatewayScope)
    if (taken.length === 0) return Option.none<AbortOutcome>()
    yield* remove(runId, "Aborted")
    return Option.some<AbortOutcome>({ how: "Aborted" })
  }).pipe(Effect.provide(journal(checked, runId)), Effect.mapError(orSettings))

/** Takes over a task without an owner until it ends; none when that takes too long. */
const takeOver = Effect.fnUntraced(function*(checked: Settings, task: JournalRecord) {
  const { commands, gateway } = yield* chosenGateway(checked, "sharedToken")
  const { gatewayScope, runId, taskId } = task
  if (gateway.endpoint.gatewayScope !== gatewayScope) {
    return yield* new CommandFailed({
      exit: "settings",
      error: "OtherGateway",
      problem: `task ${name(taskId)} is for the gateway at ${field(gatewayScope)}; name it with --gateway-url`
    })
  }
  const { abortAnswer, requestAbort } = yield* TaskJournal
  const outcome = yield* Effect.gen(function*() {
    const { deviceId } = yield* DeviceIdentity
    if (task.deviceId !== undefined && task.deviceId !== deviceId) {
      return yield* new CommandFailed({
        exit: "settings",
        error: "OtherDevice",
        problem: `task ${name(taskId)} was delegated under another identity than the one in this state directory`
      })
    }
    yield* Effect.mapError(requestAbort(runId), as("settings"))
    return yield* Effect.gen(function*() {
      const tasks = yield* TaskRunner
      const noLink = Effect.flatMap(
        settled(yield* Supervisor),
        ({ _tag }) => _tag === "Connected" ? Effect.never : Effect.succeedNone
      )
      return yield* Effect.raceFirst(Effect.timeoutOption(tasks.await(taskId), patience), noLink)
    }).pipe(
      Effect.provide(agent(checked, gateway, { embedded: false, commands, keepTasks: true, only: runId }))
    )
  }).pipe(Effect.provide(ownIdentity(checked)))
  yield* Effect.ignore(abortAnswer(runId))
  return Option.map(outcome, (end): AbortOutcome => ({ how: end._tag, ..."text" in end ? { text: end.text } : {} }))
})

const abort = Command.make("abort", {
  taskId: Argument.String("task-id").pipe(Argument.withDescription("The id that `delegate` and `tasks list` show"))
}, ({ taskId }) =>
  withSettings((checked, output) =>
    Effect.gen(function*() {
      const shared = yield* TaskJournal
      const task = yield* findTask(yield* Effect.mapError(shared.read, as("settings")), taskId)
      const { ownerPid } = task
      const ask = Effect.andThen(Effect.mapError(shared.requestAbort(task.runId), as("settings")), ownerAnswer(task))
      const went = ownerPid !== undefined
        ? yield* ask
        : task.sentAtMs === undefined
        ? yield* forget(checked, task)
        // Another program may have taken it over first; then that one answers.
        : yield* Effect.catchTag(takeOver(checked, task), "TaskNotFound", () => ownerAnswer(task))
      if (Option.isNone(went)) {
        return yield* new CommandFailed({
          exit: "pairing",
          error: "AbortPending",
          problem: `it is not known yet whether task ${
            name(taskId)
          } could be aborted. The request stays beside the task: ${
            ownerPid === undefined
              ? "the next `run`, `delegate` or `mcp` of this state directory carries it out when it is connected"
              : `process ${ownerPid}, which has the task at work, carries it out when it is connected`
          }`
        })
      }
      yield* output.line(output.json ? abortedJson(task, went.value) : abortedText(task, went.value))
    }).pipe(Effect.provide(journal(checked)))
  )).pipe(
    Command.withDescription("Abort an open task, whichever program has it"),
    Command.withExamples([{
      command: "openclaw-device tasks abort 1a2b3c4d",
      description: "Stop it at the gateway, and forget it here"
    }])
  )

/** `result` is `aborted`, or `over` when it had ended before; `text` is the reply that nobody else was told. */
const abortedJson = ({ runId, taskId }: JournalRecord, { how, text }: AbortOutcome): string =>
  JSON.stringify({
    taskId,
    runId,
    result: how === "Aborted" ? "aborted" : "over",
    ended: how,
    ...(text === undefined ? {} : { text })
  })

const abortedText = ({ taskId }: JournalRecord, { how, text }: AbortOutcome): string =>
  how === "Aborted"
    ? `task ${name(taskId)} is aborted`
    : [`task ${name(taskId)} had ended already: ${how.toLowerCase()}`, ...(text === undefined ? [] : [reply(text)])]
      .join(
        "\n"
      )

export const tasks = Command.make("tasks").pipe(
  Command.withDescription("The tasks that are open on this machine"),
  Command.withExamples([{ command: "openclaw-device tasks list", description: "What is open" }]),
  Command.withSubcommands([list, show, abort])
)
