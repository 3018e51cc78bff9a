import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FleetWorld from "./FleetWorld.ts"

const names = Array.from({ length: 10 }, (_, index) => `device-${index}`)

describe("a database that fails over for 8 s", () => {
  it.live(
    "drops no device of runners that allow for it, and takes tasks again",
    () =>
      Effect.gen(function*() {
        const { connected, fleet, runner, server, watched } = yield* FleetWorld.make
        if (server.restart === undefined) return
        const runners = yield* Effect.forEach([0, 1], () => runner({ databaseAwayMs: 15_000 }))
        yield* Effect.forEach(runners, ({ start }) => start, { concurrency: 2 })
        yield* Effect.forEach(names, (name) => fleet.register(name))
        yield* Effect.timeout(connected(names.length), "60 seconds")
        // No device moves any more.
        yield* Effect.sleep("5 seconds")
        watched.reset()
        yield* server.restart(8000)
        yield* Effect.sleep("15 seconds")
        assert.deepStrictEqual([watched.counts().drops, watched.connected()], [0, names.length])
        const results = yield* Effect.forEach(
          names,
          (device) => fleet.delegate(device, "after", { key: "after" }),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(results.map(({ _tag }) => _tag), names.map(() => "Completed"))
      }),
    150_000
  )
})
