import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import * as TestClock from "effect/testing/TestClock"
import { Fence } from "../../src/fleet/Fence.ts"
import * as Databases from "./Databases.ts"

/** Processes of one fleet. A process that is killed neither renews its lease nor gives it back. */
const world = Effect.gen(function*() {
  const sql = Context.get(yield* Effect.orDie(Layer.build(Databases.sqlite)), SqlClient.SqlClient)
  yield* sql`INSERT INTO fleet_device (name, registered_at_ms) VALUES ('lamp', 0)`
  /** Processes look for others while it is open. */
  const looking = Latch.makeUnsafe(true)
  const process = Effect.fnUntraced(function*(runner: string) {
    let isKilled = false
    const gated = new Proxy(sql, {
      apply: (all, self, args) => {
        if (isKilled) return Effect.succeed([])
        const query: Effect.Effect<unknown> = Reflect.apply(all, self, args)
        return String(args[0]).includes("SELECT id, lease_until_ms") ? Effect.andThen(looking.await, query) : query
      }
    })
    const scope = yield* Scope.fork(yield* Scope.Scope)
    const layer = Fence.layer({ runner, life: "8 seconds", renewEvery: "2 seconds" }).pipe(
      Layer.provide([Layer.succeed(SqlClient.SqlClient, gated), SecureRandom.layerWebCrypto])
    )
    const starting = yield* Effect.forkChild(Layer.buildWithScope(Layer.fresh(layer), scope), {
      startImmediately: true
    })
    return {
      starting,
      fence: Effect.map(Fiber.join(starting), (context) => Context.get(context, Fence)),
      scope,
      kill: Effect.sync(() => void (isKilled = true)),
      leave: Scope.close(scope, Exit.void)
    }
  })
  const rows = sql<
    { readonly id: string; readonly lease_until_ms: number }
  >`SELECT id, lease_until_ms FROM fleet_process`
  return { process, rows, looking }
})

const outcome = (starting: Fiber.Fiber<unknown, { readonly _tag: string }>): string => {
  const exit = starting.pollUnsafe()
  if (exit === undefined) return "waits"
  return Exit.isSuccess(exit)
    ? "runs"
    : String(exit.cause.reasons.map((reason) => reason._tag === "Fail" ? reason.error._tag : reason._tag))
}

describe("a runner is one process", () => {
  it.effect("a second one with the same address fails, and takes no device from the first", () =>
    Effect.gen(function*() {
      const { process, rows } = yield* world
      const first = yield* process("127.0.0.1:34431")
      const held = yield* Scope.provide((yield* first.fence).take("lamp"), first.scope)
      const second = yield* process("127.0.0.1:34431")
      yield* TestClock.adjust("8 seconds")
      const error = yield* Effect.flip(second.fence)
      assert.deepInclude(error, { _tag: "RunnerTaken", runner: "127.0.0.1:34431" })
      assert.include(error.message, "OPENCLAW_FLEET_HOST")
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(held.mayAct())
      assert.lengthOf(yield* rows, 1)
      const other = yield* process("127.0.0.1:34432")
      assert.strictEqual((yield* other.fence).runner, "127.0.0.1:34432")
    }))

  it.effect("one that was killed is waited for until its lease is over, and one that has left is not", () =>
    Effect.gen(function*() {
      const { process, rows } = yield* world
      const first = yield* process("127.0.0.1:34431")
      yield* first.fence
      yield* first.kill
      const [row] = yield* rows
      const second = yield* process("127.0.0.1:34431")
      yield* TestClock.adjust((row?.lease_until_ms ?? 0) - 1)
      assert.strictEqual(outcome(second.starting), "waits")
      yield* TestClock.adjust("10 millis")
      assert.strictEqual(outcome(second.starting), "runs")
      yield* second.leave
      const third = yield* process("127.0.0.1:34431")
      assert.strictEqual(outcome(third.starting), "runs")
    }))

  it.effect("of several that begin at the same time one runs, and the others fail", () =>
    Effect.gen(function*() {
      const { looking, process, rows } = yield* world
      looking.closeUnsafe()
      const all = yield* Effect.all([1, 2, 3].map(() => process("127.0.0.1:34431")))
      assert.lengthOf(yield* rows, 3)
      looking.openUnsafe()
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(all.map(({ starting }) => outcome(starting)).toSorted(), [
        "RunnerTaken",
        "RunnerTaken",
        "runs"
      ])
      assert.lengthOf(yield* rows, 1)
    }))
})
