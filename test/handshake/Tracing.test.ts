import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import { Handshake } from "../../src/handshake/Handshake.ts"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { LinkError } from "../../src/link/LinkError.ts"
import type { LinkHandler } from "../../src/link/Transport.ts"
import { Transport } from "../../src/link/Transport.ts"
import * as CountingTracer from "../support/CountingTracer.ts"
import * as Device from "../support/Device.ts"
import * as Wire from "../support/WireFrames.ts"

/** A link that takes its time for each phase, as one to a distant `wss:` gateway does. Each step is one call of the test. */
const makeFarLink = Effect.sync(() => {
  const dialled = Deferred.makeUnsafe<LinkHandler>()
  const opened = Deferred.makeUnsafe<void, LinkError>()
  const sent = Deferred.makeUnsafe<void>()
  const transport = Layer.succeed(Transport, {
    dial: (_target, handler) =>
      Effect.suspend(() => {
        Deferred.doneUnsafe(dialled, Effect.succeed(handler))
        return Effect.as(Deferred.await(opened), {
          sendUnsafe: () => Deferred.doneUnsafe(sent, Effect.void),
          closeUnsafe: () => {},
          pause: () => {},
          resume: () => {}
        })
      })
  })
  return { dialled: Deferred.await(dialled), opened, sent: Deferred.await(sent), transport }
})

const attempt = (transport: Layer.Layer<Transport>, onText: (text: string) => void = () => {}) =>
  Effect.gen(function*() {
    const handshake = yield* Handshake
    const identity = yield* DeviceIdentity
    const plan = Device.plan(identity)
    return yield* handshake.connect(plan, Device.limits, { onText, onClose: () => {} })
  }).pipe(
    Effect.scoped,
    Effect.provide(Layer.mergeAll(Handshake.layer.pipe(Layer.provide(transport)), Device.layer)),
    Effect.exit,
    Effect.forkScoped
  )

const steps = (kept: CountingTracer.Kept) =>
  kept.spans.filter(({ name }) => name.startsWith("gateway."))
    .map((span) => [span.name, CountingTracer.lengthMs(span), CountingTracer.failed(span)])

