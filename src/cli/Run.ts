/**
 * `run`: the device agent, until it is stopped. Lines on standard input are tasks.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { taskAdvice } from "../advice/TaskAdvice.ts"
import { AgentEvents, failure } from "../agent/AgentEvents.ts"
import type { ConnectionStatus } from "../connection/ConnectionStatus.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import type { GatewaySettings } from "../handshake/GatewayConfig.ts"
import { type AgentEvent, asksForDevice } from "../protocol/AgentEvent.ts"
import * as OutsideText from "../protocol/OutsideText.ts"
import type { TaskRefused } from "../tasks/TaskError.ts"
import { TaskRunner } from "../tasks/TaskRunner.ts"
import type { ToolQuestions } from "../toolhost/ToolQuestions.ts"
import { agent, chosenGateway, ownCommands, ownIdentity, settings } from "./AgentLayer.ts"
import { CommandFailed, exitOf } from "./CommandError.ts"
import { deviceTable } from "./DeviceTable.ts"
import { failureText } from "./EventText.ts"
import * as HeldReplies from "./HeldReplies.ts"
import { bounded } from "./InputLines.ts"
import { now, Output, stopped } from "./Output.ts"
import * as Page from "./Page.ts"
import { codeFile, onRoot, record, root, session } from "./Root.ts"
import { checkedFlag } from "./SettingFlag.ts"
import type { Flags, Settings } from "./Settings.ts"
import { OnHangup, serving } from "./Signals.ts"
import { stored } from "./Stored.ts"
import type { Supervision } from "./Supervision.ts"
import { type Answer, readAnswer } from "./ToolAnswer.ts"
import { type ToolFlags, toolFlags } from "./ToolFlags.ts"
import { toolsAlone, toolsMissing } from "./ToolsOnly.ts"

export const run = Command.make(
  "run",
  {
    session,
    page: Flag.Boolean("page").pipe(
      Flag.withDescription("Serve the pairing page on this machine; --no-page does without it"),
      Flag.withDefault(true)
    ),
    pagePort: checkedFlag(deviceTable.pagePort),
    record,
    noRetry: Flag.Boolean("no-retry").pipe(
      Flag.withDescription("End with the status of the failure when the connection fails or is lost"),
      Flag.withDefault(false)
    ),
    exitOnPairing: Flag.Boolean("exit-on-pairing").pipe(
      Flag.withDescription("End with status 75 when this device has to be approved, instead of waiting for it"),
      Flag.withDefault(false)
    ),
    readyFile: Flag.String("ready-file").pipe(
      Flag.withDescription("A file that exists while the device is connected, for supervisors"),
      Flag.optional
    ),
    reload: Flag.Boolean("reload-on-sighup").pipe(
      Flag.withDescription("Read the settings again on SIGHUP, as always below systemd, instead of ending"),
      Flag.withDefault(false)
    ),
    ...toolFlags,
    pair: Flag.Boolean("pair").pipe(
      Flag.withDescription("First read a setup code from standard input, and pair with its gateway"),
      Flag.withDefault(false)
    ),
    codeFile
  },
  (options) => onRoot((flags, output) => Effect.scoped(running(flags, output, options)))
).pipe(
  Command.withDescription("Be a device: connect, wait for approval, take tasks from standard input; until Ctrl-C"),
  Command.withExamples([
    { command: "openclaw-device run", description: "With a gateway of its own, to try it out" },
    { command: "openclaw-device run --gateway-url ws://127.0.0.1:18789", description: "On your gateway" },
    { command: "openclaw-device run --tools ./tools.ts", description: "With tools that the gateway's agent may use" },
    { command: "openclaw-device run --pair --tools ./tools.ts", description: "The same on the gateway of a setup code" }
  ])
)

interface RunOptions extends ToolFlags, Ends {
  readonly session: Option.Option<string>
  readonly page: boolean
  readonly pagePort: Option.Option<number>
  readonly record: Option.Option<string>
  readonly readyFile: Option.Option<string>
  readonly reload: boolean
  readonly pair: boolean
  readonly codeFile: Option.Option<string>
}

const running = Effect.fnUntraced(function*(flags: Flags, output: Output["Service"], given: RunOptions) {
  const { exitOnPairing, noRetry, page: wanted, pagePort, readyFile, record, reload, session } = given
  const first = given.pair || Option.isSome(given.codeFile)
    ? yield* (yield* pairFirst).begin(given.codeFile)
    : undefined
  const checked = yield* settings({ ...flags, session }, first?.input)
  const held = HeldReplies.make()
  const page = wanted ? { port: Option.getOrElse(pagePort, () => checked.pagePort) } : undefined
  const ends = { exitOnPairing, noRetry }
  const options = { page, held, readyFile, ends, again: settingsAgain(session), reload }
  const known = Effect.gen(function*() {
    const tools = yield* toolsOf(given)
    const { commands, gateway, toolsOnly, whenConnected } = first === undefined
      ? { ...yield* chosenGateway(checked, "sharedToken"), toolsOnly: checked.toolsOnly, whenConnected: Effect.void }
      : yield* first.gateway(checked)
    if (toolsOnly) {
      yield* tools === undefined
        ? Effect.fail(new CommandFailed({ exit: "usage", error: "ToolsMissing", problem: toolsMissing }))
        : output.warn(toolsAlone)
    }
    const kept = { embedded: false, commands, keepTasks: true, livesLong: true, held, record, tools }
    const work = serve({ ...options, embedded: false, questions: tools?.questions })
    return yield* Effect.andThen(Effect.forkScoped(whenConnected), Effect.andThen(status(checked, gateway), work)).pipe(
      Effect.provide(agent(checked, toolsOnly ? { ...gateway, paused: true } : gateway, kept))
    )
  })
  const embedded = Effect.gen(function*() {
    const tools = yield* toolsOf(given)
    const { start } = yield* embeddedGateway
    const running = yield* start((yield* stored(checked)).gateway, { port: 0 })
    const gateway = yield* Effect.fromResult(checked.gatewayWith({ url: running.url, token: running.sharedToken }))
    return yield* Effect.provide(
      Effect.andThen(status(checked, gateway), serve({ ...options, embedded: true, questions: tools?.questions })),
      agent(checked, gateway, { embedded: true, commands: ownCommands(checked, running.url), record, tools })
    )
  })
  yield* Effect.andThen(serving, Effect.scoped(checked.urlGiven || first !== undefined ? known : embedded)).pipe(
    Effect.ensuring(stopped(output)),
    Effect.provide(ownIdentity(checked)),
    first === undefined ? identity : Effect.provideService(Stdio.Stdio, first.stdio)
  )
})

/** Loaded when there is a setup code. */
const pairFirst = Effect.promise(() => import("./PairFirst.ts"))

