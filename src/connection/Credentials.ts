/**
 * Which credential is offered next, and what a refusal says about the one that was sent. Pure.
 *
 * A refusal is judged by the credential that was sent, not by its code: the gateway takes a stale device token in `auth.token`
 * for a wrong shared token, and answers with the code of that.
 */
import type { Credential } from "../handshake/ConnectPlan.ts"
import type { GatewaySettings } from "../handshake/GatewayConfig.ts"
import type { AuthRejected } from "../handshake/HandshakeError.ts"
import type { StoredToken } from "../identity/TokenStore.ts"
import type { ScopeName } from "../protocol/Connect.ts"
import { covers } from "../protocol/Connect.ts"

/** Which credentials were refused since the last hello-ok or change of settings. */
export interface Refused {
  readonly shared: boolean
  readonly stored: boolean
}

export const nothingRefused: Refused = { shared: false, stored: false }

/** The credential to offer, and the scopes that may be asked for with it. */
export interface Offer {
  readonly credential: Credential
  readonly scopes: ReadonlyArray<ScopeName>
}

/**
 * A configured token wins over a password, and both over the stored device token, unless they were just refused. The stored token
 * wins over a setup code, which the gateway may not take a second time.
 */
export const choose = (settings: GatewaySettings, stored: StoredToken | undefined, refused: Refused): Offer => {
  const { bootstrapToken, scopes } = settings
  if (bootstrapToken !== undefined && !refused.shared && (stored === undefined || refused.stored)) {
    return { credential: { _tag: "SetupCode", token: bootstrapToken }, scopes }
  }
  if (!refused.shared || stored === undefined || refused.stored) {
    if (settings.token !== undefined) return { credential: { _tag: "SharedToken", token: settings.token }, scopes }
    if (settings.password !== undefined) {
      return { credential: { _tag: "Password", password: settings.password }, scopes }
    }
  }
  if (stored === undefined) return { credential: { _tag: "None" }, scopes }
  return {
    credential: { _tag: "DeviceToken", token: stored.token, scopes: stored.scopes },
    // Asking for more with a device token is a mismatch on every release, never a pending request.
    scopes: scopes.filter((scope) => covers(stored.scopes, scope))
  }
}

export interface Judgement {
  readonly refused: Refused
  /** The stored token was sent and is no longer valid: remove it, unless it was replaced meanwhile. */
  readonly forgetStored: boolean
  /** Another credential is worth one try, at once. Otherwise a person has to act. */
  readonly tryOther: boolean
}

/** What follows from `AuthRejected` for this offer. */
export const judge = (
  error: AuthRejected,
  offer: Offer,
  settings: GatewaySettings,
  stored: StoredToken | undefined,
  refused: Refused
): Judgement => {
  const { credential } = offer
  const shared = settings.token !== undefined || settings.password !== undefined
    || settings.bootstrapToken !== undefined
  if (credential._tag === "DeviceToken") {
    const dead = mismatches.has(error.reason) && offer.scopes.every((scope) => covers(credential.scopes, scope))
    return {
      refused: { ...refused, stored: true },
      forgetStored: dead,
      tryOther: shared && !refused.shared
    }
  }
  // The device token goes only where nobody in between can read it: this machine, or a gateway whose key is known.
  const trusted = settings.endpoint.loopback || settings.pinned
  return {
    refused: { ...refused, shared: true },
    forgetStored: false,
    tryOther: credential._tag !== "None" && trusted && stored !== undefined && !refused.stored
  }
}

/** Codes that say that a token is not valid. A scope mismatch does not: that token is valid for fewer scopes. */
const mismatches: ReadonlySet<AuthRejected["reason"]> = new Set([
  "TokenMismatch",
  "DeviceTokenMismatch",
  "PasswordMismatch",
  "Unauthorized"
])
