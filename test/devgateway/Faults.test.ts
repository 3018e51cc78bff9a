import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import type { Fault, FaultPhase } from "../../src/devgateway/Fault.ts"
import * as Frame from "../../src/protocol/Frame.ts"
import recorded from "../vectors/gateway-2026.9.6.json" with { type: "json" }
import { at, device, type FakeLink, link, outcome } from "./FakeClient.ts"

type Gateway = DevGateway["Service"]

const alice = device(1)

const withFault = <A, E>(fault: Fault, body: (client: FakeLink, gateway: Gateway) => Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    yield* TestClock.setTime(1_800_000_000_000)
    return yield* Effect.gen(function*() {
      const gateway = yield* DevGateway
      return yield* body(link(gateway), gateway)
    }).pipe(Effect.provide(DevGateway.layerTest({ faults: [fault] })))
  })

const enter = (client: FakeLink) => client.connect(alice, { token: "operator-token" })

const challenges = (client: FakeLink) => client.events("connect.challenge")

describe("faults of one connection", () => {
  it.effect("noChallenge: none comes, the link is closed at its deadline, and a proof without nonce is accepted", () =>
    withFault({ noChallenge: true }, (client, gateway) =>
      Effect.gen(function*() {
        yield* TestClock.adjust("14 seconds")
        assert.lengthOf(client.texts, 0)
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(client.closes, [{ code: 1000, reason: "" }])
        yield* gateway.script({ noChallenge: true })
        const old = link(gateway).connect(alice, { version: "v1", signedAt: 1_800_000_015_000 })
        assert.strictEqual(outcome(old), "PAIRING_REQUIRED")
      })))

  it.effect("lateChallenge: it comes later, with the time at which it is sent", () =>
    withFault({ lateChallenge: "4 seconds" }, (client) =>
      Effect.gen(function*() {
        yield* TestClock.adjust("3999 millis")
        assert.lengthOf(challenges(client), 0)
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(at(challenges(client)[0], "payload", "ts"), 1_800_000_004_000)
        assert.strictEqual(outcome(enter(client)), "hello-ok")
      })))

  it.effect("twoChallenges: two nonces come, and the first one counts", () =>
    withFault({ twoChallenges: true }, (client, gateway) =>
      Effect.gen(function*() {
        const nonces = challenges(client).map((event) => at(event, "payload", "nonce"))
        assert.lengthOf(new Set(nonces), 2)
        assert.strictEqual(outcome(enter(client)), "hello-ok")
        yield* gateway.script({ twoChallenges: true })
        const second = link(gateway)
        const nonce = at(challenges(second)[1], "payload", "nonce")
        assert.strictEqual(outcome(second.connect(alice, { device: { nonce } })), "DEVICE_AUTH_NONCE_MISMATCH")
      })))

  const malformed: ReadonlyArray<[NonNullable<Fault["malformedChallenge"]>, (payload: unknown) => boolean]> = [
    ["missing-ts", (payload) => at(payload, "ts") === undefined && typeof at(payload, "nonce") === "string"],
    ["negative-ts", (payload) => Number(at(payload, "ts")) < 0],
    ["missing-nonce", (payload) => at(payload, "nonce") === undefined && typeof at(payload, "ts") === "number"],
    ["piped-nonce", (payload) => String(at(payload, "nonce")).includes("|")]
  ]
  it.effect.each(malformed)(
    "malformedChallenge: %s",
    ([malformedChallenge, holds]) =>
      withFault({ malformedChallenge }, (client) =>
        Effect.sync(() => {
          assert.lengthOf(client.texts, 1)
          assert.isTrue(holds(at(challenges(client)[0], "payload")))
        }))
  )

  const phases: ReadonlyArray<[FaultPhase, number]> = [["open", 0], ["challenge", 1], ["connect", 1], ["hello", 2]]
  it.effect.each(phases)(
    "dropAt %s: the link breaks after that phase",
    ([phase, frames]) =>
      withFault({ dropAt: phase }, (client, gateway) =>
        Effect.gen(function*() {
          const early = phase === "open" || phase === "challenge"
          assert.strictEqual(client.closes.length, early ? 1 : 0)
          enter(client)
          assert.deepStrictEqual(client.closes, [{ code: 1006, reason: "" }])
          assert.lengthOf(client.texts, frames)
          assert.strictEqual((yield* gateway.stats).openPeers, 0)
        }))
  )

  it.effect.each(phases)(
    "stallAt %s: nothing more is sent, and the link stays open",
    ([phase, frames]) =>
      withFault({ stallAt: phase }, (client, gateway) =>
        Effect.gen(function*() {
          enter(client)
          client.request("health")
          yield* gateway.broadcast("health", {})
          yield* TestClock.adjust("1 hour")
          assert.lengthOf(client.texts, frames)
          assert.deepStrictEqual(client.closes, [])
          assert.strictEqual((yield* gateway.stats).openPeers, 1)
        }))
  )
})

