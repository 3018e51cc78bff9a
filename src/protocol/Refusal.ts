/**
 * What a refusal of the gateway means.
 *
 * Releases since 2026.2.26 say it in `error.details.code`, and that alone decides. Older ones send coarser codes or none;
 * for those, and only when `details.code` is absent, one table of message texts at the end of this file is consulted.
 * A refusal with no known code or message is kept as it came (`Unknown`).
 */
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Bounds from "./Bounds.ts"
import { mostScopes, RequestId, shownScope } from "./Connect.ts"
import { field, redact } from "./OutsideText.ts"

/** Why the gateway wants an approval. `unspecified` when a release names no reason. */
export const PairingReason = Schema.Literals([
  "not-paired",
  "role-upgrade",
  "scope-upgrade",
  "metadata-upgrade",
  "unspecified"
])
export type PairingReason = typeof PairingReason.Type

/**
 * What waits for a person: a device, by the reason that the gateway gives, or the commands that a node offers (`surface`), which
 * somebody approves once besides the device.
 */
export const ApprovalReason = Schema.Literals([...PairingReason.literals, "surface"])
export type ApprovalReason = typeof ApprovalReason.Type

/**
 * Why a credential was refused, from the gateway's `AUTH_` codes (`publishedCodes`) or from the message texts of older
 * releases.
 */
export const AuthReason = Schema.Literals([
  "Required",
  "Unauthorized",
  "TokenMissing",
  "TokenMismatch",
  "TokenNotConfigured",
  "PasswordMissing",
  "PasswordMismatch",
  "PasswordNotConfigured",
  "BootstrapTokenInvalid",
  "DeviceTokenMismatch",
  "ScopeMismatch",
  "TailscaleIdentityMissing",
  "TailscaleProxyMissing",
  "TailscaleWhoisFailed",
  "TailscaleIdentityMismatch",
  "IdentityHeaderRequired",
  "VerifiedUserRequired",
  "ProfileUnavailable"
])
export type AuthReason = typeof AuthReason.Type

/**
 * Why a device proof was refused, from the gateway's `DEVICE_AUTH_` codes or from the message texts of older releases.
 * `Invalid` gives no cause.
 */
export const DeviceProofReason = Schema.Literals([
  "Invalid",
  "IdentityRequired",
  "DeviceIdMismatch",
  "SignatureExpired",
  "NonceRequired",
  "NonceMismatch",
  "SignatureInvalid",
  "PublicKeyInvalid",
  "SelfCheckFailed"
])
export type DeviceProofReason = typeof DeviceProofReason.Type

/** What does not fit together: the protocol versions, the client's release, or the build of the gateway's Control UI. */
export const MismatchReason = Schema.Literals(["Protocol", "ClientVersion", "ControlUiBuild"])
export type MismatchReason = typeof MismatchReason.Type

/** The meaning of a refusal: one tag for each thing that a caller treats differently, `reason` for its cases. */
export type Meaning =
  | { readonly _tag: "PairingRequired"; readonly reason: PairingReason }
  | { readonly _tag: "AuthRejected"; readonly reason: AuthReason }
  | { readonly _tag: "RateLimited" }
  | { readonly _tag: "DeviceProofRejected"; readonly reason: DeviceProofReason }
  | { readonly _tag: "ProtocolMismatch"; readonly reason: MismatchReason }
  | { readonly _tag: "OriginNotAllowed" }
  | { readonly _tag: "ClientNotAllowed" }
  | { readonly _tag: "GatewayUnavailable" }
  | { readonly _tag: "Unknown" }

