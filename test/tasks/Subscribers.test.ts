import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Agent from "../../src/agent/Agent.ts"
import { GatewayConfig } from "../../src/handshake/GatewayConfig.ts"
import type { TaskEvent } from "../../src/tasks/Task.ts"
import { RunId, TaskId } from "../../src/tasks/Task.ts"
import type { JournalEntry } from "../../src/tasks/TaskJournal.ts"
import { TaskJournal } from "../../src/tasks/TaskJournal.ts"
import { TaskRunner } from "../../src/tasks/TaskRunner.ts"
import * as MemoryGateway from "../../src/testing/MemoryGateway.ts"
import { chat, connecting, home, said, start, started } from "./Fixture.ts"

const left = (position: number, more: Partial<JournalEntry> = {}): JournalEntry => ({
  taskId: TaskId.make(`0000000${position}`),
  runId: RunId.make(`0000000${position}-0000-4000-8000-000000000000`),
  gatewayScope: home,
  sessionKey: `agent:main:${position}`,
  summary: `task ${position}`,
  position,
  acceptedAtMs: 0,
  ...more
})

const journalWith = Effect.fnUntraced(function*(...entries: ReadonlyArray<JournalEntry>) {
  const journal = Context.get(yield* Layer.build(Layer.fresh(TaskJournal.layerMemory)), TaskJournal)
  for (const entry of entries) yield* journal.put(entry)
  return { journal, layer: Layer.succeed(TaskJournal, journal) }
})

/** A subscriber that comes now, and what it was told until it is looked at. */
const subscribe = Effect.fnUntraced(function*({ events }: TaskRunner["Service"]) {
  const told = yield* Queue.unbounded<TaskEvent>()
  yield* Effect.forkScoped(Stream.runForEach(events, (event) => Queue.offer(told, event)), { startImmediately: true })
  return { told: Effect.andThen(TestClock.adjust(0), Queue.clear(told)) }
})
const tags = (events: ReadonlyArray<TaskEvent>) => events.map(({ _tag, taskId }) => [taskId, _tag])

