/**
 * The subscribers of one session's events. An event gets to each synchronously: into a buffer of its own, or to a listener.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { Bell } from "../broadcast/Bell.ts"
import * as Source from "../broadcast/Source.ts"
import type * as Frame from "../protocol/Frame.ts"
import type { Counters } from "./Metrics.ts"
import * as ReadGate from "./ReadGate.ts"
import type { EventListener, Session } from "./Session.ts"

/** What gets the events with some names. */
interface Subscriber {
  readonly names: ReadonlySet<string>
  readonly offer: (self: EventSubscribers, frame: Frame.EventFrame) => void
  readonly miss: (events: number) => void
  readonly end: () => void
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
  const { all = none, meters } = self
  const missed = frame.seq === undefined || self.lastSeq === undefined ? 0 : frame.seq - self.lastSeq - 1
  if (frame.seq !== undefined) self.lastSeq = frame.seq
  if (missed > 0) {
    self.missed += missed
    meters.gap()
    if (all.size > 0) meters.lost("gap", missed)
  }
  for (const subscriber of all) {
    if (subscriber.names.has(frame.event)) subscriber.offer(self, frame)
    // After the event, which may be all that a task still waited for: nothing has to be asked then.
    if (missed > 0) subscriber.miss(missed)
  }
}

/** Ends every subscription after the events in its buffer. A later subscription ends at once, without events. */
export const end = (self: EventSubscribers): void => {
  self.ended = true
  for (const subscriber of self.all ?? none) subscriber.end()
}

const join = (self: EventSubscribers, subscriber: Subscriber): void => {
  self.all ??= new Set()
  self.all.add(subscriber)
}

/** Events that wait for one reader. */
class Buffer implements Subscriber {
  readonly names: ReadonlySet<string>
  readonly bell = new Bell()
  readonly #capacity: number
  /** A full buffer stops the reading of the link. Otherwise what does not fit is lost. */
  readonly #backpressure: boolean
  #waiting: Array<Frame.EventFrame> = []
  lost = 0

  constructor(names: ReadonlyArray<string>, capacity: number, backpressure: boolean) {
    this.names = new Set(names)
    this.#capacity = capacity
    this.#backpressure = backpressure
  }

  offer(self: EventSubscribers, frame: Frame.EventFrame): void {
    // With `backpressure` there is no bound: the packet that stopped the reading may hold more events.
    if (this.#backpressure || this.#waiting.length < this.#capacity) {
      this.#waiting.push(frame)
      this.bell.ring()
      if (this.#backpressure && this.#waiting.length >= this.#capacity) ReadGate.close(self.gate, this)
      return
    }
    this.lost++
    self.dropped++
    self.meters.lost("slow_subscriber", 1)
  }

  miss(events: number): void {
    this.lost += events
  }

  end(): void {
    this.bell.ring()
  }

  /** With `backpressure` half of the capacity at a time: the link is read again when less than that is left. */
  take(gate: ReadGate.ReadGate): Effect.Effect<ReadonlyArray<Frame.EventFrame>> {
    const waiting = this.#waiting
    if (!this.#backpressure) {
      this.#waiting = []
      return Effect.succeed(waiting)
    }
    const half = Math.max(1, Math.floor(this.#capacity / 2))
    const taken = waiting.splice(0, half)
    return waiting.length < half ? Effect.as(ReadGate.open(gate, this), taken) : Effect.succeed(taken)
  }

  leave(self: EventSubscribers): Effect.Effect<void> {
    self.all?.delete(this)
    this.#waiting = []
    this.bell.ring()
    return ReadGate.open(self.gate, this)
  }
}

/** Each run of the stream reads the one buffer of the subscription. */
const eventsOf = (self: EventSubscribers, buffer: Buffer): Stream.Stream<Frame.EventFrame> =>
  Source.stream({
    open: () => ({
      bell: buffer.bell,
      take: () => Effect.suspend(() => buffer.take(self.gate)),
      hasEnded: () => self.ended || self.all?.has(buffer) !== true,
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
        const buffer = new Buffer(names, capacity, backpressure)
        join(self, buffer)
        return buffer
      }),
      (buffer) => Effect.suspend(() => buffer.leave(self))
    ),
    (buffer) => ({ events: eventsOf(self, buffer), lost: () => buffer.lost })
  )

/** Calls a listener until its scope closes. A defect in it ends that listener, and nothing else of the link. */
class Called implements Subscriber {
  readonly names: ReadonlySet<string>
  readonly #listener: EventListener
  readonly #context: Context.Context<Scope.Scope>
  readonly #leave: () => void

  constructor(
    names: ReadonlyArray<string>,
    listener: EventListener,
    context: Context.Context<Scope.Scope>,
    leave: () => void
  ) {
    this.names = new Set(names)
    this.#listener = listener
    this.#context = context
    this.#leave = leave
  }

  offer(_: EventSubscribers, frame: Frame.EventFrame): void {
    this.#attempt(() => this.#listener.onEvent(frame))
  }

  miss(events: number): void {
    this.#attempt(() => this.#listener.onLost?.(events))
  }

  end(): void {
    this.#attempt(() => this.#listener.onEnd?.())
    this.#leave()
  }

  #attempt(call: () => void): void {
    try {
      call()
    } catch (defect) {
      this.#leave()
      const told = Effect.logError("a listener of a session's events failed", Cause.die(defect))
      Fiber.runIn(Effect.runForkWith(this.#context)(told), Context.get(this.#context, Scope.Scope))
    }
  }
}

export const listen = (
  self: EventSubscribers,
  ...[names, listener]: Parameters<Session["listen"]>
): ReturnType<Session["listen"]> =>
  Effect.contextWith((context: Context.Context<Scope.Scope>) => {
    // Of its own, so that a scope that outlives many sessions keeps nothing of those that ended.
    const scope = Scope.forkUnsafe(Context.get(context, Scope.Scope))
    const called: Called = new Called(names, listener, context, () => {
      self.all?.delete(called)
      Scope.closeUnsafe(scope, Exit.void)
    })
    if (self.ended) called.end()
    else join(self, called)
    return Scope.addFinalizer(scope, Effect.sync(() => self.all?.delete(called)))
  })
