/**
 * Which gateway, as whom, with which credential: checked as a whole before anything starts. Every bad value is named at
 * once, with what it should be. The single settings are the rows of `GatewayTable`.
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { FileSystem } from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import { TokenStore } from "../identity/TokenStore.ts"
import type { Endpoint } from "../link/Endpoint.ts"
import * as Endpoints from "../link/Endpoint.ts"
import type * as TlsTrust from "../link/TlsTrust.ts"
import type * as UpgradeHeader from "../link/UpgradeHeader.ts"
import type { AuthToken, ClientId, ClientMode, DisplayName, Role, ScopeName } from "../protocol/Connect.ts"
import { DeviceFamily, toolCommand } from "../protocol/Connect.ts"
import type { Decoded, Problem } from "../settings/Setting.ts"
import { accept } from "../settings/Setting.ts"
import * as SettingSource from "../settings/SettingSource.ts"
import * as GatewayEnvironment from "./GatewayEnvironment.ts"
import { gatewayTable } from "./GatewayTable.ts"

/** Checked settings. */
export interface GatewaySettings {
  readonly endpoint: Endpoint
  /** How a `wss:` gateway is recognised. */
  readonly tls: TlsTrust.TlsTrust
  /** The gateway is recognised by its certificate or key, which nobody else has. */
  readonly pinned: boolean
  /** Sent with the WebSocket's HTTP request. None on `ws:`. */
  readonly headers: ReadonlyArray<UpgradeHeader.UpgradeHeader>
  readonly token: Redacted.Redacted<AuthToken> | undefined
  readonly password: Redacted.Redacted | undefined
  /** Of a setup code, until a device token takes its place. There is no token and no password beside it. */
  readonly bootstrapToken?: Redacted.Redacted<AuthToken> | undefined
  readonly clientId: ClientId
  readonly clientMode: ClientMode
  readonly clientVersion: string
  readonly displayName: DisplayName | undefined
  readonly deviceFamily: DeviceFamily | undefined
  readonly role: Role
  readonly scopes: ReadonlyArray<ScopeName>
  readonly caps: ReadonlyArray<string>
  /** What a node offers; absent for an operator. */
  readonly commands?: ReadonlyArray<string> | undefined
  /**
   * What a grant of fewer scopes than asked means: `accept` connects with them, `refuse` halts with `ScopesNarrowed`. A
   * grant of none of them is always refused.
   */
  readonly narrowedScopes: "accept" | "refuse"
  /** Sent as the Origin header when set. A client that is no browser sends none. */
  readonly origin: string | undefined
  /** From the start of dialling to the challenge. */
  readonly challengeTimeout: Duration.Duration
  /** From our `connect` to the gateway's answer. */
  readonly helloTimeout: Duration.Duration
  /** How long a request may take when its caller does not say. */
  readonly requestTimeout: Duration.Duration
  /** Opt-in: sign our own clock, without a nonce, for a gateway that never sends a challenge. */
  readonly legacyWithoutChallenge: boolean
  /** The connection is paused from the start, until `resume`. */
  readonly paused?: boolean | undefined
  /** What a person should know about the settings; one sentence each, no secrets. */
  readonly warnings: ReadonlyArray<string>
}

/** Settings as a program gives them. Blank text counts as not set. */
export interface GatewayInput {
  readonly url?: string | undefined
  readonly token?: Redacted.Redacted | undefined
  readonly password?: Redacted.Redacted | undefined
  /** The token of a setup code, for the first connection. `SetupCode.inputsOf` gives it. `token` and `password` are not used beside it. */
  readonly bootstrapToken?: Redacted.Redacted | undefined
  /** Names in a list, or as text with commas or white space between them. */
  readonly scopes?: string | ReadonlyArray<string> | undefined
  /** `accept` connects when the gateway grants fewer scopes, `refuse` halts with `ScopesNarrowed`. */
  readonly narrowedScopes?: "accept" | "refuse" | undefined
  readonly clientId?: string | undefined
  readonly clientMode?: string | undefined
  readonly clientVersion?: string | undefined
  /** What people see the device called. */
  readonly displayName?: string | undefined
  readonly deviceFamily?: string | undefined
  /**
   * `session-scoped-events` and `tool-events` unless set; an empty list states none. With the first, a gateway from 2026.8 on tells
   * this client of no session but those that it subscribes to by `sessions.messages.subscribe`, as `TaskRunner` does for its tasks.
   */
  readonly caps?: ReadonlyArray<string> | undefined
  readonly origin?: string | undefined
  /** The one host, besides this machine, that may be reached by `ws:`. */
  readonly plaintextHost?: string | undefined
  /** Certificates of authorities in PEM, trusted besides the usual ones. */
  readonly tlsAuthorities?: string | undefined
  /** Pins as `TlsTrust.parsePins` reads them. */
  readonly tlsPins?: string | undefined
  /** `ca`, `pin` or `ca-and-pin`; `pin` where there are pins, `ca` otherwise. */
  readonly tlsTrust?: string | undefined
  /** Lines of `Name: value`, for `wss:` only. */
  readonly headers?: Redacted.Redacted | undefined
  readonly challengeTimeout?: Duration.Input | undefined
  readonly helloTimeout?: Duration.Input | undefined
  readonly requestTimeout?: Duration.Input | undefined
  readonly legacyWithoutChallenge?: boolean | undefined
}