describe("a subscriber of the events", () => {
  it.effect("F52: whenever it comes, it is told how each open task stands, with its summary, and then each change once", () =>
    Effect.gen(function*() {
      const { layer } = yield* journalWith(left(1, { sentAtMs: 0, answeredRunId: left(1).runId }), left(2))
      const { connect, runner } = yield* start({}, connecting, layer)
      const own = yield* runner.delegate("task 3", { sessionKey: "agent:main:3" })
      const early = yield* (yield* subscribe(runner)).told
      assert.deepStrictEqual<unknown>(early, [
        { _tag: "Sent", taskId: "00000001", runId: left(1).runId, summary: "task 1" },
        { _tag: "Queued", taskId: "00000002", runId: left(2).runId, summary: "task 2", reason: "Offline" },
        { _tag: "Queued", taskId: own.taskId, runId: own.runId, summary: "task 3", reason: "Offline" }
      ])

      const gateway = yield* connect()
      // The two of before are looked for in history first.
      for (const _ of [1, 2]) (yield* gateway.next("chat.history")).answer({ messages: [{ role: "user" }] })
      for (const _ of [2, 3]) {
        const asked = yield* gateway.next("chat.send")
        if (asked.params.idempotencyKey !== own.runId) continue
        asked.answer(started(asked))
        gateway.tell("chat", chat(asked, { state: "status", phase: "starting_model" }))
        yield* TestClock.adjust(0)
        const late = yield* subscribe(runner)
        // What is about to be sent tells so in a moment.
        assert.deepStrictEqual(tags(yield* late.told), [["00000001", "Sent"], [own.taskId, "Phase"]])
        gateway.tell("chat", chat(asked, { state: "final", message: said("done") }))
        assert.deepStrictEqual(tags(yield* late.told), [[own.taskId, "Replied"]])
        // That one was there for everybody to see.
        assert.deepStrictEqual(tags(yield* (yield* subscribe(runner)).told), [["00000001", "Sent"]])
      }
    }))

  it.effect("B07: under Agent.layer an embedder is told what became of a task of an earlier process, and so is everybody", () =>
    Effect.gen(function*() {
      const host = yield* Layer.build(MemoryGateway.layer({ client: { token: Redacted.make("operator-token") } }))
      const { endpoint } = Context.get(host, GatewayConfig)
      const journal = Context.get(host, TaskJournal)
      yield* journal.put(left(1, { gatewayScope: endpoint.gatewayScope }))
      const agent = yield* Layer.build(Agent.layer().pipe(Layer.provide(Layer.succeedContext(host))))
      const runner = Context.get(agent, TaskRunner)
      yield* runner.await(left(1).taskId)
      for (const _ of ["an embedder", "another"]) {
        assert.deepStrictEqual(tags(yield* (yield* subscribe(runner)).told), [["00000001", "Replied"]])
      }
      assert.deepStrictEqual(yield* journal.read, [])
    }))

  it.effect("B07: as long as that task is listed, with the answer that came too late", () =>
    Effect.gen(function*() {
      const { layer } = yield* journalWith(left(1, { sentAtMs: 0, answeredRunId: left(1).runId }))
      const { connect, runner } = yield* start({ taskTimeout: "10 seconds" }, connecting, layer)
      const gateway = yield* connect()
      yield* gateway.next("chat.history")
      yield* TestClock.adjust("10 seconds")
      gateway.tell("chat", {
        runId: left(1).runId,
        sessionKey: "agent:main:1",
        state: "final",
        message: said("at last")
      })
      yield* TestClock.adjust(0)
      const told = yield* (yield* subscribe(runner)).told
      assert.deepStrictEqual(tags(told), [["00000001", "Expired"], ["00000001", "Replied"]])
      assert.deepInclude(told[1], { text: "at last", late: true })
      for (let count = 0; count < 200; count++) {
        const { taskId } = yield* runner.delegate(`task ${count}`)
        const asked = yield* gateway.next("chat.send")
        asked.answer(started(asked))
        gateway.tell("chat", chat(asked, { state: "final", message: said("done") }))
        yield* runner.await(taskId)
      }
      assert.deepStrictEqual(yield* (yield* subscribe(runner)).told, [])
    }))

  it.effect("B07: it has an end before the journal has let go of the task", () =>
    Effect.gen(function*() {
      const order: Array<string> = []
      const { journal } = yield* journalWith()
      const forgetful = TaskJournal.of({ ...journal, remove: () => Effect.sync(() => void order.push("forgotten")) })
      const { connect, runner } = yield* start({}, connecting, Layer.succeed(TaskJournal, forgetful))
      yield* Effect.forkScoped(
        Stream.runForEach(runner.replies, () => Effect.sync(() => void order.push("told"))),
        { startImmediately: true }
      )
      const gateway = yield* connect()
      const { taskId } = yield* runner.delegate("hello")
      const asked = yield* gateway.next("chat.send")
      asked.answer(started(asked))
      gateway.tell("chat", chat(asked, { state: "final", message: said("hi") }))
      yield* runner.await(taskId)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(order, ["told", "forgotten"])
    }))

  it.effect("F52: one that is slow has the last sixteen phases of each task at most, and every end", () =>
    Effect.gen(function*() {
      const { connect, runner } = yield* start()
      const gateway = yield* connect()
      const late: Array<TaskEvent> = []
      const reading = yield* Effect.forkChild(
        runner.events.pipe(
          Stream.tap((event) => event._tag === "Sent" ? Effect.sleep("1 hour") : Effect.void),
          Stream.runForEach((event) => Effect.sync(() => void late.push(event)))
        ),
        { startImmediately: true }
      )
      const asked = []
      for (const sessionKey of ["a", "b"]) {
        yield* runner.delegate(`task ${sessionKey}`, { sessionKey })
        const next = yield* gateway.next("chat.send")
        next.answer(started(next))
        asked.push(next)
        yield* TestClock.adjust(0)
      }
      for (let count = 0; count < 5000; count++) {
        for (const each of asked) gateway.tell("chat", chat(each, { state: "status", phase: `phase ${count}` }))
        if (count % 500 === 0) yield* TestClock.adjust(0)
      }
      for (const each of asked) gateway.tell("chat", chat(each, { state: "final", message: said("done") }))
      yield* TestClock.adjust("2 hours")
      yield* Fiber.interrupt(reading)
      for (const { params } of asked) {
        const own = late.filter(({ runId }) => runId === params.idempotencyKey)
        assert.deepStrictEqual(
          own.map((event) => event._tag === "Phase" ? event.phase : event._tag),
          ["Sent", ...Array.from({ length: 16 }, (_, index) => `phase ${4984 + index}`), "Replied"]
        )
      }
    }))

  it.effect("one task is found by its name, as long as it is listed", () =>
    Effect.gen(function*() {
      const { runner } = yield* start()
      const { runId, taskId } = yield* runner.delegate("water the plants")
      assert.deepStrictEqual(yield* runner.get(taskId), {
        taskId,
        runId,
        sessionKey: "agent:main:main",
        summary: "water the plants",
        acceptedAtMs: 0,
        inherited: false,
        state: { _tag: "Queued", reason: "Offline" }
      })
      assert.strictEqual((yield* Effect.flip(runner.get(TaskId.make("nothing")))).message, "no task nothing")
    }))

  it.effect("who waits for an end or for an abort is interrupted when the runner ends first", () =>
    Effect.gen(function*() {
      const life = yield* Scope.make()
      const { connect, runner } = yield* Scope.provide(start(), life)
      const gateway = yield* connect()
      const { taskId } = yield* runner.delegate("slow")
      const asked = yield* gateway.next("chat.send")
      asked.answer(started(asked))
      yield* TestClock.adjust(0)
      const ending = yield* Effect.forkChild(runner.await(taskId), { startImmediately: true })
      const aborting = yield* Effect.forkChild(runner.abort(taskId), { startImmediately: true })
      yield* Scope.close(life, Exit.void)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(ending)))
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(aborting)))
      assert.isTrue(Exit.hasInterrupts(yield* Effect.exit(runner.await(taskId))))
      assert.isFalse(yield* runner.abort(taskId))
    }))
})
