import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { createHash, createPublicKey, verify } from "node:crypto"
import { inspect } from "node:util"
import type { Credential } from "../../src/handshake/ConnectPlan.ts"
import * as Plan from "../../src/handshake/ConnectPlan.ts"
import * as GatewayConfig from "../../src/handshake/GatewayConfig.ts"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { Signer } from "../../src/identity/Signer.ts"
import {
  AuthToken,
  ClientId,
  ClientMode,
  DeviceFamily,
  DeviceId,
  encodeConnectParams,
  Nonce,
  PlatformName,
  Role,
  ScopeName
} from "../../src/protocol/Connect.ts"
import type { ProofFields, ProofVersion } from "../../src/protocol/DeviceProof.ts"
import * as DeviceProof from "../../src/protocol/DeviceProof.ts"
import golden from "../vectors/device-proof.json" with { type: "json" }

const runs = { arbitrary: { seed: "device-proof", runs: 400 } }

const GoldenFile = Schema.Struct({
  seed: Schema.String,
  publicKey: Schema.String,
  vectors: Schema.NonEmptyArray(Schema.Struct({
    name: Schema.String,
    nonce: Nonce,
    fields: Schema.Struct({
      deviceId: DeviceId,
      clientId: ClientId,
      clientMode: ClientMode,
      role: Role,
      scopes: Schema.Array(ScopeName),
      signedAtMs: Schema.Natural,
      token: Schema.optionalKey(Schema.RedactedFromValue(AuthToken)),
      platform: PlatformName,
      deviceFamily: Schema.optionalKey(DeviceFamily)
    }),
    proofs: Schema.Array(Schema.Struct({
      version: Schema.Literals(["v1", "v2", "v3"]),
      text: Schema.String,
      signature: Schema.String
    }))
  }))
})
const file = Schema.decodeUnknownSync(GoldenFile)(golden)

const textOf = (version: ProofVersion, fields: ProofFields, nonce: Nonce): string => {
  switch (version) {
    case "v1":
      return DeviceProof.textV1(fields)
    case "v2":
      return DeviceProof.textV2(fields, nonce)
    case "v3":
      return DeviceProof.textV3(fields, nonce)
  }
}

/** As a gateway verifies: over the UTF-8 bytes, with the raw key and signature in base64url. Shares nothing with `src`. */
const independentVerify = (publicKey: string, text: string, signature: string): boolean =>
  verify(
    null,
    Buffer.from(text, "utf8"),
    createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: publicKey }, format: "jwk" }),
    Buffer.from(signature, "base64url")
  )

const identities = Effect.gen(function*() {
  const seed = Redacted.make(new Uint8Array(Buffer.from(file.seed, "hex")))
  const build = (signer: Layer.Layer<Signer>) =>
    Effect.map(
      Layer.build(Layer.provide(DeviceIdentity.layerSeed({ seed, platform: PlatformName.make("Linux") }), signer)),
      Context.get(DeviceIdentity)
    )
  return [yield* build(Signer.layer), yield* build(Signer.layerNodejs)] as const
})

// Characters that a careless joiner, lower-caser or encoder would trip over, and that are allowed inside a field.
const Inner = Schema.Literals([
  "a",
  "A",
  "b",
  "Z",
  ".",
  ":",
  " ",
  "-",
  "é",
  "e\u0301",
  "ß",
  "İ",
  "\u212A",
  "Σ",
  "😀",
  "1"
])
const Edge = Schema.Literals(["a", "A", "b", ".", ":", "é", "İ", "\u212A", "😀", "1"])

const fieldText = Arbitrary.map(
  Arbitrary.all([
    Arbitrary.schema(Edge),
    Arbitrary.array(Arbitrary.schema(Inner), { maxLength: 3 }),
    Arbitrary.schema(Edge),
    Arbitrary.schema(Schema.Boolean)
  ]),
  ([first, inner, last, short]) => short ? first : `${first}${inner.join("")}${last}`
)
const orAbsent = <A>(value: Arbitrary.Arbitrary<A>) =>
  Arbitrary.map(Arbitrary.all([value, Arbitrary.schema(Schema.Boolean)]), ([made, absent]) => absent ? undefined : made)

