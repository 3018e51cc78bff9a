import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/testing/TestClock"
import { DevGateway, type Options } from "../../src/devgateway/DevGateway.ts"
import recorded from "../vectors/gateway-2026.9.6.json" with { type: "json" }
import recordedHello from "../vectors/hello-2026.9.6.json" with { type: "json" }
import { at, type ConnectOptions, device, isJson, type Json, link, outcome, shapeOf } from "./FakeClient.ts"

const alice = device(1)
const bob = device(2)

const withGateway = <A>(
  body: (gateway: DevGateway["Service"]) => Effect.Effect<A>,
  options: Partial<Options> = {}
) =>
  Effect.gen(function*() {
    yield* TestClock.setTime(1_800_000_000_000)
    return yield* Effect.flatMap(DevGateway, body).pipe(Effect.provide(DevGateway.layerTest(options)))
  })

const tryOnce = (options: ConnectOptions, owner = alice) => (gateway: DevGateway["Service"]) =>
  Effect.sync(() => {
    const client = link(gateway)
    const answer = client.connect(owner, options)
    return { answer, error: at(answer, "error"), close: client.closes[0] }
  })

/** How a recorded exchange ended. */
const ending = (exchange: unknown) => ({ error: at(exchange, "error"), close: at(exchange, "close") })

/** Ids differ from run to run. Everything else in a recorded refusal has to be equal. */
const withoutIds = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value)
      .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "<uuid>")
      .replaceAll(/[0-9a-f]{64}/g, "<sha256>")
  )

describe("challenge", () => {
  it.effect("is the first frame, with the keys and types of the recorded one", () =>
    withGateway((gateway) =>
      Effect.sync(() => {
        const { __bytes: _, ...expected } = recorded.challenge.loopback
        const first = link(gateway).frames()[0]
        assert.deepStrictEqual(shapeOf(first), shapeOf(expected))
        assert.strictEqual(at(first, "payload", "ts"), 1_800_000_000_000)
      })
    ))

  it.effect("a link that stays silent is closed after 15 s with 1000 and no reason", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        const client = link(gateway)
        yield* TestClock.adjust("14999 millis")
        assert.deepStrictEqual(client.closes, [])
        yield* TestClock.adjust("1 millis")
        assert.deepStrictEqual(client.closes, [{
          code: recorded.silentSocket.code,
          reason: recorded.silentSocket.reason
        }])
      })
    ))
})

describe("proof", () => {
  const accepted: ReadonlyArray<[string, ConnectOptions]> = [
    ["v2", { version: "v2" }],
    ["v3", { version: "v3" }],
    ["v3 with an upper-case platform and family, signed lower-case", { platform: "Linux", deviceFamily: "iPhone" }],
    ["v2 with a family, which it does not sign", { version: "v2", deviceFamily: "iPhone" }],
    ["scopes in another order", { scopes: ["operator.write", "operator.read"] }],
    ["signed with a clock 90 s off", { signedAt: 1_800_000_000_000 - 90_000 }],
    ["the key in plain base64", { device: { publicKey: Buffer.from(alice.publicKey, "base64url").toString("base64") } }]
  ]
  it.effect.each(accepted)("accepts %s", ([, options]) =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        const { answer } = yield* tryOnce(options)(gateway)
        assert.strictEqual(outcome(answer), "PAIRING_REQUIRED")
      })
    ))

  const wrong: ReadonlyArray<[keyof typeof recorded.errors, ConnectOptions]> = [
    ["badSignature", { device: { signature: Buffer.alloc(64).toString("base64url") } }],
    ["signedForOtherToken", { signedToken: "another" }],
    ["signatureNotBase64", { device: { signature: "***" } }],
    ["staleSignedAt", { signedAt: 1_800_000_000_000 - 3_600_000 }],
    ["futureSignedAt", { signedAt: 1_800_000_000_000 + 3_600_000 }],
    ["skew150s", { signedAt: 1_800_000_000_000 - 150_000 }],
    ["wrongNonce", { device: { nonce: "00000000-0000-4000-8000-000000000000" } }],
    ["noNonce", { version: "v1" }],
    ["emptyNonce", { device: { nonce: "" } }],
    ["idMismatch", { device: { id: bob.id } }],
    ["malformedKey", { device: { publicKey: "***" } }],
    ["shortKey", { device: { publicKey: "AAAA" } }],
    ["signedAtString", { device: { signedAt: "now" } }]
  ]
  it.effect.each(wrong)("refuses %s as recorded", ([name, options]) =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        const { close, error } = yield* tryOnce(options)(gateway)
        assert.deepStrictEqual({ error, close }, ending(recorded.errors[name]))
      })
    ))

  const neverAccepted: ReadonlyArray<[string, Json, string]> = [
    ["a key in DER", { publicKey: `MCowBQYDK2VwAyEA${alice.publicKey}` }, "DEVICE_AUTH_DEVICE_ID_MISMATCH"],
    ["a signature in hex", { signature: "ab".repeat(64) }, "DEVICE_AUTH_SIGNATURE_INVALID"],
    ["an id in upper case", { id: alice.id.toUpperCase() }, "DEVICE_AUTH_DEVICE_ID_MISMATCH"]
  ]
  it.effect.each(neverAccepted)("refuses %s", ([, proof, code]) =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        assert.strictEqual(outcome((yield* tryOnce({ device: proof })(gateway)).answer), code)
      })
    ))

  it.effect("lower-cases ASCII and nothing else", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        // Under Unicode rules the Kelvin sign becomes k. FakeClient signs by them; the gateway must not.
        const { answer } = yield* tryOnce({ platform: "\u212Avm" })(gateway)
        assert.strictEqual(outcome(answer), "DEVICE_AUTH_SIGNATURE_INVALID")
      })
    ))
})

