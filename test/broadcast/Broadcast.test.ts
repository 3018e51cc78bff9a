import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Broadcast from "../../src/broadcast/Broadcast.ts"

/** A broadcast of numbers that remembers the last one. */
const ofNumbers = () => {
  let last: number | undefined
  const numbers = Broadcast.make<number>({ snapshot: () => last === undefined ? [] : [last] })
  return {
    subscribe: (options?: Broadcast.SubscribeOptions<number>) => numbers.subscribe(options),
    end: () => numbers.end(),
    publish: (value: number) => {
      last = value
      numbers.publish(value)
    }
  }
}

const collect = <A>(stream: Stream.Stream<A>) =>
  Effect.forkScoped(Stream.runCollect(stream), { startImmediately: true })

/** Turns enough for a woken subscriber to take what waits for it. */
const settled = Effect.repeat(Effect.yieldNow, { times: 5 })

describe("Broadcast", () => {
  it.effect.prop("every subscriber gets what holds when it comes, then each value once and in order", [
    Schema.Array(Schema.Literals(["publish", "subscribe", "settle"]))
  ], ([steps]) =>
    Effect.gen(function*() {
      const numbers = ofNumbers()
      let published = 0
      const subscribed: Array<{ readonly from: number; readonly fiber: Fiber.Fiber<Array<number>> }> = []
      for (const step of steps) {
        if (step === "publish") numbers.publish(++published)
        else if (step === "settle") yield* settled
        else subscribed.push({ from: Math.max(1, published), fiber: yield* collect(numbers.subscribe()) })
      }
      numbers.end()
      for (const { fiber, from } of subscribed) {
        const expected = Array.from({ length: Math.max(0, published - from + 1) }, (_, index) => from + index)
        assert.deepStrictEqual(yield* Fiber.join(fiber), expected)
      }
    }), { arbitrary: { seed: 1, runs: 200 } })

  it.effect("a subscriber that comes after the end gets what held last, and ends", () =>
    Effect.gen(function*() {
      const numbers = ofNumbers()
      numbers.publish(7)
      numbers.end()
      numbers.publish(8)
      assert.deepStrictEqual(yield* Stream.runCollect(numbers.subscribe()), [8])
    }))

  it.effect("what waits under one key is the last value, after what was published between", () =>
    Effect.gen(function*() {
      const words = Broadcast.make<string>({
        snapshot: () => [],
        coalesceKey: (word) => word.startsWith("phase") ? "phase" : undefined
      })
      const fiber = yield* collect(words.subscribe())
      for (const word of ["phase 1", "phase 2", "end of another", "phase 3", "end"]) words.publish(word)
      words.end()
      assert.deepStrictEqual(yield* Fiber.join(fiber), ["end of another", "phase 3", "end"])
    }))

  it.effect("of each key the last so many wait, however the keys alternate", () =>
    Effect.gen(function*() {
      const words = Broadcast.make<string>({ snapshot: () => [], coalesceKey: (word) => word.charAt(0), keep: 3 })
      const fiber = yield* collect(words.subscribe())
      for (let turn = 1; turn <= 5; turn++) for (const key of ["a", "b", "c"]) words.publish(`${key}${turn}`)
      words.end()
      assert.deepStrictEqual(
        yield* Fiber.join(fiber),
        ["a3", "b3", "c3", "a4", "b4", "c4", "a5", "b5", "c5"]
      )
    }))

  it.effect("a million values under one key leave one waiting, and the ends among them are all there", () =>
    Effect.gen(function*() {
      const words = Broadcast.make<number>({
        snapshot: () => [],
        coalesceKey: (value) => value % 250_000 === 0 ? undefined : "phase"
      })
      const fiber = yield* collect(words.subscribe())
      for (let value = 1; value <= 1_000_000; value++) words.publish(value)
      words.end()
      assert.deepStrictEqual(yield* Fiber.join(fiber), [250_000, 500_000, 750_000, 999_999, 1_000_000])
    }))

  it.effect("a subscriber that leaves too much unread is dropped alone, once, and its stream ends", () =>
    Effect.gen(function*() {
      const numbers = ofNumbers()
      let exceeded = 0
      const limit = { values: 3, weight: 100, weigh: (value: number) => value, onExceeded: () => void exceeded++ }
      const slow = yield* collect(numbers.subscribe({ limit }))
      const other = yield* collect(numbers.subscribe())
      for (let value = 1; value <= 5; value++) numbers.publish(value)
      numbers.end()
      assert.strictEqual(exceeded, 1)
      assert.deepStrictEqual(yield* Fiber.join(slow), [])
      assert.deepStrictEqual(yield* Fiber.join(other), [1, 2, 3, 4, 5])
    }))

  it.effect("what was taken no longer counts against the limit, and neither does the snapshot", () =>
    Effect.gen(function*() {
      const numbers = ofNumbers()
      const unexpected = () => assert.fail("nothing was left unread")
      const limit = { values: 2, weight: 3, weigh: () => 2, onExceeded: unexpected }
      const fiber = yield* collect(numbers.subscribe({ limit, snapshot: () => [-4, -3, -2, -1] }))
      for (let value = 1; value <= 9; value++) {
        numbers.publish(value)
        yield* settled
      }
      numbers.end()
      assert.deepStrictEqual(yield* Fiber.join(fiber), [-4, -3, -2, -1, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    }))

  it.effect("hands out no more than a batch at once", () =>
    Effect.gen(function*() {
      const numbers = ofNumbers()
      const sizes: Array<number> = []
      const fiber = yield* Effect.forkScoped(
        Stream.runForEachArray(
          numbers.subscribe({ batch: 2, snapshot: () => [1, 2, 3] }),
          (values) => Effect.sync(() => void sizes.push(values.length))
        ),
        { startImmediately: true }
      )
      for (let value = 4; value <= 6; value++) numbers.publish(value)
      numbers.end()
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(sizes.reduce((sum, size) => sum + size, 0), 6)
      assert.isAtMost(Math.max(...sizes), 2)
    }))

  it.effect("a stream that is interrupted is no longer handed anything", () =>
    Effect.gen(function*() {
      let weighed = 0
      const numbers = ofNumbers()
      const limit = { values: 9, weight: 9, weigh: () => ++weighed, onExceeded: () => {} }
      const fiber = yield* collect(numbers.subscribe({ limit }))
      yield* Fiber.interrupt(fiber)
      numbers.publish(1)
      assert.strictEqual(weighed, 0)
    }))
})
