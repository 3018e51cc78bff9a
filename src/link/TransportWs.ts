/**
 * `Transport` over the `ws` package, driven directly so that a frame reaches its handler in the socket's own callback.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import type { IncomingMessage } from "node:http"
import type { Socket } from "node:net"
import { type RawData, WebSocket } from "ws"
import * as FrameLimit from "../protocol/FrameLimit.ts"
import { field } from "../protocol/OutsideText.ts"
import type { Options, Resources } from "./Connection.ts"
import * as Connection from "./Connection.ts"
import * as DialFailure from "./DialFailure.ts"
import * as FrontDoor from "./FrontDoor.ts"
import * as GatewayFile from "./GatewayFile.ts"
import { Inbound } from "./Inbound.ts"
import { LinkError, UpgradeRejected } from "./LinkError.ts"
import * as LinkSocket from "./LinkSocket.ts"
import * as RetryAfter from "./RetryAfter.ts"
import type { InboundLimit, Link, LinkHandler, Target } from "./Transport.ts"
import { secretsOf, Transport } from "./Transport.ts"

/** How long a peer may take to answer our close frame. Real time: the one timer of this library outside `Clock`. */
const closeGraceMs = 250
const upgradeBodyBytes = 2048

/**
 * One WebSocket from its dial to its end. The first end counts: it goes to the dialling fiber or, once open, to the handler. What
 * `Link` has are properties, so that a link can be wrapped by spreading it.
 */
class WsLink implements Link {
  readonly inbound: Inbound
  readonly #handler: LinkHandler
  readonly #secrets: ReadonlyArray<Redacted.Redacted>
  readonly #sendsAtOnce: boolean
  #opened: Deferred.Deferred<void, LinkError | UpgradeRejected> | undefined = Deferred.makeUnsafe()
  #ws: WebSocket | undefined
  /** The socket whose frames may leave together. */
  #gathering: Socket | undefined
  /** How much the socket had read when the last message came, and how many messages came with that. */
  #readBytes = 0
  #together = 0
  #gathers = false
  #cause: Error | undefined
  #open = false
  #ended = false
  #refused = false

