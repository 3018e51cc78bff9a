import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { RunId, TaskId } from "../../src/tasks/Task.ts"
import { TaskJournal, TaskJournalError } from "../../src/tasks/TaskJournal.ts"
import type { Asked, Gateway } from "./Fixture.ts"
import { chat, connecting, home, said, start, started } from "./Fixture.ts"

const settle = TestClock.adjust(0)

const accept = Effect.fnUntraced(function*(gateway: Gateway) {
  const asked = yield* gateway.next("chat.send")
  asked.answer(started(asked))
  return asked
})
const of = (asked: Asked) => ({ __openclaw: { runId: asked.params.idempotencyKey } })
const question = (asked: Asked) => ({ role: "user", content: asked.params.message, ...of(asked) })
const answer = (asked: Asked, text: string) => ({ ...said(text), stopReason: "stop", ...of(asked) })
const idle = (...messages: ReadonlyArray<unknown>) => ({
  messages,
  sessionInfo: { key: "agent:main:main", hasActiveRun: false }
})
const busy = (...messages: ReadonlyArray<unknown>) => ({
  messages,
  sessionInfo: { key: "agent:main:main", hasActiveRun: true }
})

/** Delegates, and loses the link under the run. `end`: what the gateway then remembers of it. */
const interruptedKnowing = Effect.fnUntraced(function*(end: (runId: string) => unknown) {
  const running = yield* start()
  const before = yield* running.connect()
  yield* settle
  const receipt = yield* running.runner.delegate("hello")
  const asked = yield* accept(before)
  yield* running.next("Sent")
  yield* running.drop(before)
  const known = end(receipt.runId)
  const gateway = yield* running.connect({}, known === undefined ? {} : { [receipt.runId]: known })
  return { ...running, receipt, asked, gateway }
})
const interrupted = interruptedKnowing(() => undefined)

describe("what a gateway shows of a run whose end was not seen", () => {
  for (const history of ["NoReply", "Absent"] as const) {
    it.effect(`G14: nothing is at work, and history has no reply (${history}): unknown, within seconds`, () =>
      Effect.gen(function*() {
        const { asked, gateway, next, rest, runner } = yield* interrupted
        const shown = history === "NoReply" ? idle(question(asked)) : idle()
        const first = yield* gateway.next("chat.history")
        first.answer(shown)
        assert.deepStrictEqual(yield* rest, [])
        yield* TestClock.adjust("5 seconds")
        const second = yield* gateway.next("chat.history")
        second.answer(shown)
        assert.deepStrictEqual((yield* next("Unknown")).evidence, { answered: true, history })
        yield* runner.delegate("the next one need not wait")
        yield* accept(gateway)
      }))
  }

  it.effect("F47: a reply that comes after a prompt unknown is told as late, on the same task, and once", () =>
    Effect.gen(function*() {
      const { asked, gateway, next, receipt, rest, runner } = yield* interrupted
      for (let looks = 0; looks < 2; looks++) {
        const looked = yield* gateway.next("chat.history")
        looked.answer(idle(question(asked)))
        yield* TestClock.adjust("5 seconds")
      }
      yield* next("Unknown")
      yield* runner.delegate("the next one need not wait")
      const other = yield* accept(gateway)
      yield* next("Sent")
      yield* TestClock.adjust("1 hour")
      yield* rest
      gateway.tell("chat", chat(asked, { state: "delta", message: said("at") }))
      gateway.tell("chat", chat(asked, { state: "final", message: said("at last") }))
      gateway.tell("chat", chat(asked, { state: "final", message: said("at last") }))
      gateway.tell("chat", chat(other, { state: "final", message: said("too late as well") }))
      assert.include(yield* next("Replied"), { taskId: receipt.taskId, text: "at last", late: true })
      assert.include(yield* next("Replied"), { text: "too late as well", late: true })
      assert.deepStrictEqual(yield* rest, [])
      assert.deepStrictEqual((yield* runner.list).map(({ state }) => state._tag), ["Unknown", "Expired"])
    }))

  it.effect("G14: while another run is at work in the session, nothing is given up", () =>
    Effect.gen(function*() {
      const { asked, gateway, next } = yield* interrupted
      for (let looks = 0; looks < 10; looks++) {
        const looked = yield* gateway.next("chat.history")
        looked.answer(busy(question(asked)))
        yield* TestClock.adjust("5 seconds")
      }
      const last = yield* gateway.next("chat.history")
      last.answer(idle(question(asked), answer(asked, "at last")))
      assert.strictEqual((yield* next("Replied")).text, "at last")
    }))

  it.effect("F51: the gateway remembers that the run failed, and history is not asked for", () =>
    Effect.gen(function*() {
      const { gateway, next } = yield* interruptedKnowing((runId) => ({
        runId,
        status: "error",
        error: "400 fake failure"
      }))
      assert.include((yield* next("Failed")).error, { gatewayMessage: "400 fake failure" })
      assert.strictEqual(gateway.untaken(), 0)
    }))

  it.effect("G14: the gateway remembers that the run ended well, and its reply comes into history a moment later", () =>
    Effect.gen(function*() {
      const { asked, gateway, next } = yield* interruptedKnowing((runId) => ({ runId, status: "ok" }))
      const first = yield* gateway.next("chat.history")
      first.answer(idle(question(asked)))
      yield* TestClock.adjust("5 seconds")
      const second = yield* gateway.next("chat.history")
      second.answer(idle(question(asked), answer(asked, "hi")))
      assert.strictEqual((yield* next("Replied")).text, "hi")
    }))

  it.effect("the gateway remembers that the run ended well, and nothing was said: an empty reply", () =>
    Effect.gen(function*() {
      const { asked, gateway, next } = yield* interruptedKnowing((runId) => ({ runId, status: "ok" }))
      for (let looks = 0; looks < 2; looks++) {
        const looked = yield* gateway.next("chat.history")
        looked.answer({ messages: [question(asked)] })
        yield* TestClock.adjust("5 seconds")
      }
      assert.strictEqual((yield* next("Replied")).text, "")
    }))
})

