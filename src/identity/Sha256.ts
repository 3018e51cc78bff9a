/**
 * SHA-256 for callers that need a hash now and then: an identity that asked for `Digest` as a service would make every agent of a
 * process build its layer. By `node:crypto` where it is, at once; by Web Crypto elsewhere, whose way through a thread takes ten times as long.
 */
import * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"

/** The hash in lower-case hex. */
export const sha256Hex = (bytes: Uint8Array): Effect.Effect<string> =>
  Effect.suspend(() => {
    // Not by an import, which bundlers for browsers would have to resolve.
    const crypto = globalThis.process?.getBuiltinModule?.("node:crypto")
    return crypto === undefined
      ? Effect.provide(Digest.Digest.use((digest) => digest.digestHex(Digest.sha256, bytes)), Digest.layerWebCrypto)
      : Effect.succeed(crypto.createHash("sha256").update(bytes).digest("hex"))
  })

/** The hash of the UTF-8 bytes of a text. */
export const sha256HexOf = (text: string): Effect.Effect<string> => sha256Hex(new TextEncoder().encode(text))
