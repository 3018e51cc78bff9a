/**
 * Asks for wider scopes while the session goes on.
 *
 * Releases from 2026.8 take the request over the session itself and say how it ended. Older ones are asked by a second
 * attempt with the shared credential. In both cases the live session keeps the scopes that it has, and the wider ones come
 * with a new link (measured on 2026.9.6 and 2026.6.11). `ScopeRequest` decides; this module asks, waits and publishes.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import type { GatewaySettings } from "../handshake/GatewayConfig.ts"
import { PairingRequired } from "../handshake/HandshakeError.ts"
import type { AuthToken, RequestId, ScopeName } from "../protocol/Connect.ts"
import { covers, shownScope } from "../protocol/Connect.ts"
import * as Method from "../protocol/Method.ts"
import type { UpgradeEnd } from "../protocol/PairingNotice.ts"
import * as Refusal from "../protocol/Refusal.ts"
import * as Attempt from "./Attempt.ts"
import * as Attendance from "./Attendance.ts"
import type { Refused } from "./Credentials.ts"
import * as Credentials from "./Credentials.ts"
import type { History } from "./RetryPolicy.ts"
import * as RetryPolicy from "./RetryPolicy.ts"
import type { Request, Scopes } from "./ScopeRequest.ts"
import * as ScopeRequest from "./ScopeRequest.ts"
import type { Outcome } from "./ScopeUpgrade.ts"
import { ScopeUpgradeRefused } from "./ScopeUpgrade.ts"
import type { Session, SessionFacts } from "./Session.ts"

/** State of one connection. Only the functions of this module change it. */
export interface Widening {
  readonly means: Attempt.Means
  readonly attendance: Attendance.Attendance
  /** Publishes the state of the request beside a session. */
  readonly tell: (request: Request) => void
  /** Called when a request begins beside a session. */
  onBegun: (() => void) | undefined
  scopes: Scopes
  /** The outcome of the open request, if a caller waits for it. */
  outcome: Deferred.Deferred<Outcome> | undefined
  /** Wider scopes can be asked for beside the present session. */
  possible: boolean
}

export const make = (
  means: Attempt.Means,
  attendance: Attendance.Attendance,
  tell: Widening["tell"]
): Widening => ({
  means,
  attendance,
  tell,
  onBegun: undefined,
  scopes: ScopeRequest.begin([]),
  outcome: undefined,
  possible: false
})

/** What a second attempt uses: the settings, the credentials that were refused before this session, the proof version. */
export interface Ways {
  readonly settings: GatewaySettings
  readonly refused: Refused
  readonly proof: History["proof"]
}

/** Whether a second attempt can ask. It needs the shared credential: a device token gets only what it was issued for. */
const mayAttempt = ({ refused, settings }: Ways): boolean =>
  !refused.shared && (settings.token !== undefined || settings.password !== undefined)

/** Begins with the scopes of the settings, and without a request. */
export const begin = (self: Widening, wanted: ReadonlyArray<ScopeName>): void => {
  self.scopes = ScopeRequest.begin(wanted)
}

/** Ends the request, if there is one, because the connection ends. */
export const drop = (self: Widening): void => {
  self.scopes = ScopeRequest.dropped(self.scopes)
  settle(self, { _tag: "Declined", reason: "ended" })
}

/** Forgets how the last request ended, so that the status no longer shows it. */
export const forget = (self: Widening): void => {
  self.scopes = ScopeRequest.forgotten(self.scopes)
}

/** Opens a caller's request and waits for its outcome. The request goes on when the caller is interrupted. */
export const request = Effect.fnUntraced(function*(
  self: Widening,
  facts: SessionFacts,
  scopes: ReadonlyArray<ScopeName>
): Effect.fn.Return<Outcome, ScopeUpgradeRefused> {
  if (scopes.every((scope) => covers(facts.scopes, scope))) return { _tag: "Granted", scopes: facts.scopes }
  if (self.scopes.request._tag === "Open") return yield* new ScopeUpgradeRefused({ reason: "UnderWay" })
  if (!self.possible) return yield* new ScopeUpgradeRefused({ reason: "NeedsSharedCredential" })
  const outcome = Deferred.makeUnsafe<Outcome>()
  self.outcome = outcome
  open(self, [...new Set([...self.scopes.wanted, ...scopes])])
  self.onBegun?.()
  return yield* Deferred.await(outcome)
})

/** An attempt was refused because only a part of the scopes is approved. With it the gateway opened a request for all. */
export const narrowed = Effect.fnUntraced(function*(
  self: Widening,
  goal: ReadonlyArray<ScopeName>,
  approved: ReadonlyArray<ScopeName>,
  answer: PairingRequired
) {
  open(self, goal)
  const end = yield* noteAnswer(self, answer, approved, false)
  if (end !== undefined) yield* decline(self, approved, end)
})

