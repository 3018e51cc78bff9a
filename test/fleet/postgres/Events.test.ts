/**
 * The events of a fleet of two processes, as a client reads them that runs no device: each once, over the death of a runner and a restart of
 * the database.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { afterAll, beforeAll, inject } from "vitest"
import type { DeviceEvent, FleetEvent } from "../../../src/fleet/FleetEvent.ts"
import { eventContracts } from "../EventContracts.ts"
import type { RunnerProcess } from "./FleetWorld.ts"
import * as FleetWorld from "./FleetWorld.ts"
import { database } from "./Postgres.ts"

eventContracts("Postgres", database(inject("databaseUrl")))

const names = FleetWorld.namesOf(30)
const scope = Scope.makeUnsafe()
const run = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>) => Effect.runPromise(Scope.provide(effect, scope))
let world: Effect.Success<typeof FleetWorld.make>
let runners: ReadonlyArray<RunnerProcess>
const at = (index: number) => runners[index] ?? assert.fail("no such runner")

const told: Array<FleetEvent> = []
const events = () => told.filter((each): each is DeviceEvent => each._tag === "DeviceEvent")
const devicesThat = (from: number, kind: string) =>
  events().filter((each) => told.indexOf(each) >= from && each.event.event === kind).map(({ device }) => device)
    .toSorted()

const until = (what: string, holds: () => boolean) =>
  Effect.suspend(() => Effect.succeed(holds())).pipe(
    Effect.repeat({ schedule: Schedule.spaced("50 millis"), until: (done) => done }),
    Effect.timeout("90 seconds"),
    Effect.catchTag("TimeoutError", () => Effect.die(new Error(`never: ${what}; ${told.length} events were told`)))
  )

/** What the table has is what the client was told, and no number is missing in it. */
const nothingIsLost = Effect.gen(function*() {
  const rows = yield* world.sql<{ readonly process: string; readonly seq: string }>`
    SELECT process, seq FROM fleet_event ORDER BY process, seq`
  yield* until("all that the table has", () => told.length >= rows.length)
  for (const process of new Set(rows.map((row) => row.process))) {
    const kept = rows.filter((row) => row.process === process).map(({ seq }) => Number(seq))
    assert.deepStrictEqual(kept, kept.map((_, index) => index + 1))
    const heard = told.filter((each) => each.process === process).map(({ seq }) => seq)
    assert.deepStrictEqual(heard.slice(0, kept.length), kept)
  }
  assert.deepStrictEqual(told.filter(({ _tag }) => _tag === "EventsLost"), [])
})

describe("the events of a fleet of two processes", () => {
  beforeAll(async () => {
    world = await run(FleetWorld.make)
    runners = await run(Effect.all([world.runner(), world.runner()]))
    await run(Effect.forEach(runners, ({ start }) => start, { concurrency: 2 }))
    await run(Effect.gen(function*() {
      const holders = world.sql`SELECT address FROM cluster_locks GROUP BY address HAVING count(*) >= 100`
      yield* Effect.repeat(Effect.delay(Effect.orElseSucceed(holders, () => []), "100 millis"), {
        until: (found) => found.length === 2
      })
      const position = yield* world.fleet.position
      yield* Effect.forkScoped(
        Stream.runForEach(
          world.fleet.eventsFrom({ after: position }),
          (event) => Effect.sync(() => void told.push(event))
        )
      )
    }))
  }, 60_000)
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)), 60_000)

  it("a client hears once of each device that it is connected, from both runners", () =>
    run(Effect.gen(function*() {
      yield* Effect.forEach(names, (name) => world.fleet.register(name), { concurrency: 4 })
      yield* until("connected", () => devicesThat(0, "connected").length >= names.length)
      yield* until("all have a session", () => world.watched.connected() === names.length)
      yield* nothingIsLost
      assert.deepStrictEqual(devicesThat(0, "connected"), names)
      assert.sameMembers(
        [...new Set(events().map(({ runner }) => runner))],
        runners.map(({ port }) => `127.0.0.1:${port}`)
      )
    })))

  it("kill -9 of a runner: what the other one tells is all there, with higher epochs", () =>
    run(Effect.gen(function*() {
      const from = told.length
      const moved = new Set(
        events().filter(({ runner }) => runner.endsWith(`:${at(0).port}`)).map(({ device }) => device)
      )
      at(0).signal("SIGKILL")
      yield* at(0).ended
      yield* until("the moved ones are connected", () => devicesThat(from, "connected").length >= moved.size)
      yield* nothingIsLost
      assert.deepStrictEqual(devicesThat(from, "connected"), [...moved].toSorted())
      for (const { device, epoch, runner } of events().filter((each) => told.indexOf(each) >= from)) {
        assert.isTrue(runner.endsWith(`:${at(1).port}`))
        assert.strictEqual(epoch, moved.has(device) ? 2 : 1)
      }
    })))

  it("a restart of the database loses nothing of what is told meanwhile", () =>
    run(Effect.gen(function*() {
      const { restart } = world.server
      if (restart === undefined) return
      const from = told.length
      const down = yield* Effect.forkChild(restart(2000), { startImmediately: true })
      world.gateway.setCut(true)
      yield* until("no device has a session", () => world.watched.connected() === 0)
      world.gateway.setCut(false)
      yield* until("the database is back", () => down.pollUnsafe() !== undefined)
      yield* until("each tells that it waits", () => new Set(devicesThat(from, "waiting")).size === names.length)
      yield* until("each is connected again", () => new Set(devicesThat(from, "connected")).size === names.length)
      yield* nothingIsLost
      for (const text of ["wait until the database answers", "are written again"]) {
        yield* until(`its log says that events ${text}`, () => at(1).log().includes(`events of devices ${text}`))
      }
    })))
})