/** A refusal, read leniently: a field of an unexpected type is as good as absent, so that it never hides the code. */
export interface Refusal {
  readonly meaning: Meaning
  readonly code: string
  /** A field, like every text here: see `OutsideText`. */
  readonly message: string
  readonly detailCode: string | undefined
  readonly requestId: RequestId | undefined
  readonly requestedScopes: ReadonlyArray<string> | undefined
  readonly approvedScopes: ReadonlyArray<string> | undefined
  readonly recommendedNextStep: string | undefined
  readonly pauseReconnect: boolean | undefined
  /** The gateway says that the same request may be made again. */
  readonly retryable: boolean
  /** Milliseconds to wait, counted from the arrival of the refusal, within `Bounds.retryAfterMs`. */
  readonly retryAfterMs: number | undefined
  readonly expectedProtocol: number | undefined
  /** The scope that a request on an open session would have needed. */
  readonly missingScope: string | undefined
  /** `details.reason`. */
  readonly detailReason: string | undefined
}

const auth = (reason: AuthReason): Meaning => ({ _tag: "AuthRejected", reason })
const proof = (reason: DeviceProofReason): Meaning => ({ _tag: "DeviceProofRejected", reason })
const mismatch = (reason: MismatchReason): Meaning => ({ _tag: "ProtocolMismatch", reason })
const pairing = (reason: PairingReason): Meaning => ({ _tag: "PairingRequired", reason })
const unknown: Meaning = { _tag: "Unknown" }

/** Every detail code that OpenClaw publishes (gateway-protocol 2026.9.1, connect error details), and what it means here. */
export const publishedCodes = {
  AUTH_REQUIRED: auth("Required"),
  AUTH_UNAUTHORIZED: auth("Unauthorized"),
  AUTH_TOKEN_MISSING: auth("TokenMissing"),
  AUTH_TOKEN_MISMATCH: auth("TokenMismatch"),
  AUTH_TOKEN_NOT_CONFIGURED: auth("TokenNotConfigured"),
  AUTH_PASSWORD_MISSING: auth("PasswordMissing"),
  AUTH_PASSWORD_MISMATCH: auth("PasswordMismatch"),
  AUTH_PASSWORD_NOT_CONFIGURED: auth("PasswordNotConfigured"),
  AUTH_BOOTSTRAP_TOKEN_INVALID: auth("BootstrapTokenInvalid"),
  AUTH_DEVICE_TOKEN_MISMATCH: auth("DeviceTokenMismatch"),
  AUTH_SCOPE_MISMATCH: auth("ScopeMismatch"),
  AUTH_RATE_LIMITED: { _tag: "RateLimited" },
  AUTH_TAILSCALE_IDENTITY_MISSING: auth("TailscaleIdentityMissing"),
  AUTH_TAILSCALE_PROXY_MISSING: auth("TailscaleProxyMissing"),
  AUTH_TAILSCALE_WHOIS_FAILED: auth("TailscaleWhoisFailed"),
  AUTH_TAILSCALE_IDENTITY_MISMATCH: auth("TailscaleIdentityMismatch"),
  AUTH_IDENTITY_HEADER_REQUIRED: auth("IdentityHeaderRequired"),
  AUTH_VERIFIED_USER_REQUIRED: auth("VerifiedUserRequired"),
  AUTHENTICATED_PROFILE_UNAVAILABLE: auth("ProfileUnavailable"),
  CONTROL_UI_BUILD_MISMATCH: mismatch("ControlUiBuild"),
  CONTROL_UI_ORIGIN_NOT_ALLOWED: { _tag: "OriginNotAllowed" },
  PROTOCOL_MISMATCH: mismatch("Protocol"),
  CLIENT_VERSION_MISMATCH: mismatch("ClientVersion"),
  CONTROL_UI_DEVICE_IDENTITY_REQUIRED: proof("IdentityRequired"),
  DEVICE_IDENTITY_REQUIRED: proof("IdentityRequired"),
  DEVICE_AUTH_INVALID: proof("Invalid"),
  DEVICE_AUTH_DEVICE_ID_MISMATCH: proof("DeviceIdMismatch"),
  DEVICE_AUTH_SIGNATURE_EXPIRED: proof("SignatureExpired"),
  DEVICE_AUTH_NONCE_REQUIRED: proof("NonceRequired"),
  DEVICE_AUTH_NONCE_MISMATCH: proof("NonceMismatch"),
  DEVICE_AUTH_SIGNATURE_INVALID: proof("SignatureInvalid"),
  DEVICE_AUTH_PUBLIC_KEY_INVALID: proof("PublicKeyInvalid"),
  PAIRING_REQUIRED: pairing("unspecified")
} satisfies Record<string, Meaning>

