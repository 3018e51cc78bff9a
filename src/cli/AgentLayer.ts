/**
 * The layers that the commands are made of: identity and tokens in the state directory, the agent, a one-off session.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as Agent from "../agent/Agent.ts"
import { Admission } from "../connection/Admission.ts"
import type { ConnectionStatus } from "../connection/ConnectionStatus.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import type { GatewayInput, GatewaySettings } from "../handshake/GatewayConfig.ts"
import { GatewayConfig } from "../handshake/GatewayConfig.ts"
import { Handshake } from "../handshake/Handshake.ts"
import { TokenStore } from "../identity/TokenStore.ts"
import * as TransportWs from "../link/TransportWs.ts"
import * as ApproveCommand from "../pairing/ApproveCommand.ts"
import type { RequestId } from "../protocol/Connect.ts"
import { commandOn } from "../protocol/ShellCommand.ts"
import type { StateFiles } from "../storage/StateDirectory.ts"
import type { RunId } from "../tasks/Task.ts"
import { TaskJournal } from "../tasks/TaskJournal.ts"
import type { Told } from "./CommandAdvice.ts"
import { as, type CommandFailed } from "./CommandError.ts"
import * as GatewayFile from "./GatewayFile.ts"
import type { GivenTools } from "./GivenTools.ts"
import type { HeldReplies } from "./HeldReplies.ts"
import { Invocation, Processes } from "./Invocation.ts"
import { Output } from "./Output.ts"
import * as OwnIdentity from "./OwnIdentity.ts"
import type { PairedGateway } from "./PairedGateway.ts"
import { onRoot } from "./Root.ts"
import * as Settings from "./Settings.ts"

/**
 * Checked settings. Where neither flag nor variable names a gateway, `own` does, or else the file of the one that a setup code paired
 * this device with.
 */
export const quietSettings = Effect.fnUntraced(function*(flags: Settings.Flags, own?: GatewayInput) {
  const invocation = yield* Invocation
  const fs = yield* FileSystem.FileSystem
  let paired: PairedGateway | undefined
  const remembered = Effect.fnUntraced(function*(files: StateFiles | undefined) {
    if (own !== undefined || files === undefined) return own
    // A directory that this user may not look into is told by what is opened there next: the identity or the tokens.
    if (!(yield* Effect.orElseSucceed(fs.exists(files.pairedGateway), () => false))) return undefined
    const { inputOf, read } = yield* Effect.promise(() => import("./PairedGateway.ts"))
    paired = Option.getOrUndefined(yield* read(files.pairedGateway))
    return paired === undefined ? undefined : inputOf(paired)
  })
  const checked = yield* Settings.read(flags, invocation, remembered)
  const { gateway: { password, token } } = checked
  const toolsOnly = paired?.roles.includes("operator") === false && token === undefined && password === undefined
  return { ...checked, toolsOnly } satisfies Settings.Settings
})

/** The same. Their warnings go to standard error, once. */
export const settings = Effect.fnUntraced(function*(flags: Settings.Flags, own?: GatewayInput) {
  const output = yield* Output
  const checked = yield* Effect.mapError(quietSettings(flags, own), as("settings"))
  for (const warning of checked.warnings) yield* output.warn(`warning: ${warning}`)
  return checked
})

/** Runs a command on checked settings. */
export const withSettings = <E extends CommandFailed | Told, R>(
  body: (checked: Settings.Settings, output: Output["Service"]) => Effect.Effect<void, E, R>,
  session: Option.Option<string> = Option.none()
) => onRoot((flags, output) => Effect.flatMap(settings({ ...flags, session }), (checked) => body(checked, output)))

/** A gateway, and the commands with which a person approves devices on it. */
export interface Chosen {
  readonly gateway: GatewaySettings
  readonly commands: Layer.Layer<ApproveCommand.ApproveCommands, never, Invocation>
}

