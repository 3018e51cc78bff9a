import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/testing/TestClock"
import { Admission, limits } from "../../src/connection/Admission.ts"
import * as AdmissionStep from "../../src/connection/AdmissionStep.ts"
import * as Interrupting from "../support/Interrupting.ts"

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

  it.effect("B09: after seven refused credentials one handshake runs, as each that runs may be refused too", () =>
    Effect.gen(function*() {
      const admission = yield* Admission
      for (let refusal = 1; refusal < limits.refusals; refusal++) yield* admission.refused(here)
      const running = yield* Ref.make(0)
      const answer = yield* Deferred.make<void>()
      const handshake = Ref.update(running, (n) => n + 1).pipe(
        Effect.andThen(Deferred.await(answer)),
        Effect.andThen(admission.refused(here))
      )
      for (let agent = 0; agent < limits.handshakes; agent++) {
        yield* Effect.forkChild(admission.admit(here, handshake), { startImmediately: true })
      }
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* Ref.get(running), 1)
      yield* Deferred.succeed(answer, undefined)
      yield* TestClock.adjust("29999 millis")
      assert.strictEqual(yield* Ref.get(running), 1)
      // The seven are a minute old, the eighth is not.
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* Ref.get(running), limits.refusals)
    }).pipe(Effect.provide(Admission.layer)))

  it.effect("handshakes begin in the order in which they were asked for, without those that were interrupted", () =>
    Effect.gen(function*() {
      const admission = yield* Admission
      const begun = yield* Ref.make<ReadonlyArray<number>>([])
      const note = (number: number) => admission.admit(here, Ref.update(begun, (all) => [...all, number]))
      const gate = yield* Deferred.make<void>()
      for (let agent = 1; agent < limits.handshakes; agent++) {
        yield* Effect.forkChild(admission.admit(here, Effect.never), { startImmediately: true })
      }
      // Its fiber asks again before any that waits gets to run.
      const again = Effect.andThen(admission.admit(here, Deferred.await(gate)), note(6))
      yield* Effect.forkChild(again, { startImmediately: true })
      const late = yield* Effect.forEach(
        [1, 2, 3, 4, 5],
        (number) => Effect.forkChild(note(number), { startImmediately: true })
      )
      // The first, which looks for room, and one that waits behind it.
      for (const index of [0, 2]) yield* Fiber.interrupt(late[index] ?? assert.fail("no such fiber"))
      assert.deepStrictEqual(yield* Ref.get(begun), [])
      yield* Deferred.succeed(gate, undefined)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(yield* Ref.get(begun), [2, 4, 5, 6])
    }).pipe(Effect.provide(Admission.layer)))

  it.effect("a handshake that is interrupted at any step leaves its room to the others", () =>
    Effect.gen(function*() {
      let steps = 0
      for (let k = 1; k <= Math.max(20, steps); k++) {
        yield* Effect.gen(function*() {
          const admission = yield* Admission
          const interrupting = yield* Interrupting.at(k)
          const gate = yield* Deferred.make<void>()
          const others = yield* Effect.forEach(
            Array.from({ length: limits.handshakes }),
            () => Effect.forkChild(admission.admit(here, Deferred.await(gate)), { startImmediately: true })
          )
          const victim = yield* interrupting.fork(admission.admit(here, Effect.yieldNow))
          yield* TestClock.adjust(0)
          yield* Deferred.succeed(gate, undefined)
          yield* Fiber.joinAll(others)
          yield* Fiber.await(victim)
          steps = interrupting.steps()
          // All of the room is there, and no more.
          const running = yield* Ref.make(0)
          for (let agent = 0; agent <= limits.handshakes; agent++) {
            yield* Effect.forkChild(
              admission.admit(here, Effect.andThen(Ref.update(running, (n) => n + 1), Effect.never)),
              { startImmediately: true }
            )
          }
          assert.strictEqual(yield* Ref.get(running), limits.handshakes, `interrupted at step ${k}`)
        }).pipe(Effect.provide(Layer.fresh(Admission.layer)), Effect.scoped)
      }
      assert.isAbove(steps, 5)
    }))
})

