/**
 * Keeps one device connected to one gateway, and publishes the status of the connection.
 *
 * Supervisor interprets and decides nothing: `ConnectStep` says what follows from each attempt and each lost link; this
 * module attempts, waits and publishes. Its own state is the settings, the memory of `ConnectStep` and the status, which only
 * it writes. Closing its scope interrupts the loop wherever it is, waits for the finalizers, and closes the socket last.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberHandle from "effect/FiberHandle"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { GatewaySettings } from "../handshake/GatewayConfig.ts"
import { GatewayConfig } from "../handshake/GatewayConfig.ts"
import type { Handshake } from "../handshake/Handshake.ts"
import type { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import type { StoredToken, TokenStore } from "../identity/TokenStore.ts"
import type { ScopeName } from "../protocol/Connect.ts"
import type { Admission } from "./Admission.ts"
import * as Attempt from "./Attempt.ts"
import * as Attendance from "./Attendance.ts"
import type { ConnectionStatus, GatewayStatus } from "./ConnectionStatus.ts"
import { connected, moved } from "./ConnectionStatus.ts"
import * as ConnectStep from "./ConnectStep.ts"
import type { Offer } from "./Credentials.ts"
import * as Metrics from "./Metrics.ts"
import type { Request } from "./ScopeRequest.ts"
import * as ScopeUpgrade from "./ScopeUpgrade.ts"
import * as Widening from "./Widening.ts"

/**
 * The connection of one device to one gateway: it connects, waits for approval, reconnects, and says which state it is in.
 * `Supervisor.layer` provides it and starts at once, with the settings of `GatewayConfig`.
 */