describe("the time of a task is up", () => {
  /** The time of a task is up, and the gateway remembers an end of its run that it never told. */
  const expiring = Effect.fnUntraced(function*(remembered: Readonly<Record<string, string>>) {
    const { connect, next, runner } = yield* start({ taskTimeout: "10 seconds" })
    const gateway = yield* connect()
    yield* settle
    const { runId } = yield* runner.delegate("ends in silence")
    const asked = yield* accept(gateway)
    yield* next("Sent")
    gateway.remember(runId, { runId, ...remembered })
    yield* TestClock.adjust("10 seconds")
    return { asked, gateway, next }
  })

  it.effect("F51: a run whose end was never told is asked about before it expires", () =>
    Effect.gen(function*() {
      const { next } = yield* expiring({ status: "error", error: "400 fake failure" })
      assert.include((yield* next("Failed")).error, { gatewayMessage: "400 fake failure" })
    }))

  it.effect("G14: the last question is answered with the end alone, and history has the reply", () =>
    Effect.gen(function*() {
      const { asked, gateway, next } = yield* expiring({ status: "ok" })
      const looked = yield* gateway.next("chat.history")
      looked.answer(idle(question(asked), answer(asked, "done")))
      assert.strictEqual((yield* next("Replied")).text, "done")
    }))

  it.effect("F47: a gateway that does not answer the last question in two seconds is not waited for", () =>
    Effect.gen(function*() {
      const { gateway, next } = yield* expiring({ status: "ok" })
      yield* gateway.next("chat.history")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* next("Expired")).sent, true)
    }))

  it.effect("F47: its run is stopped at the gateway if that is wanted, and then the session is free", () =>
    Effect.gen(function*() {
      const { connect, next, rest, runner } = yield* start({ taskTimeout: "10 seconds", abortExpired: true })
      const gateway = yield* connect()
      yield* settle
      const { runId } = yield* runner.delegate("slow")
      const asked = yield* accept(gateway)
      yield* next("Sent")
      yield* TestClock.adjust("10 seconds")
      assert.isTrue((yield* next("Expired")).sent)
      yield* runner.delegate("quick")
      yield* next("Queued")
      const abort = yield* gateway.next("chat.abort")
      assert.deepStrictEqual(abort.params, { sessionKey: "agent:main:main", runId })
      assert.strictEqual(gateway.untaken(), 0)
      gateway.tell("chat", chat(asked, { state: "aborted", stopReason: "rpc" }))
      abort.answer({ ok: true, aborted: true, runIds: [runId] })
      assert.strictEqual((yield* accept(gateway)).params.message, "quick")
      yield* next("Sent")
      assert.deepStrictEqual(yield* rest, [])
    }))

  it.effect("F47: it is asked again after a lost link, and what was never sent is not stopped", () =>
    Effect.gen(function*() {
      const { connect, drop, next, runner } = yield* start({ taskTimeout: "10 seconds", abortExpired: true })
      const before = yield* connect()
      yield* settle
      yield* runner.delegate("slow")
      yield* accept(before)
      yield* runner.delegate("never sent")
      yield* TestClock.adjust("10 seconds")
      yield* before.next("chat.abort")
      yield* drop(before)
      const gateway = yield* connect()
      const abort = yield* gateway.next("chat.abort")
      abort.answer({ ok: true, aborted: false, runIds: [] })
      yield* settle
      for (const tag of ["Sent", "Queued", "Expired", "Expired"] as const) yield* next(tag)
      assert.strictEqual(gateway.untaken(), 0)
      yield* runner.delegate("next")
      yield* accept(gateway)
    }))
})

