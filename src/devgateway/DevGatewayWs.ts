/**
 * Serves a `DevGateway` on a socket of this machine.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { createServer, type IncomingMessage, type Server, STATUS_CODES } from "node:http"
import type { Duplex } from "node:stream"
import { type WebSocket, WebSocketServer } from "ws"
import * as DevGateway from "./DevGateway.ts"
import type { UpgradeRefusal } from "./Fault.ts"

/** Where the gateway listens. */
export interface Options {
  /** 0, a free port, unless given. */
  readonly port?: number
  /** `127.0.0.1` unless given. */
  readonly host?: string
  /** Addresses whose `x-forwarded-for` is believed; from any other the header is answered 403. None unless given. */
  readonly trustedProxies?: ReadonlyArray<string>
}

/** The server cannot listen on the port, most often because another one does. */
export class ListenError extends Schema.TaggedError<ListenError>()("ListenError", {
  host: Schema.String,
  port: Schema.Int,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `cannot listen on ${this.host}:${this.port}`
  }
}

/** After hello-ok. The core closes with 1009 on a first frame above 64 KiB. */
const maxFrameBytes = 25 * 1024 * 1024
/**
 * All that a link without a session may send: one frame of 64 KiB, and pings. The limit counts bytes as they arrive, because
 * `ws` keeps an unfinished frame in memory, up to `maxFrameBytes` of each link.
 */
const maxBytesWithoutSession = 128 * 1024
const socketOptions = {
  noServer: true,
  perMessageDeflate: false,
  maxPayload: maxFrameBytes,
  /** How long a client may take to answer a close frame, in milliseconds of real time. */
  closeTimeout: 1000
}

const attribution = JSON.stringify({
  error: {
    message: "Proxy client attribution is required. Configure gateway.trustedProxies narrowly for this proxy.",
    type: "proxy_attribution_required"
  }
})

const refuseUpgrade = (socket: Duplex, { body, status }: UpgradeRefusal) => {
  if (status === 0) return void socket.destroy()
  socket.once("finish", () => socket.destroy())
  socket.end([
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Refused"}`,
    "Connection: close",
    `Content-Type: ${body.startsWith("{") ? "application/json" : "text/plain"}; charset=utf-8`,
    `Content-Length: ${Buffer.byteLength(body, "utf8")}`,
    "",
    body
  ].join("\r\n"))
}

const single = (header: string | ReadonlyArray<string> | undefined) => typeof header === "string" ? header : header?.[0]

/** Also an IPv4 address in the notation of IPv6, which a trusted proxy may name. */
export const isLoopback = (address: string) => address === "::1" || /^(?:::ffff:)?127\./i.test(address)

/** The address of a client, or `undefined` when it stands in the header of a proxy that is not trusted. */
const addressOf = (request: IncomingMessage, trustedProxies: ReadonlyArray<string>): string | undefined => {
  const direct = (request.socket.remoteAddress ?? "127.0.0.1").replace(/^::ffff:/, "")
  const forwarded = single(request.headers["x-forwarded-for"])?.split(",")[0]?.trim()
  if (forwarded === undefined || forwarded === "") return direct
  return trustedProxies.includes(direct) ? forwarded : undefined
}

/** Hands one link to the gateway. All that the gateway sends in answer to one frame leaves in one packet. */
const join = (
  gateway: DevGateway.Interface,
  ws: WebSocket,
  socket: Duplex,
  address: string,
  request: IncomingMessage
) => {
  const origin = single(request.headers.origin)
  const packed = (act: () => void) => {
    socket.cork()
    act()
    socket.uncork()
  }
  packed(() => {
    const { hasSession, onClose, onText } = gateway.accept({
      sendUnsafe: (text) => ws.send(text),
      sendBinaryUnsafe: (bytes) => ws.send(bytes),
      close: (code, reason) => {
        if (code !== 1006) return ws.close(code, reason)
        socket.uncork() // frames that were sent before still leave
        ws.terminate()
      },
      remote: !isLoopback(address),
      address,
      headers: origin === undefined ? {} : { origin }
    })
    ws.on("message", (data) => packed(() => onText(data.toString())))
    ws.on("close", onClose)
    limit(ws, socket, hasSession)
  })
  ws.on("error", () => ws.terminate()) // a malformed frame ends the link of its client only
}

