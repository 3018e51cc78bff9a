import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as TestClock from "effect/testing/TestClock"
import { GatewayConfig } from "../../src/handshake/GatewayConfig.ts"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { TokenStore } from "../../src/identity/TokenStore.ts"
import type { DialError } from "../../src/link/LinkError.ts"
import { ProxyRejected, UpgradeRejected } from "../../src/link/LinkError.ts"
import type { UntrustedReason } from "../../src/link/TlsError.ts"
import { TlsPinMismatch, TlsUntrusted } from "../../src/link/TlsError.ts"
import * as Device from "../support/Device.ts"
import * as MemoryAgent from "../support/MemoryAgent.ts"
import { ScriptedTransport } from "../support/ScriptedTransport.ts"
import * as Wire from "../support/WireFrames.ts"

const upgrade = (status: number, retryAfterMs?: number) => new UpgradeRejected({ status, body: "", retryAfterMs })
const seen = { host: "gateway.example:443", seenCertificate: "sha256:AB", seenKey: "sha256//AB" }
const untrusted = (reason: UntrustedReason) =>
  new TlsUntrusted({ reason, ...seen, code: "X", validFromMs: 0, validToMs: 0, names: "" })

/** What a front door, a proxy or a captive portal answers for a while, and nobody has to do anything about. */
const refusals: ReadonlyArray<readonly [string, DialError]> = [
  ...[200, 302, 401, 403, 404, 408, 425, 429, 500, 503].map((status) => [`${status}`, upgrade(status)] as const),
  ["407 of the proxy", new ProxyRejected({ reason: "Credentials", status: 407 })],
  ["403 of the proxy", new ProxyRejected({ reason: "Refused", status: 403 })],
  ["the certificate of a captive portal", untrusted("HostMismatch")],
  ["a certificate of its own making", untrusted("SelfSigned")],
  ["a certificate of an unknown authority", untrusted("UnknownAuthority")],
  ["another certificate than the pinned one", new TlsPinMismatch({ reason: "Unknown", expected: [], ...seen })]
]
/** Those that pass by themselves, also for a device that never had a session. */
const passing = new Set(["408", "425", "429", "500", "503"])

const greet = Effect.fnUntraced(function*(generation: number) {
  const transport = yield* ScriptedTransport
  const link = yield* transport.nth(generation)
  link.send(Wire.challenge())
  yield* link.nthSent(1)
  link.send(Wire.helloOk())
  return link
})

/** Connected, after which the next dials go like this. */
const connected = Effect.fnUntraced(function*(...dials: ReadonlyArray<DialError>) {
  const transport = yield* ScriptedTransport
  transport.script({}, ...dials.map((fail) => ({ fail })))
  const running = yield* MemoryAgent.start
  const link = yield* greet(1)
  yield* running.reached("Connected")
  yield* TestClock.adjust("1 day")
  return { running, link, transport }
})

const onScript = <A, E, R>(test: Effect.Effect<A, E, R>) =>
  test.pipe(
    Effect.provide(MemoryAgent.host(ScriptedTransport.layer, { token: MemoryAgent.sharedToken })),
    Random.withSeed("door")
  )

