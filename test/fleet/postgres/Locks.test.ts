import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as SqlClient from "effect/sql/SqlClient"
import { inject } from "vitest"
import * as DeviceState from "../../../src/fleet/DeviceState.ts"
import * as Registry from "../../../src/fleet/Registry.ts"
import { database } from "./Postgres.ts"

describe("statements over several devices", () => {
  it.live("lock them in the order of their names, so that two of them never wait for each other", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      // In the table they are the other way round.
      yield* Effect.forEach(["c", "b", "a"], Registry.register)
      const locked = yield* Deferred.make<void>()
      const done = yield* Deferred.make<void>()
      const holder = yield* Effect.forkChild(sql.withTransaction(
        sql`SELECT name FROM fleet_device WHERE name = 'b' FOR UPDATE`.pipe(
          Effect.andThen(Deferred.succeed(locked, undefined)),
          Effect.andThen(Deferred.await(done))
        )
      ))
      yield* Deferred.await(locked)
      const state = DeviceState.initial
      const noting = yield* Effect.forkChild(
        Registry.note(["c", "b", "a"].map((name) => ({ name, epoch: 0, state })))
      )
      yield* Effect.repeat(sql`SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'`, {
        until: (rows) => rows.length > 0,
        schedule: Schedule.spaced("20 millis")
      })
      const free = yield* sql.withTransaction(sql`SELECT name FROM fleet_device FOR UPDATE SKIP LOCKED`)
      yield* Deferred.succeed(done, undefined)
      yield* Fiber.join(holder)
      yield* Fiber.join(noting)
      assert.deepStrictEqual(free, [{ name: "c" }])
      assert.deepStrictEqual((yield* Registry.list).map((row) => row.state), ["starting", "starting", "starting"])
    }).pipe(Effect.provide(database(inject("databaseUrl")))))
})
