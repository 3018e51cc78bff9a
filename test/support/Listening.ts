/**
 * A server on a free port of loopback for as long as a scope lasts; its end destroys every socket and frees the port.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Server } from "node:net"
import type { Duplex } from "node:stream"

/** Sockets that end with their server. An error on one of them is for its peer to tell. */
export interface Kept {
  readonly keep: <A extends Duplex>(socket: A) => A
  readonly destroy: () => void
}

export const kept = (): Kept => {
  const sockets = new Set<Duplex>()
  return {
    keep: (socket) => {
      sockets.add(socket)
      socket.on("error", () => {})
      socket.once("close", () => sockets.delete(socket))
      return socket
    },
    destroy: () => {
      for (const socket of sockets) socket.destroy()
    }
  }
}

/** The port. Connections to the server are kept by themselves. */
export const listening = (
  server: Server,
  { destroy, keep }: Kept = kept()
): Effect.Effect<number, never, Scope.Scope> => {
  server.on("connection", keep)
  return Effect.acquireRelease(
    Effect.callback<number>((resume) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(Effect.succeed(address === null || typeof address === "string" ? 0 : address.port))
      })
    }),
    () =>
      Effect.callback<void>((resume) => {
        destroy()
        server.close(() => resume(Effect.void))
      })
  )
}
