/**
 * Which scopes a device asks for, and the one request for wider ones: a pure function for everything that can happen to it.
 *
 * Older gateways answer every ask with the same request id, so that another id while the first request was alive means that
 * somebody rejected it. Newer ones say themselves how a request ended (measured on 2026.6.11 and 2026.9.6).
 */
import type { PairingRequired } from "../handshake/HandshakeError.ts"
import type { ScopeName } from "../protocol/Connect.ts"
import { covers } from "../protocol/Connect.ts"
import type { UpgradeEnd } from "../protocol/PairingNotice.ts"
import type { Approval } from "./ConnectionStatus.ts"
import { requestLifeMs } from "./ConnectionStatus.ts"
import type { Decision, History, Moment } from "./RetryPolicy.ts"
import * as RetryPolicy from "./RetryPolicy.ts"

/** A request that is under way, over any number of links. */
export interface Open {
  readonly _tag: "Open"
  /** All that the device is to have in the end. */
  readonly scopes: ReadonlyArray<ScopeName>
  /** Its own, as the connection's back-off and this wait for a person have nothing to do with each other. */
  readonly history: History
  /** The gateway does not want to be asked before. */
  readonly notBeforeMs: number
  /** For how long this machine had slept at the last ask. */
  readonly sleptMs: number
}

export type Request =
  | { readonly _tag: "None" }
  | Open
  /** The last request ended without the scopes. */
  | { readonly _tag: "Declined"; readonly reason: UpgradeEnd }

export interface Scopes {
  /** Asked for at connect: those of the settings, less what was declined, and what was granted beside them. */
  readonly wanted: ReadonlyArray<ScopeName>
  readonly request: Request
}

const none: Request = { _tag: "None" }

export const begin = (wanted: ReadonlyArray<ScopeName>): Scopes => ({ wanted, request: none })

/** All that the device is to have in the end. */
export const goal = ({ request, wanted }: Scopes): ReadonlyArray<ScopeName> =>
  request._tag === "Open" ? request.scopes : wanted

/** The part of these scopes that was approved. */
export const approvedOf = (
  scopes: ReadonlyArray<ScopeName>,
  approved: ReadonlyArray<string>
): ReadonlyArray<ScopeName> => scopes.filter((scope) => covers(approved, scope))

/** Begins a request, unless one is under way. */
export const open = (scopes: Scopes, goal: ReadonlyArray<ScopeName>, nowMs: number): Scopes =>
  scopes.request._tag === "Open"
    ? scopes
    : {
      ...scopes,
      request: { _tag: "Open", scopes: goal, history: RetryPolicy.begin(nowMs), notBeforeMs: 0, sleptMs: 0 }
    }

export interface Noted {
  readonly request: Open
  /** Why asking is over. */
  readonly end: UpgradeEnd | undefined
}

/**
 * Notes that the gateway was asked, and answered that a person has to decide. `tells` when the gateway says itself how a
 * request ended, so that a new id means no more than another request in its place.
 */
export const noted = (
  request: Open,
  answer: PairingRequired,
  held: ReadonlyArray<string>,
  moment: Moment,
  tells: boolean
): Noted => {
  const before = request.history.approval
  const seenAtMs = Math.max(request.history.seenAtMs, moment.seenAtMs)
  const [history, decision] = RetryPolicy.decide({ ...request.history, seenAtMs }, answer, moment)
  const approval: Approval = {
    requestId: answer.requestId,
    reason: answer.reason,
    sinceMs: moment.nowMs,
    lastAskedAtMs: moment.nowMs,
    replaced: 0,
    ...history.approval,
    requestedScopes: answer.requestedScopes ?? request.scopes,
    approvedScopes: answer.approvedScopes ?? held
  }
  const replacedAlive = before !== undefined && before.requestId !== approval.requestId
    && moment.nowMs - before.lastAskedAtMs + moment.sleptMs - request.sleptMs < requestLifeMs
  return {
    request: {
      ...request,
      history: { ...history, approval },
      notBeforeMs: decision._tag === "AskAgain" ? decision.notBeforeMs : 0,
      sleptMs: moment.sleptMs
    },
    end: replacedAlive && !tells ? "replaced" : endOf(decision, approval)
  }
}

const endOf = (decision: Decision, { replaced }: Approval): UpgradeEnd | undefined => {
  if (decision._tag !== "Halt") return undefined
  if (decision.cause._tag !== "ApprovalTimedOut") return "refused"
  return replaced >= RetryPolicy.constants.replacedAtMost ? "replaced" : "unseen"
}

/** The gateway has approved the request; a new link is to bring the scopes. */
export const approved = (scopes: Scopes): Scopes =>
  scopes.request._tag === "Open"
    ? {
      ...scopes,
      request: { ...scopes.request, history: { ...scopes.request.history, approval: undefined }, notBeforeMs: 0 }
    }
    : scopes

/** The request ended without its scopes. What was declined is not asked for again without being told to. */
export const declined = (scopes: Scopes, granted: ReadonlyArray<string>, reason: UpgradeEnd): Scopes => ({
  wanted: approvedOf(scopes.wanted, granted),
  request: { _tag: "Declined", reason }
})

/** The request, if there is one, is given up. What was wanted still is. */
export const dropped = (scopes: Scopes): Scopes =>
  scopes.request._tag === "Open" ? { ...scopes, request: { _tag: "Declined", reason: "ended" } } : scopes

/** How the last request ended is no longer told. */
export const forgotten = (scopes: Scopes): Scopes =>
  scopes.request._tag === "Declined" ? { ...scopes, request: none } : scopes

/** A session has these scopes. Fulfils the request if they are all that it was for. */
export const held = (scopes: Scopes, granted: ReadonlyArray<string>): Scopes =>
  scopes.request._tag === "Open" && scopes.request.scopes.every((scope) => covers(granted, scope))
    ? { wanted: scopes.request.scopes, request: none }
    : scopes
