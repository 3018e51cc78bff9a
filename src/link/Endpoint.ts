/**
 * The address of a gateway: a WebSocket URL, checked before anything is opened.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { placeholder, posixAssignment, posixCommand } from "../protocol/ShellCommand.ts"

/** A checked gateway address. `TlsTrust` says how a `wss:` gateway is recognised. */
export interface Endpoint {
  /** `ws:` or `wss:`, without user name, password and fragment. */
  readonly url: URL
  /** `scheme://host:port/path`, always with the port: the key of stored device tokens. Safe to print. */
  readonly gatewayScope: string
  /** The host is this machine, so neither traffic nor credentials leave it. */
  readonly loopback: boolean
}

/** A text cannot be used as a gateway URL. The text itself is not in the error, because it may hold a secret. */
export class EndpointInvalid extends Schema.TaggedError<EndpointInvalid>()("EndpointInvalid", {
  /**
   * `NoScheme`: a host and a port alone. `Fragment`: a value after `#`, where the dashboard's address has the token. The others
   * say what the URL has and must not have, or that it is none.
   */
  reason: Schema.Literals(["Malformed", "NoScheme", "Scheme", "Credentials", "Query", "Fragment"]),
  /** What to write instead, where the input tells: scheme, host, port and path of it, and nothing that could be a secret. */
  suggestion: Schema.optional(Schema.String)
}) {
  override get message(): string {
    switch (this.reason) {
      case "Malformed":
        return "the gateway URL cannot be read; write it like ws://127.0.0.1:18789 or wss://gateway.example"
      case "NoScheme":
        return `the gateway URL must begin with ws:// or wss://; write ${this.suggestion ?? "ws://127.0.0.1:18789"}`
      case "Scheme":
        return "the gateway URL must begin with ws:// or wss://"
      case "Credentials":
        return "the gateway URL must not hold a user name or password; use OPENCLAW_GATEWAY_TOKEN or OPENCLAW_GATEWAY_PASSWORD"
      case "Query":
        return "the gateway URL must not hold a query, which would show in logs; a token belongs into OPENCLAW_GATEWAY_TOKEN"
      case "Fragment":
        return `the gateway URL must not hold a token after #, as the dashboard's address does; put the token into`
          + ` OPENCLAW_GATEWAY_TOKEN, and write ${this.suggestion ?? "the URL without it"}`
    }
  }
}

/** Plain `ws://` to another machine, which would send credentials and tasks across the network unencrypted. */
export class InsecureUrl extends Schema.TaggedError<InsecureUrl>()("InsecureUrl", {
  host: Schema.String,
  port: Schema.Int
}) {
  override get message(): string {
    const host = withoutBrackets(this.host)
    const ownPort = this.port < 1024 ? defaultPort : this.port // one that an ordinary user can listen on
    const served = isBelow(host, "ts.net") ? host : "<name>.ts.net"
    const remote = host.startsWith("-") ? placeholder("gateway host") : host // ssh would take it for an option
    const tunnel = posixCommand(["ssh", "-N", "-L", `${ownPort}:127.0.0.1:${this.port}`, remote]).text
    const serve = posixCommand(["tailscale", "serve", "--bg", `${this.port}`]).text
    return `plaintext ws:// to ${host} is refused, as tokens and tasks would be readable on the way; use wss://, or a`
      + ` tunnel such as: ${tunnel} (then ws://127.0.0.1:${ownPort}), or Tailscale: ${serve} on the gateway host (then`
      + ` wss://${served}). If the network between is safe all the same, name this one host:`
      + ` ${posixAssignment("OPENCLAW_GATEWAY_PLAINTEXT_HOST", this.host)}`
  }
}

/**
 * Reads a gateway URL. People paste `http:` and `https:`, which are read as `ws:` and `wss:`. `plaintextHost` is the one
 * host besides loopback to which `ws:` is allowed.
 */
export const parse = (
  input: string,
  options?: { readonly plaintextHost?: string | undefined }
): Result.Result<Endpoint, EndpointInvalid | InsecureUrl> => {
  const trimmed = input.trim().replace(/^http(s?):/i, "ws$1:")
  const suggestion = withScheme(trimmed)
  if (suggestion !== undefined) return Result.fail(new EndpointInvalid({ reason: "NoScheme", suggestion }))
  if (!URL.canParse(trimmed)) return Result.fail(new EndpointInvalid({ reason: "Malformed" }))
  const url = new URL(trimmed)
  if (url.protocol !== "ws:" && url.protocol !== "wss:") return Result.fail(new EndpointInvalid({ reason: "Scheme" }))
  if (url.username !== "" || url.password !== "") return Result.fail(new EndpointInvalid({ reason: "Credentials" }))
  if (url.search !== "") return Result.fail(new EndpointInvalid({ reason: "Query" }))
  if (/=|%3d|token|password/i.test(url.hash)) {
    return Result.fail(new EndpointInvalid({ reason: "Fragment", suggestion: shown(`${url.origin}${url.pathname}`) }))
  }
  // Each of these parses the whole URL again.
  if (url.hash !== "" || url.href.endsWith("#")) url.hash = ""
  const hostname = canonical(url.hostname)
  if (hostname !== url.hostname) url.hostname = hostname
  const port = url.port === "" ? (url.protocol === "wss:" ? 443 : 80) : Number(url.port)
  const loopback = isLoopback(url.hostname)
  if (url.protocol === "ws:" && !loopback && url.hostname !== hostOf(options?.plaintextHost)) {
    return Result.fail(new InsecureUrl({ host: url.hostname, port }))
  }
  return Result.succeed({ url, gatewayScope: `${url.protocol}//${url.hostname}:${port}${url.pathname}`, loopback })
}

