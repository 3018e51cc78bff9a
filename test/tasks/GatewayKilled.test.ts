import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import * as ChatHistory from "../../src/tasks/ChatHistory.ts"
import recorded from "../vectors/chat-killed.json" with { type: "json" }
import { start, started } from "./Fixture.ts"

/** A recorded history as one line: what became of the run, whether the session is busy, whether it may hide the message. */
const read = (
  { histories, request }: (typeof recorded.runs)[number],
  sought: Pick<ChatHistory.Sought, "notBeforeMs" | "received"> = { notBeforeMs: 1_795_361_000_000 }
) =>
  histories.map((history) => {
    const finding = ChatHistory.find(history, {
      runId: request.idempotencyKey,
      summary: request.message,
      ...sought
    })
    return [finding._tag, ChatHistory.isBusy(history), ChatHistory.isUnkept(history)]
  })

const recording = (release: string, name: string) => {
  const found = recorded.runs.find((run) => run.release === release && run.name === name)
  if (found === undefined) return assert.fail(`${release}: ${name} was not recorded`)
  return found
}

describe("the histories of gateways that were killed under a run and started again", () => {
  for (
    const [release, name, expected] of [
      ["2026.9.6", "new session", [["NoReply", true, false], ["Replied", false, false]]],
      ["2026.6.11", "session with a past", [["NoReply", true, false], ["Replied", false, false]]],
      ["2026.6.11", "new session", [["Absent", true, true], ["Absent", false, true]]],
      ["2026.6.11", "new session, receipt lost", [["Absent", true, true]]],
      ["2026.6.11", "never received", [["Absent", false, false]]],
      ["2026.5.12", "session with a past", [["NoReply", undefined, false], ["Replied", undefined, false]]],
      ["2026.5.12", "new session", [["Absent", undefined, true]]],
      ["2026.3.2", "session with a past", [["NoReply", undefined, false]]],
      ["2026.3.2", "new session, receipt lost", [["Absent", undefined, true]]],
      ["2026.3.2", "never received", [["Absent", undefined, false]]]
    ] as const
  ) {
    it(`G14 G15: ${release}, ${name}`, () => assert.deepStrictEqual<unknown>(read(recording(release, name)), expected))
  }

  for (
    const [name, before] of [["session with a past", 2], ["new session", 1]] as const
  ) {
    it(`G14: 2026.8.2, ${name}: what it went on with in place of a message that it had is answered`, () => {
      const found = recording("2026.8.2", name)
      const notBeforeMs = found.histories[0]?.messages.at(-1)?.timestamp ?? 0
      const busy = Array.from({ length: before }, () => ["NoReply", true, false])
      const expected = [...busy, ["NoReply", true, false], ["Replied", false, false]]
      assert.deepStrictEqual<unknown>(read(found, { notBeforeMs, received: true }), expected)
      // Of one that it did not have, the history says nothing.
      assert.deepStrictEqual<unknown>(read(found, { notBeforeMs }), [...busy, ["Absent", true, false], [
        "Absent",
        false,
        false
      ]])
    })
  }

  it("F43: what stands in place of a message is that of nobody else", () => {
    const { histories, request } = recording("2026.8.2", "session with a past")
    const messages = histories.at(-1)?.messages ?? []
    const [, , resumption, reply] = messages
    const sought = {
      runId: request.idempotencyKey,
      summary: request.message,
      notBeforeMs: (resumption?.timestamp ?? 0) - 5000,
      received: true
    }
    const find = (shown: ReadonlyArray<unknown>, more: Partial<ChatHistory.Sought> = {}) =>
      ChatHistory.find({ messages: shown }, { ...sought, ...more })._tag
    assert.strictEqual(find(messages), "Replied")
    const between = { role: "user", content: "another", idempotencyKey: "r2:user", timestamp: sought.notBeforeMs + 1 }
    assert.strictEqual(find([between, resumption, reply]), "Absent")
    assert.strictEqual(find([resumption, { ...between, timestamp: sought.notBeforeMs + 9000 }, reply]), "Replied")
    assert.strictEqual(find(messages, { notBeforeMs: sought.notBeforeMs + 6000 }), "Absent")
    assert.strictEqual(find(messages, { merged: true, claimed: new Set() }), "Absent")
    const view = (shown: ReadonlyArray<unknown>) => ChatHistory.view({ messages: shown }, sought).unkept
    assert.deepStrictEqual([view(messages), view([between, resumption])], [true, false])
  })

  it("F43: what a gateway went on with answers the message before it, and no other", () => {
    const { histories: [, continued], request } = recording("2026.9.6", "new session")
    const [asked, resumption, reply] = continued?.messages ?? []
    const other = { role: "user", content: "another", idempotencyKey: "r2:user" }
    const find = (messages: ReadonlyArray<unknown>, runId: string) =>
      ChatHistory.find({ messages }, { runId, summary: "another", notBeforeMs: 0 })._tag
    assert.strictEqual(find([asked, other, resumption, reply], "r2"), "Replied")
    assert.strictEqual(find([asked, other, resumption, reply], request.idempotencyKey), "NoReply")
    assert.strictEqual(find([asked, resumption, resumption, reply], request.idempotencyKey), "Replied")
    const elsewhere = { runId: request.idempotencyKey, summary: "", notBeforeMs: 0, elsewhere: true }
    assert.strictEqual(ChatHistory.find({ messages: [asked, resumption, reply] }, elsewhere)._tag, "Replied")
  })
})

