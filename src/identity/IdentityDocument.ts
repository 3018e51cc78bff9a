/**
 * The file format of an identity, version 1: one JSON object in UTF-8.
 *
 * - `format` is `effect-openclaw/identity`, `version` is 1. A higher version is refused.
 * - `deviceId`, `publicKey` (base64url of the 32 raw bytes) and `platform` are what the device pairs with.
 * - `privateKey` is PKCS#8 PEM (RFC 8410), readable by OpenSSL and others; or `encryptedKey` holds the sealed key.
 * - `checksum` covers all of these except `privateKey`: SHA-256 of `checksumText` below, lower-case hex.
 * - `createdAt` and `createdBy` are comments: nothing depends on them.
 *
 * The private key decides: each load derives public key and device id from it and compares them.
 */
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as SchemaIssue from "effect/SchemaIssue"
import { DeviceId, PlatformName } from "../protocol/Connect.ts"
import { IdentityInconsistent, IdentityInvalid, IdentityLocked } from "./IdentityError.ts"
import * as KeyEnvelope from "./KeyEnvelope.ts"
import { sha256Hex, sha256HexOf } from "./Sha256.ts"
import { concat, pkcs8Prefix, Signer, type SigningKey } from "./Signer.ts"

/** No identity of any format comes near this size. */
export const maxBytes = 1024 * 1024

/** The content of an opened document. */
export interface Identity {
  readonly seed: Redacted.Redacted<Uint8Array>
  readonly key: SigningKey
  readonly deviceId: DeviceId
  readonly platform: PlatformName
  /** ISO 8601, UTC. */
  readonly createdAt: string
  readonly createdBy: string
}

const common = {
  format: Schema.Literal("effect-openclaw/identity"),
  version: Schema.Literal(1),
  deviceId: DeviceId,
  publicKey: Schema.String.check(Schema.isPattern(/^[A-Za-z0-9_-]{43}$/)),
  platform: PlatformName,
  createdAt: Schema.String,
  createdBy: Schema.String,
  checksum: Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/))
}

const PlainDocument = Schema.Struct({
  ...common,
  privateKey: Schema.RedactedFromValue(Schema.String, { label: "private key" })
})
const SealedDocument = Schema.Struct({ ...common, encryptedKey: KeyEnvelope.Sealed })

/** A well-formed document whose private key has not been opened. */
export type Parsed = typeof PlainDocument.Type | typeof SealedDocument.Type

export const isEncrypted = (document: Parsed): document is typeof SealedDocument.Type => "encryptedKey" in document

/** Lower-case hex SHA-256 of the raw public key: how OpenClaw names a device. */
export const deviceIdOf = ({ fingerprint, publicKey }: SigningKey): Effect.Effect<DeviceId> =>
  Effect.map(
    fingerprint === undefined ? sha256Hex(publicKey) : Effect.succeed(fingerprint),
    (hash) => DeviceId.make(hash)
  )

/** The document as bytes. A passphrase encrypts the private key. */
export const encode = Effect.fnUntraced(function*(identity: Identity, passphrase: Redacted.Redacted | undefined) {
  const fields = {
    format: "effect-openclaw/identity",
    version: 1,
    deviceId: identity.deviceId,
    publicKey: Base64Url.encode(identity.key.publicKey),
    platform: identity.platform,
    createdAt: identity.createdAt,
    createdBy: identity.createdBy
  } as const
  const der = Redacted.make(concat(pkcs8Prefix, Redacted.value(identity.seed)), { label: "private key" })
  const key = passphrase === undefined
    ? { privateKey: pemOf(Redacted.value(der)) }
    : { encryptedKey: yield* KeyEnvelope.seal(der, passphrase, identity.deviceId) }
  const checksum = yield* checksumOf({ ...fields, ...key })
  return Redacted.make(
    new TextEncoder().encode(`${JSON.stringify({ ...fields, checksum, ...key }, undefined, 2)}\n`),
    { label: "identity document" }
  )
})

