/**
 * How it goes with the gateway, whoever has tried it: this program, or the `run` that is connected. Pure.
 */
import type { Entry } from "../advice/Entry.ts"
import * as ErrorCatalogue from "../advice/ErrorCatalogue.ts"
import { approvalAdvice } from "../advice/HandshakeAdvice.ts"
import { failure } from "../agent/AgentEvents.ts"
import type { Approval, ConnectionStatus, HaltCause } from "../connection/ConnectionStatus.ts"
import type { Phase } from "../link/LinkError.ts"
import type { StatusReport } from "../status/StatusReport.ts"
import type { CheckId, Finding } from "./Check.ts"

/** What a session says of itself. */
export interface Met {
  readonly protocol: number
  readonly release: string | undefined
  readonly scopes: ReadonlyArray<string>
  readonly missingScopes: ReadonlyArray<string>
  readonly deviceTokenIssued: boolean
}

/** `by`: who tried. `Failed` names the check that the failure belongs to; those before it went well. */
export type Outcome =
  | { readonly _tag: "Met"; readonly by: "attempt" | "run"; readonly met: Met }
  | { readonly _tag: "Failed"; readonly by: "attempt" | "run"; readonly at: CheckId; readonly finding: Finding }
  | { readonly _tag: "Unknown"; readonly why: string }

/** The check of an error, by the names of its class, its reason and its phase, which may come from another program. */
export const checkOf = (error: string, reason: string | undefined, phase: string | undefined): CheckId => {
  if (error === "LinkError") {
    return (reason === undefined ? undefined : ofLink.get(reason))
      ?? (phase === undefined ? undefined : ofPhase.get(phase))
      ?? "session"
  }
  if (error === "ChallengeTimeout") return (phase === undefined ? undefined : ofPhase.get(phase)) ?? "challenge"
  return ofError.get(error) ?? "session"
}

type Plain = Exclude<HaltCause["_tag"], "LinkError" | "ChallengeTimeout">

const ofError: ReadonlyMap<string, CheckId> = new Map(Object.entries(
  {
    ApprovalTimedOut: "pairing",
    AuthRejected: "credential",
    ChallengeInvalid: "challenge",
    ClientNotAllowed: "client",
    DeviceProofRejected: "proof",
    EndpointInvalid: "settings",
    FrameTooLarge: "session",
    GatewayRejected: "session",
    GatewayUnavailable: "ready",
    HelloTimeout: "session",
    InsecureUrl: "settings",
    InternalError: "session",
    OriginNotAllowed: "origin",
    PairingRequired: "pairing",
    ProtocolMismatch: "protocol",
    ProxyRejected: "proxy",
    RateLimited: "credential",
    ScopesNarrowed: "scopes",
    TlsPinMismatch: "certificate",
    TlsUntrusted: "certificate",
    UpgradeRejected: "front-door"
  } satisfies Readonly<Record<Plain, CheckId>>
))

const ofPhase: ReadonlyMap<string, CheckId> = new Map(Object.entries(
  {
    dial: "dial",
    tls: "tls",
    upgrade: "front-door",
    challenge: "challenge",
    hello: "session",
    session: "session"
  } satisfies Readonly<Record<Phase, CheckId>>
))

/** Reasons that say more than the phase does. */
const ofLink: ReadonlyMap<string, CheckId> = new Map([
  ["UnknownHost", "dns"],
  ["Unreachable", "dial"],
  ["NotTls", "tls"],
  ["TlsFailed", "tls"],
  ["NeedsTls", "tls"],
  ["Ssh", "front-door"],
  ["NotWebSocket", "front-door"],
  ["ProxyUnreachable", "proxy"]
])

const ofCause = (cause: HaltCause, by: "attempt" | "run"): Outcome => {
  const { error, message, reason } = failure(cause)
  const phase = "phase" in cause ? cause.phase : undefined
  return {
    _tag: "Failed",
    by,
    at: checkOf(error, reason, phase),
    finding: { status: "fail", what: message, error: { error, reason }, advice: adviceOf(cause) }
  }
}

const adviceOf = (cause: HaltCause): Entry | undefined => ErrorCatalogue.adviceOn(cause)

const withCommand = (entry: Entry, command: string | undefined): Entry =>
  command === undefined ? entry : { ...entry, command }

/** What an attempt of this program ended in. `approve` gives the command for the request that waits. */
export const ofStatus = (
  status: ConnectionStatus,
  approve: (approval: Approval) => string | undefined
): Outcome => {
  switch (status._tag) {
    case "Connected": {
      const { deviceTokenIssued, missingScopes, protocol, scopes, serverVersion } = status.session.facts
      return {
        _tag: "Met",
        by: "attempt",
        met: { protocol, release: serverVersion, scopes, missingScopes, deviceTokenIssued }
      }
    }
    case "AwaitingApproval": {
      const { approval } = status
      return {
        _tag: "Failed",
        by: "attempt",
        at: "pairing",
        finding: {
          status: "fail",
          what: `a person has to approve this device on the gateway (${approval.reason}, request ${
            approval.requestId ?? "unknown"
          })`,
          error: { error: "PairingRequired", reason: approval.reason },
          advice: withCommand(approvalAdvice(approval.reason), approve(approval))
        }
      }
    }
    case "Waiting":
    case "Halted":
      return ofCause(status.cause, "attempt")
    case "Connecting":
    case "Paused":
    case "Stopped":
      return { _tag: "Unknown", why: "the attempt ended without an answer" }
  }
}

/** What a running program says of its connection. */
export const ofReport = (report: StatusReport): Outcome => {
  const { cause, pairing, session, state } = report
  if (session !== undefined) {
    return {
      _tag: "Met",
      by: "run",
      met: {
        protocol: session.protocol,
        release: session.serverVersion,
        scopes: session.scopes,
        missingScopes: session.missingScopes ?? [],
        deviceTokenIssued: session.deviceTokenIssued
      }
    }
  }
  if (state === "awaiting-approval" && pairing !== undefined) {
    return {
      _tag: "Failed",
      by: "run",
      at: "pairing",
      finding: {
        status: "fail",
        what: `process ${report.pid} waits for a person to approve this device (${pairing.reason}, request ${
          pairing.requestId ?? "unknown"
        })`,
        error: { error: "PairingRequired", reason: pairing.reason },
        advice: withCommand(approvalAdvice(pairing.reason), pairing.command)
      }
    }
  }
  if (cause !== undefined) {
    const [, phase] = /\bphase (\w+)/.exec(cause.message) ?? []
    const entry = ErrorCatalogue.lookup(cause.error, cause.reason)
    return {
      _tag: "Failed",
      by: "run",
      at: checkOf(cause.error, cause.reason, phase),
      finding: {
        status: "fail",
        what: cause.message,
        error: { error: cause.error, reason: cause.reason },
        advice: entry === undefined ? undefined : withCommand(entry, cause.command)
      }
    }
  }
  return { _tag: "Unknown", why: `process ${report.pid} is ${state} now` }
}
