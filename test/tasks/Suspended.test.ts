import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import type { Suspension } from "../../src/protocol/Connect.ts"
import { chat, said, start, started } from "./Fixture.ts"

const settle = TestClock.adjust(0)
/** What a suspended gateway answers every request. */
const suspending = (retryAfterMs: number) => ({
  code: "UNAVAILABLE",
  message: "chat.send unavailable during gateway suspension",
  retryable: true,
  retryAfterMs,
  details: { method: "chat.send", reason: "gateway-suspending", phase: "draining" }
})

const begin = Effect.gen(function*() {
  const running = yield* start()
  const gateway = yield* running.connect()
  yield* settle
  const become = (suspension?: Suspension) =>
    Effect.andThen(
      running.become({
        _tag: "Connected",
        session: gateway.session,
        ...(suspension === undefined ? {} : { suspension })
      }),
      settle
    )
  return { ...running, gateway, become }
})

describe("a task on a suspended gateway", () => {
  it.effect("is kept, with the reason, and sent as soon as the gateway takes work again", () =>
    Effect.gen(function*() {
      const { become, gateway, next, runner } = yield* begin
      yield* become("draining")
      const { queued } = yield* runner.delegate("one")
      assert.strictEqual(queued, "Suspended")
      assert.strictEqual((yield* next("Queued")).reason, "Suspended")
      yield* become("prepared")
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(gateway.untaken(), 0)
      yield* become()
      const sent = yield* gateway.next("chat.send")
      sent.answer(started(sent))
      yield* settle
      gateway.tell("chat", chat(sent, { state: "final", message: said("done") }))
      yield* next("Sent")
      assert.strictEqual((yield* next("Replied")).text, "done")
    }))

  it.effect("goes on when the gateway has it", () =>
    Effect.gen(function*() {
      const { become, gateway, next, runner } = yield* begin
      yield* runner.delegate("one")
      const sent = yield* gateway.next("chat.send")
      sent.answer(started(sent))
      yield* next("Sent")
      yield* become("draining")
      gateway.tell("chat", chat(sent, { state: "final", message: said("done") }))
      yield* settle
      assert.strictEqual((yield* next("Replied")).text, "done")
    }))

  for (const told of [true, false]) {
    it.effect(
      `G15: that refused it gets it again with the same key, ${
        told ? "when it takes work again but never" : "where it does not tell of its phases, not"
      } before its time`,
      () =>
        Effect.gen(function*() {
          const { become, gateway, next, runner } = yield* begin
          const { runId } = yield* runner.delegate("one")
          const refused = yield* gateway.next("chat.send")
          if (told) yield* become("draining")
          refused.refuse(suspending(5000))
          yield* TestClock.adjust("2 seconds")
          if (told) yield* become()
          yield* TestClock.adjust("2999 millis")
          assert.strictEqual(gateway.untaken(), 0)
          yield* TestClock.adjust("1 millis")
          const again = yield* gateway.next("chat.send")
          assert.strictEqual(again.params.idempotencyKey, runId)
          again.answer(started(again))
          yield* settle
          gateway.tell("chat", chat(again, { state: "final", message: said("done") }))
          yield* next("Sent")
          assert.strictEqual((yield* next("Replied")).text, "done")
          assert.strictEqual(gateway.untaken(), 0)
        })
    )
  }

  it.effect("that refused it and stays suspended is not asked before it takes work again", () =>
    Effect.gen(function*() {
      const { become, gateway, runner } = yield* begin
      yield* runner.delegate("one")
      const refused = yield* gateway.next("chat.send")
      yield* become("draining")
      refused.refuse(suspending(1000))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(gateway.untaken(), 0)
      yield* become()
      yield* gateway.next("chat.send")
    }))

  it.effect("that goes on refusing is asked less and less often, and the task ends with its time", () =>
    Effect.gen(function*() {
      const { gateway, next, runner } = yield* begin
      const { runId } = yield* runner.delegate("one")
      let asked = 0
      for (let second = 0; second < 180; second++) {
        while (gateway.untaken() > 0) {
          const refused = yield* gateway.take
          if (refused.method === "chat.send") asked++
          assert.strictEqual(refused.method === "chat.send" ? refused.params.idempotencyKey : runId, runId)
          refused.refuse(suspending(1000))
          yield* settle
        }
        yield* TestClock.adjust("1 second")
      }
      assert.isTrue(asked >= 5 && asked <= 12, `${asked}`)
      const failed = yield* next("Failed")
      assert.deepInclude(failed.error, { _tag: "RequestRejected", code: "UNAVAILABLE" })
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(gateway.untaken(), 0)
    }))
})
