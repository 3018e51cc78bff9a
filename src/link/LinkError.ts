/**
 * Why there is no link to a gateway: it could not be opened, it ended, or it was refused before it began.
 */
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { field } from "../protocol/OutsideText.ts"
import { UpgradeReason } from "./FrontDoor.ts"
import type { TlsPinMismatch } from "./TlsError.ts"
import { TlsUntrusted } from "./TlsError.ts"

/**
 * The phase of an attempt. `dial` covers name lookup, TCP and a proxy; `tls` the TLS handshake and the pins; `upgrade` the
 * HTTP request and its answer. A transport that does not distinguish them says `dial` for all three.
 */
export const Phase = Schema.Literals(["dial", "tls", "upgrade", "challenge", "hello", "session"])
export type Phase = typeof Phase.Type

/**
 * The link did not open: `Unreachable`: nothing answers. `UnknownHost`: the name has no address. `HungUp`: the other side
 * took the connection and closed it without an answer. `NotTls`: `wss:` to a port without TLS. `NeedsTls`: `ws:` to a port
 * with TLS. `TlsFailed`: both speak TLS and could not agree. `Ssh`: an SSH server answers. `NotWebSocket`: something else does.
 * `ProxyUnreachable`: the environment's proxy does not answer, or not as one.
 *
 * It had opened: `Closed`: the other side, or something in between, ended it. `Silent`: nothing arrived for two tick
 * intervals. `Ended`: this program closed it.
 *
 * Either: `TooLarge`: more arrived than a gateway sends (`FrameLimit`).
 */
export const LinkReason = Schema.Literals([
  "Unreachable",
  "UnknownHost",
  "HungUp",
  "NotTls",
  "NeedsTls",
  "TlsFailed",
  "Ssh",
  "NotWebSocket",
  "ProxyUnreachable",
  "Closed",
  "Silent",
  "Ended",
  "TooLarge"
])
export type LinkReason = typeof LinkReason.Type

/** The link did not open or has ended, and the gateway did not say why. */
export class LinkError extends Schema.TaggedError<LinkError>()("LinkError", {
  reason: LinkReason,
  phase: Phase,
  /** How long the attempt ran before it failed, in milliseconds. Absent when a session ended. */
  elapsedMs: Schema.optional(Schema.Finite),
  /** WebSocket close code, if known. 1006 means that the connection broke without a close frame. */
  closeCode: Schema.optional(Schema.Int),
  /** The peer's close reason, printable. For people only, because gateways cut it at some 120 bytes. */
  closeReason: Schema.optional(Schema.String),
  /** System error name such as `ECONNREFUSED`. */
  errno: Schema.optional(Schema.String),
  /** Host and port of the proxy, if the link was to go through one. */
  proxy: Schema.optional(Schema.String),
  cause: Schema.optional(Schema.Defect())
}) {
  override get message(): string {
    const facts = [
      `phase ${this.phase}`,
      this.elapsedMs === undefined ? "" : `after ${this.elapsedMs} ms`,
      this.closeCode === undefined ? "" : `close code ${this.closeCode}`,
      this.closeReason === undefined || this.closeReason === "" ? "" : `reason "${this.closeReason}"`,
      this.errno ?? "",
      this.proxy === undefined ? "" : `through the proxy ${this.proxy}`
    ].filter((fact) => fact !== "")
    const hint = this.reason === "HungUp" && this.phase === "upgrade"
      ? "; a port with TLS does that when the URL begins with ws://"
      : ""
    return `gateway link ${outcomes[this.reason]}${hint} (${facts.join(", ")})`
  }
}

const outcomes: Readonly<Record<LinkReason, string>> = {
  Unreachable: "could not be opened",
  UnknownHost: "could not be opened: the host's name has no address",
  HungUp: "could not be opened: the other side hung up without an answer",
  NotTls: "could not be opened: the port does not speak TLS, which wss:// needs",
  NeedsTls: "could not be opened: the port speaks TLS, so that the URL must begin with wss://",
  TlsFailed: "could not be opened: TLS was not agreed",
  Ssh: "could not be opened: an SSH server answers at this port",
  NotWebSocket: "could not be opened: what answers at this port is no WebSocket server",
  ProxyUnreachable: "could not be opened: the proxy does not answer as one",
  Closed: "was closed",
  Silent: "went silent",
  Ended: "was ended here",
  TooLarge: "was ended here, as more arrived than a gateway sends"
}

