/**
 * The layers that the commands are made of: identity and tokens in the state directory, the agent, a one-off session.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as Agent from "../agent/Agent.ts"
import { Admission } from "../connection/Admission.ts"
import type { ConnectionStatus } from "../connection/ConnectionStatus.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import type { GatewayInput, GatewaySettings } from "../handshake/GatewayConfig.ts"
import { GatewayConfig } from "../handshake/GatewayConfig.ts"
import { Handshake } from "../handshake/Handshake.ts"
import type { PrivateFile } from "../identity/PrivateFile.ts"
import { TokenStore } from "../identity/TokenStore.ts"
import * as Endpoint from "../link/Endpoint.ts"
import * as TransportWs from "../link/TransportWs.ts"
import * as ApproveCommand from "../pairing/ApproveCommand.ts"
import { TaskJournal } from "../tasks/TaskJournal.ts"
import { as } from "./CommandError.ts"
import * as GatewayFile from "./GatewayFile.ts"
import { Invocation } from "./Invocation.ts"
import { Output } from "./Output.ts"
import * as OwnIdentity from "./OwnIdentity.ts"
import * as Settings from "./Settings.ts"

/** Checked settings; their warnings are told once, on standard error. */
export const settings = Effect.fnUntraced(function*(flags: Settings.Flags) {
  const invocation = yield* Invocation
  const output = yield* Output
  const checked = yield* Effect.mapError(Settings.read(flags, invocation), as("settings"))
  for (const warning of checked.warnings) yield* output.warn(`warning: ${warning}`)
  return checked
})

/**
 * The gateway that is meant: the one given by flag or variable, else one that this program runs in the same state
 * directory, else the default URL. A running one of ours brings its credential along.
 */
export const chosenGateway = Effect.fnUntraced(function*(
  checked: Settings.Settings,
  credential: "sharedToken" | "operatorToken",
  other: GatewayInput = {}
) {
  const running = Option.map(
    yield* GatewayFile.read(checked.files.gateway),
    (gateway) => checked.gatewayWith({ ...other, url: gateway.url, token: gateway[credential] })
  )
  const asGiven = yield* Effect.fromResult(checked.gatewayWith(other))
  if (Option.isNone(running) || Result.isFailure(running.value)) return asGiven
  const ours = running.value.success
  return !checked.urlGiven || ours.endpoint.gatewayScope === asGiven.endpoint.gatewayScope ? ours : asGiven
}, Effect.mapError(as("settings")))

const foundation = (checked: Settings.Settings) =>
  Layer.mergeAll(Admission.layer, TransportWs.layer, TokenStore.layerFile({ directory: checked.files.tokens }))

/** The identity of this device, created or taken over where there is none. */
export const ownIdentity = (checked: Settings.Settings) =>
  Layer.unwrap(
    Effect.map(Invocation, ({ version }) =>
      OwnIdentity.layer(checked, { create: true, createdBy: OwnIdentity.createdBy(version) }))
  )

/**
 * An agent on a gateway. Its identity comes from outside, so that one that cannot be opened ends a command before anything
 * is started or written.
 */
export const agent = (
  checked: Settings.Settings,
  gateway: GatewaySettings,
  options: {
    readonly embedded: boolean
    readonly commands: Layer.Layer<ApproveCommand.ApproveCommands, never, Invocation | PrivateFile>
    /**
     * Open tasks outlive the command, and those of before are taken up. Not for a command that gives its one task up with
     * itself: whoever repeats it would have the task done twice.
     */
    readonly keepTasks?: boolean
  }
) =>
  Agent.layer({
    embedded: options.embedded,
    sessionKey: checked.sessionKey,
    taskTimeout: checked.taskTimeout,
    reminderInterval: checked.reminderInterval,
    reminders: checked.reminders
  }).pipe(
    Layer.provide(options.commands),
    Layer.provide(
      options.keepTasks === true
        ? TaskJournal.layerFile({ directory: `${checked.files.directory}/tasks` })
        : TaskJournal.layerMemory
    ),
    Layer.provide(Layer.succeed(GatewayConfig, gateway)),
    Layer.provideMerge(foundation(checked))
  )

/** A connection for one command of a person who administers the gateway, under an identity of its own. */
export const operator = (checked: Settings.Settings, gateway: GatewaySettings) =>
  Supervisor.layer.pipe(
    Layer.provide(Handshake.layer),
    Layer.provide(Layer.succeed(GatewayConfig, gateway)),
    Layer.provide(Layer.mergeAll(
      foundation(checked),
      OwnIdentity.operatorLayer(checked)
    ))
  )

/** The first status that is more than an attempt under way. */
export const settled = (supervisor: Supervisor["Service"]): Effect.Effect<ConnectionStatus> =>
  supervisor.changes.pipe(
    Stream.filter((status) => status._tag !== "Connecting"),
    Stream.runHead,
    Effect.map(Option.getOrElse((): ConnectionStatus => ({ _tag: "Stopped" })))
  )

/** Commands that start this program again, for a gateway that it runs itself. */
export const ownCommands = (
  checked: Settings.Settings,
  url: string
): Layer.Layer<ApproveCommand.ApproveCommands, never, Invocation> =>
  Layer.effect(
    ApproveCommand.ApproveCommands,
    Effect.map(Invocation, ({ platform, program }) => {
      const where = ["--gateway-url", url, "--state-dir", checked.files.directory]
      const command = (...args: ReadonlyArray<string>) => {
        const argv = [...program, "devices", ...args, ...where]
        return platform === "win32" ? ApproveCommand.powerShellCommand(argv) : ApproveCommand.posixCommand(argv)
      }
      return ApproveCommand.ApproveCommands.of({
        list: command("list"),
        approve: (requestId) => command("approve", requestId)
      })
    })
  )

/** The commands to show: ours where the gateway is one that we run, OpenClaw's own otherwise. */
export const approveCommands = (
  checked: Settings.Settings,
  gatewayScope: string
): Layer.Layer<ApproveCommand.ApproveCommands, never, Invocation | PrivateFile> =>
  Layer.unwrap(
    Effect.map(Effect.option(GatewayFile.read(checked.files.gateway)), (found) =>
      Option.match(
        Option.filter(Option.flatten(found), ({ url }) => scopeOf(url) === gatewayScope),
        {
          onNone: () => Layer.orDie(ApproveCommand.ApproveCommands.layer({ _tag: "host" })),
          onSome: ({ url }) => ownCommands(checked, url)
        }
      ))
  )

const scopeOf = (url: string): string | undefined =>
  Result.getOrUndefined(Result.map(Endpoint.parse(url), ({ gatewayScope }) => gatewayScope))