/** Settings that cannot be used. Nothing was started, opened or written. */
export class SettingsInvalid extends Schema.TaggedError<SettingsInvalid>()("SettingsInvalid", {
  /** `setting` is the option's name where a program gave it, otherwise the flag or variable. */
  problems: Schema.Array(Schema.Struct({ setting: Schema.String, problem: Schema.String }))
}) {
  override get message(): string {
    return this.problems.map(({ problem, setting }) => `${setting}: ${problem}`).join("\n")
  }
}

/** Checks settings. Pure; reports all problems together, and never the value of a secret. */
export const check = (input: GatewayInput): Result.Result<GatewaySettings, SettingsInvalid> =>
  Result.mapError(assemble(accept(gatewayTable, input), input.caps), (problems) => new SettingsInvalid({ problems }))

/** The settings of an environment, with some of them replaced by a program's own. Fails with every problem at once. */
export const settingsOf = (
  { damaged, found, warnings }: GatewayEnvironment.GatewayEnvironment,
  own: GatewayInput = {}
): Result.Result<GatewaySettings, SettingsInvalid> => {
  const decoded = SettingSource.parse(gatewayTable, found.texts, own)
  const settings = assemble({ ...decoded, problems: [...decoded.problems, ...damaged] }, own.caps)
  if (Result.isSuccess(settings) && found.faults.length === 0) {
    return Result.succeed({ ...settings.success, warnings: [...warnings, ...settings.success.warnings] })
  }
  const problems = Result.isFailure(settings) ? settings.failure : []
  return Result.fail(
    new SettingsInvalid({ problems: SettingSource.named(gatewayTable, found, problems, own) })
  )
}

/**
 * The checked settings of one gateway. The program provides it: from values (`layer`), from a `Config` of its own
 * (`layerConfig`) or from the environment (`layerEnv`).
 */
export class GatewayConfig extends Context.Service<GatewayConfig, GatewaySettings>()(
  "effect-openclaw/handshake/GatewayConfig"
) {
  /** Settings that the program gives. Fails with every problem at once. */
  static readonly make = (input: GatewayInput): Effect.Effect<GatewaySettings, SettingsInvalid> =>
    Effect.suspend(() => Effect.fromResult(check(input)))
  static readonly layer = (input: GatewayInput): Layer.Layer<GatewayConfig, SettingsInvalid> =>
    Layer.effect(GatewayConfig, GatewayConfig.make(input))

  /**
   * The settings that are provided, of a program that offers no tools on a device that may have done so: with the family if this
   * device is known to be a node of the gateway (see `withFamily`).
   */
  static readonly layerKnown: Layer.Layer<GatewayConfig, never, DeviceIdentity | GatewayConfig | TokenStore> = Layer
    .effect(
      this,
      Effect.gen(function*() {
        const settings = yield* GatewayConfig
        const { deviceId, platform } = yield* DeviceIdentity
        const key = { gatewayScope: settings.endpoint.gatewayScope, deviceId, role: "node" as const }
        const token = yield* Effect.orElseSucceed((yield* TokenStore).get(key), () => Option.none())
        return Option.isSome(token) ? withFamily(settings, platform) : settings
      })
    )

  /** Settings from a program's own `Config`. */
  static readonly layerConfig = (
    config: Config.Wrap<GatewayInput>
  ): Layer.Layer<GatewayConfig, SettingsInvalid | Config.ConfigError> =>
    Layer.effect(GatewayConfig, Effect.flatMap(Config.unwrap(config), (input) => Effect.fromResult(check(input))))

  /**
   * Settings from the environment: each variable of `gatewayTable`, as the commands read it, too. Fails with every problem
   * at once, by the names of the variables. Warnings are logged.
   */
  static readonly layerEnv: Layer.Layer<
    GatewayConfig,
    SettingsInvalid | Config.ConfigError,
    FileSystem
  > = Layer.effect(
    GatewayConfig,
    GatewayEnvironment.read().pipe(
      Effect.flatMap((environment) => Effect.fromResult(settingsOf(environment))),
      Effect.tap(({ warnings }) =>
        Effect.forEach(
          warnings,
          (warning) => Effect.annotateLogs(Effect.logWarning("a setting needs attention"), { warning })
        )
      )
    )
  )
}

