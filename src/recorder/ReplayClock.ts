/**
 * A test clock whose timers fire late, as those of a real process do.
 *
 * `TestClock` wakes each sleeper exactly when it is due. In a busy process, or after a machine slept, a timer fires later, and
 * what follows counts from then. So a sleeper that is due between two entries of a recording wakes at the time of the second.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"

export interface ReplayClock {
  readonly clock: Clock.Clock
  readonly nowMs: () => number
  /** Moves on to this time and wakes every sleeper that was due before it. The clock never goes back. */
  readonly approach: (atMs: number) => Effect.Effect<void>
  /** Lets the client do what follows from what has happened. */
  readonly settle: Effect.Effect<void>
  /** Lets the client run until this holds, for a little longer than recorded. Answers whether it holds. */
  readonly until: (holds: () => boolean) => Effect.Effect<boolean>
}

const microsInMs = 1000
/** A date in nanoseconds is too long for a number. */
const nanosInMicro = 1000n
/** Less than any difference between two times in a recording. */
const epsilonMs = 0.01
/** Turns of the event loop that the client gets to do what follows from an entry. */
const turns = 200
/** How much later than recorded something may happen, in steps by which the clock moves on. */
const slackMs = [1, 1, 3, 5, 10, 30, 50, 100]

const settle = Effect.gen(function*() {
  for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow
})

/** On the test clock of the caller, which has to be `TestClock.layer`'s. */
export const make = (startMs: number): Effect.Effect<ReplayClock> =>
  TestClock.testClockWith((inner) => {
    let nowMs = startMs
    const nowNanos = () => BigInt(Math.round(nowMs * microsInMs)) * nanosInMicro
    const clock: Clock.Clock = {
      ...inner,
      currentTimeMillisUnsafe: () => nowMs,
      currentTimeMillis: Effect.sync(() => nowMs),
      currentTimeNanosUnsafe: nowNanos,
      currentTimeNanos: Effect.sync(nowNanos),
      // It never goes back, so that it is monotonic too.
      monotonicTimeNanosUnsafe: nowNanos,
      monotonicTimeNanos: Effect.sync(nowNanos),
      // The inner clock may still be on its way to the present time.
      sleep: (duration) =>
        inner.sleep(Duration.millis(Duration.toMillis(duration) + nowMs - inner.currentTimeMillisUnsafe()))
    }
    const move = (atMs: number, shortByMs: number) =>
      Effect.suspend(() => {
        nowMs = Math.max(nowMs, atMs)
        return inner.setTime(Math.max(inner.currentTimeMillisUnsafe(), nowMs - shortByMs))
      })
    const until = Effect.fnUntraced(function*(holds: () => boolean) {
      for (const laterMs of [undefined, 0, ...slackMs]) {
        // What is due at the time of an entry may be the cause of the entry, or come after it.
        if (laterMs !== undefined) yield* move(nowMs + laterMs, 0)
        for (let turn = 0; turn < turns; turn++) {
          if (holds()) return true
          yield* Effect.yieldNow
        }
      }
      return holds()
    })
    return Effect.as(inner.setTime(startMs), {
      clock,
      nowMs: () => nowMs,
      approach: (atMs) => move(atMs, epsilonMs),
      settle,
      until
    })
  })
