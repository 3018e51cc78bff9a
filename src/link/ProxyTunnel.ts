/**
 * A connection through the HTTP proxy that the environment names, by the method CONNECT (RFC 9110, section 9.3.6).
 *
 * The HTTP client of Nodejs makes it, so that an abandoned attempt closes its socket at once, and so that user name and
 * password are in one header and nowhere else.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as Http from "node:http"
import type { Socket } from "node:net"
import { errnoOf } from "./DialFailure.ts"
import { withoutBrackets } from "./Endpoint.ts"
import { LinkError, ProxyRejected } from "./LinkError.ts"
import type { Handles } from "./LinkSocket.ts"
import * as RetryAfter from "./RetryAfter.ts"

export interface Proxy {
  readonly secure: boolean
  readonly host: string
  readonly port: number
  /** `host:port`, safe to print. */
  readonly name: string
  /** The value of `Proxy-Authorization`, if the URL has a user name or password. */
  readonly authorization: Redacted.Redacted | undefined
}

/** Reads the URL of a proxy from the environment. */
export const parse = (text: string): Result.Result<Proxy, ProxyRejected> => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || url.hostname === "") return Result.fail(new ProxyRejected({ reason: "Unusable" }))
  const secure = url.protocol === "https:"
  const port = url.port === "" ? (secure ? 443 : 80) : Number(url.port)
  const name = `${url.hostname}:${port}`
  if (!secure && url.protocol !== "http:") return Result.fail(new ProxyRejected({ reason: "Unusable", proxy: name }))
  return Result.succeed({
    secure,
    host: withoutBrackets(url.hostname),
    port,
    name,
    authorization: url.username === "" && url.password === ""
      ? undefined
      : Redacted.make(`Basic ${Base64.encode(`${decoded(url.username)}:${decoded(url.password)}`)}`, { label: "proxy" })
  })
}

/** A text with a stray percent sign stays as it is. */
const decoded = (part: string): string => Result.getOrElse(Result.try(() => decodeURIComponent(part)), () => part)

/** Asks `proxy` for a connection to `target`. Everything that it opens is in `handles` from the first moment. */
export const open = (
  proxy: Proxy,
  target: { readonly hostname: string; readonly port: number },
  handles: Handles,
  clock: Clock.Clock
): Effect.Effect<Socket, LinkError | ProxyRejected> =>
  Effect.flatMap(clientFor(proxy), ({ request }) => connect(request, proxy, target, handles, clock))

/** Loaded when there is a proxy: an import of `node:http` loads the whole of Nodejs's `fetch`, 20 ms. */
const clientFor = ({ secure }: Proxy) => Effect.promise(() => secure ? import("node:https") : import("node:http"))

const connect = (
  ask: typeof Http.request,
  proxy: Proxy,
  target: { readonly hostname: string; readonly port: number },
  handles: Handles,
  clock: Clock.Clock
): Effect.Effect<Socket, LinkError | ProxyRejected> =>
  Effect.callback((resume) => {
    const authority = `${target.hostname}:${target.port}`
    const { authorization, host, name, port, secure } = proxy
    const request = ask({
      method: "CONNECT",
      host,
      port,
      path: authority,
      agent: false,
      headers: {
        Host: authority,
        ...(authorization === undefined ? {} : { "Proxy-Authorization": Redacted.value(authorization) })
      },
      // Explicit, because an environment variable can turn the default off.
      ...(secure ? { rejectUnauthorized: true, minVersion: "TLSv1.2" as const } : {})
    })
    handles.all.add(request)
    request.on("connect", ({ headers, statusCode: status = 0 }, socket: Socket) => {
      handles.all.add(socket)
      socket.on("error", () => {})
      if (status < 200 || status > 299) {
        socket.destroy()
        const reason = status === 407 ? "Credentials" : status >= 500 ? "Unreachable" : "Refused"
        const retryAfterMs = RetryAfter.read(headers, clock.currentTimeMillisUnsafe())
        return resume(Effect.fail(new ProxyRejected({ reason, proxy: name, status, retryAfterMs })))
      }
      resume(Effect.succeed(socket))
    })
    request.on("error", (cause) =>
      resume(Effect.fail(
        new LinkError({ reason: "ProxyUnreachable", phase: "dial", errno: errnoOf(cause), proxy: name, cause })
      )))
    request.end()
  })
