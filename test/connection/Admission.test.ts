import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/testing/TestClock"
import { Admission, limits } from "../../src/connection/Admission.ts"

const here = "ws://127.0.0.1:1/"
const there = "ws://127.0.0.1:2/"

describe("Admission", () => {
  it.effect("G24: at most eight handshakes with one gateway run at once, however many agents there are", () =>
    Effect.gen(function*() {
      const admission = yield* Admission
      const running = yield* Ref.make(0)
      const most = yield* Ref.make(0)
      const gate = yield* Deferred.make<void>()
      const handshake = Effect.gen(function*() {
        const now = yield* Ref.updateAndGet(running, (n) => n + 1)
        yield* Ref.update(most, (n) => Math.max(n, now))
        yield* Deferred.await(gate)
        yield* Ref.update(running, (n) => n - 1)
      })
      const fibers = yield* Effect.forEach(
        Array.from({ length: 40 }),
        () => Effect.forkChild(admission.admit(here, handshake), { startImmediately: true })
      )
      // Another gateway has room of its own.
      yield* admission.admit(there, Effect.void)
      assert.strictEqual(yield* Ref.get(running), limits.handshakes)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.joinAll(fibers)
      assert.strictEqual(yield* Ref.get(most), limits.handshakes)
    }).pipe(Effect.provide(Admission.layer)))

  it.effect("G24: after eight refused credentials in a minute the ninth handshake waits until the first is a minute old", () =>
    Effect.gen(function*() {
      const admission = yield* Admission
      for (let refusal = 0; refusal < limits.refusals; refusal++) {
        yield* admission.admit(here, admission.refused(here))
        yield* TestClock.adjust("1 second")
      }
      const ninth = yield* Effect.forkChild(admission.admit(here, Effect.succeed("in")), { startImmediately: true })
      yield* admission.admit(there, Effect.void)
      yield* TestClock.adjust(limits.windowMs - limits.refusals * 1000 - 1)
      assert.isUndefined(ninth.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* Fiber.join(ninth), "in")
    }).pipe(Effect.provide(Admission.layer)))

  it.effect("an interrupted handshake gives its room back", () =>
    Effect.gen(function*() {
      const admission = yield* Admission
      const fibers = yield* Effect.forEach(
        Array.from({ length: limits.handshakes }),
        () => Effect.forkChild(admission.admit(here, Effect.never), { startImmediately: true })
      )
      const waiting = yield* Effect.forkChild(admission.admit(here, Effect.succeed("in")), { startImmediately: true })
      assert.isUndefined(waiting.pollUnsafe())
      yield* Fiber.interruptAll(fibers)
      assert.strictEqual(yield* Fiber.join(waiting), "in")
    }).pipe(Effect.provide(Admission.layer)))
})
