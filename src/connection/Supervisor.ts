/**
 * Keeps one device connected to one gateway, and says at any moment where that stands.
 *
 * Supervisor interprets the decisions of `RetryPolicy` and `Credentials` and nothing else: it owns the retry loop, the
 * approval poll and the only mutable state, its status. Closing its scope interrupts the loop wherever it is, waits for the
 * finalizers, and closes the socket last.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberHandle from "effect/FiberHandle"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import * as Plan from "../handshake/ConnectPlan.ts"
import type { GatewaySettings } from "../handshake/GatewayConfig.ts"
import { GatewayConfig } from "../handshake/GatewayConfig.ts"
import type { Established } from "../handshake/Handshake.ts"
import { Handshake } from "../handshake/Handshake.ts"
import type { HandshakeError } from "../handshake/HandshakeError.ts"
import { ScopesNarrowed } from "../handshake/HandshakeError.ts"
import { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import type { StoredToken, TokenKey } from "../identity/TokenStore.ts"
import { TokenStore } from "../identity/TokenStore.ts"
import { covers } from "../protocol/Connect.ts"
import { Admission } from "./Admission.ts"
import type { ConnectionStatus } from "./ConnectionStatus.ts"
import type { Offer, Refused } from "./Credentials.ts"
import * as Credentials from "./Credentials.ts"
import type { History } from "./RetryPolicy.ts"
import * as RetryPolicy from "./RetryPolicy.ts"
import type { SessionFacts } from "./Session.ts"
import * as Session from "./Session.ts"

export class Supervisor extends Context.Service<Supervisor, {
  readonly status: Effect.Effect<ConnectionStatus>
  /** The present status, then every change. Nothing is left out, however fast it changes. */
  readonly changes: Stream.Stream<ConnectionStatus>
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
}>()("effect-openclaw/connection/Supervisor") {
  static readonly layer: Layer.Layer<
    Supervisor,
    never,
    Admission | DeviceIdentity | GatewayConfig | Handshake | TokenStore
  > = Layer.effect(this, Effect.suspend(() => make))
}

/** How an attempt ended: it was refused, or the link it gave was lost after a while. */
interface Ended {
  readonly error: HandshakeError
  readonly livedMs: number | undefined
}

