/**
 * Keys of 32 bytes as people write them.
 */
import * as Base64 from "effect/encoding/Base64"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Hex from "effect/encoding/Hex"
import * as Result from "effect/Result"

/** The bytes of a text in hex, base64 or base64url; undefined where that is not 32 bytes in any of them. */
export const bytesOf = (text: string): Uint8Array | undefined =>
  [Hex.decode(text), Base64.decode(text), Base64Url.decode(text)]
    .flatMap((decoded) => Result.isSuccess(decoded) && decoded.success.length === 32 ? [decoded.success] : [])[0]