const proofInput = (text: Arbitrary.Arbitrary<string>) =>
  Arbitrary.map(
    Arbitrary.all({
      deviceId: Arbitrary.schema(Schema.Literals(["0".repeat(64), `${"0".repeat(63)}f`])),
      clientId: Arbitrary.schema(Schema.Literals(["cli", "gateway-client"])),
      clientMode: Arbitrary.schema(Schema.Literals(["cli", "backend"])),
      role: Arbitrary.schema(Schema.Literals(["operator", "node"])),
      scopes: Arbitrary.array(text, { maxLength: 3 }),
      signedAtMs: Arbitrary.schema(Schema.Literals([0, 1, 10, 1_795_331_053_075])),
      token: orAbsent(text),
      platform: text,
      deviceFamily: orAbsent(text),
      nonce: text
    }),
    (raw) => ({
      nonce: Nonce.make(raw.nonce),
      fields: {
        deviceId: DeviceId.make(raw.deviceId),
        clientId: raw.clientId,
        clientMode: raw.clientMode,
        role: raw.role,
        scopes: raw.scopes.map((scope) => ScopeName.make(scope)),
        signedAtMs: raw.signedAtMs,
        token: raw.token === undefined ? undefined : Redacted.make(AuthToken.make(raw.token)),
        platform: PlatformName.make(raw.platform),
        deviceFamily: raw.deviceFamily === undefined ? undefined : DeviceFamily.make(raw.deviceFamily)
      } satisfies ProofFields
    })
  )
const anyInput = proofInput(fieldText)
// Fields so small that two random sets are often equal in all parts but one.
const tinyInput = proofInput(Arbitrary.schema(Schema.Literals(["a", "A"])))

type Input = { readonly nonce: Nonce; readonly fields: ProofFields }

const lowerAscii = (text: string): string =>
  [...text].map((character) =>
    /^[A-Z]$/.test(character) ? String.fromCharCode(character.charCodeAt(0) + 32) : character
  )
    .join("")

/** What a version's text says about its fields: absent and empty are one, v3 does not tell upper from lower case. */
const said = (version: ProofVersion, { fields, nonce }: Input): ReadonlyArray<string> => [
  fields.deviceId,
  fields.clientId,
  fields.clientMode,
  fields.role,
  JSON.stringify(fields.scopes),
  `${fields.signedAtMs}`,
  fields.token === undefined ? "" : Redacted.value(fields.token),
  ...version === "v1" ? [] : [nonce],
  ...version === "v3" ? [lowerAscii(fields.platform), lowerAscii(fields.deviceFamily ?? "")] : []
]

/** Reads a signed text back without knowing what went in. That it can be done is why no two field sets share a text. */
const readBack = (text: string): ReadonlyArray<string> => {
  const [, deviceId = "", clientId = "", clientMode = "", role = "", scopes = "", ...rest] = text.split("|")
  return [deviceId, clientId, clientMode, role, JSON.stringify(scopes === "" ? [] : scopes.split(",")), ...rest]
}

describe("DeviceProof", () => {
  for (const vector of file.vectors) {
    const fields: ProofFields = { token: undefined, deviceFamily: undefined, ...vector.fields }
    for (const proof of vector.proofs) {
      it(`F36: known answer ${proof.version}: ${vector.name}`, () => {
        assert.strictEqual(textOf(proof.version, fields, vector.nonce), proof.text)
      })
    }

    it.effect(`F16: both signers give the recorded signatures, and node:crypto accepts them: ${vector.name}`, () =>
      Effect.gen(function*() {
        for (const identity of yield* identities) {
          assert.strictEqual(identity.publicKey, file.publicKey)
          for (const { signature, text } of vector.proofs) {
            assert.strictEqual(identity.sign(text), signature)
            assert.isTrue(identity.verify(text, signature))
            assert.isTrue(independentVerify(identity.publicKey, text, signature))
            assert.isFalse(identity.verify(`${text} `, signature))
          }
        }
      }))
  }

  it("the device id is the lower-case hex SHA-256 of the raw public key", () => {
    const raw = Buffer.from(file.publicKey, "base64url")
    assert.strictEqual(raw.length, 32)
    for (const { fields } of file.vectors) {
      assert.strictEqual<string>(fields.deviceId, createHash("sha256").update(raw).digest("hex"))
    }
  })

  it("F36: lowers ASCII letters and nothing else", () => {
    const ascii = String.fromCharCode(...Array.from({ length: 128 }, (_, code) => code))
    assert.strictEqual(DeviceProof.asciiLowerCase(ascii), ascii.toLowerCase())
    // Each of these would change, or change its length, under a full lower-casing.
    for (const letter of ["İ", "\u212A", "\u2126", "Ä", "Σ", "Ω", "Ａ", "\u{10400}", "ẞ"]) {
      assert.notStrictEqual(letter.toLowerCase(), letter)
      assert.strictEqual(DeviceProof.asciiLowerCase(letter), letter)
    }
  })

  it.effect.prop("same fields, same text", [anyInput], ([input]) =>
    Effect.sync(() => {
      const token = input.fields.token
      const copy = {
        nonce: Nonce.make([...input.nonce].join("")),
        fields: {
          ...input.fields,
          scopes: [...input.fields.scopes],
          token: token === undefined ? undefined : Redacted.make(AuthToken.make([...Redacted.value(token)].join("")))
        }
      }
      for (const version of ["v1", "v2", "v3"] as const) {
        assert.strictEqual(
          textOf(version, copy.fields, copy.nonce),
          textOf(version, input.fields, input.nonce)
        )
      }
    }), runs)

  it.effect.prop("F19: the fields can be read back from every text", [anyInput], ([input]) =>
    Effect.sync(() => {
      for (const version of ["v1", "v2", "v3"] as const) {
        const text = textOf(version, input.fields, input.nonce)
        assert.isTrue(text.startsWith(`${version}|`))
        assert.deepStrictEqual(readBack(text), said(version, input))
      }
    }), runs)

  it.effect.prop(
    "F19: distinct fields never share a signed text",
    [tinyInput, tinyInput],
    ([left, right]) =>
      Effect.sync(() => {
        for (const version of ["v1", "v2", "v3"] as const) {
          assert.strictEqual(
            textOf(version, left.fields, left.nonce) === textOf(version, right.fields, right.nonce),
            JSON.stringify(said(version, left)) === JSON.stringify(said(version, right)),
            version
          )
        }
      }),
    { arbitrary: { seed: "device-proof", runs: 2000 } }
  )
})

