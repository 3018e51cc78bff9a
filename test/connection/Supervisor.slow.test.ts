import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import type { ConnectionStatus } from "../../src/connection/ConnectionStatus.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import { GatewayConfig } from "../../src/handshake/GatewayConfig.ts"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { TokenStore, TokenStoreError } from "../../src/identity/TokenStore.ts"
import { ConnectParams, Role } from "../../src/protocol/Connect.ts"
import * as Frame from "../../src/protocol/Frame.ts"
import * as Device from "../support/Device.ts"
import * as LogLines from "../support/LogLines.ts"
import * as MemoryAgent from "../support/MemoryAgent.ts"
import { ScriptedTransport } from "../support/ScriptedTransport.ts"
import * as Wire from "../support/WireFrames.ts"

const seeded = Random.withSeed("supervisor")
const attempts = Effect.flatMap(DevGateway, (gateway) => Effect.map(gateway.stats, (stats) => stats.attempts))
const hellos = Effect.flatMap(DevGateway, (gateway) => Effect.map(gateway.stats, (stats) => stats.hellos))

/** How many attempts the gateway counts while an effect runs. */
const attemptsDuring = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
  const before = yield* attempts
  yield* effect
  return (yield* attempts) - before
})

const onlyRequest = Effect.gen(function*() {
  const gateway = yield* DevGateway
  const [entry] = yield* gateway.pending
  return entry ?? assert.fail("nothing is pending")
})

const approve = Effect.gen(function*() {
  const gateway = yield* DevGateway
  const { requestId } = yield* onlyRequest
  return yield* gateway.approve(requestId)
})

const tokenKey = Effect.gen(function*() {
  const { endpoint } = yield* GatewayConfig
  const { deviceId } = yield* DeviceIdentity
  return { gatewayScope: endpoint.gatewayScope, deviceId, role: Role.make("operator") }
})
const storedToken = Effect.gen(function*() {
  const store = yield* TokenStore
  const found = yield* store.get(yield* tokenKey)
  return Option.getOrUndefined(Option.map(found, ({ token }) => Redacted.value(token)))
})

const tags = (seen: ReadonlyArray<ConnectionStatus>) => seen.map(({ _tag }) => _tag)

/** Starts against a gateway that asks for approval, approves it, and waits for the session. */
const paired = Effect.gen(function*() {
  const running = yield* MemoryAgent.start
  yield* running.reached("AwaitingApproval")
  yield* approve
  yield* running.supervisor.checkNow
  yield* running.reached("Connected")
  return running
})

