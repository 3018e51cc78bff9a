/**
 * Laws for every signer and every proof text, as properties over generated inputs.
 *
 * Each law takes the signer or text that it judges and gives a property for `Arbitrary.checkEffect`, for example
 * `Arbitrary.checkEffect(arbitrarySignatureInput, signerLaws.verifies(signer))`.
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { SignerError } from "../identity/IdentityError.ts"
import type { Signer } from "../identity/Signer.ts"
import type { Challenge } from "../protocol/Connect.ts"
import type { ProofFields } from "../protocol/DeviceProof.ts"
import * as DeviceProof from "../protocol/DeviceProof.ts"
import { arbitraryChallenge, arbitraryProofFields } from "./Arbitraries.ts"

/** What the laws of signers are tried with. */
export interface SignatureInput {
  /** 32 bytes: an Ed25519 private key. */
  readonly seed: Uint8Array
  /** Differs from `seed`, unless the generator happens to repeat itself. */
  readonly otherSeed: Uint8Array
  readonly message: Uint8Array
  readonly otherMessage: Uint8Array
  /** Which bit to flip, modulo the length. */
  readonly bit: number
}

const byte = Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 })))
const bytes = (minLength: number, maxLength: number) =>
  Arbitrary.map(Arbitrary.array(byte, { minLength, maxLength }), (numbers) => Uint8Array.from(numbers))

/** Generates inputs for `signerLaws` and `agree`. Messages have up to 200 bytes. */
export const arbitrarySignatureInput: Arbitrary.Arbitrary<SignatureInput> = Arbitrary.all({
  seed: bytes(32, 32),
  otherSeed: bytes(32, 32),
  message: bytes(0, 200),
  otherMessage: bytes(0, 200),
  bit: Arbitrary.schema(Schema.Natural)
})

type SignerLaw = (signer: Signer["Service"]) => (input: SignatureInput) => Effect.Effect<boolean, SignerError>

const keyOf = (signer: Signer["Service"], seed: Uint8Array) =>
  signer.importKey(Redacted.make(Uint8Array.from(seed), { label: "seed" }))

const same = (left: Uint8Array, right: Uint8Array): boolean =>
  left.length === right.length && left.every((value, index) => value === right[index])

const flipped = (source: Uint8Array, bit: number): Uint8Array => {
  const copy = Uint8Array.from(source)
  const at = bit % (copy.length * 8)
  copy[at >> 3] = (copy[at >> 3] ?? 0) ^ (1 << (at & 7))
  return copy
}

/** Laws of one signer, by name. */
export const signerLaws = {
  /** The same key and message give the same 64 bytes, however often the key is imported (RFC 8032). */
  deterministic: (signer) => ({ message, seed }) =>
    Effect.gen(function*() {
      const [first, second] = [yield* keyOf(signer, seed), yield* keyOf(signer, seed)]
      const signature = first.sign(message)
      return signature.length === 64 && first.publicKey.length === 32 && same(first.publicKey, second.publicKey)
        && same(signature, first.sign(message)) && same(signature, second.sign(message))
    }),

  /** A signature verifies with its own key and message. */
  verifies: (signer) => ({ message, seed }) =>
    Effect.map(keyOf(signer, seed), (key) => signer.verify(key.publicKey, message, key.sign(message))),

  /** Another message or another key gives another signature, and neither verifies in place of the other. */
  distinct: (signer) => ({ message, otherMessage, otherSeed, seed }) =>
    Effect.gen(function*() {
      const [key, other] = [yield* keyOf(signer, seed), yield* keyOf(signer, otherSeed)]
      const signature = key.sign(message)
      const messages = same(message, otherMessage)
        || (!same(signature, key.sign(otherMessage)) && !signer.verify(key.publicKey, otherMessage, signature))
      const keys = same(seed, otherSeed)
        || (!same(signature, other.sign(message)) && !signer.verify(other.publicKey, message, signature))
      return messages && keys
    }),

  /** Nothing verifies with one wrong bit in message, signature or key. */
  tamperEvident: (signer) => ({ bit, message, seed }) =>
    Effect.map(keyOf(signer, seed), (key) => {
      const signature = key.sign(message)
      return !signer.verify(key.publicKey, message, flipped(signature, bit))
        && !signer.verify(flipped(key.publicKey, bit), message, signature)
        && (message.length === 0 || !signer.verify(key.publicKey, flipped(message, bit), signature))
    })
} satisfies Record<string, SignerLaw>