const make = Effect.gen(function*() {
  const identity = yield* DeviceIdentity
  const admission = yield* Admission
  const handshake = yield* Handshake
  const tokens = yield* TokenStore
  const clock = yield* Clock.Clock
  let settings = yield* GatewayConfig

  const status = yield* SubscriptionRef.make<ConnectionStatus>({ _tag: "Connecting", attempt: 0 })
  // Runs after the loop has ended, as finalizers run in reverse: whoever still listens learns that it is over.
  yield* Effect.addFinalizer(() => SubscriptionRef.set(status, { _tag: "Stopped" }))
  const loop = yield* FiberHandle.make<never>()
  const commands = yield* Semaphore.make(1)
  const nudged = Latch.makeUnsafe(false)
  /** Gateways, by scope, that did not take proof version 3. They are offered version 2 from the start on. */
  const withoutV3 = new Set<string>()
  let attending = 0
  let attendedUntilMs = 0
  let askedToCheck = false

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
    if (token === undefined) return
    yield* tokens.put(tokenKey(), { token, scopes, storedAtMs: clock.currentTimeMillisUnsafe() }).pipe(
      Effect.catch((error) => Effect.logWarning("device token not stored; pairing may be needed again", error.message))
    )
  })

  const live = Effect.fnUntraced(function*(history: History, offer: Offer) {
    const plan = Plan.make(settings, identity, { ...offer, proof: history.proof })
    const prepared = yield* Session.prepare
    const established = yield* admission.admit(
      settings.endpoint.gatewayScope,
      handshake.connect(plan, settings, prepared.handler)
    )
    const connectedAtMs = clock.currentTimeMillisUnsafe()
    const granted = established.hello.auth?.scopes ?? offer.scopes
    yield* keepToken(established, granted)
    const missing = settings.scopes.filter((scope) => !covers(granted, scope))
    if (missing.length > 0 && (settings.narrowedScopes === "refuse" || missing.length === settings.scopes.length)) {
      return yield* new ScopesNarrowed({ requested: settings.scopes, granted, missing })
    }
    const facts: SessionFacts = {
      protocol: established.hello.protocol,
      serverVersion: established.hello.server?.version,
      scopes: granted,
      missingScopes: missing,
      deviceTokenIssued: established.hello.auth?.deviceToken !== undefined,
      connectedAtMs,
      clockDeltaMs: established.clockDeltaMs,
      handshakeMs: established.elapsedMs
    }
    const session = yield* prepared.open(established, facts, settings)
    yield* SubscriptionRef.set(status, { _tag: "Connected", session })
    const error = yield* session.ended
    return { error, livedMs: clock.currentTimeMillisUnsafe() - connectedAtMs } satisfies Ended
  }, Effect.scoped)

  const attempt = (history: History, offer: Offer): Effect.Effect<Ended> =>
    Effect.catch(
      Effect.annotateLogs(live(history, offer), { attempt: history.attempt }),
      (error) => Effect.succeed<Ended>({ error, livedMs: undefined })
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

  const awaitNextAsk = Effect.fnUntraced(function*(history: History, notBeforeMs: number) {
    const { approval } = history
    if (approval === undefined) return history
    const { unit } = yield* situation
    let seenAtMs = history.seenAtMs
    while (true) {
      const nowMs = clock.currentTimeMillisUnsafe()
      if (attended(nowMs)) seenAtMs = nowMs
      const nextCheckAtMs = RetryPolicy.nextCheckAtMs(approval, attended(nowMs), notBeforeMs, { nowMs, unit })
      yield* SubscriptionRef.set(status, { _tag: "AwaitingApproval", approval, nextCheckAtMs, checking: false })
      if (yield* waitUntil(nextCheckAtMs, notBeforeMs)) break
    }
    yield* SubscriptionRef.update(
      status,
      (now) => now._tag === "AwaitingApproval" ? { ...now, checking: true } : now
    )
    return {
      ...history,
      seenAtMs: attended(clock.currentTimeMillisUnsafe()) ? clock.currentTimeMillisUnsafe() : seenAtMs
    }
  })

  const run = Effect.gen(function*() {
    const { gatewayScope } = settings.endpoint
    let history = RetryPolicy.begin(
      clock.currentTimeMillisUnsafe(),
      withoutV3.has(gatewayScope) ? "v2" : "v3"
    )
    let refused: Refused = Credentials.nothingRefused
    let polling = false
    while (true) {
      if (!polling) {
        history = { ...history, attempt: history.attempt + 1 }
        yield* SubscriptionRef.set(status, { _tag: "Connecting", attempt: history.attempt })
      }
      const stored: StoredToken | undefined = yield* storedToken
      const offer = Credentials.choose(settings, stored, refused)
      const { error, livedMs } = yield* attempt(history, offer)
      // An attempt that was under way answers whoever asked to check meanwhile.
      askedToCheck = false
      if (livedMs !== undefined) {
        refused = Credentials.nothingRefused
        history = { ...history, attempt: 0, approval: undefined }
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
      if (history.proof === "v2") withoutV3.add(gatewayScope)
      polling = decision._tag === "AskAgain"
      switch (decision._tag) {
        case "AtOnce":
          break
        case "AskAgain":
          history = yield* awaitNextAsk(history, decision.notBeforeMs)
          break
        case "Wait":
          yield* SubscriptionRef.set(status, {
            _tag: "Waiting",
            cause: error,
            retryAtMs: decision.untilMs,
            approval: history.approval
          })
          while (!(yield* waitUntil(decision.untilMs, decision.notBeforeMs))) { /* attendance changes no back-off */ }
          break
        case "Halt":
          yield* SubscriptionRef.set(status, { _tag: "Halted", cause: decision.cause, approval: history.approval })
          yield* untilAsked
          refused = Credentials.nothingRefused
          history = RetryPolicy.resume(history, clock.currentTimeMillisUnsafe())
          break
      }
    }
  })

  /** A defect is a bug of ours or of a service we were given. It is told, and the status does not pretend. */
  const failed = Effect.fnUntraced(function*(defect: unknown) {
    yield* Effect.logError("connection failed with a defect", defect)
    yield* SubscriptionRef.set(status, { _tag: "Halted", cause: { _tag: "InternalError" }, approval: undefined })
    yield* untilAsked
  })
  const start = Effect.asVoid(
    FiberHandle.run(loop, Effect.forever(Effect.catchDefect(run, failed)))
  )
  yield* start

  const nudge = Effect.sync(() => void nudged.openUnsafe())
  // Uninterruptible, as a loop that was stopped without a status that says so would look alive. Closing a link is bounded.
  const only = (command: Effect.Effect<void>) => Semaphore.withPermits(commands, 1)(Effect.uninterruptible(command))
  const unlessStopped = (command: Effect.Effect<void>) =>
    Effect.flatMap(SubscriptionRef.get(status), (now) => now._tag === "Stopped" ? Effect.void : command)

  return Supervisor.of({
    status: SubscriptionRef.get(status),
    changes: SubscriptionRef.changes(status),
    gatewayScope: Effect.sync(() => settings.endpoint.gatewayScope),
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
      Effect.andThen(FiberHandle.clear(loop), SubscriptionRef.set(status, { _tag: "Paused" }))
    )),
    resume: only(Effect.flatMap(
      SubscriptionRef.get(status),
      (now) => now._tag === "Paused" ? start : Effect.void
    )),
    reconfigure: (next) =>
      only(unlessStopped(Effect.andThen(
        FiberHandle.clear(loop),
        Effect.suspend(() => {
          settings = next
          return start
        })
      )))
  })
})
