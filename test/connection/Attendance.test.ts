import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import * as Attendance from "../../src/connection/Attendance.ts"
import type { Approval } from "../../src/connection/ConnectionStatus.ts"

const made = Effect.gen(function*() {
  return Attendance.make(yield* Clock.Clock, yield* Random.Random)
})
const seenAtMs = (attendance: Attendance.Attendance) => Attendance.moment(attendance).seenAtMs
/** Runs a wait beside the test; answers when it ended. */
const ended = (wait: Effect.Effect<void>) =>
  Effect.forkChild(Effect.andThen(wait, Clock.currentTimeMillis), { startImmediately: true })
const approval: Approval = {
  requestId: undefined,
  reason: "not-paired",
  requestedScopes: undefined,
  approvedScopes: undefined,
  sinceMs: 0,
  lastAskedAtMs: 0,
  replaced: 0
}

describe("Attendance", () => {
  it.effect("says when somebody last looked: now while a scope is open, and until half a minute after checkNow", () =>
    Effect.gen(function*() {
      const attendance = yield* made
      assert.strictEqual(seenAtMs(attendance), Number.NEGATIVE_INFINITY)
      const scope = yield* Scope.make()
      yield* Scope.provide(Attendance.attend(attendance), scope)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(seenAtMs(attendance), 10_000)
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(seenAtMs(attendance), 10_000)
      Attendance.checkNow(attendance)
      assert.strictEqual(seenAtMs(attendance), 20_000)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(seenAtMs(attendance), 50_000)
    }))

  it.effect("a wait ends at its time, whoever comes and leaves", () =>
    Effect.gen(function*() {
      const attendance = yield* made
      const wait = yield* ended(Attendance.waitUntil(attendance, 10_000, 0))
      yield* TestClock.adjust("5 seconds")
      yield* Effect.scoped(Attendance.attend(attendance))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* Fiber.join(wait), 10_000)
    }))

  it.effect("checkNow ends a wait, but not before the time that the gateway has set", () =>
    Effect.gen(function*() {
      const attendance = yield* made
      const wait = yield* ended(Attendance.waitUntil(attendance, 10_000, 3000))
      yield* TestClock.adjust("1 second")
      Attendance.checkNow(attendance)
      yield* TestClock.adjust("1999 millis")
      assert.isUndefined(wait.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* Fiber.join(wait), 3000)
    }))

  it.effect("checkNow before a wait ends it at once, unless an attempt has answered it", () =>
    Effect.gen(function*() {
      const attendance = yield* made
      Attendance.checkNow(attendance)
      yield* Attendance.waitForCheck(attendance)
      Attendance.checkNow(attendance)
      Attendance.answered(attendance)
      const wait = yield* ended(Attendance.waitForCheck(attendance))
      yield* TestClock.adjust("1 day")
      assert.isUndefined(wait.pollUnsafe())
      Attendance.checkNow(attendance)
      assert.strictEqual(yield* Fiber.join(wait), 86_400_000)
    }))

  it.effect("a wait for approval is shorter while somebody looks, and every change of its end is told", () =>
    Effect.gen(function*() {
      const attendance = yield* made
      const told: Array<number> = []
      const wait = yield* ended(
        Attendance.waitForNextAsk(attendance, approval, 0, (atMs) => void told.push(atMs))
      )
      yield* TestClock.adjust("1 second")
      const scope = yield* Scope.make()
      yield* Scope.provide(Attendance.attend(attendance), scope)
      yield* TestClock.adjust("1 second")
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust(0)
      yield* Scope.provide(Attendance.attend(attendance), yield* Effect.scope)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(wait), 3000)
      assert.deepStrictEqual(told.map((atMs) => atMs > 13_000 ? "unattended" : atMs), [
        "unattended",
        3000,
        "unattended",
        3000
      ])
    }).pipe(Random.withSeed("attendance")))
})
