/**
 * A small HTTP proxy on loopback that knows CONNECT alone, and joins every host name to one port of this machine.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { createServer } from "node:http"
import { connect } from "node:net"
import { kept, listening } from "./Listening.ts"

export interface HttpProxy {
  readonly port: number
  /** What was asked for, in order: `host:port`, and the credentials that came along. */
  readonly asked: ReadonlyArray<{ readonly authority: string; readonly authorization: string | undefined }>
}

export interface Options {
  /** The port on loopback behind every name; without one a connection is taken and never answered. */
  readonly onward?: number
  /** `user:password`; others get 407. */
  readonly credentials?: string
  /** Answers with this status instead of connecting. */
  readonly refuse?: number
  /** Header lines of that answer. */
  readonly refuseWith?: string
}

export const serve = (
  { credentials, onward, refuse, refuseWith = "" }: Options
): Effect.Effect<HttpProxy, never, Scope.Scope> => {
  const asked: Array<{ readonly authority: string; readonly authorization: string | undefined }> = []
  const { destroy, keep } = kept()
  const server = createServer()
  server.on("connect", ({ headers, url = "" }, socket, head) => {
    const authorization = headers["proxy-authorization"]
    asked.push({ authority: url, authorization })
    const wanted = credentials === undefined ? undefined : `Basic ${Buffer.from(credentials).toString("base64")}`
    if (refuse !== undefined) {
      return void socket.end(`HTTP/1.1 ${refuse} No\r\n${refuseWith}Content-Length: 2\r\n\r\nno`)
    }
    if (authorization !== wanted) {
      return void socket.end('HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm="test"\r\nContent-Length: 0\r\n\r\n')
    }
    if (onward === undefined) return
    const far = keep(connect(onward, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n")
      far.write(head)
      socket.pipe(far)
      far.pipe(socket)
    }))
    far.once("close", () => socket.destroy())
    socket.once("close", () => far.destroy())
  })
  return Effect.map(listening(server, { destroy, keep }), (port) => ({ port, asked }))
}
