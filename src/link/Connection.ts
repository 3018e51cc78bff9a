/**
 * A connection to a gateway's host, up to where a request can be written to it: directly or through a proxy, and recognised where it
 * is encrypted. The WebSocket of a link and each fetch of a file begin with one.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { isLoopback } from "./Endpoint.ts"
import * as LinkSocket from "./LinkSocket.ts"
import * as ProxyEnvironment from "./ProxyEnvironment.ts"
import * as ProxyTunnel from "./ProxyTunnel.ts"
import * as TlsTrust from "./TlsTrust.ts"
import type { LinkHandler, Target } from "./Transport.ts"

/** How the transport finds a proxy. */
export interface Options {
  /**
   * Gives the URL of the proxy for an `http:` or `https:` URL, empty for none. Unless given, the environment decides
   * (`ProxyEnvironment`).
   */
  readonly proxyFor?: (url: string) => string
}

/** What all connections of a transport share. */
export interface Resources extends Options {
  readonly contextFor: ReturnType<typeof LinkSocket.makeContexts>
}

/** Opens the connection. Only TLS and the request to a proxy have been written to it. */
export const open = Effect.fnUntraced(function*(
  target: Target,
  { contextFor, proxyFor }: Resources,
  handles: LinkSocket.Handles,
  onPhase?: LinkHandler["onPhase"]
) {
  const { url } = target
  const proxyUrl = isLoopback(url.hostname) ? "" : proxyFor === undefined
    ? ProxyEnvironment.proxyFor(yield* ProxyEnvironment.variables, url) ?? ""
    : proxyFor(url.href.replace(/^ws/, "http"))
  const proxy = proxyUrl === "" ? undefined : yield* Effect.fromResult(ProxyTunnel.parse(proxyUrl))
  const socket = yield* proxy === undefined
    ? LinkSocket.direct(url, handles)
    : ProxyTunnel.open(proxy, { hostname: url.hostname, port: LinkSocket.portOf(url) }, handles, yield* Clock.Clock)
  if (url.protocol !== "wss:") return socket
  onPhase?.("tls")
  const trust = target.tls ?? TlsTrust.standard
  return yield* LinkSocket.secured(socket, url, trust, contextFor(trust.authorities), handles)
})
