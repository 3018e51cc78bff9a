/**
 * The connection to which a WebSocket writes its request: TCP or a proxy's tunnel, then TLS, then a check of the certificate.
 * Nothing of the request is written before that.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import { createHash, type X509Certificate } from "node:crypto"
import * as Net from "node:net"
import * as Tls from "node:tls"
import { field } from "../protocol/OutsideText.ts"
import { errnoOf, reasonOf } from "./DialFailure.ts"
import { withoutBrackets } from "./Endpoint.ts"
import { LinkError } from "./LinkError.ts"
import { reasonOf as untrustedReasonOf, TlsPinMismatch, TlsUntrusted } from "./TlsError.ts"
import type { TlsTrust } from "./TlsTrust.ts"
import { formatPin } from "./TlsTrust.ts"

/** Everything that an attempt has opened. The attempt's scope destroys it, in whatever state it is. */
export interface Handles {
  readonly all: Set<{ readonly destroy: () => unknown }>
  /** What comes before: an open link says goodbye. */
  farewell: Effect.Effect<void>
  /** The certificate that the gateway showed. Nodejs gives it once. */
  certificate?: X509Certificate
}

export const makeHandles: Effect.Effect<Handles, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync((): Handles => ({ all: new Set(), farewell: Effect.void })),
  // Not at once: this may run in a callback of Nodejs's HTTP client, which frees its parser a second time when its socket
  // closes meanwhile. Two later requests would then share one parser, which ends the process.
  ({ all, farewell }) =>
    Effect.andThen(
      Effect.andThen(farewell, Effect.yieldNow),
      Effect.sync(() => {
        for (const each of all) each.destroy()
      })
    )
)

/** The port of a gateway's URL, with the default of its scheme. */
export const portOf = (url: URL): number => url.port === "" ? (url.protocol === "wss:" ? 443 : 80) : Number(url.port)

const unreachable = (phase: "dial" | "tls", cause: unknown) =>
  new LinkError({ reason: reasonOf(phase, cause), phase, errno: errnoOf(cause), cause })

/** Connects to the gateway's host, without a proxy. */
export const direct = (url: URL, handles: Handles): Effect.Effect<Net.Socket, LinkError> =>
  Effect.callback((resume) => {
    const socket = Net.connect({ host: withoutBrackets(url.hostname), port: portOf(url), noDelay: true })
    handles.all.add(socket)
    const onError = (cause: unknown) => resume(Effect.fail(unreachable("dial", cause)))
    socket.on("error", onError)
    socket.once("connect", () => {
      // An error without a listener would end the process; from here on the WebSocket tells it.
      socket.off("error", onError).on("error", ignore)
      resume(Effect.succeed(socket))
    })
  })

const ignore = () => {}

/** Authorities of Nodejs (with NODE_EXTRA_CA_CERTS), of the system and of the settings, read at first use. */
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

/** Speaks TLS on `socket` and checks the certificate. If that fails, it closes the connection and sends nothing. */
export const secured = (
  socket: Net.Socket,
  url: URL,
  trust: TlsTrust,
  secureContext: Tls.SecureContext,
  handles: Handles
): Effect.Effect<Tls.TLSSocket, LinkError | TlsPinMismatch | TlsUntrusted> =>
  Effect.callback((resume) => {
    const host = withoutBrackets(url.hostname)
    const secure = Tls.connect({
      socket,
      host,
      ...(Net.isIP(host) === 0 ? { servername: host } : {}),
      secureContext,
      ALPNProtocols: ["http/1.1"],
      // Nodejs checks all the same, and `problemOf` reads the result. So a pin can replace an authority, and no environment
      // variable can turn the check off.
      rejectUnauthorized: false
    })
    handles.all.add(secure)
    secure.on("error", (cause) => resume(Effect.fail(unreachable("tls", cause))))
    secure.once("secureConnect", () => {
      const certificate = secure.getPeerX509Certificate()
      if (certificate !== undefined) handles.certificate = certificate
      const problem = problemOf(secure, certificate, `${url.hostname}:${portOf(url)}`, trust)
      if (problem === undefined) return resume(Effect.succeed(secure))
      secure.destroy()
      resume(Effect.fail(problem))
    })
  })

const problemOf = (
  socket: Tls.TLSSocket,
  certificate: X509Certificate | undefined,
  host: string,
  { mode, pins }: TlsTrust
): LinkError | TlsPinMismatch | TlsUntrusted | undefined => {
  if (certificate === undefined) return unreachable("tls", undefined)
  const hashes = {
    certificate: sha256(certificate.raw),
    key: sha256(certificate.publicKey.export({ type: "spki", format: "der" }))
  }
  const seen = {
    host,
    seenCertificate: formatPin({ of: "certificate", sha256: hashes.certificate }),
    seenKey: formatPin({ of: "key", sha256: hashes.key })
  }
  if (mode !== "ca" && !pins.some((pin) => pin.sha256 === hashes[pin.of])) {
    const reason = socket.authorized ? "Rotated" : "Unknown"
    return new TlsPinMismatch({ reason, ...seen, expected: pins.map(formatPin) })
  }
  if (mode === "pin" || socket.authorized) return undefined
  const found: unknown = socket.authorizationError // the name of an error, although its type says Error
  const code = field(Predicate.isString(found) ? found : errnoOf(found) ?? "unknown")
  return new TlsUntrusted({
    reason: untrustedReasonOf(code),
    ...seen,
    code,
    validFromMs: Date.parse(certificate.validFrom),
    validToMs: Date.parse(certificate.validTo),
    names: field(certificate.subjectAltName ?? "")
  })
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")
