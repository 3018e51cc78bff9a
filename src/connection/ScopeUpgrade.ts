/**
 * Asking for wider scopes while the session goes on.
 *
 * Releases from 2026.8 take the request over the session itself and say how it ended. Older ones are asked by a second
 * attempt with the shared credential: they answer every ask of it with the same request id, and what looks like a new id is
 * a request that was rejected, or that expired. In both cases the live session keeps the scopes that it has, and the wider
 * ones come with a new link (measured on 2026.9.6 and 2026.6.11).
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { PairingRequired } from "../handshake/HandshakeError.ts"
import type { AuthToken, RequestId, ScopeName } from "../protocol/Connect.ts"
import { covers } from "../protocol/Connect.ts"
import * as Method from "../protocol/Method.ts"
import type { UpgradeEnd } from "../protocol/PairingNotice.ts"
import type { Approval } from "./ConnectionStatus.ts"
import { requestLifeMs } from "./ConnectionStatus.ts"
import type { Decision, History, Situation } from "./RetryPolicy.ts"
import * as RetryPolicy from "./RetryPolicy.ts"
import type { Session } from "./Session.ts"

/** How an upgrade ended. */
export type Outcome =
  /** The session has these scopes now. */
  | { readonly _tag: "Granted"; readonly scopes: ReadonlyArray<string> }
  /** The session is as it was. */
  | { readonly _tag: "Declined"; readonly reason: UpgradeEnd }

/** Wider scopes cannot be asked for. Nothing was sent. */
export class ScopeUpgradeRefused extends Schema.TaggedError<ScopeUpgradeRefused>()("ScopeUpgradeRefused", {
  /**
   * `NotConnected`: there is no session whose scopes could grow. `UnderWay`: one upgrade at a time. `NeedsSharedCredential`:
   * this gateway takes the request only with its shared token or password, and this device has its own token alone.
   */
  reason: Schema.Literals(["NotConnected", "UnderWay", "NeedsSharedCredential"])
}) {
  override get message(): string {
    switch (this.reason) {
      case "NotConnected":
        return "wider scopes cannot be asked for: there is no session at the moment"
      case "UnderWay":
        return "wider scopes cannot be asked for: an earlier request for some is not decided yet"
      case "NeedsSharedCredential":
        return "wider scopes cannot be asked for: this gateway takes the request only with its shared token or password"
    }
  }
}

/** One request for wider scopes, over any number of links. */
export interface Upgrade {
  /** All that the device is to have in the end. */
  readonly scopes: ReadonlyArray<ScopeName>
  readonly outcome: Deferred.Deferred<Outcome>
  /** Its own, as the session's back-off and the wait for a person have nothing to do with each other. */
  history: History
}

export const make = (scopes: ReadonlyArray<ScopeName>, nowMs: number): Upgrade => ({
  scopes,
  outcome: Deferred.makeUnsafe(),
  history: RetryPolicy.begin(nowMs)
})

/** What of these scopes the device has already. */
export const heldOf = (
  scopes: ReadonlyArray<ScopeName>,
  approved: ReadonlyArray<string>
): ReadonlyArray<ScopeName> => scopes.filter((scope) => covers(approved, scope))

export interface Asked {
  readonly approval: Approval
  readonly decision: Decision
  /** Why asking is over. */
  readonly end: UpgradeEnd | undefined
}

/**
 * Notes that the gateway was asked, and answered that a person has to decide. `tells` when the gateway says itself how a
 * request ended, so that a new id means no more than another request in its place.
 */
