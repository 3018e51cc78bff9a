import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import type * as Tracer from "effect/Tracer"
import { traceparentOf } from "../../src/connection/RequestTrace.ts"
import type { SessionFacts } from "../../src/connection/Session.ts"
import * as Sessions from "../../src/connection/Session.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import * as CountingTracer from "../support/CountingTracer.ts"
import * as MemoryAgent from "../support/MemoryAgent.ts"
import recorded from "../vectors/runs-2026.6.11.json" with { type: "json" }

const connected = Effect.gen(function*() {
  const running = yield* MemoryAgent.start
  yield* TestClock.adjust("1 millis")
  const { session } = yield* running.reached("Connected")
  return session
})

/** The requests that the gateway got, but for `connect`: their methods and traces. */
const requests = Effect.gen(function*() {
  const gateway = yield* DevGateway
  return (yield* gateway.frames).flatMap(({ direction, text }) => {
    const frame: Readonly<Record<string, unknown>> = direction === "in" ? JSON.parse(text) : {}
    return frame["type"] === "req" && frame["method"] !== "connect"
      ? [[frame["method"], frame["traceparent"]] as const]
      : []
  })
})

const on = (scopeUpgrades: boolean) =>
  MemoryAgent.layer({
    client: { token: MemoryAgent.operatorToken },
    gateway: { recordFrames: true, scopeUpgrades }
  })
const facts: SessionFacts = {
  protocol: 4,
  serverVersion: "2026.6.11",
  scopes: ["operator.read"],
  missingScopes: [],
  deviceTokenIssued: true,
  connectedAtMs: 0,
  clockDeltaMs: 0,
  handshakeMs: 1
}
const send = { sessionKey: "agent:main:main", message: "hello", deliver: false, idempotencyKey: "key-1" }

describe("the trace of a request", () => {
  it.effect("B21: goes on at the gateway, from the span of the request", () =>
    CountingTracer.installed((kept) =>
      Effect.gen(function*() {
        const session = yield* connected
        yield* session.request("chat.history", { sessionKey: "agent:main:main" })
        const [span] = kept.named("gateway.request")
        assert.deepStrictEqual(yield* requests, [["chat.history", `00-${span?.traceId}-${span?.spanId}-01`]])
      }).pipe(Effect.provide(on(true)))
    ))

  it.effect("B21: a gateway that refuses it gets the request once without, and no trace again; it is done once", () =>
    CountingTracer.installed(() =>
      Effect.gen(function*() {
        const session = yield* connected
        yield* session.request("chat.send", send)
        yield* TestClock.adjust("1 millis")
        yield* session.request("chat.history", { sessionKey: "agent:main:main" })
        const told = yield* requests
        assert.deepStrictEqual(told.map(([method, trace]) => [method, trace !== undefined]), [
          ["chat.send", true],
          ["chat.send", false],
          ["chat.history", false]
        ])
        const gateway = yield* DevGateway
        assert.deepStrictEqual([...(yield* gateway.stats).runs], [["key-1", 1]])
        // The words by which the refusal is known are those of a real gateway.
        const real = recorded.scenes.traceparent.later["chat.history"].error?.message
        assert.include(JSON.stringify((yield* gateway.frames).map(({ text }) => text)), real)
      }).pipe(Effect.provide(on(false)))
    ))

  it.effect("B21: the request that is made without it keeps the deadline of the first one", () =>
    CountingTracer.installed(() =>
      Effect.gen(function*() {
        const { handler, open } = yield* Sessions.prepare
        const sent: Array<string> = []
        const link = {
          sendUnsafe: (text: string) => sent.push(text) > 0,
          closeUnsafe: () => {},
          pause: () => {},
          resume: () => {}
        }
        const established = { link, hello: { type: "hello-ok", protocol: 4 } } as const
        const session = yield* open(established, facts, { requestTimeout: Duration.seconds(30) })
        const asked = yield* Effect.forkChild(Effect.flip(session.request("health", {})), {
          startImmediately: true
        })
        yield* TestClock.adjust("20 seconds")
        const message = recorded.scenes.traceparent.later["chat.history"].error?.message
        handler.onText(JSON.stringify({ type: "res", id: "1", ok: false, error: { code: "INVALID_REQUEST", message } }))
        yield* TestClock.adjust("9999 millis")
        assert.strictEqual(sent.length, 2)
        assert.isUndefined(asked.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        assert.isDefined(asked.pollUnsafe())
        const error = yield* Fiber.join(asked)
        assert.deepInclude(error, { _tag: "RequestTimeout", timeoutMs: 30_000 })
        assert.strictEqual(session.counts().pending, 0)
      })
    ))

  it("B21: is written as W3C Trace Context has it, and not at all where a tracer has other names", () => {
    const [traceId, spanId] = ["4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"]
    const written = (more: Partial<Pick<Tracer.Span, "traceId" | "spanId" | "sampled">>) =>
      traceparentOf({ traceId, spanId, sampled: true, ...more })
    assert.strictEqual(written({}), `00-${traceId}-${spanId}-01`)
    assert.strictEqual(written({ sampled: false }), `00-${traceId}-${spanId}-00`)
    for (const other of ["0".repeat(32), traceId.toUpperCase(), `${traceId}0`, "native"]) {
      assert.isUndefined(written({ traceId: other }))
    }
    for (const other of ["0".repeat(16), "f067aa0ba902b7", "span"]) assert.isUndefined(written({ spanId: other }))
  })

  it.effect("without a tracer there is none", () =>
    Effect.gen(function*() {
      const session = yield* connected
      yield* session.request("chat.history", { sessionKey: "agent:main:main" })
      assert.deepStrictEqual(yield* requests, [["chat.history", undefined]])
    }).pipe(Effect.provide(on(true))))
})