/** Opens a request for the scopes that a device token lacks: the attempt with it asked only for those that it has. */
export const begunWithToken = (self: Widening, live: Attempt.Live): Effect.Effect<void> => {
  const { scopes } = live.session.facts
  const { wanted } = self.scopes
  if (live.credential !== "DeviceToken" || wanted.every((scope) => covers(scopes, scope))) return Effect.void
  if (live.takesUpgrade) return Effect.sync(() => open(self, wanted))
  self.scopes = { ...self.scopes, wanted: ScopeRequest.approvedOf(wanted, scopes) }
  return Effect.logWarning(new ScopeUpgradeRefused({ reason: "NeedsSharedCredential" }).message)
}

/** Called before a session is published. Gives all wanted scopes if the session fulfils the open request. */
export const held = (self: Widening, live: Attempt.Live, ways: Ways): ReadonlyArray<ScopeName> | undefined => {
  self.possible = live.takesUpgrade || mayAttempt(ways)
  const { scopes } = live.session.facts
  const before = self.scopes
  self.scopes = ScopeRequest.held(before, scopes)
  if (self.scopes === before) return undefined
  settle(self, { _tag: "Granted", scopes })
  return self.scopes.wanted
}

/** Whether a request waits to be handled beside the session. */
export const isOpen = (self: Widening): boolean => self.scopes.request._tag === "Open"

/** Handles the open request beside a session. Gives the session that has the wider scopes, or nothing if there will be none. */
export const widen = Effect.fnUntraced(function*(self: Widening, live: Attempt.Live, ways: Ways) {
  const end = yield* negotiate(self, live, ways)
  if (typeof end !== "string") return end
  yield* decline(self, live.session.facts.scopes, end)
  return undefined
})

const open = (self: Widening, goal: ReadonlyArray<ScopeName>): void => {
  self.scopes = ScopeRequest.open(self.scopes, goal, Attendance.nowMs(self.attendance))
}

const settle = (self: Widening, outcome: Outcome): void => {
  const { outcome: awaited } = self
  self.outcome = undefined
  if (awaited !== undefined) Deferred.doneUnsafe(awaited, Effect.succeed(outcome))
}

const decline = Effect.fnUntraced(function*(self: Widening, granted: ReadonlyArray<string>, reason: UpgradeEnd) {
  self.scopes = ScopeRequest.declined(self.scopes, granted, reason)
  self.tell(self.scopes.request)
  settle(self, { _tag: "Declined", reason })
})

/** Notes an answer that leaves the decision to a person. Gives the reason if asking is over. */
const noteAnswer = Effect.fnUntraced(function*(
  self: Widening,
  answer: PairingRequired,
  held: ReadonlyArray<string>,
  tells: boolean
): Effect.fn.Return<UpgradeEnd | undefined> {
  const { request } = self.scopes
  if (request._tag !== "Open") return "ended"
  const noted = ScopeRequest.noted(request, answer, held, Attendance.moment(self.attendance), tells)
  self.scopes = { ...self.scopes, request: noted.request }
  if (noted.end === undefined) self.tell(noted.request)
  return noted.end
})

/** Waits until it is time to ask again; does not wait if the gateway was not asked yet. */
const waitForNextAsk = (self: Widening): Effect.Effect<void> => {
  const { request } = self.scopes
  const approval = request._tag === "Open" ? request.history.approval : undefined
  return request._tag !== "Open" || approval === undefined
    ? Effect.void
    : Attendance.waitForNextAsk(self.attendance, approval, request.notBeforeMs, () => self.tell(request))
}

/** Handles one request to its end. Gives the session with the wider scopes, or why there is none. */
const negotiate = Effect.fnUntraced(function*(self: Widening, live: Attempt.Live, ways: Ways) {
  if (live.takesUpgrade) {
    const answer = yield* askOverSession(self, live.session)
    switch (answer._tag) {
      case "Declined":
        return answer.reason
      case "Approved":
        if (answer.token !== undefined) {
          yield* Attempt.storeToken(self.means, ways.settings, answer.token, answer.scopes)
        }
        self.scopes = ScopeRequest.approved(self.scopes)
        break
      case "NotTaken":
        yield* Effect.logWarning("the gateway does not take the request for wider scopes", answer.message)
        if (!mayAttempt(ways)) return "refused"
    }
  }
  return yield* askBySecondAttempts(self, live.session.facts.scopes, ways)
})