const settingsAgain = Effect.fnUntraced(function*(session: Option.Option<string>) {
  const { gatewayUrl, noState, stateDir } = yield* root
  return yield* chosenGateway(yield* settings({ gatewayUrl, stateDir, noState, session }), "sharedToken")
})

/** Loaded when there are tools. */
const toolsOf = (given: ToolFlags) =>
  Option.isNone(given.tools) && [given.allowTool, given.mcpServer, given.mcpEnv].every(({ length }) => length === 0)
    ? Effect.succeed(undefined)
    : Effect.flatMap(Effect.promise(() => import("./GivenTools.ts")), ({ read }) => read(given))

/** Lets `status` ask this program. Loaded beside the start, so that no start waits for it. */
const status = (checked: Settings, gateway: GatewaySettings) =>
  Effect.promise(() => import("./StatusServing.ts")).pipe(
    Effect.flatMap(({ start }) => start("run", checked, gateway)),
    Effect.ignoreCause({ log: "Error", message: "the status is not served" }),
    Effect.forkScoped
  )

/** Loaded when there is no other gateway. */
const embeddedGateway = Effect.promise(() => import("./EmbeddedGateway.ts"))

interface ServeOptions {
  readonly embedded: boolean
  readonly page: { readonly port: number } | undefined
  readonly held: HeldReplies.HeldReplies
  /** Calls of marked tools, which the person at standard input may allow. */
  readonly questions: ToolQuestions["Service"] | undefined
  readonly readyFile: Option.Option<string>
  readonly ends: Ends
  /** Reads the settings of the gateway again. */
  readonly again: ReturnType<typeof settingsAgain>
  /** SIGHUP reads the settings again. It does so in any case where systemd supervises. */
  readonly reload: boolean
}

/** Which events end `run` where a supervisor asked for that. */
interface Ends {
  /** A connection that failed or was lost ends it. */
  readonly noRetry: boolean
  /** A device that has to be approved ends it. */
  readonly exitOnPairing: boolean
}

