import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { createHash, createPublicKey, verify } from "node:crypto"
import type { Answer, ConnectPlan, Credential } from "../../src/handshake/ConnectPlan.ts"
import * as Plan from "../../src/handshake/ConnectPlan.ts"
import { Handshake } from "../../src/handshake/Handshake.ts"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { Signer } from "../../src/identity/Signer.ts"
import type { Challenge, ConnectParams } from "../../src/protocol/Connect.ts"
import { decodeConnectParams, encodeConnectParams, Nonce } from "../../src/protocol/Connect.ts"
import * as DeviceProof from "../../src/protocol/DeviceProof.ts"
import { arbitraryChallenge, arbitraryPlan } from "../../src/testing/Arbitraries.ts"
import * as Laws from "../../src/testing/SignatureLaws.ts"
import * as Device from "../support/Device.ts"
import { ScriptedTransport } from "../support/ScriptedTransport.ts"
import * as Wire from "../support/WireFrames.ts"

const challenge: Challenge = { nonce: Nonce.make("n-1"), ts: 1_700_000_000_000 }
const identity = await Effect.runPromise(Effect.provide(DeviceIdentity, Device.layer))

const answered = (plan: ConnectPlan, at: Challenge = challenge): Answer => Result.getOrThrow(Plan.answer(plan, at))

/** What travels: JSON text, read back. */
const onTheWire = ({ params }: Answer): ConnectParams =>
  Result.getOrThrow(decodeConnectParams(JSON.parse(JSON.stringify(encodeConnectParams(params)))))

/** A gateway's verifier, written from shared knowledge of the wire and without any code of src. */
const gatewayAccepts = (params: ConnectParams, version: "v1" | "v2" | "v3"): boolean => {
  const { auth, client, device, role, scopes } = params
  const lower = (text: string) =>
    [...text].map((letter) => letter >= "A" && letter <= "Z" ? letter.toLowerCase() : letter).join("")
  const fields = [
    version,
    device.id,
    client.id,
    client.mode,
    role,
    scopes.join(","),
    `${device.signedAt}`,
    auth?.token ?? auth?.bootstrapToken ?? ""
  ]
  if (version !== "v1") fields.push(device.nonce ?? "")
  if (version === "v3") fields.push(lower(client.platform), lower(client.deviceFamily ?? ""))
  const raw = Buffer.from(device.publicKey, "base64url")
  const key = createPublicKey({
    key: Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), raw]),
    format: "der",
    type: "spki"
  })
  return createHash("sha256").update(raw).digest("hex") === device.id
    && verify(null, Buffer.from(fields.join("|"), "utf8"), key, Buffer.from(device.signature, "base64url"))
}

const credentials: ReadonlyArray<readonly [string, Credential, string, ConnectParams["auth"]]> = [
  ["shared token", Device.sharedToken, "shared-token", { token: Device.token("shared-token").pipe(Redacted.value) }],
  ["password", { _tag: "Password", password: Redacted.make("a|b,c") }, "", { password: "a|b,c" }],
  [
    "device token",
    { _tag: "DeviceToken", token: Device.token("dev-token"), scopes: ["operator.read"] },
    "dev-token",
    { token: Device.token("dev-token").pipe(Redacted.value) }
  ],
  [
    "setup code",
    { _tag: "SetupCode", token: Device.token("boot-token") },
    "boot-token",
    { bootstrapToken: Device.token("boot-token").pipe(Redacted.value) }
  ],
  ["nothing", { _tag: "None" }, "", undefined]
]