/** Checks the form only. `path` is for messages. */
export const parse = (
  document: Redacted.Redacted<Uint8Array>,
  path: string
): Result.Result<Parsed, IdentityInvalid> => {
  const invalid = (reason: IdentityInvalid["reason"], field?: string) =>
    Result.fail(new IdentityInvalid({ path, reason, ...(field === undefined ? {} : { field }) }))
  let text: string
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Redacted.value(document))
  } catch {
    return invalid("NotUtf8")
  }
  if (text.trim() === "") return invalid("Empty")
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return invalid("NotJson")
  }
  if (!Predicate.isObject(value)) return invalid("WrongShape")
  if (!("format" in value) && ("privateKeyPem" in value || "private_key_pem" in value)) return invalid("ForeignFormat")
  if (!("format" in value) || value.format !== "effect-openclaw/identity") return invalid("WrongShape", "format")
  if ("version" in value && typeof value.version === "number" && value.version > 1) return invalid("UnknownVersion")
  const decode: (input: unknown) => Result.Result<Parsed, Schema.SchemaError> = "encryptedKey" in value
    ? decodeSealed
    : decodePlain
  return Result.mapError(decode(value), ({ issue }) => {
    const field = fieldOf(issue)
    return new IdentityInvalid({ path, reason: "WrongShape", ...(field === undefined ? {} : { field }) })
  })
}

/** Opens the private key of a parsed document and compares all other fields with it. */
export const open = Effect.fnUntraced(function*(
  document: Parsed,
  passphrase: Redacted.Redacted | undefined,
  path: string
) {
  const signer = yield* Signer
  // Before the passphrase is tried: a damaged file is not reported as a wrong passphrase.
  if (isEncrypted(document)) yield* verifyChecksum(document, path)
  const seed = isEncrypted(document)
    ? yield* unseal(document, passphrase, path)
    : yield* Effect.fromResult(seedOfOwnPem(document.privateKey, path))
  const key = yield* Effect.orDie(signer.importKey(seed))
  if (Base64Url.encode(key.publicKey) !== document.publicKey) {
    return yield* new IdentityInconsistent({ path, reason: "PublicKey" })
  }
  if ((yield* deviceIdOf(key)) !== document.deviceId) {
    return yield* new IdentityInconsistent({ path, reason: "DeviceId" })
  }
  if (!isEncrypted(document)) yield* verifyChecksum(document, path)
  const { createdAt, createdBy, deviceId, platform } = document
  return { seed, key, deviceId, platform, createdAt, createdBy } satisfies Identity
})

const unseal = Effect.fnUntraced(function*(
  document: typeof SealedDocument.Type,
  passphrase: Redacted.Redacted | undefined,
  path: string
) {
  if (passphrase === undefined) return yield* new IdentityLocked({ path, reason: "PassphraseMissing" })
  const der = yield* KeyEnvelope.open(document.encryptedKey, passphrase, document.deviceId)
  if (der._tag === "None") return yield* new IdentityLocked({ path, reason: "PassphraseWrong" })
  return yield* Effect.fromResult(seedOfDer(Redacted.value(der.value), path))
})

/** A file of ours holds exactly the text that `encode` writes. Every other text is damage, even if it gives the same key. */
const seedOfOwnPem = (pem: Redacted.Redacted, path: string) =>
  Result.flatMap(
    seedOfPem(pem, path),
    (seed) =>
      pemOf(concat(pkcs8Prefix, Redacted.value(seed))) === Redacted.value(pem)
        ? Result.succeed(seed)
        : Result.fail(new IdentityInvalid({ path, reason: "DamagedKey" }))
  )

/**
 * The seed in a PEM file, as OpenSSL and others write it: PKCS#8, with any line length and line ends, with or without the
 * public key that RFC 5958 allows to follow.
 */
