import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as TestClock from "effect/testing/TestClock"
import { Admission, limits } from "../../src/connection/Admission.ts"
import type { ConnectionStatus } from "../../src/connection/ConnectionStatus.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import * as MemoryAgent from "../support/MemoryAgent.ts"
import { ScriptedTransport } from "../support/ScriptedTransport.ts"
import * as WallClock from "../support/WallClock.ts"
import * as Wire from "../support/WireFrames.ts"

const hourMs = 3_600_000
const attempts = Effect.flatMap(DevGateway, (gateway) => Effect.map(gateway.stats, (stats) => stats.attempts))
const operator = MemoryAgent.layer({ client: { token: MemoryAgent.operatorToken } })
const onScript = Effect.provide(MemoryAgent.host(ScriptedTransport.layer))

/** The wall clock is set by an hour, back or on. */
const steps: ReadonlyArray<readonly [string, number]> = [["back", -hourMs], ["on", hourMs]]

const connected = Effect.fnUntraced(function*(more: Readonly<Record<string, unknown>> = {}) {
  const transport = yield* ScriptedTransport
  const running = yield* MemoryAgent.start
  const link = yield* transport.nth(1)
  link.send(Wire.challenge())
  yield* link.nthSent(1)
  link.send(Wire.helloOk(more))
  const { session } = yield* running.reached("Connected")
  return { running, link, session, transport }
})

