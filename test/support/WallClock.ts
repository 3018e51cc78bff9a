/**
 * A machine whose wall clock is set while its monotonic clock, and the timers on it, go on: by a person, by NTP, or because it
 * slept, which timers do not notice.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"

export interface WallClock {
  /** Moves the wall clock by so many milliseconds, on or back. */
  readonly step: (byMs: number) => void
}

/** Runs an effect on the test clock, with a wall clock of its own. */
export const settable = <A, E, R>(run: (wall: WallClock) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  TestClock.testClockWith((inner) => {
    let aheadMs = 0
    const nowMs = () => inner.currentTimeMillisUnsafe() + aheadMs
    const nanos = () => inner.currentTimeNanosUnsafe() + BigInt(aheadMs) * 1_000_000n
    const clock: TestClock.TestClock = {
      ...inner,
      currentTimeMillisUnsafe: nowMs,
      currentTimeMillis: Effect.sync(nowMs),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos)
    }
    return Effect.provideService(
      run({
        step: (byMs) => {
          aheadMs += byMs
        }
      }),
      Clock.Clock,
      clock
    )
  })