export class Supervisor extends Context.Service<Supervisor, {
  readonly status: Effect.Effect<ConnectionStatus>
  /** The present status with the gateway that it is about, then every change. None is skipped, however fast they follow. */
  readonly changes: Stream.Stream<GatewayStatus>
  /** Which gateway this is: `scheme://host:port/path`. */
  readonly gatewayScope: Effect.Effect<string>
  /** While the scope is open, somebody is watching: the gateway is asked about a pending approval every three seconds. */
  readonly attend: Effect.Effect<void, never, Scope.Scope>
  /** Tries again now: ends a wait or a halt, but never before a time that the gateway has set. */
  readonly checkNow: Effect.Effect<void>
  /** Closes the link and stays away until `resume`. */
  readonly pause: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
  /** Starts again with other settings, for example a new token. */
  readonly reconfigure: (settings: GatewaySettings) => Effect.Effect<void>
  /**
   * Asks for these scopes in addition to those of the session, and waits for a person's answer. The session goes on, whatever
   * the answer. Wider scopes come with a new session that replaces the present one; requests under way on that one fail with
   * `LinkError`. The request outlives lost links and the interruption of the caller; `pause`, `reconfigure` and the end of the
   * supervisor end it. A device whose settings name more scopes than were approved makes such a request by itself, once.
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

/** State of one supervisor. */
interface Connection {
  readonly means: Attempt.Means
  readonly attendance: Attendance.Attendance
  readonly widening: Widening.Widening
  readonly statusRef: SubscriptionRef.SubscriptionRef<GatewayStatus>
  /** What is known of each gateway that the settings have named so far, by gateway scope. */
  readonly known: Map<string, ConnectStep.Known>
  settings: GatewaySettings
  memory: ConnectStep.Memory
  sessions: number
}

const scopeOf = (self: Connection): string => self.settings.endpoint.gatewayScope

/** Publishes a status. Its times are monotonic; they are published by the wall clock. */
const tell = (self: Connection, status: ConnectionStatus): Effect.Effect<void> =>
  Effect.suspend(() =>
    SubscriptionRef.set(self.statusRef, {
      gatewayScope: scopeOf(self),
      status: moved(status, Attendance.wallAheadMs(self.attendance))
    })
  )

const decide = (self: Connection, input: ConnectStep.Input): ConnectStep.Decision => {
  const { scopes } = self.widening
  const moment = Attendance.moment(self.attendance)
  const [memory, decision] = ConnectStep.step(self.memory, input, { moment, settings: self.settings, scopes })
  self.memory = memory
  self.known.set(scopeOf(self), memory.history)
  return decision
}

const tellRequest = (
  { attendance, statusRef }: Pick<Connection, "attendance" | "statusRef">,
  request: Request
): Effect.Effect<void> =>
  SubscriptionRef.update(statusRef, (now) => {
    if (now.status._tag !== "Connected") return now
    return { ...now, status: moved(connected(now.status.session, request), Attendance.wallAheadMs(attendance)) }
  })

/** Publishes a session with the request for wider scopes beside it. A session that has those scopes ends the request. */
const tellSession = Effect.fnUntraced(function*(self: Connection, live: Attempt.Live, ways: Widening.Ways) {
  yield* Scope.addFinalizer(
    live.sessionScope,
    Effect.sync(() => self.means.meters.sessionEnded(Attendance.nowMs(self.attendance) - live.sinceMs))
  )
  const scopes = Widening.held(self.widening, live, ways)
  if (scopes !== undefined) {
    self.settings = { ...self.settings, scopes: [...new Set([...self.settings.scopes, ...scopes])] }
  }
  yield* tell(self, connected(live.session, self.widening.scopes.request))
})

/** From the handshake to the end of the session, over any number of links that widen its scopes. */
const live = Effect.fnUntraced(function*(self: Connection, offer: Offer, stored: StoredToken | undefined) {
  const { means, memory: { history: { proof }, refused } } = self
  const ways = (): Widening.Ways => ({ settings: self.settings, refused, proof })
  let current: Attempt.Live = yield* Attempt.establish(means, self.settings, proof, offer, stored)
  decide(self, { _tag: "Connected" })
  if (self.sessions++ > 0) means.meters.reconnected()
  yield* Widening.begunWithToken(self.widening, current)
  yield* tellSession(self, current, ways())
  while (true) {
    const { linkScope, session, sessionScope, sinceMs } = current
    const next = yield* Effect.raceFirst(session.ended, Widening.widen(self.widening, current, ways()))
    if (next._tag === "LinkError") {
      const livedMs = Attendance.nowMs(self.attendance) - sinceMs
      return { _tag: "LinkLost", error: next, livedMs } satisfies ConnectStep.Input
    }
    // The old session ends before the new one is published, so that nobody gets an event twice. Its link may close later.
    yield* Scope.close(sessionScope, Exit.void)
    current = next
    yield* tellSession(self, current, ways())
    yield* Effect.uninterruptible(Scope.close(linkScope, Exit.void))
  }
}, Effect.scoped)

/** Makes one attempt, and stays with the session that it leads to until that ends. */
const attempt = Effect.fnUntraced(function*(self: Connection) {
  const { attempt } = self.memory.history
  const stored = yield* Attempt.storedToken(self.means, self.settings)
  const offer = ConnectStep.offer(self.memory, self.settings, self.widening.scopes, stored)
  const input = yield* live(self, offer, stored).pipe(
    Effect.annotateLogs({ attempt }),
    Effect.annotateSpans({ "openclaw.connect.attempt": attempt }),
    Effect.catch((error) => Effect.succeed<ConnectStep.Input>({ _tag: "AttemptFailed", error, offer, stored }))
  )
  Attendance.answered(self.attendance)
  return decide(self, input)
})

/** Does what was decided, until the next attempt is due. */
const follow = Effect.fnUntraced(function*(self: Connection, decision: ConnectStep.Decision) {
  const { attendance, memory: { history: { approval } }, widening } = self
  switch (decision._tag) {
    case "Serve":
      return
    case "Attempt":
      if (decision.forget !== undefined) yield* Attempt.forgetToken(self.means, self.settings, decision.forget)
      break
    case "Narrow":
      yield* Widening.narrowed(widening, decision.goal, decision.approved, decision.answer)
      break
    case "Wait": {
      const { cause, notBeforeMs, untilMs } = decision
      yield* tell(self, { _tag: "Waiting", cause, retryAtMs: untilMs, approval })
      yield* Attendance.waitUntil(attendance, untilMs, notBeforeMs)
      break
    }
    case "AskAgain": {
      const { approval, notBeforeMs } = decision
      Widening.forget(widening)
      yield* Attendance.waitForNextAsk(
        attendance,
        approval,
        notBeforeMs,
        (nextCheckAtMs) => tell(self, { _tag: "AwaitingApproval", approval, nextCheckAtMs, checking: false })
      )
      yield* SubscriptionRef.update(
        self.statusRef,
        (now) => now.status._tag === "AwaitingApproval" ? { ...now, status: { ...now.status, checking: true } } : now
      )
      break
    }
    case "Halt":
      if (decision.forget !== undefined) yield* Attempt.forgetToken(self.means, self.settings, decision.forget)
      Widening.drop(widening)
      yield* tell(self, { _tag: "Halted", cause: decision.cause, approval })
      yield* Attendance.waitForCheck(attendance)
      Widening.forget(widening)
      decide(self, { _tag: "Resumed" })
  }
  yield* tellAttempt(self)
})

/** Publishes the next attempt, unless it is a poll. */
const tellAttempt = (self: Connection): Effect.Effect<void> =>
  self.memory.next === "Poll"
    ? Effect.void
    : tell(self, { _tag: "Connecting", attempt: self.memory.history.attempt })

/** Starts again with the present settings. Published before the loop runs, so that no earlier status outlives a command. */
const begin = (self: Connection): Effect.Effect<void> =>
  Effect.suspend(() => {
    self.memory = initialMemory(self)
    Widening.begin(self.widening, self.settings.scopes)
    return tellAttempt(self)
  })

const initialMemory = (self: Pick<Connection, "attendance" | "settings" | "known">): ConnectStep.Memory =>
  ConnectStep.begin(
    Attendance.nowMs(self.attendance),
    self.known.get(self.settings.endpoint.gatewayScope)
  )

/** Attempts and waits until it is interrupted. */
const runAttempts = Effect.fnUntraced(function*(self: Connection): Effect.fn.Return<never> {
  while (true) yield* follow(self, yield* attempt(self))
})

/** Runs from a start to a pause, other settings or the end. A defect halts it, and it begins again after `checkNow`. */
const run = (self: Connection): Effect.Effect<never> =>
  runAttempts(self).pipe(
    Effect.ensuring(Effect.sync(() => Widening.drop(self.widening))),
    Effect.catchDefect((defect) => Effect.andThen(reportDefect(self, defect), begin(self))),
    Effect.forever,
    Effect.ensuring(Effect.sync(() => {
      self.memory = initialMemory(self)
    }))
  )

/** A defect is a bug of this program or of a service that it was given. It is logged, and the status says so. */
const reportDefect = Effect.fnUntraced(function*(self: Connection, defect: unknown) {
  yield* Effect.logError("connection failed with a defect", defect)
  yield* tell(self, { _tag: "Halted", cause: { _tag: "InternalError" }, approval: undefined })
  yield* Attendance.waitForCheck(self.attendance)
})

/** How long the agent has waited for an approval, of the device or of wider scopes. */
const waitedMs = ({ attendance, memory, widening: { scopes: { request } } }: Connection): number => {
  const nowMs = Attendance.nowMs(attendance)
  const asked = request._tag === "Open" ? request.history.approval : undefined
  return nowMs - Math.min(memory.history.approval?.sinceMs ?? nowMs, asked?.sinceMs ?? nowMs)
}

const make = Effect.gen(function*() {
  const means = yield* Attempt.means
  const settings = yield* GatewayConfig
  const attendance = Attendance.make(means.clock, yield* Random.Random)
  const statusRef = yield* SubscriptionRef.make<GatewayStatus>({
    gatewayScope: settings.endpoint.gatewayScope,
    status: { _tag: "Connecting", attempt: 0 }
  })
  const known = new Map<string, ConnectStep.Known>()
  const self: Connection = {
    means,
    attendance,
    statusRef,
    widening: Widening.make(means, attendance, (request) => tellRequest({ attendance, statusRef }, request)),
    known,
    settings,
    memory: initialMemory({ attendance, settings, known }),
    sessions: 0
  }
  // Finalizers run in reverse, so this runs after the loop has ended: every subscriber learns of the end.
  yield* Effect.addFinalizer(() => tell(self, { _tag: "Stopped" }))
  const loop = yield* FiberHandle.make<never>()
  const commands = yield* Semaphore.make(1)
  yield* Metrics.showApprovalAge(() => waitedMs(self))

  const status = Effect.map(SubscriptionRef.get(statusRef), (now) => now.status)
  const start = Effect.andThen(begin(self), Effect.asVoid(FiberHandle.run(loop, run(self))))
  yield* start

  // Uninterruptible: the loop must not stop without a status that says so. Closing a link takes a bounded time.
  const runExclusively = (command: Effect.Effect<void>) =>
    Semaphore.withPermits(commands, 1)(Effect.uninterruptible(command))
  const unlessStopped = (command: Effect.Effect<void>) =>
    Effect.flatMap(status, (now) => now._tag === "Stopped" ? Effect.void : command)

  return Supervisor.of({
    status,
    changes: SubscriptionRef.changes(statusRef),
    gatewayScope: Effect.map(SubscriptionRef.get(statusRef), ({ gatewayScope }) => gatewayScope),
    attend: Attendance.attend(attendance),
    checkNow: Attendance.checkNow(attendance),
    pause: runExclusively(unlessStopped(Effect.andThen(FiberHandle.clear(loop), tell(self, { _tag: "Paused" })))),
    resume: runExclusively(Effect.flatMap(status, (now) => now._tag === "Paused" ? start : Effect.void)),
    reconfigure: (next) =>
      runExclusively(unlessStopped(Effect.andThen(
        FiberHandle.clear(loop),
        Effect.suspend(() => {
          self.settings = next
          return start
        })
      ))),
    upgradeScopes: Effect.fn("Supervisor.upgradeScopes")(function*(scopes) {
      const now = yield* status
      return now._tag === "Connected"
        ? yield* Widening.request(self.widening, now.session.facts, scopes)
        : yield* new ScopeUpgrade.ScopeUpgradeRefused({ reason: "NotConnected" })
    })
  })
})
