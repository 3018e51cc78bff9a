/**
 * How long a gateway is waited for, by the time in which this process could hear it.
 *
 * A process that starts thousands of agents, or that was stopped for a while, reads its sockets late. Its timers are late too,
 * and they are served first: without care a gateway that answered in time would count as silent.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Monotonic from "./Monotonic.ts"

/** A timer that is late by less is on time. */
const onTimeMs = 50
/** How often a time is prolonged by what its timer was late. */
const prolongedAtMost = 10

/** Waits for what the sockets hold already. */
export const heard: Effect.Effect<void> = Effect.yieldNow

/** Sleeps this long, and again for as long as the timer was late, until one is on time. */
export const served = Effect.fnUntraced(function*(duration: Duration.Duration) {
  const clock = yield* Clock.Clock
  let ms = Duration.toMillis(duration)
  for (let prolonged = 0; prolonged <= prolongedAtMost; prolonged++) {
    const dueMs = Monotonic.nowMs(clock) + ms
    yield* Effect.sleep(Duration.millis(ms))
    ms = Monotonic.nowMs(clock) - dueMs
    if (ms < onTimeMs) break
  }
  yield* heard
})

/** Fails in the way of `orElse` if the effect takes longer than that. */
export const within = <A, E, R, A2, E2, R2>(
  effect: Effect.Effect<A, E, R>,
  duration: Duration.Duration,
  orElse: () => Effect.Effect<A2, E2, R2>
): Effect.Effect<A | A2, E | E2, R | R2> =>
  Effect.flatten(
    Effect.raceFirst(
      Effect.map(effect, (value): Effect.Effect<A | A2, E2, R2> => Effect.succeed(value)),
      Effect.as(served(duration), Effect.suspend(orElse))
    )
  )
