/**
 * What the commands may be told, and from where: flags, then environment variables, then defaults.
 *
 * `table` is the one list of them; the README's table is made from it. Everything is checked before anything starts, and
 * every bad value is named with what it should be. A blank value counts as not set; values are trimmed; `~` is expanded.
 */
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { GatewayInput, GatewaySettings } from "../handshake/GatewayConfig.ts"
import { check, defaults, SettingsInvalid } from "../handshake/GatewayConfig.ts"
import * as GatewayFiles from "../handshake/GatewayFiles.ts"
import type { StateDirectoryUnknown, StateFiles } from "../storage/StateDirectory.ts"
import { defaultDirectory, reserved, stateFiles } from "../storage/StateDirectory.ts"

export interface Row {
  readonly flag: string | undefined
  readonly variable: string
  readonly default: string
  readonly range: string
  readonly about: string
}

const times = {
  challengeTimeout: {
    variable: "OPENCLAW_GATEWAY_CHALLENGE_TIMEOUT",
    default: defaults.challengeTimeout,
    least: "1 second",
    most: "120 seconds",
    about: "from dialling to the gateway's challenge"
  },
  requestTimeout: {
    variable: "OPENCLAW_GATEWAY_REQUEST_TIMEOUT",
    default: defaults.requestTimeout,
    least: "1 second",
    most: "600 seconds",
    about: "for one request to be answered"
  },
  taskTimeout: {
    flag: "--timeout",
    variable: "OPENCLAW_TASK_TIMEOUT",
    default: "180 seconds",
    least: "1 second",
    most: "24 hours",
    about: "for one task to be done, once it can be sent"
  },
  reminderInterval: {
    variable: "OPENCLAW_PAIRING_REMINDER_INTERVAL",
    default: "30 seconds",
    least: "1 second",
    most: "1 hour",
    about: "between reminders of a pending approval"
  }
} as const

const reminders = { variable: "OPENCLAW_PAIRING_REMINDERS", default: 2, least: 0, most: 10 } as const

const narrowedScopes = ["accept", "refuse"] as const

export const defaultSessionKey = "agent:main:main"

