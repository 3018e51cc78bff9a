/**
 * Keeps one device connected to one gateway, and publishes the status of the connection.
 *
 * Supervisor interprets and decides nothing: `ConnectStep` says what follows from each attempt and each lost link; this
 * module attempts, waits and publishes. Its own state is the settings, the memory of `ConnectStep` and the status, which only
 * it writes. Closing its scope interrupts the loop wherever it is, waits for the finalizers, and closes the socket last.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type * as Stream from "effect/Stream"
import * as Broadcast from "../broadcast/Broadcast.ts"
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
import type { LiveSession, Session } from "./Session.ts"
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
  /** The session, or else the next one, however long that takes. Interrupted when the supervisor ends first. */
  readonly session: Effect.Effect<Session>
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
  /** Starts at once, and ends with the scope. */
  static readonly make: Effect.Effect<
    Supervisor["Service"],
    never,
    Admission | DeviceIdentity | GatewayConfig | Handshake | Scope.Scope | TokenStore
  > = Effect.suspend(() => make)

  static readonly layer: Layer.Layer<
    Supervisor,
    never,
    Admission | DeviceIdentity | GatewayConfig | Handshake | TokenStore
  > = Layer.effect(this, Supervisor.make)
}

/** State of one supervisor. */
interface Connection {
  readonly means: Attempt.Means
  readonly attendance: Attendance.Attendance
  readonly widening: Widening.Widening
  readonly published: Broadcast.Broadcast<GatewayStatus>
  /** What is known of each gateway that the settings have named so far, by gateway scope. */
  readonly known: Map<string, ConnectStep.Known>
  /** Of the supervisor. */
  readonly scope: Scope.Scope
  now: GatewayStatus
  settings: GatewaySettings
  memory: ConnectStep.Memory
  sessions: number
  loop: Fiber.Fiber<never> | undefined
  /** The next session, if a caller waits for it. */
  nextSession: Deferred.Deferred<Session> | undefined
  /** Commands run one after another. */
  commands: Semaphore.Semaphore | undefined
}

const scopeOf = (self: Connection): string => self.settings.endpoint.gatewayScope

const publish = (self: Pick<Connection, "now" | "published">, now: GatewayStatus): void => {
  self.now = now
  self.published.publish(now)
}

/** Publishes a status. Its times are monotonic; they are published by the wall clock. */
const tell = (self: Connection, status: ConnectionStatus): void =>
  publish(self, {
    gatewayScope: scopeOf(self),
    status: moved(status, Attendance.wallAheadMs(self.attendance))
  })

const decide = (self: Connection, input: ConnectStep.Input): ConnectStep.Decision => {
  const { scopes } = self.widening
  const moment = Attendance.moment(self.attendance)
  const [memory, decision] = ConnectStep.step(self.memory, input, { moment, settings: self.settings, scopes })
  self.memory = memory
  self.known.set(scopeOf(self), memory.history)
  return decision
}

/** Publishes how the request for wider scopes stands, beside a session. */
const tellRequest = (self: Connection, request: Request): void => {
  const { now: { status } } = self
  if (status._tag === "Connected") tell(self, connected(status.session, request, status.suspension))
}

/** Publishes that the gateway of a session takes no more work, or takes work again. */
const tellSuspension = (self: Connection, session: LiveSession): void => {
  const { now } = self
  if (now.status._tag !== "Connected" || now.status.session !== session) return
  const { suspension: _, ...status } = now.status
  const { suspension } = session
  publish(self, { ...now, status: suspension === undefined ? status : { ...status, suspension } })
}

/** Publishes a session with the request for wider scopes beside it. A session that has those scopes ends the request. */
const tellSession = (self: Connection, live: Attempt.Live, ways: Widening.Ways): void => {
  const scopes = Widening.held(self.widening, live, ways)
  if (scopes !== undefined) {
    self.settings = { ...self.settings, scopes: [...new Set([...self.settings.scopes, ...scopes])] }
  }
  const { session } = live
  session.countLife(live.sinceMs)
  session.onSuspension(() => tellSuspension(self, session))
  tell(self, connected(session, self.widening.scopes.request, session.suspension))
  settleSession(self, Effect.succeed(session))
}

/** A device token takes the place of a setup code. */
const forgetCode = (self: Connection, { session }: Attempt.Live): void => {
  if (!session.facts.deviceTokenIssued) return
  const { bootstrapToken: _, ...settings } = self.settings
  self.settings = settings
}

const settleSession = (self: Connection, session: Effect.Effect<Session>): void => {
  const { nextSession } = self
  self.nextSession = undefined
  if (nextSession !== undefined) Deferred.doneUnsafe(nextSession, session)
}