/**
 * The gateway to connect to: the one given by flag or variable, else one that this program runs in the same state directory,
 * else the default URL. The commands to approve are those of the place of the settings. For one that this program runs, the
 * credential comes from its file, and the commands are those of this program.
 */
export const chosenGateway = Effect.fnUntraced(
  function*(
    checked: Settings.Settings,
    credential: "sharedToken" | "operatorToken",
    other: GatewayInput = {}
  ) {
    const asGiven = yield* Effect.fromResult(checked.gatewayWith(other))
    const host: Chosen = {
      gateway: asGiven,
      commands: checked.place === undefined
        ? ApproveCommand.ApproveCommands.layerAnywhere
        : ApproveCommand.ApproveCommands.layerOf(yield* Effect.fromResult(ApproveCommand.commandsFor(checked.place)))
    }
    const running = checked.files === undefined ? Option.none() : yield* GatewayFile.read(checked.files.gateway)
    if (Option.isNone(running)) return host
    const { url } = running.value
    const ours = checked.gatewayWith({ ...other, url, token: running.value[credential] })
    return Result.isSuccess(ours)
        && (!checked.urlGiven || ours.success.endpoint.gatewayScope === asGiven.endpoint.gatewayScope)
      ? { gateway: ours.success, commands: ownCommands(checked, url) } satisfies Chosen
      : host
  },
  Effect.mapError(as("settings")),
  Effect.tap(({ gateway }) => Effect.flatMap(Output, ({ conceal }) => conceal(sentTo(gateway))))
)

/** Every credential that may be sent to a gateway because of its settings. */
const sentTo = ({ bootstrapToken, headers, password, token }: GatewaySettings): ReadonlyArray<Redacted.Redacted> =>
  [token, password, bootstrapToken, ...headers.map(({ value }) => value)].filter((secret) => secret !== undefined)

/** Where tokens are kept, and what connections of one process share. */
export const foundation = (checked: Settings.Settings) =>
  Layer.mergeAll(
    Admission.layer,
    TransportWs.layer,
    checked.files === undefined ? TokenStore.layerMemory : TokenStore.layerFile({ directory: checked.files.tokens })
  )

/** The identity of this device, created or taken over where there is none and something may be stored. */
export const ownIdentity = (checked: Settings.Settings) =>
  Layer.unwrap(
    Effect.map(Invocation, ({ version }) =>
      OwnIdentity.layer(checked, { create: checked.files !== undefined, createdBy: OwnIdentity.createdBy(version) }))
  )

const journal = ({ files }: Settings.Settings, only: RunId | undefined) =>
  files === undefined
    ? TaskJournal.layerMemory
    : Layer.unwrap(
      Effect.map(Processes, (processes) => TaskJournal.layerDevice({ directory: files.tasks, processes, only }))
    )

/** How soon the tasks of a program that was killed are noticed. */
const takeOverEvery = Duration.seconds(20)

/**
 * An agent on a gateway. Its identity comes from outside, so that one that cannot be opened ends a command before anything
 * is started or written.
 */
export const agent = (
  checked: Settings.Settings,
  gateway: GatewaySettings,
  options: {
    readonly embedded: boolean
    readonly commands: Chosen["commands"]
    /** Open tasks outlive the command, and earlier ones without a living owner are taken over. */
    readonly keepTasks?: boolean
    /** Tasks with a reply stay open until it has been told. */
    readonly held?: HeldReplies
    /** Takes over this task and no other. */
    readonly only?: RunId
    /** Tasks of programs that end meanwhile are taken over, too. */
    readonly livesLong?: boolean
    /** A new file for the flight recorder. */
    readonly record?: Option.Option<string>
    /** Tools that the gateway's agent may use. */
    readonly tools?: GivenTools | undefined
  }
) =>
  withTools(options.tools, checked)(
    recorded(checked, options)(Agent.layer({
      embedded: options.embedded,
      sessionKey: checked.sessionKey,
      taskTimeout: checked.taskTimeout,
      reminderInterval: checked.reminderInterval,
      reminders: checked.reminders,
      takeOverEvery: options.livesLong === true ? takeOverEvery : undefined
    }))
  ).pipe(
    Layer.provide(options.commands),
    Layer.provide(
      options.keepTasks === true
        ? options.held === undefined
          ? journal(checked, options.only)
          : Layer.provide(options.held.layer, journal(checked, options.only))
        : TaskJournal.layerMemory
    ),
    Layer.provide(known(gateway)),
    Layer.provideMerge(foundation(checked))
  )

