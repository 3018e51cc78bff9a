/**
 * A device is removed by a process that does not have it: its link is closed on the runner that has it, its open tasks are told, and its
 * identity is kept or destroyed.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { afterAll, beforeAll } from "vitest"
import { allowed, tell } from "./Figures.ts"
import type { RunnerProcess } from "./FleetWorld.ts"
import * as FleetWorld from "./FleetWorld.ts"
import { endlessTask } from "./WatchedGateway.ts"

const names = Array.from({ length: 12 }, (_, index) => `lamp-${index}`)

const scope = Scope.makeUnsafe()
let world: Effect.Success<typeof FleetWorld.make>
let runners: ReadonlyArray<RunnerProcess>

const run = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>) => Effect.runPromise(Scope.provide(effect, scope))
/** Milliseconds until it holds. */
const until = (holds: () => boolean) =>
  Effect.suspend(() => {
    const began = performance.now()
    return Effect.map(
      Effect.repeat(Effect.sleep("10 millis"), { until: holds }),
      () => Math.round(performance.now() - began)
    )
  })

/** Waits until each runner has devices to remove, and no device has moved for some time. */
const placed = Effect.gen(function*() {
  let before = ""
  while (true) {
    const places = (yield* world.fleet.list).map(({ runner = "" }) => runner)
    const enough = runners.every(({ port }) => places.filter((place) => place === `127.0.0.1:${port}`).length >= 2)
    if (enough && world.watched.connected() === names.length && before === places.join()) return
    before = places.join()
    yield* Effect.sleep("3 seconds")
  }
})

/** The run of a removed device goes on at the gateway, so that its session stays busy. */
const used = new Set<string>()

/** A device of this runner with a task that does not end. */
const busyDevice = Effect.fnUntraced(function*(runner: RunnerProcess) {
  const rows = yield* world.fleet.list
  const name = rows.find((row) => row.runner === `127.0.0.1:${runner.port}` && !used.has(row.name))?.name
    ?? assert.fail("the runner has no device left")
  used.add(name)
  const { size } = yield* world.watched.runs
  const told = yield* Effect.forkChild(
    Effect.timed(Effect.flip(world.fleet.delegate(name, `${endlessTask} of ${name}`, { key: name })))
  )
  yield* Effect.repeat(Effect.delay(world.watched.runs, "20 millis"), { until: (runs) => runs.size > size })
  const { deviceId } = yield* world.fleet.status(name)
  return { deviceId, name, told }
})

const identities = Effect.suspend(() => world.sql<{ readonly name: string }>`SELECT name FROM fleet_identity`)
const tokensOf = (deviceId: string) => world.sql`SELECT device_id FROM fleet_token WHERE device_id = ${deviceId}`

describe("a removed device, over two runners", () => {
  beforeAll(async () => {
    world = await run(FleetWorld.make)
    runners = await run(Effect.all([world.runner(), world.runner()]))
    await run(Effect.forEach(runners, ({ start }) => start, { concurrency: 2 }))
    await run(Effect.forEach(names, (name) => world.fleet.register(name)))
    await run(placed)
  }, 60_000)
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)), 60_000)

  it.each(["keep", "destroy"] as const)(
    "its link is closed, its open task is told, and it comes back by what was asked: %s",
    (identity) =>
      run(Effect.gen(function*() {
        const figures = yield* Effect.forEach(runners, (runner) =>
          Effect.gen(function*() {
            const { deviceId, name, told } = yield* busyDevice(runner)
            // The row has the id of the device, by which its tokens are found, once its runner has written its state.
            yield* Effect.repeat(Effect.delay(world.fleet.list, "50 millis"), {
              until: (rows) => rows.find((row) => row.name === name)?.deviceId === deviceId
            })
            // As a gateway that gives tokens leaves it.
            yield* world.sql`INSERT INTO fleet_token (gateway_scope, device_id, role, sealed)
              VALUES ('wss://gateway.example', ${deviceId}, 'operator', 'sealed')`
            const began = performance.now()
            assert.strictEqual(yield* world.fleet.remove(name, { identity }), 1)
            const closedMs = yield* until(() => !world.watched.has(deviceId))
            const [, error] = yield* Fiber.join(told)
            const toldMs = Math.round(performance.now() - began)
            assert.strictEqual(error._tag, "DeviceUnknown")
            assert.strictEqual((yield* Effect.flip(world.fleet.status(name)))._tag, "DeviceUnknown")
            assert.notInclude((yield* world.fleet.list).map((row) => row.name), name)
            const kept = identity === "keep"
            assert.strictEqual((yield* identities).some((row) => row.name === name), kept)
            assert.strictEqual((yield* tokensOf(deviceId)).length, kept ? 1 : 0)

            const again = performance.now()
            yield* world.fleet.register(name)
            const back = yield* Effect.repeat(Effect.delay(world.fleet.status(name), "50 millis"), {
              until: ({ state }) => state === "connected"
            })
            assert.strictEqual(back.deviceId === deviceId, kept)
            return { closedMs, toldMs, backMs: Math.round(performance.now() - again) }
          }))
        tell(`removal, ${identity}`, { figures })
        for (const { closedMs } of figures) assert.isAtMost(closedMs, allowed(2000))
      })),
    90_000
  )
})