const awaitSession = (self: Connection): Effect.Effect<Session> =>
  Effect.suspend(() => {
    const { now: { status } } = self
    if (status._tag === "Connected") return Effect.succeed(status.session)
    if (status._tag === "Stopped") return Effect.interrupt
    return Deferred.await(self.nextSession ??= Deferred.makeUnsafe())
  })

/** Waits until the link is lost or a request for wider scopes begins. No other fiber waits for either. */
const untilSomethingHappens = (self: Connection, { session }: Attempt.Live): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const wake = () => resume(Effect.void)
    self.widening.onBegun = wake
    session.onEnd(wake)
    return Effect.sync(() => forgetWake(self, session))
  })

const forgetWake = (self: Connection, session: LiveSession): void => {
  self.widening.onBegun = undefined
  session.onEnd(undefined)
}

/** The session that takes over because it has wider scopes, or why the link of this one was lost. */
const next = Effect.fnUntraced(function*(self: Connection, current: Attempt.Live, ways: Widening.Ways) {
  const { session } = current
  while (!session.hasEnded()) {
    if (!Widening.isOpen(self.widening)) {
      yield* untilSomethingHappens(self, current)
      forgetWake(self, session)
      continue
    }
    const next = yield* Effect.raceFirst(session.ended, Widening.widen(self.widening, current, ways))
    if (next !== undefined) return next
  }
  return yield* session.ended
})

/** From the handshake to the end of the session, over any number of links that widen its scopes. */
const live = Effect.fnUntraced(function*(self: Connection, offer: Offer, stored: StoredToken | undefined) {
  const { means, memory: { history: { attempt, proof }, refused } } = self
  const ways = (): Widening.Ways => ({ settings: self.settings, refused, proof })
  let current: Attempt.Live = yield* Attempt.establish(means, self.settings, { attempt, proof, offer, stored })
  decide(self, { _tag: "Connected" })
  forgetCode(self, current)
  if (self.sessions++ > 0) means.meters.reconnected()
  yield* Widening.begunWithToken(self.widening, current)
  tellSession(self, current, ways())
  while (true) {
    const then = yield* next(self, current, ways())
    const livedMs = Attendance.nowMs(self.attendance) - current.sinceMs
    if (then._tag === "LinkError") return { _tag: "LinkLost", error: then, livedMs } satisfies ConnectStep.Input
    // The old session ends before the new one is published, so that nobody gets an event twice. Its link may close later.
    const { linkScope, session } = current
    session.close()
    current = then
    tellSession(self, current, ways())
    yield* Effect.uninterruptible(Scope.close(linkScope, Exit.void))
  }
}, Effect.scoped)

/** Makes one attempt, and stays with the session that it leads to until that ends. */
const attempt = Effect.fnUntraced(function*(self: Connection) {
  const stored = yield* Attempt.storedToken(self.means, self.settings)
  const offer = ConnectStep.offer(self.memory, self.settings, self.widening.scopes, stored)
  const input = yield* Effect.catch(
    live(self, offer, stored),
    (error) => Effect.succeed<ConnectStep.Input>({ _tag: "AttemptFailed", error, offer, stored })
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
      tell(self, { _tag: "Waiting", cause, retryAtMs: untilMs, approval })
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
      const { now } = self
      if (now.status._tag === "AwaitingApproval") publish(self, { ...now, status: { ...now.status, checking: true } })
      break
    }
    case "Halt":
      if (decision.forget !== undefined) yield* Attempt.forgetToken(self.means, self.settings, decision.forget)
      Widening.drop(widening)
      tell(self, { _tag: "Halted", cause: decision.cause, approval })
      yield* Attendance.waitForCheck(attendance)
      Widening.forget(widening)
      decide(self, { _tag: "Resumed" })
  }
  tellAttempt(self)
})

/** Publishes the next attempt, unless it is a poll. */
const tellAttempt = (self: Connection): void => {
  if (self.memory.next === "Attempt") tell(self, { _tag: "Connecting", attempt: self.memory.history.attempt })
}

/** Starts again with the present settings. Published before the loop runs, so that no earlier status outlives a command. */
const begin = (self: Connection): void => {
  self.memory = initialMemory(self)
  Widening.begin(self.widening, self.settings.scopes)
  tellAttempt(self)
}

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
    Effect.ensuring(Effect.sync(() => {
      Widening.drop(self.widening)
      self.memory = initialMemory(self)
    })),
    Effect.catchDefect((defect) => Effect.andThen(reportDefect(self, defect), Effect.suspend(() => run(self))))
  )

