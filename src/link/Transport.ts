/**
 * One link to a gateway: text frames in both directions and one end.
 *
 * The handler is given before the socket exists, because the gateway's challenge may arrive before the dialling fiber runs
 * again. Calls to the handler are synchronous, in the order of arrival, and stop for good at `onClose`.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { DialError, LinkError } from "./LinkError.ts"
import type { TlsTrust } from "./TlsTrust.ts"
import type { UpgradeHeader } from "./UpgradeHeader.ts"

export interface LinkHandler {
  /** One text message. Must not throw. A binary message, which the protocol does not know, arrives as empty text. */
  readonly onText: (text: string) => void
  /** The link ended by itself. Called once, and not when the owner's scope closes the link. */
  readonly onClose: (error: LinkError) => void
  /** How far dialling has come, where the transport knows. Synchronous, and never after the link is open. */
  readonly onPhase?: (phase: "tls" | "upgrade") => void
}

export interface Link {
  /** Hands one text message to the socket; false when the link is no longer open, and then nothing was sent. */
  readonly sendUnsafe: (text: string) => boolean
  /** Starts closing with a code of the application's range; the link's end is reported as usual. */
  readonly closeUnsafe: (code: number, reason: string) => void
  /** Stops reading from the socket, so that the peer is slowed down. */
  readonly pause: () => void
  readonly resume: () => void
}

export interface Target {
  readonly url: URL
  /** Sent as the `Origin` header. Absent means no header: a client that is no browser must not send one. */
  readonly origin: string | undefined
  /** By what a `wss:` gateway is recognised; known authorities unless given. */
  readonly tls?: TlsTrust
  /** Sent with the request besides those of the WebSocket. For `wss:` only. */
  readonly headers?: ReadonlyArray<UpgradeHeader>
}

export class Transport extends Context.Service<Transport, {
  /** Opens one link. The scope closes it: a close frame, a short grace, then the socket is destroyed. */
  readonly dial: (
    target: Target,
    handler: LinkHandler
  ) => Effect.Effect<Link, DialError, Scope.Scope>
}>()("effect-openclaw/link/Transport") {}
