/**
 * `delegate`: one task and its reply, which alone goes to standard output. With `--json` all events do.
 *
 * The task is in the journal from the start, so that it is neither lost nor done twice when the command is killed: the next
 * `delegate`, `run` or `mcp` goes on with it. Ctrl-C, and a command that may not wait, abort the task. If the gateway cannot be
 * asked to abort it now, the task stays in the journal, and the command says so.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { AgentEvents } from "../agent/AgentEvents.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import { GatewayConfig } from "../handshake/GatewayConfig.ts"
import type { AgentEvent } from "../protocol/AgentEvent.ts"
import * as OutsideText from "../protocol/OutsideText.ts"
import { commandOn } from "../protocol/ShellCommand.ts"
import * as AttachmentFile from "../tasks/AttachmentFile.ts"
import { RunArtifacts } from "../tasks/RunArtifacts.ts"
import type { TaskId, TaskOutcome } from "../tasks/Task.ts"
import { TaskRunner } from "../tasks/TaskRunner.ts"
import { truncatedWords } from "../tasks/TaskWords.ts"
import { agent, chosenGateway, ownIdentity, settings } from "./AgentLayer.ts"
import { as, CommandFailed, exitOf } from "./CommandError.ts"
import { deviceTable } from "./DeviceTable.ts"
import { failureText, phaseText } from "./EventText.ts"
import type { ExitCode } from "./ExitCode.ts"
import * as HeldReplies from "./HeldReplies.ts"
import { toldTo } from "./HeldReplies.ts"
import { Invocation } from "./Invocation.ts"
import * as LiveReply from "./LiveReply.ts"
import { Output } from "./Output.ts"
import { onRoot, record, session } from "./Root.ts"
import * as SavedArtifacts from "./SavedArtifacts.ts"
import { checkedFlag } from "./SettingFlag.ts"
import { noTasks } from "./ToolsOnly.ts"

export const delegate = Command.make(
  "delegate",
  {
    task: Argument.String("task").pipe(
      Argument.withDescription("What to do, in words; without it, all of standard input"),
      Argument.optional
    ),
    session,
    record,
    timeout: checkedFlag(deviceTable.taskTimeout),
    attach: Flag.String("attach").pipe(
      Flag.withDescription("A file that goes with the task; may be given several times"),
      Flag.withMetavar("FILE"),
      Flag.atLeast(0)
    ),
    save: Flag.String("save").pipe(
      Flag.withDescription("Save images and other files that OpenClaw shows with the reply, in this directory"),
      Flag.withMetavar("DIR"),
      Flag.optional
    ),
    wait: Flag.Boolean("wait").pipe(
      Flag.withDescription("Wait for approval and for a gateway that is not there, instead of giving up"),
      Flag.withDefault(false)
    ),
    quiet: Flag.Boolean("quiet").pipe(
      Flag.withDescription("Print the reply alone: no progress, no reply while it is written"),
      Flag.withDefault(false)
    )
  },
  ({ attach, quiet, record, save, session, task, timeout, wait }) =>
    onRoot(Effect.fnUntraced(function*(flags, output) {
      const summary = Option.isSome(task) ? task.value : yield* piped
      const attachments = yield* Effect.mapError(Effect.forEach(attach, AttachmentFile.read), as("settings"))
      if (Option.isSome(save)) yield* Effect.mapError(SavedArtifacts.prepare(save.value), as("settings"))
      const usual = yield* settings({ ...flags, session })
      const checked = { ...usual, taskTimeout: Option.getOrElse(timeout, () => usual.taskTimeout) }
      const { commands, gateway } = yield* chosenGateway(checked, "sharedToken")
      const invocation = yield* Invocation
      const held = HeldReplies.make()
      yield* Effect.gen(function*() {
        const events = yield* AgentEvents
        const tasks = yield* TaskRunner
        const supervisor = yield* Supervisor
        if (wait) yield* supervisor.attend
        const done = yield* Deferred.make<Ended>()
        let taskId: TaskId | undefined
        let sent = false
        let doing = "connecting"
        const shown = makeShown(output)
        const follow = (event: AgentEvent) =>
          Effect.suspend(() => {
            doing = underWay(event) ?? doing
            if (event.event === "task.sent" && event.taskId === taskId) sent = true
            const end = ending(event, { taskId, wait: wait || sent, toolsOnly: usual.toolsOnly })
            const told = quiet ? tellQuietly(output, event, end) : tell(output, shown, event, end, taskId)
            return Effect.andThen(
              Effect.andThen(told, toldTo(output, held, event)),
              end === undefined ? Effect.void : Deferred.succeed(done, end)
            )
          })
        yield* Effect.forkScoped(Effect.ignoreCause(Stream.runForEach(events.events, follow), { log: "Error" }))
        /** Gives the task up, and says what became of it. */
        const letGo = Effect.suspend(() =>
          taskId === undefined ? Effect.succeed("") : giveUp(tasks, taskId, invocation, checked.files?.directory)
        )
        // Uninterruptible, so that after Ctrl-C the name of a task that was taken is known.
        const take = Effect.mapError(
          tasks.delegate(summary, { attachments }),
          (error) => as(error.reason === "NotKept" ? "settings" : "usage")(error)
        ).pipe(
          Effect.tap((receipt) => Effect.sync(() => void (taskId = receipt.taskId))),
          Effect.uninterruptible
        )
        const end = yield* take.pipe(
          Effect.andThen(
            output.lively && !quiet
              ? Effect.forkScoped(Effect.ignoreCause(progress(() => doing, shown.line), { log: "Error" }))
              : Effect.void
          ),
          Effect.andThen(Deferred.await(done)),
          // In a fiber of its own: a timeout in an interrupted fiber would never end.
          Effect.onInterrupt(() =>
            Effect.forkChild(letGo).pipe(
              Effect.flatMap(Fiber.join),
              Effect.flatMap((said) => said === "" ? Effect.void : output.warn(said))
            )
          ),
          Effect.ensuring(output.live(""))
        )
        const replied = end._tag === "Replied" || end.failure.error === "ReplyTruncated"
        if (replied && taskId !== undefined && Option.isSome(save)) {
          yield* SavedArtifacts.save(taskId, save.value, quiet ? () => Effect.void : output.progress).pipe(
            Effect.provide(Layer.provide(RunArtifacts.layer, Layer.succeed(GatewayConfig, gateway))),
            Effect.mapError((error) => as(error._tag === "StorageError" ? "settings" : "failed")(error))
          )
        }
        if (end._tag === "Replied") return
        const { exit, error, problem } = end.failure
        const rest = end._tag === "GivenUp" ? yield* letGo : error === "Expired" ? yield* stopLate(tasks, taskId) : ""
        return yield* new CommandFailed({ exit, error, problem: rest === "" ? problem : `${problem}\n${rest}` })
      }).pipe(
        Effect.scoped,
        Effect.provide(
          agent(checked, gateway, { embedded: false, commands, keepTasks: true, held, record }).pipe(
            Layer.provide(ownIdentity(checked))
          )
        )
      )
    }))
).pipe(
  Command.withDescription("Delegate one task and print its reply"),
  Command.withExamples([
    {
      command: 'openclaw-device delegate "summarise my inbox" --wait',
      description: "Wait for approval if it is needed, then for the reply"
    },
    {
      command: 'openclaw-device delegate --timeout "10 minutes" < task.txt',
      description: "A longer task from a file, with more time"
    },
    {
      command: 'openclaw-device delegate "make the sky darker" --attach photo.jpg --save out',
      description: "An image with the task, and those of the reply in the directory out"
    }
  ])
)

