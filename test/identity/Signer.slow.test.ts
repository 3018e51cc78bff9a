import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { createHash, createPublicKey, verify } from "node:crypto"
import { inspect } from "node:util"
import { Signer } from "../../src/identity/Signer.ts"
import rfc8032 from "./vectors/rfc8032.json" with { type: "json" }

const bytes = (hex: string): Uint8Array => Result.getOrThrow(Hex.decode(hex))

/** Built from the RFC alone: it shares nothing with what it judges but the curve. */
const independentVerify = (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean =>
  verify(
    null,
    message,
    createPublicKey({
      key: { kty: "OKP", crv: "Ed25519", x: Buffer.from(publicKey).toString("base64url") },
      format: "jwk"
    }),
    signature
  )

const both = Effect.gen(function*() {
  const build = (layer: Layer.Layer<Signer>) => Effect.map(Layer.build(layer), Context.get(Signer))
  return { noble: yield* build(Signer.layer), node: yield* build(Signer.layerNodejs) }
})

const ByteArray = (options?: { readonly minLength?: number; readonly maxLength?: number }) =>
  Arbitrary.map(
    Arbitrary.array(Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 }))), options),
    (numbers) => Uint8Array.from(numbers)
  )
const Seed = ByteArray({ minLength: 32, maxLength: 32 })

