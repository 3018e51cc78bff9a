/**
 * What a gateway sees of three runners at one address that all have a wrong token.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as FleetWorld from "./FleetWorld.ts"

const names = Array.from({ length: 30 }, (_, index) => `device-${index}`)

/** Wrong tokens within a minute after which a gateway locks an address out. */
const lockOut = 10

describe("a fleet with a wrong token", () => {
  it.live(
    "B09: its runners together stay below the lock-out, and go on minute by minute",
    () =>
      Effect.gen(function*() {
        const { fleet, runner, watched } = yield* FleetWorld.make
        const runners = yield* Effect.forEach([0, 1, 2], () => runner({ token: "a wrong token" }))
        yield* Effect.forEach(names, fleet.register, { discard: true })
        yield* Effect.forEach(runners, ({ start }) => start, { concurrency: 3, discard: true })
        // The tenth within a minute would be the lock-out: the tenth at all comes later.
        yield* Effect.sync(() => watched.refusals().length).pipe(
          Effect.repeat({ schedule: Schedule.spaced("250 millis"), until: (count) => count >= lockOut }),
          Effect.timeout("3 minutes")
        )
        // Once a second they are written. A device that moves to a runner that joins is refused again.
        const halted = yield* Effect.map(fleet.list, (rows) => rows.filter(({ state }) => state === "halted").length)
          .pipe(
            Effect.repeat({ schedule: Schedule.spaced("250 millis"), until: (count) => count > 0 }),
            Effect.timeout("10 seconds")
          )
        const refusals = watched.refusals()
        const within = refusals.map(({ atMs }) =>
          refusals.filter((other) => other.atMs >= atMs && other.atMs < atMs + 60_000).length
        )
        const figures = {
          runners: 3,
          devices: names.length,
          refused: refusals.length,
          halted,
          mostInAMinute: Math.max(...within)
        }
        process.stdout.write(`figure wrong token ${JSON.stringify(figures)}\n`)
        assert.isBelow(figures.mostInAMinute, lockOut)
        assert.deepStrictEqual(refusals.filter(({ isLockOut }) => isLockOut), [])
      }),
    240_000
  )
})