export const table: ReadonlyArray<Row> = [
  {
    flag: "--gateway-url",
    variable: "OPENCLAW_GATEWAY_URL",
    default: defaults.url,
    range: "ws:// to this machine, wss:// anywhere",
    about: "the gateway; a bare run without it starts one of its own"
  },
  {
    flag: undefined,
    variable: "OPENCLAW_GATEWAY_TOKEN",
    default: "",
    range: "no pipe sign, no control characters",
    about: "the gateway's shared token"
  },
  {
    flag: undefined,
    variable: "OPENCLAW_GATEWAY_PASSWORD",
    default: "",
    range: "any text",
    about: "the gateway's password; a token wins over it"
  },
  {
    flag: undefined,
    variable: "OPENCLAW_GATEWAY_SCOPES",
    default: defaults.scopes.join(","),
    range: "names with commas between them",
    about: "what the device asks to be allowed"
  },
  {
    flag: undefined,
    variable: "OPENCLAW_GATEWAY_NARROWED_SCOPES",
    default: "accept",
    range: narrowedScopes.join(" or "),
    about: "whether to connect when fewer were granted"
  },
  {
    flag: undefined,
    variable: "OPENCLAW_GATEWAY_CLIENT_ID",
    default: defaults.clientId,
    range: "OpenClaw's closed list of client ids",
    about: "what the client says it is"
  },
  {
    flag: undefined,
    variable: "OPENCLAW_GATEWAY_CLIENT_MODE",
    default: defaults.clientMode,
    range: "OpenClaw's closed list of client modes",
    about: "how the client says it runs"
  },
  {
    flag: undefined,
    variable: "OPENCLAW_GATEWAY_ORIGIN",
    default: "",
    range: "http or https origin, no path",
    about: "sent as Origin; leave it unset unless a gateway demands one"
  },
  {
    flag: undefined,
    variable: "OPENCLAW_GATEWAY_PLAINTEXT_HOST",
    default: "",
    range: "one host name or address",
    about: "the one other host that ws:// may go to, unencrypted"
  },
  {
    flag: undefined,
    variable: "OPENCLAW_GATEWAY_CA_FILE",
    default: "",
    range: "certificates in PEM",
    about: "authorities to trust besides those of Node and the system"
  },
  {
    flag: undefined,
    variable: "OPENCLAW_GATEWAY_TLS_PINS",
    default: "",
    range: "`sha256:AB:CD:...` or `sha256//...`, with commas",
    about: "the gateway's certificate or public key, checked first"
  },
  {
    flag: undefined,
    variable: "OPENCLAW_GATEWAY_TLS_TRUST",
    default: "",
    range: "`ca`, `pin` or `ca-and-pin`",
    about: "what must hold: the pin if there is one, otherwise the CA"
  },
  {
    flag: undefined,
    variable: "OPENCLAW_GATEWAY_HEADERS",
    default: "",
    range: "lines of `Name: value`; also with `_FILE`",
    about: "sent with the request, over wss:// only"
  },
  {
    flag: undefined,
    variable: "OPENCLAW_GATEWAY_DEVICE_IDENTITY_PATH",
    default: "identity.json in the state directory",
    range: "a file of this program",
    about: "where the device identity is kept"
  },
  {
    flag: undefined,
    variable: "OPENCLAW_DEVICE_IDENTITY_PASSPHRASE",
    default: "",
    range: "any text; also with `_FILE` or `_FD`",
    about: "opens the identity; a new one is encrypted with it"
  },
  {
    flag: undefined,
    variable: "OPENCLAW_DEVICE_IDENTITY_NEW_PASSPHRASE",
    default: "",
    range: "any text; also with `_FILE` or `_FD`",
    about: "the next one, for identity change-passphrase"
  },
  {
    flag: undefined,
    variable: "OPENCLAW_DEVICE_IDENTITY_SEED",
    default: "",
    range: "32 bytes in hex or base64; also with `_FILE` or `_FD`",
    about: "the private key itself; no file is used then"
  },
  {
    flag: undefined,
    variable: "OPENCLAW_DEVICE_IDENTITY_PEM",
    default: "",
    range: "an Ed25519 key in PKCS#8; also with `_FILE` or `_FD`",
    about: "the same in another form; set one of the two"
  },
  {
    flag: "--state-dir",
    variable: "OPENCLAW_DEVICE_STATE_DIR",
    default: "the platform's place for state",
    range: "a directory only you may write",
    about: "identity, device tokens, running gateway"
  },
  {
    flag: "--session",
    variable: "OPENCLAW_CHAT_SESSION_KEY",
    default: defaultSessionKey,
    range: "a session key of the gateway",
    about: "the conversation that tasks go to"
  },
  ...Object.values(times).map((time) => ({
    flag: "flag" in time ? time.flag : undefined,
    variable: time.variable,
    default: time.default,
    range: `${time.least} to ${time.most}`,
    about: time.about
  })),
  {
    flag: undefined,
    variable: reminders.variable,
    default: String(reminders.default),
    range: `${reminders.least} to ${reminders.most}`,
    about: "how often to remind of one approval"
  }
]

