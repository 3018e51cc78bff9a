/**
 * What a connection does next: a pure function from its memory and one input to its memory after it and a decision.
 *
 * `RetryPolicy` knows when to come back, `Credentials` what to offer; this module joins them with the one thing that both
 * depend on, how a device that is approved for less than it wants gets in with what it has. Times are those of `Moment`.
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

/** Asking for no more than what is approved already: once in the life of a link. */
export type Narrowing =
  | { readonly _tag: "Untried" }
  /** Attempts ask for these scopes, while a person decides on the others. */
  | { readonly _tag: "Narrowed"; readonly scopes: ReadonlyArray<ScopeName> }
  /** The gateway did not take even those. Attempts ask for everything, and a person has to approve it. */
  | { readonly _tag: "Failed" }

export interface Memory {
  readonly history: History
  readonly refused: Refused
  readonly narrowing: Narrowing
  /** A poll is part of a wait that people see already; an attempt is counted and told. */
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
  /** Nothing until the link is lost. */
  | { readonly _tag: "Serve" }
  /** The next attempt begins at once. `forget` is a stored token that is good for nothing. */
  | { readonly _tag: "Attempt"; readonly forget?: StoredToken | undefined }
  /** The next attempt begins at once, with the approved part; `answer` says who decides on all of `goal`. */
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
  /** A person has to approve. When to ask again depends on who looks (`RetryPolicy.nextCheckAtMs`), but not before this. */
  | { readonly _tag: "AskAgain"; readonly approval: Approval; readonly notBeforeMs: number }
  /** Nothing until `Resumed`. */
  | { readonly _tag: "Halt"; readonly cause: HaltCause; readonly forget?: StoredToken | undefined }

const untried: Narrowing = { _tag: "Untried" }

/** What is known of a gateway from before: a pause or other settings do not forget it. */
export type Known = Pick<History, "proof" | "served">

export const unknown: Known = { proof: "v3", served: false }

/** Before the first attempt. */
export const begin = (nowMs: number, { proof, served }: Known = unknown): Memory =>
  counted({
    history: RetryPolicy.begin(nowMs, proof, served),
    refused: Credentials.nothingRefused,
    narrowing: untried,
    next: "Attempt"
  })

/** The next attempt counts, unless it is a poll. */
const counted = (memory: Memory): Memory =>
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
      return failed(memory, input, situation)
    case "LinkLost":
      return retried(memory, input.error, situation.moment, input.livedMs)
    case "Resumed":
      return [
        counted({
          history: RetryPolicy.resume(memory.history, situation.moment.nowMs),
          refused: Credentials.nothingRefused,
          narrowing: untried,
          next: "Attempt"
        }),
        { _tag: "Attempt" }
      ]
  }
}

const failed = (
  memory: Memory,
  { error, offer, stored }: Extract<Input, { readonly _tag: "AttemptFailed" }>,
  { moment, scopes, settings }: Situation
): readonly [Memory, Decision] => {
  switch (error._tag) {
    case "PairingRequired": {
      if (memory.narrowing._tag === "Narrowed") {
        return [{ ...memory, narrowing: { _tag: "Failed" }, next: "Poll" }, { _tag: "Attempt" }]
      }
      const approved = memory.narrowing._tag === "Untried" ? narrowed(error, settings, scopes, stored) : undefined
      return approved === undefined ? retried(memory, error, moment) : [
        { ...memory, narrowing: { _tag: "Narrowed", scopes: approved }, next: "Poll" },
        { _tag: "Narrow", goal: ScopeRequest.goal(scopes), approved, answer: error }
      ]
    }
    case "AuthRejected": {
      const { forgetStored, refused, tryOther } = Credentials.judge(error, offer, settings, stored, memory.refused)
      const forget = forgetStored ? stored : undefined
      if (tryOther) return [counted({ ...memory, refused }), { _tag: "Attempt", forget }]
      const [next, decision] = retried({ ...memory, refused }, error, moment)
      return [next, decision._tag === "Halt" ? { ...decision, forget } : decision]
    }
    default: {
      // A stored token is what an earlier process had of a session.
      const served = memory.history.served || stored !== undefined
      return retried({ ...memory, history: { ...memory.history, served } }, error, moment)
    }
  }
}

/** Refusals that a device gets which is approved for less. Releases up to 2026.2.19 give no reason. */
const narrowable: ReadonlySet<PairingRequired["reason"]> = new Set(["scope-upgrade", "unspecified"])

/** The approved part of what was asked for, where that is enough for a session and less than all. */
const narrowed = (
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

/** What the table of `RetryPolicy` says of a cause. */
const retried = (
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
      return [counted(next), { _tag: "Attempt" }]
    case "Wait":
      return [counted(next), { ...decision, cause }]
    case "AskAgain":
      // A decision to ask again is about an approval.
      return history.approval === undefined
        ? [counted(next), { _tag: "Attempt" }]
        : [{ ...next, next: "Poll" }, { ...decision, approval: history.approval }]
    case "Halt":
      return [next, decision]
  }
}
