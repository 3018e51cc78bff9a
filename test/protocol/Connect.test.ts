import { assert, describe, it } from "@effect/vitest"
import { validateConnectParams } from "@openclaw/gateway-protocol"
import { GATEWAY_CLIENT_IDS, GATEWAY_CLIENT_MODES } from "@openclaw/gateway-protocol/client-info"
import {
  ConnectErrorDetailCodes,
  normalizePairingConnectRequestId
} from "@openclaw/gateway-protocol/connect-error-details"
import { PROTOCOL_VERSION } from "@openclaw/gateway-protocol/version"
import * as Arbitrary from "effect/Arbitrary"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { inspect } from "node:util"
import * as Plan from "../../src/handshake/ConnectPlan.ts"
import * as GatewayConfig from "../../src/handshake/GatewayConfig.ts"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { Signer } from "../../src/identity/Signer.ts"
import {
  AuthToken,
  ClientId,
  ClientMode,
  decodeChallenge,
  decodeConnectParams,
  decodeHelloOk,
  encodeConnectParams,
  knownScopes,
  Nonce,
  PlatformName,
  protocolRange,
  RequestId,
  ScopeName
} from "../../src/protocol/Connect.ts"
import { publishedCodes } from "../../src/protocol/Refusal.ts"
import recordedHello from "../vectors/hello-2026.9.6.json" with { type: "json" }

describe("Challenge", () => {
  it("reads nonce and ts, and nothing else that a newer gateway adds", () => {
    assert.deepStrictEqual(
      decodeChallenge({ nonce: "da39db7c", ts: 1_795_331_053_075, capabilities: ["model-catalog-snapshot"], next: {} }),
      Option.some({ nonce: Nonce.make("da39db7c"), ts: 1_795_331_053_075 })
    )
    assert.isTrue(Option.isSome(decodeChallenge({ nonce: "n", ts: 0 })))
  })

  const invalid: ReadonlyArray<readonly [name: string, payload: unknown]> = [
    ["no ts", { nonce: "n" }],
    ["ts null", { nonce: "n", ts: null }],
    ["ts negative", { nonce: "n", ts: -1 }],
    ["ts a fraction", { nonce: "n", ts: 1.5 }],
    ["ts a string", { nonce: "n", ts: "1795331053075" }],
    ["ts too large to count exactly", { nonce: "n", ts: 2 ** 53 }],
    ["ts not finite", { nonce: "n", ts: Number.POSITIVE_INFINITY }],
    ["no nonce", { ts: 1 }],
    ["nonce empty", { nonce: "", ts: 1 }],
    ["nonce a number", { nonce: 1, ts: 1 }],
    ["nonce with a delimiter", { nonce: "a|b", ts: 1 }],
    ["nonce with a control character", { nonce: "a\u001B[2J", ts: 1 }],
    ["null", null],
    ["text", "n"],
    ["nothing", undefined],
    ["an array", ["n", 1]]
  ]
  for (const [name, payload] of invalid) {
    it(`is invalid: ${name}`, () => assert.isTrue(Option.isNone(decodeChallenge(payload))))
  }
})

