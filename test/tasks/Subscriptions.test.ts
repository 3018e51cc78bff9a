import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import type { Asked, Gateway } from "./Fixture.ts"
import { chat, said, start, started } from "./Fixture.ts"

/** A session in which events have to be asked for. */
const scoped = { caps: ["session-scoped-events"], serverVersion: "2026.9.6" }
const subscribed = (asked: Asked) => ({ subscribed: true, key: asked.params.key })

const settle = TestClock.adjust(0)
/** Lets the gateway tell of the session, and take the task. */
const accept = Effect.fnUntraced(function*(gateway: Gateway) {
  const wanted = yield* gateway.next("sessions.messages.subscribe")
  wanted.answer(subscribed(wanted))
  const sent = yield* gateway.next("chat.send")
  sent.answer(started(sent))
  yield* settle
  return { wanted, sent }
})
const final = (gateway: Gateway, sent: Asked, text: string) =>
  Effect.andThen(Effect.sync(() => gateway.tell("chat", chat(sent, { state: "final", message: said(text) }))), settle)

const begin = Effect.fnUntraced(function*(facts: Parameters<Effect.Success<ReturnType<typeof start>>["connect"]>[0]) {
  const running = yield* start({ sessionKey: "agent:main:own" })
  const gateway = yield* running.connect(facts)
  yield* settle
  return { ...running, gateway }
})

describe("the events of a session", () => {
  it.effect("B19: are asked for before the first send, once, and no more when the session rests", () =>
    Effect.gen(function*() {
      const { gateway, next, runner } = yield* begin(scoped)
      yield* runner.delegate("one")
      const { sent, wanted } = yield* accept(gateway)
      assert.deepStrictEqual(wanted.params, { key: "agent:main:own" })
      yield* next("Sent")
      yield* final(gateway, sent, "done")
      assert.strictEqual((yield* next("Replied")).text, "done")
      const left = yield* gateway.next("sessions.messages.unsubscribe")
      assert.deepStrictEqual(left.params, { key: "agent:main:own" })
      left.answer({ subscribed: false, key: "agent:main:own" })
      yield* runner.delegate("three")
      yield* accept(gateway)
    }))

  it.effect("B19: are asked for by the first of several tasks, and kept while one of them is open", () =>
    Effect.gen(function*() {
      const { gateway, runner } = yield* begin(scoped)
      yield* runner.delegate("one")
      yield* runner.delegate("two")
      yield* runner.delegate("elsewhere", { sessionKey: "agent:main:other" })
      const keys: Array<string | undefined> = []
      for (let count = 0; count < 2; count++) {
        const wanted = yield* gateway.next("sessions.messages.subscribe")
        keys.push(wanted.params.key)
        wanted.answer(subscribed(wanted))
      }
      assert.deepStrictEqual(keys, ["agent:main:own", "agent:main:other"])
      const sent = yield* gateway.next("chat.send")
      sent.answer(started(sent))
      yield* settle
      yield* final(gateway, sent, "done")
      yield* TestClock.adjust("1 minute")
      const methods: Array<string> = []
      while (gateway.untaken() > 0) methods.push((yield* gateway.take).method)
      assert.deepStrictEqual(methods, ["chat.send", "chat.send"])
    }))

  it.effect("B19 G14: are asked for after every hello, before anything is asked about a task", () =>
    Effect.gen(function*() {
      const { connect, drop, gateway, next, runner } = yield* begin(scoped)
      yield* runner.delegate("one")
      const { sent } = yield* accept(gateway)
      yield* next("Sent")
      yield* drop(gateway)
      const after = yield* connect(scoped)
      const wanted = yield* after.next("sessions.messages.subscribe")
      assert.strictEqual(after.untaken(), 0)
      wanted.answer(subscribed(wanted))
      const looked = yield* after.next("chat.history")
      looked.answer({ messages: [], inFlightRun: { runId: sent.params.idempotencyKey, text: "" } })
      yield* settle
      yield* final(after, sent, "done")
      assert.strictEqual((yield* next("Replied")).text, "done")
    }))

  it.effect("B19 B20: that the gateway does not tell are replaced by questions", () =>
    Effect.gen(function*() {
      const { gateway, next, runner } = yield* begin(scoped)
      const { runId } = yield* runner.delegate("one")
      const refused = yield* gateway.next("sessions.messages.subscribe")
      refused.refuse({ code: "UNAVAILABLE", message: "later" })
      const sent = yield* gateway.next("chat.send")
      sent.answer(started(sent))
      yield* next("Sent")
      yield* TestClock.adjust("5 seconds")
      const again = yield* gateway.next("sessions.messages.subscribe")
      again.refuse({ code: "UNAVAILABLE", message: "later" })
      const looked = yield* gateway.next("chat.history")
      looked.answer({ messages: [], inFlightRun: { runId, text: "" } })
      gateway.remember(runId, {
        runId,
        status: "ok",
        endedAt: 5,
        terminalReply: { disposition: "visible", text: "done" }
      })
      yield* TestClock.adjust("5 seconds")
      const third = yield* gateway.next("sessions.messages.subscribe")
      third.refuse({ code: "UNAVAILABLE", message: "later" })
      const last = yield* gateway.next("chat.history")
      last.answer({ messages: [] })
      assert.strictEqual((yield* next("Replied")).text, "done")
    }))

  it.effect("are asked for again when the first attempt failed, and are then waited for", () =>
    Effect.gen(function*() {
      const { gateway, next, runner } = yield* begin(scoped)
      const { runId } = yield* runner.delegate("one")
      const refused = yield* gateway.next("sessions.messages.subscribe")
      refused.timeOut()
      const sent = yield* gateway.next("chat.send")
      sent.answer(started(sent))
      yield* next("Sent")
      yield* TestClock.adjust("5 seconds")
      const again = yield* gateway.next("sessions.messages.subscribe")
      again.answer(subscribed(again))
      const looked = yield* gateway.next("chat.history")
      looked.answer({ messages: [], inFlightRun: { runId, text: "" } })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(gateway.untaken(), 0)
      yield* final(gateway, sent, "done")
      assert.strictEqual((yield* next("Replied")).text, "done")
    }))

  for (
    const [what, facts] of [
      ["of a gateway that tells of all sessions", { ...scoped, serverVersion: "2026.7.1" }],
      ["where the client did not state the capability", { caps: ["tool-events"] }]
    ] as const
  ) {
    it.effect(`are not asked for ${what}`, () =>
      Effect.gen(function*() {
        const { gateway, runner } = yield* begin(facts)
        yield* runner.delegate("one")
        yield* gateway.next("chat.send")
      }))
  }

  it.effect("F47: are told as long as a late reply may come", () =>
    Effect.gen(function*() {
      const { connect, drop, gateway, next, runner } = yield* begin(scoped)
      yield* runner.delegate("one")
      const { sent } = yield* accept(gateway)
      yield* next("Sent")
      yield* TestClock.adjust("3 minutes")
      yield* next("Expired")
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(gateway.untaken(), 0)
      yield* drop(gateway)
      const after = yield* connect(scoped)
      const wanted = yield* after.next("sessions.messages.subscribe")
      wanted.answer(subscribed(wanted))
      yield* settle
      yield* final(after, sent, "at last")
      assert.include(yield* next("Replied"), { text: "at last", late: true })
    }))
})
