/**
 * The connection that a WebSocket's request is written to: TCP or a proxy's tunnel, then TLS, then the certificate's trial.
 * Whoever gets it may write; before that nothing of the request exists.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import { createHash } from "node:crypto"
import * as Net from "node:net"
import * as Tls from "node:tls"
import { printable } from "../protocol/Refusal.ts"
import { withoutBrackets } from "./Endpoint.ts"
import { LinkError } from "./LinkError.ts"
import { reasonOf, TlsPinMismatch, TlsUntrusted } from "./TlsError.ts"
import type { TlsTrust } from "./TlsTrust.ts"
import { formatPin } from "./TlsTrust.ts"

/** What an attempt has opened. All of it is destroyed with the attempt's scope, whatever has become of it. */
export type Held = Set<{ readonly destroy: () => unknown }>

export const held: Effect.Effect<Held, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync((): Held => new Set()),
  // Not at once: this may run in a callback of Node's HTTP client, which gives its parser back a second time when its socket
  // closes meanwhile. Two later requests would then share one parser, and the process would die of it.
  (all) =>
    Effect.andThen(
      Effect.yieldNow,
      Effect.sync(() => {
        for (const each of all) each.destroy()
      })
    )
)

/** System error name such as `ECONNREFUSED`. */
export const errnoOf = (cause: unknown): string | undefined =>
  Predicate.hasProperty(cause, "code") && Predicate.isString(cause.code) ? cause.code : undefined

/** The port of a gateway's URL, spelled out. */
export const portOf = (url: URL): number => url.port === "" ? (url.protocol === "wss:" ? 443 : 80) : Number(url.port)

const unreachable = (phase: "dial" | "tls", cause: unknown) =>
  new LinkError({ reason: "Unreachable", phase, errno: errnoOf(cause), cause })

/** Connects to the gateway's host itself. */
export const direct = (url: URL, held: Held): Effect.Effect<Net.Socket, LinkError> =>
  Effect.callback((resume) => {
    const socket = Net.connect({ host: withoutBrackets(url.hostname), port: portOf(url), noDelay: true })
    held.add(socket)
    socket.on("error", (cause) => resume(Effect.fail(unreachable("dial", cause))))
    socket.once("connect", () => resume(Effect.succeed(socket)))
  })

/** Authorities of Node (with NODE_EXTRA_CA_CERTS), of the system and of the settings, read at the first use. */
export const makeContexts = (): (authorities: TlsTrust["authorities"]) => Tls.SecureContext => {
  const made = new Map<string, Tls.SecureContext>()
  return (authorities) => {
    const key = authorities.join("\n")
    const known = made.get(key)
    if (known !== undefined) return known
    const ca = new Set([...Tls.getCACertificates("default"), ...Tls.getCACertificates("system"), ...authorities])
    const context = Tls.createSecureContext({ ca: [...ca], minVersion: "TLSv1.2" })
    made.set(key, context)
    return context
  }
}

/** Speaks TLS on `socket` and judges the certificate. A gateway that fails the trial is hung up on, with nothing sent. */
export const secured = (
  socket: Net.Socket,
  url: URL,
  trust: TlsTrust,
  secureContext: Tls.SecureContext,
  held: Held
): Effect.Effect<Tls.TLSSocket, LinkError | TlsPinMismatch | TlsUntrusted> =>
  Effect.callback((resume) => {
    const host = withoutBrackets(url.hostname)
    const secure = Tls.connect({
      socket,
      host,
      ...(Net.isIP(host) === 0 ? { servername: host } : {}),
      secureContext,
      ALPNProtocols: ["http/1.1"],
      // Node checks all the same, and `judged` heeds what it finds. So a pin can take the place of an authority, and no
      // environment variable can turn the check off.
      rejectUnauthorized: false
    })
    held.add(secure)
    secure.on("error", (cause) => resume(Effect.fail(unreachable("tls", cause))))
    secure.once("secureConnect", () => {
      const problem = judged(secure, `${url.hostname}:${portOf(url)}`, trust)
      if (problem === undefined) return resume(Effect.succeed(secure))
      secure.destroy()
      resume(Effect.fail(problem))
    })
  })

const judged = (
  socket: Tls.TLSSocket,
  host: string,
  { mode, pins }: TlsTrust
): LinkError | TlsPinMismatch | TlsUntrusted | undefined => {
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined) return unreachable("tls", undefined)
  const shown = {
    certificate: sha256(certificate.raw),
    key: sha256(certificate.publicKey.export({ type: "spki", format: "der" }))
  }
  const seen = {
    host,
    seenCertificate: formatPin({ of: "certificate", sha256: shown.certificate }),
    seenKey: formatPin({ of: "key", sha256: shown.key })
  }
  if (mode !== "ca" && !pins.some((pin) => pin.sha256 === shown[pin.of])) {
    const reason = socket.authorized ? "Rotated" : "Unknown"
    return new TlsPinMismatch({ reason, ...seen, expected: pins.map(formatPin) })
  }
  if (mode === "pin" || socket.authorized) return undefined
  const found: unknown = socket.authorizationError // a name, whatever its type says
  const code = printable(Predicate.isString(found) ? found : errnoOf(found) ?? "unknown")
  return new TlsUntrusted({
    reason: reasonOf(code),
    ...seen,
    code,
    validFromMs: Date.parse(certificate.validFrom),
    validToMs: Date.parse(certificate.validTo),
    names: printable(certificate.subjectAltName ?? "")
  })
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")
