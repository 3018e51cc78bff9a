import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Agent from "../../src/agent/Agent.ts"
import { Supervisor } from "../../src/connection/Supervisor.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import * as GatewayConfig from "../../src/handshake/GatewayConfig.ts"
import type { TaskEvent } from "../../src/tasks/Task.ts"
import { RunId, TaskId } from "../../src/tasks/Task.ts"
import { TaskJournal } from "../../src/tasks/TaskJournal.ts"
import { TaskRunner } from "../../src/tasks/TaskRunner.ts"
import * as MemoryGateway from "../../src/testing/MemoryGateway.ts"
import type { Asked, Gateway } from "./Fixture.ts"
import { chat, connecting, home, said, start, started } from "./Fixture.ts"

const other = "wss://other.example:443/"
const settle = TestClock.adjust(0)

const accept = Effect.fnUntraced(function*(gateway: Gateway) {
  const asked = yield* gateway.next("chat.send")
  asked.answer(started(asked))
  return asked
})
const reply = (gateway: Gateway, asked: Asked, text: string) =>
  gateway.tell("chat", chat(asked, { state: "final", message: said(text) }))

const shared = Effect.map(
  Effect.map(Layer.build(TaskJournal.layerMemory), Context.get(TaskJournal)),
  (journal) => ({ journal, layer: Layer.succeed(TaskJournal, journal) })
)