describe("connect parameters", () => {
  const shapes: ReadonlyArray<[keyof typeof recorded.schema, ConnectOptions]> = [
    ["extraParam", { params: { invented: 1 } }],
    ["extraClientField", { client: { invented: 1 } }],
    ["extraDeviceField", { device: { invented: 1 } }],
    ["extraAuthField", { auth: { token: "shared-token", invented: 1 } }],
    ["noVersion", { client: { version: undefined } }],
    ["noPlatform", { client: { platform: undefined } }],
    ["emptyVersion", { client: { version: "" } }],
    ["unknownRole", { role: "captain" }]
  ]
  it.effect.each(shapes)(
    "refuses %s as recorded",
    ([name, options]) =>
      withGateway((gateway) =>
        Effect.gen(function*() {
          const { close, error } = yield* tryOnce(options)(gateway)
          assert.deepStrictEqual({ error, close }, ending(recorded.schema[name]))
        })
      )
  )

  const notInTheLists: ReadonlyArray<[keyof typeof recorded.clients, Json]> = [
    ["cli/operator", { id: "cli", mode: "operator" }],
    ["ten-agent/backend", { id: "ten-agent", mode: "backend" }],
    ["gateway-client/ten-agent", { id: "gateway-client", mode: "ten-agent" }],
    ["openclaw-control-ui/ui", { id: "openclaw-control-ui", mode: "ui" }],
    ["gateway-client/backend", { id: "gateway-client", mode: "backend" }],
    ["openclaw-tui/ui", { id: "openclaw-tui", mode: "ui" }],
    ["cli/cli", { id: "cli", mode: "cli" }]
  ]
  it.effect.each(notInTheLists)(
    "answers client %s without Origin as recorded",
    ([name, client]) =>
      withGateway((gateway) =>
        Effect.gen(function*() {
          const { close, error } = yield* tryOnce({ client })(gateway)
          assert.deepStrictEqual(withoutIds({ error, close }), withoutIds(recorded.clients[name]["remote,origin=none"]))
        })
      )
  )

  it.effect("refuses an Origin that is not allowed, whatever the client id", () =>
    withGateway((gateway) =>
      Effect.sync(() => {
        const client = link(gateway, { headers: { origin: "https://elsewhere.example" } })
        const error = at(client.connect(alice), "error")
        assert.deepStrictEqual(error, recorded.clients["gateway-client/backend"]["remote,origin=foreign"].error)
      })
    ))

  const ranges = Object.entries(recorded.protocol)
  it.effect.each(ranges)(
    "protocol range %s ends as recorded",
    ([range, expected]) =>
      withGateway((gateway) =>
        Effect.gen(function*() {
          const [minProtocol, maxProtocol] = range.split("..").map(Number)
          const { answer, close, error } = yield* tryOnce({ params: { minProtocol, maxProtocol } })(gateway)
          if ("error" in expected) assert.deepStrictEqual({ error, close }, expected)
          else assert.strictEqual(outcome(answer), "PAIRING_REQUIRED")
        })
      )
  )

  const firstFrames: ReadonlyArray<[keyof typeof recorded.errors, string]> = [
    ["nonConnectFirst", `{"type":"req","id":"r1","method":"health"}`],
    ["eventFirst", `{"type":"event","event":"tick"}`],
    ["numericId", `{"type":"req","id":1,"method":"connect"}`],
    ["connectWithoutParams", `{"type":"req","id":"r1","method":"connect"}`],
    ["connectEmptyParams", `{"type":"req","id":"r1","method":"connect","params":{}}`],
    ["size60KiB", `{"type":"req","id":"r1","method":"connect","params":{"pad":"${"x".repeat(60 * 1024)}"}}`],
    ["oversized70KiB", `{"type":"req","id":"r1","method":"connect","params":{"pad":"${"x".repeat(70 * 1024)}"}}`],
    ["garbage", "\u0000\u0001"],
    ["textHello", "hello"]
  ]
  it.effect.each(firstFrames)(
    "a first frame that is %s ends as recorded",
    ([name, text]) =>
      withGateway((gateway) =>
        Effect.sync(() => {
          const client = link(gateway)
          client.sendText(text)
          const ended = { error: at(client.response("r1"), "error"), close: client.closes[0] }
          assert.deepStrictEqual(ended, ending(recorded.errors[name]))
        })
      )
  )

  it.effect("a frame with an unknown property is not a request frame", () =>
    withGateway((gateway) =>
      Effect.sync(() => {
        const client = link(gateway)
        client.send({ type: "req", id: "r1", method: "connect", invented: 1 })
        assert.deepStrictEqual(client.closes, [{ code: 1008, reason: "invalid request frame" }])
      })
    ))
})

