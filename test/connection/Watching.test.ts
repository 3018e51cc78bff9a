import { assert, describe, it, vi } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as TestClock from "effect/testing/TestClock"
import * as Tracer from "effect/Tracer"
import { Supervisor } from "../../src/connection/Supervisor.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import { tracerOf } from "../../src/handshake/Timeline.ts"
import { ProxyRejected } from "../../src/link/LinkError.ts"
import { TlsPinMismatch } from "../../src/link/TlsError.ts"
import { ScopeName } from "../../src/protocol/Connect.ts"
import * as MemoryTransport from "../../src/testing/MemoryTransport.ts"
import * as CountingTracer from "../support/CountingTracer.ts"
import * as FailingDials from "../support/FailingDials.ts"
import * as LogLines from "../support/LogLines.ts"
import * as MemoryAgent from "../support/MemoryAgent.ts"
import * as OwnMetrics from "../support/OwnMetrics.ts"

/** Approves the device that asks. */
const approve = Effect.gen(function*() {
  const gateway = yield* DevGateway
  const { pending: [request] } = yield* gateway.awaitState(({ pending }) => pending.length === 1)
  yield* gateway.approve(request?.requestId ?? "")
})

const connected = Effect.gen(function*() {
  const running = yield* MemoryAgent.start
  yield* TestClock.adjust("1 millis")
  const { session } = yield* running.reached("Connected")
  return { ...running, session }
})

const operator = MemoryAgent.layer({ client: { token: MemoryAgent.operatorToken } })

describe("the span of a request", () => {
  it.effect("B16: has the method and how it ended, and nothing of parameters or answer", () =>
    CountingTracer.installed((kept) =>
      Effect.gen(function*() {
        const { session } = yield* connected
        yield* session.request("chat.history", { sessionKey: "agent:main:main", limit: 3 })
        yield* Effect.flip(session.request("device.pair.list", {}))
        const spans = kept.named("gateway.request")
        assert.deepStrictEqual(
          spans.map((span) => [Object.fromEntries(span.attributes), span.kind, CountingTracer.failed(span)]),
          [
            [{ "rpc.system": "openclaw", "rpc.method": "chat.history" }, "client", false],
            [
              { "rpc.system": "openclaw", "rpc.method": "device.pair.list", "error.type": "MissingScope" },
              "client",
              true
            ]
          ]
        )
        const [answered] = spans
        assert.isTrue(answered?.status._tag === "Ended")
        assert.notInclude(JSON.stringify(answered?.status._tag === "Ended" ? answered.status.exit : ""), "messages")
      }).pipe(Effect.provide(operator))
    ))

  it.effect("B16: with tracing off a request makes no span", () =>
    CountingTracer.installed((kept) =>
      Effect.gen(function*() {
        const { session } = yield* connected
        const before = kept.spans.length
        const untraced = Effect.provideService(References.TracerEnabled, false)
        yield* untraced(session.request("chat.history", { sessionKey: "main" }))
        assert.strictEqual(kept.spans.length, before)
        // Not even the one that stands for none: a request asks for a span only where there is a tracer for it.
        const tracer = Effect.withFiber((fiber) => Effect.succeed(tracerOf(fiber)))
        assert.isUndefined(yield* untraced(tracer))
        assert.isDefined(yield* tracer)
        yield* session.request("chat.history", { sessionKey: "main" })
        assert.strictEqual(kept.spans.length, before + 1)
      }).pipe(Effect.provide(operator))
    ))

  it.effect("B16: without a tracer a request makes no span either, not even one that nobody sees", () =>
    Effect.gen(function*() {
      const { session } = yield* connected
      const native = vi.spyOn(Tracer.nativeTracer, "span")
      yield* Effect.addFinalizer(() => Effect.sync(() => native.mockRestore()))
      yield* session.request("chat.history", { sessionKey: "main" })
      assert.strictEqual(native.mock.calls.length, 0)
      yield* Effect.withSpan(Effect.void, "to see that it would be seen")
      assert.strictEqual(native.mock.calls.length, 1)
    }).pipe(Effect.provide(operator)))

  it.effect("a request that is interrupted ends its span", () =>
    CountingTracer.installed((kept) =>
      Effect.gen(function*() {
        const { session } = yield* connected
        const gateway = yield* DevGateway
        yield* gateway.script({ stallAt: "hello" })
        yield* gateway.dropAll(1006)
        yield* TestClock.adjust("2 seconds")
        assert.isTrue((yield* Effect.flip(session.request("chat.history", {})))._tag === "LinkError")
        const { session: silent } = yield* Effect.flatMap(Supervisor, ({ status }) =>
          Effect.map(status, (now) => now._tag === "Connected" ? now : assert.fail(now._tag)))
        const fiber = yield* Effect.forkChild(silent.request("chat.history", {}), { startImmediately: true })
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(
          kept.named("gateway.request").map(({ status }) =>
            status._tag
          ),
          ["Ended", "Ended"]
        )
      }).pipe(Effect.provide(Supervisor.layer.pipe(Layer.provideMerge(operator))))
    ))
})