describe("a session made busy by others", () => {
  const met = Effect.fnUntraced(function*(gateway: Gateway) {
    const asked = yield* accept(gateway)
    gateway.tell("chat", chat(asked, { state: "final" }))
    return asked
  })
  const foreign = (text: string) => ({ ...said(text), stopReason: "stop", __openclaw: { runId: "foreign" } })

  it.effect("F43: the reply to the message before ours is not taken while ours is at work", () =>
    Effect.gen(function*() {
      const { connect, next, rest, runner } = yield* start()
      const gateway = yield* connect()
      yield* settle
      yield* runner.delegate("hello")
      const asked = yield* met(gateway)
      yield* next("Sent")
      const theirs = { role: "user", content: "theirs", __openclaw: { runId: "foreign" } }
      const first = yield* gateway.next("chat.history")
      first.answer(busy(theirs, question(asked), foreign("to them")))
      assert.deepStrictEqual(yield* rest, [])
      yield* TestClock.adjust("5 seconds")
      const second = yield* gateway.next("chat.history")
      second.answer(
        idle(theirs, question(asked), foreign("to them"), { ...foreign("to us"), __openclaw: { runId: "untold" } })
      )
      assert.strictEqual((yield* next("Replied")).text, "to us")
    }))

  it.effect("F43: 2026.9.6 appends to the answer of the run at work, which is ours too", () =>
    Effect.gen(function*() {
      const { connect, next, runner } = yield* start()
      const gateway = yield* connect()
      yield* runner.delegate("hello")
      const asked = yield* met(gateway)
      yield* next("Sent")
      const looked = yield* gateway.next("chat.history")
      looked.answer(idle(question(asked), foreign("to both")))
      assert.strictEqual((yield* next("Replied")).text, "to both")
    }))

  it.effect("F43: 2026.6.11 answers under the new run id, after the first run", () =>
    Effect.gen(function*() {
      const { connect, next, rest, runner } = yield* start()
      const gateway = yield* connect()
      yield* runner.delegate("hello")
      const asked = yield* accept(gateway)
      gateway.tell("chat", { ...chat(asked, { state: "final", message: said("to them") }), runId: "foreign" })
      yield* TestClock.adjust("1 minute")
      yield* next("Sent")
      assert.deepStrictEqual(yield* rest, [])
      gateway.tell("chat", chat(asked, { state: "final", message: said("to us") }))
      assert.strictEqual((yield* next("Replied")).text, "to us")
    }))

  it.effect("F43: the reply that an own task got before is not given to the next one too", () =>
    Effect.gen(function*() {
      const { connect, next, rest, runner } = yield* start()
      const gateway = yield* connect()
      yield* settle
      yield* runner.delegate("one")
      const one = yield* accept(gateway)
      gateway.tell("chat", chat(one, { state: "final", message: said("first") }))
      yield* settle
      yield* runner.delegate("two")
      for (const tag of ["Sent", "Replied"] as const) yield* next(tag)
      const two = yield* met(gateway)
      yield* next("Sent")
      const looked = yield* gateway.next("chat.history")
      looked.answer(idle(question(one), question(two), answer(one, "first")))
      assert.deepStrictEqual(yield* rest, [])
      yield* TestClock.adjust("5 seconds")
      const again = yield* gateway.next("chat.history")
      again.answer(idle(question(one), question(two), answer(one, "first"), foreign("second")))
      assert.strictEqual((yield* next("Replied")).text, "second")
    }))

  it.effect("F51: 2026.6.11 gives up before it begins: the task failed, and nothing is sent again", () =>
    Effect.gen(function*() {
      const { connect, next, runner } = yield* start()
      const gateway = yield* connect()
      yield* settle
      yield* runner.delegate("hello")
      const asked = yield* accept(gateway)
      const errorMessage = "Error: reply session initialization conflicted for agent:main:main"
      gateway.tell("chat", chat(asked, { state: "error", errorMessage }))
      yield* TestClock.adjust("10 minutes")
      yield* next("Sent")
      const { error } = yield* next("Failed")
      assert.strictEqual(error._tag, "SessionConflicted")
      assert.include(error.message, "nothing ran, and it may be delegated again")
      assert.strictEqual(gateway.untaken(), 0)
    }))

  it.effect("F43: the same text is at work for another client: its reply is ours too", () =>
    Effect.gen(function*() {
      const { connect, next, runner } = yield* start()
      const gateway = yield* connect()
      yield* settle
      yield* runner.delegate("hello")
      const asked = yield* gateway.next("chat.send")
      asked.answer({ runId: "theirs", status: "in_flight" })
      gateway.tell("chat", { ...chat(asked, { state: "final", message: said("to both") }), runId: "theirs" })
      yield* next("Sent")
      assert.strictEqual((yield* next("Replied")).text, "to both")
    }))

  it.effect("F43: a gateway whose main session has another name tells it, and is listened to from then on", () =>
    Effect.gen(function*() {
      const { connect, next, runner } = yield* start()
      const gateway = yield* connect()
      yield* settle
      yield* runner.delegate("hello")
      const asked = yield* accept(gateway)
      const named = { ...chat(asked, { state: "status", phase: "starting_model" }), sessionKey: "agent:main:work" }
      gateway.tell("chat", named)
      yield* next("Sent")
      const looked = yield* gateway.next("chat.history")
      looked.answer({
        messages: [question(asked)],
        inFlightRun: { runId: asked.params.idempotencyKey },
        sessionInfo: { key: "agent:main:work", hasActiveRun: true }
      })
      yield* settle
      gateway.tell("chat", { ...chat(asked, { state: "final", message: said("hi") }), sessionKey: "agent:main:work" })
      assert.strictEqual((yield* next("Replied")).text, "hi")
    }))
})

