import { assert, describe, it } from "@effect/vitest"
import * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Hex from "effect/encoding/Hex"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { createDecipheriv, scryptSync } from "node:crypto"
import * as IdentityDocument from "../../src/identity/IdentityDocument.ts"
import * as KeyEnvelope from "../../src/identity/KeyEnvelope.ts"
import { Signer } from "../../src/identity/Signer.ts"
import { makeDisk, snapshot } from "../storage/MemoryFiles.ts"
import { load, path, seededRandom } from "./Fixture.ts"
import vectors from "./vectors/identity.json" with { type: "json" }

const services = Layer.mergeAll(Signer.layerNodejs, Digest.layerWebCrypto, seededRandom("document"))
const passphrase = Redacted.make(vectors.passphrase)
const bytes = (text: string | Uint8Array) =>
  Redacted.make(typeof text === "string" ? new TextEncoder().encode(text) : text)
const textOf = (document: Redacted.Redacted<Uint8Array>) => new TextDecoder().decode(Redacted.value(document))

const open = (text: string | Uint8Array, secret?: Redacted.Redacted) =>
  Effect.flatMap(
    Effect.fromResult(IdentityDocument.parse(bytes(text), "file")),
    (parsed) => IdentityDocument.open(parsed, secret, "file")
  )

/** Every single-bit change of the text, with where it is. */
const flips = (text: string): ReadonlyArray<{ readonly changed: Uint8Array; readonly at: number }> => {
  const original = new TextEncoder().encode(text)
  return Array.from({ length: original.length * 8 }, (_, bit) => {
    const changed = new Uint8Array(original)
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    return { changed, at: bit >> 3 }
  })
}

