/**
 * Small servers on loopback that a test holds both ends of.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { createHash } from "node:crypto"
import type { IncomingMessage } from "node:http"
import { createServer } from "node:http"
import type { Duplex } from "node:stream"
import type { WebSocket } from "ws"
import { WebSocketServer } from "ws"
import { listening } from "./Listening.ts"

/** Answers upgrades by hand. Closing the scope destroys every socket. */
export const upgrades = (
  onUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
): Effect.Effect<URL, never, Scope.Scope> => {
  const server = createServer()
  server.on("upgrade", onUpgrade)
  return Effect.map(listening(server), (port) => new URL(`ws://127.0.0.1:${port}`))
}

/** A WebSocket server: `onLink` gets each link with its upgrade request. */
export const links = (onLink: (link: WebSocket, request: IncomingMessage) => void) => {
  const server = new WebSocketServer({ noServer: true })
  return upgrades((request, socket, head) =>
    server.handleUpgrade(request, socket, head, (link) => {
      link.on("error", () => {})
      onLink(link, request)
    })
  )
}

/** What a server answers to accept an upgrade (RFC 6455, section 4.2.2), for a peer that then says nothing. */
export const accepted = (request: IncomingMessage): string => {
  const accept = createHash("sha1")
    .update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest("base64")
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`
}

/** A whole HTTP answer; `status` is the code and its phrase. */
export const answer = (status: string, headers: ReadonlyArray<string>, body: string): string =>
  [`HTTP/1.1 ${status}`, `Content-Length: ${Buffer.byteLength(body)}`, "Connection: close", ...headers, "", body]
    .join("\r\n")
