import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import type { Asked, Gateway } from "./Fixture.ts"
import { chat, said, start, started } from "./Fixture.ts"

// Real gateways (measured on 2026.5.12 for every second task) tell the end of a run a moment before its session is free.
// The next text then meets a busy session: its own run ends at once and says nothing, and the answer comes under another.

const question = (asked: Asked) => ({
  role: "user",
  content: [{ type: "text", text: asked.params.message }],
  timestamp: 1_795_330_230_000
})
const foreign = (asked: Asked, text: string) => ({
  ...said(text),
  stopReason: "stop",
  __openclaw: { runId: `not ${asked.params.idempotencyKey}` }
})

const meetsBusySession = Effect.fnUntraced(function*(gateway: Gateway) {
  const asked = yield* gateway.next("chat.send")
  asked.answer(started(asked))
  gateway.tell("chat", chat(asked, { state: "final" }))
  return asked
})

describe("TaskRunner, when a text met a busy session", () => {
  it.effect("F43: the reply under a run that nobody was told of is read from history", () =>
    Effect.gen(function*() {
      const { connect, next, rest, runner } = yield* start()
      const gateway = yield* connect()
      const receipt = yield* runner.delegate("hello")
      const asked = yield* meetsBusySession(gateway)
      yield* next("Sent")
      const first = yield* gateway.next("chat.history")
      first.answer({ messages: [] })
      assert.deepStrictEqual(yield* rest, [])
      gateway.tell("chat", { ...chat(asked, { state: "final", message: said("hi") }), runId: "another" })
      const second = yield* gateway.next("chat.history")
      second.answer({ messages: [question(asked), foreign(asked, "hi")] })
      assert.include(yield* next("Replied"), { taskId: receipt.taskId, text: "hi" })
      assert.strictEqual(gateway.untaken(), 0)
    }))

  it.effect("F43: the next task waits until the reply is there, and nothing is sent twice", () =>
    Effect.gen(function*() {
      const { connect, next, runner } = yield* start()
      const gateway = yield* connect()
      yield* runner.delegate("one")
      yield* runner.delegate("two")
      assert.strictEqual((yield* next("Queued")).reason, "Busy")
      const asked = yield* meetsBusySession(gateway)
      yield* next("Sent")
      for (const messages of [[], [question(asked)], [question(asked), foreign(asked, "hi")]]) {
        const looked = yield* gateway.next("chat.history")
        looked.answer({ messages })
        yield* TestClock.adjust("5 seconds")
      }
      assert.strictEqual((yield* next("Replied")).text, "hi")
      assert.strictEqual((yield* gateway.next("chat.send")).params.message, "two")
    }))

  it.effect("F47: without a reply in time it expires, and is not told as an empty reply", () =>
    Effect.gen(function*() {
      const { connect, next, runner } = yield* start({ taskTimeout: "7 seconds" })
      const gateway = yield* connect()
      yield* runner.delegate("hello")
      const asked = yield* meetsBusySession(gateway)
      yield* next("Sent")
      for (const step of ["5 seconds", "2 seconds", "0 seconds"] as const) {
        const looked = yield* gateway.next("chat.history")
        looked.answer({ messages: [question(asked)] })
        yield* TestClock.adjust(step)
      }
      assert.strictEqual((yield* next("Expired")).sent, true)
    }))
})
