/**
 * Ends TLS on loopback in front of a plain server, and keeps what each connection decrypted to.
 */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { connect, createServer } from "node:net"
import { createSecureContext, type SecureVersion, TLSSocket } from "node:tls"
import { kept, listening } from "./Listening.ts"
import type { Identity } from "./TlsAuthority.ts"

/** One connection, when it is over. */
export interface Ended {
  /** All that the client sent inside of TLS. */
  readonly received: string
  /** The name that the client asked for. */
  readonly servername: string | false | null | undefined
}

export interface Front {
  /** `wss://localhost:<port>`. */
  readonly url: URL
  readonly port: number
  /** Connections in the order in which they ended. */
  readonly next: Effect.Effect<Ended>
  /** From now on another certificate is shown. */
  readonly show: (identity: Identity) => void
}

/** Serves `identity`, and joins every connection to the port of `upstream`. The scope closes all of it. */
export const serve = (
  identity: Identity,
  upstream: URL,
  options: { readonly maxVersion?: SecureVersion } = {}
): Effect.Effect<Front, never, Scope.Scope> =>
  Effect.gen(function*() {
    const ended = yield* Queue.unbounded<Ended>()
    const { destroy, keep } = kept()
    let context = contextOf(identity, options)
    const server = createServer({ noDelay: true }, (raw) => {
      const secure = keep(new TLSSocket(raw, { isServer: true, secureContext: context }))
      const received: Array<Buffer> = []
      const onward = keep(connect({ port: Number(upstream.port), host: upstream.hostname, noDelay: true }))
      secure.on("data", (bytes: Buffer) => {
        received.push(bytes)
        onward.write(bytes)
      })
      onward.on("data", (bytes) => secure.write(bytes))
      onward.once("close", () => secure.end())
      raw.once("close", () => {
        onward.destroy()
        Queue.offerUnsafe(ended, { received: Buffer.concat(received).toString(), servername: secure.servername })
      })
    })
    const port = yield* listening(server, { destroy, keep })
    return {
      url: new URL(`wss://localhost:${port}`),
      port,
      next: Queue.take(ended),
      show: (other) => {
        context = contextOf(other, options)
      }
    }
  })

const contextOf = ({ certificate, privateKey }: Identity, options: { readonly maxVersion?: SecureVersion }) =>
  createSecureContext({ cert: certificate, key: privateKey, minVersion: "TLSv1", ...options })