describe("credentials", () => {
  const credentials: ReadonlyArray<[keyof typeof recorded.errors, ConnectOptions]> = [
    ["wrongToken", { token: "wrong" }],
    ["missingToken", { token: undefined }],
    ["emptyToken", { token: "" }],
    ["wrongPassword", { auth: { password: "wrong" }, signedToken: "" }],
    ["wrongDeviceTokenOnly", { auth: { deviceToken: "wrong" }, signedToken: "wrong" }],
    ["missingDeviceAndToken", { withoutDevice: true, token: undefined }]
  ]
  it.effect.each(credentials)(
    "refuses %s as recorded",
    ([name, options]) =>
      withGateway((gateway) =>
        Effect.gen(function*() {
          const { close, error } = yield* tryOnce(options)(gateway)
          assert.deepStrictEqual({ error, close }, ending(recorded.errors[name]))
        })
      )
  )

  it.effect("takes the shared token in the password field, signed with an empty token", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        const { answer } = yield* tryOnce({ auth: { password: "shared-token" }, signedToken: "" })(gateway)
        assert.strictEqual(outcome(answer), "PAIRING_REQUIRED")
      })
    ))

  it.effect("password mode takes the password, which is never signed", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        const right = yield* tryOnce({ auth: { password: "open sesame" }, signedToken: "" })(gateway)
        const wrong = yield* tryOnce({ auth: { password: "closed" }, signedToken: "" })(gateway)
        const missing = yield* tryOnce({ token: undefined })(gateway)
        assert.deepStrictEqual([right, wrong, missing].map(({ answer }) => outcome(answer)), [
          "PAIRING_REQUIRED",
          "AUTH_PASSWORD_MISMATCH",
          "AUTH_PASSWORD_MISSING"
        ])
      }), { auth: { mode: "password", password: Redacted.make("open sesame") } }))

  it.effect("mode none requires pairing and nothing else", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        const { answer } = yield* tryOnce({ token: undefined })(gateway)
        assert.strictEqual(outcome(answer), "PAIRING_REQUIRED")
      }), { auth: { mode: "none" } }))

  it.effect("without a device the shared token gives hello-ok with no scopes and no device token", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        const { answer } = yield* tryOnce({ withoutDevice: true })(gateway)
        const { hello } = recorded.errors.missingDevice
        assert.deepStrictEqual(shapeOf(at(answer, "payload", "auth")), shapeOf(hello.auth))
        assert.deepStrictEqual(at(answer, "payload", "auth", "scopes"), [])
      })
    ))

  it.effect("the operator token admits a device without pairing, with the scopes asked and no device token", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        const scopes = ["operator.admin", "operator.pairing"]
        const { answer } = yield* tryOnce({ token: "operator-token", scopes })(gateway)
        assert.strictEqual(outcome(answer), "hello-ok")
        assert.deepStrictEqual(at(answer, "payload", "auth", "scopes"), scopes)
        assert.isUndefined(at(answer, "payload", "auth", "deviceToken"))
        assert.deepStrictEqual(yield* gateway.paired, [])
        const unproven = yield* tryOnce({ token: "operator-token", signedToken: "other" })(gateway)
        assert.strictEqual(outcome(unproven.answer), "DEVICE_AUTH_SIGNATURE_INVALID")
        const deviceless = yield* tryOnce({ token: "operator-token", withoutDevice: true })(gateway)
        assert.strictEqual(outcome(deviceless.answer), "AUTH_TOKEN_MISMATCH")
      })
    ))

  it.effect("a local gateway-client/backend needs no pairing only where loopback counts as local", () =>
    Effect.gen(function*() {
      const local = (gateway: DevGateway["Service"]) =>
        Effect.sync(() => link(gateway, { remote: false }).connect(alice))
      assert.strictEqual(outcome(yield* withGateway(local)), "PAIRING_REQUIRED")
      const answer = yield* withGateway(local, { remoteByDefault: false })
      const { hello } = recorded.local["gateway-client/backend"].first
      assert.deepStrictEqual(shapeOf(at(answer, "payload", "auth")), shapeOf(hello.auth))
    }))
})

