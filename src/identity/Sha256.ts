/**
 * SHA-256 by the platform's own Web Crypto. Not by the service `Digest`, whose layer every agent of a process would build.
 */
import { WebCrypto } from "effect/crypto/WebCrypto"
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"

/** The hash in lower-case hex. */
export const sha256Hex = (bytes: Uint8Array): Effect.Effect<string> =>
  WebCrypto.use((crypto) =>
    Effect.map(
      Effect.promise((): Promise<ArrayBuffer> => crypto.subtle.digest("SHA-256", new Uint8Array(bytes))),
      (hash) => Hex.encode(new Uint8Array(hash))
    )
  )

/** The hash of the UTF-8 bytes of a text. */
export const sha256HexOf = (text: string): Effect.Effect<string> => sha256Hex(new TextEncoder().encode(text))