describe("a whole pairing, watched", () => {
  const canaries = {
    token: "canary-token-8c1f",
    gatewayPassword: "canary-password-77aa",
    message: "canary message of a person",
    header: "canary-header-value",
    pin: "c0ffee".repeat(10) + "0123"
  }
  /** The pin as a person is shown it. It is public, and the failure that a span ends with names it; nothing else does. */
  const shownPin = canaries.pin.toUpperCase().match(/../g)?.join(":") ?? ""
  /** What comes before the gateway is reached. */
  const onTheWay = [
    new ProxyRejected({ reason: "Unreachable", proxy: "proxy.example:3128", status: 502 }),
    new TlsPinMismatch({
      reason: "Unknown",
      host: "gateway.example:443",
      seenCertificate: "sha256:AA",
      seenKey: "sha256//BB",
      expected: [`sha256:${shownPin}`]
    })
  ]
  it.effect("B16: spans are a tree of attempts, their steps and requests, and no secret is in spans, labels or logs", () =>
    OwnMetrics.kept(LogLines.kept((lines) =>
      CountingTracer.installed((kept) =>
        Effect.gen(function*() {
          const running = yield* MemoryAgent.start
          yield* TestClock.adjust("5 seconds")
          yield* running.reached("Halted")
          yield* running.supervisor.checkNow
          yield* TestClock.adjust("1 millis")
          yield* running.reached("AwaitingApproval")
          yield* approve
          yield* running.supervisor.checkNow
          yield* TestClock.adjust("1 millis")
          const { session } = yield* running.reached("Connected")
          yield* session.request("chat.send", {
            sessionKey: "main",
            message: canaries.message,
            deliver: false,
            idempotencyKey: "4c0f5d3e-5f0b-4a0b-9b60-3f6f0d5a7a01"
          })
          yield* TestClock.adjust("1 second")
          yield* session.request("chat.history", { sessionKey: "main" })
          const steps = ["dial", "challenge", "connect", "hello"].map((step) => `Handshake.connect > gateway.${step}`)
          assert.deepStrictEqual(kept.tree().filter((path) => /Handshake|gateway/.test(path)), [
            "Handshake.connect",
            "Handshake.connect > gateway.dial",
            "Handshake.connect",
            "Handshake.connect > gateway.dial",
            "Handshake.connect > gateway.tls",
            "Handshake.connect",
            ...steps,
            "Handshake.connect",
            ...steps,
            "gateway.request",
            "gateway.request"
          ])
          const outcomes = kept.named("Handshake.connect").map(({ attributes }) => [
            attributes.get("openclaw.connect.attempt"),
            attributes.get("openclaw.connect.outcome"),
            attributes.get("openclaw.connect.reason")
          ])
          assert.deepStrictEqual(outcomes, [
            [1, "ProxyRejected", "Unreachable"],
            [2, "TlsPinMismatch", "Unknown"],
            [1, "PairingRequired", "not-paired"],
            [0, "Connected", undefined]
          ])

          const { paired } = yield* Effect.flatMap(DevGateway, ({ awaitState }) => awaitState(() => true))
          assert.lengthOf(paired, 1)
          const text = (value: unknown) =>
            JSON.stringify(value, (_key, inner: unknown) => typeof inner === "bigint" ? String(inner) : inner)
          const beside = text([kept.spans.map(({ attributes }) => [...attributes]), yield* Metric.snapshot, lines])
          const told = beside
            + text(kept.spans.map(({ events, links, name, status }) => [name, events, links, status].map(plain)))
          for (const secret of Object.values(canaries)) assert.notInclude(told, secret)
          assert.notInclude(beside, shownPin)
          assert.include(told, shownPin)
          const deviceTokens = yield* sentTokens
          assert.lengthOf(deviceTokens, 1)
          for (const token of deviceTokens) assert.notInclude(told, token)
          assert.include(told, "PairingRequired")
        }).pipe(
          Effect.provide(
            MemoryAgent.host(
              FailingDials.layer(onTheWay).pipe(
                Layer.provide(MemoryTransport.layer),
                Layer.provideMerge(DevGateway.layerTest({
                  auth: { mode: "token", token: Redacted.make(canaries.token) },
                  recordFrames: true
                }))
              ),
              {
                url: "wss://gateway.example",
                token: Redacted.make(canaries.token),
                password: Redacted.make(canaries.gatewayPassword),
                headers: Redacted.make(`X-Front-Door: ${canaries.header}`),
                tlsPins: canaries.pin
              }
            )
          ),
          Random.withSeed("watched")
        )
      )
    )))
})