/**
 * What a client states unless it is told otherwise: it hears of the sessions that it asks for alone (2026.8 and later), and of the
 * tools that runs use.
 */
const taskCaps: ReadonlyArray<string> = ["session-scoped-events", "tool-events"]

/** The families by which a gateway knows what a node may offer. It takes a node of any other kind for one of unknown kind. */
const families: ReadonlyMap<string, DeviceFamily> = new Map([
  ["linux", DeviceFamily.make("Linux")],
  ["macos", DeviceFamily.make("Mac")],
  ["windows", DeviceFamily.make("Windows")]
])

/**
 * The same settings with the family of the device. A gateway pins the family of a node, and wants a new approval of an operator
 * of the same key that states none: so both state it. One that was approved without a family may state one later.
 */
export const withFamily = (settings: GatewaySettings, platform: string): GatewaySettings => ({
  ...settings,
  deviceFamily: settings.deviceFamily ?? families.get(platform)
})

/** The settings of the role *node*, which offers tools: same gateway, same credentials, the identity of the official node host. */
export const nodeSettings = (settings: GatewaySettings, platform: string): GatewaySettings => ({
  ...withFamily(settings, platform),
  role: "node",
  clientId: "node-host",
  clientMode: "node",
  scopes: [],
  paused: false,
  caps: ["mcp"],
  commands: [toolCommand]
})

/** Checks what depends on several settings, and puts them together. */
const assemble = (
  { given, problems, values }: Decoded<typeof gatewayTable>,
  ownCaps: ReadonlyArray<string> | undefined
): Result.Result<GatewaySettings, ReadonlyArray<Problem<keyof GatewayInput>>> => {
  const { bootstrapToken, caps, headers = [], plaintextHost, tlsAuthorities, tlsPins, tlsTrust, url, ...others } =
    values
  const endpoint = Endpoints.parse(url, { plaintextHost })
  const pinsGiven = given.has("tlsPins")
  const tls: TlsTrust.TlsTrust = {
    mode: tlsTrust ?? (pinsGiven ? "pin" : "ca"),
    pins: tlsPins ?? [],
    authorities: tlsAuthorities ?? []
  }
  const all = [
    ...problems,
    ...(Result.isFailure(endpoint) ? [{ setting: "url" as const, problem: endpoint.failure.message }] : []),
    ...contradictions(Result.getOrUndefined(endpoint), { tls, pinsGiven, headers })
  ]
  if (all.length > 0 || Result.isFailure(endpoint)) return Result.fail(all)
  const warning = Endpoints.plaintextWarning(endpoint.success)
  return Result.succeed({
    ...others,
    ...(bootstrapToken === undefined ? {} : { bootstrapToken, token: undefined, password: undefined }),
    endpoint: endpoint.success,
    tls,
    pinned: tls.mode !== "ca",
    headers,
    role: "operator",
    // An empty list is a choice, too.
    caps: caps ?? ownCaps ?? taskCaps,
    warnings: warning === undefined ? [] : [warning]
  })
}

/** Settings of the link that contradict each other, or would have no effect. */
const contradictions = (
  endpoint: Endpoint | undefined,
  { headers, pinsGiven, tls: { mode, pins } }: {
    readonly tls: TlsTrust.TlsTrust
    readonly pinsGiven: boolean
    readonly headers: ReadonlyArray<UpgradeHeader.UpgradeHeader>
  }
): ReadonlyArray<Problem<keyof GatewayInput>> => {
  const plaintext = endpoint?.url.protocol === "ws:"
  return [
    plaintext && pins.length > 0
      ? { setting: "tlsPins" as const, problem: "pins need a wss:// gateway; ws:// has no certificate" }
      : undefined,
    plaintext && headers.length > 0
      ? {
        setting: "headers" as const,
        problem: "headers are sent to a wss:// gateway only, as they may hold secrets"
      }
      : undefined,
    pinsGiven && mode === "ca"
      ? { setting: "tlsTrust" as const, problem: "ca would leave the pins unused; take pin or ca-and-pin" }
      : undefined,
    !pinsGiven && mode !== "ca" ? { setting: "tlsTrust" as const, problem: `${mode} needs pins` } : undefined
  ].filter((problem) => problem !== undefined)
}
