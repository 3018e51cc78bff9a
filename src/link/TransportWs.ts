/**
 * `Transport` over the `ws` package, driven directly so that a frame reaches its handler in the socket's own callback.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import { type RawData, WebSocket } from "ws"
import * as FrameLimit from "../protocol/FrameLimit.ts"
import { field } from "../protocol/OutsideText.ts"
import * as DialFailure from "./DialFailure.ts"
import { isLoopback } from "./Endpoint.ts"
import * as FrontDoor from "./FrontDoor.ts"
import * as Inbound from "./Inbound.ts"
import { LinkError, UpgradeRejected } from "./LinkError.ts"
import * as LinkSocket from "./LinkSocket.ts"
import * as ProxyEnvironment from "./ProxyEnvironment.ts"
import * as ProxyTunnel from "./ProxyTunnel.ts"
import * as RetryAfter from "./RetryAfter.ts"
import * as TlsTrust from "./TlsTrust.ts"
import type { LinkHandler, Target } from "./Transport.ts"
import { secretsOf, Transport } from "./Transport.ts"

/** How long a peer may take to answer our close frame. Real time: the one timer of this library outside `Clock`. */
const closeGraceMs = 250
const upgradeBodyBytes = 2048

/** How the transport finds a proxy. */
export interface Options {
  /**
   * Gives the URL of the proxy for an `http:` or `https:` URL, empty for none. Unless given, the environment decides
   * (`ProxyEnvironment`).
   */
  readonly proxyFor?: (url: string) => string
}

/** What all dials of a transport share. */
interface Resources extends Options {
  readonly contextFor: ReturnType<typeof LinkSocket.makeContexts>
}

/** Opens the connection. Only TLS and the request to a proxy have been written to it. */
const connect = Effect.fnUntraced(function*(
  target: Target,
  handler: LinkHandler,
  { contextFor, proxyFor }: Resources
) {
  const { url } = target
  const handles = yield* LinkSocket.makeHandles
  const proxyUrl = isLoopback(url.hostname) ? "" : proxyFor === undefined
    ? ProxyEnvironment.proxyFor(yield* ProxyEnvironment.variables, url) ?? ""
    : proxyFor(url.href.replace(/^ws/, "http"))
  const proxy = proxyUrl === "" ? undefined : yield* Effect.fromResult(ProxyTunnel.parse(proxyUrl))
  const socket = yield* proxy === undefined
    ? LinkSocket.direct(url, handles)
    : ProxyTunnel.open(proxy, { hostname: url.hostname, port: LinkSocket.portOf(url) }, handles, yield* Clock.Clock)
  if (url.protocol !== "wss:") return socket
  handler.onPhase?.("tls")
  const trust = target.tls ?? TlsTrust.standard
  return yield* LinkSocket.secured(socket, url, trust, contextFor(trust.authorities), handles)
})

