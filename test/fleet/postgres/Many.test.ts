/**
 * What many devices cost one runner: how fast they start, and that one among many costs what one among few does.
 *
 * `OPENCLAW_FLEET_TEST_MANY` (2000) is less while one works on it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as SqlClient from "effect/sql/SqlClient"
import * as Registry from "../../../src/fleet/Registry.ts"
import { crowding, setting, tell } from "./Figures.ts"
import * as FleetWorld from "./FleetWorld.ts"

const most = setting("MANY", 2000)

describe("many devices in one process", () => {
  it(
    "start at 200 a second, and each costs among many what it costs among few",
    () =>
      Effect.runPromise(Effect.scoped(Effect.gen(function*() {
        const world = yield* FleetWorld.make
        const runner = yield* world.runner()
        const emptyHeap = Effect.gen(function*() {
          yield* runner.start
          const bytes = yield* runner.heapBytes
          runner.signal("SIGTERM")
          yield* runner.ended
          return bytes
        })
        const emptyBytes = yield* emptyHeap

        const measure = Effect.fnUntraced(function*(devices: number) {
          yield* Effect.forEach(
            Array.from({ length: devices }, (_, index) => `device-${index}`),
            (name) => Effect.provideService(Registry.register(name), SqlClient.SqlClient, world.sql),
            { concurrency: 8, discard: true }
          )
          yield* runner.start
          const before = runner.cpuMs()
          const began = performance.now()
          yield* world.connected(devices)
          const ms = performance.now() - began
          const cpuMsEach = (runner.cpuMs() - before) / devices
          // States and events are written meanwhile.
          yield* Effect.sleep("3 seconds")
          const kbEach = ((yield* runner.heapBytes) - emptyBytes) / devices / 1000
          const idle = runner.cpuMs()
          yield* Effect.sleep("5 seconds")
          const idlePercent = (runner.cpuMs() - idle) / 50
          const left = performance.now()
          runner.signal("SIGTERM")
          yield* runner.ended
          const leaveMs = performance.now() - left
          const figures = { devices, ms, perSecond: devices / ms * 1000, cpuMsEach, kbEach, idlePercent, leaveMs }
          tell(
            "many",
            Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, Number(value.toPrecision(3))]))
          )
          return figures
        })
        const few = yield* measure(most / 4)
        const many = yield* measure(most)
        // The processor is the limit, and nothing else.
        assert.isAtLeast(many.perSecond, Math.min(200, 0.8 * 1000 / many.cpuMsEach) / crowding())
        // The start of the process counts too, and a few hundred devices do not outweigh it.
        if (most >= 2000) assert.isAtLeast(many.perSecond, 200 / crowding())
        assert.isAtMost(many.cpuMsEach, few.cpuMsEach * 1.3)
        assert.isAtMost(many.kbEach, few.kbEach * 1.1)
        assert.isAtMost(many.idlePercent, 5 * crowding())
      }))),
    300_000
  )
})
