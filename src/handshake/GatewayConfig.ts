/**
 * Which gateway, as whom, with which credential: checked as a whole before anything starts.
 *
 * Settings come in as text, as they stand in an environment or on a command line. Every bad value is named at once, with
 * what it should be; a blank value counts as not set.
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Endpoint } from "../link/Endpoint.ts"
import * as Endpoints from "../link/Endpoint.ts"
import * as TlsTrust from "../link/TlsTrust.ts"
import * as UpgradeHeader from "../link/UpgradeHeader.ts"
import type { Role } from "../protocol/Connect.ts"
import { AuthToken, ClientId, ClientMode, DeviceFamily, DisplayName, ScopeName } from "../protocol/Connect.ts"
import * as GatewayFiles from "./GatewayFiles.ts"
import { packageVersion } from "./PackageVersion.ts"

/** Checked settings. */
export interface GatewaySettings {
  readonly endpoint: Endpoint
  /** By what a `wss:` gateway is recognised. */
  readonly tls: TlsTrust.TlsTrust
  /** The gateway is recognised by its certificate or key, which nobody in between can have. */
  readonly pinned: boolean
  /** Sent with the WebSocket's HTTP request. None on `ws:`. */
  readonly headers: ReadonlyArray<UpgradeHeader.UpgradeHeader>
  readonly token: Redacted.Redacted<AuthToken> | undefined
  readonly password: Redacted.Redacted | undefined
  readonly clientId: ClientId
  readonly clientMode: ClientMode
  readonly clientVersion: string
  readonly displayName: DisplayName | undefined
  readonly deviceFamily: DeviceFamily | undefined
  readonly role: Role
  readonly scopes: ReadonlyArray<ScopeName>
  readonly caps: ReadonlyArray<string>
  /**
   * What a grant of fewer scopes than asked means: `accept` connects with them, `refuse` halts with `ScopesNarrowed`. A grant
   * of none of them is always refused.
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
  /** What a person should know about the settings; one sentence each, no secrets. */
  readonly warnings: ReadonlyArray<string>
}

/** Settings as a person writes them. Blank text counts as absent. */
export interface GatewayInput {
  readonly url?: string | undefined
  readonly token?: Redacted.Redacted | undefined
  readonly password?: Redacted.Redacted | undefined
  readonly scopes?: string | ReadonlyArray<string> | undefined
  readonly clientId?: string | undefined
  readonly clientMode?: string | undefined
  readonly clientVersion?: string | undefined
  readonly displayName?: string | undefined
  readonly deviceFamily?: string | undefined
  readonly caps?: ReadonlyArray<string> | undefined
  readonly narrowedScopes?: "accept" | "refuse" | undefined
  readonly origin?: string | undefined
  /** The one host, besides this machine, that may be reached by `ws:`. */
  readonly plaintextHost?: string | undefined
  /** Pins as `TlsTrust.parsePins` reads them. */
  readonly tlsPins?: string | undefined
  /** `ca`, `pin` or `ca-and-pin`; `pin` where there are pins, `ca` otherwise. */
  readonly tlsTrust?: string | undefined
  /** Certificates of authorities in PEM, trusted besides the usual ones. */
  readonly tlsAuthorities?: string | undefined
  /** Lines of `Name: value`, for `wss:` only. */
  readonly headers?: Redacted.Redacted | undefined
  readonly challengeTimeout?: Duration.Input | undefined
  readonly helloTimeout?: Duration.Input | undefined
  readonly requestTimeout?: Duration.Input | undefined
  readonly legacyWithoutChallenge?: boolean | undefined
}

/** What holds when nothing is set. A change here is a change for every user: the README lists it under "Changes". */
export const defaults = {
  url: "ws://127.0.0.1:18789",
  scopes: ["operator.read", "operator.write"],
  clientId: "gateway-client",
  clientMode: "backend",
  clientVersion: packageVersion,
  challengeTimeout: "15 seconds",
  helloTimeout: "15 seconds",
  requestTimeout: "30 seconds"
} as const

/** Settings that cannot be used. Nothing was started, opened or written. */
export class SettingsInvalid extends Schema.TaggedError<SettingsInvalid>()("SettingsInvalid", {
  problems: Schema.Array(Schema.Struct({ setting: Schema.String, problem: Schema.String }))
}) {
  override get message(): string {
    return this.problems.map(({ problem, setting }) => `${setting}: ${problem}`).join("\n")
  }
}

