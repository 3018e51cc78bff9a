/**
 * How a `wss:` gateway is recognised: by certificate authorities, by pinned fingerprints, or by both.
 *
 * A pin is compared with the certificate of the gateway itself, never with one of its issuers, because anybody can send
 * somebody else's certificate along. The holder of the pinned key is the gateway, whatever names and dates the certificate
 * has, so pins alone are the default if there are pins; a gateway with a self-signed certificate needs that too. There is no
 * setting that trusts every certificate.
 */
import * as Base64 from "effect/encoding/Base64"
import * as Hex from "effect/encoding/Hex"
import * as Result from "effect/Result"

/** SHA-256 of a certificate in DER, or of its public key (SubjectPublicKeyInfo), which can outlive a renewal. */
export interface Pin {
  readonly of: "certificate" | "key"
  /** 64 hexadecimal digits, lower case. */
  readonly sha256: string
}

export interface TlsTrust {
  /**
   * `ca`: a known authority vouches for the host name. `pin`: certificate or key is one of `pins`, and nothing else counts.
   * `ca-and-pin`: both.
   */
  readonly mode: "ca" | "pin" | "ca-and-pin"
  readonly pins: ReadonlyArray<Pin>
  /** Authorities besides those of Nodejs and of the system, each a certificate in PEM. */
  readonly authorities: ReadonlyArray<string>
}

/** Known authorities only. */
export const standard: TlsTrust = { mode: "ca", pins: [], authorities: [] }

/** Says what is wrong with a text. It never repeats the text, which may be a secret. */
export interface Problem {
  readonly message: string
}

/**
 * Reads pins with commas, semicolons or blanks between them: fingerprints of certificates in hex, with or without colons and
 * `sha256:` (also as `openssl x509 -fingerprint -sha256` prints them), and public keys as `sha256//` and base64 (as in curl).
 */
export const parsePins = (text: string): Result.Result<ReadonlyArray<Pin>, Problem> => {
  const words = text.replaceAll(/sha-?256 fingerprint=/gi, "sha256:").split(/[\s,;]+/).filter((word) => word !== "")
  const pins = words.map(parsePin)
  const wrong = pins.findIndex((pin) => pin === undefined)
  return wrong === -1 && pins.length > 0
    ? Result.succeed(pins.filter((pin) => pin !== undefined))
    : Result.fail({
      message: `pin ${wrong + 1} of ${words.length} cannot be read; write a certificate's SHA-256 fingerprint like`
        + " sha256:AB:CD:... (32 bytes in hex), or a public key's like sha256//<base64>, with commas between them"
    })
}

const parsePin = (word: string): Pin | undefined => {
  const key = /^sha256\/\/([A-Za-z\d+/]{43}=)$/.exec(word)?.[1]
  if (key !== undefined) {
    const bytes = Base64.decode(key)
    return Result.isSuccess(bytes) ? { of: "key", sha256: Hex.encode(bytes.success) } : undefined
  }
  const digits = /^(?:sha256:)?([\da-f]{64}|(?:[\da-f]{2}:){31}[\da-f]{2})$/i.exec(word)?.[1]
  return digits === undefined ? undefined : { of: "certificate", sha256: digits.replaceAll(":", "").toLowerCase() }
}

/** A pin as the setting spells it: `sha256:AB:CD:...` for a certificate, `sha256//<base64>` for a key. */
export const formatPin = ({ of, sha256 }: Pin): string =>
  of === "certificate"
    ? `sha256:${(sha256.toUpperCase().match(/../g) ?? []).join(":")}`
    : `sha256//${Result.getOrThrow(Result.map(Hex.decode(sha256), Base64.encode))}`

/** Takes the certificates out of a PEM text and ignores everything between them. Fails if there is none. */
export const parseAuthorities = (pem: string): Result.Result<ReadonlyArray<string>, Problem> => {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? []
  if (blocks.length === 0) {
    return Result.fail({ message: "holds no certificate; it must be PEM, with -----BEGIN CERTIFICATE-----" })
  }
  const wrong = blocks.findIndex((block) => !isDer(block))
  return wrong === -1
    ? Result.succeed(blocks)
    : Result.fail({ message: `certificate ${wrong + 1} of ${blocks.length} is damaged` })
}

/** Whether this is one ASN.1 sequence of the length that it states. */
const isDer = (block: string): boolean => {
  const bytes = Result.getOrElse(Base64.decode(block.replaceAll(/-----[^-]*-----|\s/g, "")), () => new Uint8Array())
  const [tag, form = 0] = bytes
  const lengthBytes = form < 0x80 ? 0 : form & 0x7f
  const length = form < 0x80 ? form : bytes.subarray(2, 2 + lengthBytes).reduce((sum, byte) => sum * 256 + byte, 0)
  return tag === 0x30 && bytes.length === 2 + lengthBytes + length
}