const signedFields = {
  nonce: Nonce,
  scope: ScopeName,
  platform: PlatformName,
  "device family": DeviceFamily
}
const refusal = (schema: Schema.Codec<string, string>, value: string): string | undefined => {
  const decoded = Schema.decodeResult(schema)(value)
  return Result.isSuccess(decoded) ? undefined : decoded.failure.message
}

describe("fields that are signed", () => {
  const hostile: ReadonlyArray<readonly [name: string, value: string]> = [
    ["empty", ""],
    ["a pipe", "a|b"],
    ["only a pipe", "|"],
    ["a line feed", "a\nb"],
    ["NUL", "a\0b"],
    ["DEL", "a\x7fb"],
    ["a C1 control", "a\x85b"],
    ["a leading space", " a"],
    ["a trailing tab", "a\t"],
    ["a trailing no-break space", "a\u00A0"],
    ["a leading byte order mark", "\uFEFFa"],
    ["a line separator", "a\u2028b"],
    ["a bidi override", "a\u202Eb"],
    ["a zero-width space", "a\u200Bb"],
    ["a high surrogate alone", "a\uD83D"],
    ["a low surrogate alone", "\uDE00a"]
  ]
  for (const [what, schema] of Object.entries({ ...signedFields, token: AuthToken })) {
    for (const [name, value] of hostile) {
      it(`F19: ${what} refuses ${name}`, () => {
        const message = refusal(schema, value)
        assert.isDefined(message)
        assert.isTrue(message?.startsWith(what), message)
        if (value !== "" && value !== "|") assert.isFalse(message?.includes(value), "the value is not shown")
      })
    }
  }

  it("F19: a comma delimits scopes, so only a token may hold one", () => {
    for (const schema of Object.values(signedFields)) assert.isDefined(refusal(schema, "a,b"))
    assert.isUndefined(refusal(AuthToken, "a,b"))
  })

  it("F19: a device id is 64 lower-case hex digits", () => {
    for (const value of ["", "0".repeat(63), "A".repeat(64), `${"0".repeat(64)}\n`, `|${"0".repeat(63)}`]) {
      assert.isDefined(refusal(DeviceId, value), JSON.stringify(value))
    }
    assert.isUndefined(refusal(DeviceId, "0123456789abcdef".repeat(4)))
  })

  it("F19: the values that would collide when joined cannot be made", () => {
    const { fields, nonce } = file.vectors[0]
    const base: ProofFields = { token: undefined, deviceFamily: undefined, ...fields }
    // Two sets that give one text: the platform of the second carries the delimiter and the family of the first.
    const honest = DeviceProof.textV3({ ...base, deviceFamily: DeviceFamily.make("tv") }, nonce)
    assert.strictEqual(honest, `${DeviceProof.textV3(base, nonce)}tv`)
    assert.throws(() => PlatformName.make("linux|tv"))
    assert.throws(() => ScopeName.make("operator.read,operator.admin"))
    assert.throws(() => AuthToken.make("token|nonce"))
  })

  const hostileText = Arbitrary.map(
    Arbitrary.array(
      Arbitrary.schema(Schema.Literals(["a", "B", "é", "😀", ".", " ", "|", ",", "\n", "\u202E", "\uD83D", "\u2029"])),
      { maxLength: 4 }
    ),
    (characters) => characters.join("")
  )
  it.effect.prop(
    "F19: exactly the safe texts are accepted, the others are a typed failure",
    [hostileText],
    ([text]) =>
      Effect.gen(function*() {
        const lone = text.replaceAll("😀", "").includes("\uD83D")
        const printable = !/[\n\u202E\u2029]/.test(text) && !lone
        const safe = text !== "" && printable && !text.includes("|") && !/^\s|\s$/.test(text)
        for (const schema of Object.values(signedFields)) {
          assert.strictEqual(refusal(schema, text) === undefined, safe && !text.includes(","), JSON.stringify(text))
        }
        assert.strictEqual(refusal(AuthToken, text) === undefined, safe, JSON.stringify(text))
        const effect = yield* Effect.result(Schema.decodeEffect(AuthToken)(text))
        if (Result.isFailure(effect)) assert.strictEqual(effect.failure._tag, "SchemaError")
      }),
    { arbitrary: { seed: "device-proof", runs: 1000 } }
  )
})

