/**
 * Wakes fibers from a synchronous callback, in the microtask after it: soon, and still once for a whole burst of values that
 * arrive in one packet. Effect's `Queue` wakes its reader a turn of the event loop later, which doubles the delay of a lone event
 * and costs more than the event.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"

export class Bell {
  #rung = false
  #waiters: Array<() => void> = []

  /** Wakes those that wait, or the next one that would. Several rings before that are one. */
  ring(): void {
    if (this.#rung) return
    this.#rung = true
    if (this.#waiters.length > 0) queueMicrotask(() => this.#wake())
  }

  /** Waits for a ring. What it means has to be looked up then: another fiber may have been first. */
  readonly heard: Effect.Effect<void> = Effect.callback((resume) => {
    if (this.#rung) {
      this.#rung = false
      return resume(Effect.void)
    }
    const waiter = () => resume(Effect.void)
    this.#waiters.push(waiter)
    return Effect.sync(() => {
      this.#waiters = this.#waiters.filter((other) => other !== waiter)
    })
  })

  #wake(): void {
    this.#rung = false
    const waiters = this.#waiters
    this.#waiters = []
    for (const wake of waiters) wake()
  }
}

/** What one reader takes at a time. */
export type Batches<A> = Pull.Pull<Arr.NonEmptyReadonlyArray<A>>

/** Takes what waits and, while that is nothing, waits for the bell. Done once nothing waits after the end. */
export const batches = <A>(
  bell: Bell,
  take: Effect.Effect<ReadonlyArray<A>>,
  hasEnded: () => boolean
): Batches<A> => {
  const next: Batches<A> = Effect.flatMap(take, (taken) => {
    if (Arr.isReadonlyArrayNonEmpty(taken)) return Effect.succeed(taken)
    return hasEnded() ? Cause.done() : Effect.andThen(bell.heard, next)
  })
  return next
}