describe.each(steps)("a wall clock that is set an hour %s", (_, byMs) => {
  it.effect("changes no wait of the ladder", () =>
    WallClock.settable((wall) =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        yield* gateway.stop
        const running = yield* MemoryAgent.start
        yield* TestClock.adjust("3 minutes")
        const before = yield* attempts
        wall.step(byMs)
        yield* TestClock.adjust("2 minutes")
        const tried = (yield* attempts) - before
        assert.isTrue(tried >= 3 && tried <= 9, `${tried} attempts`)
        yield* gateway.start
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual((yield* running.supervisor.status)._tag, "Connected")
      })
    ).pipe(Effect.provide(operator), Random.withSeed("ladder")))

  it.effect("neither delays nor hurries the asking for an approval, nor ends it", () =>
    WallClock.settable((wall) =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        const running = yield* MemoryAgent.start
        yield* running.reached("AwaitingApproval")
        yield* TestClock.adjust("1 minute")
        wall.step(byMs)
        const before = yield* attempts
        yield* TestClock.adjust("3 minutes")
        const asked = (yield* attempts) - before
        assert.isTrue(asked >= 12 && asked <= 15, `${asked} asks`)
        const [entry] = yield* gateway.pending
        yield* gateway.approve(entry?.requestId ?? "")
        yield* TestClock.adjust("15 seconds")
        assert.strictEqual((yield* running.supervisor.status)._tag, "Connected")
      })
    ).pipe(Effect.provide(MemoryAgent.layer()), Random.withSeed("asking")))

  it.effect("does not move a time that the gateway has set", () =>
    WallClock.settable((wall) =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        yield* gateway.script({ lockout: 120_000 })
        const running = yield* MemoryAgent.start
        yield* running.reached("Waiting")
        yield* running.supervisor.checkNow
        yield* TestClock.adjust("1 minute")
        wall.step(byMs)
        yield* TestClock.adjust("59 seconds")
        assert.strictEqual(yield* attempts, 1)
        yield* TestClock.adjust("1 second")
        yield* running.reached("Connected")
      })
    ).pipe(Effect.provide(operator), Random.withSeed("locked")))

  it.effect("times no request out early or late", () =>
    WallClock.settable((wall) =>
      Effect.gen(function*() {
        const { session } = yield* connected()
        const slow = yield* Effect.forkChild(
          Effect.result(session.request("slow", {}, { timeout: Duration.minutes(1) })),
          { startImmediately: true }
        )
        yield* TestClock.adjust("10 seconds")
        wall.step(byMs)
        const later = yield* Effect.forkChild(
          Effect.result(session.request("later", {}, { timeout: Duration.minutes(1) })),
          { startImmediately: true }
        )
        yield* TestClock.adjust("49999 millis")
        assert.isUndefined(slow.pollUnsafe())
        yield* TestClock.adjust(1)
        assert.isTrue(Result.isFailure(yield* Fiber.join(slow)))
        yield* TestClock.adjust("9999 millis")
        assert.isUndefined(later.pollUnsafe())
        yield* TestClock.adjust(1)
        assert.isTrue(Result.isFailure(yield* Fiber.join(later)))
      })
    ).pipe(onScript))

  it.effect("takes no living gateway for silent, and a silent one for that in time", () =>
    WallClock.settable((wall) =>
      Effect.gen(function*() {
        const { link, running, session } = yield* connected({ policy: { tickIntervalMs: 30_000 } })
        yield* TestClock.adjust("30 seconds")
        link.send("noise")
        wall.step(byMs)
        yield* TestClock.adjust("59999 millis")
        assert.strictEqual((yield* running.supervisor.status)._tag, "Connected")
        yield* TestClock.adjust(1)
        assert.strictEqual((yield* session.ended).reason, "Silent")
      })
    ).pipe(onScript))

  it.effect("gives no attempt more time, or less", () =>
    WallClock.settable((wall) =>
      Effect.gen(function*() {
        const transport = yield* ScriptedTransport
        transport.script({ opensAfter: Effect.sleep("5 seconds") })
        const running = yield* MemoryAgent.start
        yield* TestClock.adjust("1 second")
        wall.step(byMs)
        yield* TestClock.adjust("13999 millis")
        assert.strictEqual((yield* running.supervisor.status)._tag, "Connecting")
        yield* TestClock.adjust(1)
        const { cause } = yield* running.reached("Waiting")
        assert.deepInclude({ ...cause }, { _tag: "ChallengeTimeout", phase: "challenge" })
      })
    ).pipe(onScript))

  it.effect("does not change how long an attempt is said to have taken", () =>
    WallClock.settable((wall) =>
      Effect.gen(function*() {
        const transport = yield* ScriptedTransport
        const running = yield* MemoryAgent.start
        const link = yield* transport.nth(1)
        yield* TestClock.adjust("1 second")
        wall.step(byMs)
        yield* TestClock.adjust("1 second")
        link.close(1006)
        const { cause } = yield* running.reached("Waiting")
        assert.deepInclude({ ...cause }, { _tag: "LinkError", elapsedMs: 2000 })
      })
    ).pipe(onScript))

  it.effect("does not change for how long refused credentials count", () =>
    WallClock.settable((wall) =>
      Effect.gen(function*() {
        const admission = yield* Admission
        for (let refusal = 0; refusal < limits.refusals; refusal++) yield* admission.refused("ws://gateway/")
        yield* TestClock.adjust("10 seconds")
        wall.step(byMs)
        const next = yield* Effect.forkChild(admission.admit("ws://gateway/", Effect.void), { startImmediately: true })
        yield* TestClock.adjust("49999 millis")
        assert.isUndefined(next.pollUnsafe())
        yield* TestClock.adjust(1)
        yield* Fiber.join(next)
      }).pipe(Effect.provide(Admission.layer))
    ))

  it.effect("makes no link that lived for a minute younger than it was, or one of a second older", () =>
    WallClock.settable((wall) =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        const running = yield* MemoryAgent.start
        yield* running.reached("Connected")
        // Up the ladder: links that die young.
        yield* gateway.scriptEach(() => ({ closeWith: { code: 1012 } }))
        yield* gateway.dropAll(1012)
        yield* TestClock.adjust("5 minutes")
        yield* gateway.scriptEach(() => ({}))
        yield* TestClock.adjust("31 seconds")
        yield* running.reached("Connected")
        yield* TestClock.adjust(byMs < 0 ? "1 minute" : "1 second")
        wall.step(byMs)
        yield* gateway.stop
        const { retryAtMs } = yield* running.reached("Waiting")
        const inMs = retryAtMs - (yield* Clock.currentTimeMillis)
        if (byMs < 0) assert.isAtMost(inMs, 1000)
        else assert.isAtLeast(inMs, 15_000)
      })
    ).pipe(Effect.provide(operator), Random.withSeed("lived")))

  it.effect("is the clock by which people are told the times, those of a wait that began before it too", () =>
    WallClock.settable((wall) =>
      Effect.gen(function*() {
        const running = yield* MemoryAgent.start
        yield* running.reached("AwaitingApproval")
        yield* TestClock.adjust("100 seconds")
        wall.step(byMs)
        yield* TestClock.adjust("20 seconds")
        const nowMs = yield* Clock.currentTimeMillis
        const { approval, nextCheckAtMs } = yield* running.reached("AwaitingApproval")
        assert.strictEqual(nowMs - approval.sinceMs, 120_000)
        assert.isTrue(nextCheckAtMs > nowMs && nextCheckAtMs <= nowMs + 15_000)
      })
    ).pipe(Effect.provide(MemoryAgent.layer()), Random.withSeed("told")))
})

