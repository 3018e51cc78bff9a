/**
 * What follows from a failed attempt or a lost link: a pure function from cause and history to a decision.
 *
 * The rules are the table `rules`, one row for each class of failure. Times are monotonic milliseconds.
 */
import type { HandshakeError, PairingRequired } from "../handshake/HandshakeError.ts"
import * as Bounds from "../protocol/Bounds.ts"
import type { Approval, HaltCause } from "./ConnectionStatus.ts"

/** What a supervisor remembers between attempts. */
export interface History {
  /** Attempts since the last hello-ok, for people. Polls for approval do not count. */
  readonly attempt: number
  /** Position on the back-off ladder. */
  readonly rung: number
  /** A session with this gateway has been, so that what refuses an upgrade now did not always do so. */
  readonly served: boolean
  /** Refusals of the upgrade or of TLS since the last session that only waiting can mend. */
  readonly refusals: number
  /** The proof version that this gateway is offered. */
  readonly proof: "v2" | "v3"
  readonly approval: Approval | undefined
  /** When somebody last looked at the wait: attended, or asked to check. */
  readonly seenAtMs: number
}

export const begin = (nowMs: number, proof: History["proof"] = "v3", served = false): History => ({
  attempt: 0,
  rung: 0,
  served,
  refusals: 0,
  proof,
  approval: undefined,
  seenAtMs: nowMs
})

/** What is left of the history when somebody ends a halt: a wait that was given up goes on, with its limits fresh. */
export const resume = (history: History, nowMs: number): History => ({
  ...begin(nowMs, history.proof, history.served),
  approval: history.approval === undefined ? undefined : { ...history.approval, replaced: 0 }
})

export type Decision =
  | { readonly _tag: "AtOnce" }
  | { readonly _tag: "Wait"; readonly untilMs: number; readonly notBeforeMs: number }
  /** Ask again after a while; see `nextCheckAtMs`. */
  | { readonly _tag: "AskAgain"; readonly notBeforeMs: number }
  | { readonly _tag: "Halt"; readonly cause: HaltCause }

export interface Situation {
  readonly nowMs: number
  /** From `Random`, at least 0 and below 1. */
  readonly unit: number
}

/** What decisions of a connection depend on besides their input. */
export interface Moment extends Situation {
  /** When somebody last looked; minus infinity when nobody ever did. */
  readonly seenAtMs: number
  /** For how long this machine has slept so far. The gateway's time went on, and `nowMs` did not. */
  readonly sleptMs: number
}

/** Every number of the policy, in milliseconds unless its name says otherwise. */
export const constants = {
  ladderBaseMs: 1000,
  ladderTopMs: 30_000,
  /** Where somebody between here and the gateway refuses, after it once let this device through. */
  slowBaseMs: 30_000,
  slowTopMs: 600_000,
  /** A link that lived this long starts the ladder again. */
  steadyMs: 30_000,
  /** Lock-out to assume when the gateway does not say. */
  lockoutMs: 300_000,
  lockoutSpreadMs: 5000,
  /** A gateway that asks for no wait at all gets this one, or two programs would spin. The ladder waits no less. */
  shortestWaitMs: Bounds.retryAfterMs.floor,
  /** How often a gateway that is not ready is asked at the pace that it names itself. */
  patientTries: 20,
  /** A wait the gateway asked for is prolonged by up to this share, so that its clients do not come back together. */
  retryAfterSpread: 0.1,
  attendedPollMs: 3000,
  /** `checkNow` counts as attendance for this long. */
  checkNowMs: 30_000,
  eagerPollMs: 15_000,
  eagerForMs: 300_000,
  patientPollMs: 60_000,
  longestPollMs: 240_000,
  pollJitter: 0.1,
  replacedAtMost: 3,
  unattendedAtMostMs: 3_600_000
} as const

type Rule = "ladder" | "link" | "retryAfter" | "lockout" | "approval" | "proof" | "halt" | "upgrade" | "tls"

/** One row for each class of failure. */
export const rules: Readonly<Record<HandshakeError["_tag"], Rule>> = {
  LinkError: "link",
  ChallengeTimeout: "ladder",
  HelloTimeout: "ladder",
  GatewayUnavailable: "retryAfter",
  UpgradeRejected: "upgrade",
  ProxyRejected: "upgrade",
  TlsUntrusted: "tls",
  TlsPinMismatch: "tls",
  PairingRequired: "approval",
  RateLimited: "lockout",
  DeviceProofRejected: "proof",
  AuthRejected: "halt",
  ProtocolMismatch: "halt",
  OriginNotAllowed: "halt",
  ClientNotAllowed: "halt",
  ChallengeInvalid: "halt",
  GatewayRejected: "halt",
  ScopesNarrowed: "halt",
  FrameTooLarge: "halt"
}