/** How an event ends `run`; undefined where it does not. */
const endOf = (event: AgentEvent, { exitOnPairing, noRetry }: Ends): CommandFailed | undefined => {
  switch (event.event) {
    case "pairing.required":
    case "pairing.superseded":
      return exitOnPairing && asksForDevice(event)
        ? new CommandFailed({
          exit: "pairing",
          error: "PairingRequired",
          problem: "this device has to be approved first (see above); then start this again"
        })
        : undefined
    case "waiting":
      return noRetry ? failedBy(event.cause.error, failureText(event.cause)) : undefined
    case "halted":
      return noRetry ? failedBy(event.error.error, failureText(event.error)) : undefined
    default:
      return undefined
  }
}

const failedBy = (error: string, problem: string) => new CommandFailed({ exit: exitOf(error), error, problem })

/** Started by systemd as a unit that wants to be told. */
const isNotified = Effect.map(
  Effect.orDie(Config.option(Config.String("NOTIFY_SOCKET"))),
  Option.exists((socket) => socket !== "")
)

const unsupervised: Supervision = { told: () => Effect.void, say: () => Effect.void }

/** Loaded where somebody wants to be told. */
const supervised = (readyFile: Option.Option<string>, notified: boolean) =>
  Option.isNone(readyFile) && !notified
    ? Effect.succeed(unsupervised)
    : Effect.flatMap(Effect.promise(() => import("./Supervision.ts")), ({ start }) => start({ readyFile, notified }))

const serve = Effect.fnUntraced(function*(options: ServeOptions) {
  const output = yield* Output
  const events = yield* AgentEvents
  const supervisor = yield* Supervisor
  const tasks = yield* TaskRunner
  const stdio = yield* Stdio.Stdio

  const { questions } = options
  const page = options.page === undefined
    ? undefined
    : yield* Page.start({ ...options.page, ...(questions === undefined ? {} : { questions }) })
  // The page is told after the identity and the gateway.
  const told = Stream.flatMap(
    events.events,
    (event) => event.event === "gateway" && page !== undefined ? Stream.make(event, page) : Stream.succeed(event)
  )
  const notified = yield* isNotified
  const supervision = yield* supervised(options.readyFile, notified)
  const over = yield* Deferred.make<never, CommandFailed>()
  const tell = (event: AgentEvent) =>
    output.event(event).pipe(
      Effect.andThen(HeldReplies.toldTo(output, options.held, event)),
      Effect.andThen(supervision.told(event)),
      Effect.andThen(Effect.suspend(() => {
        const end = endOf(event, options.ends)
        return end === undefined ? Effect.void : Effect.asVoid(Deferred.fail(over, end))
      }))
    )
  yield* Effect.forkScoped(Effect.ignoreCause(Stream.runForEach(told, tell), { log: "Error", message: "output ended" }))
  if (!options.embedded && (options.reload || notified)) {
    yield* reloads(options.again, supervision)
  }
  // A person waits at a terminal, and at standard input (below) until it ends. An embedded gateway serves this program alone,
  // so it may be asked often.
  if (output.terminal || options.embedded) yield* supervisor.attend
  if (output.terminal) yield* Effect.forkScoped(Effect.ignoreCause(liveLine, { log: "Error" }))

  const person = yield* stdio.stdinIsTerminal
  const refused = Effect.fnUntraced(function*(line: number, text: string, error: TaskRefused) {
    const summary = OutsideText.field(text, { maxLength: OutsideText.lengths.name })
    const { message, reason } = error
    const advice = taskAdvice.TaskRefused[reason].action
    yield* output.event({
      at: yield* now,
      event: "task.refused",
      line,
      summary,
      error: { error: error._tag, reason, message, advice }
    })
  })
  let blocked = 0
  /** A person is told at once that there is no room. A program waits, and so does whoever writes to it. */
  const take = (text: string, line: number): Effect.Effect<void> =>
    Effect.catch(Effect.asVoid(tasks.delegate(text)), (error) => {
      if (person || error.reason !== "TooMany") return refused(line, text, error)
      blocked++
      return roomMade(tasks).pipe(
        Effect.onInterrupt(() => refused(line, text, error)),
        Effect.ensuring(Effect.sync(() => void blocked--)),
        Effect.andThen(Effect.suspend(() => take(text, line)))
      )
    })
  /** With tools, a line of just this form is an answer and never a task. */
  const answerIn = (text: string) => questions === undefined ? undefined : readAnswer(text)
  const decide = Effect.fnUntraced(function*(
    { answer }: ToolQuestions["Service"],
    { decision, id }: Answer,
    line: number
  ) {
    const answered = yield* answer(id, decision)
    if (answered === "taken") return
    yield* output.event({ at: yield* now, event: "answer.refused", line, questionId: id, reason: answered })
  })
  const read = (text: string, line: number): Effect.Effect<void> => {
    if (text.trim() === "") return supervisor.checkNow
    const given = answerIn(text)
    return given === undefined || questions === undefined ? take(text, line) : decide(questions, given, line)
  }
  const ended = yield* Deferred.make<void>()
  const lines = stdio.stdin.pipe(
    Stream.decodeText,
    bounded(maxLineLength),
    Stream.zipWithIndex,
    Stream.runForEach(([line, index]) => read(line, index + 1)),
    Effect.ignoreCause({ log: "Error", message: "standard input ended with an error" }),
    Effect.ensuring(Deferred.succeed(ended, undefined))
  )
  // A program that writes tasks does not read questions.
  const attend = questions === undefined || !person
    ? supervisor.attend
    : Effect.andThen(supervisor.attend, questions.attend)
  yield* Effect.forkScoped(Effect.scoped(Effect.andThen(attend, lines)))
  // Nobody is left to read what it does.
  const isDeaf = Effect.map(Deferred.isDone(ended), (over) => over || blocked > 0)
  const unheard = output.terminal || person ? Effect.never : givenUp(supervisor, isDeaf)
  return yield* Effect.raceAllFirst([output.readerLeft, Deferred.await(over), unheard])
})

