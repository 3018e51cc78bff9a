import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import { SqlError, UnknownError } from "effect/sql/SqlError"
import * as TestClock from "effect/testing/TestClock"
import * as DeviceState from "../../src/fleet/DeviceState.ts"
import { Fence } from "../../src/fleet/Fence.ts"
import * as FencedTransport from "../../src/fleet/FencedTransport.ts"
import * as Registry from "../../src/fleet/Registry.ts"
import type { LinkHandler, Target } from "../../src/link/Transport.ts"
import { Transport } from "../../src/link/Transport.ts"
import * as Databases from "./Databases.ts"

const handler: LinkHandler = { onText: () => {}, onClose: () => {} }
const target = { url: new URL("ws://gateway.example"), origin: undefined }

/** A transport that notes what is sent and which links are closed. */
const noted = () => {
  const sent: Array<string> = []
  const closed: Array<number> = []
  const targets: Array<Target> = []
  const service = Transport.of({
    dial: (target) => {
      targets.push(target)
      return Effect.succeed({
        sendUnsafe: (text: string) => sent.push(text) > 0,
        closeUnsafe: (code: number) => void closed.push(code),
        pause: () => {},
        resume: () => {}
      })
    }
  })
  return { sent, closed, targets, service }
}

/** A fleet of processes on one database, each of which can be cut from it. */
const world = Effect.gen(function*() {
  const sql = Context.get(yield* Effect.orDie(Layer.build(Databases.sqlite)), SqlClient.SqlClient)
  yield* sql`INSERT INTO fleet_device (name, registered_at_ms) VALUES ('lamp', 0)`
  const process = (runner: string) =>
    Effect.gen(function*() {
      const isCut = yield* Ref.make(false)
      const scope = yield* Scope.fork(yield* Scope.Scope)
      const away = new SqlError({ reason: new UnknownError({ cause: "away", message: "away", operation: "execute" }) })
      const gated = new Proxy(sql, {
        apply: (all, self, args) => {
          const query: Effect.Effect<unknown, SqlError> = Reflect.apply(all, self, args)
          // A renewal begins with it. A part of a statement has to stay what it is.
          const isRenewal = String(args[0]).includes("INSERT INTO fleet_process")
          return isRenewal ? Effect.flatMap(Ref.get(isCut), (cut) => cut ? Effect.fail(away) : query) : query
        }
      })
      const layer = Fence.layer({ runner, life: "10 seconds", renewEvery: "2 seconds" }).pipe(
        Layer.provide([Layer.succeed(SqlClient.SqlClient, gated), SecureRandom.layerWebCrypto])
      )
      const fence = Context.get(yield* Effect.orDie(Layer.buildWithScope(Layer.fresh(layer), scope)), Fence)
      return { fence, isCut, leave: Scope.close(scope, Exit.void), scope }
    })
  return { sql, process }
})

