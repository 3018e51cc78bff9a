/**
 * Streams of values that are handed over synchronously, and readers of them that cost little while nothing comes.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Bell } from "./Bell.ts"

/** Waits for a ring. */
const heard = (bell: Bell): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const waiter = () => resume(Effect.void)
    bell.listen(waiter)
    return Effect.sync(() => bell.forget(waiter))
  })

/** Values that wait for one reader. */
export interface Source<A> {
  /** Rings when values have come, and at the end. */
  readonly bell: Bell
  /** Takes what waits. */
  readonly take: () => Effect.Effect<ReadonlyArray<A>>
  /** Nothing more comes. What was not taken yet still counts. */
  readonly hasEnded: () => boolean
  /** Nobody reads any more. */
  readonly close: () => void
}

/** Gives each reader a source of its own. */
export interface Opener<A> {
  readonly open: () => Source<A>
}

/** What one reader takes at a time. */
type Batches<A> = Pull.Pull<Arr.NonEmptyReadonlyArray<A>>

/** Takes what waits and, while that is nothing, waits for the bell. Done once nothing waits after the end. */
const batches = <A>(source: Source<A>): Batches<A> => {
  const next: Batches<A> = Effect.flatMap(source.take(), (taken) => {
    if (Arr.isReadonlyArrayNonEmpty(taken)) return Effect.succeed(taken)
    return source.hasEnded() ? Cause.done() : Effect.andThen(heard(source.bell), next)
  })
  return next
}

const opened = <A>(opener: Opener<A>): Effect.Effect<Source<A>, never, Scope.Scope> =>
  Effect.acquireRelease(Effect.sync(() => opener.open()), (source) => Effect.sync(() => source.close()))

const openerOf = Symbol("effect-openclaw/broadcast/opener")
interface SourceStream<A> extends Stream.Stream<A> {
  readonly [openerOf]: Opener<A>
}
const hasSource = <A>(stream: Stream.Stream<A>): stream is SourceStream<A> => openerOf in stream

/** A stream whose channel is made when it runs: an agent offers seven, and a channel takes more memory than all they hold. */
const prototype: object = Object.defineProperty(Object.create(Object.getPrototypeOf(Stream.empty)), "channel", {
  get(this: SourceStream<unknown>) {
    return Stream.scoped(Stream.fromPull(Effect.map(opened(this[openerOf]), batches))).channel
  }
})

/** A stream of which each run has a source of its own. */
export const stream = <A>(opener: Opener<A>): Stream.Stream<A> =>
  Object.assign(Object.create(prototype), { [openerOf]: opener })

/** What is done with the values of a stream. */
export interface Reader<A> {
  readonly read: (values: Arr.NonEmptyReadonlyArray<A>) => Effect.Effect<void>
  /** Logged with the defect that ends the reading. */
  readonly failed: string
  /** Runs after the last value. */
  readonly done?: Effect.Effect<void>
}

/**
 * Reads a stream until it ends or the scope closes. A stream of this module is read by a fiber that exists only while something
 * waits: an agent has several readers that are idle nearly always, and there may be thousands of agents.
 */
export const forkRead = <A>(values: Stream.Stream<A>, reader: Reader<A>): Effect.Effect<void, never, Scope.Scope> =>
  hasSource(values)
    ? Effect.contextWith((context: Context.Context<Scope.Scope>) =>
      Effect.map(opened(values[openerOf]), (source) => new Reading(source, reader, context).begin())
    )
    : Stream.runForEachArray(values, reader.read).pipe(
      Effect.andThen(reader.done ?? Effect.void),
      Effect.ignoreCause({ log: "Error", message: reader.failed }),
      Effect.forkScoped({ startImmediately: true }),
      Effect.asVoid
    )

class Reading<A> {
  readonly #source: Source<A>
  readonly #reader: Reader<A>
  readonly #context: Context.Context<Scope.Scope>

  constructor(source: Source<A>, reader: Reader<A>, context: Context.Context<Scope.Scope>) {
    this.#source = source
    this.#reader = reader
    this.#context = context
  }

  readonly begin = (): void => {
    const scope = Context.get(this.#context, Scope.Scope)
    if (scope.state._tag === "Closed") return
    const reading = Effect.ignoreCause(this.#next(), { log: "Error", message: this.#reader.failed })
    Fiber.runIn(Effect.runForkWith(this.#context)(reading), scope)
  }

  /** Reads all that waits, and the rest after the next ring. */
  #next(): Effect.Effect<void> {
    return Effect.flatMap(this.#source.take(), (taken) => {
      if (Arr.isReadonlyArrayNonEmpty(taken)) return Effect.andThen(this.#reader.read(taken), this.#next())
      if (this.#source.hasEnded()) return this.#reader.done ?? Effect.void
      return Effect.sync(() => this.#source.bell.listen(this.begin))
    })
  }
}