/** The table as the README shows it. */
export const markdown = (): string =>
  [
    "| flag | variable | default | range | what it is |",
    "| --- | --- | --- | --- | --- |",
    ...table.map((row) =>
      `| ${row.flag === undefined ? "" : `\`${row.flag}\``} | \`${row.variable}\` | ${
        row.default === "" ? "" : `\`${row.default}\``
      } | ${row.range} | ${row.about} |`
    )
  ].join("\n")

/** What the flags said. */
export interface Flags {
  readonly gatewayUrl: Option.Option<string>
  readonly stateDir: Option.Option<string>
  readonly session?: Option.Option<string>
}

/** Checked settings of a command. */
export interface Settings {
  /** Present when a flag or a variable names the gateway. */
  readonly urlGiven: boolean
  readonly gateway: GatewaySettings
  /** The same settings with some of them replaced, for example by those of an embedded gateway. */
  readonly gatewayWith: (other: GatewayInput) => Result.Result<GatewaySettings, SettingsInvalid>
  readonly files: StateFiles
  readonly identityPath: string
  /** An identity of OpenClaw or TEN that may be read, and is never written. */
  readonly foreignIdentityPath: string | undefined
  readonly sessionKey: string
  readonly taskTimeout: Duration.Duration
  readonly reminderInterval: Duration.Duration
  readonly reminders: number
  /** What a person should know about the settings; one sentence each, no secrets. */
  readonly warnings: ReadonlyArray<string>
}

/** Client ids of browsers. With them come Origin checks and a demand for one exact build of the Control UI. */
const browserIds: ReadonlySet<string> = new Set(["openclaw-control-ui", "webchat-ui", "webchat"])

export const read = Effect.fn("Settings.read")(function*(
  flags: Flags,
  host: { readonly platform: string }
): Effect.fn.Return<
  Settings,
  SettingsInvalid | StateDirectoryUnknown | Config.ConfigError,
  FileSystem.FileSystem | Path.Path
> {
  const path = yield* Path.Path
  const { headers, password, token, values: env } = yield* environment
  const problems: Array<{ setting: string; problem: string }> = []
  const warnings: Array<string> = []
  const home = env.HOME ?? env.USERPROFILE
  const expanded = (value: string | undefined) =>
    value === undefined
      ? undefined
      : path.resolve(home === undefined ? value : value.replace(/^~(?=$|[\\/])/, () => home))

  const directory = expanded(given(flags.stateDir) ?? env.OPENCLAW_DEVICE_STATE_DIR)
    ?? (yield* Effect.fromResult(defaultDirectory({ platform: host.platform, environment: env })))
  const files = stateFiles(directory, host.platform)

  const foreign = expanded(env.OPENCLAW_GATEWAY_DEVICE_IDENTITY_PATH)
  const isForeign = foreign !== undefined && Option.isSome(reserved(foreign, expanded(env.OPENCLAW_STATE_DIR)))
  if (isForeign) {
    warnings.push(
      "OPENCLAW_GATEWAY_DEVICE_IDENTITY_PATH names a file that belongs to OpenClaw; it is read once, to take its identity"
        + ` over, and never written. This program's own file is ${files.identity}.`
    )
  }

  const clientId = env.OPENCLAW_GATEWAY_CLIENT_ID
  const asBrowser = clientId !== undefined && browserIds.has(clientId)
  if (asBrowser) {
    warnings.push(
      `OPENCLAW_GATEWAY_CLIENT_ID=${clientId} is for browsers; this program connects as ${defaults.clientId}, which needs no`
        + " Origin and no Control UI build."
    )
  }
  const mode = env.OPENCLAW_GATEWAY_CLIENT_MODE
  if (asBrowser && mode !== undefined && mode !== defaults.clientMode) {
    warnings.push(
      `OPENCLAW_GATEWAY_CLIENT_MODE=${mode} belongs to that browser client; this program uses ${defaults.clientMode}.`
    )
  }
  if (asBrowser && env.OPENCLAW_GATEWAY_ORIGIN !== undefined) {
    warnings.push("OPENCLAW_GATEWAY_ORIGIN is not sent: only browsers have an Origin, and gateways check it.")
  }
  if (token !== undefined && password !== undefined) {
    warnings.push("OPENCLAW_GATEWAY_TOKEN and OPENCLAW_GATEWAY_PASSWORD are both set; the token is used.")
  }

  const time = (key: keyof typeof times): Duration.Duration => {
    const { least, most, variable, ...row } = times[key]
    const parsed = parseTime(key, env[variable] ?? row.default)
    if (Option.isSome(parsed)) return parsed.value
    problems.push({ setting: variable, problem: `must be a time from ${least} to ${most}, written like "15 seconds"` })
    return Duration.fromInputUnsafe(row.default)
  }
  const count = (): number => {
    const text = env[reminders.variable]
    const value = text === undefined ? reminders.default : Number(text)
    if (Number.isInteger(value) && value >= reminders.least && value <= reminders.most) return value
    problems.push({
      setting: reminders.variable,
      problem: `must be a whole number from ${reminders.least} to ${reminders.most}`
    })
    return reminders.default
  }

  const kept = yield* GatewayFiles.read({
    caFile: expanded(env.OPENCLAW_GATEWAY_CA_FILE),
    headersFile: expanded(env.OPENCLAW_GATEWAY_HEADERS_FILE),
    headers
  })
  for (const { problem, setting } of kept.problems) problems.push({ setting: variableOf[setting] ?? setting, problem })
  const narrowed = narrowedScopes.find((choice) => choice === (env.OPENCLAW_GATEWAY_NARROWED_SCOPES ?? "accept"))
  if (narrowed === undefined) {
    problems.push({
      setting: "OPENCLAW_GATEWAY_NARROWED_SCOPES",
      problem: `must be ${narrowedScopes.join(" or ")}`
    })
  }

  const url = given(flags.gatewayUrl) ?? env.OPENCLAW_GATEWAY_URL
  const input: GatewayInput = {
    url,
    token,
    password: token === undefined ? password : undefined,
    scopes: env.OPENCLAW_GATEWAY_SCOPES,
    narrowedScopes: narrowed,
    clientId: asBrowser ? undefined : clientId,
    clientMode: asBrowser ? undefined : mode,
    origin: asBrowser ? undefined : env.OPENCLAW_GATEWAY_ORIGIN,
    plaintextHost: env.OPENCLAW_GATEWAY_PLAINTEXT_HOST,
    tlsPins: env.OPENCLAW_GATEWAY_TLS_PINS,
    tlsTrust: env.OPENCLAW_GATEWAY_TLS_TRUST,
    tlsAuthorities: kept.tlsAuthorities,
    headers: kept.headers,
    challengeTimeout: time("challengeTimeout"),
    requestTimeout: time("requestTimeout")
  }
  const taskTimeout = time("taskTimeout")
  const reminderInterval = time("reminderInterval")
  const reminderCount = count()
  const gateway = check(input)
  if (Result.isFailure(gateway)) {
    for (const { problem, setting } of gateway.failure.problems) {
      problems.push({ setting: variableOf[setting] ?? setting, problem })
    }
  }
  if (problems.length > 0 || Result.isFailure(gateway)) return yield* new SettingsInvalid({ problems })
  return {
    urlGiven: url !== undefined,
    gateway: gateway.success,
    gatewayWith: (other) => check({ ...input, ...other }),
    files,
    identityPath: foreign === undefined || isForeign ? files.identity : foreign,
    foreignIdentityPath: isForeign ? foreign : undefined,
    sessionKey: given(flags.session ?? Option.none()) ?? env.OPENCLAW_CHAT_SESSION_KEY ?? defaultSessionKey,
    taskTimeout,
    reminderInterval,
    reminders: reminderCount,
    warnings: [...warnings, ...gateway.success.warnings]
  }
})