describe("lock-out", () => {
  it.effect("ten wrong credentials lock the address out for 300 s, even with the right token", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        const ask = (token: string | undefined, address: string) =>
          Effect.sync(() => link(gateway, { address }).connect(alice, { token }))
        for (let i = 0; i < 9; i++) yield* ask("wrong", "10.0.0.1")
        yield* ask(undefined, "10.0.0.1") // a missing credential is not a wrong one
        assert.strictEqual(outcome(yield* ask("wrong", "10.0.0.1")), "AUTH_TOKEN_MISMATCH")
        yield* TestClock.adjust("9 millis")
        const locked = yield* ask("shared-token", "10.0.0.1")
        assert.deepStrictEqual(at(locked, "error"), recorded.errors.rateLimited.error)
        assert.strictEqual(outcome(yield* ask("shared-token", "10.0.0.2")), "PAIRING_REQUIRED")
        yield* TestClock.adjust("300 seconds")
        assert.strictEqual(outcome(yield* ask("shared-token", "10.0.0.1")), "PAIRING_REQUIRED")
      })
    ))

  it.effect("a right credential clears the count, and too many scopes are not a wrong credential", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        for (let i = 0; i < 9; i++) yield* tryOnce({ token: "wrong" })(gateway)
        yield* tryOnce({})(gateway)
        const [pending] = yield* gateway.pending
        yield* Effect.orDie(gateway.approve(pending?.requestId ?? ""))
        const token = String(at((yield* tryOnce({})(gateway)).answer, "payload", "auth", "deviceToken"))
        for (let i = 0; i < 9; i++) yield* tryOnce({ token: "wrong" })(gateway)
        for (let i = 0; i < 12; i++) {
          const { answer } = yield* tryOnce({ token, scopes: ["operator.admin"] })(gateway)
          assert.strictEqual(outcome(answer), "AUTH_SCOPE_MISMATCH")
        }
        assert.strictEqual(outcome((yield* tryOnce({ token })(gateway)).answer), "hello-ok")
      })
    ))

  it.effect("counts only the last 60 s, and asks for pairing never count", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        for (let i = 0; i < 30; i++) {
          const { answer } = yield* tryOnce({ token: "wrong" })(gateway)
          assert.strictEqual(outcome(answer), "AUTH_TOKEN_MISMATCH")
          yield* TestClock.adjust("7 seconds")
        }
        for (let i = 0; i < 120; i++) {
          assert.strictEqual(outcome((yield* tryOnce({})(gateway)).answer), "PAIRING_REQUIRED")
        }
      })
    ))
})

describe("hello-ok", () => {
  it.effect("has the keys and types of the recorded one", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        yield* tryOnce({})(gateway)
        const [pending] = yield* gateway.pending
        yield* Effect.orDie(gateway.approve(pending?.requestId ?? ""))
        const { answer } = yield* tryOnce({})(gateway)
        const payload = at(answer, "payload")
        assert.isTrue(isJson(payload))
        if (!isJson(payload)) return
        const { auth, controlUiLinkReaders: _, controlUiWidgetKinds: __, pluginSurfaceUrls: ___, ...rest } = payload
        const {
          auth: recordedAuth,
          controlUiLinkReaders: ____,
          controlUiWidgetKinds: _____,
          pluginSurfaceUrls: ______,
          ...recordedRest
        } = recordedHello
        assert.deepStrictEqual(Object.keys(payload).sort(), Object.keys(recordedHello).sort())
        assert.deepStrictEqual(emptied(shapeOf(rest)), emptied(shapeOf(recordedRest)))
        const issued = { ...recordedAuth, recoveryMigrationAllowed: true, deviceToken: "text", issuedAtMs: 1 }
        assert.deepStrictEqual(shapeOf(auth), shapeOf(issued))
        assert.match(String(at(auth, "deviceToken")), /^[A-Za-z0-9_-]{43}$/)
        assert.deepStrictEqual(at(payload, "policy"), recordedHello.policy)
      })
    ))
})

/** Leaves out lists that are empty in this gateway, and figures of a real process. */
const emptied = (shape: unknown): unknown =>
  Array.isArray(shape)
    ? "array"
    : isJson(shape)
    ? Object.fromEntries(
      Object.entries(shape).filter(([name]) => name !== "cpuBreakdown").map(([name, value]) => [name, emptied(value)])
    )
    : shape
