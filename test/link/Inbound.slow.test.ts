import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import { createServer } from "node:net"
import type { Duplex } from "node:stream"
import type { WebSocket } from "ws"
import * as TransportWs from "../../src/link/TransportWs.ts"
import * as Dial from "../support/Dialled.ts"
import { flood } from "../support/Flood.ts"
import { kept, listening } from "../support/Listening.ts"
import * as Loopback from "../support/LoopbackServer.ts"

const kib = 1024
const mib = 1024 * kib

/** Dials a server that does this with each link. */
const dialled = Effect.fnUntraced(function*(onLink: (link: WebSocket) => void) {
  const far = yield* Queue.unbounded<WebSocket>()
  const url = yield* Loopback.links((link) => {
    Queue.offerUnsafe(far, link)
    onLink(link)
  })
  const dialled = yield* Effect.provide(Dial.dialled({ url, origin: undefined }), TransportWs.layer)
  return { ...dialled, far: yield* Queue.take(far) }
})

const tooLarge = { _tag: "LinkError", reason: "TooLarge", phase: "session" } as const

describe("What arrives before a limit is set", () => {
  it.live("may have 64 KiB, and no more", () =>
    Effect.gen(function*() {
      const { closes, link, far, ended, texts } = yield* dialled((link) => link.send("x".repeat(60 * kib)))
      assert.lengthOf(yield* Queue.take(texts), 60 * kib)
      assert.deepStrictEqual(closes, [])
      far.send("y".repeat(5 * kib))
      assert.deepInclude({ ...(yield* ended) }, tooLarge)
      assert.isFalse(link.sendUnsafe("too late"))
      assert.strictEqual(yield* Queue.size(texts), 0)
      assert.lengthOf(closes, 1)
    }))

  it.live("is cut off in the middle of a message of 25 MiB", () =>
    Effect.gen(function*() {
      const { ended, far, texts } = yield* dialled((link) => link.send("[".repeat(25 * mib)))
      assert.deepInclude({ ...(yield* ended) }, tooLarge)
      // Most of it never left the far side.
      assert.isAbove(far.bufferedAmount, 10 * mib)
      assert.strictEqual(yield* Queue.size(texts), 0)
    }))

  it.live("counts altogether: small messages, pongs and pieces of a message", () =>
    Effect.gen(function*() {
      const onLinks: ReadonlyArray<(link: WebSocket) => void> = [
        (link) => Array.from({ length: 1000 }, () => link.send("x".repeat(100))),
        (link) => Array.from({ length: 1000 }, () => link.pong("x".repeat(100))),
        (link) => Array.from({ length: 70 * kib }, (_, index) => link.send("", { fin: index === 70 * kib }))
      ]
      for (const onLink of onLinks) {
        const { ended } = yield* dialled(onLink)
        assert.deepInclude({ ...(yield* ended) }, tooLarge)
      }
    }))
})

describe("A limit", () => {
  it.live("on all that arrives counts from when it is set", () =>
    Effect.gen(function*() {
      const { ended, far, link, texts } = yield* dialled((link) => link.send("x".repeat(60 * kib)))
      yield* Queue.take(texts)
      link.limitUnsafe?.({ totalBytes: 4 * mib })
      far.send("y".repeat(3 * mib))
      assert.lengthOf(yield* Queue.take(texts), 3 * mib)
      far.send("z".repeat(2 * mib))
      assert.deepInclude({ ...(yield* ended) }, tooLarge)
      assert.strictEqual(yield* Queue.size(texts), 0)
    }))

  it.live("on messages takes any number up to it, and not the first above it", () =>
    Effect.gen(function*() {
      const { closes, ended, far, link, texts } = yield* dialled(() => {})
      link.limitUnsafe?.({ messageBytes: 100 * kib })
      for (let round = 0; round < 10; round++) far.send("x".repeat(100 * kib))
      yield* Queue.takeN(texts, 10)
      assert.deepStrictEqual(closes, [])
      far.send("é".repeat(50 * kib) + "x")
      far.send("after")
      assert.deepInclude({ ...(yield* ended) }, tooLarge)
      assert.strictEqual(yield* Queue.size(texts), 0)
    }))

  it.live("on messages is never above 25 MiB, whatever was set", () =>
    Effect.gen(function*() {
      const { ended, far, link, texts } = yield* dialled(() => {})
      link.limitUnsafe?.({ messageBytes: 1000 * mib })
      far.send(new Uint8Array(25 * mib))
      assert.strictEqual(yield* Queue.take(texts), "")
      far.send(new Uint8Array(25 * mib + 1))
      assert.deepInclude({ ...(yield* ended) }, tooLarge)
    }))

  it.live("on all that arrives replaces one on messages", () =>
    Effect.gen(function*() {
      const { ended, far, link, texts } = yield* dialled(() => {})
      link.limitUnsafe?.({ messageBytes: 1000 })
      link.limitUnsafe?.({ totalBytes: 10 * kib })
      far.send("x".repeat(9 * kib))
      assert.lengthOf(yield* Queue.take(texts), 9 * kib)
      far.send("x".repeat(2 * kib))
      assert.deepInclude({ ...(yield* ended) }, tooLarge)
    }))
})