/** A defect is a bug of this program or of a service that it was given. It is logged, and the status says so. */
const reportDefect = Effect.fnUntraced(function*(self: Connection, defect: unknown) {
  yield* Effect.logError("connection failed with a defect", defect)
  tell(self, { _tag: "Halted", cause: { _tag: "InternalError" }, approval: undefined })
  yield* Attendance.waitForCheck(self.attendance)
  begin(self)
})

/** How long the agent has waited for an approval, of the device or of wider scopes. */
const waitedMs = ({ attendance, memory, widening: { scopes: { request } } }: Connection): number => {
  const nowMs = Attendance.nowMs(attendance)
  const asked = request._tag === "Open" ? request.history.approval : undefined
  return nowMs - Math.min(memory.history.approval?.sinceMs ?? nowMs, asked?.sinceMs ?? nowMs)
}

const start = (self: Connection): Effect.Effect<void> =>
  Effect.suspend(() => {
    begin(self)
    return Effect.map(Effect.forkIn(run(self), self.scope), (fiber) => {
      self.loop = fiber
    })
  })

/** Ends the loop, and waits until its link is closed. */
const stop = (self: Connection): Effect.Effect<void> =>
  Effect.suspend(() => self.loop === undefined ? Effect.void : Fiber.interrupt(self.loop))

/**
 * Runs a command after those before it, unless the supervisor has stopped. Uninterruptible: the loop must not stop without a
 * status that says so. Closing a link takes a bounded time.
 */
const runExclusively = (self: Connection, command: () => Effect.Effect<void>): Effect.Effect<void> =>
  Effect.suspend(() => {
    self.commands ??= Semaphore.makeUnsafe(1)
    return Semaphore.withPermits(self.commands, 1)(
      Effect.uninterruptible(Effect.suspend(() => self.now.status._tag === "Stopped" ? Effect.void : command()))
    )
  })

const upgradeScopes = Effect.fn("Supervisor.upgradeScopes")(
  function*(self: Connection, scopes: ReadonlyArray<ScopeName>) {
    const { now: { status } } = self
    return status._tag === "Connected"
      ? yield* Widening.request(self.widening, status.session.facts, scopes)
      : yield* new ScopeUpgrade.ScopeUpgradeRefused({ reason: "NotConnected" })
  }
)

const pause = (self: Connection): Effect.Effect<void> =>
  Effect.andThen(stop(self), Effect.sync(() => tell(self, { _tag: "Paused" })))

const resume = (self: Connection): Effect.Effect<void> => self.now.status._tag === "Paused" ? start(self) : Effect.void

const reconfigure = (self: Connection, settings: GatewaySettings): Effect.Effect<void> =>
  Effect.andThen(
    stop(self),
    Effect.suspend(() => {
      self.settings = settings
      return start(self)
    })
  )

const serviceOf = (self: Connection): Supervisor["Service"] => ({
  status: Effect.sync(() => self.now.status),
  changes: self.published.subscribe(),
  gatewayScope: Effect.sync(() => self.now.gatewayScope),
  session: Effect.suspend(() => awaitSession(self)),
  attend: Attendance.attend(self.attendance),
  checkNow: Effect.sync(() => Attendance.checkNow(self.attendance)),
  pause: runExclusively(self, () => pause(self)),
  resume: runExclusively(self, () => resume(self)),
  reconfigure: (settings) => runExclusively(self, () => reconfigure(self, settings)),
  upgradeScopes: (scopes) => upgradeScopes(self, scopes)
})

const make = Effect.gen(function*() {
  const means = yield* Attempt.means
  const settings = yield* GatewayConfig
  const scope = yield* Scope.Scope
  const attendance = Attendance.make(means.clock, yield* Random.Random)
  const known = new Map<string, ConnectStep.Known>()
  const self: Connection = {
    means,
    attendance,
    widening: Widening.make(means, attendance, (request) => tellRequest(self, request)),
    published: Broadcast.make<GatewayStatus>({ snapshot: () => [self.now] }),
    known,
    scope,
    now: {
      gatewayScope: settings.endpoint.gatewayScope,
      status: settings.paused === true ? { _tag: "Paused" } : { _tag: "Connecting", attempt: 0 }
    },
    settings,
    memory: initialMemory({ attendance, settings, known }),
    sessions: 0,
    loop: undefined,
    nextSession: undefined,
    commands: undefined
  }
  const hideApprovalAge = yield* Metrics.showApprovalAge(() => waitedMs(self))
  // Finalizers run in reverse, so this runs after the loop has ended: every subscriber learns of the end.
  yield* Scope.addFinalizer(
    scope,
    Effect.andThen(
      hideApprovalAge,
      Effect.sync(() => {
        tell(self, { _tag: "Stopped" })
        settleSession(self, Effect.interrupt)
      })
    )
  )
  if (settings.paused !== true) yield* start(self)
  return Supervisor.of(serviceOf(self))
})
