/**
 * Counts the fibers and the sleeps that an effect has under way, for tests that nothing is left behind.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as TestClock from "effect/testing/TestClock"

export interface Census {
  /** Fibers that were started within and have not ended. */
  readonly fibers: () => number
  /** Sleeps under way on the clock. */
  readonly sleeps: () => number
  /** Sleeps ever begun: each is a timer, and a wake-up if it is not cancelled. */
  readonly sleepsBegun: () => number
}

/** Runs an effect on the test clock while counting. */
export const taken = <A, E, R>(run: (census: Census) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  TestClock.testClockWith((clock) => {
    let fibers = 0
    let sleeps = 0
    let sleepsBegun = 0
    const counting: TestClock.TestClock = {
      ...clock,
      sleep: (duration) =>
        Effect.acquireUseRelease(
          Effect.sync(() => {
            sleeps++
            sleepsBegun++
          }),
          () => clock.sleep(duration),
          () =>
            Effect.sync(() => {
              sleeps--
            })
        )
    }
    return run({ fibers: () => fibers, sleeps: () => sleeps, sleepsBegun: () => sleepsBegun }).pipe(
      Effect.provideService(Clock.Clock, counting),
      Effect.provideService(Metric.FiberRuntimeMetrics, {
        recordFiberStart: () => void fibers++,
        recordFiberEnd: () => void fibers--
      })
    )
  })