describe("a session that the gateway gives another name", () => {
  const named = (asked: Asked, rest: Readonly<Record<string, unknown>>) => ({
    ...chat(asked, rest),
    sessionKey: "agent:main:work"
  })
  const empty = { messages: [], sessionInfo: { key: "agent:main:work", hasActiveRun: false } }
  const running = Effect.gen(function*() {
    const started = yield* start()
    const gateway = yield* started.connect()
    yield* settle
    yield* started.runner.delegate("hello")
    const asked = yield* accept(gateway)
    yield* started.next("Sent")
    return { ...started, asked, gateway }
  })

  it.effect("its reply is taken although history is empty, whether it comes before or after the name is known", () =>
    Effect.gen(function*() {
      const { asked, gateway, next, runner } = yield* running
      gateway.tell("chat", named(asked, { state: "final", message: said("hi") }))
      const looked = yield* gateway.next("chat.history")
      looked.answer(empty)
      assert.strictEqual((yield* next("Replied")).text, "hi")

      yield* runner.delegate("hello again")
      const again = yield* accept(gateway)
      yield* next("Sent")
      gateway.tell("chat", named(again, { state: "delta", message: said("h") }))
      gateway.tell("chat", named(again, { state: "final", message: said("hi again") }))
      assert.strictEqual((yield* next("Replied")).text, "hi again")
    }))

  it.effect("a run that goes on is listened to, although history is empty", () =>
    Effect.gen(function*() {
      const { asked, gateway, next, rest } = yield* running
      gateway.tell("agent", named(asked, { stream: "lifecycle", data: { phase: "start" } }))
      for (let looks = 0; looks < 3; looks++) {
        if (looks > 0 && gateway.untaken() === 0) break
        const looked = yield* gateway.next("chat.history")
        looked.answer(empty)
        yield* TestClock.adjust("5 seconds")
      }
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* rest, [])
      gateway.tell("chat", named(asked, { state: "final", message: said("hi") }))
      assert.strictEqual((yield* next("Replied")).text, "hi")
    }))

  it.effect("G14: after a lost link its end may have been missed, and then it is not waited for", () =>
    Effect.gen(function*() {
      const { asked, connect, drop, gateway, next } = yield* running
      gateway.tell("agent", named(asked, { stream: "lifecycle", data: { phase: "start" } }))
      yield* gateway.next("chat.history")
      yield* drop(gateway)
      const after = yield* connect()
      for (let looks = 0; looks < 2; looks++) {
        const looked = yield* after.next("chat.history")
        looked.answer(empty)
        yield* TestClock.adjust("5 seconds")
      }
      assert.strictEqual((yield* next("Unknown")).evidence.history, "Absent")
    }))

  it.effect("a release that tells no names: what was heard of our run is taken before nothing is known", () =>
    Effect.gen(function*() {
      const { asked, gateway, next } = yield* running
      gateway.tell("chat", named(asked, { state: "final", message: said("hi") }))
      for (let looks = 0; looks < 2; looks++) {
        const looked = yield* gateway.next("chat.history")
        looked.answer({ messages: [], sessionInfo: { hasActiveRun: false } })
        yield* TestClock.adjust("5 seconds")
      }
      assert.strictEqual((yield* next("Replied")).text, "hi")
    }))

  it.effect("F43: an end that another session tells under our run id is not ours", () =>
    Effect.gen(function*() {
      const { asked, gateway, next } = yield* running
      gateway.tell("chat", named(asked, { state: "final", message: said("not ours") }))
      for (let looks = 0; looks < 2; looks++) {
        const looked = yield* gateway.next("chat.history")
        looked.answer(idle())
        yield* TestClock.adjust("5 seconds")
      }
      assert.strictEqual((yield* next("Unknown")).evidence.history, "Absent")
    }))
})

