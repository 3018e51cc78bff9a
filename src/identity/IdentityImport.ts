/**
 * Reads the identity of another program, so that a paired device stays paired. It never writes.
 *
 * - OpenClaw's old `device.json`: `{ version, deviceId, publicKeyPem, privateKeyPem, createdAtMs }`.
 * - The TEN extension's `device.json`: the same in snake_case. It paired with the platform `ten`.
 * - A PKCS#8 PEM file, as OpenSSL writes it.
 * - A document of our own, for example a backup.
 */
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { PlatformName } from "../protocol/Connect.ts"
import { identityOf } from "./DeviceIdentity.ts"
import { HostPlatform } from "./HostPlatform.ts"
import * as IdentityDocument from "./IdentityDocument.ts"
import { IdentityInconsistent, IdentityInvalid } from "./IdentityError.ts"
import type { Document } from "./IdentityStore.ts"
import { spkiPrefix } from "./Signer.ts"

export type ImportSource = "OpenClaw" | "Ten" | "Pem" | "Own"

export interface ImportOptions {
  /** The platform that the device was paired with. It wins over that of the source. */
  readonly platform?: PlatformName | undefined
  /** Opens an encrypted document of our own. */
  readonly passphrase?: Redacted.Redacted | undefined
}

/**
 * The identity in the file. Public key and device id are derived from the private key and compared with the file.
 *
 * Without a platform in the options, a TEN file gives `ten`, an OpenClaw file the name that OpenClaw's own clients send
 * (Node.js's `process.platform`), and a PEM file that of this host. Gateways pin the platform at pairing: another one needs
 * a new approval.
 */
export const readImport = Effect.fn("IdentityImport.read")(function*(
  document: Document,
  path: string,
  options?: ImportOptions
) {
  const text = textOf(document)
  if (text === undefined) return yield* new IdentityInvalid({ path, reason: "NotUtf8" })
  if (text.trim() === "") return yield* new IdentityInvalid({ path, reason: "Empty" })
  if (text.trimStart().startsWith("-----BEGIN ")) {
    const seed = yield* Effect.fromResult(IdentityDocument.seedOfPem(Redacted.make(text), path))
    const platform = options?.platform
    return { source: "Pem" as ImportSource, identity: yield* identityFrom(seed, { platform, createdBy: "PEM file" }) }
  }
  const foreign = foreignOf(text)
  if (foreign === undefined) {
    const parsed = yield* Effect.fromResult(IdentityDocument.parse(document, path))
    const identity = yield* IdentityDocument.open(parsed, options?.passphrase, path)
    return {
      source: "Own" as ImportSource,
      identity: { ...identity, platform: options?.platform ?? identity.platform }
    }
  }
  const { createdAtMs, deviceId, privateKeyPem, publicKeyPem, source } = foreign
  const seed = yield* Effect.fromResult(IdentityDocument.seedOfPem(privateKeyPem, path))
  const identity = yield* identityFrom(seed, {
    platform: options?.platform ?? (source === "Ten" ? tenPlatform : openClawPlatform(yield* HostPlatform)),
    createdBy: source === "Ten" ? "imported from TEN" : "imported from OpenClaw"
  })
  if (publicKeyPem.trim() !== "" && !isPublicKey(publicKeyPem, identity.key.publicKey)) {
    return yield* new IdentityInconsistent({ path, reason: "PublicKey" })
  }
  if (deviceId.trim() !== "" && deviceId.trim() !== identity.deviceId) {
    return yield* new IdentityInconsistent({ path, reason: "DeviceId" })
  }
  const createdAt = createdAtMs === undefined || Math.abs(createdAtMs) > maxDateMs
    ? identity.createdAt
    : new Date(createdAtMs).toISOString()
  return { source, identity: { ...identity, createdAt } }
})

const identityFrom = (seed: Redacted.Redacted<Uint8Array>, options: Parameters<typeof identityOf>[1]) =>
  // The seed of a parsed key has 32 bytes.
  Effect.orDie(identityOf(seed, options))

const tenPlatform = PlatformName.make("ten")
const maxDateMs = 8_640_000_000_000_000

/** The name of a platform in OpenClaw's own clients: Node.js's `process.platform`. */
const openClawPlatform = (platform: PlatformName): PlatformName =>
  platform === "macos" ? PlatformName.make("darwin") : platform === "windows" ? PlatformName.make("win32") : platform

const OpenClawFile = Schema.Struct({
  deviceId: Schema.optionalKey(Schema.String),
  publicKeyPem: Schema.optionalKey(Schema.String),
  privateKeyPem: Schema.RedactedFromValue(Schema.String, { label: "private key" }),
  createdAtMs: Schema.optionalKey(Schema.Finite)
})

const TenFile = Schema.Struct({
  device_id: Schema.optionalKey(Schema.String),
  public_key_pem: Schema.optionalKey(Schema.String),
  private_key_pem: Schema.RedactedFromValue(Schema.String, { label: "private key" }),
  created_at_ms: Schema.optionalKey(Schema.Finite)
})

interface Foreign {
  readonly source: "OpenClaw" | "Ten"
  readonly deviceId: string
  readonly publicKeyPem: string
  readonly privateKeyPem: Redacted.Redacted
  readonly createdAtMs: number | undefined
}

const decodeOpenClaw = Schema.decodeUnknownResult(OpenClawFile)
const decodeTen = Schema.decodeUnknownResult(TenFile)

const foreignOf = (text: string): Foreign | undefined => {
  const value = Result.getOrElse(Result.try((): unknown => JSON.parse(text)), () => undefined)
  // Our own format has its own rules, whatever else is in the file.
  if (!Predicate.isObject(value) || "format" in value) return undefined
  const ten = decodeTen(value)
  if (Result.isSuccess(ten)) {
    return {
      source: "Ten",
      deviceId: ten.success.device_id ?? "",
      publicKeyPem: ten.success.public_key_pem ?? "",
      privateKeyPem: ten.success.private_key_pem,
      createdAtMs: ten.success.created_at_ms
    }
  }
  const openClaw = decodeOpenClaw(value)
  if (Result.isFailure(openClaw)) return undefined
  return {
    source: "OpenClaw",
    deviceId: openClaw.success.deviceId ?? "",
    publicKeyPem: openClaw.success.publicKeyPem ?? "",
    privateKeyPem: openClaw.success.privateKeyPem,
    createdAtMs: openClaw.success.createdAtMs
  }
}

const textOf = (document: Document): string | undefined =>
  Result.getOrElse(
    Result.try(() => new TextDecoder("utf-8", { fatal: true }).decode(Redacted.value(document))),
    () => undefined
  )

const isPublicKey = (pem: string, publicKey: Uint8Array): boolean => {
  const body = /-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]*)-----END PUBLIC KEY-----/.exec(pem)?.[1]
  const der = Result.getOrElse(Base64.decode((body ?? "").replace(/\s+/g, "")), () => new Uint8Array())
  const expected = [...spkiPrefix, ...publicKey]
  return der.length === expected.length && expected.every((byte, index) => der[index] === byte)
}