const meaningByCode: ReadonlyMap<string, Meaning> = new Map(Object.entries(publishedCodes))

const property = (object: unknown, name: string): unknown =>
  Predicate.hasProperty(object, name) ? object[name] : undefined
const text = (object: unknown, name: string) =>
  Option.getOrUndefined(Option.liftPredicate(property(object, name), Predicate.isString))
const notBlank = (value: string | undefined) => value === "" ? undefined : value
const flag = (object: unknown, name: string) =>
  Option.getOrUndefined(Option.liftPredicate(property(object, name), Predicate.isBoolean))
const count = (object: unknown, name: string): number | undefined => {
  const value = property(object, name)
  return Predicate.isNumber(value) && Number.isFinite(value) && value >= 0 ? value : undefined
}
const texts = (object: unknown, name: string): ReadonlyArray<string> | undefined => {
  const value = property(object, name)
  return Array.isArray(value) ? value.filter(Predicate.isString) : undefined
}

const asPairingReason = Schema.decodeUnknownOption(PairingReason)
const asRequestId = Schema.decodeUnknownOption(RequestId)

/** The id of a request, if it is safe to show: one that repeats a credential is none. */
export const requestIdOf = (value: unknown, secrets: ReadonlyArray<Redacted.Redacted>): RequestId | undefined =>
  Option.getOrUndefined(Option.filter(asRequestId(value), (id) => redact(id, secrets) === id))

/**
 * Reads the `error` of a refused request. Pure and total: what is missing or of an unexpected type is as good as absent. Texts are
 * fields, in which none of the `secrets` stands: those that the refused request, or an earlier one, presented.
 */
export const read = (error: unknown, secrets: ReadonlyArray<Redacted.Redacted> = []): Refusal => {
  const shown = (text: string) => field(text, { secrets })
  const shownIfAny = (text: string | undefined) => text === undefined ? undefined : shown(text)
  const code = text(error, "code") ?? ""
  const message = text(error, "message") ?? ""
  const details = property(error, "details")
  const detailCode = notBlank(text(details, "code"))
  const detailReason = text(details, "reason")
  const missing = missingScope(message, details)
  const scopes = (object: unknown, name: string) =>
    texts(object, name)?.slice(0, mostScopes).map((scope) => shownScope(scope, secrets))
  return {
    meaning: meaningOf({ code, message, details, detailCode, detailReason }),
    code: shown(code),
    message: shown(message),
    detailCode: shownIfAny(detailCode),
    requestId: requestIdOf(property(details, "requestId"), secrets),
    requestedScopes: scopes(details, "requestedScopes"),
    approvedScopes: scopes(details, "approvedScopes"),
    recommendedNextStep: shownIfAny(text(details, "recommendedNextStep")),
    pauseReconnect: flag(details, "pauseReconnect"),
    retryable: (flag(error, "retryable") ?? flag(details, "retryable")) === true,
    retryAfterMs: delay(count(error, "retryAfterMs") ?? count(details, "retryAfterMs")),
    expectedProtocol: count(details, "expectedProtocol"),
    missingScope: missing === undefined ? undefined : shownScope(missing, secrets),
    detailReason: shownIfAny(detailReason)
  }
}

const delay = (ms: number | undefined) => ms === undefined ? undefined : Bounds.clamp(ms, Bounds.retryAfterMs)

