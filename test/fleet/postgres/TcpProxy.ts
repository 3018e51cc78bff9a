/**
 * A TCP proxy that can be cut: then it closes what is open, and takes nothing.
 */
import * as Effect from "effect/Effect"
import { connect, createServer, type Socket } from "node:net"

export interface TcpProxy {
  readonly port: number
  readonly setCut: (cut: boolean) => void
}

/** Until the scope closes. */
export const make = (target: { readonly host: string; readonly port: number }) => {
  const sockets = new Set<Socket>()
  let cut = false
  const server = createServer((near) => {
    near.on("error", () => near.destroy())
    if (cut) return near.destroy()
    const far = connect(target.port, target.host)
    far.on("error", () => far.destroy())
    for (const [one, other] of [[near, far], [far, near]] as const) {
      sockets.add(one)
      one.setNoDelay(true)
      one.pipe(other)
      one.on("close", () => {
        sockets.delete(one)
        other.destroy()
      })
    }
  })
  return Effect.acquireRelease(
    Effect.callback<TcpProxy>((resume) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(Effect.succeed({
          port: typeof address === "object" && address !== null ? address.port : 0,
          setCut: (to) => {
            cut = to
            if (to) { for (const socket of sockets) socket.destroy() }
          }
        }))
      })
    }),
    () =>
      Effect.sync(() => {
        server.close()
        for (const socket of sockets) socket.destroy()
      })
  )
}