describe("HelloOk", () => {
  const hello = (more: Record<string, unknown>) => decodeHelloOk({ type: "hello-ok", protocol: 4, ...more })

  it("keeps of a recorded hello what a session needs, and drops the rest", () => {
    const decoded = Result.getOrThrow(decodeHelloOk(recordedHello))
    assert.deepStrictEqual<unknown>(decoded, {
      type: "hello-ok",
      protocol: 4,
      server: { version: "2026.9.6", connId: recordedHello.server.connId },
      features: { methods: recordedHello.features.methods },
      auth: { role: "operator", scopes: ["operator.read", "operator.write"] },
      snapshot: { uptimeMs: recordedHello.snapshot.uptimeMs, suspension: { phase: "accepting" } },
      policy: {
        maxPayload: 26_214_400,
        maxBufferedBytes: 52_428_800,
        tickIntervalMs: 30_000,
        attachments: { maxBytes: 19_464_192, maxImageBytes: 6_291_456 }
      }
    })
    assert.isAbove(recordedHello.features.methods.length, 100)
    assert.property(recordedHello.snapshot, "health")
  })

  it("what the gateway calls itself is one line of at most 64 characters", () => {
    const named = (version: string) => Result.getOrThrow(hello({ server: { version, connId: version } })).server
    for (const version of ["1\nPaste this into a second terminal:\u2028curl", "\u001b[2J\u202e", "x".repeat(10_000)]) {
      for (const name of Object.values(named(version) ?? {})) {
        assert.notMatch(name, /[\p{C}\p{Zl}\p{Zp}]/u)
        assert.isAtMost(name.length, 64)
      }
    }
    assert.deepStrictEqual(named("2026.9.6"), { version: "2026.9.6", connId: "2026.9.6" })
  })

  it("a hello without auth, or with auth but no token, is a hello", () => {
    assert.deepStrictEqual<unknown>(Result.getOrThrow(hello({})), { type: "hello-ok", protocol: 4 })
    assert.deepStrictEqual<unknown>(Result.getOrThrow(hello({ auth: {} })), {
      type: "hello-ok",
      protocol: 4,
      auth: {}
    })
  })

  it("a device token is Redacted and printed by nothing", () => {
    const decoded = Result.getOrThrow(
      hello({ auth: { deviceToken: "sekrit-device", role: "operator", scopes: [], issuedAtMs: 1 } })
    )
    const token = decoded.auth?.deviceToken
    assert.isDefined(token)
    if (token !== undefined) assert.strictEqual<string>(Redacted.value(token), "sekrit-device")
    for (const held of [decoded, decoded.auth, token]) {
      const printed = `${inspect(held, { depth: 9, showHidden: true })} ${JSON.stringify(held)} ${String(held)}`
      assert.notInclude(printed, "sekrit")
    }
  })

  it("a hello that cannot be read does not show the token either", () => {
    for (const broken of [{ auth: { deviceToken: "sekrit" }, protocol: "4" }, { auth: "sekrit", protocol: -1 }]) {
      const decoded = hello(broken)
      assert.isTrue(Result.isFailure(decoded))
      const printed = `${inspect(decoded, { depth: 12, showHidden: true })} ${JSON.stringify(decoded)} ${
        String(decoded)
      }`
      assert.notInclude(printed, "sekrit")
      if (Result.isFailure(decoded)) assert.notInclude(decoded.failure.message, "sekrit")
    }
  })

  it("F44: a part that is null or of an unexpected form is as good as absent, and the rest is kept", () => {
    for (
      const auth of [null, 1, { deviceToken: "x".repeat(8193) }, { deviceToken: null }, { deviceToken: "" }, {
        deviceToken: "a|b"
      }]
    ) {
      const decoded = Result.getOrThrow(hello({ auth, policy: { tickIntervalMs: 1.5, maxPayload: 7 } }))
      assert.isUndefined(decoded.auth?.deviceToken)
      assert.deepStrictEqual(decoded.policy, { maxPayload: 7 })
    }
    for (const deviceToken of [null, "", "a|b", 3]) {
      const { auth } = Result.getOrThrow(hello({ auth: { deviceToken, scopes: ["operator.read"] } }))
      assert.deepStrictEqual(auth, { scopes: ["operator.read"] })
    }
    const decoded = Result.getOrThrow(hello({ auth: { deviceToken: "kept", scopes: null, role: 3 } }))
    assert.strictEqual(decoded.auth?.deviceToken === undefined ? "" : Redacted.value(decoded.auth.deviceToken), "kept")
  })

  it("a list of scopes grants all of its texts or nothing, and nothing where auth is no object", () => {
    const granted = (auth: unknown) => Result.getOrThrow(hello({ auth })).auth?.scopes
    assert.deepStrictEqual(granted({ scopes: ["operator.read", "x"] }), ["operator.read", "x"])
    for (
      const scopes of [
        null,
        ["operator.read", 5],
        ["operator.read", null],
        [["operator.read"]],
        "operator.read",
        { 0: "operator.read", length: 1 },
        true
      ]
    ) assert.deepStrictEqual(granted({ scopes, role: "operator" }), [], JSON.stringify(scopes))
    for (const auth of [null, 1, "operator", true, [], ["operator.read"]]) {
      assert.deepStrictEqual(granted(auth), [], JSON.stringify(auth))
    }
    // Releases that tell nothing leave it out.
    assert.isUndefined(granted({ role: "operator" }))
    assert.isUndefined(Result.getOrThrow(hello({})).auth)
  })

  it("a role that is no text is none, and one that is left out is not told", () => {
    const role = (auth: unknown) => Result.getOrThrow(hello({ auth })).auth?.role
    assert.strictEqual(role({ role: "node" }), "node")
    for (const wrong of [null, 3, ["operator"], {}]) assert.strictEqual(role({ role: wrong }), "")
    assert.isUndefined(role({ scopes: [] }))
  })

  it("what is no hello is refused", () => {
    for (const payload of [null, {}, { type: "hello-ok" }, { type: "hello", protocol: 4 }, { protocol: 4 }]) {
      assert.isTrue(Result.isFailure(decodeHelloOk(payload)), JSON.stringify(payload))
    }
    assert.isTrue(Result.isFailure(hello({ protocol: "4" })))
  })
})

const identity = Effect.map(
  Layer.build(
    Layer.provide(
      DeviceIdentity.layerSeed({
        seed: Redacted.make(new Uint8Array(32).fill(7)),
        platform: PlatformName.make("linux")
      }),
      Signer.layerNodejs
    )
  ),
  Context.get(DeviceIdentity)
)
const token = (text: string) => Redacted.make(AuthToken.make(text))
const credentials: ReadonlyArray<Plan.Credential> = [
  { _tag: "SharedToken", token: token("shared,token é") },
  { _tag: "DeviceToken", token: token("device-token"), scopes: [] },
  { _tag: "Password", password: Redacted.make("pass | word") },
  { _tag: "None" }
]
const optionalText = Schema.optionalKey(Schema.Literals(["Robot X", "İ", "host, eu"]))