describe("A peer that breaks the rules of WebSockets", () => {
  it.live("is let go of at once, even if it never closes", () =>
    Effect.gen(function*() {
      const reserved = Uint8Array.of(0x8f, 0)
      const url = yield* Loopback.upgrades((request, socket) => {
        socket.write(Loopback.accepted(request))
        socket.write(reserved)
        socket.resume()
      })
      const { closes, ended } = yield* Effect.provide(Dial.dialled({ url, origin: undefined }), TransportWs.layer)
      assert.deepInclude({ ...(yield* ended) }, { reason: "Closed", phase: "session", closeCode: 1006 })
      assert.lengthOf(closes, 1)
    }), { timeout: 3000 })

  it.live("is not read any further when it floods after a message that is too large", () =>
    Effect.gen(function*() {
      const sockets = yield* Queue.unbounded<Duplex>()
      const url = yield* Loopback.upgrades((request, socket) => {
        socket.write(Loopback.accepted(request))
        flood(socket, new Uint8Array(64 * kib))
        Queue.offerUnsafe(sockets, socket)
      })
      const gone = yield* Effect.scoped(Effect.gen(function*() {
        const { ended } = yield* Effect.provide(Dial.dialled({ url, origin: undefined }), TransportWs.layer)
        const socket = yield* Queue.take(sockets)
        yield* ended
        return Effect.callback<void>((resume) => {
          if (socket.destroyed) return resume(Effect.void)
          socket.once("close", () => resume(Effect.void))
        })
      }))
      yield* gone
    }), { timeout: 3000 })
})

describe("Answers that never end", () => {
  /** A server that answers whatever it is asked with this, again and again. */
  const answering = (answer: string) =>
    listening(createServer((socket) => void socket.once("data", () => flood(socket, answer))), kept())
  const failure = (port: number, proxyFor: (url: string) => string, host = "127.0.0.1") =>
    Effect.provide(
      Dial.refused({ url: new URL(`ws://${host}:${port}`), origin: undefined }),
      TransportWs.layerWith({ proxyFor })
    )

  it.live.each([
    ["100 Continue", ""],
    ["103 Early Hints", "Link: </style.css>\r\n"],
    ["102 Processing", `X-Long: ${"x".repeat(8000)}\r\n`]
  ])("of status %s to the upgrade are cut off at 64 KiB", ([status, headers]) =>
    Effect.gen(function*() {
      const port = yield* answering(`HTTP/1.1 ${status}\r\n${headers}\r\n`)
      const { error } = yield* failure(port, () => "")
      assert.deepInclude({ ...error }, { ...tooLarge, phase: "upgrade" })
    }), { timeout: 3000 })

  it.live("to a proxy's CONNECT end the dial: the first one counts", () =>
    Effect.gen(function*() {
      const port = yield* answering("HTTP/1.1 100 Continue\r\n\r\n")
      const { error } = yield* failure(1, () => `http://127.0.0.1:${port}`, "gateway.example")
      assert.deepInclude({ ...error }, { _tag: "ProxyRejected", status: 100 })
    }), { timeout: 3000 })

  it.live("in a header or in a body end the dial, too", () =>
    Effect.gen(function*() {
      const header = yield* answering(`HTTP/1.1 200 OK\r\nX-Long: ${"x".repeat(30 * kib)}`)
      assert.deepInclude({ ...(yield* failure(header, () => "")).error }, { _tag: "LinkError", phase: "upgrade" })
      const body = yield* answering("HTTP/1.1 403 No\r\nContent-Length: 1000000000\r\n\r\n")
      assert.deepInclude({ ...(yield* failure(body, () => "")).error }, { _tag: "UpgradeRejected", status: 403 })
    }), { timeout: 3000 })
})
