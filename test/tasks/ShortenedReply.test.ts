import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { cutMark } from "../../src/tasks/KeptText.ts"
import type { Asked, Gateway } from "./Fixture.ts"
import { chat, said, start, started } from "./Fixture.ts"

const settle = TestClock.adjust(0)

const whole = "0123456789".repeat(4200)
const short = `${whole.slice(0, 8000)}${cutMark}`
const invalid = (method: string, property: string) => ({
  code: "INVALID_REQUEST",
  message: `invalid ${method} params: at root: unexpected property '${property}'`
})
/** What every release before 2026.7 says to a client that is no administrator. */
const unknownMethod = { code: "INVALID_REQUEST", message: "missing scope: operator.admin" }

const accept = Effect.fnUntraced(function*(gateway: Gateway) {
  const asked = yield* gateway.next("chat.send")
  asked.answer(started(asked))
  return asked
})

/** The answer to `chat.history`. Without an id, as 2026.3.2 gives it; `more` are the marks of 2026.9.6. */
const history = (asked: Asked, text: string, more?: Readonly<Record<string, unknown>>) => {
  const marks = more === undefined ? {} : { __openclaw: { runId: asked.params.idempotencyKey, ...more } }
  return {
    messages: [
      { role: "user", content: asked.params.message, timestamp: Number.MAX_SAFE_INTEGER, ...marks },
      { ...said(text), stopReason: "stop", ...marks }
    ]
  }
}
const marked = { id: "m1", truncated: true, reason: "display-cap" }

/** Delegates, and loses the link under the run; the history that is read then has been answered. */
const cut = Effect.fnUntraced(function*(answer: (asked: Asked) => unknown) {
  const running = yield* start()
  const before = yield* running.connect()
  yield* settle
  yield* running.runner.delegate("write an essay")
  const asked = yield* accept(before)
  yield* running.next("Sent")
  yield* running.drop(before)
  const gateway = yield* running.connect()
  const looked = yield* gateway.next("chat.history")
  looked.answer(answer(asked))
  return { ...running, asked, gateway }
})

describe("a reply of 42,000 characters, of which history shows 8,000", () => {
  it.effect("is fetched whole by the id of its message", () =>
    Effect.gen(function*() {
      const { asked, gateway, next } = yield* cut((asked) => history(asked, short, marked))
      const got = yield* gateway.next("chat.message.get")
      assert.deepStrictEqual(got.params, { sessionKey: "agent:main:main", messageId: "m1" })
      got.answer({
        ok: true,
        message: { ...said(whole), __openclaw: { id: "m1", runId: asked.params.idempotencyKey } }
      })
      const told = yield* next("Replied")
      assert.strictEqual(told.text, whole)
      assert.isUndefined(told.truncated)
    }))

  it.effect("is fetched whole by a longer history where there is no such method", () =>
    Effect.gen(function*() {
      const { asked, gateway, next } = yield* cut((asked) => history(asked, short, marked))
      const got = yield* gateway.next("chat.message.get")
      got.refuse(unknownMethod)
      const longer = yield* gateway.next("chat.history")
      assert.strictEqual(longer.params.maxChars, 500_000)
      longer.answer(history(asked, whole, { id: "m1" }))
      const told = yield* next("Replied")
      assert.strictEqual(told.text, whole)
      assert.isUndefined(told.truncated)
    }))

  it.effect("is never told as whole where the gateway gives no more, and a link is asked once", () =>
    Effect.gen(function*() {
      const { asked, gateway, next, runner } = yield* cut((asked) => history(asked, short))
      const longer = yield* gateway.next("chat.history")
      longer.refuse(invalid("chat.history", "maxChars"))
      assert.include(yield* next("Replied"), { text: short, truncated: true })
      const [task] = yield* runner.list
      assert.include(task?.state, { _tag: "Completed", text: short, truncated: true })

      yield* runner.delegate("another one")
      const second = yield* accept(gateway)
      yield* next("Sent")
      gateway.lose(1)
      gateway.tell("chat", { ...chat(second, { state: "delta" }), runId: "someone else" })
      const looked = yield* gateway.next("chat.history")
      looked.answer(history({ ...asked, params: second.params }, short))
      assert.include(yield* next("Replied"), { text: short, truncated: true })
      assert.strictEqual(gateway.untaken(), 0)
    }))

  it.effect("is asked for again when the gateway asks for patience, and when the link is lost", () =>
    Effect.gen(function*() {
      const { asked, connect, drop, gateway, next, rest } = yield* cut((asked) => history(asked, short, marked))
      const patience = yield* gateway.next("chat.message.get")
      patience.refuse({ code: "UNAVAILABLE", message: "session changed while reading history", retryable: true })
      assert.deepStrictEqual(yield* rest, [])
      yield* TestClock.adjust("5 seconds")
      const again = yield* gateway.next("chat.history")
      again.answer(history(asked, short, marked))
      yield* gateway.next("chat.message.get")
      yield* drop(gateway)
      const after = yield* connect()
      const looked = yield* after.next("chat.history")
      looked.answer(history(asked, short, marked))
      const got = yield* after.next("chat.message.get")
      got.answer({ ok: true, message: said(whole) })
      assert.strictEqual((yield* next("Replied")).text, whole)
    }))

  it.effect("is told as short when its time is up before the whole is there", () =>
    Effect.gen(function*() {
      const { gateway, next } = yield* cut((asked) => history(asked, short, marked))
      yield* gateway.next("chat.message.get")
      yield* TestClock.adjust("180 seconds")
      assert.include(yield* next("Replied"), { text: short, truncated: true, late: false })
    }))

  it.effect("is told as short when the gateway cannot show it, and has no text when history left it out", () =>
    Effect.gen(function*() {
      const { gateway, next } = yield* cut((asked) =>
        history(asked, "[chat.history omitted: message too large]", { ...marked, reason: "oversized" })
      )
      const got = yield* gateway.next("chat.message.get")
      got.answer({ ok: false, unavailableReason: "oversized" })
      const longer = yield* gateway.next("chat.history")
      longer.answer({ messages: [] })
      assert.include(yield* next("Replied"), { text: "", truncated: true })
    }))

  it.effect("is whole when its own last words are those of a cut", () =>
    Effect.gen(function*() {
      const own = `as OpenClaw says:${cutMark}`
      const { gateway, next } = yield* cut((asked) => history(asked, own, { id: "m1" }))
      const got = yield* gateway.next("chat.message.get")
      got.answer({ ok: true, message: said(own) })
      const told = yield* next("Replied")
      assert.strictEqual(told.text, own)
      assert.isUndefined(told.truncated)
    }))
})