describe("what a plan signs and sends", () => {
  const token = (text: string) => Redacted.make(AuthToken.make(text))
  const credentials: ReadonlyArray<readonly [credential: Credential, auth: unknown, slot: string]> = [
    [{ _tag: "SharedToken", token: token("sekrit-shared") }, { token: "sekrit-shared" }, "sekrit-shared"],
    [
      { _tag: "DeviceToken", token: token("sekrit-device"), scopes: ["operator.read"] },
      { token: "sekrit-device" },
      "sekrit-device"
    ],
    [{ _tag: "Password", password: Redacted.make("sekrit-pass") }, { password: "sekrit-pass" }, ""],
    [{ _tag: "None" }, undefined, ""]
  ]
  /** The wire form of `connect`, as far as a gateway's verifier reads it. */
  const Wire = Schema.fromJsonString(Schema.Struct({
    client: Schema.Struct({
      id: Schema.String,
      mode: Schema.String,
      platform: Schema.String,
      deviceFamily: Schema.optionalKey(Schema.String)
    }),
    role: Schema.String,
    scopes: Schema.Array(Schema.String),
    auth: Schema.optionalKey(Schema.Struct({
      token: Schema.optionalKey(Schema.String),
      password: Schema.optionalKey(Schema.String)
    })),
    device: Schema.Struct({
      id: Schema.String,
      publicKey: Schema.String,
      signature: Schema.String,
      signedAt: Schema.Int,
      nonce: Schema.optionalKey(Schema.String)
    })
  }))
  /** The signed text as a gateway makes it, from nothing but what arrived on the wire. */
  const rebuilt = (version: ProofVersion, wire: typeof Wire["Type"]): string => {
    const { auth, client, device, role, scopes } = wire
    const start = `${version}|${device.id}|${client.id}|${client.mode}|${role}|${scopes.join(",")}|${device.signedAt}|${
      auth?.token ?? ""
    }`
    if (version === "v1") return start
    if (version === "v2") return `${start}|${device.nonce}`
    return `${start}|${device.nonce}|${lowerAscii(client.platform)}|${lowerAscii(client.deviceFamily ?? "")}`
  }
  const settings = Result.getOrThrow(GatewayConfig.check({ deviceFamily: "Robot X" }))
  const challenge = { nonce: Nonce.make("da39db7c-0bed-4f4b-94ae-7fec37ed9647"), ts: 1_795_331_053_075 }

  for (const [credential, auth, slot] of credentials) {
    it.effect(`F06: the token slot holds what is sent, and nothing prints it: ${credential._tag}`, () =>
      Effect.gen(function*() {
        for (const identity of yield* identities) {
          for (const version of ["v1", "v2", "v3"] as const) {
            const plan = Plan.make(settings, identity, {
              credential,
              ...(version === "v1" ? {} : { proof: version })
            })
            const { params, signedText } = Result.getOrThrow(
              version === "v1" ? Plan.answerWithoutChallenge(plan, challenge.ts) : Plan.answer(plan, challenge)
            )
            const wire = yield* Schema.decodeEffect(Wire)(JSON.stringify(encodeConnectParams(params)))
            const text = rebuilt(version, wire)
            assert.deepStrictEqual<unknown>(wire.auth, auth)
            assert.strictEqual(text.split("|")[7], slot)
            assert.strictEqual(wire.device.nonce, version === "v1" ? undefined : challenge.nonce)
            assert.strictEqual(wire.device.signedAt, challenge.ts)
            assert.isTrue(independentVerify(wire.device.publicKey, text, wire.device.signature))
            assert.strictEqual(Redacted.value(signedText), text)
            for (const held of [plan, signedText]) {
              const printed = `${inspect(held, { depth: 9, showHidden: true })} ${JSON.stringify(held)} ${String(held)}`
              assert.notInclude(printed, "sekrit")
            }
          }
        }
      }))
  }
})