/** The URL that is meant by a host and a port: `ws:` to this machine, `wss:` to any other. Anything else may be a secret. */
const withScheme = (text: string): string | undefined => {
  const [, host, rest = ""] = /^([a-z\d][a-z\d.-]*|\[[\da-f:.]+\])(:\d{1,5}(?:\/[^?#]*)?)(?:[?#].*)?$/i.exec(text) ?? []
  if (host === undefined || !URL.canParse(`ws://${host}${rest}`)) return undefined
  const { hostname } = new URL(`ws://${host}${rest}`)
  return shown(`${isLoopback(canonical(hostname)) ? "ws" : "wss"}://${host}${rest}`)
}

/** A warning for those who allow plaintext to an endpoint; `undefined` where nobody is in between. */
export const plaintextWarning = ({ loopback, url }: Endpoint): string | undefined =>
  loopback || url.protocol !== "ws:"
    ? undefined
    : `ws:// to ${url.hostname} is not encrypted by this program: ${
      readersOf(withoutBrackets(url.hostname))
    } can read and change the credential, every task and every answer. wss:// prevents that.`

/** Who can read the traffic, as far as the host's name or address tells. */
const readersOf = (host: string): string => {
  if (isBelow(host, "ts.net") || tailnet.test(host)) {
    return "any host that answers to that address when Tailscale is off or is not used at both ends"
  }
  if (isBelow(host, "local")) return "every device of the local network, any of which may answer to that name,"
  if (localNetwork.test(host)) return "every device of the local network"
  return "everybody on the network path"
}

/** Shared address space (RFC 6598) and the IPv6 prefix that Tailscale takes its addresses from. */
const tailnet = /^100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|^fd7a:115c:a1e0:/
/** Private (RFC 1918, RFC 4193) and link-local addresses. */
const localNetwork =
  /^(?:10\.|192\.168\.|169\.254\.|172\.(?:1[6-9]|2\d|3[01])\.)[\d.]+$|^f[cd][\da-f]{2}:|^fe[89ab][\da-f]:/

const isBelow = (host: string, domain: string): boolean => host.replace(/\.$/, "").endsWith(`.${domain}`)

/** The default port of gateways. */
const defaultPort = 18_789

/** A host as sockets and other programs expect it: an IPv6 address without the brackets that it has in a URL. */
export const withoutBrackets = (hostname: string): string => hostname.replace(/^\[(.*)\]$/, "$1")

/** A scope or URL as people write it: without the slash that `URL` adds at the end. */
export const shown = (url: string): string => url.replace(/\/$/, "")

/** A host name in the spelling of `URL`, to compare the two. */
const hostOf = (host: string | undefined): string | undefined => {
  const url = `ws://${host?.trim() ?? ""}`
  return URL.canParse(url) ? canonical(new URL(url).hostname) : undefined
}

/**
 * One spelling for the addresses that lead to the same socket: an IPv4 address as such, and this machine by its loopback
 * address or as `localhost`. `0.0.0.0` and `[::]`, which servers print as where they listen, connect to this machine; a
 * resolver could find `localhost.` elsewhere.
 */
const canonical = (hostname: string): string => {
  const [, high, low] = /^\[::ffff:([\da-f]{1,4}):([\da-f]{1,4})\]$/.exec(hostname) ?? []
  if (high !== undefined && low !== undefined) {
    const bytes = [high, low].map((part) => Number.parseInt(part, 16)).flatMap((part) => [part >> 8, part & 0xff])
    return canonical(bytes.join("."))
  }
  return sameMachine.get(hostname) ?? hostname
}

const sameMachine: ReadonlyMap<string, string> = new Map([
  ["localhost.", "localhost"],
  ["0.0.0.0", "127.0.0.1"],
  ["[::]", "[::1]"]
])

/**
 * Of a host in its canonical spelling: `URL` has turned every IPv4 address into dotted decimal. Names below `localhost` do not
 * count, because a resolver may find them on another machine.
 */
export const isLoopback = (hostname: string): boolean =>
  hostname === "localhost" || hostname === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(hostname)
