/**
 * Judges a `connect`: what its client is granted, or why it is refused.
 */
import * as Result from "effect/Result"
import type { Approvals } from "./Approvals.ts"
import * as ConnectCheck from "./ConnectCheck.ts"
import type * as CredentialCheck from "./CredentialCheck.ts"
import type { Link, Session } from "./Link.ts"
import type { Asker, IssuedToken, PairingBook } from "./PairingBook.ts"
import * as Refusals from "./Refusals.ts"
import type { SetupCodes } from "./SetupCodes.ts"

export interface Granted {
  readonly session: Session
  readonly method: CredentialCheck.Admission["method"]
  /** The device token that comes with hello-ok. */
  readonly token: IssuedToken | undefined
  /** The setup code that let the device in. */
  readonly code: string | undefined
}

export interface Settings {
  readonly auth: CredentialCheck.Auth
  readonly allowedOrigins: ReadonlyArray<string>
  readonly remoteByDefault: boolean
  readonly protocol: { readonly current: number; readonly minimumProbe: number }
}

/** As releases up to 2026.2.19 refuse: with a message and nothing else. */
const withoutDetails = ({ error: { code, message }, ...refusal }: Refusals.Refusal): Refusals.Refusal => ({
  ...refusal,
  error: { code, message }
})

/**
 * Makes the judge of one gateway. Judging counts wrong credentials, makes or renews the request of a device that has to be
 * paired, and notes when a paired device was seen.
 */
export const makeJudge = (options: {
  readonly settings: Settings
  readonly book: PairingBook
  readonly credentials: CredentialCheck.CredentialCheck
  readonly approvals: Approvals
  readonly codes: SetupCodes
  readonly nowMs: () => number
}) => {
  const { approvals, book, codes, credentials, nowMs, settings } = options

  const pairingRequired = (asker: Asker, reason: Refusals.PairingReason, supersede: boolean, byCode: boolean) =>
    Refusals.pairingRequired({
      reason,
      requestId: approvals.ask(asker, supersede).requestId,
      deviceId: asker.deviceId,
      role: asker.role,
      scopes: asker.scopes,
      approved: book.approvedOf(asker.deviceId, asker.role),
      waitThenRetry: (asker.clientId === "openclaw-tui" && asker.clientMode === "ui")
        || (byCode && reason === "not-paired" && asker.role === "node")
    })

  return ({ address, fault, nonce, peer }: Link, sent: unknown): Result.Result<Granted, Refusals.Refusal> => {
    if (fault.unavailable !== undefined) return Result.fail(Refusals.stillStarting(fault.unavailable))
    if (fault.refuse !== undefined) return Result.fail({ error: fault.refuse, closeCode: 1008 })
    const checked = ConnectCheck.check(sent, {
      protocol: settings.protocol,
      nonce: fault.noChallenge === true ? undefined : nonce,
      proofVersions: fault.refuseProofV3 === true ? ["v2"] : ["v3", "v2"],
      nowMs: nowMs(),
      address,
      origin: peer.headers?.["origin"],
      allowedOrigins: settings.allowedOrigins,
      open: settings.auth.mode === "none"
    })
    if (Result.isFailure(checked)) {
      return Result.fail(fault.refuseProofV3 === true ? withoutDetails(checked.failure) : checked.failure)
    }
    const caller = checked.success
    if (fault.lockout !== undefined) return Result.fail(Refusals.lockedOut(fault.lockout))
    const admission = credentials.admit(caller, address, nowMs())
    if (Result.isFailure(admission)) return Result.fail(admission.failure)

    const { by, method } = admission.success
    const { asker, claim, clientId, clientMode, role, scopes, sessionScoped, toolEvents } = caller
    const code = by === "setup-code" ? caller.credentials.bootstrapToken : undefined
    const local = !(peer.remote || settings.remoteByDefault)
    const localBackend = local && clientId === "gateway-client" && clientMode === "backend"
    const unpaired = by === "operator" || (localBackend && by === "shared")
    if (asker !== undefined && !unpaired) {
      const reason = book.reasonToAsk(asker)
      if (reason === "not-paired" && code !== undefined && codes.approves(code, asker)) approvals.admit(asker)
      else if (reason !== undefined) {
        return Result.fail(pairingRequired(asker, reason, fault.supersede === true, code !== undefined))
      }
      book.seen(asker.deviceId, role, nowMs(), by === "device-token")
    }
    return Result.succeed({
      session: {
        role,
        scopes: asker === undefined && !local ? [] : scopes,
        asker,
        toolEvents,
        claim,
        surfaceApproved: asker !== undefined && book.isByCode(asker.deviceId),
        sessions: sessionScoped ? new Set<string>() : undefined
      },
      method,
      code,
      token: asker === undefined || unpaired ? undefined : book.token(asker.deviceId, role)
    })
  }
}