/** Delegates, and loses the link before or after the receipt. */
const interrupted = Effect.fnUntraced(function*(receipt: "kept" | "lost") {
  const running = yield* start()
  const before = yield* running.connect({ gatewayStartedAtMs: -60_000 })
  yield* TestClock.adjust("1 second")
  yield* running.runner.delegate("hello")
  const asked = yield* before.next("chat.send")
  if (receipt === "kept") asked.answer(started(asked))
  yield* TestClock.adjust("1 second")
  yield* running.drop(before)
  return { ...running, asked }
})
/** When the gateway was started again: since the message was given to a link. */
const again = { gatewayStartedAtMs: 1500 }

describe("a gateway that was started again since a task was sent", () => {
  it.effect("G15: is not given a message again that it may have begun and forgotten", () =>
    Effect.gen(function*() {
      const { connect, next } = yield* interrupted("lost")
      const gateway = yield* connect(again)
      for (const history of recording("2026.6.11", "new session").histories) {
        const looked = yield* gateway.next("chat.history")
        looked.answer(history)
        yield* TestClock.adjust("5 seconds")
      }
      const last = yield* gateway.next("chat.history")
      last.answer(recording("2026.6.11", "new session").histories[1])
      assert.deepStrictEqual((yield* next("Unknown")).evidence, { answered: false, history: "Absent" })
      assert.strictEqual(gateway.untaken(), 0)
    }))

  it.effect("G14: replies in place of the message, which is no longer there", () =>
    Effect.gen(function*() {
      const { connect, next } = yield* interrupted("kept")
      yield* next("Sent")
      const gateway = yield* connect(again)
      for (const history of recording("2026.8.2", "new session").histories) {
        const looked = yield* gateway.next("chat.history")
        looked.answer(history)
        yield* TestClock.adjust("5 seconds")
      }
      assert.include((yield* next("Replied")).text, "fresh while it answers")
      assert.strictEqual(gateway.untaken(), 0)
    }))

  it.effect("G15: is not given a message again that it may have replaced by its own", () =>
    Effect.gen(function*() {
      const { connect, next } = yield* interrupted("lost")
      const gateway = yield* connect(again)
      for (const history of recording("2026.8.2", "new session").histories.slice(-2)) {
        const looked = yield* gateway.next("chat.history")
        looked.answer(history)
        yield* TestClock.adjust("5 seconds")
      }
      const last = yield* gateway.next("chat.history")
      last.answer(recording("2026.8.2", "new session").histories.at(-1))
      assert.deepStrictEqual((yield* next("Unknown")).evidence, { answered: false, history: "Absent" })
      assert.strictEqual(gateway.untaken(), 0)
    }))

  it.effect("G15: is given a message again that it never had", () =>
    Effect.gen(function*() {
      const { asked, connect } = yield* interrupted("lost")
      const gateway = yield* connect(again)
      const looked = yield* gateway.next("chat.history")
      looked.answer(recording("2026.3.2", "never received").histories[0])
      assert.strictEqual((yield* gateway.next("chat.send")).params.idempotencyKey, asked.params.idempotencyKey)
    }))

  it.effect("G15: the same gateway still knows the key, so it is given the message again", () =>
    Effect.gen(function*() {
      const { asked, connect } = yield* interrupted("lost")
      const gateway = yield* connect({ gatewayStartedAtMs: -60_000 })
      const looked = yield* gateway.next("chat.history")
      looked.answer(recording("2026.3.2", "new session, receipt lost").histories[0])
      assert.strictEqual((yield* gateway.next("chat.send")).params.idempotencyKey, asked.params.idempotencyKey)
    }))

  it.effect("G15: what the same gateway was given again is judged by that, not by the first time", () =>
    Effect.gen(function*() {
      const { connect, drop } = yield* interrupted("lost")
      const gateway = yield* connect(again)
      const looked = yield* gateway.next("chat.history")
      looked.answer(recording("2026.3.2", "never received").histories[0])
      yield* gateway.next("chat.send")
      yield* drop(gateway)
      const later = yield* connect(again)
      const lookedToo = yield* later.next("chat.history")
      lookedToo.answer(recording("2026.3.2", "new session, receipt lost").histories[0])
      yield* later.next("chat.send")
    }))

  it.effect("G14: one that does not tell what is at work has a minute to go on; then it is unknown, and the next may go", () =>
    Effect.gen(function*() {
      const { connect, next, runner } = yield* interrupted("kept")
      yield* next("Sent")
      const gateway = yield* connect(again)
      const [history] = recording("2026.3.2", "session with a past").histories
      // The first look is half a second after the start, the twelfth 55.5 s; two behind the minute settle it.
      for (let looks = 0; looks < 14; looks++) {
        const looked = yield* gateway.next("chat.history")
        looked.answer(history)
        if (looks < 13) yield* TestClock.adjust("5 seconds")
      }
      assert.deepStrictEqual((yield* next("Unknown")).evidence, { answered: true, history: "Absent" })
      yield* runner.delegate("the next one")
      assert.strictEqual((yield* gateway.next("chat.send")).params.message, "the next one")
    }))
})