const known = (gateway: GatewaySettings) =>
  Layer.provide(GatewayConfig.layerKnown, Layer.succeed(GatewayConfig, gateway))

/** Loaded when there are tools, with the modules of effect/ai. */
const withTools =
  (tools: GivenTools | undefined, { reminderInterval, reminders }: Settings.Settings) =>
  <E, R>(agent: Layer.Layer<Agent.Agent, E, R>) =>
    tools === undefined ? agent : Layer.unwrap(
      Effect.map(
        Effect.promise(() => import("../agent/ToolAgent.ts")),
        ({ over }) =>
          over(agent, tools.toolkit, tools.handlers, {
            reminderInterval,
            reminders,
            questions: tools.questions,
            sources: tools.sources
          })
      )
    )

/** Loaded when it is asked for: the other ways to start are faster without it. */
const recorded = (
  checked: Settings.Settings,
  { livesLong, record = Option.none() }: { readonly livesLong?: boolean; readonly record?: Option.Option<string> }
) =>
(agent: ReturnType<typeof Agent.layer>) =>
  Option.isNone(record) ? agent : Layer.unwrap(Effect.gen(function*() {
    const { version } = yield* Invocation
    const { layer } = yield* Effect.promise(() => import("../recorder/RecordedAgent.ts"))
    const { sessionKey, taskTimeout } = checked
    const shared = livesLong === true ? { takeOverEvery } : {}
    return layer({ path: record.value, program: version, sessionKey, taskTimeout, ...shared })(agent)
  }))

/** A connection for one command of a person who administers the gateway, under an identity of its own. */
export const operator = (checked: Settings.Settings, gateway: GatewaySettings) =>
  Layer.provide(connection(checked, gateway), OwnIdentity.operatorLayer(checked))

/** A connection for one command, under the identity that is provided. */
export const connection = (checked: Settings.Settings, gateway: GatewaySettings) =>
  Supervisor.layer.pipe(
    Layer.provide(Handshake.layer),
    Layer.provide(known(gateway)),
    Layer.provide(foundation(checked))
  )

/** The first status after `Connecting`. */
export const settled = (supervisor: Supervisor["Service"]): Effect.Effect<ConnectionStatus> =>
  supervisor.changes.pipe(
    Stream.map(({ status }) => status),
    Stream.filter((status) => status._tag !== "Connecting"),
    Stream.runHead,
    Effect.map(Option.getOrElse((): ConnectionStatus => ({ _tag: "Stopped" })))
  )

/** Commands that start this program again, for a gateway that it runs itself. */
export const ownCommands = (
  checked: Settings.Settings,
  url: string
): Chosen["commands"] =>
  Layer.effect(
    ApproveCommand.ApproveCommands,
    Effect.map(Invocation, ({ platform, program }) => {
      const where = [
        "--gateway-url",
        url,
        ...(checked.files === undefined ? [] : ["--state-dir", checked.files.directory])
      ]
      const command = (...args: ReadonlyArray<string>) =>
        commandOn(platform, [...program, "devices", ...args, ...where])
      const own = { list: command("list"), approve: (requestId: RequestId) => command("approve", requestId) }
      return ApproveCommand.ApproveCommands.of({ ...own, surface: own })
    })
  )
