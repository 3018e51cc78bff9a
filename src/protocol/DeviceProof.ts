/**
 * The text that a device signs to prove itself, one builder for each published version.
 *
 * The gateway rebuilds this text from the `connect` parameters and verifies the signature over its UTF-8 bytes, so the
 * layout is not ours to change (OpenClaw docs, gateway protocol, device auth payload). Fields are branded types that cannot
 * hold a delimiter, and therefore different fields always give different text.
 */
import * as Redacted from "effect/Redacted"
import type {
  AuthToken,
  ClientId,
  ClientMode,
  DeviceFamily,
  DeviceId,
  Nonce,
  PlatformName,
  Role,
  ScopeName
} from "./Connect.ts"

/**
 * `v3` is what current releases expect; `v2` is accepted by every release; `v1` has no nonce and is accepted only by old
 * releases from loopback, for the opt-in legacy mode in which a gateway sends no challenge.
 */
export type ProofVersion = "v1" | "v2" | "v3"

/**
 * The facts that a proof signs, besides the nonce. They have to equal what `connect` sends, as the gateway rebuilds the text
 * from that.
 */
export interface ProofFields {
  readonly deviceId: DeviceId
  readonly clientId: ClientId
  readonly clientMode: ClientMode
  readonly role: Role
  /** In the order in which they are sent. */
  readonly scopes: ReadonlyArray<ScopeName>
  /** Milliseconds on the gateway's clock: the challenge's `ts`. */
  readonly signedAtMs: number
  /** The token that is put on the wire, never the password. Absent is signed as an empty field. */
  readonly token: Redacted.Redacted<AuthToken> | undefined
  readonly platform: PlatformName
  readonly deviceFamily: DeviceFamily | undefined
}

/** Lower-cases ASCII letters and nothing else, as the gateway does: `İ` or `K` (Kelvin) must stay as they are. */
export const asciiLowerCase = (text: string): string => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase())

const common = (version: ProofVersion, fields: ProofFields): string =>
  [
    version,
    fields.deviceId,
    fields.clientId,
    fields.clientMode,
    fields.role,
    fields.scopes.join(","),
    String(fields.signedAtMs),
    fields.token === undefined ? "" : Redacted.value(fields.token)
  ].join("|")

/** `v1|deviceId|clientId|clientMode|role|scopes|signedAt|token` */
export const textV1 = (fields: ProofFields): string => common("v1", fields)

/** `v2|deviceId|clientId|clientMode|role|scopes|signedAt|token|nonce` */
export const textV2 = (fields: ProofFields, nonce: Nonce): string => `${common("v2", fields)}|${nonce}`

/** `v3|` the fields of v2 `|platform|deviceFamily`, these two lower-cased (ASCII only), empty when absent. */
export const textV3 = (fields: ProofFields, nonce: Nonce): string =>
  `${common("v3", fields)}|${nonce}|${asciiLowerCase(fields.platform)}|${asciiLowerCase(fields.deviceFamily ?? "")}`
