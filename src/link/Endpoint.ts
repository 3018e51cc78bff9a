/**
 * Where a gateway is: a WebSocket URL that was checked before anything is opened.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

/** A checked gateway address. */
export interface Endpoint {
  /** `ws:` or `wss:`, without user name, password and fragment. */
  readonly url: URL
  /** `scheme://host:port/path`, the port always spelled out: what device tokens are kept by. Safe to print. */
  readonly gatewayScope: string
  /** The host is this machine, so that neither traffic nor credentials leave it. */
  readonly loopback: boolean
}

export class EndpointInvalid extends Schema.TaggedError<EndpointInvalid>()("EndpointInvalid", {
  reason: Schema.Literals(["Malformed", "Scheme", "Credentials", "Query"])
}) {
  override get message(): string {
    switch (this.reason) {
      case "Malformed":
        return "the gateway URL cannot be read; write it like ws://127.0.0.1:18789 or wss://gateway.example"
      case "Scheme":
        return "the gateway URL must begin with ws:// or wss://"
      case "Credentials":
        return "the gateway URL must not hold a user name or password; use OPENCLAW_GATEWAY_TOKEN or OPENCLAW_GATEWAY_PASSWORD"
      case "Query":
        return "the gateway URL must not hold a query, which would show in logs; a token belongs into OPENCLAW_GATEWAY_TOKEN"
    }
  }
}

/** Plain `ws://` to another machine: credentials and tasks would cross the network readable. */
export class InsecureUrl extends Schema.TaggedError<InsecureUrl>()("InsecureUrl", {
  host: Schema.String,
  port: Schema.Int
}) {
  override get message(): string {
    return `plaintext ws:// to ${this.host} is refused, as tokens and tasks would be readable on the way; use wss://, or a`
      + ` tunnel such as: ssh -N -L ${this.port}:127.0.0.1:${this.port} ${this.host}`
  }
}

/**
 * Reads a gateway URL. `http:` and `https:` are taken for `ws:` and `wss:`, which is what people paste. `plaintextHost`
 * names the one host, besides loopback, to which `ws:` is allowed.
 */
export const parse = (
  input: string,
  options?: { readonly plaintextHost?: string | undefined }
): Result.Result<Endpoint, EndpointInvalid | InsecureUrl> => {
  const trimmed = input.trim().replace(/^http(s?):/i, "ws$1:")
  if (!URL.canParse(trimmed)) return Result.fail(new EndpointInvalid({ reason: "Malformed" }))
  const url = new URL(trimmed)
  if (url.protocol !== "ws:" && url.protocol !== "wss:") return Result.fail(new EndpointInvalid({ reason: "Scheme" }))
  if (url.username !== "" || url.password !== "") return Result.fail(new EndpointInvalid({ reason: "Credentials" }))
  if (url.search !== "") return Result.fail(new EndpointInvalid({ reason: "Query" }))
  url.hash = ""
  const port = url.port === "" ? (url.protocol === "wss:" ? 443 : 80) : Number(url.port)
  const loopback = isLoopback(url.hostname)
  if (url.protocol === "ws:" && !loopback && url.hostname !== hostOf(options?.plaintextHost)) {
    return Result.fail(new InsecureUrl({ host: url.hostname, port }))
  }
  return Result.succeed({ url, gatewayScope: `${url.protocol}//${url.hostname}:${port}${url.pathname}`, loopback })
}

/** A scope or URL as people write it: without the slash that `URL` ends it with. */
export const shown = (url: string): string => url.replace(/\/$/, "")

/** A host name as `URL` spells it, so that the two can be compared. */
const hostOf = (host: string | undefined): string | undefined => {
  const url = `ws://${host?.trim() ?? ""}`
  return URL.canParse(url) ? new URL(url).hostname : undefined
}

/**
 * `URL` has already brought every spelling of an IPv4 address into dotted decimal. Names below `localhost` do not count, as a
 * resolver may look them up elsewhere.
 */
const isLoopback = (hostname: string): boolean =>
  hostname === "localhost" || hostname === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(hostname)
