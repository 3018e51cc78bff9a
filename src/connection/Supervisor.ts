/**
 * Keeps one device connected to one gateway, and says at any moment where that stands.
 *
 * Supervisor interprets the decisions of `RetryPolicy` and `Credentials` and nothing else: it owns the retry loop, the
 * approval poll and the only mutable state, its status. Closing its scope interrupts the loop wherever it is, waits for the
 * finalizers, and closes the socket last.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberHandle from "effect/FiberHandle"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import * as Plan from "../handshake/ConnectPlan.ts"
import type { GatewaySettings } from "../handshake/GatewayConfig.ts"
import { GatewayConfig } from "../handshake/GatewayConfig.ts"
import type { Established } from "../handshake/Handshake.ts"
import { Handshake } from "../handshake/Handshake.ts"
import type { HandshakeError, PairingRequired } from "../handshake/HandshakeError.ts"
import { ScopesNarrowed } from "../handshake/HandshakeError.ts"
import { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import type { StoredToken, TokenKey } from "../identity/TokenStore.ts"
import { TokenStore } from "../identity/TokenStore.ts"
import type { ScopeName } from "../protocol/Connect.ts"
import { covers } from "../protocol/Connect.ts"
import type { UpgradeEnd } from "../protocol/PairingNotice.ts"
import { Admission } from "./Admission.ts"
import type { Approval, ConnectionStatus, GatewayStatus } from "./ConnectionStatus.ts"
import type { Offer, Refused } from "./Credentials.ts"
import * as Credentials from "./Credentials.ts"
import * as Metrics from "./Metrics.ts"
import type { History } from "./RetryPolicy.ts"
import * as RetryPolicy from "./RetryPolicy.ts"
import * as ScopeUpgrade from "./ScopeUpgrade.ts"
import type { SessionFacts } from "./Session.ts"
import * as Session from "./Session.ts"

export class Supervisor extends Context.Service<Supervisor, {
  readonly status: Effect.Effect<ConnectionStatus>
  /** The present status with the gateway that it is about, then every change. Nothing is left out, however fast it changes. */
  readonly changes: Stream.Stream<GatewayStatus>
  /** Which gateway this is: `scheme://host:port/path`. */
  readonly gatewayScope: Effect.Effect<string>
  /** While the scope is open somebody is looking, and an approval is asked for every three seconds. */
  readonly attend: Effect.Effect<void, never, Scope.Scope>
  /** Tries again now, where that is allowed: it ends a wait or a halt, but never a time that the gateway has set. */
  readonly checkNow: Effect.Effect<void>
  /** Closes the link and stays away until `resume`. */
  readonly pause: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
  /** Starts afresh with other settings, for example a new token. */
  readonly reconfigure: (settings: GatewaySettings) => Effect.Effect<void>
  /**
   * Asks for these scopes beside those that the session has, and waits for a person's answer; the session goes on meanwhile
   * and whatever the answer is. The wider scopes come with a new session, which takes the place of the present one; requests
   * under way on that one fail with `LinkError`. The request outlives lost links and the interruption of the caller; pausing,
   * other settings and the end of the supervisor end it. A device whose settings name more scopes than were approved asks in
   * the same way by itself, once.
   */
  readonly upgradeScopes: (
    scopes: ReadonlyArray<ScopeName>
  ) => Effect.Effect<ScopeUpgrade.Outcome, ScopeUpgrade.ScopeUpgradeRefused>
}>()("effect-openclaw/connection/Supervisor") {
  static readonly layer: Layer.Layer<
    Supervisor,
    never,
    Admission | DeviceIdentity | GatewayConfig | Handshake | TokenStore
  > = Layer.effect(this, Effect.suspend(() => make))
}

/** Refusals that a device meets which is approved for less. Releases up to 2026.2.19 give no reason. */
const narrowable: ReadonlySet<PairingRequired["reason"]> = new Set(["scope-upgrade", "unspecified"])

/** How an attempt ended: it was refused, or the link it gave was lost after a while. */
interface Ended {
  readonly error: HandshakeError
  readonly livedMs: number | undefined
}