/** Checks settings. Pure; reports all problems together, and never the value of a secret. */
export const check = (input: GatewayInput): Result.Result<GatewaySettings, SettingsInvalid> => {
  const problems: Array<{ setting: string; problem: string }> = []
  const accept = <A, E extends { readonly message: string }>(setting: string, result: Result.Result<A, E>) => {
    if (Result.isSuccess(result)) return result.success
    problems.push({ setting, problem: result.failure.message.replace(/\s*\n\s*/g, "; ") })
    return undefined
  }
  const secret = (value: Redacted.Redacted | undefined) =>
    value === undefined ? undefined : blank(Redacted.value(value))
  const optional = <A>(
    setting: string,
    value: string | undefined,
    decode: (value: string) => Result.Result<A, { readonly message: string }>
  ) => value === undefined ? undefined : accept(setting, decode(value))
  const duration = (setting: string, value: Duration.Input) => {
    const parsed = Duration.fromInput(value)
    const ok = Option.isSome(parsed) && Duration.isFinite(parsed.value) && Duration.toMillis(parsed.value) >= 1
    if (!ok) problems.push({ setting, problem: 'must be a time of at least one millisecond, like "15 seconds"' })
    return ok ? parsed.value : undefined
  }

  const endpoint = accept(
    "url",
    Endpoints.parse(blank(input.url) ?? defaults.url, { plaintextHost: input.plaintextHost })
  )
  const tokenText = secret(input.token)
  const token = optional("token", tokenText, decodeToken)
  const passwordText = secret(input.password)
  const clientId = accept("clientId", decodeClientId(blank(input.clientId) ?? defaults.clientId))
  const clientMode = accept("clientMode", decodeClientMode(blank(input.clientMode) ?? defaults.clientMode))
  const displayName = optional("displayName", blank(input.displayName), decodeDisplayName)
  const deviceFamily = optional("deviceFamily", blank(input.deviceFamily), decodeDeviceFamily)
  const origin = optional("origin", blank(input.origin), parseOrigin)
  const pinsText = blank(input.tlsPins)
  const pins = optional("tlsPins", pinsText, TlsTrust.parsePins) ?? []
  const authorities = optional("tlsAuthorities", blank(input.tlsAuthorities), TlsTrust.parseAuthorities) ?? []
  const mode = optional("tlsTrust", blank(input.tlsTrust), decodeTrust) ?? (pinsText === undefined ? "ca" : "pin")
  const headers = input.headers === undefined
    ? []
    : accept("headers", UpgradeHeader.parse(Redacted.value(input.headers))) ?? []
  problems.push(...contradictions(endpoint, { mode, pins, pinsGiven: pinsText !== undefined, headers }))
  const scopes = accept("scopes", decodeScopes(listed(input.scopes) ?? defaults.scopes))
  const challengeTimeout = duration("challengeTimeout", input.challengeTimeout ?? defaults.challengeTimeout)
  const helloTimeout = duration("helloTimeout", input.helloTimeout ?? defaults.helloTimeout)
  const requestTimeout = duration("requestTimeout", input.requestTimeout ?? defaults.requestTimeout)

  if (
    problems.length > 0 || endpoint === undefined || clientId === undefined || clientMode === undefined
    || scopes === undefined || challengeTimeout === undefined || helloTimeout === undefined
    || requestTimeout === undefined
  ) {
    return Result.fail(new SettingsInvalid({ problems }))
  }
  return Result.succeed({
    endpoint,
    tls: { mode, pins, authorities },
    pinned: mode !== "ca",
    headers,
    token: token === undefined ? undefined : Redacted.make(token, { label: "token" }),
    password: passwordText === undefined ? undefined : Redacted.make(passwordText, { label: "password" }),
    clientId,
    clientMode,
    clientVersion: blank(input.clientVersion) ?? defaults.clientVersion,
    displayName,
    deviceFamily,
    role: "operator",
    scopes,
    caps: input.caps ?? [],
    narrowedScopes: input.narrowedScopes ?? "accept",
    origin,
    challengeTimeout,
    helloTimeout,
    requestTimeout,
    legacyWithoutChallenge: input.legacyWithoutChallenge ?? false,
    warnings: [Endpoints.plaintextWarning(endpoint)].filter((warning) => warning !== undefined)
  })
}

export class GatewayConfig extends Context.Service<GatewayConfig, GatewaySettings>()(
  "effect-openclaw/handshake/GatewayConfig"
) {
  /** Settings from the program's own text. Fails with every problem at once. */
  static readonly layer = (input: GatewayInput): Layer.Layer<GatewayConfig, SettingsInvalid> =>
    Layer.effect(GatewayConfig, Effect.fromResult(check(input)))

  static readonly layerConfig = (
    config: Config.Config<GatewayInput>
  ): Layer.Layer<GatewayConfig, SettingsInvalid | Config.ConfigError> =>
    Layer.effect(GatewayConfig, Effect.flatMap(config, (input) => Effect.fromResult(check(input))))

  /**
   * Reads `OPENCLAW_GATEWAY_URL`, `_TOKEN`, `_PASSWORD`, `_SCOPES`, `_CLIENT_ID`, `_CLIENT_MODE`, `_ORIGIN`,
   * `_PLAINTEXT_HOST`, `_TLS_PINS`, `_TLS_TRUST` and `_HEADERS`, and the files that `_CA_FILE` and `_HEADERS_FILE` name.
   */
  static readonly layerEnv: Layer.Layer<
    GatewayConfig,
    SettingsInvalid | Config.ConfigError,
    FileSystem.FileSystem
  > = Layer.effect(
    GatewayConfig,
    Effect.gen(function*() {
      const { caFile, headersFile, ...input } = yield* environment
      const { problems, ...read } = yield* GatewayFiles.read({
        caFile: blank(caFile),
        headersFile: blank(headersFile),
        headers: input.headers
      })
      const checked = check({ ...input, ...read })
      const all = [...problems, ...(Result.isFailure(checked) ? checked.failure.problems : [])]
      return Result.isFailure(checked) || all.length > 0
        ? yield* new SettingsInvalid({ problems: all })
        : checked.success
    })
  )
}

