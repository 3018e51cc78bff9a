/**
 * `delegate`: one task, its events, its reply.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { AgentEvents } from "../agent/AgentEvents.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import type { AgentEvent } from "../protocol/AgentEvent.ts"
import { printable } from "../protocol/Refusal.ts"
import { TaskRunner } from "../tasks/TaskRunner.ts"
import { agent, chosenGateway, ownIdentity, settings } from "./AgentLayer.ts"
import type { ExitCode } from "./CommandError.ts"
import { as, CommandFailed, exitOf } from "./CommandError.ts"
import { Output, told } from "./Output.ts"
import { onRoot, session } from "./Root.ts"
import { taskTime } from "./Settings.ts"

export const delegate = Command.make("delegate", {
  task: Argument.String("task").pipe(
    Argument.withDescription("What to do, in words; without it, all of standard input"),
    Argument.optional
  ),
  session: session("The conversation it goes to"),
  timeout: Flag.String("timeout").pipe(
    Flag.withDescription('How long the task may take once it can be sent, such as "5 minutes"'),
    Flag.filterMap(taskTime.parse, () => `a time from ${taskTime.least} to ${taskTime.most}, written like "5 minutes"`),
    Flag.optional
  ),
  wait: Flag.Boolean("wait").pipe(
    Flag.withDescription("Wait for approval and for a gateway that is not there, instead of giving up"),
    Flag.withDefault(false)
  )
}, ({ session, task, timeout, wait }) =>
  onRoot(Effect.fnUntraced(function*(flags, output) {
    const summary = Option.isSome(task) ? task.value : yield* piped
    const usual = yield* settings({ ...flags, session })
    const checked = { ...usual, taskTimeout: Option.getOrElse(timeout, () => usual.taskTimeout) }
    const { commands, gateway } = yield* chosenGateway(checked, "sharedToken")
    yield* Effect.gen(function*() {
      const events = yield* AgentEvents
      const tasks = yield* TaskRunner
      const supervisor = yield* Supervisor
      if (wait) yield* supervisor.attend
      const done = yield* Deferred.make<void, CommandFailed>()
      let taskId = ""
      let doing = "connecting"
      const follow = (event: AgentEvent) =>
        Effect.andThen(
          output.event(event),
          Effect.suspend(() => {
            doing = underWay(event) ?? doing
            const end = ending(event, taskId, wait)
            return end === undefined ? Effect.void : Deferred.done(done, end)
          })
        )
      yield* Effect.forkScoped(Effect.ignoreCause(Stream.runForEach(events.events, follow), { log: "Error" }))
      const receipt = yield* Effect.mapError(tasks.delegate(summary), as("usage"))
      taskId = receipt.taskId
      if (output.terminal) yield* Effect.forkScoped(Effect.ignoreCause(progress(() => doing), { log: "Error" }))
      yield* Effect.ensuring(Deferred.await(done), output.live(""))
    }).pipe(
      Effect.scoped,
      Effect.provide(
        agent(checked, gateway, { embedded: false, commands }).pipe(Layer.provide(ownIdentity(checked)))
      )
    )
  }))).pipe(
    Command.withDescription("Delegate one task and print its reply"),
    Command.withExamples([
      {
        command: 'openclaw-device delegate "summarise my inbox" --wait',
        description: "Wait for approval if it is needed, then for the reply"
      },
      {
        command: 'openclaw-device delegate --timeout "10 minutes" < task.txt',
        description: "A longer task from a file, with more time"
      }
    ])
  )

/** More than any task may have; the runner says how much that is. */
const maxPipedBytes = 1024 * 1024

/** The task as it is piped in. A terminal is not waited for: nothing says there that it should be typed. */
const piped = Effect.gen(function*() {
  const stdio = yield* Stdio.Stdio
  if (yield* stdio.stdinIsTerminal) {
    return yield* new CommandFailed({
      exit: "usage",
      error: "TaskMissing",
      problem: "there is no task: give it as an argument, or pipe it in"
    })
  }
  let bytes = 0
  return yield* stdio.stdin.pipe(
    Stream.takeUntil((chunk) => (bytes += chunk.length) > maxPipedBytes),
    Stream.decodeText,
    Stream.mkString,
    Effect.mapError((error) =>
      new CommandFailed({
        exit: "failed",
        error: error._tag,
        problem: `standard input cannot be read: ${error.message}`
      })
    )
  )
})

/** What is waited for after an event, where it says so. */
const underWay = (event: AgentEvent): string | undefined => {
  switch (event.event) {
    case "connecting":
      return "connecting"
    case "waiting":
      return "waiting for the gateway"
    case "pairing.required":
    case "pairing.superseded":
      return event.connected === true ? undefined : "waiting for approval"
    case "task.sent":
      return "sent"
    case "task.phase":
      return printable(event.phase)
    default:
      return undefined
  }
}

/** A live line, second by second, for as long as it runs. */
const progress = Effect.fnUntraced(function*(doing: () => string) {
  const output = yield* Output
  const startedAtMs = yield* Clock.currentTimeMillis
  yield* Stream.runForEach(
    Stream.tick("1 second"),
    () =>
      Effect.flatMap(
        Clock.currentTimeMillis,
        (nowMs) => output.live(`${doing()}, ${Math.floor((nowMs - startedAtMs) / 1000)} s`)
      )
  )
})

/** Whether an event ends the command, and how. */
const ending = (event: AgentEvent, taskId: string, wait: boolean): Exit.Exit<void, CommandFailed> | undefined => {
  const fail = (exit: ExitCode, error: string, problem: string) =>
    Exit.fail(new CommandFailed({ exit, error, problem }))
  switch (event.event) {
    case "task.reply":
      return event.taskId === taskId ? Exit.void : undefined
    case "task.failed":
      if (event.taskId !== taskId) return undefined
      return fail(event.error.error === "Expired" ? "pairing" : "failed", event.error.error, event.error.message)
    case "pairing.required":
    case "pairing.superseded":
      // Wider scopes may be decided on at any time; the task goes on with those there are.
      return wait || event.connected === true
        ? undefined
        : fail(
          "pairing",
          "PairingRequired",
          "this device has to be approved first (see above); then run this again, or add --wait"
        )
    case "waiting":
      return wait ? undefined : fail(exitOf({ _tag: event.cause.error }), event.cause.error, told(event.cause))
    case "halted":
      return fail(exitOf({ _tag: event.error.error }), event.error.error, told(event.error))
    default:
      return undefined
  }
}
