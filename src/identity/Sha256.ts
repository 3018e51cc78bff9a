/**
 * SHA-256 by the platform's Web Crypto, for callers that need a hash now and then: an identity that asked for `Digest` as a
 * service would make every agent of a process build its layer.
 */
import * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"

/** The hash in lower-case hex. */
export const sha256Hex = (bytes: Uint8Array): Effect.Effect<string> =>
  Effect.provide(Digest.Digest.use((digest) => digest.digestHex(Digest.sha256, bytes)), Digest.layerWebCrypto)

/** The hash of the UTF-8 bytes of a text. */
export const sha256HexOf = (text: string): Effect.Effect<string> => sha256Hex(new TextEncoder().encode(text))