describe("Fence", () => {
  it.effect("B07: a process that is cut from the database sends nothing once its lease is over, and its successor waits", () =>
    Effect.gen(function*() {
      const { process } = yield* world
      const old = yield* process("one:1")
      const next = yield* process("two:1")
      const held = yield* Scope.provide(old.fence.take("lamp"), old.scope)
      assert.isTrue(held.mayAct())
      yield* Ref.set(old.isCut, true)
      yield* TestClock.adjust("3 seconds")
      const taking = yield* Effect.forkChild(Scope.provide(next.fence.take("lamp"), next.scope))
      yield* TestClock.adjust("6 seconds")
      assert.isTrue(held.mayAct())
      assert.isUndefined(taking.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.isFalse(held.mayAct())
      yield* TestClock.adjust("2 seconds")
      const taken = yield* Fiber.join(taking)
      assert.isTrue(taken.mayAct())
      assert.strictEqual(taken.epoch, held.epoch + 1)
      yield* Ref.set(old.isCut, false)
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(old.fence.holds())
      assert.isFalse(held.mayAct())
    }))

  it.effect("a device that is taken over does not stand where its earlier activation had it", () =>
    Effect.gen(function*() {
      const { process, sql } = yield* world
      const old = yield* process("one:1")
      const next = yield* process("two:1")
      const list = Effect.provideService(Registry.list, SqlClient.SqlClient, sql)
      const { epoch } = yield* Scope.provide(old.fence.take("lamp"), old.scope)
      const note = Registry.note([{ name: "lamp", epoch, state: { ...DeviceState.initial, state: "connected" } }])
      yield* Effect.provideService(note, SqlClient.SqlClient, sql)
      assert.deepInclude((yield* list)[0], { runner: "one:1", state: "connected" })
      yield* Effect.forkChild(Scope.provide(next.fence.take("lamp"), next.scope))
      yield* TestClock.adjust("1 second")
      assert.deepInclude((yield* list)[0], { runner: "two:1", state: "starting", stateAtMs: undefined })
    }))

  it.effect("an activation that another one took the device from while it waited is told so", () =>
    Effect.gen(function*() {
      const { process } = yield* world
      const [old, next, third] = yield* Effect.forEach(["one:1", "two:1", "three:1"], process)
      if (old === undefined || next === undefined || third === undefined) return assert.fail("no processes")
      yield* Scope.provide(old.fence.take("lamp"), old.scope)
      const taking = yield* Effect.forkChild(Scope.provide(next.fence.take("lamp"), next.scope))
      yield* TestClock.adjust("1 second")
      yield* Effect.forkChild(Scope.provide(third.fence.take("lamp"), third.scope))
      yield* TestClock.adjust("12 seconds")
      const taken = yield* Fiber.join(taking)
      assert.isFalse(taken.mayAct())
      let told = 0
      taken.onLost(() => void told++)
      assert.strictEqual(told, 1)
    }))

  it.effect("a link is cut when the renewal tells that the device was taken over, and the others stay", () =>
    Effect.gen(function*() {
      const { process, sql } = yield* world
      yield* sql`INSERT INTO fleet_device (name, registered_at_ms) VALUES ('door', 0)`
      const old = yield* process("one:1")
      const lamp = noted()
      const door = noted()
      const open = (name: string, under: Transport["Service"]) =>
        Scope.provide(
          Effect.flatMap(
            old.fence.take(name),
            (activation) => FencedTransport.make(under, activation).dial(target, handler)
          ),
          old.scope
        )
      const lampLink = yield* open("lamp", lamp.service)
      const doorLink = yield* open("door", door.service)
      assert.isTrue(lampLink.sendUnsafe("one"))
      const next = yield* process("two:1")
      yield* Effect.forkChild(Scope.provide(next.fence.take("lamp"), next.scope))
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(lamp.closed, [4000])
      assert.isFalse(lampLink.sendUnsafe("two"))
      assert.isTrue(doorLink.sendUnsafe("three"))
      assert.deepStrictEqual([lamp.sent, door.sent, door.closed], [["one"], ["three"], []])
    }))

  it.effect("without a lease no link is opened, and an open one is ended by the first frame that it is to send", () =>
    Effect.gen(function*() {
      const { process } = yield* world
      const only = yield* process("one:1")
      const under = noted()
      const activation = yield* Scope.provide(only.fence.take("lamp"), only.scope)
      const transport = FencedTransport.make(under.service, activation)
      const link = yield* Scope.provide(transport.dial(target, handler), only.scope)
      yield* Ref.set(only.isCut, true)
      yield* TestClock.adjust("13 seconds")
      const dialling = yield* Effect.forkChild(Effect.flip(Effect.scoped(transport.dial(target, handler))))
      yield* TestClock.adjust("10 seconds")
      const refused = yield* Fiber.join(dialling)
      assert.deepInclude(refused, { _tag: "LinkError", reason: "Ended", phase: "dial" })
      assert.deepStrictEqual(under.closed, [])
      assert.isFalse(link.sendUnsafe("one"))
      assert.deepStrictEqual([under.sent, under.closed], [[], [4000]])
      // A frame that waits for the end of the turn could leave after the lease.
      assert.isTrue(under.targets.every(({ sendsAtOnce }) => sendsAtOnce))
      const late = yield* Effect.forkChild(Effect.scoped(Effect.asVoid(transport.dial(target, handler))))
      yield* TestClock.adjust("1 second")
      yield* Ref.set(only.isCut, false)
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(late)
    }))

  it.effect("a process that leaves gives its devices back at once", () =>
    Effect.gen(function*() {
      const { process } = yield* world
      const old = yield* process("one:1")
      const held = yield* Scope.provide(old.fence.take("lamp"), old.scope)
      yield* old.leave
      assert.isFalse(held.mayAct())
      const next = yield* process("two:1")
      assert.isTrue((yield* Scope.provide(next.fence.take("lamp"), next.scope)).mayAct())
    }))

  it.effect("a second activation of one process ends the first", () =>
    Effect.gen(function*() {
      const { process } = yield* world
      const { fence, scope } = yield* process("one:1")
      const cuts: Array<number> = []
      const first = yield* Scope.provide(fence.take("lamp"), scope)
      first.onLost(() => void cuts.push(1))
      const second = yield* Scope.provide(fence.take("lamp"), scope)
      assert.deepStrictEqual([first.mayAct(), second.mayAct(), cuts], [false, true, [1]])
    }))

  it.effect("a device that is not registered cannot be taken", () =>
    Effect.gen(function*() {
      const { process } = yield* world
      const { fence, scope } = yield* process("one:1")
      assert.strictEqual((yield* Effect.flip(Scope.provide(fence.take("door"), scope)))._tag, "DeviceUnknown")
    }))
})
