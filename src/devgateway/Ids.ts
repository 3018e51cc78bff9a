/**
 * Ids, nonces and tokens of the gateway.
 */
import type * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import { randomBytes } from "node:crypto"

export interface Ids {
  /** A UUID of version 4. */
  readonly newId: () => string
  /** 32 bytes in base64url. */
  readonly newToken: () => Redacted.Redacted
}

const uuidOf = (bytes: Uint8Array): string => {
  const hex = Buffer.from(bytes).toString("hex")
  const variant = "89ab".charAt(Number.parseInt(hex.charAt(16), 16) % 4)
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `4${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32)
  ].join("-")
}

/** Draws from `seeded`, which repeats under a seed, or else from the system's generator. */
export const make = (seeded: typeof Random.Random.Service | undefined): Ids => {
  const bytes = (size: number): Uint8Array =>
    seeded === undefined
      ? randomBytes(size)
      : Uint8Array.from({ length: size }, () => Math.floor(seeded.nextDoubleUnsafe() * 256))
  return {
    newId: () => uuidOf(bytes(16)),
    newToken: () => Redacted.make(Buffer.from(bytes(32)).toString("base64url"), { label: "deviceToken" })
  }
}