/** More than the runner accepts for any task. */
const maxPipedBytes = 1024 * 1024

/** All of standard input as the task. On a terminal it fails at once, as no prompt would ask the person to type. */
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
        problem: `standard input cannot be read: ${OutsideText.field(error.message)}`
      })
    )
  )
})

/** What a terminal shows of the reply while it is written. */
const makeShown = (output: Output["Service"]) => {
  let reply = LiveReply.empty
  const print = (taskId: string, piece: LiveReply.Piece | undefined) =>
    piece === undefined ? Effect.void : output.replyPiece(taskId, piece)
  return {
    /** The line that is being written. */
    line: () => OutsideText.field(LiveReply.line(reply)),
    write: (event: Extract<AgentEvent, { readonly event: "task.text" }>) => {
      const [next, piece] = LiveReply.write(reply, event)
      reply = next
      return Effect.andThen(output.live(OutsideText.field(LiveReply.line(reply))), print(event.taskId, piece))
    },
    finish: (taskId: string, text: string) => {
      const piece = LiveReply.finish(reply, text)
      reply = LiveReply.empty
      return Effect.andThen(output.live(""), print(taskId, piece))
    }
  }
}

/** With `--quiet`: the reply, and nothing else. */
const tellQuietly = (output: Output["Service"], event: AgentEvent, end: Ended | undefined): Effect.Effect<void> =>
  event.event === "task.reply" && end !== undefined ? output.replyAlone(event) : Effect.void

