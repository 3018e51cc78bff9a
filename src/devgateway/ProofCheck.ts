/**
 * Verifies the device proof in `connect`. It builds the signed text by itself and does not use the client's builder, because
 * a mistake there must not hide in its test partner.
 */
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { createHash, createPublicKey, type KeyObject, verify } from "node:crypto"

export interface Proof {
  readonly deviceId: string
  readonly publicKey: string
  readonly signature: string
  readonly signedAtMs: number
  readonly nonce: string | undefined
  readonly clientId: string
  readonly clientMode: string
  readonly role: string
  readonly scopes: ReadonlyArray<string>
  /** `auth.token`, else `auth.deviceToken`, else `auth.bootstrapToken`, else empty. */
  readonly token: string
  readonly platform: string
  readonly deviceFamily: string | undefined
}

export type ProofFault = "device-id-mismatch" | "device-signature-stale" | "device-nonce-mismatch" | "device-signature"

/** A proof signed more than this far from the gateway's clock, either way, is stale. */
const allowedSkewMs = 120_000

const lowerCaseAscii = (text: string) => text.trim().replace(/[A-Z]/g, (letter) => letter.toLowerCase())

const signedText = (version: "v1" | "v2" | "v3", proof: Proof): string => {
  const fields = [
    version,
    proof.deviceId,
    proof.clientId,
    proof.clientMode,
    proof.role,
    proof.scopes.join(","),
    `${proof.signedAtMs}`,
    proof.token
  ]
  if (version !== "v1") fields.push(proof.nonce ?? "")
  if (version === "v3") fields.push(lowerCaseAscii(proof.platform), lowerCaseAscii(proof.deviceFamily ?? ""))
  return fields.join("|")
}

const pemHead = "-----BEGIN"

/** The 32 raw bytes of a key sent as base64url, base64 or PEM. DER in base64url is not accepted. */
const rawPublicKey = Option.liftThrowable((sent: string): Buffer => {
  if (!sent.includes(pemHead)) return Buffer.from(sent, "base64")
  const der = createPublicKey(sent).export({ type: "spki", format: "der" })
  return der.subarray(der.length - 32)
})

const importKey = Option.liftThrowable((raw: Buffer): KeyObject =>
  createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: raw.toString("base64url") }, format: "jwk" })
)

/**
 * Checks a proof in the order of release 2026.9.6: id, age, nonce, signature. `nonce` is the one of this connection's
 * challenge; `undefined` stands for a gateway that never sends one and accepts version 1. Gives the raw key in base64url.
 */
export const check = (
  proof: Proof,
  nonce: string | undefined,
  nowMs: number,
  versions: ReadonlyArray<"v2" | "v3">
): Result.Result<string, ProofFault> => {
  const raw = Option.getOrUndefined(rawPublicKey(proof.publicKey))
  if (raw === undefined || raw.length !== 32) return Result.fail("device-id-mismatch")
  if (createHash("sha256").update(raw).digest("hex") !== proof.deviceId) return Result.fail("device-id-mismatch")
  if (Math.abs(nowMs - proof.signedAtMs) > allowedSkewMs) return Result.fail("device-signature-stale")
  if (nonce !== undefined && proof.nonce !== nonce) return Result.fail("device-nonce-mismatch")
  const key = Option.getOrUndefined(importKey(raw))
  const signature = Buffer.from(proof.signature, "base64")
  const texts = nonce === undefined ? ["v1" as const, ...versions] : versions
  const signed = key !== undefined && signature.length === 64
    && texts.some((version) => verify(null, Buffer.from(signedText(version, proof), "utf8"), key, signature))
  return signed ? Result.succeed(raw.toString("base64url")) : Result.fail("device-signature")
}