const variableOf: Readonly<Record<string, string>> = {
  url: "OPENCLAW_GATEWAY_URL (--gateway-url)",
  token: "OPENCLAW_GATEWAY_TOKEN",
  password: "OPENCLAW_GATEWAY_PASSWORD",
  scopes: "OPENCLAW_GATEWAY_SCOPES",
  clientId: "OPENCLAW_GATEWAY_CLIENT_ID",
  clientMode: "OPENCLAW_GATEWAY_CLIENT_MODE",
  origin: "OPENCLAW_GATEWAY_ORIGIN",
  caFile: "OPENCLAW_GATEWAY_CA_FILE",
  tlsAuthorities: "OPENCLAW_GATEWAY_CA_FILE",
  tlsPins: "OPENCLAW_GATEWAY_TLS_PINS",
  tlsTrust: "OPENCLAW_GATEWAY_TLS_TRUST",
  headers: "OPENCLAW_GATEWAY_HEADERS",
  headersFile: "OPENCLAW_GATEWAY_HEADERS_FILE"
}

const notBlank = (text: string): boolean => text.trim() !== ""
const given = (flag: Option.Option<string>): string | undefined =>
  Option.getOrUndefined(Option.filter(Option.map(flag, (text) => text.trim()), notBlank))

/** Effect's own notation, such as `15 seconds`, within the setting's range. A bare number does not say its unit. */
const parseTime = (key: keyof typeof times, text: string): Option.Option<Duration.Duration> =>
  /[a-z]/.test(text)
    ? Option.filter(
      decodeTime(text),
      Duration.between({
        minimum: Duration.fromInputUnsafe(times[key].least),
        maximum: Duration.fromInputUnsafe(times[key].most)
      })
    )
    : Option.none()

