/**
 * What a client sends in `connect`, and what the gateway answers when it lets the client in.
 *
 * Every text field that takes part in the signed proof is a branded type. The gateway rebuilds the signed text by joining
 * these fields with `|` (and scopes with `,`), so a field that held a delimiter could be read in two ways; such a value
 * cannot be constructed.
 */
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Bounds from "./Bounds.ts"
import { field, lengths } from "./OutsideText.ts"
import * as Shared from "./Shared.ts"

/** Characters that no signed field may hold: controls, invisible format characters, line separators, lone surrogates. */
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u

const signedText = (what: string, forbidden: ReadonlyArray<string>) =>
  Schema.makeFilter<string>((value) => {
    if (value.length === 0) return `${what} must not be empty`
    if (value !== value.trim()) return `${what} must not begin or end with white space`
    const delimiter = forbidden.find((character) => value.includes(character))
    if (delimiter !== undefined) return `${what} must not contain "${delimiter}", which delimits the signed text`
    return unprintable.test(value) ? `${what} must not contain control characters` : undefined
  })

const SignedField = (what: string) => Schema.String.check(signedText(what, ["|", ","]))

/** Lower-case hex SHA-256 of the raw 32-byte Ed25519 public key: 64 characters. */
export const DeviceId = Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/)).pipe(Schema.brand("DeviceId"))
export type DeviceId = typeof DeviceId.Type

/** The gateway's challenge nonce. Real gateways send a UUID; anything that is safe to sign is accepted. */
export const Nonce = SignedField("nonce").pipe(Schema.brand("Nonce"))
export type Nonce = typeof Nonce.Type

/** One scope, for example `operator.read`. Unknown names are allowed: gateways add scopes. */
export const ScopeName = SignedField("scope").pipe(Schema.brand("ScopeName"))
export type ScopeName = typeof ScopeName.Type

/**
 * A coarse, constant platform name such as `linux`. Gateways pin it at pairing and ask for a new approval when it changes,
 * so it must never carry an operating system version.
 */
export const PlatformName = SignedField("platform").pipe(Schema.brand("PlatformName"))
export type PlatformName = typeof PlatformName.Type

/** Optional family of the device, for example `iPhone`. Signed lower-cased in proof version 3. */
export const DeviceFamily = SignedField("device family").pipe(Schema.brand("DeviceFamily"))
export type DeviceFamily = typeof DeviceFamily.Type

/** What people see this device called, for example `agent@host`. Not signed. */
export const DisplayName = Schema.String.check(signedText("display name", [])).pipe(Schema.brand("DisplayName"))
export type DisplayName = typeof DisplayName.Type

/** A token as it is sent and signed. It may hold a comma but no `|`, as the gateway joins the signed text with `|`. */
export const AuthToken = Schema.String.check(signedText("token", ["|"])).pipe(Schema.brand("AuthToken"))
export type AuthToken = typeof AuthToken.Type

/** A token that a gateway issues. A longer one would leave too little room in a `connect`, which has at most 64 KiB. */
export const DeviceToken = AuthToken.check(Schema.isMaxLength(8192))

/** The closed list of client ids that gateways accept. An invented one is refused by every release. */
export const ClientId = Schema.Literals([
  "webchat-ui",
  "openclaw-control-ui",
  "openclaw-browser-copilot",
  "openclaw-tui",
  "webchat",
  "cli",
  "gateway-client",
  "openclaw-macos",
  "openclaw-linux",
  "openclaw-ios",
  "openclaw-watchos",
  "openclaw-android",
  "node-host",
  "openclaw-worker",
  "test",
  "fingerprint",
  "openclaw-probe"
])
export type ClientId = typeof ClientId.Type

/** The closed list of client modes. The vendor's example uses `operator`, which is not in it. */
export const ClientMode = Schema.Literals(["webchat", "cli", "ui", "backend", "node", "worker", "probe", "test"])
export type ClientMode = typeof ClientMode.Type

/**
 * The roles that a gateway knows. This program connects as `operator`, and as a `node` where it offers tools to the gateway's
 * agent.
 */
export const Role = Schema.Literals(["operator", "node", "worker"])
export type Role = typeof Role.Type

/** The command by which a gateway calls the tools of a node. One approval of it covers all tools, present and later ones. */
export const toolCommand = "mcp.tools.call.v1"

/** Operator scopes that OpenClaw publishes. `operator.admin` satisfies all; `operator.write` satisfies read and talk. */
export const knownScopes = [
  "operator.read",
  "operator.write",
  "operator.admin",
  "operator.approvals",
  "operator.questions",
  "operator.pairing",
  "operator.talk",
  "operator.talk.secrets"
] as const