  constructor(target: Target, handler: LinkHandler) {
    this.#handler = handler
    this.#secrets = secretsOf(target)
    this.#sendsAtOnce = target.sendsAtOnce === true
    this.inbound = new Inbound(() => {
      this.#refused = true
      this.end(() => this.#tooLarge())
    })
  }

  attach(ws: WebSocket, connection: Socket): void {
    this.#ws = ws
    if (!this.#sendsAtOnce) this.#gathering = connection
    ws.once("open", () => {
      this.#open = true
      this.inbound.limit({ totalBytes: FrameLimit.greetingLimitBytes })
      ws.removeAllListeners("unexpected-response")
      if (this.#opened !== undefined) Deferred.doneUnsafe(this.#opened, Effect.void)
      this.#opened = undefined
    })
    ws.on("message", (data, isBinary) => {
      if (this.#ended) return
      if (sizeOf(data) > this.inbound.messageBytes()) return this.inbound.refuse()
      const { bytesRead } = connection
      this.#together = bytesRead === this.#readBytes ? this.#together + 1 : 1
      this.#readBytes = bytesRead
      this.#handler.onText(isBinary ? "" : data.toString())
    })
    ws.on("error", (error) => {
      this.#cause = error
      // The close of an open link waits for the peer, which has just shown that it does not keep to the protocol.
      if (!this.#open) return
      this.end(() => tooLargeCodes.has(DialFailure.errnoOf(error) ?? "") ? this.#tooLarge() : this.#broken(1006, ""))
    })
    ws.on("close", (closeCode, reason) => this.end(() => this.#broken(closeCode, reason.toString())))
  }

  /** Waits until the link is open. */
  get opened(): Effect.Effect<void, LinkError | UpgradeRejected> {
    return this.#opened === undefined ? Effect.void : Deferred.await(this.#opened)
  }

  end(why: () => LinkError | UpgradeRejected): void {
    if (this.#ended) return
    this.#ended = true
    const error = why()
    if (this.#opened !== undefined) Deferred.doneUnsafe(this.#opened, Effect.fail(error))
    else if (error._tag === "LinkError") this.#handler.onClose(error)
  }

  /** Closes, gives the peer a short time to answer, and destroys the socket then. Nothing more is told. */
  get closed(): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      const ws = this.#ws
      this.#ended = true
      if (ws === undefined || ws.readyState === WebSocket.CLOSED) return resume(Effect.void)
      const timer = setTimeout(() => ws.terminate(), closeGraceMs)
      timer.unref()
      ws.once("close", () => {
        clearTimeout(timer)
        resume(Effect.void)
      })
      if (this.#refused) ws.terminate()
      else ws.close(1000)
    })
  }

  readonly sendUnsafe = (text: string): boolean => {
    if (this.#ended || this.#ws?.readyState !== WebSocket.OPEN) return false
    if (this.#together > 1 && !this.#gathers && this.#gathering !== undefined) this.#gather(this.#gathering)
    this.#ws.send(text)
    return true
  }
  /** Answers that came together are often followed by requests: these leave together, in one system call, at the end of this turn. */
  #gather(connection: Socket): void {
    this.#gathers = true
    connection.cork()
    process.nextTick(() => {
      this.#gathers = false
      connection.uncork()
    })
  }
  readonly closeUnsafe = (code: number, reason: string): void => {
    this.#ws?.close(code, reason)
  }
  readonly pause = (): void => {
    this.#ws?.pause()
  }
  readonly resume = (): void => {
    this.#ws?.resume()
  }
  readonly limitUnsafe = (limit: InboundLimit): void => {
    this.inbound.limit(limit)
  }

  #tooLarge(): LinkError {
    return new LinkError({ reason: "TooLarge", phase: this.#open ? "session" : "upgrade" })
  }
  #broken(closeCode: number, closeReason: string): LinkError {
    const cause = this.#cause
    return new LinkError({
      reason: this.#open ? "Closed" : DialFailure.reasonOf("upgrade", cause),
      phase: this.#open ? "session" : "upgrade",
      closeCode: this.#open ? closeCode : undefined,
      closeReason: this.#open ? field(closeReason, { secrets: this.#secrets }) : undefined,
      errno: DialFailure.errnoOf(cause),
      // The HTTP parser attaches the packet that it could not read, which may hold secrets.
      cause: Predicate.hasProperty(cause, "rawPacket") ? undefined : cause
    })
  }
}

const dial = Effect.fnUntraced(function*(target: Target, handler: LinkHandler, resources: Resources) {
  const clock = yield* Clock.Clock
  const handles = yield* LinkSocket.makeHandles
  const connection = yield* Connection.open(target, resources, handles, handler.onPhase)
  if (connection.destroyed) {
    return yield* new LinkError({ reason: "HungUp", phase: "upgrade", errno: "ECONNRESET" })
  }
  handler.onPhase?.("upgrade")
  const link = upgrade(connection, target, new WsLink(target, handler), clock)
  handles.farewell = link.closed
  yield* link.opened
  return link
})

/** Asks for the WebSocket over a connection. */
const upgrade = (connection: Socket, target: Target, link: WsLink, clock: Clock.Clock): WsLink => {
  const headers = target.url.protocol === "wss:" ? target.headers ?? [] : []
  const ws = new WebSocket(target.url, {
    perMessageDeflate: false,
    maxPayload: FrameLimit.receiveLimitBytes(),
    createConnection: () => connection,
    finishRequest: (request) => {
      request.once("socket", (socket) => link.inbound.watch(socket))
      request.end()
    },
    headers: Object.fromEntries(headers.map(({ name, value }) => [name, Redacted.value(value)])),
    ...(target.origin === undefined ? {} : { origin: target.origin })
  })
  link.attach(ws, connection)
  ws.on("unexpected-response", (request, response) => {
    let body = ""
    response.setEncoding("utf8")
    const refused = () => {
      link.end(() => refusalOf(response, body, target, clock))
      request.destroy()
    }
    response.on("data", (chunk: string) => {
      body += chunk
      if (body.length >= upgradeBodyBytes) refused()
    })
    response.on("end", refused)
    response.on("error", refused)
  })
  return link
}

const refusalOf = (
  { headers, statusCode: status = 0 }: IncomingMessage,
  body: string,
  target: Target,
  clock: Clock.Clock
): UpgradeRejected => {
  const secrets = secretsOf(target)
  const location = locationOf(headers.location, target.url)
  return new UpgradeRejected({
    reason: FrontDoor.recognise({ status, headers, location, body }, target.url),
    status,
    body: field(body, { secrets }),
    location: location === undefined ? undefined : field(`${location.origin}${location.pathname}`, { secrets }),
    retryAfterMs: RetryAfter.read(headers, clock.currentTimeMillisUnsafe())
  })
}

/** What `ws` says of a message of too many bytes or too many pieces. */
const tooLargeCodes: ReadonlySet<string> = new Set([
  "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH",
  "WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH",
  "WS_ERR_TOO_MANY_BUFFERED_PARTS"
])

const sizeOf = (data: RawData): number =>
  Array.isArray(data) ? data.reduce((sum, { byteLength }) => sum + byteLength, 0) : data.byteLength

const locationOf = (location: string | undefined, base: URL): URL | undefined =>
  location !== undefined && URL.canParse(location, base.href) ? new URL(location, base) : undefined

/** Uses the proxies that the environment names, but never for this machine. */
export const layerWith = (options: Options): Layer.Layer<Transport> =>
  Layer.sync(Transport, () => {
    const resources: Resources = { ...options, contextFor: LinkSocket.makeContexts() }
    return {
      dial: (target, handler) => dial(target, handler, resources),
      fetch: (target, path, maxBytes) => GatewayFile.get(target, path, maxBytes, resources)
    }
  })

/** The transport with the proxies of the environment. */
export const layer: Layer.Layer<Transport> = layerWith({})
