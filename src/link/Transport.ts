/**
 * One link to a gateway: text frames in both directions and one end.
 *
 * The handler is attached before the socket exists, because the gateway's challenge may arrive before the dialling fiber runs
 * again. Calls of the handler are synchronous and in the order of arrival. None follows `onClose`.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { DialError, FileNotGiven, LinkError } from "./LinkError.ts"
import type { TlsTrust } from "./TlsTrust.ts"
import type { UpgradeHeader } from "./UpgradeHeader.ts"

/**
 * What the owner of a link gives to `dial`: callbacks that the transport calls synchronously, in the order in which things
 * arrive.
 */
export interface LinkHandler {
  /** One text message. Must not throw. A binary message, which the protocol does not have, arrives as empty text. */
  readonly onText: (text: string) => void
  /** The link ended. Called once, and not when the owner's scope closes the link. */
  readonly onClose: (error: LinkError) => void
  /** The phase that dialling has reached, if the transport knows it. Synchronous, and never after the link is open. */
  readonly onPhase?: (phase: "tls" | "upgrade") => void
}

/** How much may arrive, in bytes: altogether from now on, whatever it is, or in one message. */
export type InboundLimit = { readonly totalBytes: number } | { readonly messageBytes: number }

/** An open WebSocket link, as its owner uses it. */
export interface Link {
  /** Hands one text message to the socket. False when the link is no longer open; then nothing was sent. */
  readonly sendUnsafe: (text: string) => boolean
  /** Starts to close, with a code of the application's range. The handler is told of the end as usual. */
  readonly closeUnsafe: (code: number, reason: string) => void
  /** Stops reading from the socket, so that the peer is slowed down. */
  readonly pause: () => void
  readonly resume: () => void
  /**
   * Limits what arrives from now on, in place of the limit before. A link to which more comes ends with `TooLarge`, before the
   * excess is read or parsed. Until this is called, 64 KiB may arrive altogether. A transport over memory need not have it.
   */
  readonly limitUnsafe?: (limit: InboundLimit) => void
}

/** What to dial, and how to recognise it. */
export interface Target {
  readonly url: URL
  /** The `Origin` header. Absent means no header: a client that is not a browser must not send one. */
  readonly origin: string | undefined
  /** How a `wss:` gateway is recognised; by known authorities unless given. */
  readonly tls?: TlsTrust
  /** Headers of the request in addition to those of the WebSocket. Sent over `wss:` only. */
  readonly headers?: ReadonlyArray<UpgradeHeader>
  /** Credentials that the other side knows, besides the headers. None of its texts is shown or kept with one of them in it. */
  readonly secrets?: ReadonlyArray<Redacted.Redacted>
  /**
   * Each frame is given to the system within `sendUnsafe`. Otherwise several of one turn of the event loop may leave at its end. For an
   * owner that may not send any more a moment later.
   */
  readonly sendsAtOnce?: boolean
}

/** Everything secret that the other side knows. */
export const secretsOf = ({ headers = [], secrets = [] }: Target): ReadonlyArray<Redacted.Redacted> => [
  ...secrets,
  ...headers.map(({ value }) => value)
]

/** Opens WebSocket links. Provided by `TransportWs.layer` over sockets, or by `testing/MemoryTransport` for tests. */
export class Transport extends Context.Service<Transport, {
  /** Opens one link. The scope closes it: a close frame, a short grace, then the socket is destroyed. */
  readonly dial: (
    target: Target,
    handler: LinkHandler
  ) => Effect.Effect<Link, DialError, Scope.Scope>
  /**
   * Gets a file of at most so many bytes at a path below `/api/` of the gateway's HTTP side, or at that of a join URL, over a
   * connection of its own that is made as that of a link is. It waits as long as the gateway does. A transport need not have it.
   */
  readonly fetch?: (
    target: Target,
    path: string,
    maxBytes: number
  ) => Effect.Effect<Uint8Array, DialError | FileNotGiven>
}>()("effect-openclaw/link/Transport") {}