/** The time for one task, as a flag may say it. */
export const taskTime = {
  least: times.taskTimeout.least,
  most: times.taskTimeout.most,
  parse: (text: string) => parseTime("taskTimeout", text.trim())
}
const decodeTime = Schema.decodeUnknownOption(Schema.DurationFromString)

const names = [
  "HOME",
  "USERPROFILE",
  "XDG_STATE_HOME",
  "LOCALAPPDATA",
  "OPENCLAW_STATE_DIR",
  "OPENCLAW_GATEWAY_URL",
  "OPENCLAW_GATEWAY_SCOPES",
  "OPENCLAW_GATEWAY_NARROWED_SCOPES",
  "OPENCLAW_GATEWAY_CLIENT_ID",
  "OPENCLAW_GATEWAY_CLIENT_MODE",
  "OPENCLAW_GATEWAY_ORIGIN",
  "OPENCLAW_GATEWAY_PLAINTEXT_HOST",
  "OPENCLAW_GATEWAY_CA_FILE",
  "OPENCLAW_GATEWAY_TLS_PINS",
  "OPENCLAW_GATEWAY_TLS_TRUST",
  "OPENCLAW_GATEWAY_HEADERS_FILE",
  "OPENCLAW_GATEWAY_DEVICE_IDENTITY_PATH",
  "OPENCLAW_DEVICE_STATE_DIR",
  "OPENCLAW_CHAT_SESSION_KEY",
  "OPENCLAW_GATEWAY_CHALLENGE_TIMEOUT",
  "OPENCLAW_GATEWAY_REQUEST_TIMEOUT",
  "OPENCLAW_TASK_TIMEOUT",
  "OPENCLAW_PAIRING_REMINDER_INTERVAL",
  "OPENCLAW_PAIRING_REMINDERS"
] as const

/** The variables that are read, trimmed, without blank ones. Secrets stay redacted from the first moment on. */
const environment = Effect.gen(function*() {
  const read: Partial<Record<(typeof names)[number], string>> = {}
  for (const name of names) {
    const value = Option.filter(yield* Config.option(Config.String(name)), notBlank)
    if (Option.isSome(value)) read[name] = value.value.trim()
  }
  const secret = (name: string) =>
    Effect.map(
      Config.option(Config.Redacted(name)),
      (value) => Option.getOrUndefined(Option.filter(value, (redacted) => notBlank(Redacted.value(redacted))))
    )
  return {
    values: read,
    token: yield* secret("OPENCLAW_GATEWAY_TOKEN"),
    password: yield* secret("OPENCLAW_GATEWAY_PASSWORD"),
    headers: yield* secret("OPENCLAW_GATEWAY_HEADERS")
  }
})
