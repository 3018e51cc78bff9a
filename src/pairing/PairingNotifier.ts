/**
 * Tells what a person has to approve, and when that is over.
 *
 * Reads the status of `Supervisor`, runs it through `PairingStep.step` and publishes the notices. Nothing else
 * decides. Other fibers keep the time of a live notice, and there are none without one.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as Broadcast from "../broadcast/Broadcast.ts"
import * as Source from "../broadcast/Source.ts"
import type { GatewayStatus } from "../connection/ConnectionStatus.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import type { PairingNotice } from "../protocol/PairingNotice.ts"
import { ApproveCommands } from "./ApproveCommand.ts"
import type { LiveNotice, Pairing, PairingEvent, Subject } from "./PairingStep.ts"
import { expiryLeadMs, idle, replay, step } from "./PairingStep.ts"

/** How often a person is reminded of a request. */
export interface Options {
  /** Time from one telling of a request to the next. Default 30 seconds. */
  readonly reminderInterval?: Duration.Input | undefined
  /** How often a request is told again, at most. Default 2. */
  readonly reminders?: number | undefined
  /** The connection whose `Supervisor` this follows, where it is not that of the operator. */
  readonly role?: "node" | undefined
}

/**
 * What a person has to approve at the gateway, with the commands for it. `Agent.layer` provides it from the status of
 * `Supervisor`.
 */
export class PairingNotifier extends Context.Service<PairingNotifier, {
  /** The notice that is open, if one is. */
  readonly current: Effect.Effect<Option.Option<LiveNotice>>
  /** The open notice, then every change of it, also those that are no notice, such as a poll. */
  readonly currentChanges: Stream.Stream<Option.Option<LiveNotice>>
  /**
   * Every notice, in order; a late subscriber gets the live notice first. Ends with the notifier, after `Cancelled` if a
   * notice is live then.
   */
  readonly notices: Stream.Stream<PairingNotice>
}>()("effect-openclaw/pairing/PairingNotifier") {
  static readonly make = (
    options?: Options
  ): Effect.Effect<
    PairingNotifier["Service"],
    never,
    ApproveCommands | DeviceIdentity | Scope.Scope | Supervisor
  > => make(options ?? {})

  static readonly layer = (
    options?: Options
  ): Layer.Layer<PairingNotifier, never, Supervisor | DeviceIdentity | ApproveCommands> =>
    Layer.effect(PairingNotifier, PairingNotifier.make(options))
}

/** State of one notifier. */
interface Notifier {
  readonly subject: Subject
  readonly clock: Clock.Clock
  readonly scope: Scope.Scope
  readonly intervalMs: number
  readonly reminders: number
  readonly told: Broadcast.Broadcast<PairingNotice>
  /** What `told` has no notice for counts too. */
  readonly changes: Broadcast.Broadcast<Option.Option<LiveNotice>>
  latest: Pairing
  /** Reminds of the live notice, and tells that it expires. */
  reminding: Fiber.Fiber<void> | undefined
  expiring: Fiber.Fiber<void> | undefined
}

/** Changes the state and publishes in one step, so that a subscriber gets a notice once: in its snapshot or as it comes. */
const note = (self: Notifier, event: PairingEvent): Effect.Effect<void> =>
  Effect.suspend(() => {
    const before = self.latest.live
    const [pairing, outcome] = step(self.subject, self.latest, event)
    self.latest = pairing
    if (outcome._tag === "Emitted") {
      for (const notice of outcome.notices) self.told.publish(notice)
    }
    if (pairing.live === before) return Effect.void
    self.changes.publish(Option.fromUndefinedOr(pairing.live))
    return keepTime(self, before, pairing.live)
  })

/** The clocks of a live notice belong to its key: a poll does not restart them, and a change of the key ends them. */
const keepTime = (
  self: Notifier,
  before: LiveNotice | undefined,
  live: LiveNotice | undefined
): Effect.Effect<void> => {
  const sameKey = before?.key === live?.key
  const restarts = [
    sameKey && before?.noticedAtMs === live?.noticedAtMs ? undefined : "reminding" as const,
    sameKey && before?.dropsAtMs === live?.dropsAtMs ? undefined : "expiring" as const
  ].filter((clock) => clock !== undefined)
  return Effect.forEach(restarts, (clock) => {
    self[clock]?.interruptUnsafe()
    self[clock] = undefined
    if (live === undefined) return Effect.void
    const due = clock === "reminding" ? remind(self, live) : expire(self, live)
    return Effect.map(Effect.forkIn(due, self.scope), (fiber) => {
      self[clock] = fiber
    })
  }, { discard: true })
}

// By durations, so that a wall clock that is set delays nothing.
const after = (self: Notifier, ms: number, event: PairingEvent): Effect.Effect<void> =>
  Effect.andThen(Effect.sleep(Duration.millis(ms)), note(self, event))

const remind = Effect.fnUntraced(function*(self: Notifier, { key, noticedAtMs }: LiveNotice) {
  for (let reminder = 1; reminder <= self.reminders; reminder++) {
    yield* after(self, self.intervalMs, { _tag: "ReminderDue", key, noticedAtMs, reminder })
  }
})

const expire = Effect.fnUntraced(function*(self: Notifier, { dropsAtMs, key }: LiveNotice) {
  if (dropsAtMs === undefined) return
  const leftMs = Math.max(0, dropsAtMs - self.clock.currentTimeMillisUnsafe())
  const openMs = Math.max(0, leftMs - expiryLeadMs)
  // The due time rather than the present time, as a timer may fire a moment early.
  yield* after(self, openMs, { _tag: "ExpiryDue", key, nowMs: dropsAtMs - expiryLeadMs })
  yield* after(self, leftMs - openMs, { _tag: "ExpiryDue", key, nowMs: dropsAtMs })
})

const make = Effect.fnUntraced(function*(options: Options) {
  const supervisor = yield* Supervisor
  const { deviceId } = yield* DeviceIdentity
  const clock = yield* Clock.Clock
  const scope = yield* Scope.Scope
  const subject: Subject = { deviceId, commands: yield* ApproveCommands, role: options.role }
  const self: Notifier = {
    subject,
    clock,
    scope,
    intervalMs: Duration.toMillis(options.reminderInterval ?? "30 seconds"),
    reminders: options.reminders ?? 2,
    told: Broadcast.make({ snapshot: () => replay(subject, self.latest) }),
    changes: Broadcast.make({ snapshot: () => [Option.fromUndefinedOr(self.latest.live)] }),
    latest: idle,
    reminding: undefined,
    expiring: undefined
  }
  const changed = (status: GatewayStatus["status"], gateway: string) =>
    note(self, { _tag: "StatusChanged", status, gateway, nowMs: clock.currentTimeMillisUnsafe() })

  // Runs after the fibers have ended, as finalizers run in reverse: no subscriber is left with an open notice.
  yield* Scope.addFinalizer(
    scope,
    Effect.andThen(
      Effect.suspend(() => changed({ _tag: "Stopped" }, self.latest.live?.gateway ?? "")),
      Effect.sync(() => self.told.end())
    )
  )
  yield* Source.forkRead(supervisor.changes, {
    read: (changes) =>
      Effect.forEach(changes, ({ gatewayScope, status }) => changed(status, gatewayScope), { discard: true }),
    failed: "pairing notifier died"
  })

  return PairingNotifier.of({
    current: Effect.sync(() => Option.fromUndefinedOr(self.latest.live)),
    currentChanges: self.changes.subscribe(),
    notices: self.told.subscribe()
  })
})