/** Decides what follows a failed attempt, or the loss of a link that had lived `livedMs`. */
export const decide = (
  history: History,
  error: HandshakeError,
  { nowMs, unit }: Situation,
  livedMs = 0
): readonly [History, Decision] => {
  const retryAfterMs = "retryAfterMs" in error ? error.retryAfterMs : undefined
  // Equal jitter: a strict lower bound, and a spread wide enough to keep a fleet apart.
  const within = (fullMs: number, notBeforeMs: number): Decision => {
    const untilMs = nowMs + Math.ceil(fullMs / 2 + (fullMs / 2) * unit)
    return { _tag: "Wait", untilMs: Math.max(untilMs, notBeforeMs), notBeforeMs }
  }
  const ladder = (notBeforeMs = nowMs): readonly [History, Decision] => {
    const rung = livedMs >= constants.steadyMs ? 0 : history.rung
    const fullMs = Math.min(constants.ladderBaseMs * 2 ** rung, constants.ladderTopMs)
    return [{ ...history, rung: rung + 1 }, within(fullMs, notBeforeMs)]
  }
  /** A refusal that may pass by itself where this device was let through before. */
  const slowly = (): readonly [History, Decision] => {
    if (!history.served) return [history, halt(error)]
    const fullMs = Math.min(constants.slowBaseMs * 2 ** history.refusals, constants.slowTopMs)
    return [{ ...history, refusals: history.refusals + 1 }, within(fullMs, nowMs + (retryAfterMs ?? 0))]
  }
  const waitAtLeast = (askedMs: number, spreadMs: number): readonly [History, Decision] => {
    const notBeforeMs = nowMs + Math.max(askedMs, constants.shortestWaitMs)
    return [history, { _tag: "Wait", untilMs: notBeforeMs + Math.ceil(spreadMs * unit), notBeforeMs }]
  }
  switch (rules[error._tag]) {
    case "ladder":
      return ladder()
    case "link":
      return error._tag === "LinkError" && error.closeCode === tooBig ? [history, halt(error)] : ladder()
    case "retryAfter": {
      if (retryAfterMs === undefined) return ladder()
      // A gateway that starts says so for some seconds. One that says so for ever is asked less and less often.
      const patienceMs = history.rung < constants.patientTries
        ? 0
        : Math.min(constants.ladderBaseMs * 2 ** (history.rung - constants.patientTries), constants.ladderTopMs)
      const [, decision] = waitAtLeast(Math.max(retryAfterMs, patienceMs), retryAfterMs * constants.retryAfterSpread)
      return [{ ...history, rung: history.rung + 1 }, decision]
    }
    case "lockout": {
      return waitAtLeast(retryAfterMs ?? constants.lockoutMs, constants.lockoutSpreadMs)
    }
    case "upgrade":
      return "status" in error && error.status !== undefined && passes(error.status)
        ? ladder(nowMs + (retryAfterMs ?? 0))
        : slowly()
    case "tls":
      // Time mends these by itself: the certificate is renewed, or a machine that has just started learns what day it is.
      return error._tag === "TlsUntrusted" && (error.reason === "Expired" || error.reason === "NotYetValid")
        ? ladder()
        : slowly()
    case "proof":
      return error._tag === "DeviceProofRejected" && mayNotKnowV3(error)
        ? [{ ...history, proof: "v2" }, { _tag: "AtOnce" }]
        : [history, halt(error)]
    case "approval":
      return error._tag === "PairingRequired" ? approval(history, error, nowMs) : [history, halt(error)]
    case "halt":
      return [history, halt(error)]
  }
}

/** HTTP statuses that say "not now" rather than "no". */
const passes = (status: number): boolean => status >= 500 || status === 408 || status === 425 || status === 429

/** The close code for a message above the gateway's limit: the same one would be refused again. */
const tooBig = 1009

const halt = (cause: HaltCause): Decision => ({ _tag: "Halt", cause })

/** Releases that do not know version 3 say only that the signature is invalid, without a precise code. */
const mayNotKnowV3 = (error: Extract<HandshakeError, { readonly _tag: "DeviceProofRejected" }>): boolean =>
  error.proof === "v3" && !error.detailed && (error.reason === "SignatureInvalid" || error.reason === "Invalid")

const approval = (history: History, error: PairingRequired, nowMs: number): readonly [History, Decision] => {
  const before = history.approval
  const isNew = before !== undefined && before.requestId !== error.requestId
  const next: Approval = {
    requestId: error.requestId,
    reason: error.reason,
    requestedScopes: error.requestedScopes,
    approvedScopes: error.approvedScopes,
    sinceMs: before?.sinceMs ?? nowMs,
    lastAskedAtMs: nowMs,
    replaced: (before?.replaced ?? 0) + (isNew ? 1 : 0)
  }
  // A wait that begins is seen by whoever started the program.
  const seenAtMs = before === undefined ? nowMs : history.seenAtMs
  const waiting: History = { ...history, attempt: 0, rung: 0, approval: next, seenAtMs }
  if (next.replaced >= constants.replacedAtMost || nowMs - seenAtMs >= constants.unattendedAtMostMs) {
    return [waiting, halt({ _tag: "ApprovalTimedOut", waitedMs: nowMs - next.sinceMs, replaced: next.replaced })]
  }
  if (error.pauseReconnect === true && error.recommendedNextStep !== "wait_then_retry") return [waiting, halt(error)]
  return [waiting, { _tag: "AskAgain", notBeforeMs: nowMs + (error.retryAfterMs ?? 0) }]
}

/**
 * When to ask again whether the approval has come. Asking keeps the request alive, so even the slowest pace stays below the
 * 300 s after which a gateway drops it. Jitter only shortens, and never the attended pace, which is the highest allowed.
 */
export const nextCheckAtMs = (
  approval: Approval,
  attended: boolean,
  notBeforeMs: number,
  { nowMs, unit }: Situation
): number => {
  const paceMs = attended
    ? constants.attendedPollMs
    : nowMs - approval.sinceMs < constants.eagerForMs
    ? constants.eagerPollMs
    : constants.patientPollMs
  const intervalMs = Math.min(paceMs * 2 ** approval.replaced, constants.longestPollMs)
  // One person looks at one device: only a crowd that nobody looks at needs to be kept apart.
  const jitter = attended ? 0 : constants.pollJitter * unit
  return Math.max(approval.lastAskedAtMs + Math.floor(intervalMs * (1 - jitter)), notBeforeMs)
}
