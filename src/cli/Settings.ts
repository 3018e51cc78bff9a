/**
 * The checked settings of a command: flags, then environment variables, then defaults. Everything is checked before anything
 * starts, and every bad value is named with what it should be.
 */
import * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { FileSystem } from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { GatewayInput, GatewaySettings } from "../handshake/GatewayConfig.ts"
import { SettingsInvalid, settingsOf } from "../handshake/GatewayConfig.ts"
import * as GatewayEnvironment from "../handshake/GatewayEnvironment.ts"
import { gatewayTable } from "../handshake/GatewayTable.ts"
import { identityTable } from "../identity/IdentitySecrets.ts"
import type { Place } from "../pairing/ApproveCommand.ts"
import * as Setting from "../settings/Setting.ts"
import * as SettingSource from "../settings/SettingSource.ts"
import { unknownVariables } from "../settings/UnknownVariable.ts"
import type { StateDirectoryUnknown, StateFiles } from "../storage/StateDirectory.ts"
import { defaultDirectory, reserved, stateFiles } from "../storage/StateDirectory.ts"
import { deviceTable, setupTable } from "./DeviceTable.ts"

/** Every setting of the commands, in the order of the README. */
export const table: ReadonlyArray<Setting.Setting<unknown>> = [
  ...Object.values(gatewayTable),
  ...Object.values(identityTable),
  ...Object.values(deviceTable),
  ...Object.values(setupTable)
]

/** The settings as the README shows them. */
export const markdown = (): string => Setting.markdown(table)

/** What the flags said. */
export interface Flags {
  readonly gatewayUrl: Option.Option<string>
  readonly stateDir: Option.Option<string>
  readonly noState?: Option.Option<boolean>
  readonly session?: Option.Option<string>
}

/** Checked settings of a command. */
export interface Settings {
  /** A flag, a variable or a setup code names the gateway, now or before. */
  readonly urlGiven: boolean
  readonly gateway: GatewaySettings
  /** A setup code paired this device with the gateway for its tools alone, and no other credential is set. */
  readonly toolsOnly: boolean
  /** The same settings with some of them replaced, for example by those of an embedded gateway. */
  readonly gatewayWith: (other: GatewayInput) => Result.Result<GatewaySettings, SettingsInvalid>
  /** Undefined when nothing may be stored. */
  readonly files: StateFiles | undefined
  /** The file of the identity; undefined when nothing may be stored and no file is named. */
  readonly identityPath: string | undefined
  /** An identity of OpenClaw or TEN that may be read, and is never written. */
  readonly foreignIdentityPath: string | undefined
  /** How a person reaches the gateway host; undefined where it is not known. */
  readonly place: Place | undefined
  readonly sessionKey: string
  readonly taskTimeout: Duration.Duration
  readonly reminderInterval: Duration.Duration
  readonly reminders: number
  readonly pagePort: number
  /** What a person should know about the settings; one sentence each, no secrets. */
  readonly warnings: ReadonlyArray<string>
}

/** Reads and checks everything but the secrets of the identity, which are read where they are needed. */
export const read = Effect.fn("Settings.read")(function*<E = never, R = never>(
  flags: Flags,
  host: { readonly platform: string; readonly home?: string | undefined },
  /** Settings of the gateway where neither flag nor variable names it. */
  remembered: (files: StateFiles | undefined) => Effect.Effect<GatewayInput | undefined, E, R> = () => Effect.undefined
): Effect.fn.Return<
  Settings,
  SettingsInvalid | StateDirectoryUnknown | Config.ConfigError | E,
  FileSystem | Path.Path | R
> {
  const path = yield* Path.Path
  const environment = yield* GatewayEnvironment.read({ url: Option.getOrUndefined(flags.gatewayUrl) })
  const found = yield* SettingSource.find(deviceTable, {
    stateDirectory: Option.getOrUndefined(flags.stateDir),
    noState: Option.getOrUndefined(Option.map(flags.noState ?? Option.none(), String)),
    sessionKey: Option.getOrUndefined(flags.session ?? Option.none())
  })
  const { problems, values } = SettingSource.parse(deviceTable, found.texts)
  const absolute = (given: string | undefined) => given === undefined ? undefined : path.resolve(given)

  const files = values.noState === "true"
    ? undefined
    : stateFiles(absolute(values.stateDirectory) ?? (yield* platformDirectory(host)), host.platform)
  const identityPath = absolute(values.identityPath)
  const openClaw = absolute(yield* SettingSource.pathVariable("OPENCLAW_STATE_DIR"))
  const isForeign = identityPath !== undefined && Option.isSome(reserved(identityPath, openClaw))

  const secrets = yield* Effect.forEach(
    Object.values(identityTable),
    ({ variable }) => SettingSource.variable(variable)
  )
  const unknown = yield* Effect.mapError(
    unknownVariables(Setting.variables(table)),
    (cause) => new Config.ConfigError(cause)
  )

  const named = environment.found.texts.url !== undefined
  const own = named ? undefined : yield* remembered(files)
  const gateway = settingsOf(environment, own)
  const allProblems = [
    ...Result.isFailure(gateway) ? gateway.failure.problems : [],
    ...SettingSource.named(deviceTable, found, problems)
  ]
  if (Result.isFailure(gateway) || allProblems.length > 0) return yield* new SettingsInvalid({ problems: allProblems })
  return {
    urlGiven: named || own !== undefined,
    gateway: gateway.success,
    toolsOnly: false,
    gatewayWith: (other) => settingsOf(environment, other.url === undefined ? { ...own, ...other } : other),
    files,
    identityPath: identityPath === undefined || isForeign ? files?.identity : identityPath,
    foreignIdentityPath: isForeign ? identityPath : undefined,
    place: values.gatewayPlace,
    sessionKey: values.sessionKey,
    taskTimeout: values.taskTimeout,
    reminderInterval: values.reminderInterval,
    reminders: values.reminders,
    pagePort: values.pagePort,
    warnings: [
      ...unknown.map(({ name, nearest }) =>
        `${name} is not a setting of this program and is ignored. The nearest setting is ${nearest}.`
      ),
      ...SettingSource.quoteWarnings([...Object.values(found.texts), ...secrets]),
      ...files === undefined && values.stateDirectory !== undefined
        ? [`${found.texts.stateDirectory?.name} is not used, as nothing is stored.`]
        : [],
      ...isForeign && files !== undefined
        ? [
          `${deviceTable.identityPath.variable} names a file that belongs to OpenClaw; it is read once, to take its identity`
          + ` over, and never written. This program's own file is ${files.identity}.`
        ]
        : [],
      ...gateway.success.warnings
    ]
  }
})

/** The default state directory, by the variables of the platform. */
const platformDirectory = Effect.fnUntraced(function*(
  { home, platform }: { readonly platform: string; readonly home?: string | undefined }
) {
  const text = (name: string) =>
    Effect.map(SettingSource.variable(name), (found) => found && Redacted.value(found.text).trim())
  const environment = {
    HOME: (yield* text("HOME")) || home,
    XDG_STATE_HOME: yield* text("XDG_STATE_HOME"),
    LOCALAPPDATA: yield* text("LOCALAPPDATA")
  }
  return yield* Effect.fromResult(defaultDirectory({ platform, environment }))
})
