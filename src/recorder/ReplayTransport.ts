/**
 * A transport whose far end is a recording: links open, receive and end when the replay says so. It keeps what the client does
 * with them, for comparison.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { DialError } from "../link/LinkError.ts"
import { LinkError, ProxyRejected, UpgradeRejected } from "../link/LinkError.ts"
import { TlsPinMismatch, TlsUntrusted } from "../link/TlsError.ts"
import type { Link, LinkHandler, Target } from "../link/Transport.ts"
import { Transport } from "../link/Transport.ts"
import type { LinkEnd } from "./Recording.ts"

/** One link of the replay. */
export interface ReplayLink {
  readonly handler: LinkHandler
  readonly open: () => void
  readonly failed: (end: LinkEnd) => void
  readonly closed: (end: LinkEnd) => void
  /** Messages of the client, in order. */
  readonly sent: ReadonlyArray<string>
  /** Close codes with which the client began to close. */
  readonly cuts: ReadonlyArray<number>
  readonly left: () => boolean
}

export interface ReplayTransport {
  readonly transport: Transport["Service"]
  /** In the order in which they were dialled. */
  readonly links: ReadonlyArray<ReplayLink>
}

/** Stand-ins for the facts of a certificate that a recording does not keep. */
const certificate = { host: "gateway.invalid", seenCertificate: "", seenKey: "" }

const errorOf = (end: LinkEnd): DialError => {
  switch (end.error) {
    case "LinkError":
      return new LinkError({
        reason: end.reason,
        phase: end.phase,
        closeCode: end.closeCode,
        closeReason: end.closeReason,
        errno: end.errno,
        proxy: end.proxied === true ? "proxy.invalid" : undefined
      })
    case "UpgradeRejected":
      return new UpgradeRejected({
        reason: end.reason,
        status: end.status,
        body: end.body,
        retryAfterMs: end.retryAfterMs
      })
    case "ProxyRejected":
      return new ProxyRejected({
        reason: end.reason,
        proxy: "proxy.invalid",
        status: end.status,
        retryAfterMs: end.retryAfterMs
      })
    case "TlsPinMismatch":
      return new TlsPinMismatch({ reason: end.reason, ...certificate, expected: [] })
    case "TlsUntrusted":
      return new TlsUntrusted({
        reason: end.reason,
        ...certificate,
        code: end.code,
        validFromMs: 0,
        validToMs: 0,
        names: ""
      })
  }
}

/** `untaken` says whether a link did not take a message when it was recorded. Both count from 1. */
export const make = (untaken: (link: number, message: number) => boolean): ReplayTransport => {
  const links: Array<ReplayLink> = []
  const dial = Effect.fnUntraced(function*(_target: Target, handler: LinkHandler) {
    const number = links.length + 1
    const opened = Deferred.makeUnsafe<void, DialError>()
    const sent: Array<string> = []
    const cuts: Array<number> = []
    const state = { left: false }
    links.push({
      handler,
      open: () => void Deferred.doneUnsafe(opened, Effect.void),
      failed: (end) => void Deferred.doneUnsafe(opened, Effect.fail(errorOf(end))),
      closed: (end) => {
        const error = errorOf(end)
        if (error._tag === "LinkError" && !state.left) handler.onClose(error)
      },
      sent,
      cuts,
      left: () => state.left
    })
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        state.left = true
      })
    )
    yield* Deferred.await(opened)
    const link: Link = {
      sendUnsafe: (text) => {
        sent.push(text)
        return !untaken(number, sent.length)
      },
      closeUnsafe: (code) => void cuts.push(code),
      pause: () => {},
      resume: () => {}
    }
    return link
  })
  return { transport: Transport.of({ dial }), links }
}
