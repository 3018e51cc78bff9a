/**
 * Who refused an upgrade, as far as the answer tells: a known front door, or the gateway itself.
 */
import * as Schema from "effect/Schema"

/**
 * `CloudflareAccess`: requires a person's sign-in or a service token. `SignIn`: another sign-in page. `SecureOnly`: redirects
 * to https on the same host, or a port that speaks TLS says that it was asked without. `Tailscale`: Tailscale Serve or its sign-in. `ProxyAttribution`: the gateway does not trust the
 * proxy that forwards to it (OpenClaw from 2026.8 on). `GatewayFull`: too many sockets that have not authenticated.
 */
export const UpgradeReason = Schema.Literals([
  "CloudflareAccess",
  "SignIn",
  "SecureOnly",
  "Tailscale",
  "ProxyAttribution",
  "GatewayFull",
  "Other"
])
export type UpgradeReason = typeof UpgradeReason.Type

export interface Answer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | ReadonlyArray<string> | undefined>>
  /** The `Location` header, resolved against the URL of the request. */
  readonly location: URL | undefined
  readonly body: string
}

export const recognise = (answer: Answer, asked: URL): UpgradeReason => {
  const { body, headers, location, status } = answer
  if (isCloudflareAccess(answer)) return "CloudflareAccess"
  if (body.includes("proxy_attribution_required")) return "ProxyAttribution"
  if (status === 503 && /too many unauthenticated sockets/i.test(body)) return "GatewayFull"
  if (asked.protocol === "ws:" && status === 400 && wantsTls.test(body)) return "SecureOnly"
  if (location !== undefined && status >= 300 && status < 400) {
    const { hostname, protocol } = location
    if (isAt(hostname, "tailscale.com") || (isAt(hostname, "ts.net") && hostname !== asked.hostname)) return "Tailscale"
    if (protocol === "https:" && hostname === asked.hostname && asked.protocol === "ws:") {
      return isAt(hostname, "ts.net") ? "Tailscale" : "SecureOnly"
    }
    return "SignIn"
  }
  return status === 401 && headers["www-authenticate"] !== undefined ? "SignIn" : "Other"
}

/** What nginx, Go's servers and Apache say of plain HTTP on a port with TLS. */
const wantsTls =
  /plain HTTP request was sent to HTTPS port|HTTP request to an HTTPS server|plain HTTP to an SSL-enabled/i

/** Its redirect, its own headers, or a refusal of Cloudflare's edge, which numbers every answer in `cf-ray`. */
const isCloudflareAccess = ({ headers, location, status }: Answer): boolean =>
  status < 500 && (
    (location !== undefined
      && (isAt(location.hostname, "cloudflareaccess.com") || location.pathname.startsWith("/cdn-cgi/access/")))
    || Object.keys(headers).some((name) => name.startsWith("cf-access-"))
    || /cloudflare-access/i.test(String(headers["www-authenticate"] ?? ""))
    || ((status === 401 || status === 403) && headers["cf-ray"] !== undefined)
  )

const isAt = (hostname: string, domain: string): boolean => hostname === domain || hostname.endsWith(`.${domain}`)