export const asked = (
  upgrade: Upgrade,
  answer: PairingRequired,
  held: ReadonlyArray<string>,
  situation: Situation,
  tells: boolean
): Asked => {
  const before = upgrade.history.approval
  const requestedScopes = answer.requestedScopes ?? upgrade.scopes
  const approvedScopes = answer.approvedScopes ?? held
  const [history, decision] = RetryPolicy.decide(upgrade.history, answer, situation)
  const approval: Approval = {
    requestId: answer.requestId,
    reason: answer.reason,
    sinceMs: situation.nowMs,
    lastAskedAtMs: situation.nowMs,
    replaced: 0,
    ...history.approval,
    requestedScopes,
    approvedScopes
  }
  upgrade.history = { ...history, approval }
  const replacedAlive = before !== undefined && before.requestId !== approval.requestId
    && situation.nowMs < before.lastAskedAtMs + requestLifeMs
  const end = replacedAlive && !tells
    ? "replaced"
    : decision._tag !== "Halt"
    ? undefined
    : decision.cause._tag !== "ApprovalTimedOut"
    ? "refused"
    : approval.replaced >= RetryPolicy.constants.replacedAtMost
    ? "replaced"
    : "unseen"
  return { approval, decision, end }
}

/** What came of asking over the session. */
export type Answer =
  | {
    readonly _tag: "Approved"
    readonly token: Redacted.Redacted<AuthToken> | undefined
    readonly scopes: ReadonlyArray<string>
  }
  | { readonly _tag: "Declined"; readonly reason: UpgradeEnd }
  /** The gateway does not take the request this way, in its words. */
  | { readonly _tag: "NotTaken"; readonly message: string }

/** Twice within the life of a request, and not more often: each ask is a line in the log of the gateway. */
const renewMs = 120_000
/** After an answer that says nothing. */
const patienceMs = 15_000

/**
 * Asks over the session, and again now and then, which keeps the request alive. Ends with the gateway's word on it; never
 * when the session ends first. `asked` takes note of an ask, and answers why asking is over.
 */
export const overSession = Effect.fnUntraced(function*(
  session: Session,
  upgrade: Upgrade,
  asked: (answer: PairingRequired) => Effect.Effect<UpgradeEnd | undefined>
): Effect.fn.Return<Answer> {
  const ask = Effect.gen(function*() {
    const sent = yield* Effect.result(
      session.call(Method.requestUpgrade, { scopes: upgrade.scopes })
    )
    if (Result.isFailure(sent)) {
      if (sent.failure._tag === "LinkError") return yield* Effect.never
      return sent.failure._tag === "RequestTimeout"
        ? { _tag: "Unanswered" as const }
        : { _tag: "NotTaken" as const, message: sent.failure.message }
    }
    const { requestId } = sent.success
    const end = yield* asked(
      new PairingRequired({
        reason: "scope-upgrade",
        requestId,
        requestedScopes: upgrade.scopes,
        approvedScopes: session.facts.scopes
      })
    )
    return end === undefined ? { _tag: "Asked" as const, requestId } : { _tag: "Declined" as const, reason: end }
  })
  /** Ends when the request that is waited for is not the one that is pending. */
  const keepAlive = Effect.fnUntraced(function*(requestId: RequestId) {
    while (true) {
      yield* Effect.sleep(Duration.millis(renewMs))
      const again = yield* ask
      if (again._tag === "Declined") return again
      if (again._tag === "Asked" && again.requestId !== requestId) return { _tag: "Again" as const }
    }
  })
  const decision = Effect.fnUntraced(function*(requestId: RequestId) {
    const said = yield* Effect.result(
      session.call(Method.waitUpgrade, { requestId }, { timeout: Duration.infinity })
    )
    if (Result.isFailure(said)) {
      if (said.failure._tag === "LinkError") return yield* Effect.never
      if (said.failure._tag === "AnswerInvalid") return { _tag: "Declined" as const, reason: "expired" as const }
      // A gateway that is about to restart forgets whom it owes an answer, and keeps the request.
      yield* Effect.sleep(Duration.millis(patienceMs))
      return { _tag: "Again" as const }
    }
    const answer = said.success
    return answer.status === "approved"
      ? { _tag: "Approved" as const, token: answer.deviceToken, scopes: answer.scopes ?? upgrade.scopes }
      : { _tag: "Declined" as const, reason: answer.status }
  })

  while (true) {
    const first = yield* ask
    if (first._tag === "Unanswered") {
      yield* Effect.sleep(Duration.millis(patienceMs))
      continue
    }
    if (first._tag !== "Asked") return first
    const next = yield* Effect.raceFirst(decision(first.requestId), keepAlive(first.requestId))
    if (next._tag !== "Again") return next
  }
})
