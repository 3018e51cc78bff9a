/**
 * What the failure of a dial says about the other side: whether anybody is there, and which protocol it speaks. Pure.
 */
import * as Predicate from "effect/Predicate"
import type { LinkReason } from "./LinkError.ts"

/** System error name such as `ECONNREFUSED`, or that of Nodejs's TLS and HTTP such as `HPE_INVALID_CONSTANT`. */
export const errnoOf = (cause: unknown): string | undefined =>
  Predicate.hasProperty(cause, "code") && Predicate.isString(cause.code) ? cause.code : undefined

/** The reason for a failure in a phase. `cause` is what the socket, the TLS library or the HTTP client reported. */
export const reasonOf = (phase: "dial" | "tls" | "upgrade", cause: unknown): LinkReason => {
  const errno = errnoOf(cause) ?? ""
  if (errno === "ENOTFOUND" || errno.startsWith("EAI_")) return "UnknownHost"
  if (hangUps.has(errno)) return "HungUp"
  if (/^ERR_(?:SSL|TLS)_/.test(errno)) return phase === "tls" && notTls.has(errno) ? "NotTls" : "TlsFailed"
  if (phase === "upgrade") return greeting(cause)
  return "Unreachable"
}

const hangUps: ReadonlySet<string> = new Set(["ECONNRESET", "EPIPE", "ECONNABORTED", "HPE_INVALID_EOF_STATE"])

/** What the TLS library says of bytes that are no TLS. */
const notTls: ReadonlySet<string> = new Set([
  "ERR_SSL_WRONG_VERSION_NUMBER",
  "ERR_SSL_PACKET_LENGTH_TOO_LONG",
  "ERR_SSL_DATA_LENGTH_TOO_LONG",
  "ERR_SSL_BAD_RECORD_TYPE",
  "ERR_SSL_UNKNOWN_PROTOCOL"
])

/** What answered an HTTP request, by the packet that the HTTP parser could not read. */
const greeting = (cause: unknown): LinkReason => {
  const packet = Predicate.hasProperty(cause, "rawPacket") && cause.rawPacket instanceof Uint8Array
    ? cause.rawPacket
    : undefined
  if (packet === undefined) return "NotWebSocket"
  // A TLS record: an alert or a handshake message, of any version.
  if ((packet[0] === 0x15 || packet[0] === 0x16) && packet[1] === 0x03) return "NeedsTls"
  return startsWith(packet, "SSH-") ? "Ssh" : "NotWebSocket"
}

const startsWith = (bytes: Uint8Array, text: string): boolean =>
  [...text].every((character, index) => bytes[index] === character.charCodeAt(0))