/** Whether granted scopes satisfy one: admin all of an operator's, write also read and talk (OpenClaw docs, scopes). */
export const covers = (granted: ReadonlyArray<string>, scope: string): boolean =>
  granted.includes(scope)
  || (scope.startsWith("operator.") && granted.includes("operator.admin"))
  || ((scope === "operator.read" || scope === "operator.talk") && granted.includes("operator.write"))

/** A pairing request id that is safe to show and to put on a command line. Anything else from the wire is not an id. */
export const RequestId = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/)).pipe(
  Schema.brand("RequestId")
)
export type RequestId = typeof RequestId.Type

/** The lowest and highest protocol this client speaks. `3..4` is accepted by every published release. */
export const protocolRange = { minProtocol: 3, maxProtocol: 4 } as const

/** The payload of `connect.challenge`. `ts` is the gateway's clock in milliseconds, and is what the client signs. */
export const Challenge = Schema.Struct({ nonce: Nonce, ts: Schema.Natural })
export type Challenge = typeof Challenge.Type

/** The device proof as it travels. Key and signature are base64url without padding; `signedAt` is the challenge's `ts`. */
export const DeviceProofParams = Schema.Struct({
  id: DeviceId,
  publicKey: Schema.String,
  signature: Schema.String,
  signedAt: Schema.Natural,
  nonce: Schema.optionalKey(Nonce)
})

/** Parameters of the `connect` request. Gateways refuse unknown properties, so this is exhaustive and nothing is added. */
export const ConnectParams = Schema.Struct({
  minProtocol: Schema.Natural,
  maxProtocol: Schema.Natural,
  client: Schema.Struct({
    id: ClientId,
    version: Schema.NonEmptyString,
    platform: PlatformName,
    mode: ClientMode,
    displayName: Schema.optionalKey(DisplayName),
    deviceFamily: Schema.optionalKey(DeviceFamily),
    instanceId: Schema.optionalKey(Schema.NonEmptyString)
  }),
  role: Role,
  scopes: Schema.Array(ScopeName),
  caps: Schema.Array(Schema.NonEmptyString),
  /** What a node offers. */
  commands: Schema.optionalKey(Schema.Array(Schema.NonEmptyString)),
  auth: Schema.optionalKey(Schema.Struct({
    token: Schema.optionalKey(AuthToken),
    password: Schema.optionalKey(Schema.String),
    bootstrapToken: Schema.optionalKey(AuthToken)
  })),
  device: DeviceProofParams,
  locale: Schema.optionalKey(Schema.String),
  userAgent: Schema.optionalKey(Schema.String)
})
export type ConnectParams = typeof ConnectParams.Type

/** A part that is dropped when it is missing, null or of an unexpected form, as no part of hello-ok is worth a failed connect. */
const lenient = <S extends Schema.Constraint>(part: S) =>
  Schema.optionalKey(Schema.catchDecoding<S>(() => Effect.succeedNone)(part))

/** The longest name of a scope, in code units, that a gateway may grant. */
export const maxScopeLength = 128
/** How many scopes a gateway may grant. */
export const mostScopes = 100
/**
 * Scopes that were granted: names that could be asked for, within the limits of the token store. A longer list, or one with
 * anything else in it, is malformed as a whole.
 */
export const GrantedScopes = Schema.Array(
  Schema.String.check(signedText("scope", ["|", ","]), Schema.isMaxLength(maxScopeLength))
).check(Schema.isMaxLength(mostScopes))

/** A part that says what was granted. Left out, it says nothing; of an unexpected form, it grants what `nothing` says. */
const granting = <S extends Schema.Constraint>(part: S, nothing: S["Type"]) =>
  Schema.optionalKey(Schema.catchDecoding<S>(() => Effect.succeedSome(nothing))(part))

const Policy = Schema.Struct({
  maxPayload: lenient(Bounds.within(Bounds.frameBytes)),
  maxBufferedBytes: lenient(Bounds.within(Bounds.bufferedBytes)),
  /** Absent where a gateway names none, or 0. */
  tickIntervalMs: lenient(Bounds.positiveWithin(Bounds.tickIntervalMs)),
  /** How large a file, and an image, may be that goes with a message. Told from 2026.8 on. */
  attachments: lenient(Schema.Struct({
    maxBytes: Bounds.within(Bounds.frameBytes),
    maxImageBytes: Bounds.within(Bounds.frameBytes)
  }))
})
/** Limits that a gateway tells in hello-ok. Sizes are bytes of UTF-8 or of a file's content. */
export type Policy = typeof Policy.Type

/** The policy itself, or an equal one that another connection has: a session keeps it. */
const sharedPolicy = Shared.by<Policy>((one, other) =>
  one.maxPayload === other.maxPayload && one.maxBufferedBytes === other.maxBufferedBytes
  && one.tickIntervalMs === other.tickIntervalMs && one.attachments?.maxBytes === other.attachments?.maxBytes
  && one.attachments?.maxImageBytes === other.attachments?.maxImageBytes
)

