/**
 * Interrupts a fiber at a step of its choice, for tests that nothing is left behind wherever that happens.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"

export interface Interrupting {
  /** Forks an effect whose fiber is interrupted at the `k`-th step of any of its fibers. */
  readonly fork: <A, E, R>(life: Effect.Effect<A, E, R>) => Effect.Effect<Fiber.Fiber<A, E>, never, R>
  /** How many steps there were. */
  readonly steps: () => number
}

/** Steps are counted from 1. */
export const at = (k: number): Effect.Effect<Interrupting> =>
  Effect.map(Scheduler.Scheduler, (base) => {
    let steps = 0
    let victim: Fiber.Fiber<unknown, unknown> | undefined
    const interrupting: Scheduler.Scheduler = {
      executionMode: base.executionMode,
      shouldYield: (fiber) => {
        if (victim !== undefined && ++steps === k) victim.interruptUnsafe()
        return base.shouldYield(fiber)
      },
      makeDispatcher: () => base.makeDispatcher()
    }
    return {
      steps: () => steps,
      fork: (life) =>
        Effect.tap(
          Effect.forkChild(Effect.provideService(life, Scheduler.Scheduler, interrupting)),
          (fiber) => Effect.sync(() => void (victim = fiber))
        )
    }
  })