describe("IdentityDocument", () => {
  it.effect("F04: opens the documents of an independent writer, plain and sealed", () =>
    Effect.gen(function*() {
      for (const document of [vectors.plain, ...vectors.sealed]) {
        const identity = yield* open(JSON.stringify(document), passphrase)
        assert.strictEqual(Hex.encode(Redacted.value(identity.seed)), vectors.seed)
        assert.strictEqual(identity.deviceId, vectors.deviceId)
        assert.strictEqual(identity.platform, "linux")
      }
    }).pipe(Effect.provide(services)))

  it.effect("F04: an independent reader opens its documents", () =>
    Effect.gen(function*() {
      const identity = yield* open(JSON.stringify(vectors.plain))
      assert.deepStrictEqual(JSON.parse(textOf(yield* IdentityDocument.encode(identity, undefined))), vectors.plain)
      const text = textOf(yield* IdentityDocument.encode(identity, passphrase))
      assert.notInclude(text, "BEGIN")
      assert.notInclude(text, vectors.plain.privateKey.slice(30, 60))
      const { deviceId, encryptedKey } = JSON.parse(text)
      assert.deepStrictEqual([encryptedKey.N, encryptedKey.r, encryptedKey.p], [2 ** 17, 8, 1])
      const key = scryptSync(vectors.passphrase, Buffer.from(encryptedKey.salt, "base64url"), 32, {
        N: encryptedKey.N,
        r: encryptedKey.r,
        p: encryptedKey.p,
        maxmem: 2 ** 28
      })
      const sealed = Buffer.from(encryptedKey.ciphertext, "base64url")
      const decipher = createDecipheriv("aes-256-gcm", key, Buffer.from(encryptedKey.nonce, "base64url"))
      decipher.setAAD(Buffer.from(deviceId))
      decipher.setAuthTag(sealed.subarray(-16))
      const der = Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()])
      assert.strictEqual(der.subarray(-32).toString("hex"), vectors.seed)
    }).pipe(Effect.provide(services)))

  it.effect("F04: salt and nonce are new each time", () =>
    Effect.gen(function*() {
      const identity = yield* open(JSON.stringify(vectors.plain))
      const first = JSON.parse(textOf(yield* IdentityDocument.encode(identity, passphrase))).encryptedKey
      const second = JSON.parse(textOf(yield* IdentityDocument.encode(identity, passphrase))).encryptedKey
      for (const field of ["salt", "nonce", "ciphertext"]) assert.notStrictEqual(first[field], second[field], field)
    }).pipe(Effect.provide(services), Effect.provideService(KeyEnvelope.Cost, 2 ** 14)))

  it.effect("F04: a wrong passphrase, a missing one and damage are different errors", () =>
    Effect.gen(function*() {
      const [sealed] = vectors.sealed
      const reasonOf = (document: unknown, secret?: string) =>
        Effect.map(
          Effect.flip(open(JSON.stringify(document), secret === undefined ? undefined : Redacted.make(secret))),
          (error) => `${error._tag} ${error.reason}`
        )
      assert.strictEqual(yield* reasonOf(sealed), "IdentityLocked PassphraseMissing")
      for (const wrong of ["", "wrong", vectors.passphrase.toUpperCase(), `${vectors.passphrase}\n`]) {
        assert.strictEqual(yield* reasonOf(sealed, wrong), "IdentityLocked PassphraseWrong", wrong)
      }
      const damaged = { ...sealed, encryptedKey: { ...sealed?.encryptedKey, N: 2 ** 15 } }
      assert.strictEqual(yield* reasonOf(damaged, vectors.passphrase), "IdentityInconsistent Checksum")
      const huge = { ...sealed, encryptedKey: { ...sealed?.encryptedKey, N: 2 ** 24 } }
      assert.strictEqual(yield* reasonOf(huge, vectors.passphrase), "IdentityInvalid WrongShape")
      const both = { ...sealed, privateKey: vectors.plain.privateKey }
      assert.strictEqual(yield* reasonOf(both, vectors.passphrase), "IdentityInvalid WrongShape")
    }).pipe(Effect.provide(services)))

  it.effect("F04: a sealed key cannot be moved under another device id", () =>
    Effect.gen(function*() {
      const [sealed] = vectors.sealed
      if (sealed === undefined) return assert.fail("no vector")
      const other = "f".repeat(64)
      // the checksum is no secret, so whoever moves the key can also correct it
      const digest = yield* Digest.Digest
      const { cipher, ciphertext, kdf, N, nonce, p, r, salt } = sealed.encryptedKey
      const lines = [
        sealed.format,
        1,
        other,
        sealed.publicKey,
        sealed.platform,
        kdf,
        N,
        r,
        p,
        salt,
        cipher,
        nonce,
        ciphertext
      ]
      const checksum = yield* digest.digestHex(Digest.sha256, new TextEncoder().encode(lines.join("\n")))
      const error = yield* Effect.flip(open(JSON.stringify({ ...sealed, deviceId: other, checksum }), passphrase))
      assert.strictEqual(`${error._tag} ${error.reason}`, "IdentityLocked PassphraseWrong")
    }).pipe(Effect.provide(services)))

  it.effect(
    "F39: each flipped bit of a real file is a typed error, or the same identity when it is in a comment",
    () =>
      Effect.gen(function*() {
        const disk = makeDisk()
        const identity = yield* load(disk)
        const text = snapshot(disk)[path] ?? ""
        const file = disk.entries.get(path)
        if (file === undefined) return assert.fail("no file")
        const comments = [...text.matchAll(/"created(?:At|By)": "[^"]*"/g)].map(({ 0: match, index }) =>
          [index, index + match.length] as const
        )
        const tags = { same: 0, IdentityInvalid: 0, IdentityInconsistent: 0 }
        for (const { at, changed } of flips(text)) {
          const outcome = yield* Effect.result(open(changed))
          if (outcome._tag === "Success") {
            const { deviceId, key, platform } = outcome.success
            if (
              deviceId !== identity.deviceId || platform !== identity.platform
              || Base64Url.encode(key.publicKey) !== identity.publicKey
              || !comments.some(([start, end]) => at >= start && at < end)
            ) assert.fail(`byte ${at}`)
            tags.same++
            continue
          }
          const { _tag } = outcome.failure
          if (_tag === "IdentityLocked") return assert.fail(`byte ${at}`)
          tags[_tag]++
          // the whole way from the disk, and what is on it afterwards, for one bit of each byte
          if (((changed[at] ?? 0) ^ text.charCodeAt(at)) !== 1) continue
          file.bytes = changed
          const error = yield* Effect.flip(load(disk))
          if (error._tag !== _tag || file.bytes !== changed) assert.fail(`byte ${at}`)
        }
        assert.strictEqual(tags.same + tags.IdentityInvalid + tags.IdentityInconsistent, text.length * 8)
        for (const count of Object.values(tags)) assert.isAbove(count, 100)
      }).pipe(Effect.provide(services)),
    60_000
  )

  it.effect(
    "F39: each flipped bit of a sealed file is a typed error, and never that of a wrong passphrase",
    () =>
      Effect.gen(function*() {
        // without text in the comments, so that no changed file gets as far as the slow derivation
        const text = `${JSON.stringify({ ...vectors.sealed[0], createdAt: "", createdBy: "" }, undefined, 2)}\n`
        assert.strictEqual((yield* open(text, passphrase)).deviceId, vectors.deviceId)
        for (const { at, changed } of flips(text)) {
          const error = yield* Effect.flip(open(changed, passphrase))
          if (error._tag === "IdentityLocked") assert.fail(`byte ${at}`)
        }
      }).pipe(Effect.provide(services)),
    60_000
  )
})
