import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as SqlClient from "effect/sql/SqlClient"
import { SqlError, UnknownError } from "effect/sql/SqlError"
import { most, rounds, together } from "../../src/fleet/Together.ts"
import * as Databases from "./Databases.ts"

const away = new SqlError({ reason: new UnknownError({ cause: "away", message: "away", operation: "execute" }) })

/** A question that answers with how often its key was asked so far, and the statements that it took. */
const counted = (refused: (keys: ReadonlyArray<string>) => boolean = () => false) => {
  const statements: Array<ReadonlyArray<string>> = []
  const times = new Map<string, number>()
  const ask = together((key: string) => key, (keys) =>
    Effect.gen(function*() {
      yield* SqlClient.SqlClient
      statements.push(keys)
      yield* Effect.yieldNow
      if (refused(keys)) return yield* Effect.fail(away)
      for (const key of keys) times.set(key, (times.get(key) ?? 0) + 1)
      return (key) => times.get(key) ?? 0
    }))
  return { ask, statements }
}

describe("questions of many devices", () => {
  it.prop(
    "rounds have each id once, at most so many, all of them, and equal ids in their order",
    [
      Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 }))).check(Schema.isMaxLength(40)),
      Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 * most + 1 }))
    ],
    ([ids, others]) => {
      const all = [...ids, ...Array.from({ length: others }, (_, index) => 1000 + index), ...ids]
        .map((id, index) => ({ id, index }))
      const made = rounds(all, ({ id }) => String(id))
      assert.sameMembers(made.flat(), all)
      for (const round of made) {
        assert.isAtMost(round.length, most)
        assert.strictEqual(new Set(round.map(({ id }) => id)).size, round.length)
      }
      for (const id of ids) {
        const order = made.flat().filter((each) => each.id === id).map(({ index }) => index)
        assert.deepStrictEqual(order, order.toSorted((left, right) => left - right))
      }
    },
    { arbitrary: { seed: 3, runs: 60 } }
  )

  it.effect("those of the same moment go in one statement, and equal ones one after the other", () =>
    Effect.gen(function*() {
      const { ask, statements } = counted()
      const answers = yield* Effect.forEach(["a", "b", "a", "c"], ask, { concurrency: "unbounded" })
      assert.deepStrictEqual(answers, [1, 1, 2, 1])
      assert.deepStrictEqual(statements, [["a", "b", "c"], ["a"]])
    }).pipe(Effect.provide(Databases.sqlite)))

  it.effect("a statement that fails does so for those who asked in it, and one who stops asking changes nothing for the others", () =>
    Effect.gen(function*() {
      const { ask, statements } = counted((keys) => keys.includes("b"))
      const asked = yield* Effect.forEach(["a", "b", "a"], (key) => Effect.exit(ask(key)), { concurrency: "unbounded" })
      assert.deepStrictEqual(asked.map(Exit.isSuccess), [false, false, true])
      const [first, second] = yield* Effect.forEach(["c", "d"], (key) => Effect.forkChild(ask(key)))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(first ?? assert.fail("no fiber"))
      assert.strictEqual(yield* Fiber.join(second ?? assert.fail("no fiber")), 1)
      assert.deepStrictEqual(statements.map(([key]) => key), ["a", "a", statements[2]?.[0]])
    }).pipe(Effect.provide(Databases.sqlite)))

  it.effect("each database is asked by itself", () =>
    Effect.gen(function*() {
      const { ask, statements } = counted()
      const elsewhere = Effect.provide(ask("a"), Databases.sqlite)
      assert.deepStrictEqual(yield* Effect.all([ask("a"), elsewhere], { concurrency: "unbounded" }), [1, 2])
      assert.strictEqual(statements.length, 2)
    }).pipe(Effect.provide(Databases.sqlite)))
})
