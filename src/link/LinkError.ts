/**
 * The ways in which a link to a gateway is not there: it could not be opened, it ended, or it was refused before it began.
 */
import * as Schema from "effect/Schema"

/**
 * Where an attempt stood. `dial` covers name lookup, TCP and a proxy; `tls` the TLS handshake and the pins; `upgrade` the HTTP
 * request and its answer. A transport that does not tell them apart says `dial` for all three.
 */
export const Phase = Schema.Literals(["dial", "tls", "upgrade", "challenge", "hello", "session"])
export type Phase = typeof Phase.Type

/** No link, or no link any more, and the gateway gave no answer that says why. */
export class LinkError extends Schema.TaggedError<LinkError>()("LinkError", {
  /**
   * `Unreachable`: the socket never opened. `Closed`: the other side, or something between, ended it. `Silent`: nothing
   * arrived for two tick intervals. `Ended`: this program closed it.
   */
  reason: Schema.Literals(["Unreachable", "Closed", "Silent", "Ended"]),
  phase: Phase,
  /** WebSocket close code, where one was seen. 1006 means that the connection broke without a close frame. */
  closeCode: Schema.optional(Schema.Int),
  /** The peer's close reason, printable. Cut off by gateways at some 120 bytes, so for people only. */
  closeReason: Schema.optional(Schema.String),
  /** System error name such as `ECONNREFUSED`. */
  errno: Schema.optional(Schema.String),
  cause: Schema.optional(Schema.Defect())
}) {
  override get message(): string {
    const facts = [
      `phase ${this.phase}`,
      this.closeCode === undefined ? "" : `close code ${this.closeCode}`,
      this.closeReason === undefined || this.closeReason === "" ? "" : `reason "${this.closeReason}"`,
      this.errno ?? ""
    ].filter((fact) => fact !== "")
    return `gateway link ${described[this.reason]} (${facts.join(", ")})`
  }
}

const described = {
  Unreachable: "could not be opened",
  Closed: "was closed",
  Silent: "went silent",
  Ended: "was ended here"
} as const

/** The HTTP upgrade was answered with something other than 101: a proxy, a front door, or a gateway that is full. */
export class UpgradeRejected extends Schema.TaggedError<UpgradeRejected>()("UpgradeRejected", {
  /** HTTP status code. */
  status: Schema.Int,
  /** Origin and path of the `Location` header; its query is dropped, as it may hold credentials. */
  location: Schema.optional(Schema.String),
  /** The first two kilobytes of the body, printable and at most 300 characters. */
  body: Schema.String
}) {
  override get message(): string {
    const where = this.location === undefined ? "" : ` and sent us to ${this.location}`
    return `the gateway's HTTP side refused the WebSocket with status ${this.status}${where}${
      this.body === "" ? "" : `: ${this.body}`
    }`
  }
}