/** The HTTP upgrade was answered with something other than 101: a proxy, a front door, or a gateway that is full. */
export class UpgradeRejected extends Schema.TaggedError<UpgradeRejected>()("UpgradeRejected", {
  reason: UpgradeReason.pipe(Schema.withConstructorDefault(Effect.succeed("Other" as const))),
  /** HTTP status code. */
  status: Schema.Int,
  /** Origin and path of the `Location` header, without its query, which may hold credentials. */
  location: Schema.optional(Schema.String),
  /** The first two kilobytes of the body, printable and at most 300 characters. */
  body: Schema.String,
  /** Milliseconds from the answer on, before which the server does not want to be asked again, within `Bounds`. */
  retryAfterMs: Schema.optional(Schema.Finite)
}) {
  override get message(): string {
    const where = this.location === undefined ? "" : ` and sent us to ${this.location}`
    return `${refusedBy[this.reason]} refused the WebSocket with status ${this.status}${where}${
      this.body === "" ? "" : `: ${this.body}`
    }`
  }
}

const refusedBy: Readonly<Record<UpgradeReason, string>> = {
  CloudflareAccess: "Cloudflare Access, in front of the gateway,",
  SignIn: "a sign-in page in front of the gateway",
  SecureOnly: "the gateway's HTTP side, which wants wss://,",
  Tailscale: "Tailscale, in front of the gateway,",
  ProxyAttribution: "the gateway, which does not trust the proxy in front of it,",
  GatewayFull: "the gateway, which has too many open connections,",
  Other: "the gateway's HTTP side"
}

/** The proxy of this machine's environment did not connect to the gateway. The gateway received nothing. */
export class ProxyRejected extends Schema.TaggedError<ProxyRejected>()("ProxyRejected", {
  /**
   * `Credentials`: it requires a user name and password, or other ones (407). `Refused`: it may not connect to the gateway.
   * `Unreachable`: it tried and failed (5xx). `Unusable`: the environment names a proxy that is not `http:` or `https:`, or
   * that cannot be parsed.
   */
  reason: Schema.Literals(["Credentials", "Refused", "Unreachable", "Unusable"]),
  /** Its host and port, never its user name or password. Absent when they are unknown. */
  proxy: Schema.optional(Schema.String),
  /** HTTP status code of its answer, if it gave one. */
  status: Schema.optional(Schema.Int),
  /** As in `UpgradeRejected`. */
  retryAfterMs: Schema.optional(Schema.Finite)
}) {
  override get message(): string {
    const proxy = this.proxy === undefined ? "the proxy" : `the proxy ${this.proxy}`
    return this.reason === "Unusable"
      ? `${proxy} of the environment cannot be used: it must be an http:// or https:// URL`
      : `${proxy} did not connect to the gateway: status ${this.status ?? "unknown"}`
  }
}

/** Everything that keeps a link from opening. */
export type DialError = LinkError | UpgradeRejected | ProxyRejected | TlsPinMismatch | TlsUntrusted

/** The error with what the other side wrote as fields, in which none of these credentials stands. Any transport may have made it. */
export const withoutSecrets = (error: LinkError, secrets: ReadonlyArray<Redacted.Redacted>): LinkError => {
  const closeReason = shown(error.closeReason, secrets)
  return closeReason === error.closeReason ? error : new LinkError({ ...error, closeReason })
}

/** The same for an error before the link opened. */
export const dialWithoutSecrets = (error: DialError, secrets: ReadonlyArray<Redacted.Redacted>): DialError => {
  switch (error._tag) {
    case "LinkError":
      return withoutSecrets(error, secrets)
    case "UpgradeRejected": {
      const body = field(error.body, { secrets })
      const location = shown(error.location, secrets)
      return body === error.body && location === error.location
        ? error
        : new UpgradeRejected({ ...error, body, location })
    }
    case "TlsUntrusted": {
      const names = field(error.names, { secrets })
      return names === error.names ? error : new TlsUntrusted({ ...error, names })
    }
    default:
      return error
  }
}

const shown = (text: string | undefined, secrets: ReadonlyArray<Redacted.Redacted>): string | undefined =>
  text === undefined ? undefined : field(text, { secrets })

/**
 * A file was not given. `NotHere`: the address is no path of the gateway, and nothing was asked. `Refused`: an HTTP status other than
 * 200. `TooLarge`: more bytes than were asked for. `Broken`: the answer ended before it was whole.
 */
export class FileNotGiven extends Schema.TaggedError<FileNotGiven>()("FileNotGiven", {
  reason: Schema.Literals(["NotHere", "Refused", "TooLarge", "Broken"]),
  status: Schema.optionalKey(Schema.Int)
}) {
  override get message(): string {
    switch (this.reason) {
      case "NotHere":
        return "the gateway named an address elsewhere, which is not asked"
      case "Refused":
        return `the gateway did not give the file: HTTP status ${this.status}`
      case "TooLarge":
        return "the file is larger than what was asked for"
      case "Broken":
        return "the connection ended before the file was whole"
    }
  }
}
