/**
 * The subscribers of one session's events. Each has a queue of its own, and an event gets there synchronously.
 */
import * as Arr from "effect/Array"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type * as Frame from "../protocol/Frame.ts"
import type { Counters } from "./Metrics.ts"
import * as ReadGate from "./ReadGate.ts"
import type { Session } from "./Session.ts"

export interface EventSubscribers {
  readonly offer: (frame: Frame.EventFrame) => void
  readonly subscribe: Session["subscribe"]
  /** Ends every subscription after the events in its queue. A later subscription ends at once, without events. */
  readonly end: () => void
  readonly counts: {
    /** Events that are missing, by the sequence numbers of the link. */
    readonly missed: number
    /** Events dropped because a subscriber was too slow. */
    readonly dropped: number
  }
}

interface Subscriber {
  readonly names: ReadonlySet<string>
  readonly queue: Queue.Queue<Frame.EventFrame, Cause.Done>
  /** The size of the queue at which the link is no longer read; infinite for a subscriber that may lose events. */
  readonly pauseAtSize: number
  lost: number
}

const defaultCapacity = 1024

export const make = (gate: ReadGate.ReadGate, meters: Counters): EventSubscribers => {
  const subscribers = new Set<Subscriber>()
  const counts = { missed: 0, dropped: 0 }
  let lastSeq: number | undefined
  let ended = false

  /** Takes at most half of the size at a time. The link is read again when less than half is left, so both sides go on. */
  const streamByHalves = (subscriber: Subscriber): Stream.Stream<Frame.EventFrame> => {
    const half = Math.max(1, Math.floor(subscriber.pauseAtSize / 2))
    const take: Effect.Effect<Arr.NonEmptyReadonlyArray<Frame.EventFrame>, Cause.Done> = Effect.flatMap(
      Queue.takeBetween(subscriber.queue, 1, half),
      (frames) => {
        if (Queue.sizeUnsafe(subscriber.queue) < half) ReadGate.open(gate, subscriber)
        return Arr.isReadonlyArrayNonEmpty(frames) ? Effect.succeed(frames) : take
      }
    )
    return Stream.fromPull(Effect.succeed(take))
  }

  return {
    counts,
    offer: (frame) => {
      const missed = frame.seq === undefined || lastSeq === undefined ? 0 : frame.seq - lastSeq - 1
      if (frame.seq !== undefined) lastSeq = frame.seq
      if (missed > 0) {
        counts.missed += missed
        meters.gap()
        if (subscribers.size > 0) meters.lost("gap", missed)
      }
      for (const subscriber of subscribers) {
        if (missed > 0) subscriber.lost += missed
        if (!subscriber.names.has(frame.event)) continue
        if (Queue.offerUnsafe(subscriber.queue, frame)) {
          if (Queue.sizeUnsafe(subscriber.queue) >= subscriber.pauseAtSize) ReadGate.close(gate, subscriber)
          continue
        }
        subscriber.lost++
        counts.dropped++
        meters.lost("slow_subscriber", 1)
      }
    },
    subscribe: (names, { backpressure = false, capacity = defaultCapacity } = {}) =>
      Effect.map(
        Effect.acquireRelease(
          // The queue has no bound with `backpressure`: the packet that stopped the reading may hold more events.
          Effect.map(
            Queue.make<Frame.EventFrame, Cause.Done>(backpressure ? {} : { capacity, strategy: "dropping" }),
            (queue) => {
              const pauseAtSize = backpressure ? capacity : Number.POSITIVE_INFINITY
              const subscriber: Subscriber = { names: new Set(names), queue, pauseAtSize, lost: 0 }
              if (ended) Queue.endUnsafe(queue)
              else subscribers.add(subscriber)
              return subscriber
            }
          ),
          (subscriber) =>
            Effect.sync(() => {
              subscribers.delete(subscriber)
              Queue.endUnsafe(subscriber.queue)
              ReadGate.open(gate, subscriber)
            })
        ),
        (subscriber) => ({
          events: backpressure ? streamByHalves(subscriber) : Stream.fromQueue(subscriber.queue),
          lost: () => subscriber.lost
        })
      ),
    end: () => {
      ended = true
      for (const { queue } of subscribers) Queue.endUnsafe(queue)
    }
  }
}
