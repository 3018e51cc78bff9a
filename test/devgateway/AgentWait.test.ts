import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { type Agent, AgentFailed, fromReply } from "../../src/devgateway/Agent.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import recorded from "../vectors/runs-2026.9.6.json" with { type: "json" }
import { at, device, link } from "./FakeClient.ts"

const startMs = 1_800_000_000_000
const settle = TestClock.adjust("1 millis")

const entered = Effect.fnUntraced(function*(agent: Agent, scopes = ["operator.read", "operator.write"]) {
  yield* TestClock.setTime(startMs)
  const gateway = Context.get(yield* Layer.build(DevGateway.layerTest({ agent })), DevGateway)
  const client = link(gateway)
  client.connect(device(1), { token: "operator-token", scopes })
  return {
    gateway,
    client,
    say: (message: string, idempotencyKey: string) =>
      client.request("chat.send", { sessionKey: "main", message, deliver: false, idempotencyKey }),
    wait: (runId: string, timeoutMs?: number) =>
      client.request("agent.wait", timeoutMs === undefined ? { runId } : { runId, timeoutMs })
  }
})

const messages = (client: ReturnType<typeof link>) => {
  const found = at(client.request("chat.history", { sessionKey: "main" }), "payload", "messages")
  return Array.isArray(found) ? found : []
}

describe("agent.wait", () => {
  it.effect("tells how a run ended, and times out for one that is unknown or still active", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const { say, wait } = yield* entered(fromReply(() => Effect.as(Deferred.await(gate), "done")))
      assert.deepStrictEqual(at(wait("nobody", 0), "payload"), { runId: "nobody", status: "timeout" })
      say("x", "key-1")
      yield* settle
      assert.deepStrictEqual(at(wait("key-1", 0), "payload"), { runId: "key-1", status: "timeout" })
      yield* Deferred.succeed(gate, undefined)
      yield* settle
      assert.deepStrictEqual(at(wait("key-1", 0), "payload"), {
        runId: "key-1",
        status: "ok",
        endedAt: startMs + 1,
        terminalReply: { disposition: "visible", text: "done" }
      })
    }))

  it.effect("remembers an abort and a failure as 2026.9.6 does", () =>
    Effect.gen(function*() {
      const { client, say, wait } = yield* entered(({ message }) =>
        message === "fails" ? Stream.fail(new AgentFailed({ errorMessage: "no credit" })) : Stream.never
      )
      say("runs", "key-1")
      yield* settle
      client.request("chat.abort", { sessionKey: "main", runId: "key-1" })
      say("fails", "key-2")
      yield* settle
      const told = (scene: "aborted" | "failed") => recorded.scenes[scene].later["agent.wait"].payload
      const kept = ["status", "error", "stopReason"]
      const of = (payload: unknown, more: Readonly<Record<string, unknown>> = {}) => {
        const fields = Object.entries({ ...Object(payload), ...more }).filter(([name]) => kept.includes(name))
        return Object.fromEntries(fields.toSorted())
      }
      assert.deepStrictEqual(of(at(wait("key-1", 0), "payload")), of(told("aborted")))
      assert.deepStrictEqual(of(at(wait("key-2", 0), "payload")), of(told("failed"), { error: "no credit" }))
    }))

  it.effect("waits for the end, for the time given or 30 s", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const { client, say } = yield* entered(fromReply(() => Effect.as(Deferred.await(gate), "done")))
      const answer = (id: string) => client.frames().find((frame) => at(frame, "id") === id)
      const ask = (id: string, params: unknown) => client.send({ type: "req", id, method: "agent.wait", params })
      say("x", "key-1")
      yield* settle
      ask("short", { runId: "key-1", timeoutMs: 5000 })
      ask("usual", { runId: "key-1" })
      ask("long", { runId: "key-1", timeoutMs: 60_000 })
      yield* TestClock.adjust(4999)
      assert.isUndefined(answer("short"))
      yield* TestClock.adjust(1)
      assert.strictEqual(at(answer("short"), "payload", "status"), "timeout")
      yield* TestClock.adjust(24_999)
      assert.isUndefined(answer("usual"))
      yield* TestClock.adjust(1)
      assert.strictEqual(at(answer("usual"), "payload", "status"), "timeout")
      yield* Deferred.succeed(gate, undefined)
      yield* settle
      assert.strictEqual(at(answer("long"), "payload", "status"), "ok")
    }))

  it.effect("history keeps the error of a failed run, and agent.wait has it until the gateway stops", () =>
    Effect.gen(function*() {
      const { client, gateway, say, wait } = yield* entered(
        fromReply(() => Effect.fail(new AgentFailed({ errorMessage: "no credit" })))
      )
      say("x", "key-1")
      yield* settle
      assert.deepInclude(at(wait("key-1", 0), "payload"), { runId: "key-1", status: "error", error: "no credit" })
      const last = messages(client).at(-1)
      assert.deepInclude(last, {
        role: "assistant",
        stopReason: "error",
        content: [{ type: "text", text: "no credit" }]
      })
      assert.strictEqual(at(last, "__openclaw", "runId"), "key-1")
      yield* gateway.stop
      yield* gateway.start
      const again = link(gateway)
      again.connect(device(1), { token: "operator-token", scopes: ["operator.read", "operator.write"] })
      assert.deepStrictEqual(at(again.request("agent.wait", { runId: "key-1", timeoutMs: 0 }), "payload"), {
        runId: "key-1",
        status: "timeout"
      })
      assert.lengthOf(messages(again), 2)
    }))

  it.effect("a silent agent causes no delta, an empty final and nothing in history", () =>
    Effect.gen(function*() {
      const text = (delta: string) => ({ _tag: "Text" as const, delta })
      const { client, say, wait } = yield* entered(() => Stream.make(text("NO"), text("_REPLY\n")))
      say("x", "key-1")
      yield* settle
      const chats = client.events("chat").filter((event) => at(event, "payload", "state") !== "status")
      assert.deepStrictEqual(chats.map((event) => [at(event, "payload", "state"), at(event, "payload", "message")]), [
        ["final", undefined]
      ])
      assert.deepStrictEqual(messages(client).map((message) => at(message, "role")), ["user"])
      assert.deepStrictEqual(at(wait("key-1", 0), "payload", "terminalReply"), { disposition: "silent" })
    }))

  it.effect("is refused without operator.write, and with wrong parameters", () =>
    Effect.gen(function*() {
      const reader = yield* entered(() => Stream.empty, ["operator.read"])
      assert.strictEqual(at(reader.wait("key-1", 0), "error", "message"), "missing scope: operator.write")
      const writer = yield* entered(() => Stream.empty)
      assert.include(String(at(writer.wait("", 0), "error", "message")), "invalid agent.wait params")
      assert.include(String(at(writer.wait("x", -1), "error", "message")), "invalid agent.wait params")
    }))
})
