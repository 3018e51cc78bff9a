/**
 * `Transport` over the `ws` package, driven directly so that a frame reaches its handler in the socket's own callback.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import { WebSocket } from "ws"
import { printable } from "../protocol/Refusal.ts"
import { LinkError, UpgradeRejected } from "./LinkError.ts"
import type { LinkHandler, Target } from "./Transport.ts"
import { Transport } from "./Transport.ts"

/** The largest message that gateways send after hello. */
const maxPayloadBytes = 25 * 1024 * 1024
/** How long a peer may take to answer our close frame. Real time: the one timer of this library outside `Clock`. */
const closeGraceMs = 250
const upgradeBodyBytes = 2048

const dial = Effect.fnUntraced(function*(target: Target, handler: LinkHandler) {
  const opened = Deferred.makeUnsafe<void, LinkError | UpgradeRejected>()
  const state = { open: false, ended: false }
  // The first end counts. It goes to whoever waits: the dialling fiber, and once the link is open the handler.
  const end = (error: LinkError | UpgradeRejected) => {
    if (state.ended) return
    state.ended = true
    if (!Deferred.doneUnsafe(opened, Effect.fail(error)) && error._tag === "LinkError") handler.onClose(error)
  }
  const ws = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const socket = new WebSocket(target.url, {
        perMessageDeflate: false,
        maxPayload: maxPayloadBytes,
        ...(target.origin === undefined ? {} : { origin: target.origin })
      })
      let cause: Error | undefined
      socket.on("open", () => {
        state.open = true
        Deferred.doneUnsafe(opened, Effect.void)
      })
      socket.on("message", (data, isBinary) => {
        if (!state.ended) handler.onText(isBinary ? "" : data.toString())
      })
      socket.on("unexpected-response", (request, response) => {
        let body = ""
        response.setEncoding("utf8")
        const refused = () => {
          end(
            new UpgradeRejected({
              status: response.statusCode ?? 0,
              body: printable(body),
              location: withoutQuery(response.headers.location, target.url)
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
      })
      socket.on("close", (closeCode, reason) =>
        end(
          new LinkError({
            reason: state.open ? "Closed" : "Unreachable",
            phase: state.open ? "session" : "dial",
            closeCode: state.open ? closeCode : undefined,
            closeReason: state.open ? printable(reason.toString()) : undefined,
            errno: Predicate.hasProperty(cause, "code") && Predicate.isString(cause.code) ? cause.code : undefined,
            cause
          })
        ))
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
        socket.close(1000)
      })
  )
  yield* Deferred.await(opened)
  return {
    sendUnsafe: (text: string) => {
      if (ws.readyState !== WebSocket.OPEN) return false
      ws.send(text)
      return true
    },
    closeUnsafe: (code: number, reason: string) => ws.close(code, reason),
    pause: () => ws.pause(),
    resume: () => ws.resume()
  }
})

const withoutQuery = (location: string | undefined, base: URL): string | undefined => {
  if (location === undefined || !URL.canParse(location, base.href)) return undefined
  const url = new URL(location, base)
  return printable(`${url.origin}${url.pathname}`)
}

export const layer: Layer.Layer<Transport> = Layer.succeed(Transport, { dial })
