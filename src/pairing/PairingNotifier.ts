/**
 * Tells whoever listens what a person has to approve, and when that is over.
 *
 * One fiber reads the status of `Supervisor`, runs it through `PairingStep.step` and hands the notices out. Nothing else
 * decides. The clocks of a live notice are a child of its key: a poll leaves them alone, and leaving the key ends them.
 */
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { Supervisor } from "../connection/Supervisor.ts"
import { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import type { PairingNotice } from "../protocol/PairingNotice.ts"
import { ApproveCommands } from "./ApproveCommand.ts"
import type { LiveNotice, Outcome, Pairing, PairingEvent, Subject } from "./PairingStep.ts"
import { expiryLeadMs, idle, replay, step } from "./PairingStep.ts"

export interface Options {
  /** Time from one telling of a request to the next. Default 30 seconds. */
  readonly reminderInterval?: Duration.Input | undefined
  /** How often a request is told again, at most. Default 2. */
  readonly reminders?: number | undefined
}

export class PairingNotifier extends Context.Service<PairingNotifier, {
  /** The notice that stands, if one does. */
  readonly current: Effect.Effect<Option.Option<LiveNotice>>
  /** The notice that stands, then every change of it, also those that are no notice, such as a poll. */
  readonly currentChanges: Stream.Stream<Option.Option<LiveNotice>>
  /**
   * Every notice, in order. Each subscriber has a queue of its own; one that comes late is told the live notice first. Ends
   * with the notifier, after `Cancelled` if a notice is live then.
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
  const subscribers = new Set<Queue.Queue<PairingNotice, Cause.Done>>()
  let latest: Pairing = idle
  let open = true

  /** Synchronous as to the queues, so that a subscriber gets a notice by replay or as it comes, and never both. */
  const apply = ([pairing, outcome]: readonly [Pairing, Outcome]) =>
    Effect.suspend(() => {
      const changed = pairing.live !== latest.live
      latest = pairing
      if (outcome._tag === "Emitted") {
        for (const notice of outcome.notices) {
          for (const queue of subscribers) Queue.offerUnsafe(queue, notice)
        }
      }
      return changed ? SubscriptionRef.set(live, Option.fromUndefinedOr(pairing.live)) : Effect.void
    })

  const subscribe = Effect.acquireRelease(
    Effect.map(Queue.unbounded<PairingNotice, Cause.Done>(), (queue) => {
      for (const notice of replay(subject, latest)) Queue.offerUnsafe(queue, notice)
      if (open) subscribers.add(queue)
      else Queue.endUnsafe(queue)
      return queue
    }),
    (queue) => Effect.andThen(Effect.sync(() => void subscribers.delete(queue)), Queue.shutdown(queue))
  )

  const statuses = Stream.map(supervisor.changes, ({ gatewayScope, status }): PairingEvent => ({
    _tag: "StatusChanged",
    status,
    gateway: gatewayScope,
    nowMs: clock.currentTimeMillisUnsafe()
  }))

  const at = (dueMs: number, event: PairingEvent) =>
    Effect.suspend(() =>
      Number.isFinite(dueMs)
        ? Effect.as(Effect.sleep(Duration.millis(Math.max(0, dueMs - clock.currentTimeMillisUnsafe()))), event)
        : Effect.never
    )
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
        yield at(noticedAtMs + reminder * intervalMs, { _tag: "ReminderDue", key, noticedAtMs, reminder })
      }
    }
  )
  const expiryClock = clockOf(
    (one, other) => one.key === other.key && one.dropsAtMs === other.dropsAtMs,
    function*({ dropsAtMs, key }) {
      if (dropsAtMs === undefined) return
      // The time that was due, not the time now: a timer may come a moment early.
      for (const nowMs of [dropsAtMs - expiryLeadMs, dropsAtMs]) yield at(nowMs, { _tag: "ExpiryDue", key, nowMs })
    }
  )

  // Runs after the fibers have ended, as finalizers run in reverse: nobody is left with a notice that nobody will end.
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      open = false
      return apply(
        step(subject, latest, {
          _tag: "StatusChanged",
          status: { _tag: "Stopped" },
          gateway: latest.live?.gateway ?? "",
          nowMs: clock.currentTimeMillisUnsafe()
        })
      )
    }).pipe(Effect.andThen(Effect.sync(() => {
      for (const queue of subscribers) Queue.endUnsafe(queue)
    })))
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
    notices: Stream.unwrap(Effect.map(subscribe, Stream.fromQueue))
  })
})
