/**
 * What a gateway gives at a path of its HTTP side: images of its agent, by a short-lived address that it told over the link, and the
 * setup code of a join URL.
 *
 * Each fetch has a connection of its own to where the link goes, through the same proxy, recognised by the same certificate or pin,
 * and with the same headers of the settings. No other host is asked, whatever the gateway says, and no redirect is followed.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Http from "node:http"
import type { Socket } from "node:net"
import * as Connection from "./Connection.ts"
import type { DialError } from "./LinkError.ts"
import { FileNotGiven } from "./LinkError.ts"
import * as LinkSocket from "./LinkSocket.ts"
import type { Target } from "./Transport.ts"

/** A path below `/api/`, in the characters of RFC 3986, without empty parts, `.` and `..`, in whatever spelling. */
const isPath = (path: string): boolean =>
  /^\/api\/[\w\-.~!$&'()*+,;=:@%/?]{1,4096}$/.test(path)
  && !/\/(?:\.|%2e){0,2}(?:\/|%2f|%5c|\?|$)/i.test(path.slice("/api".length))

/** The path of a join URL, which a person gave. It is asked as it is. */
const isJoinPath = (path: string): boolean => /^(?:\/(?!\.{0,2}\/)[\w\-.~]{1,256}){0,16}\/j\/[\w-]{22}$/.test(path)

/**
 * The content of a file. A gateway behind a path of its host, as its URL may say, is asked below that path first. The scope of a call
 * ends its connection.
 */
export const get = (
  target: Target,
  path: string,
  maxBytes: number,
  resources: Connection.Resources
): Effect.Effect<Uint8Array, DialError | FileNotGiven> => {
  if (isJoinPath(path)) return getAt(target, path, maxBytes, resources)
  if (!isPath(path)) return Effect.fail(new FileNotGiven({ reason: "NotHere" }))
  const base = target.url.pathname.replace(/\/+$/, "")
  const at = (full: string) => getAt(target, full, maxBytes, resources)
  return base === "" ? at(path) : Effect.catchIf(
    at(`${base}${path}`),
    (error) => error._tag === "FileNotGiven" && error.status === 404,
    () => at(path)
  )
}

const getAt = Effect.fnUntraced(function*(
  target: Target,
  path: string,
  maxBytes: number,
  resources: Connection.Resources
) {
  const handles = yield* LinkSocket.makeHandles
  const socket = yield* Connection.open(target, resources, handles)
  // Loaded with the first file: it brings the whole of Nodejs's `fetch`, 20 ms.
  const { request } = yield* Effect.promise(() => import("node:http"))
  return yield* ask(request, socket, target, path, maxBytes)
}, Effect.scoped)

/** A `GET` over an open connection, with the headers of the settings on `wss:`. Its caller ends it. */
export const requestOn = (
  request: typeof Http.request,
  socket: Socket,
  { headers = [], url }: Target,
  path: string
): Http.ClientRequest => {
  const own = url.protocol === "wss:" ? headers : []
  return request({
    createConnection: () => socket,
    path,
    headers: {
      ...Object.fromEntries(own.map(({ name, value }) => [name, Redacted.value(value)])),
      host: url.host,
      "accept-encoding": "identity"
    }
  })
}

const ask = (
  request: typeof Http.request,
  socket: Socket,
  target: Target,
  path: string,
  maxBytes: number
): Effect.Effect<Uint8Array, FileNotGiven> =>
  Effect.callback((resume) => {
    const fail = (reason: FileNotGiven["reason"], status?: number) =>
      resume(Effect.fail(new FileNotGiven({ reason, ...(status === undefined ? {} : { status }) })))
    const asked = requestOn(request, socket, target, path)
    asked.on("error", () => fail("Broken"))
    asked.on("response", (response) => {
      const { headers: told, statusCode = 0 } = response
      if (statusCode !== 200) return fail("Refused", statusCode)
      if (Number(told["content-length"] ?? 0) > maxBytes) return fail("TooLarge")
      const pieces: Array<Uint8Array> = []
      let length = 0
      response.on("data", (piece: Uint8Array) => {
        length += piece.length
        if (length > maxBytes) return fail("TooLarge")
        pieces.push(piece)
      })
      // Also when it ends before it is whole.
      response.on("error", () => fail("Broken"))
      response.on("end", () => resume(Effect.succeed(Buffer.concat(pieces, length))))
    })
    asked.end()
  })