describe("an event that shortens a reply", () => {
  const live = Effect.fnUntraced(function*(message: unknown) {
    const running = yield* start()
    const gateway = yield* running.connect()
    yield* settle
    yield* running.runner.delegate("/help")
    const asked = yield* accept(gateway)
    yield* running.next("Sent")
    gateway.tell("chat", chat(asked, { state: "final", message }))
    return { ...running, asked, gateway }
  })

  it.effect("has the rest in history", () =>
    Effect.gen(function*() {
      const { asked, gateway, next } = yield* live({ ...said(short), __openclaw: { truncated: true } })
      const looked = yield* gateway.next("chat.history")
      looked.answer(history(asked, short, marked))
      const got = yield* gateway.next("chat.message.get")
      got.answer({ ok: true, message: said(whole) })
      const told = yield* next("Replied")
      assert.strictEqual(told.text, whole)
      assert.isUndefined(told.truncated)
    }))

  it.effect("is told as short where history does not have it", () =>
    Effect.gen(function*() {
      const { gateway, next } = yield* live(said(short))
      for (let looks = 0; looks < 2; looks++) {
        const looked = yield* gateway.next("chat.history")
        looked.answer({ messages: [] })
        yield* TestClock.adjust("5 seconds")
      }
      assert.include(yield* next("Replied"), { text: short, truncated: true })
    }))

  it.effect("may have lost its beginning at 500,000 characters", () =>
    Effect.gen(function*() {
      const { asked, gateway, next } = yield* live(said("x".repeat(500_000)))
      const looked = yield* gateway.next("chat.history")
      looked.answer(history(asked, short, marked))
      const got = yield* gateway.next("chat.message.get")
      got.answer({ ok: true, message: said("x".repeat(600_000)) })
      assert.strictEqual((yield* next("Replied")).text.length, 600_000)
    }))

  it.effect("is told as short when it comes late", () =>
    Effect.gen(function*() {
      const { connect, next, runner } = yield* start({ taskTimeout: "10 seconds" })
      const gateway = yield* connect()
      yield* settle
      yield* runner.delegate("/help")
      const asked = yield* accept(gateway)
      yield* next("Sent")
      yield* TestClock.adjust("10 seconds")
      yield* next("Expired")
      gateway.tell("chat", chat(asked, { state: "final", message: said(short) }))
      assert.include(yield* next("Replied"), { text: short, truncated: true, late: true })
    }))
})