describe("Signer", () => {
  for (const vector of rfc8032.vectors) {
    it.effect(`F16: RFC 8032 ${vector.name} with both signers`, () =>
      Effect.gen(function*() {
        const { noble, node } = yield* both
        for (const signer of [noble, node]) {
          const key = yield* signer.importKey(Redacted.make(bytes(vector.seed)))
          assert.strictEqual(Hex.encode(key.publicKey), vector.publicKey)
          assert.strictEqual(Hex.encode(key.sign(bytes(vector.message))), vector.signature)
          assert.isTrue(signer.verify(key.publicKey, bytes(vector.message), bytes(vector.signature)))
        }
      }))
  }

  it.effect.prop(
    "F16: noble = node = an independent verifier",
    [Seed, ByteArray({ maxLength: 300 })],
    ([seed, message]) =>
      Effect.gen(function*() {
        const { noble, node } = yield* both
        const left = yield* noble.importKey(Redacted.make(seed))
        const right = yield* node.importKey(Redacted.make(seed))
        const signature = left.sign(message)
        assert.deepStrictEqual(left.publicKey, right.publicKey)
        assert.deepStrictEqual(signature, right.sign(message))
        assert.isTrue(independentVerify(left.publicKey, message, signature))
        assert.isTrue(noble.verify(left.publicKey, message, signature))
        assert.isTrue(node.verify(left.publicKey, message, signature))
      }),
    { arbitrary: { seed: 1, runs: 150 } }
  )

  it.effect.prop(
    "F16: both signers refuse every single flipped bit of key, message and signature",
    [
      Seed,
      ByteArray({ minLength: 1, maxLength: 40 }),
      Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 10_000 }))
    ],
    ([seed, message, position]) =>
      Effect.gen(function*() {
        const { noble, node } = yield* both
        const key = yield* node.importKey(Redacted.make(seed))
        const whole = [key.publicKey, message, key.sign(message)] as const
        const flip = (part: number) =>
          whole.map((value, index) => {
            if (index !== part) return value
            const copy = new Uint8Array(value)
            const at = position % (copy.length * 8)
            copy[at >> 3] = (copy[at >> 3] ?? 0) ^ (1 << (at & 7))
            return copy
          })
        for (const part of [0, 1, 2]) {
          const [publicKey, text, signature] = flip(part)
          assert.isFalse(noble.verify(publicKey ?? key.publicKey, text ?? message, signature ?? new Uint8Array()))
          assert.isFalse(node.verify(publicKey ?? key.publicKey, text ?? message, signature ?? new Uint8Array()))
        }
      }),
    { arbitrary: { seed: 2, runs: 100 } }
  )

  it.effect("`verify` gives false for malformed input and never throws", () =>
    Effect.gen(function*() {
      const { noble, node } = yield* both
      const { message, publicKey, signature } = rfc8032.vectors[2] ?? { message: "", publicKey: "", signature: "" }
      const groupOrder = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010"
      const keys = [
        "",
        publicKey.slice(2),
        `${publicKey}00`,
        "0".repeat(64), // small order
        `01${"0".repeat(62)}`,
        `01${"0".repeat(60)}80`,
        `ec${"f".repeat(60)}7f`,
        `ed${"f".repeat(60)}7f`, // not canonical
        `ef${"f".repeat(60)}ff`,
        "02".padEnd(64, "0") // not on the curve
      ]
      const signatures = [
        "",
        signature.slice(2),
        `${signature}00`,
        "0".repeat(128),
        `${signature.slice(0, 64)}${groupOrder}`
      ]
      for (const signer of [noble, node]) {
        for (const key of keys) {
          assert.isFalse(signer.verify(bytes(key), bytes(message), bytes(signature)), key)
          assert.isFalse(signer.verify(bytes(key), bytes(message), new Uint8Array(64)), key)
        }
        for (const other of signatures) {
          assert.isFalse(signer.verify(bytes(publicKey), bytes(message), bytes(other)), other)
        }
        assert.isTrue(signer.verify(bytes(publicKey), bytes(message), bytes(signature)))
      }
    }))

  it.effect("both signers refuse signatures on which libraries disagree", () =>
    Effect.gen(function*() {
      const { noble, node } = yield* both
      const message = new TextEncoder().encode("text")
      const order = 2n ** 252n + 27742317777372353535851937790883648493n
      const littleEndian = (number: bigint) => bytes(number.toString(16).padStart(64, "0")).toReversed()
      const numberOf = (encoded: Uint8Array) => BigInt(`0x${Hex.encode(encoded.toReversed())}`)

      // under the neutral element as a key, the base point with S = 1 fits every message
      const neutral = bytes(`01${"0".repeat(62)}`)
      const fitsAll = Buffer.concat([bytes(`58${"66".repeat(31)}`), littleEndian(1n)])
      const { ed25519 } = yield* Effect.promise(() => import("@noble/curves/ed25519.js"))
      assert.isTrue(ed25519.verify(fitsAll, message, neutral, { zip215: true }))

      // whoever has the key can make R the neutral element; written as y + p it is another spelling of it
      const seed = bytes(rfc8032.vectors[0]?.seed ?? "")
      const key = yield* node.importKey(Redacted.make(seed))
      const secret = createHash("sha512").update(seed).digest().subarray(0, 32)
      secret[0] = (secret[0] ?? 0) & 248
      secret[31] = ((secret[31] ?? 0) & 127) | 64
      const spelledOtherwise = bytes(`ee${"f".repeat(60)}7f`)
      const hash = createHash("sha512").update(spelledOtherwise).update(key.publicKey).update(message).digest()
      const scalar = (numberOf(hash) * numberOf(secret)) % order
      const other = Buffer.concat([spelledOtherwise, littleEndian(scalar)])
      assert.isTrue(ed25519.verify(other, message, key.publicKey, { zip215: true }))

      for (const signer of [noble, node]) {
        assert.isFalse(signer.verify(neutral, message, fitsAll))
        assert.isFalse(signer.verify(key.publicKey, message, other))
      }
    }))

  it.effect("refuses a seed that does not have 32 bytes", () =>
    Effect.gen(function*() {
      const { noble, node } = yield* both
      for (const signer of [noble, node]) {
        for (const length of [0, 31, 33, 64]) {
          const error = yield* Effect.flip(signer.importKey(Redacted.make(new Uint8Array(length))))
          assert.deepStrictEqual([error._tag, error.length], ["SignerError", length])
        }
      }
    }))

  it.effect("a caller that reuses its buffer does not change the key, and the key does not show its seed", () =>
    Effect.gen(function*() {
      const { noble, node } = yield* both
      for (const signer of [noble, node]) {
        const seed = new Uint8Array(createHash("sha256").update("seed").digest())
        const hidden = Hex.encode(seed)
        const key = yield* signer.importKey(Redacted.make(seed))
        const before = key.sign(new Uint8Array(3))
        seed.fill(0)
        assert.deepStrictEqual(key.sign(new Uint8Array(3)), before)
        const shown = inspect(key, { showHidden: true, depth: 10 }) + JSON.stringify(key)
        assert.notInclude(shown, hidden)
        assert.notInclude(shown, [...bytes(hidden)].join(", "))
      }
    }))
})