describe("Supervisor", () => {
  describe("from start to session", () => {
    it.effect("F12: an unpaired start is a state to wait in, with one request; approval leads to the session", () =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        const running = yield* MemoryAgent.start
        const { approval } = yield* running.reached("AwaitingApproval")
        assert.strictEqual(approval.reason, "not-paired")
        assert.strictEqual<string | undefined>(approval.requestId, (yield* onlyRequest).requestId)
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* gateway.pending).length, 1)
        yield* approve
        yield* TestClock.adjust("15 seconds")
        const { session } = yield* running.reached("Connected")
        assert.deepStrictEqual(session.facts.scopes, ["operator.read", "operator.write"])
        assert.isTrue(session.facts.deviceTokenIssued)
        assert.strictEqual(session.facts.protocol, 4)
        assert.strictEqual(session.facts.gatewayStartedAtMs, 0)
        assert.notInclude(tags(running.seen), "Halted")
        assert.notInclude(tags(running.seen), "Waiting")
      }).pipe(Effect.provide(MemoryAgent.layer()), seeded))

    it.effect("G18: attended, the session is there within one poll of three seconds after the approval", () =>
      Effect.gen(function*() {
        const running = yield* MemoryAgent.start
        yield* running.reached("AwaitingApproval")
        yield* running.supervisor.attend
        yield* TestClock.adjust("100 seconds")
        yield* approve
        yield* TestClock.adjust("3 seconds")
        assert.strictEqual((yield* running.supervisor.status)._tag, "Connected")
      }).pipe(Effect.provide(MemoryAgent.layer()), seeded))

    it.effect("F44: the token is stored before anybody sees Connected", () =>
      Effect.gen(function*() {
        const running = yield* MemoryAgent.start
        yield* running.reached("AwaitingApproval")
        yield* approve
        yield* running.supervisor.checkNow
        yield* TestClock.adjust("999 millis")
        assert.strictEqual(yield* hellos, 1)
        assert.notStrictEqual((yield* running.supervisor.status)._tag, "Connected")
        yield* TestClock.adjust("1 millis")
        assert.isString(yield* storedToken)
        yield* running.reached("Connected")
      }).pipe(Effect.provide(slowStore("1 second").pipe(Layer.provideMerge(MemoryAgent.layer()))), seeded))

    it.effect("F44: a second start without the shared token connects by the stored one", () =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        const first = yield* paired
        const token = yield* storedToken
        yield* first.stop
        const { endpoint } = yield* GatewayConfig
        const settings = { ...Device.settings({}), endpoint }
        const second = yield* Effect.provideService(MemoryAgent.start, GatewayConfig, settings)
        yield* second.reached("Connected")
        const sent = (yield* gateway.frames).flatMap(({ text }) => sentToken(text) ?? [])
        assert.strictEqual(sent.at(-1), token)
        assert.notStrictEqual(token, "shared-token")
      }).pipe(Effect.provide(MemoryAgent.layer({ gateway: { recordFrames: true } })), seeded))

    it.effect("a store that cannot be read or written costs a warning, not the session", () =>
      LogLines.kept((lines) =>
        Effect.gen(function*() {
          yield* paired
          assert.include(lines.map(({ message }) => String(message)).join(), "token not")
        }).pipe(Effect.provide(brokenStore.pipe(Layer.provideMerge(MemoryAgent.layer()))), seeded)
      ))

    it.effect("a gateway that admits without a token is a success", () =>
      Effect.gen(function*() {
        const running = yield* MemoryAgent.start
        const { session } = yield* running.reached("Connected")
        assert.isFalse(session.facts.deviceTokenIssued)
        assert.isUndefined(yield* storedToken)
      }).pipe(Effect.provide(MemoryAgent.layer({ client: { token: MemoryAgent.operatorToken } })), seeded))
  })

  describe("the ladder", () => {
    it.effect("climbs while the gateway is away, and connects when it is back", () =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        yield* gateway.stop
        const running = yield* MemoryAgent.start
        yield* TestClock.adjust("5 minutes")
        const delays = running.seen.flatMap((status, index) => {
          const before = running.seen.slice(0, index).filter(({ _tag }) => _tag === "Waiting").length
          return status._tag === "Waiting" ? [{ rung: before, status }] : []
        })
        assert.isAbove(delays.length, 10)
        for (const [index, { rung, status }] of delays.entries()) {
          const next = delays[index + 1]
          if (next === undefined) continue
          const gapMs = next.status.retryAtMs - status.retryAtMs
          const full = Math.min(1_000 * 2 ** (rung + 1), 30_000)
          assert.isTrue(gapMs >= full / 2 && gapMs <= full, `rung ${rung}: ${gapMs}`)
        }
        yield* gateway.start
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual((yield* running.supervisor.status)._tag, "Connected")
      }).pipe(Effect.provide(MemoryAgent.layer({ client: { token: MemoryAgent.operatorToken } })), seeded))

    it.effect("G04: a gateway that drops every link right after hello is met by a ladder, not by hammering", () =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        yield* gateway.scriptEach(() => ({ closeWith: { code: 1012, reason: "service restart" } }))
        yield* MemoryAgent.start
        assert.isAtMost(yield* attemptsDuring(TestClock.adjust("1 hour")), 250)
        assert.isAbove(yield* hellos, 100)
      }).pipe(Effect.provide(MemoryAgent.layer({ client: { token: MemoryAgent.operatorToken } })), seeded))

    it.effect("checkNow ends a wait of the ladder at once", () =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        yield* gateway.stop
        const running = yield* MemoryAgent.start
        yield* TestClock.adjust("5 minutes")
        yield* gateway.start
        yield* running.supervisor.checkNow
        yield* running.reached("Connected")
        assert.strictEqual(yield* Clock.currentTimeMillis, 300_000)
      }).pipe(Effect.provide(MemoryAgent.layer({ client: { token: MemoryAgent.operatorToken } })), seeded))

    it.effect("checkNow during an attempt is answered by that attempt: the wait after it is as long as ever", () =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        yield* gateway.script({ stallAt: "challenge" })
        const running = yield* MemoryAgent.start
        yield* TestClock.adjust("1 second")
        yield* running.supervisor.checkNow
        yield* TestClock.adjust("14 seconds")
        const { retryAtMs } = yield* running.reached("Waiting")
        assert.isAtLeast(retryAtMs, 15_500)
        assert.strictEqual(yield* attemptsDuring(TestClock.setTime(retryAtMs - 1)), 0)
        yield* TestClock.adjust(1)
        yield* running.reached("Connected")
      }).pipe(Effect.provide(MemoryAgent.layer({ client: { token: MemoryAgent.operatorToken } })), seeded))

    it.effect("a restart of the gateway is survived, with the same token", () =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        const running = yield* paired
        const token = yield* storedToken
        yield* TestClock.adjust("1 minute")
        yield* gateway.stop
        const { approval, cause } = yield* running.reached("Waiting")
        assert.isTrue(cause._tag === "LinkError" && cause.closeCode === 1012)
        assert.isUndefined(approval, "that wait is over")
        yield* gateway.start
        yield* TestClock.adjust("1 second")
        yield* running.reached("Connected")
        assert.strictEqual(yield* storedToken, token)
      }).pipe(Effect.provide(MemoryAgent.layer()), seeded))
  })

  describe("times that the gateway sets", () => {
    it.effect("UNAVAILABLE: not before its time, not even for checkNow", () =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        yield* gateway.script({ unavailable: 20_000 })
        const running = yield* MemoryAgent.start
        yield* running.reached("Waiting")
        yield* running.supervisor.checkNow
        yield* TestClock.adjust("19999 millis")
        assert.strictEqual(yield* attempts, 1)
        yield* TestClock.adjust("1 millis")
        yield* running.reached("Connected")
      }).pipe(Effect.provide(MemoryAgent.layer({ client: { token: MemoryAgent.operatorToken } })), seeded))

    it.effect("G24: a lock-out is waited for, to its end and at most five seconds longer", () =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        yield* gateway.script({ lockout: 299_979 })
        const running = yield* MemoryAgent.start
        const { cause, retryAtMs } = yield* running.reached("Waiting")
        assert.strictEqual(cause._tag, "RateLimited")
        assert.isTrue(retryAtMs >= 299_979 && retryAtMs <= 304_979)
        assert.strictEqual(yield* attemptsDuring(TestClock.adjust("299978 millis")), 0)
        yield* TestClock.adjust("5001 millis")
        yield* running.reached("Connected")
      }).pipe(Effect.provide(MemoryAgent.layer({ client: { token: MemoryAgent.operatorToken } })), seeded))
  })

  describe("waiting for approval", () => {
    it.effect("attended every three seconds, counted at the gateway", () =>
      Effect.gen(function*() {
        const running = yield* MemoryAgent.start
        yield* running.reached("AwaitingApproval")
        yield* running.supervisor.attend
        assert.strictEqual(yield* attemptsDuring(TestClock.adjust("1 minute")), 20)
        assert.isAtMost(yield* attemptsDuring(TestClock.adjust("1 hour")), 1_200)
        assert.strictEqual((yield* running.supervisor.status)._tag, "AwaitingApproval", "somebody is looking")
      }).pipe(Effect.provide(MemoryAgent.layer()), seeded))

    it.effect("unattended every 15 s for five minutes, then every minute, and Halted after an hour", () =>
      Effect.gen(function*() {
        const running = yield* MemoryAgent.start
        yield* running.reached("AwaitingApproval")
        const eager = yield* attemptsDuring(TestClock.adjust("5 minutes"))
        assert.isTrue(eager >= 20 && eager <= 23, `${eager}`)
        const patient = yield* attemptsDuring(TestClock.adjust("54 minutes"))
        assert.isTrue(patient >= 54 && patient <= 61, `${patient}`)
        yield* TestClock.adjust("2 minutes")
        const { approval, cause } = yield* running.reached("Halted")
        assert.strictEqual(cause._tag, "ApprovalTimedOut")
        assert.isDefined(approval?.requestId)
        assert.strictEqual(yield* attemptsDuring(TestClock.adjust("10 hours")), 0, "Halted asks nothing")
        yield* running.supervisor.checkNow
        yield* running.reached("AwaitingApproval")
      }).pipe(Effect.provide(MemoryAgent.layer()), seeded))

    it.effect("attending starts to count at once and stops with its scope", () =>
      Effect.gen(function*() {
        const running = yield* MemoryAgent.start
        yield* running.reached("AwaitingApproval")
        yield* TestClock.adjust("10 minutes")
        assert.strictEqual(
          yield* attemptsDuring(Effect.scoped(
            Effect.andThen(running.supervisor.attend, TestClock.adjust("30 seconds"))
          )),
          11,
          "one at once, as the last ask is long ago, then every three seconds"
        )
        assert.isAtMost(yield* attemptsDuring(TestClock.adjust("5 minutes")), 6)
      }).pipe(Effect.provide(MemoryAgent.layer()), seeded))

    it.effect("checkNow asks at once, and counts as looking for half a minute", () =>
      Effect.gen(function*() {
        const running = yield* MemoryAgent.start
        yield* running.reached("AwaitingApproval")
        yield* TestClock.adjust("10 minutes")
        const asked = yield* attemptsDuring(
          Effect.andThen(running.supervisor.checkNow, TestClock.adjust("30 seconds"))
        )
        assert.isTrue(asked >= 10 && asked <= 11, `${asked}`)
        assert.isAtMost(yield* attemptsDuring(TestClock.adjust("1 minute")), 2)
      }).pipe(Effect.provide(MemoryAgent.layer()), seeded))

    it.effect("the status says when the next check is, and that one is on its way", () =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        const running = yield* MemoryAgent.start
        const first = yield* running.reached("AwaitingApproval")
        assert.isFalse(first.checking)
        yield* gateway.script({ stallAt: "challenge" })
        yield* TestClock.setTime(first.nextCheckAtMs)
        const second = yield* running.supervisor.status
        assert.isTrue(second._tag === "AwaitingApproval" && second.checking)
        assert.notInclude(tags(running.seen.slice(running.seen.indexOf(first))), "Connecting", "a poll is no new start")
      }).pipe(Effect.provide(MemoryAgent.layer()), seeded))

    it.effect("G05: the request id stays the same over all polls, and across an outage", () =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        const running = yield* MemoryAgent.start
        const { approval } = yield* running.reached("AwaitingApproval")
        yield* TestClock.adjust("20 minutes")
        yield* gateway.stop
        yield* TestClock.adjust("2 minutes")
        const waiting = yield* running.reached("Waiting")
        assert.strictEqual(waiting.approval?.requestId, approval.requestId)
        assert.strictEqual(waiting.approval?.sinceMs, approval.sinceMs)
        yield* gateway.start
        yield* TestClock.adjust("1 minute")
        const later = yield* running.reached("AwaitingApproval")
        assert.strictEqual(later.approval.requestId, approval.requestId)
        assert.strictEqual(later.approval.sinceMs, approval.sinceMs)
        assert.strictEqual(later.approval.replaced, 0)
      }).pipe(Effect.provide(MemoryAgent.layer()), seeded))

    it.effect("G05: replaced request ids slow the asking down, and the third ends it", () =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        yield* gateway.scriptEach(() => ({ supersede: true }))
        const running = yield* MemoryAgent.start
        yield* running.reached("AwaitingApproval")
        yield* running.supervisor.attend
        const askedAtMs: Array<number> = []
        yield* TestClock.adjust("1 minute")
        for (const status of running.seen) {
          if (status._tag === "AwaitingApproval" && askedAtMs.at(-1) !== status.approval.lastAskedAtMs) {
            askedAtMs.push(status.approval.lastAskedAtMs)
          }
        }
        assert.deepStrictEqual(askedAtMs, [0, 3_000, 9_000])
        const { cause } = yield* running.reached("Halted")
        assert.isTrue(cause._tag === "ApprovalTimedOut" && cause.replaced === 3)
        assert.strictEqual(yield* attempts, 4)
      }).pipe(Effect.provide(MemoryAgent.layer()), seeded))

    it.effect("a rejected request is asked for anew", () =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        const running = yield* MemoryAgent.start
        const { approval } = yield* running.reached("AwaitingApproval")
        yield* gateway.reject((yield* onlyRequest).requestId)
        yield* TestClock.adjust("15 seconds")
        const later = yield* running.reached("AwaitingApproval")
        assert.notStrictEqual(later.approval.requestId, approval.requestId)
        assert.strictEqual(later.approval.replaced, 1)
      }).pipe(Effect.provide(MemoryAgent.layer()), seeded))
  })

  describe("what an operator does to a paired device", () => {
    it.effect("G03: after rotate it is connected again with the new token within five seconds", () =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        const running = yield* paired
        const old = yield* storedToken
        yield* TestClock.adjust("1 minute")
        yield* gateway.rotate((yield* DeviceIdentity).deviceId)
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual((yield* running.supervisor.status)._tag, "Connected")
        assert.notStrictEqual(yield* storedToken, old)
      }).pipe(Effect.provide(MemoryAgent.layer()), seeded))

    it.effect("G03: rotated without a shared token it halts, forgets the dead token, and reconfigure mends it", () =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        const first = yield* paired
        yield* first.stop
        const running = yield* Effect.provideService(MemoryAgent.start, GatewayConfig, Device.settings())
        yield* running.reached("Connected")
        yield* TestClock.adjust("1 minute")
        yield* gateway.rotate((yield* DeviceIdentity).deviceId)
        yield* TestClock.adjust("5 seconds")
        const { cause } = yield* running.reached("Halted")
        assert.isTrue(cause._tag === "AuthRejected" && cause.sent === "DeviceToken")
        assert.isUndefined(yield* storedToken)
        assert.strictEqual(yield* attemptsDuring(TestClock.adjust("1 day")), 0)
        yield* running.supervisor.reconfigure(Device.settings({ token: MemoryAgent.sharedToken }))
        yield* running.reached("Connected")
        assert.isString(yield* storedToken)
      }).pipe(Effect.provide(MemoryAgent.layer()), seeded))

    it.effect.each([["revoke", "role-upgrade"], ["remove", "not-paired"]] as const)(
      "after %s it awaits approval (%s), and goes on after it",
      ([command, reason]) =>
        Effect.gen(function*() {
          const gateway = yield* DevGateway
          const running = yield* paired
          yield* TestClock.adjust("1 minute")
          yield* gateway[command]((yield* DeviceIdentity).deviceId)
          yield* TestClock.adjust("5 seconds")
          const { approval } = yield* running.reached("AwaitingApproval")
          assert.strictEqual(approval.reason, reason)
          yield* approve
          yield* running.supervisor.checkNow
          yield* running.reached("Connected")
        }).pipe(Effect.provide(MemoryAgent.layer()), seeded)
    )
  })

  describe("credentials", () => {
    it.effect("a wrong shared token falls back to the stored one, once", () =>
      Effect.gen(function*() {
        const first = yield* paired
        yield* first.stop
        const wrong = Device.settings({ token: Redacted.make("wrong") })
        const running = yield* Effect.provideService(MemoryAgent.start, GatewayConfig, wrong)
        yield* running.reached("Connected")
        const gateway = yield* DevGateway
        assert.strictEqual((yield* gateway.stats).refusals.get("AUTH_TOKEN_MISMATCH"), 1)
      }).pipe(Effect.provide(MemoryAgent.layer()), seeded))

    it.effect("G24: a wrong token and nothing else halts after one attempt", () =>
      Effect.gen(function*() {
        const running = yield* MemoryAgent.start
        const { cause } = yield* running.reached("Halted")
        assert.isTrue(cause._tag === "AuthRejected" && cause.reason === "TokenMismatch" && cause.sent === "SharedToken")
        yield* TestClock.adjust("1 day")
        assert.strictEqual(yield* attempts, 1)
      }).pipe(Effect.provide(MemoryAgent.layer({ client: { token: Redacted.make("wrong") } })), seeded))

    it.effect("both refused: the stored one is forgotten and the loop ends", () =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        const first = yield* paired
        yield* first.stop
        yield* gateway.rotate((yield* DeviceIdentity).deviceId)
        const before = yield* attempts
        const wrong = Device.settings({ token: Redacted.make("wrong") })
        const running = yield* Effect.provideService(MemoryAgent.start, GatewayConfig, wrong)
        yield* running.reached("Halted")
        assert.isUndefined(yield* storedToken)
        assert.strictEqual((yield* attempts) - before, 2)
      }).pipe(Effect.provide(MemoryAgent.layer()), seeded))

    it.effect("F36: a gateway that does not know v3 proofs gets v2 at once, and from then on first", () =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        yield* gateway.scriptEach(() => ({ refuseProofV3: true }))
        const running = yield* MemoryAgent.start
        yield* running.reached("Connected")
        assert.strictEqual(yield* Clock.currentTimeMillis, 0)
        yield* gateway.dropAll(1012)
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* running.supervisor.status)._tag, "Connected")
        // Nor does a pause forget it.
        yield* running.supervisor.pause
        yield* running.supervisor.resume
        yield* running.reached("Connected")
        const { verify } = yield* DeviceIdentity
        const versions = (yield* gateway.frames).flatMap(({ direction, text }) => {
          const proof = direction === "in" ? sentProof(text) : undefined
          return proof === undefined ? [] : [verify(proof.v2, proof.signature) ? "v2" : "v3"]
        })
        assert.deepStrictEqual(versions, ["v3", "v2", "v2", "v2"])
      }).pipe(
        Effect.provide(
          MemoryAgent.layer({ client: { token: MemoryAgent.operatorToken }, gateway: { recordFrames: true } })
        ),
        seeded
      ))
  })

  describe("commands", () => {
    it.effect("pause closes the link and stays away until resume", () =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        const running = yield* paired
        yield* running.supervisor.pause
        assert.strictEqual((yield* gateway.stats).openPeers, 0)
        assert.strictEqual((yield* running.supervisor.status)._tag, "Paused")
        yield* running.supervisor.checkNow
        assert.strictEqual(yield* attemptsDuring(TestClock.adjust("1 hour")), 0)
        yield* running.supervisor.resume
        yield* running.reached("Connected")
        assert.strictEqual((yield* gateway.stats).openPeers, 1)
        yield* running.supervisor.resume
        assert.strictEqual((yield* gateway.stats).openPeers, 1, "resume of what runs does nothing")
      }).pipe(Effect.provide(MemoryAgent.layer()), seeded))

    it.effect("pausing twice, and pausing in every other state, is Paused", () =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        const running = yield* MemoryAgent.start
        yield* running.reached("AwaitingApproval")
        yield* running.supervisor.pause
        yield* running.supervisor.pause
        assert.strictEqual((yield* running.supervisor.status)._tag, "Paused")
        yield* gateway.stop
        yield* running.supervisor.resume
        yield* running.reached("Waiting")
        yield* running.supervisor.pause
        assert.strictEqual((yield* running.supervisor.status)._tag, "Paused")
      }).pipe(Effect.provide(MemoryAgent.layer()), seeded))

    it.effect("reconfigure drops the link and starts afresh with the new settings", () =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        const running = yield* MemoryAgent.start
        yield* running.reached("AwaitingApproval")
        yield* running.supervisor.reconfigure(Device.settings({ token: MemoryAgent.operatorToken }))
        yield* running.reached("Connected")
        yield* running.supervisor.reconfigure(
          Device.settings({ url: "ws://localhost:1/x", token: MemoryAgent.sharedToken })
        )
        yield* running.reached("AwaitingApproval")
        assert.strictEqual(yield* running.supervisor.gatewayScope, "ws://localhost:1/x")
        assert.strictEqual((yield* gateway.stats).openPeers, 0)
      }).pipe(Effect.provide(MemoryAgent.layer()), seeded))

    it.effect("after the end nothing brings it back, and Stopped is the last word", () =>
      Effect.gen(function*() {
        const running = yield* paired
        yield* running.stop
        yield* running.supervisor.pause
        yield* running.supervisor.resume
        yield* running.supervisor.checkNow
        yield* running.supervisor.reconfigure(Device.settings())
        assert.strictEqual(yield* attemptsDuring(TestClock.adjust("1 hour")), 0)
        assert.strictEqual((yield* running.supervisor.status)._tag, "Stopped")
        assert.strictEqual(running.seen.at(-1)?._tag, "Stopped")
      }).pipe(Effect.provide(MemoryAgent.layer()), seeded))
  })

  it.effect("a gateway that names a tick interval of a millisecond is not taken for dead after two of them", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const running = yield* MemoryAgent.start
      const link = yield* transport.nth(1)
      link.send(Wire.challenge())
      yield* link.nthSent(1)
      link.send(Wire.helloOk({ policy: { tickIntervalMs: 1 } }))
      const { session } = yield* running.reached("Connected")
      yield* TestClock.adjust("1 second")
      const now = yield* running.supervisor.status
      assert.isTrue(now._tag === "Connected" && now.session === session)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* session.ended).reason, "Silent")
    }).pipe(Effect.provide(MemoryAgent.host(ScriptedTransport.layer)), seeded))

  it.effect("F50: what an old link says late touches nothing of the session that followed it", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const running = yield* MemoryAgent.start
      const answer = Effect.fnUntraced(function*(generation: number) {
        const link = yield* transport.nth(generation)
        link.send(Wire.challenge())
        yield* link.nthSent(1)
        link.send(Wire.helloOk())
        return link
      })
      const old = yield* answer(1)
      yield* running.reached("Connected")
      old.close(1012, "service restart")
      yield* running.reached("Waiting")
      yield* running.supervisor.checkNow
      yield* answer(2)
      const { session } = yield* running.reached("Connected")
      const waiting = yield* Effect.forkScoped(session.request("health", {}), { startImmediately: true })
      old.send(Frame.encodeResponse("1", "from the grave"))
      old.close(1006)
      yield* TestClock.adjust("1 second")
      assert.isUndefined(waiting.pollUnsafe())
      const now = yield* running.supervisor.status
      assert.isTrue(now._tag === "Connected" && now.session === session)
      assert.strictEqual(transport.dials(), 2)
      assert.strictEqual(transport.open(), 1)
    }).pipe(Effect.provide(MemoryAgent.host(ScriptedTransport.layer)), seeded))

  it.effect("a message too big for the gateway ends the loop instead of being sent for ever", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      yield* gateway.scriptEach(() => ({ closeWith: { code: 1009 } }))
      const running = yield* MemoryAgent.start
      const { cause } = yield* running.reached("Halted")
      assert.isTrue(cause._tag === "LinkError" && cause.closeCode === 1009)
    }).pipe(Effect.provide(MemoryAgent.layer({ client: { token: MemoryAgent.operatorToken } })), seeded))

  it.effect("F29: each failed attempt logs one line with its number", () =>
    LogLines.kept((lines) =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        yield* gateway.script({ dropAt: "challenge" }, { unavailable: 500 }, { dropAt: "open" })
        const running = yield* MemoryAgent.start
        yield* TestClock.adjust("1 minute")
        yield* running.reached("Connected")
        const failed = lines.filter(({ message }) => message === "connection attempt failed")
        assert.deepStrictEqual(failed.map(({ annotations }) => [annotations["attempt"], annotations["error"]]), [
          [1, "LinkError"],
          [2, "GatewayUnavailable"],
          [3, "LinkError"]
        ])
      }).pipe(Effect.provide(MemoryAgent.layer({ client: { token: MemoryAgent.operatorToken } })), seeded)
    ))
})