const environment = Config.all({
  url: setting(Config.String("URL")),
  token: setting(Config.Redacted("TOKEN")),
  password: setting(Config.Redacted("PASSWORD")),
  scopes: setting(Config.String("SCOPES")),
  clientId: setting(Config.String("CLIENT_ID")),
  clientMode: setting(Config.String("CLIENT_MODE")),
  origin: setting(Config.String("ORIGIN")),
  plaintextHost: setting(Config.String("PLAINTEXT_HOST")),
  tlsPins: setting(Config.String("TLS_PINS")),
  tlsTrust: setting(Config.String("TLS_TRUST")),
  headers: setting(Config.Redacted("HEADERS")),
  caFile: setting(Config.String("CA_FILE")),
  headersFile: setting(Config.String("HEADERS_FILE"))
}).pipe(Config.nested("OPENCLAW_GATEWAY"))

function setting<A>(config: Config.Config<A>): Config.Config<A | undefined> {
  return Config.map(Config.option(config), Option.getOrUndefined)
}

const blank = (value: string | undefined): string | undefined => {
  const trimmed = value?.trim()
  return trimmed === undefined || trimmed === "" ? undefined : trimmed
}

/** Scopes as a list, or as text separated by commas or white space. */
const listed = (value: string | ReadonlyArray<string> | undefined): ReadonlyArray<string> | undefined => {
  const parts = (typeof value === "string" ? value.split(/[\s,]+/) : value)?.map((part) => part.trim()).filter((part) =>
    part !== ""
  )
  return parts === undefined || parts.length === 0 ? undefined : parts
}

const decodeToken = Schema.decodeUnknownResult(AuthToken)
const decodeClientId = Schema.decodeUnknownResult(ClientId)
const decodeClientMode = Schema.decodeUnknownResult(ClientMode)
const decodeDisplayName = Schema.decodeUnknownResult(DisplayName)
const decodeDeviceFamily = Schema.decodeUnknownResult(DeviceFamily)
const decodeScopes = Schema.decodeUnknownResult(Schema.Array(ScopeName))

/** Settings of the link that would have no effect, or another one than they seem to. */
const contradictions = (
  endpoint: Endpoint | undefined,
  { headers, mode, pins, pinsGiven }: {
    readonly mode: TlsTrust.TlsTrust["mode"]
    readonly pins: ReadonlyArray<TlsTrust.Pin>
    readonly pinsGiven: boolean
    readonly headers: ReadonlyArray<UpgradeHeader.UpgradeHeader>
  }
): ReadonlyArray<{ readonly setting: string; readonly problem: string }> => {
  const plaintext = endpoint?.url.protocol === "ws:"
  return [
    plaintext && pins.length > 0
      ? { setting: "tlsPins", problem: "pins need a wss:// gateway; ws:// has no certificate" }
      : undefined,
    plaintext && headers.length > 0
      ? { setting: "headers", problem: "headers are sent to a wss:// gateway only, as they may hold secrets" }
      : undefined,
    pinsGiven && mode === "ca"
      ? { setting: "tlsTrust", problem: "ca would leave the pins unused; take pin or ca-and-pin" }
      : undefined,
    !pinsGiven && mode !== "ca" ? { setting: "tlsTrust", problem: `${mode} needs pins` } : undefined
  ].filter((problem) => problem !== undefined)
}

const decodeTrust = (text: string): Result.Result<TlsTrust.TlsTrust["mode"], { readonly message: string }> =>
  text === "ca" || text === "pin" || text === "ca-and-pin"
    ? Result.succeed(text)
    : Result.fail({ message: "must be ca, pin or ca-and-pin" })

const parseOrigin = (value: string): Result.Result<string, { readonly message: string }> =>
  URL.canParse(value) && /^https?:$/.test(new URL(value).protocol) && new URL(value).origin === value
    ? Result.succeed(value)
    : Result.fail({ message: "must be an origin like https://agent.example:8443: http or https, no path" })
