/**
 * Encryption at rest: scrypt derives a key from the passphrase (RFC 7914), and AES-256-GCM seals the private key with it.
 * The device id is the associated data, so a sealed key cannot be moved to another id. It uses `node:crypto`, which is
 * loaded at the first use.
 */
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { DeviceId } from "../protocol/Connect.ts"

const base64Url = (bytes: number) =>
  Schema.String.check(Schema.isPattern(new RegExp(`^[A-Za-z0-9_-]{${Math.ceil(bytes * 8 / 6)}}$`)))

/**
 * A sealed private key in the file. Binary values are base64url without padding. `ciphertext` is the 48 bytes of a PKCS#8
 * Ed25519 key followed by the 16 bytes of the tag. The cost has a limit, so that no file can ask for more than a gibibyte
 * of memory.
 */
export const Sealed = Schema.Struct({
  kdf: Schema.Literal("scrypt"),
  N: Schema.Literals([2 ** 14, 2 ** 15, 2 ** 16, 2 ** 17, 2 ** 18, 2 ** 19, 2 ** 20]),
  r: Schema.Literal(8),
  p: Schema.Literals([1, 2, 3, 4]),
  salt: base64Url(32),
  cipher: Schema.Literal("aes-256-gcm"),
  nonce: base64Url(12),
  ciphertext: base64Url(64)
})
export type Sealed = typeof Sealed.Type

/**
 * The cost of deriving a key: scrypt's `N` with r 8 and p 1. The default takes 128 MiB and about a third of a second. It is
 * written into the file, so that files still open when the default changes.
 */
export const Cost = Context.Reference<Sealed["N"]>("effect-openclaw/identity/KeyEnvelope/Cost", {
  defaultValue: () => 2 ** 17
})

/** Seals a private key with a new salt and nonce. The passphrase is used as its UTF-8 bytes, unchanged. */
export const seal = Effect.fn("KeyEnvelope.seal")(function*(
  pkcs8: Redacted.Redacted<Uint8Array>,
  passphrase: Redacted.Redacted,
  deviceId: DeviceId
) {
  const random = yield* SecureRandom.SecureRandom
  const salt = yield* random.randomBytes(32)
  const nonce = yield* random.randomBytes(12)
  const crypto = yield* nodeCrypto
  const cost = { N: yield* Cost, r: 8, p: 1 } as const
  const key = yield* derive(passphrase, salt, cost)
  const cipher = crypto.createCipheriv("aes-256-gcm", key, nonce)
  cipher.setAAD(new TextEncoder().encode(deviceId))
  const ciphertext = Buffer.concat([cipher.update(Redacted.value(pkcs8)), cipher.final(), cipher.getAuthTag()])
  return {
    kdf: "scrypt",
    ...cost,
    salt: Base64Url.encode(salt),
    cipher: "aes-256-gcm",
    nonce: Base64Url.encode(nonce),
    ciphertext: Base64Url.encode(ciphertext)
  } satisfies Sealed
})

/**
 * The private key, or nothing when the passphrase does not open it. A wrong passphrase takes as long as the right one.
 */
export const open = Effect.fn("KeyEnvelope.open")(function*(
  sealed: Sealed,
  passphrase: Redacted.Redacted,
  deviceId: DeviceId
) {
  const crypto = yield* nodeCrypto
  const key = yield* derive(passphrase, bytesOf(sealed.salt), sealed)
  const ciphertext = bytesOf(sealed.ciphertext)
  const decipher = crypto.createDecipheriv("aes-256-gcm", key, bytesOf(sealed.nonce), { authTagLength: tagBytes })
  decipher.setAAD(new TextEncoder().encode(deviceId))
  decipher.setAuthTag(ciphertext.subarray(-tagBytes))
  return yield* Effect.option(Effect.try(() => {
    const plain = Buffer.concat([decipher.update(ciphertext.subarray(0, -tagBytes)), decipher.final()])
    return Redacted.make(new Uint8Array(plain), { label: "private key" })
  }))
})

const tagBytes = 16

const nodeCrypto = Effect.promise(() => import("node:crypto"))

const bytesOf = (text: string): Uint8Array => Result.getOrElse(Base64Url.decode(text), () => new Uint8Array())

const derive = Effect.fnUntraced(function*(
  passphrase: Redacted.Redacted,
  salt: Uint8Array,
  { N, p, r }: { readonly N: number; readonly r: number; readonly p: number }
) {
  const crypto = yield* nodeCrypto
  const maxmem = 256 * N * r
  return yield* Effect.callback<Buffer>((resume) =>
    crypto.scrypt(
      Redacted.value(passphrase),
      salt,
      32,
      { N, r, p, maxmem },
      (error, key) => resume(error === null ? Effect.succeed(key) : Effect.die(error))
    )
  )
})