/** Releases from 2026.8.2 name the scope in `details`; for those without details the whole message is the only sign. */
const missingScope = (message: string, details: unknown): string | undefined => {
  const code = text(details, "code")
  if (code === undefined) return /^missing scope: (\S+)$/.exec(message)?.[1]
  return code === "MISSING_SCOPE" ? text(details, "missingScope") : undefined
}

const meaningOf = ({ code, detailCode, detailReason, details, message }: {
  readonly code: string
  readonly message: string
  readonly details: unknown
  readonly detailCode: string | undefined
  readonly detailReason: string | undefined
}): Meaning => {
  if (detailCode !== undefined) {
    if (detailCode === "PROTOCOL_MISMATCH" && flag(details, "reloadRequired") === true) {
      return mismatch("ControlUiBuild")
    }
    const meaning = meaningByCode.get(detailCode) ?? unknown
    if (meaning._tag === "PairingRequired") {
      return pairing(Option.getOrElse(asPairingReason(detailReason), () => "unspecified" as const))
    }
    return meaning === publishedCodes.DEVICE_AUTH_INVALID
      ? (coarseProof.get(detailReason ?? "") ?? coarseProof.get(message) ?? meaning)
      : meaning
  }
  if (code === "UNAVAILABLE") return { _tag: "GatewayUnavailable" }
  if (code === "NOT_PAIRED" && property(details, "requestId") !== undefined) return pairing("unspecified")
  return messageTable.find(([pattern]) => pattern.test(message))?.[1] ?? unknown
}

/** Releases 2026.2.22 to 2026.2.26 send `DEVICE_AUTH_INVALID` for every bad proof; the case is in `reason` or the message. */
const coarseProof: ReadonlyMap<string, Meaning> = new Map([
  ["device-id-mismatch", proof("DeviceIdMismatch")],
  ["device-signature", proof("SignatureInvalid")],
  ["device-signature-stale", proof("SignatureExpired")],
  ["device-nonce-mismatch", proof("NonceMismatch")],
  ["device-nonce-missing", proof("NonceRequired")],
  ["device identity mismatch", proof("DeviceIdMismatch")],
  ["device signature expired", proof("SignatureExpired")],
  ["device nonce mismatch", proof("NonceMismatch")],
  ["device nonce required", proof("NonceRequired")]
])

/**
 * Message texts of releases that send no detail code: everything up to 2026.2.19, and the schema and protocol errors of
 * later ones. Consulted only when `details.code` is absent. Anchored, so that a sentence inside another error never counts.
 */
const messageTable: ReadonlyArray<readonly [RegExp, Meaning]> = [
  [/^unauthorized: gateway token mismatch/, auth("TokenMismatch")],
  [/^unauthorized: gateway token missing/, auth("TokenMissing")],
  [/^unauthorized: gateway token not configured/, auth("TokenNotConfigured")],
  [/^unauthorized: gateway password mismatch/, auth("PasswordMismatch")],
  [/^unauthorized: gateway password missing/, auth("PasswordMissing")],
  [/^unauthorized: device token mismatch/, auth("DeviceTokenMismatch")],
  [/^unauthorized: device token scope mismatch/, auth("ScopeMismatch")],
  [/^unauthorized: too many failed authentication attempts/, { _tag: "RateLimited" }],
  [/^unauthorized\b/, auth("Unauthorized")],
  [/^device signature invalid$/, proof("SignatureInvalid")],
  [/^device signature expired$/, proof("SignatureExpired")],
  [/^device nonce mismatch$/, proof("NonceMismatch")],
  [/^device nonce required$/, proof("NonceRequired")],
  [/^device identity mismatch$/, proof("DeviceIdMismatch")],
  [/^device identity required$/, proof("IdentityRequired")],
  [/^control ui requires (device identity|HTTPS or localhost)/, proof("IdentityRequired")],
  [/^protocol mismatch/, mismatch("Protocol")],
  [/^origin not allowed/, { _tag: "OriginNotAllowed" }],
  [/^invalid connect params: at \/client\/(id|mode):/, { _tag: "ClientNotAllowed" }]
]
