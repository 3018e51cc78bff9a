/**
 * What a gateway's HTTP side answers at a public path, and which certificate it shows.
 *
 * The connection is made as that of a link is: through the same proxy, and recognised by the same certificate or pin before anything
 * is sent. No credential is sent, only the headers of the settings, which a front door may want.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { X509Certificate } from "node:crypto"
import type * as Http from "node:http"
import type { Socket } from "node:net"
import { TLSSocket } from "node:tls"
import { field } from "../protocol/OutsideText.ts"
import * as Connection from "./Connection.ts"
import { requestOn } from "./GatewayFile.ts"
import type { DialError } from "./LinkError.ts"
import { FileNotGiven } from "./LinkError.ts"
import * as LinkSocket from "./LinkSocket.ts"
import type { Target } from "./Transport.ts"
import { secretsOf } from "./Transport.ts"

/** The certificate of the gateway itself. Its validity is in milliseconds since 1970, as it states it. */
export interface Certificate {
  /** One line, as the certificate states it. */
  readonly subject: string
  readonly issuer: string
  readonly validFromMs: number
  readonly validToMs: number
  /** `TLSv1.3`, for example. */
  readonly protocol: string
  /** How many certificates were shown, its own included. */
  readonly chainLength: number
}

/** An answer to `GET`. */
export interface Answer {
  readonly status: number
  /** The first two kilobytes, printable and at most 300 characters. */
  readonly body: string
  /** Absent on `ws:`. */
  readonly certificate: Certificate | undefined
  /** From the start of dialling to the answer, in milliseconds. */
  readonly elapsedMs: number
}

const bodyBytes = 2048

/** Asks for a path of the gateway's host. Nothing of the connection outlives the call. */
export const get = Effect.fn("GatewayProbe.get")(function*(target: Target, path: string) {
  const clock = yield* Clock.Clock
  const handles = yield* LinkSocket.makeHandles
  const startedAt = clock.monotonicTimeNanosUnsafe()
  const socket = yield* Connection.open(target, { contextFor: LinkSocket.makeContexts() }, handles)
  const certificate = handles.certificate === undefined
    ? undefined
    : certificateOf(handles.certificate, socket instanceof TLSSocket ? socket.getProtocol() : null)
  const { request } = yield* Effect.promise(() => import("node:http"))
  const { body, status } = yield* ask(request, socket, target, path)
  const elapsedMs = Math.round(Number(clock.monotonicTimeNanosUnsafe() - startedAt) / 1_000_000)
  return { status, body: field(body, { secrets: secretsOf(target) }), certificate, elapsedMs } satisfies Answer
}, Effect.scoped) satisfies (target: Target, path: string) => Effect.Effect<Answer, DialError | FileNotGiven>

const certificateOf = (own: X509Certificate, protocol: string | null): Certificate => {
  let chainLength = 1
  for (let above = own.issuerCertificate; above !== undefined && chainLength < longestChain;) {
    chainLength++
    above = above.issuerCertificate === above ? undefined : above.issuerCertificate
  }
  return {
    subject: field(own.subject.replaceAll("\n", ", ")),
    issuer: field(own.issuer.replaceAll("\n", ", ")),
    validFromMs: Date.parse(own.validFrom),
    validToMs: Date.parse(own.validTo),
    protocol: field(protocol ?? ""),
    chainLength
  }
}

const longestChain = 16

const ask = (
  request: typeof Http.request,
  socket: Socket,
  target: Target,
  path: string
): Effect.Effect<{ readonly status: number; readonly body: string }, FileNotGiven> =>
  Effect.callback((resume) => {
    const asked = requestOn(request, socket, target, path)
    asked.on("error", () => resume(Effect.fail(new FileNotGiven({ reason: "Broken" }))))
    asked.on("response", (response) => {
      let body = ""
      const done = () => resume(Effect.succeed({ status: response.statusCode ?? 0, body }))
      response.setEncoding("utf8")
      response.on("data", (piece: string) => {
        body += piece
        if (body.length < bodyBytes) return
        done()
        asked.destroy()
      })
      response.on("error", done)
      response.on("end", done)
    })
    asked.end()
  })