describe("Admission with a part of an address", () => {
  /** Handshakes that go on until they are told how to end. */
  const world = Effect.fnUntraced(function*(allowance: AdmissionStep.Allowance) {
    let now = allowance
    const noted = yield* Ref.make<ReadonlyArray<string>>([])
    const { admission, review } = yield* Admission.makeShared({
      allowance: () => now,
      onRefused: (gatewayScope) => Ref.update(noted, (all) => [...all, gatewayScope])
    })
    const underWay: Array<Deferred.Deferred<void, { readonly _tag: string }>> = []
    const handshake = Effect.suspend(() => {
      const end = Deferred.makeUnsafe<void, { readonly _tag: string }>()
      underWay.push(end)
      return Deferred.await(end)
    })
    return {
      admission,
      noted: Ref.get(noted),
      change: (next: Partial<AdmissionStep.Allowance>) =>
        Effect.andThen(Effect.sync(() => void (now = { ...now, ...next })), review),
      ask: (count: number) =>
        Effect.forEach(
          Array.from({ length: count }),
          () => Effect.forkChild(Effect.ignore(admission.admit(here, handshake)), { startImmediately: true }),
          { discard: true }
        ),
      underWay: () => underWay.length,
      /** Ends the oldest, and lets those begin that may. */
      end: (exit: Effect.Effect<void, { readonly _tag: string }>) =>
        Effect.andThen(
          Effect.sync(() => {
            const first = underWay.shift()
            return first === undefined ? assert.fail("no handshake is under way") : Deferred.doneUnsafe(first, exit)
          }),
          TestClock.adjust(0)
        )
    }
  })
  const part: AdmissionStep.Allowance = { handshakes: 5, refusals: 2, refusedElsewhere: false }
  const failed = Effect.fail({ _tag: "LinkError" })

  it.effect("until the gateway has accepted a credential, no more run than may be refused; a failure takes that back", () =>
    Effect.gen(function*() {
      const { ask, end, underWay } = yield* world(part)
      yield* ask(20)
      assert.strictEqual(underWay(), 2)
      yield* end(Effect.void)
      assert.strictEqual(underWay(), 5)
      for (const _ of [1, 2, 3]) yield* end(Effect.void)
      assert.strictEqual(underWay(), 5)
      for (const left of [4, 3, 2, 2]) {
        yield* end(failed)
        assert.strictEqual(underWay(), left)
      }
      // It asks for approval of a device whose credential it has accepted.
      yield* end(Effect.fail({ _tag: "PairingRequired" }))
      assert.strictEqual(underWay(), 5)
    }))

  it.effect("a credential that was accepted long ago says nothing of the next", () =>
    Effect.gen(function*() {
      const { ask, end, underWay } = yield* world(part)
      yield* ask(1)
      yield* end(Effect.void)
      yield* TestClock.adjust(AdmissionStep.trustMs)
      yield* ask(20)
      assert.strictEqual(underWay(), 2)
    }))

  it.effect("within a minute of a refusal, accepted credentials say nothing of the next", () =>
    Effect.gen(function*() {
      const { admission, ask, end, underWay } = yield* world(part)
      yield* admission.admit(here, admission.refused(here))
      yield* ask(20)
      assert.strictEqual(underWay(), 1)
      yield* end(Effect.void)
      assert.strictEqual(underWay(), 1)
      yield* TestClock.adjust(limits.windowMs)
      assert.strictEqual(underWay(), 2)
      yield* end(Effect.void)
      assert.strictEqual(underWay(), 5)
    }))

  it.effect("a refusal elsewhere counts as one here: fewer run although the gateway accepts credentials", () =>
    Effect.gen(function*() {
      const { ask, change, end, underWay } = yield* world(part)
      yield* ask(1)
      yield* end(Effect.void)
      yield* change({ refusedElsewhere: true })
      yield* ask(20)
      assert.strictEqual(underWay(), 2)
      yield* change({ refusals: 3 })
      yield* TestClock.adjust(0)
      assert.strictEqual(underWay(), 3)
      yield* change({ refusedElsewhere: false })
      yield* TestClock.adjust(0)
      assert.strictEqual(underWay(), 5)
    }))

  it.effect("each refusal is passed on", () =>
    Effect.gen(function*() {
      const { admission, noted } = yield* world(part)
      yield* admission.admit(here, admission.refused(here))
      yield* admission.refused(there)
      assert.deepStrictEqual(yield* noted, [here, there])
    }))
})
