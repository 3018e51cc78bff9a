/**
 * One value to many subscribers, each at its own pace.
 *
 * `publish` is synchronous and starts no fiber, and each subscriber takes all that waits for it at once. Effect's `PubSub` wakes
 * a waiting subscriber inside `publish`, one value at a time: in a burst that costs twenty times as much. It also has no
 * snapshot: a subscriber that comes late would not learn what holds.
 */
import * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import { Bell } from "./Bell.ts"
import * as Source from "./Source.ts"

export interface Options<A> {
  /** What holds now. Every subscriber gets it first, then each value published since; nothing is missed or told twice. */
  readonly snapshot: () => Iterable<A>
  /** Values with the same key replace each other while they wait: a slow subscriber gets the last `keep` of them. */
  readonly coalesceKey?: (value: A) => string | undefined
  /** One unless set. */
  readonly keep?: number
}

/** What may wait for one subscriber, apart from its snapshot. */
export interface Limit<A> {
  readonly values: number
  /** The sum of `weigh` over the values. One value may be heavier: what counts is what was left unread before it. */
  readonly weight: number
  readonly weigh: (value: A) => number
  /** Called once, when the subscriber leaves too much unread. Its stream has ended then, without what waited. */
  readonly onExceeded: () => void
}

export interface SubscribeOptions<A> {
  /** Another snapshot than that of the broadcast. */
  readonly snapshot?: (() => Iterable<A>) | undefined
  /** No limit unless set. */
  readonly limit?: Limit<A>
  /** How many values the stream hands out at once; all unless set. */
  readonly batch?: number
}

/** For a subscriber of a part of the values, or of something that is told by them. */
export interface SelectOptions<A, B> extends SubscribeOptions<B> {
  /** What a value means for the subscriber; nothing where it is not for it. Runs when the value is published. */
  readonly select: (value: A) => B | undefined
}

export interface Broadcast<A> {
  publish(value: A): void
  /** Each run of the stream is a subscription of its own. It ends with the broadcast, after what was published before. */
  subscribe(options?: SubscribeOptions<A>): Stream.Stream<A>
  /** The same for a selection. Its snapshot is that of the broadcast, selected, unless it has one of its own. */
  select<B>(options: SelectOptions<A, B>): Stream.Stream<B>
  /** Ends every stream. A later one has the snapshot only. */
  end(): void
}

/** What waits for one subscriber. */
class Subscriber<A, B> implements Source.Source<B> {
  readonly bell = new Bell()
  readonly #broadcast: Subscribers<A>
  readonly #options: SubscribeOptions<B>
  readonly #select: (value: A) => B | undefined
  readonly #keep: number
  /** What is left of the snapshot. */
  #first: ReadonlyArray<B>
  /** In the order in which the values go out. A value that replaces another moves to the end. Absent while nothing waits. */
  #waiting: Map<string | number, B> | undefined
  /** How many values of each key came since nothing waited: the next one takes the place of the oldest that is kept. */
  #counts: Map<string, number> | undefined
  #handed = 0
  #weight = 0
  #ended = false

  constructor(broadcast: Subscribers<A>, { keep, options, select, snapshot }: Subscription<A, B>) {
    this.#broadcast = broadcast
    this.#options = options
    this.#select = select
    this.#keep = keep
    this.#first = Array.from((options.snapshot ?? snapshot)())
  }

  hand(value: A, key: string | undefined): void {
    const selected = this.#ended ? undefined : this.#select(value)
    if (selected === undefined) return
    const { limit } = this.#options
    const waiting = this.#waiting ??= new Map()
    const place = this.#placeOf(key)
    const replaced = waiting.get(place)
    if (replaced !== undefined && waiting.delete(place)) this.#weight -= limit?.weigh(replaced) ?? 0
    if (limit !== undefined) {
      if (waiting.size >= limit.values || this.#weight >= limit.weight) {
        this.close()
        return limit.onExceeded()
      }
      this.#weight += limit.weigh(selected)
    }
    waiting.set(place, selected)
    this.bell.ring()
  }

  end(): void {
    this.#ended = true
    this.bell.ring()
  }

  close(): void {
    this.#broadcast.leave(this)
    this.#first = []
    this.#waiting = undefined
    this.#counts = undefined
    this.end()
  }

  hasEnded(): boolean {
    return this.#ended
  }

  take(): Effect.Effect<ReadonlyArray<B>> {
    return Effect.sync(() => this.#take(this.#options.batch ?? Infinity))
  }

  #placeOf(key: string | undefined): string | number {
    if (key === undefined) return this.#handed++
    const counts = this.#counts ??= new Map()
    const count = counts.get(key) ?? 0
    counts.set(key, count + 1)
    return `${key} ${count % this.#keep}`
  }

  #take(batch: number): ReadonlyArray<B> {
    const { limit } = this.#options
    const taken = this.#first.slice(0, batch)
    this.#first = this.#first.slice(batch)
    if (this.#waiting === undefined) return taken
    for (const [key, value] of this.#waiting) {
      if (taken.length >= batch) return taken
      this.#waiting.delete(key)
      this.#weight -= limit?.weigh(value) ?? 0
      taken.push(value)
    }
    this.#waiting = undefined
    this.#counts = undefined
    return taken
  }
}

/** A subscriber, whatever it selects. */
type AnySubscriber<A> = Pick<Subscriber<A, unknown>, "hand" | "end">

class Subscribers<A> implements Broadcast<A> {
  readonly #options: Options<A>
  /** Never changed in place, as values are handed to those that were there when they came. */
  #all: ReadonlyArray<AnySubscriber<A>> = []
  #ended = false

  constructor(options: Options<A>) {
    this.#options = options
  }

  publish(value: A): void {
    const all = this.#all
    if (all.length === 0) return
    const key = this.#options.coalesceKey?.(value)
    for (const subscriber of all) subscriber.hand(value, key)
  }

  subscribe(options: SubscribeOptions<A> = {}): Stream.Stream<A> {
    return Source.stream({ open: () => this.#join(options, (value) => value, this.#options.snapshot) })
  }

  select<B>(options: SelectOptions<A, B>): Stream.Stream<B> {
    const { select } = options
    return Source.stream({ open: () => this.#join(options, select, () => selected(this.#options.snapshot(), select)) })
  }

  end(): void {
    this.#ended = true
    const all = this.#all
    this.#all = []
    for (const subscriber of all) subscriber.end()
  }

  leave(subscriber: AnySubscriber<A>): void {
    this.#all = this.#all.filter((other) => other !== subscriber)
  }

  #join<B>(
    options: SubscribeOptions<B>,
    select: (value: A) => B | undefined,
    snapshot: () => Iterable<B>
  ): Subscriber<A, B> {
    const { keep = 1 } = this.#options
    const subscriber = new Subscriber(this, { keep, options, select, snapshot })
    if (this.#ended) subscriber.end()
    else this.#all = [...this.#all, subscriber]
    return subscriber
  }
}

/** What a subscriber is made of. */
interface Subscription<A, B> {
  readonly keep: number
  readonly options: SubscribeOptions<B>
  readonly select: (value: A) => B | undefined
  readonly snapshot: () => Iterable<B>
}

const selected = <A, B>(values: Iterable<A>, select: (value: A) => B | undefined): ReadonlyArray<B> =>
  Array.from(values, select).filter((value) => value !== undefined)

export const make = <A>(options: Options<A>): Broadcast<A> => new Subscribers(options)