describe("a refusal of the upgrade or of TLS", () => {
  it.effect.each(refusals)(
    "after a day connected, %s for some seconds: it is told, and passes by itself",
    ([, error]) =>
      Effect.gen(function*() {
        const { link, running, transport } = yield* connected(error, error)
        link.close(1006)
        yield* TestClock.adjust("1 second")
        const { cause } = yield* running.reached("Waiting")
        assert.strictEqual(cause, error)
        for (let second = 0; second < 90 && transport.dials() < 4; second++) yield* TestClock.adjust("1 second")
        yield* greet(4)
        yield* running.reached("Connected")
        assert.notInclude(running.seen.map(({ _tag }) => _tag), "Halted")
      }).pipe(onScript)
  )

  it.effect.each(refusals)(
    "at the first start, %s: halts, unless it passes by itself",
    ([name, error]) =>
      Effect.gen(function*() {
        const transport = yield* ScriptedTransport
        transport.script({ fail: error })
        const running = yield* MemoryAgent.start
        const { cause } = yield* running.reached(passing.has(name) ? "Waiting" : "Halted")
        assert.strictEqual(cause, error)
        yield* TestClock.adjust("1 second")
        assert.strictEqual(transport.dials(), passing.has(name) ? 2 : 1)
      }).pipe(onScript)
  )

  it.effect("a device that a session has given its token is past its first start", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      transport.script({ fail: upgrade(403) })
      const { endpoint, role } = yield* GatewayConfig
      const { deviceId } = yield* DeviceIdentity
      yield* Effect.flatMap(TokenStore, (store) =>
        store.put(
          { gatewayScope: endpoint.gatewayScope, deviceId, role },
          { token: Device.token("stored"), scopes: ["operator.read", "operator.write"], storedAtMs: 0 }
        ))
      const running = yield* MemoryAgent.start
      yield* running.reached("Waiting")
      for (let second = 0; second < 30 && transport.dials() < 2; second++) yield* TestClock.adjust("1 second")
      yield* greet(2)
      yield* running.reached("Connected")
    }).pipe(onScript))

  it.effect("is tried again after 30 seconds, twice as long after each, and every ten minutes in the end", () =>
    Effect.gen(function*() {
      const { link, running, transport } = yield* connected(...Array.from({ length: 200 }, () => upgrade(404)))
      link.close(1006)
      const before = running.seen.length
      yield* TestClock.adjust("3 hours")
      const waits = running.seen.slice(before).flatMap((status) =>
        status._tag === "Waiting" && status.cause._tag === "UpgradeRejected" ? [status.retryAtMs] : []
      )
      const gaps = waits.map((atMs, index) => atMs - (waits[index - 1] ?? atMs)).slice(1)
      for (const [index, gapMs] of gaps.entries()) {
        const full = Math.min(30_000 * 2 ** (index + 1), 600_000)
        assert.isTrue(gapMs >= full / 2 && gapMs <= full, `wait ${index}: ${gapMs}`)
      }
      assert.isAbove(gaps.length, 15)
      assert.isBelow(transport.dials(), 60)
    }).pipe(onScript))

  it.effect("is tried at once when somebody asks, and 30 seconds after the first of another outage", () =>
    Effect.gen(function*() {
      const { link, running, transport } = yield* connected(upgrade(404))
      link.close(1006)
      yield* TestClock.adjust("1 second")
      yield* running.reached("Waiting")
      yield* running.supervisor.checkNow
      const again = yield* greet(3)
      yield* running.reached("Connected")
      transport.script({ fail: upgrade(404) })
      again.close(1006)
      yield* running.reached("Waiting")
      yield* running.supervisor.checkNow
      const nowMs = yield* Clock.currentTimeMillis
      const { cause, retryAtMs } = yield* running.reached("Waiting")
      assert.strictEqual(cause._tag, "UpgradeRejected")
      assert.isAtMost(retryAtMs, nowMs + 30_000)
    }).pipe(onScript))

  it.effect.each([["429", 429], ["503", 503], ["403", 403]] as const)(
    "that says when to come back (%s) is heard, whoever asks to check",
    ([, status]) =>
      Effect.gen(function*() {
        const { link, running, transport } = yield* connected(upgrade(status, 120_000))
        link.close(1006)
        yield* TestClock.adjust("1 second")
        const { retryAtMs } = yield* running.reached("Waiting")
        yield* running.supervisor.checkNow
        yield* TestClock.adjust("119 seconds")
        assert.strictEqual(transport.dials(), 2)
        yield* TestClock.adjust("15 seconds")
        assert.strictEqual(transport.dials(), 3)
        assert.isAtLeast(retryAtMs, 86_400_000 + 120_000)
      }).pipe(onScript)
  )

  it.effect("that says to come back at once is not met by hammering", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      transport.script(...Array.from({ length: 2000 }, () => ({ fail: upgrade(429, 500) })))
      yield* MemoryAgent.start
      yield* TestClock.adjust("1 hour")
      assert.isAtMost(transport.dials(), 250)
    }).pipe(onScript))

  it.effect("of another gateway is one of a first start; a pause forgets nothing", () =>
    Effect.gen(function*() {
      const { running, transport } = yield* connected(upgrade(404), upgrade(404))
      yield* running.supervisor.pause
      yield* running.supervisor.resume
      yield* running.reached("Waiting")
      const other = Device.settings({ url: "ws://localhost:1/other", token: MemoryAgent.sharedToken })
      yield* running.supervisor.reconfigure(other)
      yield* running.reached("Halted")
      assert.strictEqual(transport.dials(), 3)
    }).pipe(onScript))
})