/** A session, and the scopes that end it: the session's own, within the link's. */
interface Live {
  readonly _tag: "Live"
  readonly session: Session.Session
  readonly sessionScope: Scope.Closeable
  readonly linkScope: Scope.Closeable
  /** The gateway takes a request for wider scopes over the session. */
  readonly takesUpgrade: boolean
  readonly credential: Offer["credential"]["_tag"]
}

const upgradeMethods = ["device.scopes.requestUpgrade", "device.scopes.waitUpgrade"]

const make = Effect.gen(function*() {
  const identity = yield* DeviceIdentity
  const admission = yield* Admission
  const handshake = yield* Handshake
  const tokens = yield* TokenStore
  const clock = yield* Clock.Clock
  const meters = yield* Metrics.counters
  let settings = yield* GatewayConfig

  const told = yield* SubscriptionRef.make<GatewayStatus>({
    gatewayScope: settings.endpoint.gatewayScope,
    status: { _tag: "Connecting", attempt: 0 }
  })
  const updateStatus = (change: (now: ConnectionStatus) => ConnectionStatus) =>
    SubscriptionRef.update(told, (now) => ({
      gatewayScope: settings.endpoint.gatewayScope,
      status: change(now.status)
    }))
  const status = Effect.map(SubscriptionRef.get(told), (now) => now.status)
  const setStatus = (status: ConnectionStatus) => updateStatus(() => status)
  // Runs after the loop has ended, as finalizers run in reverse: every subscriber learns that it is over.
  yield* Effect.addFinalizer(() => setStatus({ _tag: "Stopped" }))
  const loop = yield* FiberHandle.make<never>()
  const commands = yield* Semaphore.make(1)
  const nudged = Latch.makeUnsafe(false)
  /** Gateways, by scope, that did not take proof version 3. They are offered version 2 from the start on. */
  const withoutV3 = new Set<string>()
  const proofOf = () => withoutV3.has(settings.endpoint.gatewayScope) ? "v2" : "v3"
  /** What is asked for at connect: the settings' scopes, less what was declined, and what was granted beside them. */
  let wanted: ReadonlyArray<ScopeName> = settings.scopes
  /** The one request for wider scopes. */
  let upgrade: ScopeUpgrade.Upgrade | undefined
  /** How the last one ended, if not in the scopes. */
  let declined: UpgradeEnd | undefined
  const upgradeWanted = Latch.makeUnsafe(false)
  /** Whether wider scopes can be asked for beside the present session. */
  let mayUpgrade = () => false
  let attending = 0
  let attendedUntilMs = 0
  let askedToCheck = false
  let sessions = 0
  /** When the wait for approval that is under way began. */
  let waitingSinceMs: number | undefined
  yield* Metrics.showApprovalAge(() => {
    const nowMs = clock.currentTimeMillisUnsafe()
    return nowMs - Math.min(waitingSinceMs ?? nowMs, upgrade?.history.approval?.sinceMs ?? nowMs)
  })

  const attended = (nowMs: number) => attending > 0 || attendedUntilMs > nowMs
  const tokenKey = (): TokenKey => ({
    gatewayScope: settings.endpoint.gatewayScope,
    deviceId: identity.deviceId,
    role: settings.role
  })
  const situation = Effect.map(Random.next, (unit) => ({ nowMs: clock.currentTimeMillisUnsafe(), unit }))

  /** A store that cannot be read or written costs a pairing at most, so it is told and not fatal. */
  const storedToken = Effect.suspend(() => tokens.get(tokenKey())).pipe(
    Effect.map(Option.getOrUndefined),
    Effect.catch((error) => Effect.as(Effect.logWarning("stored device token not readable", error.message), undefined))
  )

  /** The gateway replaces device tokens without notice, so the one of every hello-ok is kept, before anything uses it. */
  const keepToken = Effect.fnUntraced(function*({ hello }: Established, scopes: ReadonlyArray<string>) {
    const token = hello.auth?.deviceToken
    if (token !== undefined) yield* storeToken(token, scopes)
  })
  const storeToken = Effect.fnUntraced(function*(token: StoredToken["token"], scopes: ReadonlyArray<string>) {
    yield* tokens.put(tokenKey(), { token, scopes, storedAtMs: clock.currentTimeMillisUnsafe() }).pipe(
      Effect.catch((error) => Effect.logWarning("device token not stored; pairing may be needed again", error.message))
    )
  })

  /** One handshake and the session that it gives, in a scope of their own within the caller's. */
  const establish = Effect.fnUntraced(function*(proof: History["proof"], offer: Offer) {
    const outer = yield* Scope.Scope
    const linkScope = yield* Scope.fork(outer)
    const plan = Plan.make(settings, identity, { ...offer, proof })
    return yield* Effect.gen(function*() {
      const prepared = yield* Session.prepare
      const established = yield* admission.admit(
        settings.endpoint.gatewayScope,
        handshake.connect(plan, settings, prepared.handler)
      )
      const connectedAtMs = clock.currentTimeMillisUnsafe()
      const { hello } = established
      const granted = hello.auth?.scopes ?? offer.scopes
      yield* keepToken(established, granted)
      const missing = settings.scopes.filter((scope) => !covers(granted, scope))
      if (missing.length > 0 && (settings.narrowedScopes === "refuse" || missing.length === settings.scopes.length)) {
        return yield* new ScopesNarrowed({ requested: settings.scopes, granted, missing })
      }
      if (missing.length > 0) {
        yield* Effect.annotateLogs(Effect.logWarning("connected with fewer scopes than the settings name"), {
          granted: granted.join(" "),
          missing: missing.join(" ")
        })
      }
      const uptimeMs = hello.snapshot?.uptimeMs
      const facts: SessionFacts = {
        protocol: hello.protocol,
        serverVersion: hello.server?.version,
        scopes: granted,
        missingScopes: missing,
        deviceTokenIssued: hello.auth?.deviceToken !== undefined,
        connectedAtMs,
        clockDeltaMs: established.clockDeltaMs,
        gatewayStartedAtMs: uptimeMs === undefined ? undefined : connectedAtMs - uptimeMs,
        handshakeMs: established.elapsedMs
      }
      const sessionScope = yield* Scope.fork(linkScope)
      const session = yield* Scope.provide(prepared.open(established, facts, settings), sessionScope)
      meters.attempt("Connected")
      if (established.clockDeltaMs !== undefined) meters.clockDelta(established.clockDeltaMs)
      return {
        _tag: "Live",
        session,
        sessionScope,
        linkScope,
        takesUpgrade: upgradeMethods.every((method) => hello.features?.methods?.includes(method) === true),
        credential: offer.credential._tag
      } satisfies Live
    }).pipe(
      Scope.provide(linkScope),
      Effect.tapError((error) => Effect.sync(() => meters.attempt(error._tag))),
      Effect.onError((cause) => Scope.close(linkScope, Exit.failCause(cause)))
    )
  })

  const begun = (scopes: ReadonlyArray<ScopeName>): ScopeUpgrade.Upgrade => {
    declined = undefined
    return ScopeUpgrade.make(scopes, clock.currentTimeMillisUnsafe())
  }
  /** What is told beside a session: the upgrade that waits, or how it ended. */
  const tellUpgrade = (
    upgrading: Pick<Extract<ConnectionStatus, { readonly _tag: "Connected" }>, "upgrade" | "declined">
  ) => updateStatus((now) => now._tag === "Connected" ? { _tag: "Connected", session: now.session, ...upgrading } : now)
  const showUpgrade = (approval: Approval) => tellUpgrade({ upgrade: approval })
  const endUpgrade = (outcome: ScopeUpgrade.Outcome) =>
    Effect.sync(() => {
      const ended = upgrade
      if (ended === undefined) return
      upgrade = undefined
      declined = outcome._tag === "Declined" ? outcome.reason : undefined
      Deferred.doneUnsafe(ended.outcome, Effect.succeed(outcome))
    })
  /** What was declined is not asked for again by itself. */
  const decline = Effect.fnUntraced(function*(granted: ReadonlyArray<string>, reason: UpgradeEnd) {
    wanted = ScopeUpgrade.heldOf(wanted, granted)
    yield* tellUpgrade({ declined: reason })
    yield* endUpgrade({ _tag: "Declined", reason })
  })

  /** Notes an ask for wider scopes that a person has to decide on. */
  const noteAsk = Effect.fnUntraced(function*(
    target: ScopeUpgrade.Upgrade,
    answer: PairingRequired,
    held: ReadonlyArray<string>,
    tells: boolean
  ) {
    if (attended(clock.currentTimeMillisUnsafe())) seen(target)
    const asked = ScopeUpgrade.asked(target, answer, held, yield* situation, tells)
    if (asked.end === undefined) yield* showUpgrade(asked.approval)
    return asked
  })
  const seen = (target: ScopeUpgrade.Upgrade) => {
    target.history = { ...target.history, seenAtMs: clock.currentTimeMillisUnsafe() }
  }
  const untilNextAsk = Effect.fnUntraced(function*(target: ScopeUpgrade.Upgrade, notBeforeMs: number) {
    target.history = yield* awaitNextAsk(target.history, notBeforeMs, showUpgrade)
  })

  /** Asks by second attempts, until one is let in. */
  const besideSession = Effect.fnUntraced(function*(live: Live, target: ScopeUpgrade.Upgrade, refused: Refused) {
    const held = live.session.facts.scopes
    let history = RetryPolicy.begin(clock.currentTimeMillisUnsafe(), proofOf())
    if (target.history.approval !== undefined) yield* untilNextAsk(target, 0)
    while (true) {
      const offer = Credentials.choose({ ...settings, scopes: target.scopes }, yield* storedToken, refused)
      const attempted = yield* Effect.result(
        Effect.annotateLogs(establish(history.proof, offer), { attempt: "wider scopes" })
      )
      if (Result.isSuccess(attempted)) {
        const wider = attempted.success
        if (target.scopes.every((scope) => covers(wider.session.facts.scopes, scope))) return wider
        yield* Scope.close(wider.linkScope, Exit.void)
        return "refused"
      }
      const error = attempted.failure
      if (error._tag === "PairingRequired") {
        const asked = yield* noteAsk(target, error, held, false)
        if (asked.end !== undefined) return asked.end
        yield* untilNextAsk(target, asked.decision._tag === "AskAgain" ? asked.decision.notBeforeMs : 0)
        continue
      }
      if (error._tag === "AuthRejected") yield* admission.refused(settings.endpoint.gatewayScope)
      const [next, decision] = RetryPolicy.decide(history, error, yield* situation)
      history = next
      if (decision._tag === "Halt") return "refused"
      if (decision._tag !== "Wait") continue
      while (!(yield* waitUntil(decision.untilMs, decision.notBeforeMs))) { /* attendance changes no back-off */ }
    }
  })

  /** Sees one upgrade to its end beside a session: the session with the wider scopes, or why there is none. */
  const negotiate = Effect.fnUntraced(function*(live: Live, target: ScopeUpgrade.Upgrade, refused: Refused) {
    if (live.takesUpgrade) {
      const held = live.session.facts.scopes
      const answer = yield* ScopeUpgrade.overSession(
        live.session,
        target,
        (asked) => Effect.map(noteAsk(target, asked, held, true), ({ end }) => end)
      )
      switch (answer._tag) {
        case "Declined":
          return answer.reason
        case "Approved":
          if (answer.token !== undefined) yield* storeToken(answer.token, answer.scopes)
          target.history = { ...target.history, approval: undefined }
          break
        case "NotTaken":
          yield* Effect.logWarning("the gateway does not take the request for wider scopes", answer.message)
          if (!mayAskAgain(refused)) return "refused"
      }
    }
    return yield* besideSession(live, target, refused)
  })
  /** Whether a second attempt may ask: a device token is refused whatever it was not issued for. */
  const mayAskAgain = (refused: Refused) =>
    !refused.shared && (settings.token !== undefined || settings.password !== undefined)

  /** Asks for whatever is wanted beside a session, one upgrade after the other. Ends with the session that has it. */
  const widened = Effect.fnUntraced(function*(live: Live, refused: Refused) {
    while (true) {
      if (upgrade === undefined) yield* upgradeWanted.await
      upgradeWanted.closeUnsafe()
      const target = upgrade
      if (target === undefined) continue
      const end = yield* negotiate(live, target, refused)
      if (typeof end !== "string") return end
      yield* decline(live.session.facts.scopes, end)
    }
  })

  /** A device token asks for no more than it was issued for, so that what it lacks is asked for over the session. */
  const beginOwnUpgrade = (live: Live) => {
    const { scopes } = live.session.facts
    if (live.credential !== "DeviceToken" || wanted.every((scope) => covers(scopes, scope))) return Effect.void
    if (!live.takesUpgrade) {
      wanted = ScopeUpgrade.heldOf(wanted, scopes)
      return Effect.logWarning(new ScopeUpgrade.ScopeUpgradeRefused({ reason: "NeedsSharedCredential" }).message)
    }
    upgrade ??= begun(wanted)
    return Effect.void
  }

  /** Tells of a session, with the upgrade that waits beside it, or as the one that an upgrade led to. */
  const announce = Effect.fnUntraced(function*(live: Live, refused: Refused) {
    const { connectedAtMs, scopes } = live.session.facts
    yield* Scope.addFinalizer(
      live.sessionScope,
      Effect.sync(() => meters.sessionEnded(clock.currentTimeMillisUnsafe() - connectedAtMs))
    )
    mayUpgrade = () => live.takesUpgrade || mayAskAgain(refused)
    const target = upgrade
    if (target?.scopes.every((scope) => covers(scopes, scope)) === true) {
      wanted = target.scopes
      settings = { ...settings, scopes: [...new Set([...settings.scopes, ...target.scopes])] }
      yield* endUpgrade({ _tag: "Granted", scopes })
    }
    yield* setStatus({
      _tag: "Connected",
      session: live.session,
      ...(declined === undefined ? {} : { declined }),
      ...(upgrade?.history.approval === undefined ? {} : { upgrade: upgrade.history.approval })
    })
  })

  /** From the handshake to the end of the session, over any number of links that widen its scopes. */
  const live = Effect.fnUntraced(function*(history: History, offer: Offer, refused: Refused) {
    let current: Live = yield* establish(history.proof, offer)
    if (sessions++ > 0) meters.reconnected()
    waitingSinceMs = undefined
    yield* beginOwnUpgrade(current)
    yield* announce(current, refused)
    while (true) {
      const { linkScope, session, sessionScope } = current
      const next = yield* Effect.raceFirst(session.ended, widened(current, refused))
      if (next._tag === "LinkError") {
        const livedMs = clock.currentTimeMillisUnsafe() - session.facts.connectedAtMs
        return { error: next, livedMs } satisfies Ended
      }
      // The old session ends before the new one is told, so that nobody gets an event twice; its link may take its time.
      yield* Scope.close(sessionScope, Exit.void)
      current = next
      yield* announce(current, refused)
      yield* Effect.uninterruptible(Scope.close(linkScope, Exit.void))
    }
  }, Effect.scoped)

  const attempt = (history: History, offer: Offer, refused: Refused): Effect.Effect<Ended> =>
    live(history, offer, refused).pipe(
      Effect.annotateLogs({ attempt: history.attempt }),
      Effect.annotateSpans({ "openclaw.connect.attempt": history.attempt }),
      Effect.catch((error) => Effect.succeed<Ended>({ error, livedMs: undefined }))
    )

  /** Sleeps until a time, or until a nudge asks for it sooner; then at the earliest when the gateway allows it. */
  const waitUntil = Effect.fnUntraced(function*(untilMs: number, notBeforeMs: number) {
    nudged.closeUnsafe()
    if (!askedToCheck) yield* Effect.raceFirst(sleepUntil(untilMs), nudged.await)
    if (askedToCheck) {
      askedToCheck = false
      yield* sleepUntil(notBeforeMs)
      return true
    }
    return clock.currentTimeMillisUnsafe() >= untilMs
  })
  const untilAsked = Effect.gen(function*() {
    while (!(yield* waitUntil(Number.POSITIVE_INFINITY, 0))) { /* attendance ends no halt */ }
  })
  const sleepUntil = (untilMs: number) =>
    Effect.suspend(() =>
      Number.isFinite(untilMs)
        ? Effect.sleep(Duration.millis(Math.max(0, untilMs - clock.currentTimeMillisUnsafe())))
        : Effect.never
    )

  const awaitNextAsk = Effect.fnUntraced(function*(
    history: History,
    notBeforeMs: number,
    tell: (approval: Approval, nextCheckAtMs: number) => Effect.Effect<void>
  ) {
    const { approval } = history
    if (approval === undefined) return history
    const { unit } = yield* situation
    let seenAtMs = history.seenAtMs
    while (true) {
      const nowMs = clock.currentTimeMillisUnsafe()
      if (attended(nowMs)) seenAtMs = nowMs
      const nextCheckAtMs = RetryPolicy.nextCheckAtMs(approval, attended(nowMs), notBeforeMs, { nowMs, unit })
      yield* tell(approval, nextCheckAtMs)
      if (yield* waitUntil(nextCheckAtMs, notBeforeMs)) break
    }
    return {
      ...history,
      seenAtMs: attended(clock.currentTimeMillisUnsafe()) ? clock.currentTimeMillisUnsafe() : seenAtMs
    }
  })

  const run = Effect.gen(function*() {
    const { gatewayScope } = settings.endpoint
    let history = RetryPolicy.begin(clock.currentTimeMillisUnsafe(), proofOf())
    let refused: Refused = Credentials.nothingRefused
    let polling = false
    /** What of the scopes was approved, to be asked for while the others wait for a person. */
    let held: ReadonlyArray<ScopeName> | undefined
    let mayNarrow = true
    wanted = settings.scopes
    declined = undefined
    while (true) {
      if (!polling) {
        history = { ...history, attempt: history.attempt + 1 }
        yield* setStatus({ _tag: "Connecting", attempt: history.attempt })
      }
      const stored: StoredToken | undefined = yield* storedToken
      const all = upgrade?.scopes ?? wanted
      const offer = Credentials.choose({ ...settings, scopes: held ?? all }, stored, refused)
      const { error, livedMs } = yield* attempt(history, offer, refused)
      // An attempt that was under way answers whoever asked to check meanwhile.
      askedToCheck = false
      if (livedMs !== undefined) {
        refused = Credentials.nothingRefused
        history = { ...history, attempt: 0, approval: undefined }
        held = undefined
        mayNarrow = true
      }
      if (error._tag === "PairingRequired" && held !== undefined) {
        // Not even what it had: all of it is asked for, and waited for.
        held = undefined
        mayNarrow = false
        polling = true
        continue
      }
      if (error._tag === "PairingRequired" && mayNarrow && narrowable.has(error.reason)) {
        const approved = ScopeUpgrade.heldOf(all, error.approvedScopes ?? stored?.scopes ?? [])
        const enough = settings.narrowedScopes === "accept"
          ? approved.length > 0
          : wanted.every((scope) => covers(approved, scope))
        if (enough && approved.length < all.length) {
          upgrade ??= begun(all)
          const asked = yield* noteAsk(upgrade, error, approved, false)
          held = approved
          polling = true
          if (asked.end !== undefined) yield* decline(approved, asked.end)
          continue
        }
      }
      if (error._tag === "AuthRejected") {
        if (offer.credential._tag !== "None") yield* admission.refused(gatewayScope)
        const judgement = Credentials.judge(error, offer, settings, stored, refused)
        refused = judgement.refused
        if (judgement.forgetStored && stored !== undefined) {
          yield* Effect.ignore(tokens.remove(tokenKey(), stored.token))
        }
        if (judgement.tryOther) continue
      }
      const [next, decision] = RetryPolicy.decide(history, error, yield* situation, livedMs)
      history = next
      waitingSinceMs = history.approval?.sinceMs
      if (history.proof === "v2") withoutV3.add(gatewayScope)
      polling = decision._tag === "AskAgain"
      switch (decision._tag) {
        case "AtOnce":
          break
        case "AskAgain":
          declined = undefined
          history = yield* awaitNextAsk(
            history,
            decision.notBeforeMs,
            (approval, nextCheckAtMs) =>
              setStatus({ _tag: "AwaitingApproval", approval, nextCheckAtMs, checking: false })
          )
          yield* updateStatus((now) => now._tag === "AwaitingApproval" ? { ...now, checking: true } : now)
          break
        case "Wait":
          yield* setStatus({
            _tag: "Waiting",
            cause: error,
            retryAtMs: decision.untilMs,
            approval: history.approval
          })
          while (!(yield* waitUntil(decision.untilMs, decision.notBeforeMs))) { /* attendance changes no back-off */ }
          break
        case "Halt":
          yield* endUpgrade({ _tag: "Declined", reason: "ended" })
          yield* setStatus({ _tag: "Halted", cause: decision.cause, approval: history.approval })
          yield* untilAsked
          refused = Credentials.nothingRefused
          declined = undefined
          held = undefined
          mayNarrow = true
          history = RetryPolicy.resume(history, clock.currentTimeMillisUnsafe())
          break
      }
    }
  })

  const runOnce = Effect.ensuring(run, Effect.suspend(() => endUpgrade({ _tag: "Declined", reason: "ended" })))

  /** A defect is a bug of ours or of a service we were given. It is told, and the status does not pretend. */
  const failed = Effect.fnUntraced(function*(defect: unknown) {
    yield* Effect.logError("connection failed with a defect", defect)
    yield* setStatus({ _tag: "Halted", cause: { _tag: "InternalError" }, approval: undefined })
    yield* untilAsked
  })
  const start = Effect.asVoid(
    FiberHandle.run(
      loop,
      Effect.forever(Effect.catchDefect(runOnce, failed)).pipe(
        Effect.ensuring(Effect.sync(() => {
          waitingSinceMs = undefined
        }))
      )
    )
  )
  yield* start

  const nudge = Effect.sync(() => void nudged.openUnsafe())
  // Uninterruptible, as a loop that was stopped without a status that says so would look alive. Closing a link is bounded.
  const only = (command: Effect.Effect<void>) => Semaphore.withPermits(commands, 1)(Effect.uninterruptible(command))
  const unlessStopped = (command: Effect.Effect<void>) =>
    Effect.flatMap(status, (now) => now._tag === "Stopped" ? Effect.void : command)

  return Supervisor.of({
    status,
    changes: SubscriptionRef.changes(told),
    gatewayScope: Effect.map(SubscriptionRef.get(told), ({ gatewayScope }) => gatewayScope),
    attend: Effect.acquireRelease(
      Effect.andThen(Effect.sync(() => void attending++), nudge),
      () => Effect.andThen(Effect.sync(() => void attending--), nudge)
    ),
    checkNow: Effect.andThen(
      Effect.sync(() => {
        attendedUntilMs = clock.currentTimeMillisUnsafe() + RetryPolicy.constants.checkNowMs
        askedToCheck = true
      }),
      nudge
    ),
    pause: only(unlessStopped(
      Effect.andThen(FiberHandle.clear(loop), setStatus({ _tag: "Paused" }))
    )),
    resume: only(Effect.flatMap(
      status,
      (now) => now._tag === "Paused" ? start : Effect.void
    )),
    reconfigure: (next) =>
      only(unlessStopped(Effect.andThen(
        FiberHandle.clear(loop),
        Effect.suspend(() => {
          settings = next
          return start
        })
      ))),
    upgradeScopes: Effect.fn("Supervisor.upgradeScopes")(function*(scopes) {
      const now = yield* status
      const refusal = (reason: ScopeUpgrade.ScopeUpgradeRefused["reason"]) =>
        new ScopeUpgrade.ScopeUpgradeRefused({ reason })
      if (now._tag !== "Connected") return yield* refusal("NotConnected")
      const { facts } = now.session
      if (scopes.every((scope) => covers(facts.scopes, scope))) {
        return { _tag: "Granted", scopes: facts.scopes } satisfies ScopeUpgrade.Outcome
      }
      if (upgrade !== undefined) return yield* refusal("UnderWay")
      if (!mayUpgrade()) return yield* refusal("NeedsSharedCredential")
      const target = begun([...new Set([...wanted, ...scopes])])
      upgrade = target
      upgradeWanted.openUnsafe()
      return yield* Deferred.await(target.outcome)
    })
  })
})
