/**
 * Tells what a person has to approve, and when that is over.
 *
 * One fiber reads the status of `Supervisor`, runs it through `PairingStep.step` and publishes the notices. Nothing else
 * decides. The clocks of a live notice belong to its key: a poll does not restart them, and a change of the key ends them.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import * as Broadcast from "../broadcast/Broadcast.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import type { PairingNotice } from "../protocol/PairingNotice.ts"
import { ApproveCommands } from "./ApproveCommand.ts"
import type { LiveNotice, Outcome, Pairing, PairingEvent, Subject } from "./PairingStep.ts"
import { expiryLeadMs, idle, replay, step } from "./PairingStep.ts"

/** How often a person is reminded of a request. */
export interface Options {
  /** Time from one telling of a request to the next. Default 30 seconds. */
  readonly reminderInterval?: Duration.Input | undefined
  /** How often a request is told again, at most. Default 2. */
  readonly reminders?: number | undefined
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
  static readonly layer = (
    options?: Options
  ): Layer.Layer<PairingNotifier, never, Supervisor | DeviceIdentity | ApproveCommands> =>
    Layer.effect(PairingNotifier, make(options ?? {}))
}

const make = Effect.fnUntraced(function*(options: Options) {
  const supervisor = yield* Supervisor
  const { deviceId } = yield* DeviceIdentity
  const clock = yield* Clock.Clock
  const subject: Subject = { deviceId, commands: yield* ApproveCommands }
  const intervalMs = Duration.toMillis(options.reminderInterval ?? "30 seconds")
  const reminders = options.reminders ?? 2

  const live = yield* SubscriptionRef.make(Option.none<LiveNotice>())
  let latest: Pairing = idle
  const told = Broadcast.make<PairingNotice>({ snapshot: () => replay(subject, latest) })

  /** Changes the state and publishes in one step, so that a subscriber gets a notice once: in its snapshot or as it comes. */
  const apply = ([pairing, outcome]: readonly [Pairing, Outcome]) =>
    Effect.suspend(() => {
      const changed = pairing.live !== latest.live
      latest = pairing
      if (outcome._tag === "Emitted") {
        for (const notice of outcome.notices) told.publish(notice)
      }
      return changed ? SubscriptionRef.set(live, Option.fromUndefinedOr(pairing.live)) : Effect.void
    })

  const statuses = Stream.map(supervisor.changes, ({ gatewayScope, status }): PairingEvent => ({
    _tag: "StatusChanged",
    status,
    gateway: gatewayScope,
    nowMs: clock.currentTimeMillisUnsafe()
  }))

  // By durations, so that a wall clock that is set delays nothing.
  const after = (ms: number, event: PairingEvent) => Effect.as(Effect.sleep(Duration.millis(ms)), event)
  const clockOf = (
    same: (one: LiveNotice, other: LiveNotice) => boolean,
    ticks: (live: LiveNotice) => Iterable<Effect.Effect<PairingEvent>>
  ) =>
    SubscriptionRef.changes(live).pipe(
      Stream.changesWith(Option.makeEquivalence(same)),
      Stream.switchMap(Option.match({
        onNone: () => Stream.empty,
        onSome: (now) => Stream.mapEffect(Stream.fromIterable(ticks(now)), (tick) => tick)
      }))
    )
  const reminderClock = clockOf(
    (one, other) => one.key === other.key && one.noticedAtMs === other.noticedAtMs,
    function*({ key, noticedAtMs }) {
      for (let reminder = 1; reminder <= reminders; reminder++) {
        yield after(intervalMs, { _tag: "ReminderDue", key, noticedAtMs, reminder })
      }
    }
  )
  const expiryClock = clockOf(
    (one, other) => one.key === other.key && one.dropsAtMs === other.dropsAtMs,
    function*({ dropsAtMs, key }) {
      if (dropsAtMs === undefined) return
      const leftMs = Math.max(0, dropsAtMs - clock.currentTimeMillisUnsafe())
      const openMs = Math.max(0, leftMs - expiryLeadMs)
      // The due time rather than the present time, as a timer may fire a moment early.
      yield after(openMs, { _tag: "ExpiryDue", key, nowMs: dropsAtMs - expiryLeadMs })
      yield after(leftMs - openMs, { _tag: "ExpiryDue", key, nowMs: dropsAtMs })
    }
  )

  // Runs after the fibers have ended, as finalizers run in reverse: no subscriber is left with an open notice.
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() =>
      apply(
        step(subject, latest, {
          _tag: "StatusChanged",
          status: { _tag: "Stopped" },
          gateway: latest.live?.gateway ?? "",
          nowMs: clock.currentTimeMillisUnsafe()
        })
      )
    ).pipe(Effect.andThen(Effect.sync(told.end)))
  )
  yield* Stream.mergeAll([statuses, reminderClock, expiryClock], { concurrency: "unbounded" }).pipe(
    Stream.mapAccum(() => idle, (pairing, event) => {
      const stepped = step(subject, pairing, event)
      return [stepped[0], [stepped]]
    }),
    Stream.runForEach(apply),
    Effect.tapDefect((defect) => Effect.logError("pairing notifier died", defect)),
    Effect.forkScoped
  )

  return PairingNotifier.of({
    current: Effect.sync(() => Option.fromUndefinedOr(latest.live)),
    currentChanges: SubscriptionRef.changes(live),
    notices: told.subscribe()
  })
})