export const seedOfPem = (
  pem: Redacted.Redacted,
  path: string
): Result.Result<Redacted.Redacted<Uint8Array>, IdentityInvalid> => {
  const text = Redacted.value(pem)
  const armour = /^\s*-----BEGIN ([A-Z0-9 ]+)-----\s([A-Za-z0-9+/=\s]*)-----END \1-----\s*$/.exec(text)
  if (armour === null) return Result.fail(new IdentityInvalid({ path, reason: "DamagedKey" }))
  if (armour[1] !== "PRIVATE KEY") return Result.fail(new IdentityInvalid({ path, reason: "NotEd25519" }))
  return Result.match(Base64.decode((armour[2] ?? "").replace(/\s+/g, "")), {
    onFailure: () => Result.fail(new IdentityInvalid({ path, reason: "DamagedKey" })),
    onSuccess: (der) => seedOfDer(der, path)
  })
}

const seedOfDer = (der: Uint8Array, path: string): Result.Result<Redacted.Redacted<Uint8Array>, IdentityInvalid> => {
  const invalid = (reason: "DamagedKey" | "NotEd25519") => Result.fail(new IdentityInvalid({ path, reason }))
  // A SEQUENCE, with its length in short or long form, that ends with the bytes.
  const header = der[1] === undefined ? 0 : der[1] < 0x80 ? 2 : 2 + (der[1] & 0x7f)
  const length = der.subarray(2, header).reduce((total, byte) => total * 256 + byte, 0)
  if (der[0] !== 0x30 || header + (header === 2 ? der[1] ?? 0 : length) !== der.length) return invalid("DamagedKey")
  const version = der[header + 2]
  if (der[header] !== 2 || der[header + 1] !== 1 || (version !== 0 && version !== 1)) return invalid("DamagedKey")
  const algorithm = pkcs8Prefix.subarray(5, 12)
  const isEd25519 = algorithm.every((byte, index) => der[header + 3 + index] === byte)
  if (!isEd25519) return invalid("NotEd25519")
  const start = header + 14
  const octets = pkcs8Prefix.subarray(12).every((byte, index) => der[header + 10 + index] === byte)
  // A public key follows in version 1 and in no other (RFC 5958, section 2).
  if (!octets || (version === 0 ? der.length !== start + 32 : der.length <= start + 32)) return invalid("DamagedKey")
  return Result.succeed(Redacted.make(der.slice(start, start + 32), { label: "seed" }))
}

const pemOf = (der: Uint8Array): string =>
  `-----BEGIN PRIVATE KEY-----\n${Base64.encode(der)}\n-----END PRIVATE KEY-----\n`

type Checked = Omit<Parsed, "checksum" | "privateKey"> & { readonly encryptedKey?: KeyEnvelope.Sealed }

/** The lines that the checksum covers. No field can hold a line break. */
const checksumText = ({ deviceId, encryptedKey: sealed, format, platform, publicKey, version }: Checked): string =>
  [
    format,
    version,
    deviceId,
    publicKey,
    platform,
    ...(sealed === undefined
      ? []
      : [sealed.kdf, sealed.N, sealed.r, sealed.p, sealed.salt, sealed.cipher, sealed.nonce, sealed.ciphertext])
  ].join("\n")

const checksumOf = Effect.fnUntraced(function*(fields: Checked) {
  return yield* sha256HexOf(checksumText(fields))
})

const verifyChecksum = Effect.fnUntraced(function*(document: Parsed, path: string) {
  if ((yield* checksumOf(document)) === document.checksum) return
  return yield* new IdentityInconsistent({ path, reason: "Checksum" })
})

const decodePlain = Schema.decodeUnknownResult(PlainDocument, { onExcessProperty: "error" })
const decodeSealed = Schema.decodeUnknownResult(SealedDocument, { onExcessProperty: "error" })

const knownFields: ReadonlySet<PropertyKey> = new Set([
  ...Object.keys(PlainDocument.fields),
  ...Object.keys(SealedDocument.fields)
])

/** The name of the first faulty field. An unknown name comes from the file and is not repeated. */
const fieldOf = (issue: SchemaIssue.Issue): string | undefined => {
  switch (issue._tag) {
    case "Pointer": {
      const name = issue.path[0]
      return typeof name === "string" && knownFields.has(name) ? name : undefined
    }
    case "Composite":
      return issue.issues.map(fieldOf).find((field) => field !== undefined)
    case "Encoding":
    case "Filter":
      return fieldOf(issue.issue)
    default:
      return undefined
  }
}
