import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import type { IncomingMessage } from "node:http"
import { Socket } from "node:net"
import type { Duplex } from "node:stream"
import type { WebSocket } from "ws"
import { type Target, Transport } from "../../src/link/Transport.ts"
import * as TransportWs from "../../src/link/TransportWs.ts"
import * as Dial from "../support/Dialled.ts"
import * as Loopback from "../support/LoopbackServer.ts"

/** Dials and keeps what arrives. */
const dialled = (url: URL, origin?: string) => Dial.dialled({ url, origin })

/** A server and its links, in order of arrival. */
const serving = Effect.fnUntraced(function*(onLink: (link: WebSocket) => void = () => {}) {
  const arrived = yield* Queue.unbounded<{ readonly link: WebSocket; readonly request: IncomingMessage }>()
  const url = yield* Loopback.links((link, request) => {
    onLink(link)
    Queue.offerUnsafe(arrived, { link, request })
  })
  return { url, next: Queue.take(arrived) }
})

const refusing = (answer: string) => Loopback.upgrades((_, socket) => void socket.end(answer))

const failure = (url: URL) => Effect.flip(dialled(url))

/** Waits until the client's side of the connection has ended, and destroys ours. */
const gone = (socket: Duplex) =>
  Effect.callback<void>((resume) => {
    socket.once("close", () => resume(Effect.void))
    if (socket.readableEnded) socket.destroy()
    else socket.once("end", () => socket.destroy())
  })

const closedBy = (link: WebSocket) =>
  Effect.callback<number>((resume) => void link.once("close", (code) => resume(Effect.succeed(code))))

/** How many connections this process holds open, at either end. */
const connections = () => process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length

const provided = <A, E>(effect: Effect.Effect<A, E, Transport | Scope.Scope>) =>
  Effect.provide(effect, TransportWs.layer)