describe("settings that change under open tasks", () => {
  it.effect("G15 B07: another gateway gets no task of the first; they stay in the journal, say so, and go on when it is back", () =>
    Effect.gen(function*() {
      const { journal, layer } = yield* shared
      const { connect, drop, next, reconfigure, rest, runner } = yield* start({}, connecting, layer)
      const before = yield* connect()
      yield* settle
      const sent = yield* runner.delegate("sent")
      const asked = yield* accept(before)
      yield* next("Sent")
      const kept = yield* runner.delegate("kept")
      assert.strictEqual(kept.queued, "Busy")
      assert.strictEqual((yield* next("Queued")).reason, "Busy")

      yield* drop(before)
      yield* reconfigure(other)
      yield* settle
      const moved = [yield* next("Queued"), yield* next("Queued"), yield* next("Queued")]
      assert.deepStrictEqual(moved.filter(({ reason }) => reason === "OtherGateway").map(({ taskId }) => taskId), [
        sent.taskId,
        kept.taskId
      ])
      const elsewhere = yield* connect()
      yield* TestClock.adjust("3 days")
      assert.strictEqual(elsewhere.untaken(), 0)
      assert.deepStrictEqual((yield* runner.list).map(({ state }) => state), [
        { _tag: "Queued", reason: "OtherGateway" },
        { _tag: "Queued", reason: "OtherGateway" }
      ])
      assert.deepStrictEqual((yield* journal.read).map(({ gatewayScope }) => gatewayScope), [home, home])

      // The same session key is another session there, so it is free.
      const here = yield* runner.delegate("here")
      assert.isUndefined(here.queued)
      const there = yield* accept(elsewhere)
      assert.strictEqual(there.params.message, "here")
      reply(elsewhere, there, "there")
      yield* next("Sent")
      assert.include(yield* next("Replied"), { taskId: here.taskId, text: "there" })

      yield* drop(elsewhere)
      yield* reconfigure(home)
      const after = yield* connect()
      const looked = yield* after.next("chat.history")
      looked.answer({ messages: [], inFlightRun: { runId: sent.runId } })
      yield* TestClock.adjust("170 seconds")
      reply(after, asked, "at home")
      yield* accept(after)
      const told = (yield* rest).filter((tag) => tag !== "Queued")
      assert.deepStrictEqual(told, ["Sent", "Replied", "Sent"])
      assert.strictEqual(after.untaken(), 0)
    }))

  it.effect("a task of another gateway can be aborted: one that was not sent at once, another when its gateway is back", () =>
    Effect.gen(function*() {
      const { connect, drop, next, reconfigure, runner } = yield* start()
      const before = yield* connect()
      yield* settle
      const sent = yield* runner.delegate("sent")
      const asked = yield* accept(before)
      yield* next("Sent")
      const kept = yield* runner.delegate("kept")
      yield* drop(before)
      yield* reconfigure(other)
      const elsewhere = yield* connect()
      yield* settle
      assert.isTrue(yield* runner.abort(kept.taskId))
      assert.isTrue(yield* runner.abort(sent.taskId))
      yield* settle
      assert.strictEqual(elsewhere.untaken(), 0)
      assert.deepStrictEqual((yield* runner.list).map(({ state }) => state._tag), ["Queued", "Aborted"])
      yield* drop(elsewhere)
      yield* reconfigure(home)
      const after = yield* connect()
      const abort = yield* after.next("chat.abort")
      abort.answer({ ok: true, aborted: true, runIds: [asked.params.idempotencyKey] })
      const looked = yield* after.next("chat.history")
      looked.answer({ messages: [] })
      assert.strictEqual((yield* runner.await(sent.taskId))._tag, "Aborted")
    }))

  it.effect("B07: what an earlier process left for the new gateway goes on there", () =>
    Effect.gen(function*() {
      const { journal, layer } = yield* shared
      const { connect, reconfigure, runner } = yield* start({}, connecting, layer)
      yield* journal.put({
        taskId: TaskId.make("0badcafe"),
        runId: RunId.make("0badcafe-0000-4000-8000-000000000000"),
        gatewayScope: other,
        sessionKey: "agent:main:main",
        summary: "for the other gateway",
        position: 7,
        acceptedAtMs: 0
      })
      yield* reconfigure(other)
      const elsewhere = yield* connect()
      const looked = yield* elsewhere.next("chat.history")
      looked.answer({ messages: [] })
      assert.strictEqual((yield* accept(elsewhere)).params.message, "for the other gateway")
      assert.deepStrictEqual((yield* runner.list).map(({ summary }) => summary), ["for the other gateway"])
    }))

  for (
    const [where, url] of [["the same gateway with a new token", undefined], [
      "another one",
      "ws://127.0.0.9:1"
    ]] as const
  ) {
    it.effect(`G14 B07: a real connection, reconfigured under a run to ${where}`, () =>
      Effect.gen(function*() {
        const context = yield* Layer.build(
          Agent.layer().pipe(Layer.provideMerge(MemoryGateway.layer({
            client: { token: Redacted.make("operator-token") },
            gateway: {
              agent: ({ message }) =>
                Stream.fromEffect(
                  Effect.as(Effect.sleep("20 seconds"), { _tag: "Text" as const, delta: `echo: ${message}` })
                )
            }
          })))
        )
        const supervisor = Context.get(context, Supervisor)
        const runner = Context.get(context, TaskRunner)
        const gateway = Context.get(context, DevGateway)
        const ends: Array<TaskEvent> = []
        yield* Effect.forkScoped(
          Stream.runForEach(runner.events, (event) =>
            Effect.sync(() => {
              if (event._tag !== "Phase") ends.push(event)
            })),
          { startImmediately: true }
        )
        const { runId, taskId } = yield* runner.delegate("water the plants")
        yield* TestClock.adjust("5 seconds")
        const settings = yield* Effect.fromResult(
          // Under another name, the gateway tells of the run only a client that hears of all sessions.
          GatewayConfig.check({
            token: Redacted.make("operator-token"),
            ...(url === undefined ? {} : { url, caps: [] })
          })
        )
        yield* supervisor.reconfigure(settings)
        yield* TestClock.adjust("1 minute")
        assert.include(yield* runner.await(taskId), { _tag: "Completed", text: "echo: water the plants" })
        assert.lengthOf(ends.filter(({ _tag }) => _tag === "Replied"), 1)
        assert.deepStrictEqual([...(yield* gateway.stats).runs], [[runId, 1]])
      }))
  }
})