describe("faults of the answer to connect", () => {
  it.effect("unavailable: tells when to retry, and closes with 1013", () =>
    withFault({ unavailable: 500 }, (client) =>
      Effect.sync(() => {
        assert.deepStrictEqual(at(enter(client), "error"), {
          code: "UNAVAILABLE",
          message: "gateway starting; retry shortly",
          retryable: true,
          retryAfterMs: 500,
          details: { reason: "startup-sidecars" }
        })
        assert.deepStrictEqual(client.closes, [{ code: 1013, reason: "gateway starting" }])
      })))

  it.effect("closeWith: right after hello-ok", () =>
    withFault({ closeWith: { code: 1012, reason: "service restart" } }, (client) =>
      Effect.sync(() => {
        assert.strictEqual(outcome(enter(client)), "hello-ok")
        assert.deepStrictEqual(client.closes, [{ code: 1012, reason: "service restart" }])
      })))

  it.effect("lockout: the recorded refusal with this time", () =>
    withFault(
      { lockout: 299_991 },
      (client) =>
        Effect.sync(() => assert.deepStrictEqual(at(enter(client), "error"), recorded.errors.rateLimited.error))
    ))

  it.effect("refuse: sends any error", () =>
    withFault(
      { refuse: { code: "INVALID_REQUEST", message: "no", details: { code: "AUTH_UNAUTHORIZED" } } },
      (client, gateway) =>
        Effect.gen(function*() {
          assert.strictEqual(outcome(enter(client)), "AUTH_UNAUTHORIZED")
          assert.deepStrictEqual(client.closes, [{ code: 1008, reason: "no" }])
          assert.deepStrictEqual([...(yield* gateway.stats).refusals], [["AUTH_UNAUTHORIZED", 1]])
        })
    ))

  it.effect("refuseProofV3: accepts version 2 and refuses version 3", () =>
    withFault({ refuseProofV3: true }, (client, gateway) =>
      Effect.gen(function*() {
        assert.strictEqual(outcome(enter(client)), "device signature invalid")
        yield* gateway.script({ refuseProofV3: true })
        assert.strictEqual(outcome(link(gateway).connect(alice, { version: "v2" })), "PAIRING_REQUIRED")
      })))
})

describe("faults of one session", () => {
  it.effect("tickLoss: no tick comes, while other links get theirs", () =>
    withFault({ tickLoss: true }, (client, gateway) =>
      Effect.gen(function*() {
        enter(client)
        const other = link(gateway)
        enter(other)
        yield* TestClock.adjust("90 seconds")
        assert.lengthOf(client.events("tick"), 0)
        assert.lengthOf(other.events("tick"), 3)
      })))

  it.effect("sequenceGap: one number is missing", () =>
    withFault({ sequenceGap: true }, (client) =>
      Effect.gen(function*() {
        enter(client)
        yield* TestClock.adjust("90 seconds")
        assert.deepStrictEqual(client.events("tick").map((event) => at(event, "seq")), [1, 3, 4])
      })))

  it.effect("supersede: each ask makes a new request id", () =>
    withFault({ supersede: true }, (client, gateway) =>
      Effect.gen(function*() {
        yield* gateway.scriptEach(() => ({ supersede: true }))
        const id = (of: FakeLink) => at(of.connect(alice), "error", "details", "requestId")
        const ids = [id(client), id(link(gateway)), id(link(gateway))]
        assert.lengthOf(new Set(ids), 3)
        assert.deepStrictEqual((yield* gateway.pending).map((entry) => entry.requestId), [ids[2]])
      })))

  it.effect("noiseFrames: text that is not a frame, and binary, before the challenge and after hello-ok", () =>
    withFault({ noiseFrames: true }, (client) =>
      Effect.sync(() => {
        assert.strictEqual(outcome(enter(client)), "hello-ok")
        const noise = client.texts.filter((text) => Frame.parse(text) === undefined)
        assert.lengthOf(noise, 10)
        assert.strictEqual(client.texts.findIndex((text) => text.includes("connect.challenge")), 5)
        assert.lengthOf(client.binary, 2)
      })))

  it.effect("eventInSamePacketAsHello: an event comes before the client can answer", () =>
    withFault({ eventInSamePacketAsHello: true }, (client) =>
      Effect.sync(() => {
        enter(client)
        assert.strictEqual(at(client.frames().at(-1), "event"), "health")
        assert.strictEqual(at(client.frames().at(-1), "seq"), 1)
      })))

  it.effect("upgradeRefusal: the upgrade is refused, once", () =>
    withFault({}, (_, gateway) =>
      Effect.gen(function*() {
        yield* gateway.script({ upgradeRefusal: { status: 503, body: "Too many unauthenticated sockets" } })
        assert.deepStrictEqual(gateway.upgrade({}), { status: 503, body: "Too many unauthenticated sockets" })
        assert.isUndefined(gateway.upgrade({}))
        assert.strictEqual((yield* gateway.stats).attempts, 2)
        yield* gateway.script({ upgradeRefusal: { status: 503, body: "" } })
        assert.deepStrictEqual(link(gateway).closes, [{ code: 1006, reason: "" }])
      })))
})

describe("scripts", () => {
  it.effect("the queue comes first, then the function of the connection's number", () =>
    withFault({ unavailable: 1 }, (first, gateway) =>
      Effect.gen(function*() {
        yield* gateway.scriptEach((connection) => connection === 3 ? { unavailable: 3 } : undefined)
        yield* gateway.script({ unavailable: 2 })
        const answers = [first, link(gateway), link(gateway), link(gateway)].map((client) => enter(client))
        assert.deepStrictEqual(answers.map((answer) => at(answer, "error", "retryAfterMs") ?? outcome(answer)), [
          1,
          2,
          3,
          "hello-ok"
        ])
      })))

  it.effect("the 33rd silent link of one address gets 503, and one of another address does not", () =>
    withFault({}, (_, gateway) =>
      Effect.sync(() => {
        const links = Array.from({ length: 31 }, () => link(gateway))
        assert.deepStrictEqual(gateway.upgrade({}), { status: 503, body: "Too many unauthenticated sockets" })
        assert.isUndefined(gateway.upgrade({ address: "10.0.0.1" }))
        links[0]?.close()
        assert.isUndefined(gateway.upgrade({}))
      })))
})