describe("TransportWs", () => {
  it.live("carries text both ways, in order, and does not lose the server's first message", () =>
    provided(Effect.gen(function*() {
      const server = yield* serving((link) => {
        link.send("challenge")
        link.on("message", (data) => link.send(`echo ${data.toString()}`))
      })
      const { link, texts } = yield* dialled(server.url)
      assert.isTrue(link.sendUnsafe("one"))
      assert.isTrue(link.sendUnsafe("zwei – 二 – 😀"))
      assert.deepStrictEqual(yield* Queue.takeN(texts, 3), ["challenge", "echo one", "echo zwei – 二 – 😀"])
    })))

  for (const sendsAtOnce of [false, true]) {
    const how = sendsAtOnce ? "each leave at once where their owner wants it" : "leave together and in order"
    it.live(`answers to messages that came together ${how}, the farewell behind them`, () =>
      provided(Effect.gen(function*() {
        const count = 50
        const server = yield* serving()
        const transport = yield* Transport
        const answer: { send: (text: string) => void } = { send: () => {} }
        const link = yield* transport.dial({ url: server.url, origin: undefined, sendsAtOnce }, {
          onText: (text) => answer.send(text),
          onClose: () => {}
        })
        answer.send = (text) => {
          link.sendUnsafe(`re ${text}`)
          if (text === String(count - 1)) link.closeUnsafe(4001, "done")
        }
        const { link: peer, request } = yield* server.next
        const heard: Array<string> = []
        // Both ends are in this process, and what one reads may have been written in many pieces.
        let writes = 0
        for (const name of ["_write", "_writev"]) {
          const original = Reflect.get(Socket.prototype, name)
          const counting = new Proxy(original, {
            apply: (write, socket: Socket, args) => {
              if (String(socket.remotePort) === server.url.port) writes++
              return Reflect.apply(write, socket, args)
            }
          })
          Reflect.set(Socket.prototype, name, counting)
          yield* Effect.addFinalizer(() => Effect.sync(() => Reflect.set(Socket.prototype, name, original)))
        }
        peer.on("message", (data) => void heard.push(data.toString()))
        request.socket.cork()
        for (let number = 0; number < count; number++) peer.send(String(number))
        request.socket.uncork()
        assert.strictEqual(yield* closedBy(peer), 4001)
        assert.deepStrictEqual(heard, Array.from({ length: count }, (_, number) => `re ${number}`))
        if (sendsAtOnce) assert.isAtLeast(writes, count)
        else assert.isAtMost(writes, 5)
        assert.isAbove(writes, 0)
      })))
  }

  it.live("a binary message arrives as empty text", () =>
    provided(Effect.gen(function*() {
      const server = yield* serving((link) => {
        link.send(Uint8Array.of(1, 2, 3))
        link.send("after")
      })
      const { texts } = yield* dialled(server.url)
      assert.deepStrictEqual(yield* Queue.takeN(texts, 2), ["", "after"])
    })))

  it.live("leaves what the peer knows of ours out of its close reason and its refusal, also what one line would change", () =>
    provided(Effect.gen(function*() {
      const secret = "two  blanks\tand a tab"
      const target = (url: URL): Target => ({ url, origin: undefined, secrets: [Redacted.make(secret)] })
      const server = yield* serving((link) => link.close(1008, `no ${secret}!`))
      const { ended } = yield* Dial.dialled(target(server.url))
      assert.strictEqual((yield* ended).closeReason, "no [redacted]!")
      const body = `no ${secret}!`
      const door = yield* refusing(
        `HTTP/1.1 403 Forbidden\r\nContent-Length: ${body.length}\r\nLocation: https://door.test/${
          encodeURIComponent(secret)
        }\r\n\r\n${body}`
      )
      const { error } = yield* Dial.refused(target(door))
      assert.deepInclude({ ...error }, { body: "no [redacted]!", location: "https://door.test/[redacted]" })
    })))

  it.live("reports the peer's close with its code and a printable reason, once", () =>
    provided(Effect.gen(function*() {
      const server = yield* serving((link) => link.close(1012, "service\u001b[31m restart\u202e"))
      const { closes, ended, link } = yield* dialled(server.url)
      const error = yield* ended
      assert.deepInclude({ ...error }, { reason: "Closed", phase: "session", closeCode: 1012 })
      assert.strictEqual(error.closeReason, "service\\u{1b}[31m restart\\u{202e}")
      assert.isFalse(link.sendUnsafe("too late"))
      assert.lengthOf(closes, 1)
    })))

  it.live("a link that breaks without a close frame ends with 1006", () =>
    provided(Effect.gen(function*() {
      const server = yield* serving()
      const { ended } = yield* dialled(server.url)
      ;(yield* server.next).link.terminate()
      assert.strictEqual((yield* ended).closeCode, 1006)
    })))

  it.live("closeUnsafe reaches the peer, and the end is reported as usual", () =>
    provided(Effect.gen(function*() {
      const server = yield* serving()
      const { ended, link } = yield* dialled(server.url)
      const peer = yield* Effect.forkScoped(closedBy((yield* server.next).link), { startImmediately: true })
      link.closeUnsafe(4000, "tick timeout")
      assert.strictEqual(yield* Fiber.join(peer), 4000)
      assert.strictEqual((yield* ended).closeCode, 4000)
    })))

  it.live("a refused connection fails with the system's error name", () =>
    provided(Effect.gen(function*() {
      const url = yield* Effect.scoped(Effect.map(serving(), (server) => server.url))
      const error = yield* failure(url)
      assert.isTrue(error._tag === "LinkError")
      if (error._tag !== "LinkError") return
      assert.deepInclude({ ...error }, { reason: "Unreachable", phase: "dial", errno: "ECONNREFUSED" })
      assert.isUndefined(error.closeCode)
    })))

  it.live("a connection dropped during the upgrade is HungUp", () =>
    provided(Effect.gen(function*() {
      const url = yield* Loopback.upgrades((_, socket) => void socket.destroy())
      const error = yield* failure(url)
      assert.isTrue(error._tag === "LinkError" && error.reason === "HungUp" && error.errno === "ECONNRESET")
    })))

  it.live("G28: a refused upgrade has status and body", () =>
    provided(Effect.gen(function*() {
      const error = yield* failure(
        yield* refusing(Loopback.answer("503 Busy", [], "Too many unauthenticated\u0007 sockets"))
      )
      assert.isTrue(error._tag === "UpgradeRejected")
      if (error._tag !== "UpgradeRejected") return
      assert.strictEqual(error.status, 503)
      assert.strictEqual(error.body, "Too many unauthenticated\\u{7} sockets")
      assert.isUndefined(error.location)
    })))

  it.live("G25 G28: a redirect shows its target without the query, which may hold credentials", () =>
    provided(Effect.gen(function*() {
      const location = "Location: https://team.cloudflareaccess.com/cdn-cgi/access/login?kid=secret-in-query#x"
      const error = yield* failure(yield* refusing(Loopback.answer("302 Found", [location], "")))
      assert.isTrue(error._tag === "UpgradeRejected" && error.status === 302)
      assert.notInclude(JSON.stringify(error) + error.message, "secret-in-query")
      assert.include(error.message, "https://team.cloudflareaccess.com/cdn-cgi/access/login")
    })))

  it.live("G28: a long body is cut, and a body without an end does not delay the failure", () =>
    provided(Effect.gen(function*() {
      const url = yield* Loopback.upgrades((_, socket) => {
        socket.write(`HTTP/1.1 403 Forbidden\r\nContent-Length: 1000000\r\n\r\n${"x".repeat(5_000)}`)
      })
      const error = yield* failure(url)
      assert.isTrue(error._tag === "UpgradeRejected" && error.status === 403 && error.body.length === 300)
    })))

  it.live("sends no Origin header unless one is set", () =>
    provided(Effect.gen(function*() {
      const server = yield* serving()
      yield* dialled(server.url)
      assert.notProperty((yield* server.next).request.headers, "origin")
      yield* dialled(server.url, "https://agent.example")
      assert.strictEqual((yield* server.next).request.headers.origin, "https://agent.example")
    })))

  it.live("offers no compression, and sends no path or query but the URL's own", () =>
    provided(Effect.gen(function*() {
      const server = yield* serving()
      yield* dialled(new URL("/gateway?x=1", server.url))
      const { request } = yield* server.next
      assert.notProperty(request.headers, "sec-websocket-extensions")
      assert.strictEqual(request.url, "/gateway?x=1")
    })))
})