/** While a machine sleeps its timers stand still, and the world goes on. */
describe("a machine that slept for eight hours", () => {
  const asleep = 8 * hourMs
  const waiting = (status: ConnectionStatus) => status._tag === "Waiting" ? status : assert.fail(status._tag)

  it.effect("tries once soon after, however long it would still have waited", () =>
    WallClock.settable((wall) =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        const running = yield* MemoryAgent.start
        yield* running.reached("Connected")
        // Ten minutes between attempts in the end.
        yield* gateway.scriptEach(() => ({ upgradeRefusal: { status: 404, body: "" } }))
        yield* gateway.dropAll(1012)
        yield* TestClock.adjust("1 hour")
        const leftMs = Effect.gen(function*() {
          return waiting(yield* running.supervisor.status).retryAtMs - (yield* Clock.currentTimeMillis)
        })
        while ((yield* leftMs) < 200_000) yield* TestClock.adjust("10 seconds")
        const before = yield* attempts
        wall.step(asleep)
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* attempts) - before, 1)
      })
    ).pipe(Effect.provide(operator), Random.withSeed("asleep")))

  it.effect("asks once soon after whether it was approved", () =>
    WallClock.settable((wall) =>
      Effect.gen(function*() {
        const running = yield* MemoryAgent.start
        yield* running.reached("AwaitingApproval")
        yield* TestClock.adjust("10 minutes")
        yield* running.supervisor.checkNow
        yield* TestClock.adjust("40 seconds")
        const before = yield* attempts
        wall.step(asleep)
        yield* TestClock.adjust("35 seconds")
        assert.strictEqual((yield* attempts) - before, 1)
        yield* running.reached("AwaitingApproval")
      })
    ).pipe(Effect.provide(MemoryAgent.layer()), Random.withSeed("asleep")))

  it.effect("does not come back before a time that the gateway has set", () =>
    WallClock.settable((wall) =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        yield* gateway.script({ lockout: 300_000 })
        yield* MemoryAgent.start
        yield* TestClock.adjust("1 minute")
        wall.step(asleep)
        yield* TestClock.adjust("239 seconds")
        assert.strictEqual(yield* attempts, 1)
        yield* TestClock.adjust("6 seconds")
        assert.strictEqual(yield* attempts, 2)
      })
    ).pipe(Effect.provide(operator), Random.withSeed("asleep")))

  it.effect("halted, it stays so until somebody asks", () =>
    WallClock.settable((wall) =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        yield* gateway.script({ upgradeRefusal: { status: 404, body: "" } })
        const running = yield* MemoryAgent.start
        yield* running.reached("Halted")
        wall.step(asleep)
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(yield* attempts, 1)
      })
    ).pipe(Effect.provide(operator)))
})