describe("the spans of an attempt", () => {
  it.effect("B16: one for the attempt, and one with its own length for dial, tls, upgrade, challenge, connect and hello", () =>
    CountingTracer.installed((kept) =>
      Effect.gen(function*() {
        const link = yield* makeFarLink
        const fiber = yield* attempt(link.transport)
        const handler = yield* link.dialled
        yield* TestClock.adjust("40 millis")
        handler.onPhase?.("tls")
        yield* TestClock.adjust("30 millis")
        handler.onPhase?.("upgrade")
        yield* TestClock.adjust("20 millis")
        yield* Deferred.succeed(link.opened, undefined)
        yield* TestClock.adjust("10 millis")
        handler.onText(Wire.challenge({ nonce: Wire.nonce, ts: 1_100 }))
        yield* link.sent
        yield* TestClock.adjust("5 millis")
        handler.onText(Wire.helloOk())
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(steps(kept), [
          ["gateway.dial", 40, false],
          ["gateway.tls", 30, false],
          ["gateway.upgrade", 20, false],
          ["gateway.challenge", 10, false],
          ["gateway.connect", 0, false],
          ["gateway.hello", 5, false]
        ])
        const [span] = kept.named("Handshake.connect")
        assert.deepStrictEqual(
          kept.tree().filter((path) => path.startsWith("Handshake.connect")),
          ["Handshake.connect", ...steps(kept).map(([name]) => `Handshake.connect > ${name}`)]
        )
        assert.deepStrictEqual(Object.fromEntries(span?.attributes ?? []), {
          "server.address": "127.0.0.1",
          "server.port": 18789,
          "url.scheme": "ws",
          "network.protocol.name": "websocket",
          "openclaw.gateway.scope": "ws://127.0.0.1:18789/",
          "openclaw.connect.credential": "SharedToken",
          "openclaw.connect.proof": "v3",
          "openclaw.connect.outcome": "Connected",
          "openclaw.connect.phase": "session",
          "openclaw.challenge.seen": true,
          "openclaw.clock_delta_ms": 1_000,
          "openclaw.connect.dial_ms": 40,
          "openclaw.connect.tls_ms": 30,
          "openclaw.connect.upgrade_ms": 20,
          "openclaw.connect.challenge_ms": 10,
          "openclaw.connect.connect_ms": 0,
          "openclaw.connect.hello_ms": 5
        })
      })
    ))

  it.effect("a failed attempt ends the step that it was in, and says class, reason and phase", () =>
    CountingTracer.installed((kept) =>
      Effect.gen(function*() {
        const link = yield* makeFarLink
        const fiber = yield* attempt(link.transport)
        const handler = yield* link.dialled
        yield* TestClock.adjust("7 millis")
        handler.onPhase?.("tls")
        yield* TestClock.adjust("3 millis")
        yield* Deferred.fail(link.opened, new LinkError({ reason: "Unreachable", phase: "dial", errno: "ECONNRESET" }))
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(steps(kept), [["gateway.dial", 7, false], ["gateway.tls", 3, true]])
        const attributes = Object.fromEntries(kept.named("Handshake.connect")[0]?.attributes ?? [])
        assert.deepInclude(attributes, {
          "error.type": "LinkError",
          "openclaw.connect.outcome": "LinkError",
          "openclaw.connect.reason": "Unreachable",
          "openclaw.connect.phase": "tls",
          "openclaw.challenge.seen": false
        })
      })
    ))

  it.effect("an attempt that is interrupted has a span that says so", () =>
    CountingTracer.installed((kept) =>
      Effect.gen(function*() {
        const link = yield* makeFarLink
        const fiber = yield* attempt(link.transport)
        yield* link.dialled
        yield* Fiber.interrupt(fiber)
        const attributes = Object.fromEntries(kept.named("Handshake.connect")[0]?.attributes ?? [])
        assert.strictEqual(attributes["openclaw.connect.outcome"], "Interrupted")
      })
    ))

  const phases = [
    ["dial", [], /no connection to the gateway within 15000 ms \(phase dial\)/],
    ["tls", ["tls"], /TLS .* within 15000 ms \(phase tls\)/],
    ["upgrade", ["upgrade", "tls"], /HTTP side .* within 15000 ms \(phase upgrade\)/]
  ] as const
  it.effect.each(phases)(
    "G19: a time-out names the phase that dialling was in: %s",
    ([phase, reached, message]) =>
      Effect.gen(function*() {
        const link = yield* makeFarLink
        const fiber = yield* attempt(link.transport)
        const handler = yield* link.dialled
        for (const next of reached) handler.onPhase?.(next)
        yield* TestClock.adjust("15 seconds")
        const exit = yield* Fiber.join(fiber)
        const error = yield* Effect.flip(exit)
        assert.isTrue(error._tag === "ChallengeTimeout" && error.phase === phase)
        assert.match(error.message, message)
      })
  )

  it.effect("G19: a link that fails while dialling names the phase and the time that passed", () =>
    Effect.gen(function*() {
      const link = yield* makeFarLink
      const fiber = yield* attempt(link.transport)
      const handler = yield* link.dialled
      handler.onPhase?.("tls")
      yield* TestClock.adjust("1234 millis")
      yield* Deferred.fail(link.opened, new LinkError({ reason: "Unreachable", phase: "dial", errno: "ECONNRESET" }))
      const error = yield* Effect.flip(yield* Fiber.join(fiber))
      assert.strictEqual(error.message, "gateway link could not be opened (phase tls, after 1234 ms, ECONNRESET)")
    }))

  it.effect("a phase that is told out of order, or when the link is open, changes nothing", () =>
    Effect.gen(function*() {
      const link = yield* makeFarLink
      const texts: Array<string> = []
      const fiber = yield* attempt(link.transport, (text) => void texts.push(text))
      const handler = yield* link.dialled
      yield* Deferred.succeed(link.opened, undefined)
      yield* TestClock.adjust("1 millis")
      handler.onPhase?.("tls")
      handler.onText(Wire.challenge())
      yield* link.sent
      handler.onText(Wire.helloOk())
      handler.onPhase?.("upgrade")
      handler.onText("the first event of the session")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(texts, ["the first event of the session"])
    }))

  it.effect("G19: a link that ends before the challenge says after how long", () =>
    Effect.gen(function*() {
      const link = yield* makeFarLink
      const fiber = yield* attempt(link.transport)
      const handler = yield* link.dialled
      yield* Deferred.succeed(link.opened, undefined)
      yield* TestClock.adjust("1 second")
      handler.onClose(new LinkError({ reason: "Closed", phase: "session", closeCode: 1006 }))
      const error = yield* Effect.flip(yield* Fiber.join(fiber))
      assert.isTrue(error._tag === "LinkError" && error.phase === "challenge" && error.elapsedMs === 1_000)
    }))
})