/** The reply is the answer; everything else is progress. A failure that ends the command is told once, when it ends. */
const tell = (
  output: Output["Service"],
  shown: ReturnType<typeof makeShown>,
  event: AgentEvent,
  end: Ended | undefined,
  taskId: string | undefined
): Effect.Effect<void> => {
  if (event.event === "task.text" && output.terminal) return event.taskId === taskId ? shown.write(event) : Effect.void
  // The reply stands out from what was done for it, which is on the live line.
  if (event.event === "task.phase" && output.terminal && event.taskId === taskId) {
    return shown.line() === "" ? output.live(underWay(event) ?? "") : Effect.void
  }
  if (output.json || end === undefined) return output.progress(event)
  switch (event.event) {
    case "task.reply": {
      if (output.terminal) return shown.finish(event.taskId, event.text)
      // How the command ends says that it is not whole.
      const { truncated: _, ...reply } = event
      return output.reply(reply)
    }
    case "waiting":
    case "halted":
    case "task.failed":
      return Effect.void
    default:
      return output.progress(event)
  }
}

/** What the command waits for after an event; `undefined` where the event does not change that. */
const underWay = (event: AgentEvent): string | undefined => {
  switch (event.event) {
    case "connecting":
      return "connecting"
    case "connected":
      return event.suspension === undefined ? undefined : "waiting for the gateway, which is suspended"
    case "waiting":
      return "waiting for the gateway"
    case "pairing.required":
    case "pairing.superseded":
      return event.connected === true ? undefined : "waiting for approval"
    case "task.sent":
      return "sent"
    case "task.phase":
      return `task ${event.taskId.slice(0, 8)} ${phaseText(event.phase)}`
    default:
      return undefined
  }
}

/** Updates the live line every second until it is interrupted: with the line that is being written, or what is being done. */
const progress = Effect.fnUntraced(function*(doing: () => string, writing: () => string) {
  const output = yield* Output
  const startedAtMs = yield* Clock.currentTimeMillis
  yield* Stream.runForEach(
    Stream.tick("1 second"),
    () =>
      Effect.flatMap(
        Clock.currentTimeMillis,
        (nowMs) => output.live(writing() || `${doing()}, ${Math.floor((nowMs - startedAtMs) / 1000)} s`)
      )
  )
})

/** How long Ctrl-C, or the end of the command, waits for the gateway to stop the run. */
const grace = "2 seconds"