/** Connects anew with the present settings at each SIGHUP. Settings that are wrong change nothing. */
const reloads = Effect.fnUntraced(function*(again: ServeOptions["again"], supervision: Supervision) {
  const supervisor = yield* Supervisor
  const onHangup = yield* OnHangup
  const asked = yield* Queue.sliding<void>(1)
  yield* Effect.acquireRelease(
    Effect.sync(() => onHangup(() => void Queue.offerUnsafe(asked, undefined))),
    () => Effect.sync(() => onHangup(undefined))
  )
  const reload = again.pipe(
    Effect.flatMap(({ gateway }) => supervisor.reconfigure(gateway)),
    Effect.andThen(
      Effect.andThen(Effect.logInfo("settings were read again"), supervision.say("settings were read again"))
    ),
    Effect.catch((error) => Effect.logError("the settings stay as they are", error))
  )
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Queue.take(asked), reload)))
})

/** Code units of one line: more than the runner accepts for any task. */
const maxLineLength = 1024 * 1024

/** Waits until a task is sent or ends. The time covers one that did so before this looked. */
const roomMade = (tasks: TaskRunner["Service"]): Effect.Effect<void> =>
  Stream.runDrain(Stream.take(Stream.filter(tasks.events, ({ _tag }) => _tag !== "Queued" && _tag !== "Phase"), 1))
    .pipe(
      Effect.timeoutOption("1 second"),
      Effect.asVoid
    )

/** Fails when the connection has been given up, and standard input cannot wake it: it has ended, or waits for room itself. */
const givenUp = Effect.fnUntraced(function*(supervisor: Supervisor["Service"], isDeaf: Effect.Effect<boolean>) {
  while (true) {
    const status = yield* supervisor.status
    if (status._tag === "Halted" && (yield* isDeaf)) {
      const { error, message } = failure(status.cause)
      return yield* new CommandFailed({
        exit: exitOf(error),
        error,
        problem: `the connection was given up, and nobody can wake it: ${
          OutsideText.field(message, { maxLength: OutsideText.lengths.text })
        }`
      })
    }
    yield* Effect.sleep("1 second")
  }
})

/** Shows every second what the connection waits for. */
const liveLine = Effect.gen(function*() {
  const supervisor = yield* Supervisor
  const output = yield* Output
  yield* supervisor.changes.pipe(
    Stream.switchMap(({ status }) =>
      waitOf(status) === undefined ? Stream.succeed(status) : Stream.map(Stream.tick("1 second"), () => status)
    ),
    Stream.runForEach((status) =>
      Effect.flatMap(Clock.currentTimeMillis, (nowMs) => output.live(waitOf(status)?.(nowMs) ?? ""))
    )
  )
})

const seconds = (ms: number): string => `${Math.max(0, Math.ceil(ms / 1000))} s`

const waitOf = (status: ConnectionStatus): ((nowMs: number) => string) | undefined => {
  switch (status._tag) {
    case "AwaitingApproval":
      return (nowMs) =>
        `${
          status.checking ? "checking" : `next check in ${seconds(status.nextCheckAtMs - nowMs)}`
        } (Enter checks now); waiting for approval for ${Math.floor((nowMs - status.approval.sinceMs) / 1000)} s`
    case "Waiting":
      return (nowMs) => `next try in ${seconds(status.retryAtMs - nowMs)} (Enter tries now)`
    default:
      return undefined
  }
}
