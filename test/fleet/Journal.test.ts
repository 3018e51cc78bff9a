import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as SqlClient from "effect/sql/SqlClient"
import * as TestClock from "effect/testing/TestClock"
import * as SqlTaskJournal from "../../src/fleet/SqlTaskJournal.ts"
import { entry } from "../tasks/Journals.ts"
import * as Databases from "./Databases.ts"

describe("the journal of an activation", () => {
  it.effect("B07: keeps an end once the database is back, as long as the activation may act", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const { client, control } = Databases.failing(sql, /UPDATE fleet_task SET ended/)
      let mayAct = true
      const epoch = yield* Databases.raise("lamp")
      const journal = yield* Effect.provideService(
        SqlTaskJournal.make("lamp", epoch, () => mayAct),
        SqlClient.SqlClient,
        client
      )
      const one = entry(1)
      yield* journal.put(one)
      control.isAway = true
      const ending = yield* Effect.forkChild(journal.remove(one.runId, "Completed"))
      yield* TestClock.adjust("5 seconds")
      assert.isUndefined(ending.pollUnsafe())
      control.isAway = false
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(ending)
      assert.strictEqual((yield* SqlTaskJournal.find("lamp", one.runId))._tag, "Ended")
      control.isAway = true
      const late = yield* Effect.forkChild(Effect.flip(journal.remove(one.runId, "Completed")))
      yield* TestClock.adjust("2 seconds")
      mayAct = false
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(late)).reason, "Unwritable")
    }).pipe(Effect.provide(Databases.sqlite)))
})