describe("ConnectPlan", () => {
  it.each(credentials)(
    "F36: one plan gives wire parameters and signed text alike, in version 3: %s",
    (_, credential, signedToken, auth) => {
      const plan = Device.plan(identity, { credential })
      const answer = answered(plan)
      const params = onTheWire(answer)
      assert.deepStrictEqual(params.auth, auth)
      assert.strictEqual(
        Redacted.value(answer.signedText),
        `v3|${identity.deviceId}|gateway-client|backend|operator|operator.read,operator.write|1700000000000`
          + `|${signedToken}|n-1|linux|`
      )
      assert.isTrue(gatewayAccepts(params, "v3"))
      assert.isFalse(gatewayAccepts(params, "v2"))
    }
  )

  it("F36: version 2 is signed when the plan says so", () => {
    const params = onTheWire(answered(Device.plan(identity, { proof: "v2" })))
    assert.isTrue(gatewayAccepts(params, "v2"))
    assert.isFalse(gatewayAccepts(params, "v3"))
  })

  it("F33: without a challenge there is no nonce, and version 1 over our own clock", () => {
    const params = Result.getOrThrow(Plan.answerWithoutChallenge(Device.plan(identity), 42)).params
    assert.notProperty(params.device, "nonce")
    assert.strictEqual(params.device.signedAt, 42)
    assert.isTrue(gatewayAccepts(params, "v1"))
  })

  it("sends exactly the published parameters, and what is not set is absent", () => {
    assert.deepStrictEqual(JSON.parse(JSON.stringify(answered(Device.plan(identity)).params)), {
      minProtocol: 3,
      maxProtocol: 4,
      client: { id: "gateway-client", version: "0.1.0", platform: "linux", mode: "backend" },
      role: "operator",
      scopes: ["operator.read", "operator.write"],
      caps: ["session-scoped-events", "tool-events"],
      auth: { token: "shared-token" },
      device: {
        id: identity.deviceId,
        publicKey: identity.publicKey,
        signature: answered(Device.plan(identity)).params.device.signature,
        signedAt: 1_700_000_000_000,
        nonce: "n-1"
      }
    })
    const full = Device.plan(identity, {}, { displayName: "agent@host", deviceFamily: "iPhone", caps: ["tool-events"] })
    const { deviceFamily, displayName } = answered(full).params.client
    assert.deepStrictEqual<ReadonlyArray<string | undefined>>([displayName, deviceFamily], ["agent@host", "iPhone"])
    assert.deepStrictEqual(answered(full).params.caps, ["tool-events"])
    assert.isTrue(gatewayAccepts(onTheWire(answered(full)), "v3"), "iPhone is sent as it is and signed as iphone")
  })

  it("F06: printing an answer's text or a plan shows no credential", () => {
    const plan = Device.plan(identity)
    const told = JSON.stringify([plan.credential, answered(plan).signedText]) + String(answered(plan).signedText)
    assert.notInclude(told, "shared-token")
  })

  it.effect.prop(
    "G27: the same plan and challenge give the same bytes",
    [arbitraryPlan(identity), arbitraryChallenge],
    (
      [plan, at]
    ) =>
      Effect.sync(() => {
        const [first, second] = [answered(plan, at), answered({ ...plan }, { ...at })]
        assert.strictEqual(JSON.stringify(first.params), JSON.stringify(second.params))
        assert.strictEqual(Redacted.value(first.signedText), Redacted.value(second.signedText))
      }),
    { arbitrary: { seed: 1, runs: 100 } }
  )

  it.effect.prop("F06 F16: every plan verifies at a verifier written here, and at no other version", [
    arbitraryPlan(identity),
    arbitraryChallenge
  ], ([plan, at]) =>
    Effect.sync(() => {
      const params = onTheWire(answered(plan, at))
      assert.isTrue(gatewayAccepts(params, plan.proof))
      assert.isFalse(gatewayAccepts(params, plan.proof === "v2" ? "v3" : "v2"))
    }), { arbitrary: { seed: 2, runs: 200 } })

  it.effect.prop("G27: what is sent is what was signed: changing any signed field on the wire breaks the proof", [
    arbitraryPlan(identity),
    arbitraryChallenge,
    Schema.Literals(["scopes", "role", "mode", "signedAt", "token", "nonce"])
  ], ([plan, at, field]) =>
    Effect.sync(() => {
      const params = onTheWire(answered(plan, at))
      const { client, device } = params
      const changed: ConnectParams = {
        scopes: { ...params, scopes: params.scopes.concat(params.scopes, plan.scopes.length === 0 ? scope : []) },
        role: { ...params, role: params.role === "node" ? "worker" as const : "node" as const },
        mode: { ...params, client: { ...client, mode: client.mode === "ui" ? "cli" as const : "ui" as const } },
        signedAt: { ...params, device: { ...device, signedAt: device.signedAt + 1 } },
        token: { ...params, auth: { token: Redacted.value(Device.token(`${params.auth?.token ?? ""}x`)) } },
        nonce: { ...params, device: { ...device, nonce: Nonce.make(`${at.nonce}x`) } }
      }[field]
      assert.isFalse(gatewayAccepts(changed, plan.proof))
    }), { arbitrary: { seed: 3, runs: 100 } })

  describe("laws of effect-openclaw/testing", () => {
    const versions = [["v2", DeviceProof.textV2], ["v3", DeviceProof.textV3]] as const
    for (const [version, text] of versions) {
      it.effect.prop(
        `F19: distinct inputs never share a ${version} text`,
        [Laws.arbitraryProofInputPair],
        ([pair]) => Effect.sync(() => Laws.proofTextLaws.distinct(version, text)(pair)),
        { arbitrary: { seed: 4, runs: 200 } }
      )
      it.effect.prop(
        `the same input has the same ${version} text`,
        [Laws.arbitraryProofInput],
        ([input]) => Effect.sync(() => Laws.proofTextLaws.deterministic(version, text)(input)),
        {
          arbitrary: { seed: 5, runs: 50 }
        }
      )
    }

    it("the law sees a text that joins without a delimiter", () => {
      const joined: Laws.ProofText = (fields, nonce) => `${fields.scopes.join("")}${fields.role}${nonce}`
      const result = Effect.runSync(
        Arbitrary.checkEffect(Laws.arbitraryProofInputPair, Laws.proofTextLaws.distinct("v2", joined), {
          seed: 1,
          runs: 400
        })
      )
      assert.strictEqual(result._tag, "Falsified")
    })

    const signers = [["noble", Signer.layer], ["node", Signer.layerNodejs]] as const
    for (const [name, layer] of signers) {
      for (const [title, law] of Object.entries(Laws.signerLaws)) {
        it.effect(`signer law ${title}: ${name}`, () =>
          Effect.gen(function*() {
            const result = yield* Arbitrary.checkEffect(Laws.arbitrarySignatureInput, law(yield* Signer), {
              seed: 6,
              runs: 12
            })
            assert.isUndefined(Arbitrary.formatCheckFailure(result))
          }).pipe(Effect.provide(layer)))
      }
    }

    it.effect("noble and node agree", () =>
      Effect.gen(function*() {
        const noble = yield* Effect.provide(Signer, Signer.layer)
        const node = yield* Effect.provide(Signer, Signer.layerNodejs)
        const result = yield* Arbitrary.checkEffect(Laws.arbitrarySignatureInput, Laws.agree(noble, node), {
          seed: 7,
          runs: 12
        })
        assert.isUndefined(Arbitrary.formatCheckFailure(result))
      }))

    it.effect("the laws see a signer that ignores its message", () =>
      Effect.gen(function*() {
        const good = yield* Signer
        const bad = Signer.of({
          importKey: (seed) =>
            Effect.map(good.importKey(seed), (key) => ({ ...key, sign: () => key.sign(new Uint8Array()) })),
          verify: (publicKey, _, signature) => good.verify(publicKey, new Uint8Array(), signature)
        })
        const result = yield* Arbitrary.checkEffect(Laws.arbitrarySignatureInput, Laws.signerLaws.distinct(bad), {
          seed: 8,
          runs: 25
        })
        assert.strictEqual(result._tag, "Falsified")
      }).pipe(Effect.provide(Signer.layerNodejs)))
  })

  it.effect("G27: a signer whose signature does not verify sends nothing", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const handshake = yield* Handshake
      const broken = { ...identity, sign: (text: string) => identity.sign(`${text} `) }
      assert.isTrue(Result.isFailure(Plan.answer(Device.plan(broken), challenge)))
      const fiber = yield* Effect.forkScoped(
        handshake.connect(Device.plan(broken), Device.limits, { onText: () => {}, onClose: () => {} })
      )
      const link = yield* transport.nth(1)
      link.send(Wire.challenge())
      const error = yield* Effect.flip(Fiber.join(fiber))
      assert.isTrue(error._tag === "DeviceProofRejected" && error.reason === "SelfCheckFailed" && error.detailed)
      assert.deepStrictEqual(link.sent, [])
      assert.isTrue(link.released())
    }).pipe(Effect.provide(Handshake.layer.pipe(Layer.provideMerge(ScriptedTransport.layer)))))
})

const scope = Device.settings({ scopes: ["operator.read"] }).scopes
