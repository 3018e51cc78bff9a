/**
 * The error objects of release 2026.9.6, as recorded from it (test/vectors/gateway-2026.9.6.json).
 */
import type { ErrorShape } from "../protocol/Frame.ts"
import type { ProofFault } from "./ProofCheck.ts"

export interface Refusal {
  readonly error: ErrorShape
  readonly closeCode: number
  /** Close reason when it is not the message. */
  readonly closeReason?: string
  /** Name in counters when the message repeats text of the client. */
  readonly name?: string
}

const invalidRequest = (message: string, details?: unknown): Refusal => ({
  error: details === undefined ? { code: "INVALID_REQUEST", message } : { code: "INVALID_REQUEST", message, details },
  closeCode: 1008
})

export const invalidConnectParams = (complaint: string): Refusal => ({
  ...invalidRequest(`invalid connect params: ${complaint}`),
  name: "invalid connect params"
})

export const firstRequestMustBeConnect = invalidRequest("invalid handshake: first request must be connect")

export const invalidRole = invalidRequest("invalid role")

export const protocolMismatch = (
  clientMinProtocol: number,
  clientMaxProtocol: number,
  expected: number,
  probe: number
) => ({
  ...invalidRequest("protocol mismatch", {
    code: "PROTOCOL_MISMATCH",
    clientMinProtocol,
    clientMaxProtocol,
    expectedProtocol: expected,
    minimumProbeProtocol: probe
  }),
  closeCode: 1002
})

export const originRefused = (reason: "origin missing or invalid" | "origin not allowed") =>
  invalidRequest(
    "origin not allowed (open the Control UI from the gateway host or allow it in gateway.controlUi.allowedOrigins)",
    { code: "CONTROL_UI_ORIGIN_NOT_ALLOWED", reason }
  )

export const controlUiWithoutDevice = invalidRequest(
  "control ui requires device identity (use HTTPS or localhost secure context)",
  { code: "CONTROL_UI_DEVICE_IDENTITY_REQUIRED" }
)

export const deviceRequired: Refusal = {
  error: { code: "NOT_PAIRED", message: "device identity required", details: { code: "DEVICE_IDENTITY_REQUIRED" } },
  closeCode: 1008
}

const proofMessages: Record<ProofFault, readonly [code: string, message: string]> = {
  "device-id-mismatch": ["DEVICE_AUTH_DEVICE_ID_MISMATCH", "device identity mismatch"],
  "device-signature-stale": ["DEVICE_AUTH_SIGNATURE_EXPIRED", "device signature expired"],
  "device-nonce-mismatch": ["DEVICE_AUTH_NONCE_MISMATCH", "device nonce mismatch"],
  "device-signature": ["DEVICE_AUTH_SIGNATURE_INVALID", "device signature invalid"]
}

export const badProof = (reason: ProofFault) => {
  const [code, message] = proofMessages[reason]
  return invalidRequest(message, { code, reason })
}

export type AuthFault =
  | "token_missing"
  | "token_mismatch"
  | "password_missing"
  | "password_mismatch"
  | "device_token_mismatch"
  | "scope_mismatch"
  | "bootstrap_token_invalid"

const authMessages: Record<AuthFault, readonly [code: string, message: string, nextStep: string]> = {
  token_missing: [
    "AUTH_TOKEN_MISSING",
    "gateway token missing (provide gateway auth token)",
    "update_auth_configuration"
  ],
  token_mismatch: [
    "AUTH_TOKEN_MISMATCH",
    "gateway token mismatch (provide gateway auth token)",
    "update_auth_credentials"
  ],
  password_missing: [
    "AUTH_PASSWORD_MISSING",
    "gateway password missing (provide gateway auth password)",
    "update_auth_configuration"
  ],
  password_mismatch: [
    "AUTH_PASSWORD_MISMATCH",
    "gateway password mismatch (provide gateway auth password)",
    "update_auth_credentials"
  ],
  device_token_mismatch: [
    "AUTH_DEVICE_TOKEN_MISMATCH",
    "device token mismatch (rotate/reissue device token)",
    "update_auth_credentials"
  ],
  scope_mismatch: [
    "AUTH_SCOPE_MISMATCH",
    "device token scope mismatch (re-pair or approve scope upgrade)",
    "review_auth_configuration"
  ],
  bootstrap_token_invalid: [
    "AUTH_BOOTSTRAP_TOKEN_INVALID",
    "setup code invalid, expired, revoked, or already used (create a new code; review `openclaw devices list`)",
    "review_auth_configuration"
  ]
}