/** Ends the task if that can be done at once, and says how it went. */
const giveUp = (
  tasks: TaskRunner["Service"],
  taskId: TaskId,
  invocation: Invocation["Service"],
  directory: string | undefined
): Effect.Effect<string> =>
  tasks.abort(taskId).pipe(
    Effect.andThen(tasks.await(taskId)),
    Effect.timeoutOption(grace),
    Effect.orElseSucceed(() => Option.none()),
    Effect.map((how) => gaveUp(how, taskId, invocation, directory))
  )

/** Stops a task whose time is up, as this command ends and could not show a late answer. */
const stopLate = (tasks: TaskRunner["Service"], taskId: TaskId | undefined) =>
  Effect.map(
    taskId === undefined ? Effect.succeedNone : Effect.timeoutOption(Effect.option(tasks.abort(taskId)), grace),
    (stopped) => Option.getOrElse(Option.flatten(stopped), () => false) ? "The gateway has stopped it." : ""
  )

const gaveUp = (
  how: Option.Option<TaskOutcome>,
  taskId: TaskId,
  { platform, program }: Invocation["Service"],
  directory: string | undefined
): string => {
  if (Option.isSome(how)) {
    return how.value._tag === "Aborted"
      ? `Task ${taskId} was aborted.`
      : `Task ${taskId} had ended meanwhile (${how.value._tag.toLowerCase()}).`
  }
  if (directory === undefined) {
    return `Task ${taskId} could not be aborted now. If the gateway has it, it goes on there; nothing is stored here, so its`
      + " reply is not shown."
  }
  const command = (what: string) =>
    commandOn(platform, [...program, "tasks", what, taskId, "--state-dir", directory]).text
  return [
    `Task ${taskId} could not be aborted now. It stays in the journal, and the next \`delegate\`, \`run\` or \`mcp\` of this`
    + " state directory goes on with it.",
    `To see it: ${command("show")}`,
    `To abort it: ${command("abort")}`
  ].join("\n")
}

/** How the command ends: with the whole reply, with another end of the task, or while the task is open. */
type Ended =
  | { readonly _tag: "Replied" }
  | { readonly _tag: "Failed"; readonly failure: CommandFailed }
  | { readonly _tag: "GivenUp"; readonly failure: CommandFailed }

/** Whether an event ends the command, and how. */
const ending = (
  event: AgentEvent,
  { taskId, toolsOnly, wait }: {
    readonly taskId: string | undefined
    readonly wait: boolean
    /** A refused credential is then that of no role in which the gateway knows this device. */
    readonly toolsOnly: boolean
  }
): Ended | undefined => {
  const fail = (exit: ExitCode, error: string, problem: string): Ended => ({
    _tag: "GivenUp",
    failure: new CommandFailed({ exit, error, problem })
  })
  switch (event.event) {
    case "task.reply":
      if (event.taskId !== taskId) return undefined
      return event.truncated === true
        ? {
          _tag: "Failed",
          failure: new CommandFailed({
            exit: "truncated",
            error: "ReplyTruncated",
            problem: truncatedWords(event.text)
          })
        }
        : { _tag: "Replied" }
    case "task.failed": {
      if (event.taskId !== taskId) return undefined
      const { error } = event
      const exit = error.error === "Expired" ? "pairing" : "failed"
      const problem = OutsideText.field(error.message, { maxLength: OutsideText.lengths.text })
      return { _tag: "Failed", failure: new CommandFailed({ exit, error: error.error, problem }) }
    }
    case "pairing.required":
    case "pairing.superseded":
      // Nobody has to decide on wider scopes now; the task goes on with the granted ones.
      return wait || event.connected === true
        ? undefined
        : fail(
          "pairing",
          "PairingRequired",
          "this device has to be approved first (see above); then run this again, or add --wait"
        )
    case "waiting":
      return wait ? undefined : fail(exitOf(event.cause.error), event.cause.error, failureText(event.cause))
    case "halted":
      return fail(
        exitOf(event.error.error),
        event.error.error,
        toolsOnly && event.error.error === "AuthRejected" ? noTasks : failureText(event.error)
      )
    default:
      return undefined
  }
}