describe("the journal of a runner", () => {
  const shared = Effect.map(
    Effect.map(Layer.build(Layer.fresh(TaskJournal.layerMemory)), Context.get(TaskJournal)),
    (journal) => ({ journal, layer: Layer.succeed(TaskJournal, journal) })
  )

  it.effect("G15 B07: has a task before it is sent, knows what was answered, and forgets what is done", () =>
    Effect.gen(function*() {
      const { journal, layer } = yield* shared
      const { connect, next, runner } = yield* start({}, connecting, layer)
      const receipt = yield* runner.delegate("hello")
      const [accepted] = yield* journal.read
      assert.deepInclude(accepted, { taskId: receipt.taskId, runId: receipt.runId, summary: "hello" })
      assert.isUndefined(accepted?.sentAtMs)
      yield* TestClock.adjust("1 minute")
      const gateway = yield* connect()
      const asked = yield* gateway.next("chat.send")
      assert.include((yield* journal.read)[0], { sentAtMs: 60_000, answeredRunId: undefined })
      asked.answer(started(asked))
      yield* settle
      assert.include((yield* journal.read)[0], { sentAtMs: 60_000, answeredRunId: receipt.runId })
      gateway.tell("chat", chat(asked, { state: "final", message: said("hi") }))
      for (const tag of ["Queued", "Sent", "Replied"] as const) yield* next(tag)
      yield* settle
      assert.deepStrictEqual(yield* journal.read, [])
    }))

  it.effect("G15 B07: forgets what is done also when the runner ends while an earlier write is under way", () =>
    Effect.gen(function*() {
      const { journal } = yield* shared
      const written = yield* Deferred.make<void>()
      let writes = 0
      const slow = Layer.succeed(TaskJournal, {
        ...journal,
        put: (entry) =>
          Effect.andThen(
            Effect.uninterruptible(Effect.suspend(() => ++writes === 3 ? Deferred.await(written) : Effect.void)),
            journal.put(entry)
          )
      })
      const life = yield* Scope.make()
      const { connect, runner } = yield* Scope.provide(start({}, connecting, slow), life)
      const gateway = yield* connect()
      yield* settle
      const { taskId } = yield* runner.delegate("hello")
      const asked = yield* accept(gateway)
      yield* settle
      assert.strictEqual(writes, 3)
      gateway.tell("chat", chat(asked, { state: "final", message: said("hi") }))
      assert.strictEqual((yield* runner.await(taskId))._tag, "Completed")
      const ending = yield* Effect.forkChild(Scope.close(life, Exit.void), { startImmediately: true })
      yield* settle
      yield* Deferred.succeed(written, undefined)
      yield* Fiber.join(ending)
      assert.deepStrictEqual(yield* journal.read, [])
    }))

  it.effect("G15 B07: after a restart the same key goes on, and what another gateway's is stays where it is", () =>
    Effect.gen(function*() {
      const { journal, layer } = yield* shared
      yield* journal.put({
        taskId: TaskId.make("0badcafe"),
        runId: RunId.make("0badcafe-0000-4000-8000-000000000000"),
        gatewayScope: "wss://elsewhere:443/",
        sessionKey: "agent:main:main",
        summary: "not for this gateway",
        position: 7,
        acceptedAtMs: 0
      })
      const life = yield* Scope.make()
      const first = yield* Scope.provide(start({}, connecting, layer), life)
      const before = yield* first.connect()
      const sent = yield* first.runner.delegate("sent")
      yield* first.runner.delegate("waits for its turn")
      yield* before.next("chat.send")
      yield* Scope.close(life, Exit.void)
      assert.strictEqual((yield* journal.read).length, 3)

      const { connect, next, runner } = yield* start({}, connecting, layer)
      assert.deepStrictEqual((yield* runner.list).map(({ summary }) => summary), ["sent", "waits for its turn"])
      const gateway = yield* connect()
      const looked = yield* gateway.next("chat.history")
      looked.answer({ messages: [] })
      const again = yield* accept(gateway)
      assert.strictEqual(again.params.idempotencyKey, sent.runId)
      for (const tag of ["Queued", "Queued", "Sent"] as const) yield* next(tag)
      gateway.tell("chat", chat(again, { state: "final", message: said("hi") }))
      assert.strictEqual((yield* next("Replied")).taskId, sent.taskId)
      const lookedToo = yield* gateway.next("chat.history")
      lookedToo.answer({ messages: [] })
      assert.strictEqual((yield* accept(gateway)).params.message, "waits for its turn")
    }))

  it.effect("B07: a task that comes after a restart stands behind those of before", () =>
    Effect.gen(function*() {
      const { journal, layer } = yield* shared
      const [taskId, runId] = [TaskId.make("0badcafe"), RunId.make("0badcafe-0000-4000-8000-000000000000")]
      const [gatewayScope, sessionKey] = [home, "agent:main:main"]
      yield* journal.put({ taskId, runId, gatewayScope, sessionKey, summary: "first", position: 7, acceptedAtMs: 0 })
      const { runner } = yield* start({}, connecting, layer)
      yield* runner.delegate("second")
      assert.deepStrictEqual((yield* journal.read).map(({ position }) => position), [7, 8])
    }))

  it.effect("G15 B07: what another process on the same journal sent meanwhile is not sent again", () =>
    Effect.gen(function*() {
      const { layer } = yield* shared
      const first = yield* start({}, connecting, layer)
      yield* first.runner.delegate("hello")
      const second = yield* start({}, connecting, layer)
      const before = yield* first.connect()
      const asked = yield* accept(before)
      const gateway = yield* second.connect()
      const looked = yield* gateway.next("chat.history")
      looked.answer({ messages: [question(asked)], inFlightRun: { runId: asked.params.idempotencyKey } })
      yield* settle
      for (const side of [before, gateway]) side.tell("chat", chat(asked, { state: "final", message: said("hi") }))
      for (const { next } of [first, second]) {
        for (const tag of ["Queued", "Sent"] as const) yield* next(tag)
        assert.strictEqual((yield* next("Replied")).text, "hi")
      }
      assert.strictEqual(gateway.untaken(), 0)
    }))

  it.effect("G15: answered before the restart, it is never sent again", () =>
    Effect.gen(function*() {
      const { layer } = yield* shared
      const life = yield* Scope.make()
      const first = yield* Scope.provide(start({}, connecting, layer), life)
      const before = yield* first.connect()
      yield* first.runner.delegate("hello")
      yield* accept(before)
      yield* settle
      yield* Scope.close(life, Exit.void)
      const { connect, next } = yield* start({}, connecting, layer)
      const gateway = yield* connect()
      yield* next("Sent")
      for (let looks = 0; looks < 2; looks++) {
        const looked = yield* gateway.next("chat.history")
        looked.answer(idle())
        yield* TestClock.adjust("5 seconds")
      }
      assert.deepStrictEqual((yield* next("Unknown")).evidence, { answered: true, history: "Absent" })
      assert.strictEqual(gateway.untaken(), 0)
    }))

  it.effect("B07: a task that cannot be kept is refused, and nothing is sent", () =>
    Effect.gen(function*() {
      const full = new TaskJournalError({ path: "/full", reason: "Unwritable" })
      const { connect, rest, runner } = yield* start(
        {},
        connecting,
        Layer.mock(TaskJournal, {
          claim: () => Effect.fail(full),
          put: () => Effect.fail(full),
          remove: () => Effect.void,
          abortRequests: Effect.never
        })
      )
      const gateway = yield* connect()
      assert.include(yield* Effect.flip(runner.delegate("hello")), { reason: "NotKept" })
      yield* settle
      assert.strictEqual(gateway.untaken(), 0)
      assert.deepStrictEqual(yield* rest, [])
    }))

  it.effect("a defect of what a task waits for ends it as unknown, and the next one goes on", () =>
    Effect.gen(function*() {
      let writes = 0
      const { connect, next, runner } = yield* start(
        {},
        connecting,
        Layer.mock(TaskJournal, {
          claim: () => Effect.succeed([]),
          put: () => Effect.suspend(() => ++writes === 4 ? Effect.die(new Error("a bug")) : Effect.void),
          remove: () => Effect.void,
          abortRequests: Effect.never
        })
      )
      const gateway = yield* connect()
      yield* settle
      yield* runner.delegate("one")
      yield* runner.delegate("two")
      const one = yield* accept(gateway)
      for (const tag of ["Queued", "Sent"] as const) yield* next(tag)
      gateway.tell("chat", chat(one, { state: "delta", message: said("so") }))
      assert.deepStrictEqual((yield* next("Unknown")).evidence, { answered: true, history: "Unavailable" })
      assert.strictEqual((yield* accept(gateway)).params.message, "two")
    }).pipe(Effect.provide(Logger.layer([]))))

  it.effect("G15 B07: it is not sent before the journal says so", () =>
    Effect.gen(function*() {
      const written = yield* Deferred.make<void>()
      let writes = 0
      const { connect, runner } = yield* start(
        {},
        connecting,
        Layer.mock(TaskJournal, {
          claim: () => Effect.succeed([]),
          put: () => Effect.suspend(() => ++writes === 2 ? Deferred.await(written) : Effect.void),
          remove: () => Effect.void,
          abortRequests: Effect.never
        })
      )
      const gateway = yield* connect()
      yield* settle
      const delegating = yield* Effect.forkChild(runner.delegate("hello"))
      yield* settle
      yield* Fiber.join(delegating)
      assert.strictEqual(writes, 2)
      assert.strictEqual(gateway.untaken(), 0)
      yield* Deferred.succeed(written, undefined)
      yield* accept(gateway)
    }))
})
