import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import type { Credential } from "../../src/handshake/ConnectPlan.ts"
import type { HandshakeLimits } from "../../src/handshake/Handshake.ts"
import { Handshake } from "../../src/handshake/Handshake.ts"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { LinkError, UpgradeRejected } from "../../src/link/LinkError.ts"
import type { LinkHandler } from "../../src/link/Transport.ts"
import * as Census from "../support/Census.ts"
import * as Device from "../support/Device.ts"
import * as LogLines from "../support/LogLines.ts"
import type { ScriptedLink } from "../support/ScriptedTransport.ts"
import { ScriptedTransport } from "../support/ScriptedTransport.ts"
import * as Wire from "../support/WireFrames.ts"

const layer = Layer.mergeAll(Handshake.layer.pipe(Layer.provideMerge(ScriptedTransport.layer)), Device.layer)

/** A session's side of a link that writes down what reaches it. */
const recorder = () => {
  const texts: Array<string> = []
  const closes: Array<LinkError> = []
  const handler: LinkHandler = { onText: (text) => void texts.push(text), onClose: (error) => void closes.push(error) }
  return { handler, texts, closes }
}

const connect = Effect.fnUntraced(function*(options: {
  readonly credential?: Credential
  readonly limits?: Partial<HandshakeLimits>
  readonly handler?: LinkHandler
} = {}) {
  const handshake = yield* Handshake
  const identity = yield* DeviceIdentity
  const plan = Device.plan(identity, options.credential === undefined ? {} : { credential: options.credential })
  return yield* handshake.connect(plan, { ...Device.limits, ...options.limits }, options.handler ?? recorder().handler)
})

/** An attempt in a scope of its own, as Supervisor makes it. */
const attempt = (options?: Parameters<typeof connect>[0]) => Effect.forkScoped(Effect.scoped(connect(options)))
const failure = <A, E>(fiber: Fiber.Fiber<A, E>) => Effect.flip(Fiber.join(fiber))

const device = (params: unknown): { readonly signature: string; readonly signedAt: number; readonly nonce?: string } =>
  Predicate.hasProperty(params, "device") && isDevice(params.device)
    ? params.device
    : assert.fail("no device in params")
const isDevice = (value: unknown): value is { signature: string; signedAt: number; nonce?: string } =>
  Predicate.hasProperty(value, "signature") && Predicate.isString(value.signature)
  && Predicate.hasProperty(value, "signedAt") && Predicate.isNumber(value.signedAt)

const signedTextV3 = (identity: DeviceIdentity["Service"], ts: number, nonce: string, token = "shared-token") =>
  `v3|${identity.deviceId}|gateway-client|backend|operator|operator.read,operator.write|${ts}|${token}|${nonce}|linux|`