describe("the end of a link", () => {
  it.live("closing the scope sends 1000 to the peer and does not call the handler", () =>
    provided(Effect.gen(function*() {
      const server = yield* serving()
      const scope = yield* Scope.make()
      const { closes } = yield* Scope.provide(dialled(server.url), scope)
      const peer = yield* Effect.forkScoped(closedBy((yield* server.next).link), { startImmediately: true })
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* Fiber.join(peer), 1000)
      assert.deepStrictEqual(closes, [])
    })))

  it.live("G20: closing the scope ends the socket within the grace, even if the peer never answers", () =>
    provided(Effect.gen(function*() {
      const sockets = yield* Queue.unbounded<Duplex>()
      const url = yield* Loopback.upgrades((request, socket) => {
        socket.write(Loopback.accepted(request))
        socket.resume()
        Queue.offerUnsafe(sockets, socket)
      })
      const before = connections()
      const scope = yield* Scope.make()
      const { closes } = yield* Scope.provide(dialled(url), scope)
      const socket = yield* Queue.take(sockets)
      const startedMs = performance.now()
      yield* Scope.close(scope, Exit.void)
      const tookMs = performance.now() - startedMs
      assert.isTrue(tookMs >= 200 && tookMs < 900, `${tookMs}`)
      yield* gone(socket)
      assert.strictEqual(connections(), before)
      assert.deepStrictEqual(closes, [])
    })))

  it.live("a paused link holds messages back, and still closes", () =>
    provided(Effect.gen(function*() {
      const server = yield* serving()
      const scope = yield* Scope.make()
      const { link, texts } = yield* Scope.provide(dialled(server.url), scope)
      const far = (yield* server.next).link
      link.pause()
      yield* Effect.callback<void>((resume) => far.send("held", () => resume(Effect.void)))
      // After the round trips of another link, the message has reached this process.
      const other = yield* dialled(server.url)
      const echo = (yield* server.next).link
      for (const text of ["one", "two", "three"]) {
        echo.send(text)
        assert.strictEqual(yield* Queue.take(other.texts), text)
      }
      assert.strictEqual(yield* Queue.size(texts), 0)
      link.resume()
      assert.strictEqual(yield* Queue.take(texts), "held")
      link.pause()
      far.send("never read")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* Queue.size(texts), 0)
    })))

  it.live("a dial interrupted while connecting leaves no handle", () =>
    provided(Effect.gen(function*() {
      const sockets = yield* Queue.unbounded<Duplex>()
      const url = yield* Loopback.upgrades((_, socket) => void Queue.offerUnsafe(sockets, socket.resume()))
      const before = connections()
      const fiber = yield* Effect.forkScoped(Effect.scoped(dialled(url)))
      const socket = yield* Queue.take(sockets)
      yield* Fiber.interrupt(fiber)
      yield* gone(socket)
      assert.strictEqual(connections(), before)
    })))

  it.live("a failed dial leaves no handle either", () =>
    provided(Effect.gen(function*() {
      const sockets = yield* Queue.unbounded<Duplex>()
      const url = yield* Loopback.upgrades((_, socket) => {
        socket.write(Loopback.answer("403 Forbidden", [], "no"))
        Queue.offerUnsafe(sockets, socket.resume())
      })
      const before = connections()
      assert.strictEqual((yield* Effect.scoped(failure(url)))._tag, "UpgradeRejected")
      yield* gone(yield* Queue.take(sockets))
      assert.strictEqual(connections(), before)
    })))
})
