/**
 * The HTTP server of Nodejs, with a limit on everything that a client could prolong, and on the places that it could take.
 */
import * as Duration from "effect/Duration"
import type { Server } from "node:http"
import { createServer } from "node:http"
import type { Socket } from "node:net"
import * as Places from "./Places.ts"

export interface Options {
  /** How long a client may take to send a request; 10 seconds unless set. */
  readonly requestTimeout?: Duration.Input
  /**
   * How long a client may take nothing of what waits for it; 2 minutes unless set, as a slow link takes megabytes in large
   * steps. More than 15 seconds, as a stream is silent for so long.
   */
  readonly drainTimeout?: Duration.Input
}

export interface Connections {
  readonly server: Server
  /** The connection has shown the token. */
  readonly tokenShown: (socket: Socket) => void
}

/** A browser uses a connection again at once, or not at all. */
const keepAliveTimeout = 5000
/** Those that are cut off count until they are closed. */
const maxConnections = 2 * (Places.limits.withToken + Places.limits.withoutToken)

export const make = (options: Options): Connections => {
  const requestTimeout = Duration.toMillis(options.requestTimeout ?? "10 seconds")
  const server = createServer({
    requestTimeout,
    headersTimeout: requestTimeout,
    keepAliveTimeout,
    connectionsCheckingInterval: requestTimeout / 4,
    maxHeaderSize: 16 * 1024
  })
  server.maxConnections = maxConnections
  // Nodejs starts it anew with each byte that comes or goes, also within one long write.
  server.timeout = Duration.toMillis(options.drainTimeout ?? "2 minutes")

  let places = Places.none
  let count = 0
  const numbers = new WeakMap<Socket, number>()
  const sockets = new Map<number, Socket>()
  const apply = (input: Places.Input) => {
    const [next, cut] = Places.step(places, input)
    places = next
    for (const connection of cut) sockets.get(connection)?.destroy()
  }
  server.on("connection", (socket) => {
    const connection = ++count
    numbers.set(socket, connection)
    sockets.set(connection, socket)
    socket.once("close", () => {
      sockets.delete(connection)
      apply({ is: "closed", connection })
    })
    apply({ is: "opened", connection })
  })
  return {
    server,
    tokenShown: (socket) => {
      const connection = numbers.get(socket)
      if (connection !== undefined) apply({ is: "tokenShown", connection })
    }
  }
}