/**
 * Whether a gateway takes work, from 2026.9 on: `preparing` while it looks for work under way, `draining` until that is done, and
 * `prepared` while its host may freeze it. (OpenClaw docs, gateway/external-apps.)
 */
export const SuspensionPhase = Schema.Literals(["accepting", "preparing", "draining", "prepared"])
export type SuspensionPhase = typeof SuspensionPhase.Type
/** Whether a value is a phase that this program knows. */
export const isSuspensionPhase = Schema.is(SuspensionPhase)

/** A phase in which the gateway takes no work. */
export const Suspension = Schema.Literals(["preparing", "draining", "prepared"])
export type Suspension = typeof Suspension.Type

/**
 * What a session keeps of `hello-ok`. The wire object has some fifteen kilobytes; the rest is dropped here. Every part but
 * the protocol number may be missing: old releases send no `auth`, and a local client may get no token.
 */
export const HelloOk = Schema.Struct({
  type: Schema.Literal("hello-ok"),
  protocol: Schema.Natural,
  server: lenient(Schema.Struct({
    version: lenient(Schema.String),
    connId: lenient(Schema.String)
  })),
  features: lenient(Schema.Struct({
    methods: lenient(Schema.declare(Shared.isMethodList))
  })),
  auth: granting(
    Schema.Struct({
      deviceToken: lenient(Schema.RedactedFromValue(DeviceToken, { label: "deviceToken" })),
      /** Empty, which is no role, when it is no text. */
      role: granting(Schema.String, ""),
      /** Empty when one of them is no scope, or they are no list. Absent on releases that do not tell. */
      scopes: granting(GrantedScopes, []),
      issuedAtMs: lenient(Schema.Finite)
    }),
    { scopes: [] }
  ),
  snapshot: lenient(Schema.Struct({
    uptimeMs: lenient(Bounds.within(Bounds.uptimeMs)),
    /** From 2026.9 on. */
    suspension: lenient(Schema.Struct({ phase: SuspensionPhase }))
  })),
  policy: lenient(Policy)
})
export type HelloOk = typeof HelloOk.Type

/** The payload of `connect.challenge`, or nothing when it has no usable nonce and time. */
export const decodeChallenge = Schema.decodeUnknownOption(Challenge)

const decodeHello = Schema.decodeUnknownResult(HelloOk)

/**
 * The payload of hello-ok. Fails only when `type` or `protocol` is not as expected. Its names are fields, in which none of the
 * `secrets` stands: those that the gateway knows.
 */
export const decodeHelloOk = (payload: unknown, secrets: ReadonlyArray<Redacted.Redacted> = []) =>
  Result.map(decodeHello(payload), (hello) => withFields(hello, secrets))

const withFields = (hello: HelloOk, secrets: ReadonlyArray<Redacted.Redacted>): HelloOk => {
  const { auth, features, policy, server } = hello
  const name = (text: string) => field(text, { maxLength: lengths.name, secrets })
  return {
    ...hello,
    ...(server === undefined ? {} : {
      server: {
        ...(server.version === undefined ? {} : { version: name(server.version) }),
        ...(server.connId === undefined ? {} : { connId: name(server.connId) })
      }
    }),
    ...(policy === undefined ? {} : { policy: sharedPolicy(policy) }),
    ...(features?.methods === undefined ? {} : { features: { methods: Shared.methods(features.methods) } }),
    ...(auth?.scopes === undefined ? {} : {
      auth: { ...auth, scopes: auth.scopes.map((scope) => shownScope(scope, secrets)) }
    })
  }
}

const known: ReadonlySet<string> = new Set(knownScopes)

/** A scope as a field. A published one is shown whatever the credentials are, as a short credential may be a word in it. */
export const shownScope = (scope: string, secrets: ReadonlyArray<Redacted.Redacted>): string =>
  known.has(scope) ? scope : field(scope, { maxLength: maxScopeLength, secrets })

/** The parameters of `connect` as the wire has them. The result holds the credentials in plain text. */
export const encodeConnectParams = Schema.encodeSync(ConnectParams)
/** The parameters of `connect`, for the gateway's side and for tests. */
export const decodeConnectParams = Schema.decodeUnknownResult(ConnectParams)

/**
 * Whether a gateway is older than a release such as `2026.8`, for what no gateway says in another way. Releases are named by year and
 * month; nothing for a version that is not.
 */
export const isBefore = (version: string | undefined, release: string): boolean | undefined => {
  const [told, wanted] = [monthOf(version), monthOf(release)]
  return told === undefined || wanted === undefined ? undefined : told < wanted
}

const monthOf = (version = ""): number | undefined => {
  const [, year, month] = /^(\d{4})\.(\d{1,2})(?!\d)/.exec(version) ?? []
  return year === undefined || month === undefined ? undefined : Number(year) * 12 + Number(month)
}
