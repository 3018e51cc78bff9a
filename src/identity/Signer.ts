/**
 * Ed25519 (RFC 8032). The signature is deterministic: every implementation gives the same bytes for the same seed. They
 * differ in speed and in where they run.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { SignerError } from "./IdentityError.ts"

/** A private key that is ready to sign. The key is in a closure: printing or encoding this value shows the public key only. */
export interface SigningKey {
  /** The 32 raw bytes of RFC 8032. */
  readonly publicKey: Uint8Array
  /** Lower-case hex SHA-256 of `publicKey`, from a platform that has it at hand. */
  readonly fingerprint?: string
  /** The 64 bytes of the signature over exactly these bytes. */
  readonly sign: (message: Uint8Array) => Uint8Array
  /** Whether this key made the signature, from a platform that has its public key at hand. It never throws. */
  readonly verify?: (message: Uint8Array, signature: Uint8Array) => boolean
}

/** Ed25519 keys: import, sign, verify. `testing/SignatureLaws` has the laws that every implementation must keep. */
export class Signer extends Context.Service<Signer, {
  /** Prepares a key once, so that signing never parses anything. `seed` is the 32-byte private key of RFC 8032. */
  readonly importKey: (seed: Redacted.Redacted<Uint8Array>) => Effect.Effect<SigningKey, SignerError>
  /** A new key whose seed nobody sees. Absent where the platform makes none: a random seed does the same. */
  readonly generateKey?: Effect.Effect<SigningKey>
  /**
   * Whether the key made the signature over the message. False for a malformed key or signature; it never throws. Keys of
   * small order, with which any signature may verify, count as malformed.
   */
  readonly verify: (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => boolean
}>()("effect-openclaw/identity/Signer") {
  /** Runs anywhere, on `@noble/curves`, which is loaded only when this layer is built. */
  static readonly layer: Layer.Layer<Signer> = Layer.effect(
    Signer,
    Effect.gen(function*() {
      const { ed25519 } = yield* Effect.promise(() => import("@noble/curves/ed25519.js"))
      return Signer.of({
        importKey: Effect.fn("Signer.importKey")(function*(redacted) {
          const seed = yield* copySeed(redacted)
          return { publicKey: ed25519.getPublicKey(seed), sign: (message) => ed25519.sign(message, seed) }
        }),
        verify: (publicKey, message, signature) =>
          wellFormed(publicKey, signature) && ed25519.verify(signature, message, publicKey, { zip215: false })
      })
    })
  )

  /** Runs on `node:crypto`, with key objects that are made once: a twentieth of the time, and no module to load at the first signature. */
  static readonly layerNodejs: Layer.Layer<Signer> = Layer.effect(
    Signer,
    Effect.gen(function*() {
      // Not by an import, which bundlers for browsers would have to resolve.
      const crypto = yield* Effect.sync(() => process.getBuiltinModule("node:crypto"))
      const isSigned = (
        message: Uint8Array,
        publicKey: ReturnType<typeof crypto.createPublicKey>,
        signature: Uint8Array
      ) => crypto.verify(null, message, publicKey, signature)
      const signingKey = (pair: ReturnType<typeof crypto.generateKeyPairSync>): SigningKey => {
        // As a JWK, which takes a tenth of the time of DER.
        const { x = "" } = pair.publicKey.export({ format: "jwk" })
        const publicKey = new Uint8Array(Buffer.from(x, "base64url"))
        return {
          publicKey,
          fingerprint: crypto.createHash("sha256").update(publicKey).digest("hex"),
          sign: (message) => new Uint8Array(crypto.sign(null, message, pair.privateKey)),
          verify: (message, signature) =>
            wellFormed(publicKey, signature) && isSigned(message, pair.publicKey, signature)
        }
      }
      return Signer.of({
        importKey: Effect.fnUntraced(function*(redacted) {
          const seed = yield* copySeed(redacted)
          const der = Buffer.from(concat(pkcs8Prefix, seed))
          const privateKey = crypto.createPrivateKey({ key: der, format: "der", type: "pkcs8" })
          return signingKey({ privateKey, publicKey: crypto.createPublicKey(privateKey) })
        }),
        generateKey: Effect.sync(() => signingKey(crypto.generateKeyPairSync("ed25519"))),
        verify: (publicKey, message, signature) => {
          if (!wellFormed(publicKey, signature)) return false
          try {
            const der = Buffer.from(concat(spkiPrefix, publicKey))
            return isSigned(message, crypto.createPublicKey({ key: der, format: "der", type: "spki" }), signature)
          } catch {
            return false
          }
        }
      })
    })
  )
}

/** DER of a PKCS#8 Ed25519 private key up to the seed (RFC 8410, section 7). The seed's 32 bytes follow, and nothing else. */
export const pkcs8Prefix: Uint8Array = Uint8Array.of(48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32)

/** DER of an SPKI Ed25519 public key up to the key (RFC 8410, section 4). The 32 raw bytes follow, and nothing else. */
export const spkiPrefix: Uint8Array = Uint8Array.of(48, 42, 48, 5, 6, 3, 43, 101, 112, 3, 33, 0)

/** The bytes of both arrays in a new one: a DER prefix and a raw key. */
export const concat = (left: Uint8Array, right: Uint8Array): Uint8Array => {
  const joined = new Uint8Array(left.length + right.length)
  joined.set(left)
  joined.set(right, left.length)
  return joined
}

const copySeed = Effect.fnUntraced(function*(redacted: Redacted.Redacted<Uint8Array>) {
  const seed = Redacted.value(redacted)
  if (seed.length !== 32) return yield* new SignerError({ reason: "SeedLength", length: seed.length })
  // A copy: a caller that reuses its buffer does not change the key.
  return new Uint8Array(seed)
})

const wellFormed = (publicKey: Uint8Array, signature: Uint8Array): boolean =>
  publicKey.length === 32 && signature.length === 64 && isCanonical(publicKey) && !hasSmallOrder(publicKey)

// Libraries disagree on the keys that these two refuse (OpenSSL 3.0 in Node.js 22 accepts them), so this code decides.

/** Whether the y coordinate is below the field's prime, 2^255 - 19. */
const isCanonical = (publicKey: Uint8Array): boolean =>
  (publicKey[0] ?? 0) < 0xed || ((publicKey[31] ?? 0) & 0x7f) !== 0x7f
  || publicKey.subarray(1, 31).some((byte) => byte !== 0xff)

/** The y coordinates of the eight points of small order, little-endian, without the sign bit. */
const smallOrder: ReadonlySet<string> = new Set([
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"
])

const smallOrderStarts: ReadonlySet<string> = new Set(Array.from(smallOrder, (y) => y.slice(0, 2)))

const hasSmallOrder = (publicKey: Uint8Array): boolean => {
  if (!smallOrderStarts.has(Hex.encode(publicKey.subarray(0, 1)))) return false
  const y = new Uint8Array(publicKey)
  y[31] = (y[31] ?? 0) & 0x7f
  return smallOrder.has(Hex.encode(y))
}
