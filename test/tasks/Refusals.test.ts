import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import type { Asked, Gateway } from "./Fixture.ts"
import { chat, said, start, started } from "./Fixture.ts"

/** Refuses every `chat.send` that comes within this time; answers when each came, in milliseconds. */
const refuseAll = Effect.fnUntraced(function*(gateway: Gateway, error: unknown, forMs: number) {
  const atMs: Array<number> = []
  const asked: Array<Asked> = []
  const stepMs = 50
  for (let nowMs = 0; nowMs <= forMs; nowMs += stepMs) {
    while (gateway.untaken() > 0) {
      const next = yield* gateway.next("chat.send")
      atMs.push(nowMs)
      asked.push(next)
      next.refuse(error)
      yield* TestClock.adjust(0)
    }
    yield* TestClock.adjust(stepMs)
  }
  return { asked, atMs }
})

const gaps = (atMs: ReadonlyArray<number>) => atMs.slice(1).map((at, index) => at - (atMs[index] ?? 0))

describe("a gateway that refuses a task for now", () => {
  for (
    const [what, error] of [
      ["no wait at all", { code: "UNAVAILABLE", message: "full", retryAfterMs: 0 }],
      ["a wait below zero", {
        code: "UNAVAILABLE",
        message: "full",
        retryAfterMs: -60_000,
        retryable: true
      }],
      ["no wait, only that it may be tried again", { code: "UNAVAILABLE", message: "full", retryable: true }],
      ["the same in the details", { code: "UNAVAILABLE", message: "full", details: { retryable: true } }]
    ] as const
  ) {
    it.effect(`G15: naming ${what}: it is asked less and less often, with the same key`, () =>
      Effect.gen(function*() {
        const { connect, runner } = yield* start({ taskTimeout: "10 minutes" })
        const gateway = yield* connect()
        yield* TestClock.adjust(0)
        const { runId, taskId } = yield* runner.delegate("water the plants")
        const { asked, atMs } = yield* refuseAll(gateway, error, 300_000)
        assert.isTrue(asked.every(({ params }) => params.idempotencyKey === runId))
        const waits = gaps(atMs)
        assert.isAbove(waits.length, 8)
        assert.isBelow(waits.length, 25)
        for (const [index, wait] of waits.entries()) {
          assert.isAtLeast(wait, 500)
          assert.isAtMost(wait, 33_050)
          assert.isAtLeast(wait, (waits[index - 1] ?? 0) * 0.9, "it never gets faster")
        }
        assert.isAtLeast(waits.at(-1) ?? 0, 30_000)
        yield* TestClock.adjust("35 seconds")
        const last = yield* gateway.next("chat.send")
        last.answer(started(last))
        gateway.tell("chat", chat(last, { state: "final", message: said("done") }))
        assert.include(yield* runner.await(taskId), { _tag: "Completed", text: "done" })
      }))
  }

  it.effect("G15: a wait that it names is kept, however often it says so, and never cut short by a lost link", () =>
    Effect.gen(function*() {
      const { connect, drop, runner } = yield* start({ taskTimeout: "10 minutes" })
      const before = yield* connect()
      yield* TestClock.adjust(0)
      yield* runner.delegate("water the plants")
      const first = yield* before.next("chat.send")
      first.refuse({ code: "UNAVAILABLE", message: "busy", retryAfterMs: 60_000 })
      yield* TestClock.adjust("30 seconds")
      yield* drop(before)
      const gateway = yield* connect()
      gateway.lose(1)
      gateway.tell("chat", { runId: "another", sessionKey: "agent:main:other", state: "final" })
      yield* TestClock.adjust(29_999)
      assert.strictEqual(gateway.untaken(), 0)
      yield* TestClock.adjust("1 second")
      const again = yield* gateway.next("chat.send")
      assert.strictEqual(again.params.idempotencyKey, first.params.idempotencyKey)
    }))

  it.effect("F47: a task that is refused until its time is up failed with the gateway's words, and holds nobody up", () =>
    Effect.gen(function*() {
      const { connect, next, runner } = yield* start({ taskTimeout: "10 seconds" })
      const gateway = yield* connect()
      yield* TestClock.adjust(0)
      yield* runner.delegate("water the plants")
      yield* refuseAll(gateway, { code: "UNAVAILABLE", message: "the queue is full", retryable: true }, 10_000)
      assert.include((yield* next("Failed")).error.message, "the queue is full")
      yield* runner.delegate("the next one")
      yield* gateway.next("chat.send")
    }))

  it.effect("an abort ends a task that the gateway has just refused, at once", () =>
    Effect.gen(function*() {
      const { connect, next, runner } = yield* start()
      const gateway = yield* connect()
      const { taskId } = yield* runner.delegate("water the plants")
      const asked = yield* gateway.next("chat.send")
      asked.refuse({ code: "UNAVAILABLE", message: "full", retryAfterMs: 60_000 })
      yield* TestClock.adjust(0)
      assert.isTrue(yield* runner.abort(taskId))
      yield* next("Aborted")
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(gateway.untaken(), 0)
    }))
})

describe("a gateway that gives reason to look into history without end", () => {
  /** Answers every look, and gives reason for the next one; how many there were before the runner waited. */
  const looks = Effect.fnUntraced(function*(gateway: Gateway, history: unknown, provoke: () => void) {
    let count = 0
    while (count < 1000) {
      yield* TestClock.adjust(0)
      if (gateway.untaken() === 0) return count
      const looked = yield* gateway.next("chat.history")
      provoke()
      looked.answer(history)
      count++
    }
    return count
  })
  const foreign = { runId: "foreign", sessionKey: "agent:main:main", state: "final", message: said("not ours") }

  it.effect("F43: by the ends of other runs: a task that waits for one looks ten times in five seconds at most", () =>
    Effect.gen(function*() {
      const { connect, runner } = yield* start()
      const gateway = yield* connect()
      yield* runner.delegate("hello")
      const asked = yield* gateway.next("chat.send")
      asked.answer(started(asked))
      gateway.tell("chat", chat(asked, { state: "final" }))
      const history = { messages: [], sessionInfo: { hasActiveRun: true } }
      const provoke = () => gateway.tell("chat", foreign)
      assert.isAtMost(yield* looks(gateway, history, provoke), 10)
      yield* TestClock.adjust("5 seconds")
      assert.isAbove(gateway.untaken(), 0, "it looks again later")
      assert.isAtMost(yield* looks(gateway, history, provoke), 10)
    }))

  it.effect("G14: by losing events: every task looks ten times in five seconds at most", () =>
    Effect.gen(function*() {
      const { connect, runner } = yield* start()
      const gateway = yield* connect()
      yield* runner.delegate("hello")
      const asked = yield* gateway.next("chat.send")
      asked.answer(started(asked))
      yield* TestClock.adjust(0)
      const provoke = () => {
        gateway.lose(1)
        gateway.tell("chat", foreign)
      }
      provoke()
      const history = { messages: [], inFlightRun: { runId: asked.params.idempotencyKey } }
      assert.isAtMost(yield* looks(gateway, history, provoke), 10)
      yield* TestClock.adjust("5 seconds")
      assert.isAbove(gateway.untaken(), 0, "it looks again later")
    }))
})