/** Gateways say `canRetryWithDeviceToken` of any wrong token that came with a device, even of a device token. */
export const unauthorized = (authReason: AuthFault, canRetryWithDeviceToken: boolean): Refusal => {
  const [code, message, nextStep] = authMessages[authReason]
  return invalidRequest(`unauthorized: ${message}`, {
    code,
    authReason,
    canRetryWithDeviceToken,
    recommendedNextStep: canRetryWithDeviceToken ? "retry_with_device_token" : nextStep
  })
}

export const lockedOut = (retryAfterMs: number): Refusal => ({
  error: {
    code: "INVALID_REQUEST",
    message: "unauthorized: too many failed authentication attempts (retry later)",
    retryable: true,
    retryAfterMs,
    details: {
      code: "AUTH_RATE_LIMITED",
      authReason: "rate_limited",
      canRetryWithDeviceToken: false,
      recommendedNextStep: "wait_then_retry"
    }
  },
  closeCode: 1008
})

export const stillStarting = (retryAfterMs: number): Refusal => ({
  error: {
    code: "UNAVAILABLE",
    message: "gateway starting; retry shortly",
    retryable: true,
    retryAfterMs,
    details: { reason: "startup-sidecars" }
  },
  closeCode: 1013,
  closeReason: "gateway starting"
})

/** What a request is answered while the gateway is suspended. Nothing was done. */
export const suspended = (method: string, phase: string): ErrorShape => ({
  code: "UNAVAILABLE",
  message: `${method} unavailable during gateway suspension`,
  retryable: true,
  retryAfterMs: 1000,
  details: { method, reason: "gateway-suspending", phase }
})

export type PairingReason = "not-paired" | "scope-upgrade" | "role-upgrade" | "metadata-upgrade"

const pairingMessages: Record<PairingReason, readonly [message: string, hint: string]> = {
  "not-paired": ["device is not approved yet", "Approve this device from the pending pairing requests."],
  "scope-upgrade": [
    "device is asking for more scopes than currently approved",
    "Review the requested scopes, then approve the pending upgrade."
  ],
  "role-upgrade": [
    "device is asking for a higher role than currently approved",
    "Review the requested role upgrade, then approve the pending request."
  ],
  "metadata-upgrade": [
    "device identity changed and must be re-approved",
    "Review the refreshed device details, then approve the pending request."
  ]
}

export const pairingRequired = (ask: {
  readonly reason: PairingReason
  readonly requestId: string
  readonly deviceId: string
  readonly role: string
  readonly scopes: ReadonlyArray<string>
  readonly approved: { readonly roles: ReadonlyArray<string>; readonly scopes: ReadonlyArray<string> } | undefined
  /** The terminal UI, and a new node with a setup code, are told to retry by themselves. */
  readonly waitThenRetry: boolean
}): Refusal => {
  const [message, remediationHint] = pairingMessages[ask.reason]
  return {
    error: {
      code: "NOT_PAIRED",
      message: `pairing required: ${message}`,
      details: {
        code: "PAIRING_REQUIRED",
        reason: ask.reason,
        requestId: ask.requestId,
        remediationHint,
        ...(ask.waitThenRetry
          ? { recommendedNextStep: "wait_then_retry", retryable: true, pauseReconnect: false }
          : {}),
        deviceId: ask.deviceId,
        requestedRole: ask.role,
        ...(ask.scopes.length === 0 ? {} : { requestedScopes: ask.scopes }),
        ...(ask.approved === undefined
          ? {}
          : {
            approvedRoles: ask.approved.roles,
            ...(ask.approved.scopes.length === 0 ? {} : { approvedScopes: ask.approved.scopes })
          })
      }
    },
    closeCode: 1008,
    closeReason: `pairing required: ${message} (requestId: ${ask.requestId})`
  }
}

export const missingScope = (scope: string): ErrorShape => ({
  code: "FORBIDDEN",
  message: `missing scope: ${scope}`,
  details: { code: "MISSING_SCOPE", missingScope: scope, requiredScopes: [scope] }
})

export const requestError = (message: string): ErrorShape => ({ code: "INVALID_REQUEST", message })

/** Names a refusal in counters: its detail code, or the message of a refusal without one, but no text of a client. */
export const nameOf = ({ error, name }: Refusal): string => {
  if (name !== undefined) return name
  const details: unknown = error.details
  const code: unknown = typeof details === "object" && details !== null && "code" in details ? details.code : undefined
  return typeof code === "string" ? code : error.code === "UNAVAILABLE" ? error.code : error.message
}

/** Gateways cut the close reason at 120 bytes. */
export const closeReasonOf = (refusal: Refusal): string =>
  Buffer.from(refusal.closeReason ?? refusal.error.message, "utf8").subarray(0, 120).toString("utf8")
