/**
 * What a connection does next: a pure function from its memory and one input to its memory after it and a decision.
 *
 * `RetryPolicy` decides when to try again, `Credentials` what to offer. This module joins them with narrowing, on which both
 * depend: a device that is approved for fewer scopes than it wants connects with those. Times are those of `Moment`.
 */
import type { GatewaySettings } from "../handshake/GatewayConfig.ts"
import type { HandshakeError, PairingRequired } from "../handshake/HandshakeError.ts"
import type { StoredToken } from "../identity/TokenStore.ts"
import type { LinkError } from "../link/LinkError.ts"
import type { ScopeName } from "../protocol/Connect.ts"
import { covers } from "../protocol/Connect.ts"
import type { Approval, HaltCause } from "./ConnectionStatus.ts"
import type { Offer, Refused } from "./Credentials.ts"
import * as Credentials from "./Credentials.ts"
import type { History, Moment } from "./RetryPolicy.ts"
import * as RetryPolicy from "./RetryPolicy.ts"
import type { Scopes } from "./ScopeRequest.ts"
import * as ScopeRequest from "./ScopeRequest.ts"

/** Whether attempts ask only for the scopes that are approved already. Tried at most once in the life of a link. */
export type Narrowing =
  | { readonly _tag: "Untried" }
  /** Attempts ask for these scopes, while a person decides on the others. */
  | { readonly _tag: "Narrowed"; readonly scopes: ReadonlyArray<ScopeName> }
  /** The gateway refused those too. Attempts ask for everything, and a person has to approve it. */
  | { readonly _tag: "Failed" }

export interface Memory {
  readonly history: History
  readonly refused: Refused
  readonly narrowing: Narrowing
  /** A poll belongs to a wait that the status shows already. An attempt is counted, and the status shows it. */
  readonly next: "Attempt" | "Poll"
}

export type Input =
  | { readonly _tag: "Connected" }
  /** No session. `offer` and `stored` are those that the attempt was made with. */
  | {
    readonly _tag: "AttemptFailed"
    readonly error: HandshakeError
    readonly offer: Offer
    readonly stored: StoredToken | undefined
  }
  | { readonly _tag: "LinkLost"; readonly error: LinkError; readonly livedMs: number }
  /** Somebody ended a halt. */
  | { readonly _tag: "Resumed" }

export interface Situation {
  readonly moment: Moment
  readonly settings: GatewaySettings
  readonly scopes: Scopes
}

export type Decision =
  /** Do nothing until the link is lost. */
  | { readonly _tag: "Serve" }
  /** The next attempt begins at once. `forget` is a stored token to remove, because it is no longer valid. */
  | { readonly _tag: "Attempt"; readonly forget?: StoredToken | undefined }
  /** The next attempt begins at once, with the approved part. On all of `goal` a person decides: the request in `answer`. */
  | {
    readonly _tag: "Narrow"
    readonly goal: ReadonlyArray<ScopeName>
    readonly approved: ReadonlyArray<ScopeName>
    readonly answer: PairingRequired
  }
  | {
    readonly _tag: "Wait"
    readonly cause: HandshakeError
    readonly untilMs: number
    /** Not even `checkNow` ends the wait before this. */
    readonly notBeforeMs: number
  }
  /** A person has to approve. `RetryPolicy.nextCheckAtMs` says when to ask again, which is never before `notBeforeMs`. */
  | { readonly _tag: "AskAgain"; readonly approval: Approval; readonly notBeforeMs: number }
  /** Do nothing until `Resumed`. */
  | { readonly _tag: "Halt"; readonly cause: HaltCause; readonly forget?: StoredToken | undefined }

const untried: Narrowing = { _tag: "Untried" }

/** What is remembered of a gateway across pauses and changes of settings. */
export type Known = Pick<History, "proof" | "served">

export const unknown: Known = { proof: "v3", served: false }

/** The memory before the first attempt. */
export const begin = (nowMs: number, { proof, served }: Known = unknown): Memory =>
  countAttempt({
    history: RetryPolicy.begin(nowMs, proof, served),
    refused: Credentials.nothingRefused,
    narrowing: untried,
    next: "Attempt"
  })

/** Counts the next attempt, unless it is a poll. */
const countAttempt = (memory: Memory): Memory =>
  memory.next === "Poll"
    ? memory
    : { ...memory, history: { ...memory.history, attempt: memory.history.attempt + 1 } }

