/**
 * The subscribers of one session's events. Each has a buffer of its own, and an event gets there synchronously.
 */
import * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import { Bell } from "../broadcast/Bell.ts"
import * as Source from "../broadcast/Source.ts"
import type * as Frame from "../protocol/Frame.ts"
import type { Counters } from "./Metrics.ts"
import * as ReadGate from "./ReadGate.ts"
import type { Session } from "./Session.ts"

interface Subscriber {
  readonly names: ReadonlySet<string>
  readonly bell: Bell
  readonly capacity: number
  /** A full buffer stops the reading of the link. Otherwise what does not fit is lost. */
  readonly backpressure: boolean
  waiting: Array<Frame.EventFrame>
  lost: number
}

const defaultCapacity = 1024

/** State of one session. Only the functions of this module change it. */
export interface EventSubscribers {
  readonly gate: ReadGate.ReadGate
  readonly meters: Counters
  all: Set<Subscriber> | undefined
  lastSeq: number | undefined
  /** Events that are missing, by the sequence numbers of the link. */
  missed: number
  /** Events dropped because a subscriber was too slow. */
  dropped: number
  ended: boolean
}

export const make = (gate: ReadGate.ReadGate, meters: Counters): EventSubscribers => ({
  gate,
  meters,
  all: undefined,
  lastSeq: undefined,
  missed: 0,
  dropped: 0,
  ended: false
})

const none: ReadonlySet<Subscriber> = new Set()

/** Hands an event to its subscribers, and notes the events that are missing before it. */
export const offer = (self: EventSubscribers, frame: Frame.EventFrame): void => {
  const { all = none, gate, meters } = self
  const missed = frame.seq === undefined || self.lastSeq === undefined ? 0 : frame.seq - self.lastSeq - 1
  if (frame.seq !== undefined) self.lastSeq = frame.seq
  if (missed > 0) {
    self.missed += missed
    meters.gap()
    if (all.size > 0) meters.lost("gap", missed)
  }
  for (const subscriber of all) {
    if (missed > 0) subscriber.lost += missed
    if (!subscriber.names.has(frame.event)) continue
    const { backpressure, bell, capacity, waiting } = subscriber
    // With `backpressure` there is no bound: the packet that stopped the reading may hold more events.
    if (backpressure || waiting.length < capacity) {
      waiting.push(frame)
      bell.ring()
      if (backpressure && waiting.length >= capacity) ReadGate.close(gate, subscriber)
      continue
    }
    subscriber.lost++
    self.dropped++
    meters.lost("slow_subscriber", 1)
  }
}

/** Ends every subscription after the events in its buffer. A later subscription ends at once, without events. */
export const end = (self: EventSubscribers): void => {
  self.ended = true
  for (const { bell } of self.all ?? none) bell.ring()
}

type Events = ReadonlyArray<Frame.EventFrame>

/** With `backpressure` half of the capacity at a time: the link is read again when less than that is left. */
const take = ({ gate }: EventSubscribers, subscriber: Subscriber): Effect.Effect<Events> => {
  const { backpressure, capacity, waiting } = subscriber
  if (!backpressure) {
    subscriber.waiting = []
    return Effect.succeed(waiting)
  }
  const half = Math.max(1, Math.floor(capacity / 2))
  const taken = waiting.splice(0, half)
  return waiting.length < half ? Effect.as(ReadGate.open(gate, subscriber), taken) : Effect.succeed(taken)
}

/** Each run of the stream reads the one buffer of the subscription. */
const eventsOf = (self: EventSubscribers, subscriber: Subscriber): Stream.Stream<Frame.EventFrame> =>
  Source.stream({
    open: () => ({
      bell: subscriber.bell,
      take: () => Effect.suspend(() => take(self, subscriber)),
      hasEnded: () => self.ended || self.all?.has(subscriber) !== true,
      close: () => {}
    })
  })

export const subscribe = (
  self: EventSubscribers,
  ...[names, { backpressure = false, capacity = defaultCapacity } = {}]: Parameters<Session["subscribe"]>
): ReturnType<Session["subscribe"]> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const subscriber: Subscriber = {
          names: new Set(names),
          bell: new Bell(),
          capacity,
          backpressure,
          waiting: [],
          lost: 0
        }
        self.all ??= new Set()
        self.all.add(subscriber)
        return subscriber
      }),
      (subscriber) =>
        Effect.suspend(() => {
          self.all?.delete(subscriber)
          subscriber.waiting = []
          subscriber.bell.ring()
          return ReadGate.open(self.gate, subscriber)
        })
    ),
    (subscriber) => ({ events: eventsOf(self, subscriber), lost: () => subscriber.lost })
  )