describe("Handshake", () => {
  it.effect("answers the challenge with one connect and gives what hello-ok says", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const fiber = yield* Effect.forkScoped(connect())
      const link = yield* transport.nth(1)
      yield* TestClock.adjust("200 millis")
      link.send(Wire.challenge({ nonce: Wire.nonce, ts: 5_200, capabilities: ["later"] }))
      const sent = yield* link.nthSent(1)
      assert.strictEqual(sent.method, "connect")
      yield* TestClock.adjust("30 millis")
      link.send(Wire.helloOk({ auth: { role: "operator", scopes: ["operator.read"], deviceToken: "issued" } }))
      const established = yield* Fiber.join(fiber)
      assert.strictEqual(established.hello.protocol, 4)
      assert.strictEqual(established.clockDeltaMs, 5_000)
      assert.strictEqual(established.elapsedMs, 230)
      assert.strictEqual(Redacted.value(established.hello.auth?.deviceToken ?? Redacted.make("")), "issued")
      assert.strictEqual(link.sent.length, 1)
      assert.isFalse(link.released())
    }).pipe(Effect.provide(layer)))

  it.effect("a connect above 64 KiB is not sent: the gateway would close without a word", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const fiber = yield* attempt({
        credential: { _tag: "SharedToken", token: Device.token("t".repeat(65_536)) }
      })
      const link = yield* transport.nth(1)
      link.send(Wire.challenge())
      assert.deepInclude(yield* failure(fiber), { _tag: "FrameTooLarge", method: "connect", limitBytes: 65_536 })
      assert.deepStrictEqual(link.sent, [])
      assert.isTrue(link.released())
    }).pipe(Effect.provide(layer)))

  it.effect("lets 4 MiB arrive once connect is sent, and messages of the policy's size after hello-ok", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const limitsAfter = Effect.fnUntraced(function*(generation: number, policy: unknown) {
        const fiber = yield* attempt()
        const link = yield* transport.nth(generation)
        assert.deepStrictEqual(link.limits, [])
        link.send(Wire.challenge())
        yield* link.nthSent(1)
        assert.deepStrictEqual(link.limits, [{ totalBytes: 4 * 1024 * 1024 }])
        link.send(Wire.helloOk({ policy }))
        yield* Fiber.join(fiber)
        return link.limits.slice(1)
      })
      for (
        const [index, [policy, messageBytes]] of [
          [{ maxPayload: 10_000_000 }, 10_000_000],
          [{ maxPayload: 524_288 }, 8 * 1024 * 1024],
          [{ maxPayload: Number.MAX_SAFE_INTEGER }, 25 * 1024 * 1024],
          [{ maxPayload: -1 }, 25 * 1024 * 1024],
          [undefined, 25 * 1024 * 1024]
        ].entries()
      ) assert.deepStrictEqual<unknown>(yield* limitsAfter(index + 1, policy), [{ messageBytes }])
    }).pipe(Effect.provide(layer)))

  it.effect("a message of more than 64 KiB before connect ends the attempt, and so does one of more than 4 MiB after it", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const noise = (length: number) => JSON.stringify("x".repeat(length - 2))
      const early = yield* attempt()
      const greeting = yield* transport.nth(1)
      greeting.send(noise(64 * 1024))
      greeting.send(noise(64 * 1024 + 1))
      assert.deepInclude({ ...(yield* failure(early)) }, { _tag: "LinkError", reason: "TooLarge", phase: "challenge" })
      assert.isTrue(greeting.released())
      const late = yield* attempt()
      const link = yield* transport.nth(2)
      link.send(Wire.challenge())
      yield* link.nthSent(1)
      link.send(noise(4 * 1024 * 1024))
      link.send(noise(4 * 1024 * 1024 + 1))
      assert.deepInclude({ ...(yield* failure(late)) }, { _tag: "LinkError", reason: "TooLarge", phase: "hello" })
      assert.isTrue(link.released())
    }).pipe(Effect.provide(layer)))

  it.effect("a hello-ok of 3 MiB, which lists thousands of clients, is taken", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const fiber = yield* attempt()
      const link = yield* transport.nth(1)
      link.send(Wire.challenge())
      yield* link.nthSent(1)
      const presence = Array.from({ length: 15_000 }, (_, index) => ({ host: `host-${index}`, text: "x".repeat(180) }))
      const hello = Wire.helloOk({ snapshot: { presence } })
      assert.isAbove(hello.length, 3 * 1024 * 1024)
      link.send(hello)
      yield* Fiber.join(fiber)
    }).pipe(Effect.provide(layer)))

  it.effect("a challenge that comes before the dialling fiber runs is not lost", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      transport.script({ onOpen: (link) => link.send(Wire.challenge()) })
      const fiber = yield* attempt()
      const link = yield* transport.nth(1)
      yield* link.nthSent(1)
      link.send(Wire.helloOk())
      assert.strictEqual((yield* Fiber.join(fiber)).hello.protocol, 4)
    }).pipe(Effect.provide(layer)))

  it.effect("F02: after a refused attempt the next one sends a fresh signed frame with its own nonce", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const identity = yield* DeviceIdentity
      const signatures: Array<string> = []
      const nonces = ["nonce-one", "nonce-two"]
      for (const [index, nonce] of nonces.entries()) {
        const fiber = yield* attempt()
        const link = yield* transport.nth(index + 1)
        link.send(Wire.challenge({ nonce, ts: 1_000 + index }))
        const { signature, ...proof } = device((yield* link.nthSent(1)).params)
        signatures.push(signature)
        assert.strictEqual(proof.nonce, nonce)
        assert.strictEqual(proof.signedAt, 1_000 + index)
        assert.isTrue(identity.verify(signedTextV3(identity, 1_000 + index, nonce), signature))
        if (index === 0) {
          link.send(Wire.unavailable(500))
          assert.strictEqual((yield* failure(fiber))._tag, "GatewayUnavailable")
        } else {
          link.send(Wire.helloOk())
          yield* Fiber.join(fiber)
        }
      }
      assert.notStrictEqual(signatures[0], signatures[1])
    }).pipe(Effect.provide(layer)))

  it.effect("F21: nothing polls while waiting for hello, and a close reaches the caller at the same instant", () =>
    Census.taken((census) =>
      Effect.gen(function*() {
        const transport = yield* ScriptedTransport
        const fiber = yield* attempt()
        const link = yield* transport.nth(1)
        link.send(Wire.challenge())
        yield* link.nthSent(1)
        yield* TestClock.adjust(0)
        const begun = census.sleepsBegun()
        yield* TestClock.adjust("14 seconds")
        assert.strictEqual(census.sleeps(), 1, "only the deadline sleeps")
        assert.strictEqual(census.sleepsBegun(), begun, "nobody woke up meanwhile")
        link.close(1006)
        const error = yield* failure(fiber)
        assert.strictEqual(error._tag, "LinkError")
        assert.strictEqual(yield* TestClock.testClockWith((clock) => clock.currentTimeMillis), 14_000)
      }).pipe(Effect.provide(layer))
    ))

  it.effect("F26: a second challenge does not change the nonce, and there is exactly one connect", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const identity = yield* DeviceIdentity
      transport.script({
        onOpen: (link) => {
          link.send(Wire.challenge({ nonce: "n1", ts: 1 }))
          link.send(Wire.challenge({ nonce: "n2", ts: 2 }))
        }
      })
      const fiber = yield* attempt()
      const link = yield* transport.nth(1)
      const { params } = yield* link.nthSent(1)
      link.send(Wire.challenge({ nonce: "n3", ts: 3 }))
      link.send(Wire.helloOk())
      yield* Fiber.join(fiber)
      const { nonce, signature } = device(params)
      assert.strictEqual(nonce, "n1")
      assert.isTrue(identity.verify(signedTextV3(identity, 1, "n1"), signature))
      assert.strictEqual(link.sent.length, 1)
    }).pipe(Effect.provide(layer)))

  describe("F33: gateways without a challenge", () => {
    it.effect("F33: a silent gateway fails with ChallengeTimeout, phase challenge, at 15 s", () =>
      Effect.gen(function*() {
        const transport = yield* ScriptedTransport
        const fiber = yield* attempt()
        const link = yield* transport.nth(1)
        yield* TestClock.adjust("14999 millis")
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        const error = yield* failure(fiber)
        assert.isTrue(error._tag === "ChallengeTimeout" && error.phase === "challenge" && error.timeoutMs === 15_000)
        assert.deepStrictEqual(link.sent, [])
        assert.isTrue(link.released())
      }).pipe(Effect.provide(layer)))

    it.effect("F33: a dial that never opens fails with ChallengeTimeout, phase dial, at 15 s", () =>
      Effect.gen(function*() {
        const transport = yield* ScriptedTransport
        transport.script({ hang: true })
        const fiber = yield* attempt({ limits: { legacyWithoutChallenge: true } })
        yield* TestClock.adjust("15 seconds")
        const error = yield* failure(fiber)
        assert.isTrue(error._tag === "ChallengeTimeout" && error.phase === "dial")
      }).pipe(Effect.provide(layer)))

    it.effect("F33: legacy mode connects without nonce, with a v1 proof over the local clock", () =>
      Effect.gen(function*() {
        const transport = yield* ScriptedTransport
        const identity = yield* DeviceIdentity
        yield* TestClock.setTime(1_700_000_000_000)
        const fiber = yield* attempt({ limits: { legacyWithoutChallenge: true } })
        const link = yield* transport.nth(1)
        yield* TestClock.adjust("15 seconds")
        const { nonce, signature, signedAt } = device((yield* link.nthSent(1)).params)
        assert.isUndefined(nonce)
        assert.strictEqual(signedAt, 1_700_000_015_000)
        const text = `v1|${identity.deviceId}|gateway-client|backend|operator|operator.read,operator.write`
          + `|1700000015000|shared-token`
        assert.isTrue(identity.verify(text, signature))
        link.send(Wire.challenge({ nonce: "late", ts: 1 }))
        link.send(Wire.challenge({ nonce: "late" }))
        link.send(Wire.helloOk({ protocol: 3 }))
        const established = yield* Fiber.join(fiber)
        assert.strictEqual(established.hello.protocol, 3)
        assert.isUndefined(established.clockDeltaMs)
        assert.strictEqual(link.sent.length, 1)
      }).pipe(Effect.provide(layer)))

    it.effect("F33: a refused legacy proof is reported as v1, so that nobody falls back from v3", () =>
      Effect.gen(function*() {
        const transport = yield* ScriptedTransport
        const fiber = yield* attempt({ limits: { legacyWithoutChallenge: true } })
        const link = yield* transport.nth(1)
        yield* TestClock.adjust("15 seconds")
        yield* link.nthSent(1)
        link.send(Wire.refusal({ code: "INVALID_REQUEST", message: "device signature invalid" }))
        const error = yield* failure(fiber)
        assert.isTrue(error._tag === "DeviceProofRejected" && error.proof === "v1")
      }).pipe(Effect.provide(layer)))

    const malformed: ReadonlyArray<readonly [string, unknown]> = [
      ["no payload", undefined],
      ["no ts", { nonce: "n" }],
      ["negative ts", { nonce: "n", ts: -1 }],
      ["fractional ts", { nonce: "n", ts: 1.5 }],
      ["ts as text", { nonce: "n", ts: "1" }],
      ["no nonce", { ts: 1 }],
      ["empty nonce", { nonce: "", ts: 1 }],
      ["nonce with a delimiter", { nonce: "a|b", ts: 1 }]
    ]
    it.effect.each(malformed)(
      "F33: a malformed challenge (%s) never triggers the legacy mode",
      ([, payload]) =>
        Effect.gen(function*() {
          const transport = yield* ScriptedTransport
          const fiber = yield* attempt({ limits: { legacyWithoutChallenge: true } })
          const link = yield* transport.nth(1)
          link.send(Wire.challenge(payload ?? null))
          assert.strictEqual((yield* failure(fiber))._tag, "ChallengeInvalid")
          yield* TestClock.adjust("1 minute")
          assert.deepStrictEqual(link.sent, [])
        }).pipe(Effect.provide(layer))
    )
  })

  it.effect("G19: dialling counts towards the time for the challenge, and what comes after has its own", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const dial = { opensAfter: Effect.sleep("2 seconds") }
      transport.script(dial, dial)
      const late = yield* attempt({ limits: { challengeTimeout: Duration.seconds(3) } })
      yield* TestClock.adjust("2999 millis")
      assert.isUndefined(late.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* failure(late))._tag, "ChallengeTimeout")

      const fiber = yield* attempt({ limits: { challengeTimeout: Duration.seconds(3) } })
      const link = yield* transport.nth(2)
      yield* TestClock.adjust("2999 millis")
      link.send(Wire.challenge())
      yield* link.nthSent(1)
      yield* TestClock.adjust("10 seconds")
      link.send(Wire.helloOk())
      yield* Fiber.join(fiber)
    }).pipe(Effect.provide(layer)))

  it.effect("F41: PAIRING_REQUIRED is what connect fails with, although the close follows at once", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const session = recorder()
      const fiber = yield* attempt({ handler: session.handler })
      const link = yield* transport.nth(1)
      link.send(Wire.challenge())
      yield* link.nthSent(1)
      link.send(Wire.pairingRequired("req-1", { requestedScopes: ["operator.read"], pauseReconnect: false }))
      link.close(1008, "pairing required")
      const error = yield* failure(fiber)
      assert.isTrue(error._tag === "PairingRequired")
      if (error._tag !== "PairingRequired") return
      assert.strictEqual(error.requestId, "req-1")
      assert.strictEqual(error.reason, "not-paired")
      assert.deepStrictEqual(error.requestedScopes, ["operator.read"])
      assert.deepStrictEqual(session.closes, [], "the session never began, so it never ends")
    }).pipe(Effect.provide(layer)))

  it.effect("F41: a challenge and a close in one packet fail with the close code, not with a failed send", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      transport.script({
        onOpen: (link) => {
          link.send(Wire.challenge())
          link.close(1013, "gateway starting")
        }
      })
      const error = yield* failure(yield* attempt())
      assert.isTrue(error._tag === "LinkError" && error.closeCode === 1013 && error.closeReason === "gateway starting")
    }).pipe(Effect.provide(layer)))

  it.effect("a link that closes before the dialling fiber runs fails in the phase challenge", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      transport.script({ onOpen: (link) => link.close(1008, "too many") })
      const error = yield* failure(yield* attempt())
      assert.isTrue(error._tag === "LinkError" && error.closeCode === 1008 && error.phase === "challenge")
    }).pipe(Effect.provide(layer)))

  it.effect("F41: when the link no longer takes connect, the attempt waits until the link says why", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const fiber = yield* attempt()
      const link = yield* transport.nth(1)
      link.stopTaking()
      link.send(Wire.challenge())
      yield* TestClock.adjust("1 second")
      link.close(1012, "service restart")
      const error = yield* failure(fiber)
      assert.isTrue(error._tag === "LinkError" && error.closeCode === 1012 && error.phase === "hello")

      const second = yield* attempt()
      const mute = yield* transport.nth(2)
      mute.stopTaking()
      mute.send(Wire.challenge())
      yield* TestClock.adjust("15 seconds")
      const never = yield* failure(second)
      assert.isTrue(
        never._tag === "LinkError" && never.phase === "hello",
        "nothing was sent, so nobody is slow to answer"
      )
    }).pipe(Effect.provide(layer)))

  it.effect("F50: late frames and the late close of generation 1 touch nothing of generation 2", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const first = yield* attempt()
      const old = yield* transport.nth(1)
      old.send(Wire.challenge({ nonce: "old", ts: 1 }))
      yield* old.nthSent(1)
      old.send(Wire.unavailable(500))
      yield* failure(first)

      const session = recorder()
      const second = yield* Effect.forkScoped(connect({ handler: session.handler }))
      const link = yield* transport.nth(2)
      old.send(Wire.challenge({ nonce: "stale", ts: 2 }))
      old.send(Wire.helloOk())
      old.close(1008, "too late")
      yield* TestClock.adjust(0)
      assert.isUndefined(second.pollUnsafe())
      link.send(Wire.challenge({ nonce: "new", ts: 3 }))
      assert.strictEqual(device((yield* link.nthSent(1)).params).nonce, "new")
      old.send(Wire.pairingRequired("req-old"))
      old.close(1006)
      link.send(Wire.helloOk())
      yield* Fiber.join(second)
      old.send("a ghost")
      old.close(1006)
      assert.deepStrictEqual([session.texts, session.closes], [[], []])
    }).pipe(Effect.provide(layer)))

  it.effect("a gateway that does not answer connect fails with HelloTimeout", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const fiber = yield* attempt({ limits: { helloTimeout: Duration.seconds(7) } })
      const link = yield* transport.nth(1)
      yield* TestClock.adjust("5 seconds")
      link.send(Wire.challenge())
      yield* link.nthSent(1)
      yield* TestClock.adjust("6999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const error = yield* failure(fiber)
      assert.isTrue(error._tag === "HelloTimeout" && error.timeoutMs === 7_000)
    }).pipe(Effect.provide(layer)))

  it.effect.each([[2, "gateway"], [3, "client"], [5, "client"]] as const)(
    "a protocol mismatch says which side is older (gateway speaks %s)",
    ([expected, older]) =>
      Effect.gen(function*() {
        const transport = yield* ScriptedTransport
        const fiber = yield* attempt()
        const link = yield* transport.nth(1)
        link.send(Wire.challenge())
        yield* link.nthSent(1)
        link.send(Wire.protocolMismatch(expected))
        const error = yield* failure(fiber)
        assert.isTrue(error._tag === "ProtocolMismatch" && error.older === older)
        assert.include(error.message, older)
      }).pipe(Effect.provide(layer))
  )

  const closings: ReadonlyArray<readonly ["challenge" | "hello", (link: ScriptedLink) => Effect.Effect<void>]> = [
    ["challenge", () => Effect.void],
    ["hello", (link) => Effect.asVoid(Effect.andThen(Effect.sync(() => link.send(Wire.challenge())), link.nthSent(1)))]
  ]
  it.effect.each(closings)(
    "a socket closed while waiting (%s) fails at once with code and reason",
    ([phase, reach]) =>
      Effect.gen(function*() {
        const transport = yield* ScriptedTransport
        const fiber = yield* attempt()
        const link = yield* transport.nth(1)
        yield* TestClock.adjust(0)
        yield* reach(link)
        link.close(1012, "service restart")
        const error = yield* failure(fiber)
        assert.isTrue(error._tag === "LinkError")
        if (error._tag !== "LinkError") return
        assert.deepInclude({ ...error }, { reason: "Closed", phase, closeCode: 1012, closeReason: "service restart" })
        assert.strictEqual(transport.open(), 0)
      }).pipe(Effect.provide(layer))
  )

  it.effect("a dial that fails hands its error on, with the time that it took", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const cause = new Error("connect ECONNREFUSED")
      const refused = new LinkError({ reason: "Unreachable", phase: "dial", errno: "ECONNREFUSED", cause })
      const rejected = new UpgradeRejected({ status: 503, body: "full" })
      transport.script({ fail: refused }, { fail: rejected })
      const error = yield* failure(yield* attempt())
      assert.deepStrictEqual({ ...error }, { ...refused, elapsedMs: 0 })
      assert.strictEqual(yield* failure(yield* attempt()), rejected)
    }).pipe(Effect.provide(layer)))

  it.effect("frames in the same packet as hello-ok reach the session's handler in their order", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const session = recorder()
      const fiber = yield* Effect.forkScoped(connect({ handler: session.handler }))
      const link = yield* transport.nth(1)
      link.send("noise before hello is not the session's")
      link.send(Wire.challenge())
      yield* link.nthSent(1)
      link.send(Wire.helloOk())
      link.send("first")
      link.send(Wire.challenge())
      link.send("third")
      link.close(1012, "service restart")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(session.texts, ["first", Wire.challenge(), "third"])
      assert.deepStrictEqual(session.closes.map((error) => error.closeCode), [1012])
    }).pipe(Effect.provide(layer)))

  it.effect("an answer that comes before connect was sent is ignored", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const fiber = yield* attempt()
      const link = yield* transport.nth(1)
      link.send(Wire.helloOk())
      link.send(Wire.challenge())
      yield* link.nthSent(1)
      yield* TestClock.adjust(0)
      assert.isUndefined(fiber.pollUnsafe())
      link.send(Wire.helloOk({}, "somebody-else"))
      yield* TestClock.adjust(0)
      assert.isUndefined(fiber.pollUnsafe())
      link.send(Wire.helloOk())
      yield* Fiber.join(fiber)
    }).pipe(Effect.provide(layer)))

  it.effect("a hello-ok that cannot be read, and a refusal without an error object, are kept as GatewayRejected", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const answers = [
        [Wire.helloOk({ protocol: "four" }), "HelloUnreadable"],
        [`{"type":"res","id":"connect","ok":false}`, "Refused"]
      ] as const
      for (const [index, [answer, reason]] of answers.entries()) {
        const fiber = yield* attempt()
        const link = yield* transport.nth(index + 1)
        link.send(Wire.challenge())
        yield* link.nthSent(1)
        link.send(answer)
        const error = yield* failure(fiber)
        assert.isTrue(error._tag === "GatewayRejected" && error.reason === reason)
      }
    }).pipe(Effect.provide(layer)))

  it.effect("a hello-ok for a protocol or a role that was not offered is refused, with the reason", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const role = (role: unknown) => ({
        auth: { role, scopes: ["operator.read", "operator.write"], deviceToken: "t" }
      })
      const mismatch = (expectedProtocol: number) => ({
        _tag: "ProtocolMismatch",
        reason: "Protocol",
        expectedProtocol
      })
      const notOffered = { _tag: "GatewayRejected", reason: "RoleNotOffered" }
      const hellos: ReadonlyArray<readonly [Readonly<Record<string, unknown>>, Readonly<Record<string, unknown>>]> = [
        ...[0, 1, 2, 5, 99, Number.MAX_SAFE_INTEGER].map((protocol) => [{ protocol }, mismatch(protocol)] as const),
        ...["node", "worker", "Operator", "operator ", "", null, 3, ["operator"]].map((wrong) =>
          [role(wrong), notOffered] as const
        )
      ]
      for (const [index, [hello, error]] of hellos.entries()) {
        const { closes, handler, texts } = recorder()
        const fiber = yield* attempt({ handler })
        const link = yield* transport.nth(index + 1)
        link.send(Wire.challenge())
        yield* link.nthSent(1)
        link.send(Wire.helloOk(hello))
        link.send(Wire.helloOk())
        assert.deepInclude({ ...(yield* failure(fiber)) }, error, JSON.stringify(hello))
        assert.deepStrictEqual([texts, closes], [[], []])
        assert.isTrue(link.released())
      }
    }).pipe(Effect.provide(layer)))

  it.effect("F44: a hello-ok for each offered protocol, and with the asked role or none, is taken", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const hellos = [{ protocol: 3 }, { protocol: 4 }, { auth: { role: "operator" } }, { auth: {} }, {}]
      for (const [index, hello] of hellos.entries()) {
        const fiber = yield* attempt()
        const link = yield* transport.nth(index + 1)
        link.send(Wire.challenge())
        yield* link.nthSent(1)
        link.send(Wire.helloOk(hello))
        yield* Fiber.join(fiber)
      }
    }).pipe(Effect.provide(layer)))

  it.effect("F44: with a client clock ten minutes ahead the challenge's ts is signed", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const identity = yield* DeviceIdentity
      yield* TestClock.setTime(1_700_000_600_000)
      const fiber = yield* attempt()
      const link = yield* transport.nth(1)
      link.send(Wire.challenge({ nonce: "n", ts: 1_700_000_000_000 }))
      const { signature, signedAt } = device((yield* link.nthSent(1)).params)
      assert.strictEqual(signedAt, 1_700_000_000_000)
      assert.isTrue(identity.verify(signedTextV3(identity, 1_700_000_000_000, "n"), signature))
      link.send(Wire.helloOk())
      assert.strictEqual((yield* Fiber.join(fiber)).clockDeltaMs, -600_000)
    }).pipe(Effect.provide(layer)))

  it.effect("a failed attempt has closed its link before the caller learns of it, in a scope that goes on", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const fiber = yield* Effect.forkScoped(connect())
      const link = yield* transport.nth(1)
      link.send(Wire.challenge())
      yield* link.nthSent(1)
      link.send(Wire.pairingRequired("req-1"))
      yield* failure(fiber)
      assert.isTrue(link.released())
    }).pipe(Effect.provide(layer)))

  it.effect("an interrupted attempt closes its link", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const scope = yield* Scope.make()
      const fiber = yield* Effect.forkScoped(Scope.provide(connect(), scope))
      const link = yield* transport.nth(1)
      link.send(Wire.challenge())
      yield* link.nthSent(1)
      yield* Fiber.interrupt(fiber)
      assert.isTrue(link.released())
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(transport.history, ["open 1", "release 1"])
    }).pipe(Effect.provide(layer)))

  describe("F29: the log line of a failed attempt", () => {
    it.effect("F29: one line has phase, times, code, reason and whether a challenge was seen", () =>
      LogLines.kept((lines) =>
        Effect.gen(function*() {
          const transport = yield* ScriptedTransport
          yield* TestClock.setTime(10_000)
          const fiber = yield* Effect.annotateLogs(attempt(), { attempt: 7 })
          const link = yield* transport.nth(1)
          yield* TestClock.adjust("250 millis")
          link.send(Wire.challenge({ nonce: "n", ts: 10_000 }))
          yield* link.nthSent(1)
          link.close(1008, "slow consumer")
          yield* failure(fiber)
          assert.strictEqual(lines.length, 1)
          assert.strictEqual(lines[0]?.message, "connection attempt failed")
          assert.deepStrictEqual(lines[0]?.annotations, {
            attempt: 7,
            error: "LinkError",
            reason: "Closed",
            phase: "hello",
            elapsedMs: 250,
            closeCode: 1008,
            closeReason: "slow consumer",
            status: undefined,
            challengeSeen: true,
            clockDeltaMs: -250,
            gateway: "ws://127.0.0.1:18789"
          })
        }).pipe(Effect.provide(layer))
      ))

    it.effect("F29: a refused upgrade logs its status", () =>
      LogLines.kept((lines) =>
        Effect.gen(function*() {
          const transport = yield* ScriptedTransport
          transport.script({ fail: new UpgradeRejected({ status: 403, body: "no" }) })
          yield* failure(yield* attempt())
          assert.deepInclude(lines[0]?.annotations, {
            error: "UpgradeRejected",
            status: 403,
            phase: "dial",
            challengeSeen: false
          })
        }).pipe(Effect.provide(layer))
      ))

    const secrets: ReadonlyArray<readonly [string, Credential]> = [
      ["token", { _tag: "SharedToken", token: Device.token("hush-token") }],
      ["password", { _tag: "Password", password: Redacted.make("hush-password") }],
      ["device token", { _tag: "DeviceToken", token: Device.token("hush-device"), scopes: ["operator.read"] }]
    ]
    it.effect.each(secrets)(
      "F06 F29: neither log nor error holds the %s or the signature",
      ([, credential]) =>
        LogLines.kept((lines) =>
          Effect.gen(function*() {
            const transport = yield* ScriptedTransport
            const fiber = yield* attempt({ credential })
            const link = yield* transport.nth(1)
            link.send(Wire.challenge())
            const { params } = yield* link.nthSent(1)
            link.send(
              Wire.refusal({
                code: "INVALID_REQUEST",
                message: "unauthorized",
                details: { code: "AUTH_TOKEN_MISMATCH" }
              })
            )
            const error = yield* failure(fiber)
            const told = JSON.stringify([lines, error, error.message, String(error)])
            assert.include(told, "AuthRejected")
            assert.notInclude(told, "hush-")
            assert.notInclude(told, device(params).signature)
          }).pipe(Effect.provide(layer))
        )
    )
  })
})