/** What an exporter could read of a value: its own properties, and those of what it holds. */
const plain = (value: unknown): unknown => {
  const seen = new Set<unknown>()
  const walk = (inner: unknown): unknown => {
    if (typeof inner !== "object" || inner === null) return typeof inner === "function" ? "function" : inner
    if (seen.has(inner)) return "seen"
    seen.add(inner)
    if (inner instanceof Map) return [...inner].map(walk)
    if (Array.isArray(inner)) return inner.map(walk)
    if (Redacted.isRedacted(inner)) return String(inner)
    return Object.fromEntries(Object.getOwnPropertyNames(inner).map((name) => [name, walk(Reflect.get(inner, name))]))
  }
  return walk(value)
}

/** Device tokens that the gateway has sent. */
const sentTokens = Effect.gen(function*() {
  const gateway = yield* DevGateway
  const frames = yield* gateway.frames
  return frames.flatMap(({ text }) => /"deviceToken":"([^"]+)"/.exec(text)?.slice(1) ?? [])
})

describe("metrics", () => {
  it.effect("B16: attempts by outcome, reconnects, sessions, requests, clock", () =>
    OwnMetrics.kept(
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        yield* gateway.script({ dropAt: "challenge" }, { unavailable: 500 })
        const running = yield* MemoryAgent.start
        yield* TestClock.adjust("5 seconds")
        const { session } = yield* running.reached("Connected")
        yield* session.request("chat.history", { sessionKey: "main" })
        yield* Effect.flip(session.request("device.pair.list", {}))
        yield* Effect.flip(session.request("chat.send", {}))
        yield* gateway.dropAll(1012)
        yield* Effect.flip(session.request("chat.history", { sessionKey: "main" }))
        yield* TestClock.adjust("5 seconds")
        yield* running.reached("Connected")
        assert.deepStrictEqual(yield* OwnMetrics.series, {
          "gateway_connect_attempts_total{outcome=LinkError}": 1,
          "gateway_connect_attempts_total{outcome=GatewayUnavailable}": 1,
          "gateway_connect_attempts_total{outcome=Connected}": 2,
          gateway_reconnects_total: 1,
          gateway_session_duration_seconds: 1,
          "gateway_requests_total{outcome=ok}": 1,
          "gateway_requests_total{outcome=missing_scope}": 1,
          "gateway_requests_total{outcome=refused}": 1,
          "gateway_requests_total{outcome=link_lost}": 1,
          gateway_clock_delta_ms: 0,
          gateway_pending_approval_age_seconds: 0
        })
      }).pipe(Effect.provide(operator), Random.withSeed("metrics"))
    ))

  it.effect.each([["over the session", true], ["by a second attempt", false]] as const)(
    "wider scopes asked for %s: each attempt is counted once, the session ends with its successor, and that is no reconnect",
    ([, scopeUpgrades]) =>
      OwnMetrics.kept(
        Effect.gen(function*() {
          const gateway = yield* DevGateway
          const running = yield* MemoryAgent.start
          yield* TestClock.adjust("1 millis")
          yield* approve
          yield* running.supervisor.checkNow
          yield* TestClock.adjust("1 second")
          yield* running.reached("Connected")
          yield* Effect.forkChild(running.supervisor.upgradeScopes([ScopeName.make("operator.write")]), {
            startImmediately: true
          })
          yield* TestClock.adjust("40 seconds")
          const waiting = yield* OwnMetrics.series
          assert.closeTo(waiting["gateway_pending_approval_age_seconds"] ?? 0, 40, 0.01)
          assert.strictEqual(waiting["gateway_session_duration_seconds"] ?? 0, 0)
          yield* approve
          yield* TestClock.adjust("1 minute")
          assert.strictEqual((yield* gateway.stats).openPeers, 1)
          const asks = yield* Effect.map(gateway.stats, ({ attempts }) => attempts - 2)
          const { "gateway_requests_total{outcome=ok}": _answers, ...all } = yield* OwnMetrics.series
          assert.deepStrictEqual(all, {
            "gateway_connect_attempts_total{outcome=PairingRequired}": asks,
            "gateway_connect_attempts_total{outcome=Connected}": 2,
            gateway_session_duration_seconds: 1,
            gateway_clock_delta_ms: 0,
            gateway_pending_approval_age_seconds: 0
          })
          yield* gateway.dropAll(1006)
          yield* TestClock.adjust("5 seconds")
          yield* running.reached("Connected")
          assert.deepInclude(yield* OwnMetrics.series, {
            "gateway_connect_attempts_total{outcome=Connected}": 3,
            gateway_session_duration_seconds: 2,
            gateway_reconnects_total: 1
          })
          yield* running.stop
          assert.deepInclude(yield* OwnMetrics.series, { gateway_session_duration_seconds: 3 })
        }).pipe(
          Effect.provide(MemoryAgent.layer({
            gateway: { scopeUpgrades },
            client: { token: MemoryAgent.sharedToken, scopes: "operator.read" }
          })),
          Random.withSeed("wider")
        )
      )
  )

  it.effect("what is lost on the way: gaps, events of slow subscribers, noise, time-outs and interruptions", () =>
    OwnMetrics.kept(
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        yield* gateway.script({ sequenceGap: true, noiseFrames: true })
        const running = yield* MemoryAgent.start
        yield* TestClock.adjust("1 second")
        const { session } = yield* running.reached("Connected")
        yield* Effect.scoped(Effect.gen(function*() {
          yield* session.subscribe(["custom"], { capacity: 1 })
          for (const n of [1, 2, 3]) yield* gateway.broadcast("custom", { n })
        }))
        assert.deepInclude(yield* OwnMetrics.series, {
          gateway_sequence_gaps_total: 1,
          "gateway_events_lost_total{cause=gap}": 1,
          "gateway_events_lost_total{cause=slow_subscriber}": 2,
          gateway_noise_frames_total: 6
        })
      }).pipe(Effect.provide(operator), Random.withSeed("lost"))
    ))

  it.effect("requests that time out or are interrupted are counted as that", () =>
    OwnMetrics.kept(
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        yield* gateway.script({ stallAt: "hello" })
        const { session } = yield* connected
        const late = yield* Effect.forkChild(session.request("a", {}), { startImmediately: true })
        const given = yield* Effect.forkChild(session.request("b", {}), { startImmediately: true })
        yield* Fiber.interrupt(given)
        yield* TestClock.adjust("30 seconds")
        yield* Effect.flip(Fiber.join(late))
        assert.deepInclude(yield* OwnMetrics.series, {
          "gateway_requests_total{outcome=timeout}": 1,
          "gateway_requests_total{outcome=interrupted}": 1
        })
      }).pipe(Effect.provide(operator))
    ))

  it.effect("the age of a wait for approval is read when it is asked for, and is over with the wait", () =>
    OwnMetrics.kept(
      Effect.gen(function*() {
        const age = Effect.map(OwnMetrics.series, (all) => all["gateway_pending_approval_age_seconds"])
        const running = yield* MemoryAgent.start
        yield* TestClock.adjust("1 millis")
        yield* running.reached("AwaitingApproval")
        yield* TestClock.adjust("100 seconds")
        assert.closeTo((yield* age) ?? 0, 100, 0.01)
        yield* TestClock.adjust("50 seconds")
        assert.closeTo((yield* age) ?? 0, 150, 0.01)
        yield* approve
        yield* running.supervisor.checkNow
        yield* running.reached("Connected")
        assert.strictEqual(yield* age, 0)
        yield* running.stop
        assert.isUndefined(yield* age)
      }).pipe(Effect.provide(MemoryAgent.layer()), Random.withSeed("age"))
    ))

  it.effect("agents of one process share the series of the oldest wait, unless their layers have attributes of their own", () =>
    OwnMetrics.kept(
      Effect.gen(function*() {
        const waits = (name: string) =>
          Effect.gen(function*() {
            const context = yield* Layer.build(Layer.fresh(MemoryAgent.layer()))
            const running = yield* Effect.provideContext(MemoryAgent.start, context)
            yield* TestClock.adjust("1 millis")
            yield* running.reached("AwaitingApproval")
            return { ...running, gateway: Context.get(context, DevGateway) }
          }).pipe(Random.withSeed(name))
        const older = yield* waits("older")
        yield* TestClock.adjust("60 seconds")
        yield* waits("younger")
        yield* Effect.provideService(waits("apart"), Metric.CurrentMetricAttributes, { agent: "apart" })
        yield* TestClock.adjust("10 seconds")
        const both = yield* OwnMetrics.series
        assert.closeTo(both["gateway_pending_approval_age_seconds"] ?? 0, 70, 0.1)
        assert.closeTo(both["gateway_pending_approval_age_seconds{agent=apart}"] ?? 0, 10, 0.1)
        yield* older.stop
        assert.closeTo((yield* OwnMetrics.series)["gateway_pending_approval_age_seconds"] ?? 0, 10, 0.1)
      })
    ))
})
