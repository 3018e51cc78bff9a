import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import { SqlError, UnknownError } from "effect/sql/SqlError"
import * as TestClock from "effect/testing/TestClock"
import { Admission } from "../../src/connection/Admission.ts"
import * as AdmissionShare from "../../src/fleet/AdmissionShare.ts"
import { Fence } from "../../src/fleet/Fence.ts"
import * as SharedAdmission from "../../src/fleet/SharedAdmission.ts"
import * as Databases from "./Databases.ts"

const here = "wss://gateway.example/"
const there = "wss://other.example/"

/** Processes of a fleet on one database, each of which can be cut from it. */
const world = Effect.gen(function*() {
  const sql = Context.get(yield* Effect.orDie(Layer.build(Databases.sqlite)), SqlClient.SqlClient)
  const process = Effect.fnUntraced(function*(runner: string, address?: string) {
    let isCut = false
    const scope = yield* Scope.fork(yield* Scope.Scope)
    const away = new SqlError({ reason: new UnknownError({ cause: "away", message: "away", operation: "execute" }) })
    const gated = new Proxy(sql, {
      apply: (all, self, args) => {
        const query: Effect.Effect<unknown, SqlError> = Reflect.apply(all, self, args)
        // A part of a statement has to stay what it is.
        return /^\s*(INSERT|SELECT|DELETE)/.test(String(args[0]))
          ? Effect.suspend(() => isCut ? Effect.fail(away) : query)
          : query
      }
    })
    const layer = SharedAdmission.layer.pipe(
      Layer.provide(Fence.layer({ runner, address, life: "10 seconds", renewEvery: "2 seconds" })),
      Layer.provide([Layer.succeed(SqlClient.SqlClient, gated), SecureRandom.layerWebCrypto])
    )
    const admission = Context.get(yield* Layer.buildWithScope(Layer.fresh(layer), scope), Admission)
    let underWay = 0
    const ends: Array<Deferred.Deferred<void>> = []
    /** Agents that would each begin a handshake with this gateway, if they may. */
    const ask = (count: number, gateway = here) =>
      Effect.forEach(Array.from({ length: count }), () => {
        const end = Deferred.makeUnsafe<void>()
        const handshake = Effect.suspend(() => {
          underWay++
          ends.push(end)
          return Effect.ensuring(Deferred.await(end), Effect.sync(() => void underWay--))
        })
        return Effect.forkIn(Effect.ignore(admission.admit(gateway, handshake)), scope, { startImmediately: true })
      }, { discard: true })
    return {
      ask,
      underWay: () => underWay,
      /** Ends the oldest handshake. */
      accept: Effect.suspend(() => Deferred.succeed(ends.shift() ?? assert.fail("none is under way"), undefined)),
      refuse: (count: number) =>
        Effect.forEach(
          Array.from({ length: count }),
          () => Effect.ignore(admission.admit(here, Effect.andThen(admission.refused(here), Effect.fail("refused")))),
          { discard: true }
        ),
      cut: (cut: boolean) => void (isCut = cut),
      leave: Scope.close(scope, Exit.void)
    }
  })
  const refusals = Effect.map(sql`SELECT 1 FROM fleet_refusal`, (rows) => rows.length)
  return { sql, process, refusals }
})

/** One after another has begun, of those that may. */
const settled = Effect.repeat(Effect.yieldNow, { times: 200 })

/** All processes have read about each other, and know that they are known. */
const acquainted = TestClock.adjust(AdmissionShare.limits.unknownMs)

describe("SharedAdmission", () => {
  it.effect("two processes divide what a gateway allows their address, and see each other's refusals within 2 s", () =>
    Effect.gen(function*() {
      const { process } = yield* world
      const one = yield* process("one:1")
      const two = yield* process("two:1")
      yield* acquainted
      yield* one.refuse(4)
      yield* one.ask(20)
      assert.strictEqual(one.underWay(), 0)
      yield* two.ask(20)
      assert.strictEqual(two.underWay(), 4)
      yield* two.accept
      yield* settled
      // It has not heard of the refusals, and its gateway accepts credentials.
      assert.strictEqual(two.underWay(), 8)
      yield* TestClock.adjust("2 seconds")
      for (let left = 7; left >= 4; left--) {
        yield* two.accept
        yield* settled
        assert.strictEqual(two.underWay(), left)
      }
      yield* two.accept
      yield* settled
      assert.strictEqual(two.underWay(), 4)
      // The refusals are a minute old.
      yield* TestClock.adjust("57999 millis")
      assert.strictEqual(one.underWay(), 0)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(one.underWay(), 4)
    }))

  it.effect("a process knows of what was refused to one that is gone, as after a crash", () =>
    Effect.gen(function*() {
      const { process } = yield* world
      const first = yield* process("one:1")
      yield* first.refuse(6)
      yield* settled
      yield* first.leave
      const second = yield* process("one:1")
      yield* second.ask(20)
      assert.strictEqual(second.underWay(), 2)
      yield* second.ask(20, there)
      assert.strictEqual(second.underWay(), 10)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(second.underWay(), 16)
    }))

  it.effect("a process that comes begins one handshake, until the others know of it", () =>
    Effect.gen(function*() {
      const { process } = yield* world
      yield* process("one:1")
      const two = yield* process("two:1")
      yield* two.ask(20)
      assert.strictEqual(two.underWay(), 1)
      yield* acquainted
      assert.strictEqual(two.underWay(), 4)
    }))

  it.effect("the part of a process that dies falls to the others once its lease is over", () =>
    Effect.gen(function*() {
      const { process } = yield* world
      const one = yield* process("one:1")
      const two = yield* process("two:1")
      yield* acquainted
      one.cut(true)
      yield* two.ask(20)
      yield* TestClock.adjust("8 seconds")
      assert.strictEqual(two.underWay(), 4)
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual(two.underWay(), 8)
    }))

  it.effect("processes at other addresses have limits of their own", () =>
    Effect.gen(function*() {
      const { process } = yield* world
      const one = yield* process("one:1", "london")
      const two = yield* process("two:1", "paris")
      yield* one.refuse(8)
      yield* acquainted
      yield* two.ask(20)
      assert.strictEqual(two.underWay(), 8)
    }))

  it.effect("without the database refusals wait for nothing, the last figures get old, and the others are told later", () =>
    Effect.gen(function*() {
      const { process, refusals } = yield* world
      const one = yield* process("one:1")
      const two = yield* process("two:1")
      yield* acquainted
      yield* one.refuse(1)
      yield* TestClock.adjust("2 seconds")
      two.cut(true)
      yield* two.refuse(2)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* refusals, 1)
      yield* two.ask(20)
      assert.strictEqual(two.underWay(), 2)
      two.cut(false)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* refusals, 3)
      two.cut(true)
      // All are over.
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(two.underWay(), 4)
      yield* two.accept
      yield* settled
      assert.strictEqual(two.underWay(), 8)
    }))

  it.effect("refusals older than a minute leave the database", () =>
    Effect.gen(function*() {
      const { process, refusals } = yield* world
      const one = yield* process("one:1")
      yield* one.refuse(3)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* refusals, 3)
      yield* TestClock.adjust("61 seconds")
      yield* one.refuse(1)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* refusals, 1)
    }))
})