/** Closes a link with 1009 when it sends too much without a session, and discards all that still comes. */
const limit = (ws: WebSocket, socket: Duplex, hasSession: () => boolean) => {
  let bytes = 0
  socket.on("data", (data: Buffer) => {
    bytes = hasSession() ? 0 : bytes + data.length
    if (bytes <= maxBytesWithoutSession) return
    socket.removeAllListeners("data")
    socket.resume()
    ws.close(1009)
  })
}

const listen = (server: Server, host: string, port: number) =>
  Effect.callback<URL, ListenError>((resume) => {
    const failed = (cause: Error) => resume(Effect.fail(new ListenError({ host, port, cause })))
    server.once("error", failed)
    server.listen(port, host, () => {
      server.off("error", failed)
      const address = server.address()
      const bound = typeof address === "object" && address !== null ? address.port : port
      resume(Effect.succeed(new URL(`ws://${host.includes(":") ? `[${host}]` : host}:${bound}`)))
    })
  })

/**
 * Listens until the scope closes, and gives the URL to connect to. Closing the scope is a restart for the gateway: clients
 * get the shutdown event and 1012, sockets and port are closed at once, and the gateway can be served again.
 */
export const serve = Effect.fn("DevGatewayWs.serve")(function*(
  options: Options = {}
): Effect.fn.Return<URL, ListenError, DevGateway.DevGateway | Scope.Scope> {
  const gateway = yield* DevGateway.DevGateway
  const { host = "127.0.0.1", port = 0, trustedProxies = [] } = options
  const sockets = new Set<Duplex>()
  const webSockets = new WebSocketServer(socketOptions)
  const server = createServer(({ method, url = "" }, response) => {
    if (method === "GET" && url.startsWith("/api/")) {
      const { content, status, type } = gateway.file(url)
      response.writeHead(status, { "content-type": type, "content-length": content.length, "connection": "close" })
      return response.end(content)
    }
    if (method === "GET" && /\/j\/[^/]*$/.test(url)) {
      const { body, status } = gateway.join(url)
      response.writeHead(status, {
        "content-type": "application/json; charset=utf-8",
        "cache-control": "no-store",
        "content-length": Buffer.byteLength(body),
        "connection": "close"
      })
      return response.end(body)
    }
    response.writeHead(426, { "content-type": "text/plain; charset=utf-8", "connection": "close" })
    response.end("This port speaks WebSocket.\n")
  })
  server.on("connection", (socket) => {
    sockets.add(socket)
    socket.on("error", () => socket.destroy())
    socket.on("close", () => sockets.delete(socket))
  })
  server.on("upgrade", (request, socket, head) => {
    const address = addressOf(request, trustedProxies)
    const refusal = address === undefined ? { status: 403, body: attribution } : gateway.upgrade({ address })
    if (refusal !== undefined || address === undefined) {
      return refuseUpgrade(socket, refusal ?? { status: 403, body: "" })
    }
    webSockets.handleUpgrade(request, socket, head, (ws) => join(gateway, ws, socket, address, request))
  })
  const close = Effect.callback<void>((resume) => {
    server.close(() => resume(Effect.void))
    for (const socket of sockets) socket.destroy()
  })
  return yield* Effect.acquireRelease(
    listen(server, host, port),
    () => Effect.andThen(gateway.stop, Effect.andThen(close, gateway.start))
  )
})

/** The URL of the gateway that this layer serves. */
export class DevGatewayUrl extends Context.Service<DevGatewayUrl, URL>()("effect-openclaw/devgateway/DevGatewayWs") {
  static readonly layer = (options?: Options) => Layer.effect(DevGatewayUrl, serve(options))
}