/** Two signers give the same public key and the same signature, and each accepts the other's. */
export const agree =
  (left: Signer["Service"], right: Signer["Service"]) =>
  ({ message, seed }: SignatureInput): Effect.Effect<boolean, SignerError> =>
    Effect.gen(function*() {
      const [mine, yours] = [yield* keyOf(left, seed), yield* keyOf(right, seed)]
      const [signature, other] = [mine.sign(message), yours.sign(message)]
      return same(mine.publicKey, yours.publicKey) && same(signature, other)
        && left.verify(mine.publicKey, message, other) && right.verify(mine.publicKey, message, signature)
    })

/** What one attempt signs. */
export interface ProofInput {
  readonly fields: ProofFields
  readonly challenge: Challenge
}

/** Generates inputs for `proofTextLaws`: the signed time is that of the challenge, as in a real attempt. */
export const arbitraryProofInput: Arbitrary.Arbitrary<ProofInput> = Arbitrary.map(
  Arbitrary.all({ fields: arbitraryProofFields, challenge: arbitraryChallenge }),
  ({ challenge, fields }) => ({ challenge, fields: { ...fields, signedAtMs: challenge.ts } })
)

/** A builder of proof text for one published version, such as `DeviceProof.textV3`. */
export type ProofText = (fields: ProofFields, nonce: Challenge["nonce"]) => string

/** All facts in a text of this version, unambiguously. Version 3 signs platform and device family too, in lower case. */
const factsOf = (version: "v2" | "v3", { challenge, fields }: ProofInput): string =>
  JSON.stringify([
    fields.deviceId,
    fields.clientId,
    fields.clientMode,
    fields.role,
    fields.scopes,
    fields.signedAtMs,
    fields.token === undefined ? "" : Redacted.value(fields.token),
    challenge.nonce,
    ...(version === "v2"
      ? []
      : [DeviceProof.asciiLowerCase(fields.platform), DeviceProof.asciiLowerCase(fields.deviceFamily ?? "")])
  ])

/** Laws of a proof text of version 2 or 3, by name. */
export const proofTextLaws = {
  /** The same input gives the same text. */
  deterministic: (_version: "v2" | "v3", text: ProofText) => ({ challenge, fields }: ProofInput): boolean =>
    text(fields, challenge.nonce) === text({ ...fields }, challenge.nonce),

  /** Inputs with different facts never share a text: no field can pass for its neighbour. */
  distinct: (version: "v2" | "v3", text: ProofText) => ([left, right]: readonly [ProofInput, ProofInput]): boolean =>
    (text(left.fields, left.challenge.nonce) === text(right.fields, right.challenge.nonce))
      === (factsOf(version, left) === factsOf(version, right))
}

/** Pairs for `proofTextLaws.distinct`: two inputs that differ in one field, where texts would collide first. */
export const arbitraryProofInputPair: Arbitrary.Arbitrary<readonly [ProofInput, ProofInput]> = Arbitrary.map(
  Arbitrary.all({
    left: arbitraryProofInput,
    right: arbitraryProofInput,
    differs: Arbitrary.schema(
      Schema.Literals(["scopes", "token", "platform", "deviceFamily", "nonce", "role", "clientMode", "all", "nothing"])
    )
  }),
  ({ differs, left, right }): readonly [ProofInput, ProofInput] => {
    switch (differs) {
      case "all":
        return [left, right]
      case "nothing":
        return [left, { ...left }]
      case "nonce":
        return [left, { ...left, challenge: { ...left.challenge, nonce: right.challenge.nonce } }]
      default:
        return [left, { ...left, fields: { ...left.fields, [differs]: right.fields[differs] } }]
    }
  }
)