/** Asks by second attempts until one succeeds. */
const askBySecondAttempts = Effect.fnUntraced(function*(
  self: Widening,
  held: ReadonlyArray<string>,
  { proof, refused, settings }: Ways
) {
  let history = RetryPolicy.begin(Attendance.nowMs(self.attendance), proof)
  yield* waitForNextAsk(self)
  while (true) {
    const scopes = ScopeRequest.goal(self.scopes)
    const stored = yield* Attempt.storedToken(self.means, settings)
    const offer = Credentials.choose({ ...settings, scopes }, stored, refused)
    const attempted = yield* Effect.result(
      Attempt.establish(self.means, settings, { attempt: "wider scopes", proof: history.proof, offer, stored })
    )
    Attendance.answered(self.attendance)
    if (Result.isSuccess(attempted)) {
      const wider = attempted.success
      if (scopes.every((scope) => covers(wider.session.facts.scopes, scope))) return wider
      yield* Scope.close(wider.linkScope, Exit.void)
      return "refused"
    }
    const error = attempted.failure
    if (error._tag === "PairingRequired") {
      const end = yield* noteAnswer(self, error, held, false)
      if (end !== undefined) return end
      yield* waitForNextAsk(self)
      continue
    }
    const [next, decision] = RetryPolicy.decide(history, error, Attendance.moment(self.attendance))
    history = next
    if (decision._tag === "Halt") return "refused"
    if (decision._tag === "Wait") {
      yield* Attendance.waitUntil(self.attendance, decision.untilMs, decision.notBeforeMs)
    }
  }
})

/** How asking over the session ended. */
type Answer =
  | {
    readonly _tag: "Approved"
    readonly token: Redacted.Redacted<AuthToken> | undefined
    readonly scopes: ReadonlyArray<string>
  }
  | { readonly _tag: "Declined"; readonly reason: UpgradeEnd }
  /** The gateway does not take the request over a session; `message` says why. */
  | { readonly _tag: "NotTaken"; readonly message: string }

/** Twice within the life of a request, and not more often, because the gateway logs each ask. */
const renewMs = 120_000
/** How long to wait after an ask without an answer, or without a usable one. */
const retryMs = 15_000

/**
 * Asks over the session, and again every `renewMs`, which keeps the request alive. Ends with the gateway's decision; never
 * ends if the session ends first.
 */
const askOverSession = Effect.fnUntraced(function*(self: Widening, session: Session): Effect.fn.Return<Answer> {
  while (true) {
    const first = yield* sendRequest(self, session)
    if (first._tag === "Unanswered") {
      yield* Effect.sleep(Duration.millis(retryMs))
      continue
    }
    if (first._tag !== "Asked") return first
    const next = yield* Effect.raceFirst(
      awaitDecision(self, session, first.requestId),
      keepAlive(self, session, first.requestId)
    )
    if (next._tag !== "Again") return next
  }
})

const sendRequest = Effect.fnUntraced(function*(self: Widening, session: Session) {
  const scopes = ScopeRequest.goal(self.scopes)
  const sent = yield* Effect.result(session.call(Method.requestUpgrade, { scopes }))
  if (Result.isFailure(sent)) {
    if (sent.failure._tag === "LinkError") return yield* Effect.never
    return sent.failure._tag === "RequestTimeout"
      ? { _tag: "Unanswered" as const }
      : { _tag: "NotTaken" as const, message: sent.failure.message }
  }
  const { requestId } = sent.success
  const held = session.facts.scopes
  const answer = new PairingRequired({
    reason: "scope-upgrade",
    requestId: Refusal.requestIdOf(requestId, session.secrets ?? []),
    requestedScopes: scopes,
    approvedScopes: held
  })
  const end = yield* noteAnswer(self, answer, held, true)
  return end === undefined ? { _tag: "Asked" as const, requestId } : { _tag: "Declined" as const, reason: end }
})

/** Renews the request. Ends when the gateway names another request than this one, or when asking is over. */
const keepAlive = Effect.fnUntraced(function*(self: Widening, session: Session, requestId: RequestId) {
  while (true) {
    yield* Effect.sleep(Duration.millis(renewMs))
    const again = yield* sendRequest(self, session)
    if (again._tag === "Declined") return again
    if (again._tag === "Asked" && again.requestId !== requestId) return { _tag: "Again" as const }
  }
})

const awaitDecision = Effect.fnUntraced(function*(self: Widening, session: Session, requestId: RequestId) {
  const result = yield* Effect.result(session.call(Method.waitUpgrade, { requestId }, { timeout: Duration.infinity }))
  if (Result.isFailure(result)) {
    if (result.failure._tag === "LinkError") return yield* Effect.never
    if (result.failure._tag === "AnswerInvalid") return { _tag: "Declined" as const, reason: "expired" as const }
    // A gateway that restarts keeps the request, but not who waits for its decision.
    yield* Effect.sleep(Duration.millis(retryMs))
    return { _tag: "Again" as const }
  }
  const answer = result.success
  return answer.status === "approved"
    ? {
      _tag: "Approved" as const,
      token: answer.deviceToken,
      scopes: answer.scopes?.map((scope) => shownScope(scope, session.secrets ?? [])) ?? ScopeRequest.goal(self.scopes)
    }
    : { _tag: "Declined" as const, reason: answer.status }
})