const dial = Effect.fnUntraced(function*(
  target: Target,
  handler: LinkHandler,
  resources: Resources
) {
  const clock = yield* Clock.Clock
  const opened = Deferred.makeUnsafe<void, LinkError | UpgradeRejected>()
  const state = { open: false, ended: false, refused: false }
  // The first end counts. It goes to the dialling fiber or, once the link is open, to the handler.
  const end = (error: LinkError | UpgradeRejected) => {
    if (state.ended) return
    state.ended = true
    if (!Deferred.doneUnsafe(opened, Effect.fail(error)) && error._tag === "LinkError") handler.onClose(error)
  }
  const tooLarge = () => new LinkError({ reason: "TooLarge", phase: state.open ? "session" : "upgrade" })
  const inbound = Inbound.make(() => {
    state.refused = true
    end(tooLarge())
  })
  const headers = target.url.protocol === "wss:" ? target.headers ?? [] : []
  const secrets = secretsOf(target)
  const connection = yield* connect(target, handler, resources)
  if (connection.destroyed) {
    return yield* new LinkError({ reason: "HungUp", phase: "upgrade", errno: "ECONNRESET" })
  }
  handler.onPhase?.("upgrade")
  const ws = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const socket = new WebSocket(target.url, {
        perMessageDeflate: false,
        maxPayload: FrameLimit.receiveLimitBytes(),
        createConnection: () => connection,
        finishRequest: (request) => {
          request.once("socket", inbound.watch)
          request.end()
        },
        headers: Object.fromEntries(headers.map(({ name, value }) => [name, Redacted.value(value)])),
        ...(target.origin === undefined ? {} : { origin: target.origin })
      })
      let cause: Error | undefined
      const broken = (closeCode: number, closeReason: string) =>
        new LinkError({
          reason: state.open ? "Closed" : DialFailure.reasonOf("upgrade", cause),
          phase: state.open ? "session" : "upgrade",
          closeCode: state.open ? closeCode : undefined,
          closeReason: state.open ? field(closeReason, { secrets }) : undefined,
          errno: DialFailure.errnoOf(cause),
          // The HTTP parser attaches the packet that it could not read, which may hold secrets.
          cause: Predicate.hasProperty(cause, "rawPacket") ? undefined : cause
        })
      socket.on("open", () => {
        state.open = true
        inbound.limit({ totalBytes: FrameLimit.greetingLimitBytes })
        Deferred.doneUnsafe(opened, Effect.void)
      })
      socket.on("message", (data, isBinary) => {
        if (state.ended) return
        if (sizeOf(data) > inbound.messageBytes()) return inbound.refuse()
        handler.onText(isBinary ? "" : data.toString())
      })
      socket.on("unexpected-response", (request, response) => {
        let body = ""
        response.setEncoding("utf8")
        const refused = () => {
          const status = response.statusCode ?? 0
          const location = locationOf(response.headers.location, target.url)
          end(
            new UpgradeRejected({
              reason: FrontDoor.recognise({ status, headers: response.headers, location, body }, target.url),
              status,
              body: field(body, { secrets }),
              location: location === undefined
                ? undefined
                : field(`${location.origin}${location.pathname}`, { secrets }),
              retryAfterMs: RetryAfter.read(response.headers, clock.currentTimeMillisUnsafe())
            })
          )
          request.destroy()
        }
        response.on("data", (chunk: string) => {
          body += chunk
          if (body.length >= upgradeBodyBytes) refused()
        })
        response.on("end", refused)
        response.on("error", refused)
      })
      socket.on("error", (error) => {
        cause = error
        // The close of an open link waits for the peer, which has just shown that it does not keep to the protocol.
        if (state.open) end(tooLargeCodes.has(DialFailure.errnoOf(error) ?? "") ? tooLarge() : broken(1006, ""))
      })
      socket.on("close", (closeCode, reason) => end(broken(closeCode, reason.toString())))
      return socket
    }),
    (socket) =>
      Effect.callback<void>((resume) => {
        state.ended = true
        if (socket.readyState === WebSocket.CLOSED) return resume(Effect.void)
        const timer = setTimeout(() => socket.terminate(), closeGraceMs)
        timer.unref()
        socket.once("close", () => {
          clearTimeout(timer)
          resume(Effect.void)
        })
        if (state.refused) socket.terminate()
        else socket.close(1000)
      })
  )
  yield* Deferred.await(opened)
  return {
    sendUnsafe: (text: string) => {
      if (state.ended || ws.readyState !== WebSocket.OPEN) return false
      ws.send(text)
      return true
    },
    closeUnsafe: (code: number, reason: string) => ws.close(code, reason),
    pause: () => ws.pause(),
    resume: () => ws.resume(),
    limitUnsafe: inbound.limit
  }
})

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
    return { dial: (target, handler) => dial(target, handler, resources) }
  })

/** The transport with the proxies of the environment. */
export const layer: Layer.Layer<Transport> = layerWith({})