/** What the next attempt offers. */
export const offer = (
  { narrowing, refused }: Memory,
  settings: GatewaySettings,
  scopes: Scopes,
  stored: StoredToken | undefined
): Offer => {
  const asked = narrowing._tag === "Narrowed" ? narrowing.scopes : ScopeRequest.goal(scopes)
  return Credentials.choose({ ...settings, scopes: asked }, stored, refused)
}

export const step = (memory: Memory, input: Input, situation: Situation): readonly [Memory, Decision] => {
  switch (input._tag) {
    case "Connected":
      return [{
        history: { ...memory.history, attempt: 0, approval: undefined, served: true, refusals: 0 },
        refused: Credentials.nothingRefused,
        narrowing: untried,
        next: "Attempt"
      }, { _tag: "Serve" }]
    case "AttemptFailed":
      return decideFailure(memory, input, situation)
    case "LinkLost":
      return decideRetry(memory, input.error, situation.moment, input.livedMs)
    case "Resumed":
      return [
        countAttempt({
          history: RetryPolicy.resume(memory.history, situation.moment.nowMs),
          refused: Credentials.nothingRefused,
          narrowing: untried,
          next: "Attempt"
        }),
        { _tag: "Attempt" }
      ]
  }
}

const decideFailure = (
  memory: Memory,
  { error, offer, stored }: Extract<Input, { readonly _tag: "AttemptFailed" }>,
  { moment, scopes, settings }: Situation
): readonly [Memory, Decision] => {
  switch (error._tag) {
    case "PairingRequired": {
      if (memory.narrowing._tag === "Narrowed") {
        return [{ ...memory, narrowing: { _tag: "Failed" }, next: "Poll" }, { _tag: "Attempt" }]
      }
      const approved = memory.narrowing._tag === "Untried" ? narrow(error, settings, scopes, stored) : undefined
      return approved === undefined ? decideRetry(memory, error, moment) : [
        { ...memory, narrowing: { _tag: "Narrowed", scopes: approved }, next: "Poll" },
        { _tag: "Narrow", goal: ScopeRequest.goal(scopes), approved, answer: error }
      ]
    }
    case "AuthRejected": {
      const { forgetStored, refused, tryOther } = Credentials.judge(error, offer, settings, stored, memory.refused)
      const forget = forgetStored ? stored : undefined
      if (tryOther) return [countAttempt({ ...memory, refused }), { _tag: "Attempt", forget }]
      const [next, decision] = decideRetry({ ...memory, refused }, error, moment)
      return [next, decision._tag === "Halt" ? { ...decision, forget } : decision]
    }
    default: {
      // A stored token shows that an earlier process had a session.
      const served = memory.history.served || stored !== undefined
      return decideRetry({ ...memory, history: { ...memory.history, served } }, error, moment)
    }
  }
}

/** The reasons that a device gets if it is approved for fewer scopes. Releases up to 2026.2.19 give no reason. */
const narrowable: ReadonlySet<PairingRequired["reason"]> = new Set(["scope-upgrade", "unspecified"])

/** The approved part of the goal, if it is enough for a session and less than the goal. */
const narrow = (
  { approvedScopes, reason }: PairingRequired,
  { narrowedScopes }: GatewaySettings,
  scopes: Scopes,
  stored: StoredToken | undefined
): ReadonlyArray<ScopeName> | undefined => {
  if (!narrowable.has(reason)) return undefined
  const goal = ScopeRequest.goal(scopes)
  const approved = ScopeRequest.approvedOf(goal, approvedScopes ?? stored?.scopes ?? [])
  const enough = narrowedScopes === "accept"
    ? approved.length > 0
    : scopes.wanted.every((scope) => covers(approved, scope))
  return enough && approved.length < goal.length ? approved : undefined
}

/** The decision of `RetryPolicy` about a cause. */
const decideRetry = (
  memory: Memory,
  cause: HandshakeError,
  moment: Moment,
  livedMs?: number
): readonly [Memory, Decision] => {
  const seenAtMs = Math.max(memory.history.seenAtMs, moment.seenAtMs)
  const [history, decision] = RetryPolicy.decide({ ...memory.history, seenAtMs }, cause, moment, livedMs)
  const next: Memory = { ...memory, history, next: "Attempt" }
  switch (decision._tag) {
    case "AtOnce":
      return [countAttempt(next), { _tag: "Attempt" }]
    case "Wait":
      return [countAttempt(next), { ...decision, cause }]
    case "AskAgain":
      // `RetryPolicy` asks again only with an approval in its history; the type does not say so.
      return history.approval === undefined
        ? [countAttempt(next), { _tag: "Attempt" }]
        : [{ ...next, next: "Poll" }, { ...decision, approval: history.approval }]
    case "Halt":
      return [next, decision]
  }
}
