/**
 * One value to many subscribers, each at its own pace.
 *
 * `publish` is synchronous and starts no fiber, and each subscriber takes all that waits for it at once. Effect's `PubSub` wakes
 * a waiting subscriber inside `publish`, one value at a time: in a burst that costs twenty times as much. It also has no
 * snapshot: a subscriber that comes late would not learn what holds.
 */
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { batches, Bell } from "./Bell.ts"
import type { Batches } from "./Bell.ts"

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
  readonly snapshot?: () => Iterable<A>
  /** No limit unless set. */
  readonly limit?: Limit<A>
  /** How many values the stream hands out at once; all unless set. */
  readonly batch?: number
}

export interface Broadcast<A> {
  readonly publish: (value: A) => void
  /** Each run of the stream is a subscription of its own. It ends with the broadcast, after what was published before. */
  readonly subscribe: (options?: SubscribeOptions<A>) => Stream.Stream<A>
  /** Ends every stream. A later one has the snapshot only. */
  readonly end: () => void
}

interface Subscriber<A> {
  readonly limit: Limit<A> | undefined
  readonly bell: Bell
  /** What is left of the snapshot. */
  first: ReadonlyArray<A>
  /** In the order in which the values go out. A value that replaces another moves to the end. Absent while nothing waits. */
  waiting: Map<string | number, A> | undefined
  /** How many values of each key came since nothing waited: the next one takes the place of the oldest that is kept. */
  counts: Map<string, number> | undefined
  weight: number
  ended: boolean
}

class Subscribers<A> implements Broadcast<A> {
  readonly #options: Options<A>
  readonly #all = new Set<Subscriber<A>>()
  #ended = false
  #published = 0

  constructor(options: Options<A>) {
    this.#options = options
  }

  readonly publish = (value: A): void => {
    this.#published++
    for (const subscriber of this.#all) this.#hand(subscriber, value)
  }

  readonly subscribe = (options: SubscribeOptions<A> = {}): Stream.Stream<A> => {
    const pull = () =>
      Effect.map(
        Effect.acquireRelease(
          Effect.sync(() => this.#join(options)),
          (subscriber) => Effect.sync(() => this.#drop(subscriber))
        ),
        (subscriber) => pullBy(subscriber, options.batch ?? Infinity)
      )
    // Made when it runs: a stream takes more memory than an agent can spend on each that it offers.
    return Object.assign(Stream.suspend(() => Stream.scoped(Stream.fromPull(pull()))), { [pullOf]: pull })
  }

  readonly end = (): void => {
    this.#ended = true
    for (const subscriber of this.#all) {
      subscriber.ended = true
      subscriber.bell.ring()
    }
    this.#all.clear()
  }

  #join({ limit, snapshot = this.#options.snapshot }: SubscribeOptions<A>): Subscriber<A> {
    const subscriber: Subscriber<A> = {
      first: Array.from(snapshot()),
      waiting: undefined,
      counts: undefined,
      limit,
      bell: new Bell(),
      weight: 0,
      ended: this.#ended
    }
    if (!this.#ended) this.#all.add(subscriber)
    return subscriber
  }

  #drop(subscriber: Subscriber<A>): void {
    this.#all.delete(subscriber)
    subscriber.ended = true
    subscriber.first = []
    subscriber.waiting = undefined
    subscriber.counts = undefined
    subscriber.bell.ring()
  }

  #placeOf(subscriber: Subscriber<A>, value: A): string | number {
    const { coalesceKey, keep = 1 } = this.#options
    const key = coalesceKey?.(value)
    if (key === undefined) return this.#published
    const counts = subscriber.counts ??= new Map()
    const count = counts.get(key) ?? 0
    counts.set(key, count + 1)
    return `${key} ${count % keep}`
  }

  #hand(subscriber: Subscriber<A>, value: A): void {
    const { limit } = subscriber
    const waiting = subscriber.waiting ??= new Map()
    const key = this.#placeOf(subscriber, value)
    const replaced = waiting.get(key)
    if (replaced !== undefined && waiting.delete(key)) subscriber.weight -= limit?.weigh(replaced) ?? 0
    if (limit !== undefined) {
      if (waiting.size >= limit.values || subscriber.weight >= limit.weight) {
        this.#drop(subscriber)
        return limit.onExceeded()
      }
      subscriber.weight += limit.weigh(value)
    }
    waiting.set(key, value)
    subscriber.bell.ring()
  }
}

const take = <A>(subscriber: Subscriber<A>, batch: number): ReadonlyArray<A> => {
  const { first, limit, waiting } = subscriber
  const taken = first.slice(0, batch)
  subscriber.first = first.slice(batch)
  if (waiting === undefined) return taken
  for (const [key, value] of waiting) {
    if (taken.length >= batch) return taken
    waiting.delete(key)
    subscriber.weight -= limit?.weigh(value) ?? 0
    taken.push(value)
  }
  subscriber.waiting = undefined
  subscriber.counts = undefined
  return taken
}

const pullBy = <A>(subscriber: Subscriber<A>, batch: number): Batches<A> =>
  batches(subscriber.bell, Effect.sync(() => take(subscriber, batch)), () => subscriber.ended)

/** What the stream of a broadcast is made of. */
const pullOf = Symbol("effect-openclaw/broadcast/pull")

interface BroadcastStream<A> extends Stream.Stream<A> {
  readonly [pullOf]: () => Effect.Effect<Batches<A>, never, Scope.Scope>
}

const isOfBroadcast = <A>(stream: Stream.Stream<A>): stream is BroadcastStream<A> => pullOf in stream

export const make = <A>(options: Options<A>): Broadcast<A> => new Subscribers(options)

/**
 * Runs an effect for each value of a stream, until it ends. One that a broadcast has made is read without Effect's channels: a
 * fiber that mostly waits, of which an agent has several, then takes a quarter of the memory.
 */
export const runForEach = <A>(stream: Stream.Stream<A>, f: (value: A) => Effect.Effect<void>): Effect.Effect<void> =>
  isOfBroadcast(stream)
    ? Effect.scoped(Effect.flatMap(stream[pullOf](), (next) => readAll(next, f)))
    : Stream.runForEach(stream, f)

const readAll = <A>(next: Batches<A>, f: (value: A) => Effect.Effect<void>): Effect.Effect<void> =>
  next.pipe(
    Effect.flatMap((values) => Effect.forEach(values, f, { discard: true })),
    Effect.forever({ disableYield: true }),
    Pull.catchDone(() => Effect.void)
  )
