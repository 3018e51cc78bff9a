import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import type { TaskEvent } from "../../src/tasks/Task.ts"
import { TaskId } from "../../src/tasks/Task.ts"
import * as Census from "../support/Census.ts"
import type { Asked, Gateway } from "./Fixture.ts"
import { awaitingApproval, chat, offline, said, start, started } from "./Fixture.ts"

/** Lets fibers that are due go on, without any time passing. */
const settle = TestClock.adjust(0)

const accept = Effect.fnUntraced(function*(gateway: Gateway) {
  const asked = yield* gateway.next("chat.send")
  asked.answer(started(asked))
  return asked
})
const reply = (gateway: Gateway, asked: Asked, text: string) =>
  Effect.sync(() => gateway.tell("chat", chat(asked, { state: "final", message: said(text) })))
const question = (asked: Asked) => ({
  role: "user",
  content: [{ type: "text", text: asked.params.message }],
  __openclaw: { runId: asked.params.idempotencyKey }
})
const answer = (asked: Asked, text: string) => ({
  ...said(text),
  stopReason: "stop",
  __openclaw: { runId: asked.params.idempotencyKey }
})

describe("TaskRunner", () => {
  it.effect("delegates, shows phases, and completes with the reply", () =>
    Effect.gen(function*() {
      const { connect, next, rest, runner } = yield* start()
      const gateway = yield* connect()
      yield* settle
      const receipt = yield* runner.delegate("  hello there\n")
      assert.isUndefined(receipt.queued)
      const asked = yield* gateway.next("chat.send")
      assert.deepStrictEqual(asked.params, {
        sessionKey: "agent:main:main",
        message: "hello there",
        deliver: false,
        idempotencyKey: receipt.runId
      })
      assert.match(receipt.runId, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
      asked.answer(started(asked))
      assert.strictEqual((yield* next("Sent")).runId, receipt.runId)
      gateway.tell("chat", chat(asked, { state: "status", phase: "starting_model" }))
      gateway.tell("agent", chat(asked, { stream: "lifecycle", data: { phase: "start" } }))
      gateway.tell("agent", chat(asked, { stream: "tool", data: { phase: "start", name: "exec" } }))
      gateway.tell("agent", chat(asked, { stream: "tool", data: { phase: "start", name: "exec" } }))
      gateway.tell("chat", chat(asked, { state: "delta", message: said("echo:") }))
      assert.strictEqual((yield* next("Phase")).phase, "starting_model")
      assert.strictEqual((yield* next("Phase")).phase, "start · exec")
      assert.deepStrictEqual((yield* runner.list)[0]?.state, { _tag: "Running", phase: "start · exec" })
      yield* reply(gateway, asked, "echo: hello there")
      const replied: TaskEvent = {
        _tag: "Replied",
        taskId: receipt.taskId,
        runId: receipt.runId,
        text: "echo: hello there",
        at: 1_795_330_230_896,
        late: false
      }
      assert.deepStrictEqual(yield* next("Replied"), replied)
      const outcome = { _tag: "Completed" as const, text: "echo: hello there", atMs: 1_795_330_230_896 }
      assert.deepStrictEqual(yield* runner.await(receipt.taskId), outcome)
      assert.deepStrictEqual((yield* runner.list).map(({ state }) => state), [outcome])
      assert.deepStrictEqual(yield* rest, [])
    }))

  it.effect("releases without chat status: phases come from the lifecycle", () =>
    Effect.gen(function*() {
      const { connect, next, runner } = yield* start()
      const gateway = yield* connect()
      yield* runner.delegate("hello")
      const asked = yield* accept(gateway)
      gateway.tell("agent", chat(asked, { stream: "lifecycle", data: { phase: "start" } }))
      gateway.tell("agent", chat(asked, { stream: "assistant", data: { text: "echo:" } }))
      gateway.tell("agent", chat(asked, { stream: "lifecycle", data: { phase: "end" } }))
      yield* next("Sent")
      assert.strictEqual((yield* next("Phase")).phase, "start")
      assert.strictEqual((yield* next("Phase")).phase, "end")
    }))

  it.effect("refuses what it cannot send, before anything is sent", () =>
    Effect.gen(function*() {
      const { become, rest, runner } = yield* start({ maxQueued: 2, maxSummaryBytes: 4 })
      const refused = (summary: string) => Effect.map(Effect.flip(runner.delegate(summary)), (error) => error)
      assert.include(yield* refused(" \n\t"), { reason: "Empty" })
      assert.include(yield* refused("\u0001 \u007f"), { reason: "Empty" })
      for (const text of ["a\u0000", "\u0000", "\ud800", "a\udc00b"]) {
        assert.include(yield* refused(text), { reason: "NotText" }, JSON.stringify(text))
      }
      assert.include(yield* refused("ü€"), { reason: "TooLarge", limit: 4 })
      yield* runner.delegate("ü")
      yield* runner.delegate("abcd")
      const many = yield* refused("c")
      assert.include(many, { reason: "TooMany", limit: 2 })
      assert.strictEqual(many.message, "task refused: 2 tasks wait to be sent already")
      assert.deepStrictEqual(yield* rest, ["Queued", "Queued"])
      yield* become({ _tag: "Stopped" })
      assert.include(yield* refused("d"), { reason: "Stopped" })
    }))

  it.effect("F52: a task delegated before approval waits, and is sent after it, however long that takes", () =>
    Effect.gen(function*() {
      const { become, connect, next, runner } = yield* start({}, awaitingApproval)
      const receipt = yield* runner.delegate("water the plants")
      assert.strictEqual(receipt.queued, "AwaitingApproval")
      assert.strictEqual((yield* next("Queued")).reason, "AwaitingApproval")
      yield* TestClock.adjust("3 days")
      yield* become(offline)
      assert.strictEqual((yield* next("Queued")).reason, "Offline")
      yield* become(awaitingApproval)
      assert.strictEqual((yield* next("Queued")).reason, "AwaitingApproval")
      const gateway = yield* connect()
      const asked = yield* accept(gateway)
      assert.strictEqual(asked.params.idempotencyKey, receipt.runId)
      yield* TestClock.adjust("179 seconds")
      yield* reply(gateway, asked, "done")
      yield* next("Sent")
      assert.strictEqual((yield* next("Replied")).text, "done")
    }))

  it.effect("F47: a task expires at its moment", () =>
    Effect.gen(function*() {
      const { connect, next, rest, runner } = yield* start()
      const gateway = yield* connect()
      yield* settle
      const receipt = yield* runner.delegate("hello")
      yield* TestClock.adjust("10 seconds")
      yield* accept(gateway)
      yield* next("Sent")
      yield* TestClock.adjust(169_999)
      assert.deepStrictEqual(yield* rest, [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* next("Expired"), { ...ids(receipt), _tag: "Expired", sent: true })
      assert.deepStrictEqual(yield* runner.await(receipt.taskId), { _tag: "Expired", sent: true })
    }))

  it.effect("F47: a late answer is told as late, and the next task waits until the session is free", () =>
    Effect.gen(function*() {
      const { connect, next, rest, runner } = yield* start({ taskTimeout: "10 seconds" })
      const gateway = yield* connect()
      yield* settle
      const first = yield* runner.delegate("slow")
      const asked = yield* accept(gateway)
      yield* next("Sent")
      yield* TestClock.adjust("10 seconds")
      yield* next("Expired")
      yield* runner.delegate("quick")
      assert.strictEqual((yield* next("Queued")).reason, "Busy")
      yield* settle
      assert.strictEqual(gateway.untaken(), 0)
      yield* reply(gateway, asked, "at last")
      assert.include(yield* next("Replied"), { taskId: first.taskId, text: "at last", late: true })
      const second = yield* accept(gateway)
      yield* reply(gateway, second, "at once")
      yield* next("Sent")
      assert.include(yield* next("Replied"), { text: "at once", late: false })
      assert.deepStrictEqual((yield* runner.list).map(({ state }) => state._tag), ["Expired", "Completed"])
      assert.deepStrictEqual(yield* rest, [])
    }))

  it.effect("F47: a task that waits for its turn expires too, and is never sent", () =>
    Effect.gen(function*() {
      const { connect, next, runner } = yield* start({ taskTimeout: "10 seconds" })
      const gateway = yield* connect()
      yield* settle
      yield* runner.delegate("first")
      yield* accept(gateway)
      yield* TestClock.adjust("1 second")
      const second = yield* runner.delegate("second")
      yield* TestClock.adjust("30 minutes")
      yield* next("Sent")
      yield* next("Queued")
      yield* next("Expired")
      assert.include(yield* next("Expired"), { taskId: second.taskId, sent: false })
      assert.strictEqual(gateway.untaken(), 0)
      assert.strictEqual(gateway.pending(), 0)
      yield* runner.delegate("third")
      yield* accept(gateway)
    }))

  it.effect("F43: two tasks of two sessions finish in reverse, and each gets its own reply", () =>
    Effect.gen(function*() {
      const { connect, next, runner } = yield* start()
      const gateway = yield* connect()
      yield* settle
      const first = yield* runner.delegate("one", { sessionKey: "agent:main:a" })
      const second = yield* runner.delegate("two", { sessionKey: "agent:main:b" })
      const one = yield* accept(gateway)
      const two = yield* accept(gateway)
      assert.deepStrictEqual([one, two].map(({ params }) => params.idempotencyKey), [first.runId, second.runId])
      yield* next("Sent")
      yield* next("Sent")
      yield* reply(gateway, two, "second")
      yield* reply(gateway, one, "first")
      assert.include(yield* next("Replied"), { taskId: second.taskId, text: "second" })
      assert.include(yield* next("Replied"), { taskId: first.taskId, text: "first" })
    }))

  it.effect("F43: two tasks of one session go one after the other, also under another spelling of its key", () =>
    Effect.gen(function*() {
      const { connect, next, runner } = yield* start()
      const gateway = yield* connect()
      yield* settle
      const first = yield* runner.delegate("one")
      const second = yield* runner.delegate("two", { sessionKey: "main" })
      assert.strictEqual(second.queued, "Busy")
      const one = yield* accept(gateway)
      yield* settle
      assert.strictEqual(gateway.untaken(), 0)
      yield* reply(gateway, one, "first")
      const two = yield* accept(gateway)
      assert.strictEqual(two.params.sessionKey, "main")
      gateway.tell("chat", { ...chat(two, { state: "final", message: "second" }), sessionKey: "agent:main:main" })
      yield* next("Queued")
      yield* next("Sent")
      assert.include(yield* next("Replied"), { taskId: first.taskId, text: "first" })
      yield* next("Sent")
      assert.include(yield* next("Replied"), { taskId: second.taskId, text: "second" })
    }))

  it.effect("F43: a task whose turn has come no longer says that it waits for it", () =>
    Effect.gen(function*() {
      const { connect, runner } = yield* start()
      const gateway = yield* connect()
      yield* settle
      yield* runner.delegate("one")
      const { taskId } = yield* runner.delegate("two")
      const one = yield* accept(gateway)
      assert.deepStrictEqual((yield* runner.get(taskId)).state, { _tag: "Queued", reason: "Busy" })
      yield* reply(gateway, one, "first")
      yield* gateway.next("chat.send")
      assert.deepStrictEqual((yield* runner.get(taskId)).state, { _tag: "Queued", reason: undefined })
    }))

  it.effect("F43: foreign runs, and foreign sessions under our run id, are ignored", () =>
    Effect.gen(function*() {
      const { connect, next, rest, runner } = yield* start()
      const gateway = yield* connect()
      const receipt = yield* runner.delegate("hello")
      const asked = yield* accept(gateway)
      yield* next("Sent")
      gateway.tell("chat", { ...chat(asked, { state: "final", message: "no" }), runId: "another" })
      gateway.tell("chat", { ...chat(asked, { state: "final", message: "no" }), sessionKey: "agent:main:other" })
      gateway.tell("chat", { state: "final", message: "no" })
      gateway.tell("agent", { ...chat(asked, { stream: "lifecycle", data: { phase: "end" } }), runId: "another" })
      yield* settle
      assert.deepStrictEqual(yield* rest, [])
      yield* reply(gateway, asked, "yes")
      assert.include(yield* next("Replied"), { taskId: receipt.taskId, text: "yes" })
    }))

  it.effect("F51: error, aborted and an empty final each end their own task, and the next gets its own reply", () =>
    Effect.gen(function*() {
      const { connect, next, runner } = yield* start()
      const gateway = yield* connect()
      yield* settle
      for (const summary of ["fails", "stops", "is silent", "works"]) yield* runner.delegate(summary)
      for (const _ of ["stops", "is silent", "works"]) yield* next("Queued")

      const fails = yield* accept(gateway)
      gateway.tell("chat", chat(fails, { state: "error", errorMessage: "400 fake failure" }))
      yield* next("Sent")
      yield* TestClock.adjust("500 millis")
      const failed = yield* next("Failed")
      assert.strictEqual(failed.error.message, "the OpenClaw agent failed: 400 fake failure")

      const stops = yield* accept(gateway)
      gateway.tell("chat", chat(stops, { state: "delta", message: said("half") }))
      gateway.tell("chat", chat(stops, { state: "aborted", stopReason: "rpc" }))
      yield* next("Sent")
      assert.strictEqual((yield* next("Aborted")).text, "half")

      const silent = yield* accept(gateway)
      gateway.tell("agent", chat(silent, { stream: "lifecycle", data: { phase: "start" } }))
      gateway.tell("chat", chat(silent, { state: "final" }))
      yield* next("Sent")
      yield* next("Phase")
      // It may be a failure that the gateway told as silence.
      const looked = yield* gateway.next("chat.history")
      looked.answer({ messages: [] })
      assert.include(yield* next("Replied"), { text: "", at: undefined })

      const works = yield* accept(gateway)
      yield* reply(gateway, works, "fine")
      yield* next("Sent")
      assert.strictEqual((yield* next("Replied")).text, "fine")
    }))

  it.effect("F51: the second of two errors adds its text, at once", () =>
    Effect.gen(function*() {
      const { connect, next, rest, runner } = yield* start()
      const gateway = yield* connect()
      yield* runner.delegate("one")
      const asked = yield* accept(gateway)
      gateway.tell("chat", chat(asked, { state: "error", errorMessage: "rejected" }))
      yield* settle
      yield* next("Sent")
      assert.deepStrictEqual(yield* rest, [])
      gateway.tell("chat", chat(asked, { state: "error", errorMessage: "Agent failed before reply: rejected" }))
      assert.include((yield* next("Failed")).error, { gatewayMessage: "Agent failed before reply: rejected" })
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(yield* rest, [])
    }))

  it.effect("F51: a task ends once, whatever its run tells afterwards", () =>
    Effect.gen(function*() {
      const { connect, next, rest, runner } = yield* start()
      const gateway = yield* connect()
      yield* runner.delegate("one")
      const asked = yield* accept(gateway)
      yield* next("Sent")
      yield* reply(gateway, asked, "first")
      assert.strictEqual((yield* next("Replied")).text, "first")
      yield* reply(gateway, asked, "second")
      gateway.tell("chat", chat(asked, { state: "error", errorMessage: "third" }))
      gateway.tell("chat", chat(asked, { state: "status", phase: "fourth" }))
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(yield* rest, [])
    }))

  it.effect("F47: an error that was told just before the time is up is what the task ended with", () =>
    Effect.gen(function*() {
      const { connect, next, runner } = yield* start({ taskTimeout: "10 seconds" })
      const gateway = yield* connect()
      yield* settle
      yield* runner.delegate("one")
      const asked = yield* accept(gateway)
      yield* next("Sent")
      yield* TestClock.adjust(9900)
      gateway.tell("chat", chat(asked, { state: "error", errorMessage: "400 fake failure" }))
      yield* TestClock.adjust(100)
      assert.include((yield* next("Failed")).error, { gatewayMessage: "400 fake failure" })
    }))

  it.effect("a refusal of chat.send ends the task with the gateway's words", () =>
    Effect.gen(function*() {
      const { connect, next, runner } = yield* start()
      const gateway = yield* connect()
      yield* runner.delegate("one", { sessionKey: "agent:nobody:main" })
      const asked = yield* gateway.next("chat.send")
      asked.refuse({ code: "INVALID_REQUEST", message: 'Agent "nobody" no longer exists in configuration' })
      const { error } = yield* next("Failed")
      assert.strictEqual(error._tag, "RequestRejected")
      assert.include(error.message, "no longer exists")

      yield* runner.delegate("two")
      const two = yield* gateway.next("chat.send")
      two.refuse({ code: "INVALID_REQUEST", message: "missing scope: operator.write" })
      assert.strictEqual((yield* next("Failed")).error._tag, "MissingScope")
    }))

  it.effect("G15: told to come back later, it comes back then with the same key", () =>
    Effect.gen(function*() {
      const { connect, next, runner } = yield* start()
      const gateway = yield* connect()
      const { runId } = yield* runner.delegate("one")
      const asked = yield* gateway.next("chat.send")
      asked.refuse({ code: "UNAVAILABLE", message: "gateway starting; retry shortly", retryAfterMs: 500 })
      yield* TestClock.adjust(499)
      assert.strictEqual(gateway.untaken(), 0)
      yield* TestClock.adjust(1)
      const again = yield* accept(gateway)
      assert.strictEqual(again.params.idempotencyKey, runId)
      yield* next("Sent")
    }))

  it.effect("a text that the gateway takes for its stop command fails, as no agent got it", () =>
    Effect.gen(function*() {
      const { connect, next, runner } = yield* start()
      const gateway = yield* connect()
      yield* runner.delegate("stop")
      const asked = yield* gateway.next("chat.send")
      asked.answer({ ok: true, aborted: true, runIds: ["r7"] })
      const { error } = yield* next("Failed")
      assert.strictEqual(error.message, "the gateway took the text as its stop command and stopped 1 runs")
    }))

  describe("G14: a link lost under a task", () => {
    it.effect("history shows the reply: the task is completed, and nothing is sent again", () =>
      Effect.gen(function*() {
        const { connect, drop, next, runner } = yield* start()
        const before = yield* connect()
        yield* runner.delegate("hello")
        const asked = yield* accept(before)
        yield* next("Sent")
        yield* drop(before)
        const gateway = yield* connect()
        const history = yield* gateway.next("chat.history")
        assert.deepStrictEqual(history.params, { sessionKey: "agent:main:main", limit: 200 })
        history.answer({ messages: [question(asked), answer(asked, "echo: hello")] })
        assert.strictEqual((yield* next("Replied")).text, "echo: hello")
        yield* TestClock.adjust("10 minutes")
        assert.strictEqual(gateway.untaken(), 0)
        assert.strictEqual(before.subscribers(), 0)
      }))

    it.effect("what came before the end is read first", () =>
      Effect.gen(function*() {
        const { connect, drop, next, runner } = yield* start()
        const gateway = yield* connect()
        yield* runner.delegate("hello")
        const asked = yield* accept(gateway)
        yield* settle
        yield* reply(gateway, asked, "just in time")
        yield* drop(gateway)
        yield* next("Sent")
        assert.strictEqual((yield* next("Replied")).text, "just in time")
      }))

    it.effect("the run is still at work: its events go on", () =>
      Effect.gen(function*() {
        const { connect, drop, next, runner } = yield* start()
        const before = yield* connect()
        yield* runner.delegate("hello")
        const asked = yield* accept(before)
        yield* next("Sent")
        yield* drop(before)
        const gateway = yield* connect()
        const history = yield* gateway.next("chat.history")
        history.answer({ messages: [question(asked)], inFlightRun: { runId: asked.params.idempotencyKey, text: "e" } })
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(gateway.untaken(), 0)
        yield* reply(gateway, asked, "echo: hello")
        assert.strictEqual((yield* next("Replied")).text, "echo: hello")
      }))

    it.effect("G15: unanswered and not in history, it is sent again with the same key, once", () =>
      Effect.gen(function*() {
        const { connect, drop, next, rest, runner } = yield* start()
        const before = yield* connect()
        const { runId } = yield* runner.delegate("hello")
        yield* before.next("chat.send")
        yield* drop(before)
        const gateway = yield* connect()
        const history = yield* gateway.next("chat.history")
        history.answer({ messages: [] })
        const again = yield* accept(gateway)
        assert.strictEqual(again.params.idempotencyKey, runId)
        yield* next("Sent")
        yield* reply(gateway, again, "hi")
        assert.strictEqual((yield* next("Replied")).text, "hi")
        assert.deepStrictEqual(yield* rest, [])
      }))

    it.effect("G15: a run that told something is not begun again, though its receipt was lost and history lacks it", () =>
      Effect.gen(function*() {
        const { connect, drop, next, runner } = yield* start()
        const before = yield* connect()
        yield* settle
        yield* runner.delegate("hello")
        const asked = yield* before.next("chat.send")
        before.tell("chat", chat(asked, { state: "status", phase: "starting_model" }))
        yield* next("Sent")
        yield* next("Phase")
        yield* drop(before)
        const gateway = yield* connect()
        for (let looks = 0; looks < 2; looks++) {
          const history = yield* gateway.next("chat.history")
          history.answer({ messages: [], sessionInfo: { hasActiveRun: false } })
          yield* TestClock.adjust("5 seconds")
        }
        assert.deepStrictEqual((yield* next("Unknown")).evidence, { answered: false, history: "Absent" })
        assert.strictEqual(gateway.untaken(), 0)
      }))

    it.effect("G15: the gateway knows the key: the reply is read from history", () =>
      Effect.gen(function*() {
        const { connect, next, runner } = yield* start()
        const gateway = yield* connect()
        yield* runner.delegate("hello")
        const asked = yield* gateway.next("chat.send")
        asked.timeOut()
        const first = yield* gateway.next("chat.history")
        first.answer({ messages: [] })
        const again = yield* gateway.next("chat.send")
        again.answer({ runId: again.params.idempotencyKey, status: "ok" })
        const second = yield* gateway.next("chat.history")
        second.answer({ messages: [question(asked), answer(asked, "hi")] })
        yield* next("Sent")
        assert.strictEqual((yield* next("Replied")).text, "hi")
      }))

    it.effect("G15: answered, and not in history: never sent again; unknown when its time is up, with evidence", () =>
      Effect.gen(function*() {
        const { connect, drop, next, runner } = yield* start()
        const before = yield* connect()
        yield* settle
        const receipt = yield* runner.delegate("hello")
        yield* accept(before)
        yield* next("Sent")
        yield* drop(before)
        const gateway = yield* connect()
        for (let looks = 0; looks < 36; looks++) {
          const history = yield* gateway.next("chat.history")
          history.answer({ messages: [] })
          yield* TestClock.adjust("5 seconds")
        }
        const evidence = { answered: true, history: "Absent" as const }
        assert.deepStrictEqual(yield* next("Unknown"), { ...ids(receipt), _tag: "Unknown", evidence })
        assert.deepStrictEqual(yield* runner.await(receipt.taskId), { _tag: "Unknown", evidence })
        assert.strictEqual(gateway.untaken(), 0)
      }))

    for (const shown of ["the message and no reply: the agent said nothing", "no message: unknown"]) {
      it.effect(`G15: the gateway says that the run is over, and history shows ${shown}`, () =>
        Effect.gen(function*() {
          const { connect, next, runner } = yield* start()
          const gateway = yield* connect()
          yield* runner.delegate("hello")
          const asked = yield* gateway.next("chat.send")
          asked.answer({ runId: asked.params.idempotencyKey, status: "ok" })
          const messages = shown.startsWith("the message") ? [question(asked)] : []
          const first = yield* gateway.next("chat.history")
          first.answer({ messages })
          yield* TestClock.adjust("5 seconds")
          const second = yield* gateway.next("chat.history")
          second.answer({ messages })
          yield* next("Sent")
          if (messages.length > 0) assert.strictEqual((yield* next("Replied")).text, "")
          else assert.deepStrictEqual((yield* next("Unknown")).evidence, { answered: true, history: "Absent" })
        }))
    }

    it.effect("on releases without run ids the same text from before is not taken for ours, by the gateway's clock", () =>
      Effect.gen(function*() {
        const { connect, drop, next, rest, runner } = yield* start()
        const [nowMs, aheadMs] = [1_795_330_230_896, 3_600_000]
        yield* TestClock.setTime(nowMs)
        const before = yield* connect({ clockDeltaMs: aheadMs })
        yield* runner.delegate("again")
        yield* before.next("chat.send")
        yield* drop(before)
        const gateway = yield* connect({ clockDeltaMs: aheadMs })
        const history = yield* gateway.next("chat.history")
        const turn = (atMs: number, text: string) => [
          { role: "user", content: "again", timestamp: atMs },
          { role: "assistant", content: text, stopReason: "stop", timestamp: atMs + 1 }
        ]
        const earlier = turn(nowMs + aheadMs - 1000, "the answer to an earlier task")
        history.answer({ messages: earlier })
        const again = yield* gateway.next("chat.send")
        again.timeOut()
        const later = yield* gateway.next("chat.history")
        later.answer({ messages: [...earlier, ...turn(nowMs + aheadMs, "ours")] })
        yield* next("Sent")
        assert.strictEqual((yield* next("Replied")).text, "ours")
        assert.deepStrictEqual(yield* rest, [])
      }))

    it.effect("in history without a reply: looked for again, until it is there", () =>
      Effect.gen(function*() {
        const { connect, drop, next, rest, runner } = yield* start()
        const before = yield* connect()
        yield* runner.delegate("hello")
        const asked = yield* before.next("chat.send")
        yield* drop(before)
        const gateway = yield* connect()
        const first = yield* gateway.next("chat.history")
        first.answer({ messages: [question(asked)] })
        yield* next("Sent")
        yield* TestClock.adjust("5 seconds")
        const second = yield* gateway.next("chat.history")
        assert.deepStrictEqual(yield* rest, [])
        second.answer({ messages: [question(asked), answer(asked, "found")] })
        assert.strictEqual((yield* next("Replied")).text, "found")
      }))

    it.effect("no history to be had: nothing is sent again, and the outcome is unknown", () =>
      Effect.gen(function*() {
        const { connect, drop, next, runner } = yield* start()
        const before = yield* connect()
        yield* settle
        yield* runner.delegate("hello")
        yield* before.next("chat.send")
        yield* drop(before)
        const gateway = yield* connect()
        for (let looks = 0; looks < 36; looks++) {
          const history = yield* gateway.next("chat.history")
          history.refuse({ code: "INVALID_REQUEST", message: "missing scope: operator.read" })
          yield* TestClock.adjust("5 seconds")
        }
        assert.deepStrictEqual((yield* next("Unknown")).evidence, { answered: false, history: "Unavailable" })
        assert.strictEqual(gateway.untaken(), 0)
      }))

    it.effect("the end of a link that another one has replaced is none of the tasks", () =>
      Effect.gen(function*() {
        const { connect, next, rest, runner } = yield* start()
        const before = yield* connect()
        yield* settle
        yield* runner.delegate("hello")
        const asked = yield* accept(before)
        yield* next("Sent")
        const gateway = yield* connect()
        const history = yield* gateway.next("chat.history")
        history.answer({ messages: [question(asked)], inFlightRun: { runId: asked.params.idempotencyKey } })
        yield* Effect.sync(before.end)
        yield* settle
        yield* reply(gateway, asked, "hi")
        assert.strictEqual((yield* next("Replied")).text, "hi")
        yield* runner.delegate("the next one")
        yield* accept(gateway)
        yield* next("Sent")
        assert.deepStrictEqual(yield* rest, [])
      }))

    it.effect("no link in time: unknown, at its moment", () =>
      Effect.gen(function*() {
        const { connect, drop, next, runner } = yield* start()
        const gateway = yield* connect()
        yield* settle
        yield* runner.delegate("hello")
        yield* accept(gateway)
        yield* next("Sent")
        yield* drop(gateway)
        yield* TestClock.adjust("180 seconds")
        assert.deepStrictEqual((yield* next("Unknown")).evidence, { answered: true, history: "Unavailable" })
      }))

    it.effect("lost events are not waited for: history is asked on the same link", () =>
      Effect.gen(function*() {
        const { connect, next, runner } = yield* start()
        const gateway = yield* connect()
        yield* runner.delegate("hello")
        const asked = yield* accept(gateway)
        yield* next("Sent")
        gateway.lose(3)
        gateway.tell("chat", { runId: "another", sessionKey: "agent:main:other", state: "final" })
        const history = yield* gateway.next("chat.history")
        history.answer({ messages: [question(asked), answer(asked, "it was among the lost")] })
        assert.strictEqual((yield* next("Replied")).text, "it was among the lost")
      }))
  })

  describe("abort", () => {
    it.effect("a task that was not sent ends at once, and is never sent", () =>
      Effect.gen(function*() {
        const { connect, next, rest, runner } = yield* start()
        const { taskId } = yield* runner.delegate("one")
        yield* next("Queued")
        assert.isTrue(yield* runner.abort(taskId))
        yield* next("Aborted")
        assert.isFalse(yield* runner.abort(taskId))
        const gateway = yield* connect()
        yield* settle
        assert.strictEqual(gateway.untaken(), 0)
        assert.deepStrictEqual(yield* rest, [])
      }))

    it.effect("a run is stopped at the gateway, whose event ends the task", () =>
      Effect.gen(function*() {
        const { connect, next, runner } = yield* start()
        const gateway = yield* connect()
        const { runId, taskId } = yield* runner.delegate("one")
        const asked = yield* accept(gateway)
        yield* next("Sent")
        const aborting = yield* Effect.forkChild(runner.abort(taskId))
        const abort = yield* gateway.next("chat.abort")
        assert.deepStrictEqual(abort.params, { sessionKey: "agent:main:main", runId })
        gateway.tell("chat", chat(asked, { state: "aborted", stopReason: "rpc", message: said("word0 word1") }))
        abort.answer({ ok: true, aborted: true, runIds: [runId] })
        assert.isTrue(yield* Fiber.join(aborting))
        assert.strictEqual((yield* next("Aborted")).text, "word0 word1")
      }))

    it.effect("wanted without a link, it is asked for after the next one", () =>
      Effect.gen(function*() {
        const { connect, drop, next, runner } = yield* start()
        const before = yield* connect()
        const { runId, taskId } = yield* runner.delegate("one")
        const asked = yield* accept(before)
        yield* next("Sent")
        yield* drop(before)
        yield* settle
        assert.isTrue(yield* runner.abort(taskId))
        const gateway = yield* connect()
        const abort = yield* gateway.next("chat.abort")
        abort.answer({ ok: true, aborted: true, runIds: [runId] })
        const history = yield* gateway.next("chat.history")
        history.answer({ messages: [question(asked)] })
        yield* next("Aborted")
      }))

    it.effect("wanted without a link, of what the gateway never got: it is not sent again", () =>
      Effect.gen(function*() {
        const { connect, drop, next, runner } = yield* start()
        const before = yield* connect()
        const { taskId } = yield* runner.delegate("one")
        yield* before.next("chat.send")
        yield* drop(before)
        yield* settle
        assert.isTrue(yield* runner.abort(taskId))
        const gateway = yield* connect()
        const abort = yield* gateway.next("chat.abort")
        abort.answer({ ok: true, aborted: false, runIds: [] })
        const history = yield* gateway.next("chat.history")
        history.answer({ messages: [] })
        yield* next("Aborted")
        assert.strictEqual(gateway.untaken(), 0)
      }))

    it.effect("wanted twice at once, it is asked of the gateway once, and both are answered", () =>
      Effect.gen(function*() {
        const { connect, runner } = yield* start()
        const gateway = yield* connect()
        const { runId, taskId } = yield* runner.delegate("one")
        yield* accept(gateway)
        const first = yield* Effect.forkChild(runner.abort(taskId), { startImmediately: true })
        const second = yield* Effect.forkChild(runner.abort(taskId), { startImmediately: true })
        const abort = yield* gateway.next("chat.abort")
        abort.answer({ ok: true, aborted: true, runIds: [runId] })
        assert.deepStrictEqual([yield* Fiber.join(first), yield* Fiber.join(second)], [true, true])
        assert.strictEqual(gateway.untaken(), 0)
      }))

    it.effect("of a task that expired stops the run that outlived it; of one that is over it does nothing", () =>
      Effect.gen(function*() {
        const { connect, next, runner } = yield* start({ taskTimeout: "10 seconds" })
        const gateway = yield* connect()
        yield* settle
        const { runId, taskId } = yield* runner.delegate("one")
        const asked = yield* accept(gateway)
        yield* TestClock.adjust("10 seconds")
        for (const tag of ["Sent", "Expired"] as const) yield* next(tag)
        const aborting = yield* Effect.forkChild(runner.abort(taskId))
        const abort = yield* gateway.next("chat.abort")
        gateway.tell("chat", chat(asked, { state: "aborted", stopReason: "rpc" }))
        abort.answer({ ok: true, aborted: true, runIds: [runId] })
        assert.isTrue(yield* Fiber.join(aborting))
        assert.isFalse(yield* runner.abort(taskId))
        assert.deepStrictEqual((yield* runner.list).map(({ state }) => state._tag), ["Expired"])
        assert.strictEqual(gateway.untaken(), 0)
      }))

    it.effect("of a task that is not there fails", () =>
      Effect.gen(function*() {
        const { runner } = yield* start()
        const taskId = TaskId.make("nothing")
        assert.strictEqual((yield* Effect.flip(runner.abort(taskId)))._tag, "TaskNotFound")
        assert.strictEqual((yield* Effect.flip(runner.await(taskId))).message, "no task nothing")
      }))
  })

  it.effect("every subscriber gets every event, and the streams end with the runner", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { connect, next, runner } = yield* Scope.provide(start(), scope)
      const collect = Effect.forkChild(Stream.runCollect(runner.events), { startImmediately: true })
      const slow = yield* Effect.forkChild(
        Stream.runCollect(Stream.mapEffect(runner.events, (event) => Effect.as(Effect.sleep("1 hour"), event))),
        { startImmediately: true }
      )
      const quick = yield* collect
      const gateway = yield* connect()
      for (let index = 0; index < 300; index++) {
        yield* runner.delegate(`task ${index}`)
        const asked = yield* accept(gateway)
        yield* reply(gateway, asked, `reply ${index}`)
        while ((yield* runner.list).some(({ state }) => state._tag === "Sent" || state._tag === "Queued")) yield* settle
      }
      yield* next("Sent")
      yield* Scope.close(scope, Exit.void)
      const all = yield* Fiber.join(quick)
      assert.deepStrictEqual(
        all.flatMap((event) => event._tag === "Replied" ? [event.text] : []),
        Array.from({ length: 300 }, (_, index) => `reply ${index}`)
      )
      yield* TestClock.adjust("1000 hours")
      assert.deepStrictEqual(yield* Fiber.join(slow), all)
      assert.strictEqual((yield* runner.list).length, 200)
      assert.deepStrictEqual(yield* Stream.runCollect(runner.events), [])
    }))

  it.effect("follow shows how one task stands and each change up to its end, and replies are told apart", () =>
    Effect.gen(function*() {
      const { connect, next, runner } = yield* start({ taskTimeout: "10 seconds" })
      const first = yield* runner.delegate("one", { sessionKey: "a" })
      const other = yield* runner.delegate("two", { sessionKey: "b" })
      const collect = <A, E>(stream: Stream.Stream<A, E>) =>
        Effect.forkChild(Stream.runCollect(stream), { startImmediately: true })
      const states = yield* collect(runner.follow(first.taskId))
      const replies = yield* collect(Stream.take(runner.replies, 2))
      const gateway = yield* connect()
      const [one, two] = [yield* accept(gateway), yield* accept(gateway)]
      for (const tag of ["Queued", "Queued", "Sent", "Sent"] as const) yield* next(tag)
      gateway.tell("chat", chat(one, { state: "status", phase: "starting_model" }))
      yield* reply(gateway, two, "second")
      yield* TestClock.adjust("10 seconds")
      yield* reply(gateway, one, "late")
      assert.deepStrictEqual(yield* Fiber.join(states), [
        { _tag: "Queued", reason: "Offline" },
        { _tag: "Sent" },
        { _tag: "Running", phase: "starting_model" },
        { _tag: "Expired", sent: true }
      ])
      assert.deepStrictEqual((yield* Fiber.join(replies)).map(({ late, taskId }) => [taskId, late]), [
        [other.taskId, false],
        [first.taskId, true]
      ])
      assert.deepStrictEqual((yield* Stream.runCollect(runner.follow(first.taskId))).map(({ _tag }) => _tag), [
        "Expired"
      ])
      const nobody = yield* Effect.flip(Stream.runCollect(runner.follow(TaskId.make("nothing"))))
      assert.strictEqual(nobody._tag, "TaskNotFound")
    }))

  it.effect("closing leaves no fiber, sleep, request or subscription, in whatever state the tasks are", () =>
    Census.taken((census) =>
      Effect.gen(function*() {
        const fibers = census.fibers()
        const scope = yield* Scope.make()
        const { connect, runner } = yield* Scope.provide(start(), scope)
        const gateway = yield* connect()
        yield* settle
        const sent = yield* runner.delegate("sent", { sessionKey: "a" })
        yield* accept(gateway)
        yield* runner.delegate("waits for its turn", { sessionKey: "a" })
        yield* runner.delegate("not answered", { sessionKey: "b" })
        yield* gateway.next("chat.send")
        yield* runner.delegate("fails", { sessionKey: "c" })
        const fails = yield* accept(gateway)
        gateway.tell("chat", chat(fails, { state: "error", errorMessage: "x" }))
        yield* settle
        assert.strictEqual(gateway.pending(), 1)
        assert.isAbove(census.sleeps(), 3)
        const waiting = yield* Effect.forkChild(runner.await(sent.taskId), { startImmediately: true })
        yield* Scope.close(scope, Exit.void)
        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(waiting)))
        assert.strictEqual(gateway.pending(), 0)
        assert.strictEqual(gateway.subscribers(), 0)
        assert.strictEqual(census.sleeps(), 0)
        assert.strictEqual(census.fibers(), fibers)
      })
    ))
})

const ids = ({ runId, taskId }: Pick<TaskEvent, "runId" | "taskId">) => ({ runId, taskId })