/** The signature of a connect frame, and the text that it covers if it is a version 2 proof. */
const sentProof = (text: string) => {
  const frame = decodeConnect(text)
  if (Option.isNone(frame)) return undefined
  const { client, device, role, scopes, auth } = frame.value.params
  const v2 = [
    "v2",
    device.id,
    client.id,
    client.mode,
    role,
    scopes.join(","),
    device.signedAt,
    auth?.token,
    device.nonce
  ]
  return { v2: v2.join("|"), signature: device.signature }
}
const decodeConnect = Schema.decodeUnknownOption(
  Schema.fromJsonString(Schema.Struct({ method: Schema.Literal("connect"), params: ConnectParams }))
)

const sentToken = (text: string): string | undefined =>
  Option.getOrUndefined(Option.map(decodeConnect(text), ({ params }) => params.auth?.token))

/** A store whose writes take a while. */
const slowStore = (takes: "1 second") =>
  Layer.effect(
    TokenStore,
    Effect.map(TokenStore, (store) =>
      TokenStore.of({
        ...store,
        put: (key, entry) => Effect.andThen(Effect.sleep(takes), store.put(key, entry))
      }))
  )

const brokenStore = Layer.succeed(
  TokenStore,
  TokenStore.of({
    get: () => Effect.fail(new TokenStoreError({ path: "/t", reason: "Unreadable" })),
    put: () => Effect.fail(new TokenStoreError({ path: "/t", reason: "Unwritable" })),
    remove: () => Effect.fail(new TokenStoreError({ path: "/t", reason: "Unwritable" }))
  })
)
