import * as Effect from "effect/Effect"
import { connect, createServer, type Server, type Socket } from "node:net"
import { InteropError } from "./InteropError.ts"

export interface RemoteProxy {
  /** Where a client dials to be a remote one. */
  readonly url: string
  /** Cuts every open connection without a close frame; later ones are served again. */
  readonly drop: Effect.Effect<void>
  /** From now on nothing that this side says arrives on the connections that are open; later ones are whole. */
  readonly lose: (side: "client" | "gateway") => Effect.Effect<void>
  /** The connections that are open now. */
  readonly open: Effect.Effect<number>
}

/** The loopback address from which the proxy reaches the gateway, and the only one that `trustedProxies` lists. */
export const proxyAddress = "127.0.0.2"

/** Where the gateway is told that the client is, unless a test says otherwise. */
export const remoteAddress = "10.1.2.3"

export interface ProxyOptions {
  /** Gateways lock an address out after some wrong credentials: a test that sends such takes one of its own. */
  readonly clientAddress?: string
}

const headEnd = "\r\n\r\n"

interface Connection {
  readonly client: Socket
  readonly gateway: Socket
}

/** Takes the connection at once, so that a gateway that is down looks like a refused or a cut connection. */
const forward = (client: Socket, port: number, clientAddress: string, connections: Set<Connection>) => {
  const upstream = connect({ host: "127.0.0.1", port, localAddress: proxyAddress })
  const connection = { client, gateway: upstream }
  connections.add(connection)
  for (const [socket, other] of [[client, upstream], [upstream, client]] as const) {
    socket.on("error", () => other.destroy())
    socket.on("close", () => {
      connections.delete(connection)
      other.destroy()
    })
  }
  let head = ""
  const onHead = (chunk: Buffer) => {
    head += chunk.toString("latin1")
    const end = head.indexOf(headEnd)
    if (end < 0) return
    client.off("data", onHead)
    upstream.write(`${head.slice(0, end)}\r\nx-forwarded-for: ${clientAddress}${head.slice(end)}`, "latin1")
    client.pipe(upstream)
    upstream.pipe(client)
  }
  client.on("data", onHead)
}

/**
 * A proxy on loopback that makes any client a remote one: it reaches the gateway from 127.0.0.2 and adds
 * `x-forwarded-for` to the upgrade request. It outlives restarts of the gateway. (On macOS 127.0.0.2 has to be added to
 * the loopback interface first.)
 */
export const proxy = Effect.fn("RemoteProxy.proxy")(function*(
  gateway: { readonly port: number },
  { clientAddress = remoteAddress }: ProxyOptions = {}
) {
  const connections = new Set<Connection>()
  const dropUnsafe = () => {
    for (const { client, gateway } of connections) {
      client.destroy()
      gateway.destroy()
    }
  }
  const listen = Effect.callback<Server, InteropError>((resume) => {
    const server = createServer((client) => forward(client, gateway.port, clientAddress, connections))
    server.once("error", (cause) => resume(Effect.fail(new InteropError({ step: "listen", detail: "proxy", cause }))))
    server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
  })
  const server = yield* Effect.acquireRelease(listen, (server) =>
    Effect.callback<void>((resume) => {
      server.close(() => resume(Effect.void))
      dropUnsafe()
    }))
  const address = server.address()
  if (address === null || typeof address === "string") {
    return yield* new InteropError({ step: "listen", detail: "proxy has no port" })
  }
  const made: RemoteProxy = {
    url: `ws://127.0.0.1:${address.port}`,
    drop: Effect.sync(dropUnsafe),
    lose: (side) =>
      Effect.sync(() => {
        for (const connection of connections) {
          // Read and thrown away, so that the end of the connection is still seen.
          connection[side].unpipe()
          connection[side].resume()
        }
      }),
    open: Effect.sync(() => connections.size)
  }
  return made
})