describe("ConnectParams", () => {
  it.effect.prop(
    "what a plan sends passes the published validator, whatever the settings",
    [
      Arbitrary.all({
        clientId: Arbitrary.schema(ClientId),
        clientMode: Arbitrary.schema(ClientMode),
        scopes: Arbitrary.array(Arbitrary.schema(Schema.Literals([...knownScopes, "custom.scope"])), { maxLength: 4 }),
        caps: Arbitrary.array(Arbitrary.schema(Schema.Literals(["tool-events", "approvals"])), { maxLength: 2 }),
        texts: Arbitrary.schema(
          Schema.Struct({ displayName: optionalText, clientVersion: optionalText, deviceFamily: optionalText })
        ),
        proof: Arbitrary.schema(Schema.Literals(["v2", "v3"])),
        credential: Arbitrary.schema(Schema.Literals([0, 1, 2, 3])),
        ts: Arbitrary.schema(Schema.Natural)
      })
    ],
    ([made]) =>
      Effect.gen(function*() {
        const settings = Result.getOrThrow(GatewayConfig.check({
          clientId: made.clientId,
          clientMode: made.clientMode,
          caps: made.caps,
          displayName: made.texts.displayName,
          clientVersion: made.texts.clientVersion,
          deviceFamily: made.texts.deviceFamily?.replace(",", "")
        }))
        const plan = Plan.make(settings, yield* identity, {
          credential: credentials[made.credential] ?? { _tag: "None" },
          proof: made.proof,
          scopes: made.scopes.map((scope) => ScopeName.make(scope))
        })
        const { params } = Result.getOrThrow(Plan.answer(plan, { nonce: Nonce.make("n-1"), ts: made.ts }))
        const wire: unknown = JSON.parse(JSON.stringify(encodeConnectParams(params)))
        assert.isTrue(validateConnectParams(wire), JSON.stringify(validateConnectParams.errors))
        assert.deepStrictEqual(Result.getOrThrow(decodeConnectParams(wire)), params)
      }),
    { arbitrary: { seed: "connect", runs: 200 } }
  )

  it.effect("the published validator is not asleep: one property more and it refuses", () =>
    Effect.gen(function*() {
      const plan = Plan.make(Result.getOrThrow(GatewayConfig.check({})), yield* identity, {
        credential: { _tag: "None" }
      })
      const { params } = Result.getOrThrow(Plan.answer(plan, { nonce: Nonce.make("n-1"), ts: 1 }))
      const wire = encodeConnectParams(params)
      assert.isTrue(validateConnectParams(wire))
      assert.isFalse(validateConnectParams({ ...wire, invented: 1 }))
      assert.isFalse(validateConnectParams({ ...wire, client: { ...wire.client, mode: "operator" } }))
      assert.isFalse(validateConnectParams({ ...wire, device: { ...wire.device, invented: 1 } }))
    }))

  it.effect("a property that is not ours is not sent, even when it is smuggled in", () =>
    Effect.gen(function*() {
      const plan = Plan.make(Result.getOrThrow(GatewayConfig.check({})), yield* identity, {
        credential: { _tag: "SharedToken", token: token("t") }
      })
      const { params } = Result.getOrThrow(Plan.answer(plan, { nonce: Nonce.make("n-1"), ts: 1 }))
      const smuggled = { ...params, invented: 1, client: { ...params.client, invented: 1 } }
      assert.isTrue(validateConnectParams(encodeConnectParams(smuggled)))
    }))
})

describe("the published lists", () => {
  const sorted = (values: Iterable<string>) => [...values].toSorted()

  it("every published detail code has a meaning here, and no other", () => {
    assert.deepStrictEqual(sorted(Object.keys(publishedCodes)), sorted(Object.values(ConnectErrorDetailCodes)))
  })

  it("client ids and modes are the published ones", () => {
    assert.deepStrictEqual(sorted(ClientId.literals), sorted(Object.values(GATEWAY_CLIENT_IDS)))
    assert.deepStrictEqual(sorted(ClientMode.literals), sorted(Object.values(GATEWAY_CLIENT_MODES)))
  })

  it("F44: the current protocol is in our range", () => {
    assert.isAtLeast(PROTOCOL_VERSION, protocolRange.minProtocol)
    assert.isAtMost(PROTOCOL_VERSION, protocolRange.maxProtocol)
  })

  const Piece = Schema.Literals(["a", "Z", "0", ".", ":", "_", "-", " ", "\n", "$", "\u202E", "é"])
  it.effect.prop(
    "F45: whatever passes here as a request id passes the published check unchanged",
    [Arbitrary.array(Arbitrary.schema(Piece), { maxLength: 5 })],
    ([pieces]) =>
      Effect.sync(() => {
        const text = pieces.join("")
        const published = normalizePairingConnectRequestId(text)
        assert.strictEqual(Schema.is(RequestId)(text), published === text, JSON.stringify(text))
      }),
    { arbitrary: { seed: "connect", runs: 500 } }
  )
  it("F45: a request id has at most 128 characters", () => {
    assert.isTrue(Schema.is(RequestId)("a".repeat(128)))
    assert.isFalse(Schema.is(RequestId)("a".repeat(129)))
  })
})
