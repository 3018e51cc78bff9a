import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { request as httpRequest } from "node:http"
import { connect as tcpConnect, type Socket } from "node:net"
import { type ClientOptions, WebSocket } from "ws"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import { isLoopback, serve } from "../../src/devgateway/DevGatewayWs.ts"
import { at, device, type FakeLink, link } from "./FakeClient.ts"

const alice = device(1)
const layer = DevGateway.layerTest({ seeded: false })

/** What came from a real socket, and how it ended. */
interface Ending {
  readonly texts: ReadonlyArray<string>
  readonly code: number
  readonly reason: string
  readonly status: number | undefined
  readonly body: string
}

/** Opens a socket, calls `act` for every frame, and gives its end. */
const socket = (url: URL, act: (ws: WebSocket, text: string) => void = () => {}, options: ClientOptions = {}) =>
  Effect.callback<Ending>((resume) => {
    const ws = new WebSocket(url, options)
    const texts: Array<string> = []
    let status: number | undefined
    let body = ""
    ws.on("message", (data) => {
      texts.push(data.toString())
      act(ws, data.toString())
    })
    ws.on("unexpected-response", (_, response) => {
      status = response.statusCode
      response.on("data", (chunk) => {
        body += String(chunk)
      })
      response.on("end", () => resume(Effect.succeed({ texts, code: 1006, reason: "", status, body })))
    })
    ws.on("error", () => {})
    ws.on("close", (code, reason) => resume(Effect.succeed({ texts, code, reason: reason.toString(), status, body })))
    return Effect.sync(() => ws.terminate())
  })

/** Connects the hand-made client over a socket. */
const overSocket = (url: URL, options?: Parameters<FakeLink["connect"]>[1]) =>
  socket(url, (ws, text) => enter(ws, text, options))

/** Answers a challenge. */
const enter = (ws: WebSocket, text: string, options?: Parameters<FakeLink["connect"]>[1]) => {
  if (!text.includes(`"event":"connect.challenge"`)) return
  const client = link({
    accept: (peer) => {
      peer.sendUnsafe(text)
      return { onText: (frame) => ws.send(frame), onClose: () => {} }
    }
  })
  client.connect(alice, options)
}

describe("a real socket", () => {
  it.live("carries the handshake: pairing required, approved, hello-ok, closed by the scope", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const scope = yield* Scope.make()
      const url = yield* Scope.provide(serve(), scope)
      const refused = yield* overSocket(url)
      assert.strictEqual(refused.code, 1008)
      const [pending] = yield* gateway.pending
      assert.strictEqual(
        refused.reason,
        `pairing required: device is not approved yet (requestId: ${pending?.requestId})`
      )
      yield* gateway.approve(pending?.requestId ?? "")
      const living = yield* Effect.forkChild(overSocket(url))
      yield* gateway.awaitState(({ stats }) => stats.hellos === 1)
      const silent = yield* Effect.forkChild(socket(url))
      yield* gateway.awaitState(({ stats }) => stats.openPeers === 2)
      const before = process.hrtime.bigint()
      yield* Scope.close(scope, Exit.void)
      assert.isBelow(Number(process.hrtime.bigint() - before) / 1e6, 100)
      const ended = yield* Fiber.join(living)
      const other = yield* Fiber.join(silent)
      assert.strictEqual(at(JSON.parse(ended.texts.at(-1) ?? "{}"), "event"), "shutdown")
      assert.deepStrictEqual([ended.code, ended.reason, other.code], [1012, "service restart", 1012])
      assert.strictEqual((yield* socket(url)).code, 1006)
    }).pipe(Effect.provide(layer)))

  it.live("the gateway can be served again on the same port, with its pairings", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const first = yield* Effect.scoped(Effect.tap(serve(), (url) => overSocket(url)))
      const [pending] = yield* gateway.pending
      yield* gateway.approve(pending?.requestId ?? "")
      const url = yield* serve({ port: Number(first.port) })
      assert.strictEqual(url.href, first.href)
      yield* gateway.script({ closeWith: { code: 4000, reason: "enough" } })
      const again = yield* overSocket(url)
      assert.strictEqual(again.code, 4000)
      assert.strictEqual(at(JSON.parse(again.texts[1] ?? "{}"), "payload", "type"), "hello-ok")
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("closes with the code of the core: garbage 1000, oversized 1009, drop 1006", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const url = yield* serve()
      const sending = (text: string) => socket(url, (ws) => ws.send(text))
      assert.deepInclude(yield* sending("garbage"), { code: 1000, reason: "" })
      assert.strictEqual((yield* sending(" ".repeat(70 * 1024))).code, 1009)
      yield* gateway.script({ dropAt: "challenge" })
      assert.strictEqual((yield* socket(url)).code, 1006)
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("sends noise unchanged, binary too", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const url = yield* serve()
      yield* gateway.script({ noiseFrames: true })
      const { texts } = yield* socket(url, (ws, text) => text.includes("connect.challenge") ? ws.close() : undefined)
      assert.strictEqual(texts[0], `["x"]`)
      assert.lengthOf(texts, 7)
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("an event after hello-ok comes in the same packet", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const url = yield* serve()
      yield* gateway.script({ eventInSamePacketAsHello: true })
      const packet = yield* Effect.callback<string>((resume) => {
        const raw = tcpConnect(Number(url.port), "127.0.0.1")
        const client = link({
          accept: (peer) => {
            raw.on("data", (data) => {
              const text = data.toString()
              if (text.includes("hello-ok")) resume(Effect.succeed(text))
              const challenge = /\{"type":"event","event":"connect.challenge".*\}/.exec(text)?.[0]
              if (challenge === undefined) return
              peer.sendUnsafe(challenge)
              client.connect(alice, { token: "operator-token" })
            })
            return { onText: (text) => raw.write(masked(text)), onClose: () => {} }
          }
        })
        raw.write(
          "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        return Effect.sync(() => raw.destroy())
      })
      assert.include(packet, `"event":"health"`)
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("answers an upgrade with 403 and 503 and their bodies", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const url = yield* serve({ trustedProxies: ["127.0.0.2"] })
      const headers = { "x-forwarded-for": "10.1.2.3" }
      const attributed = yield* socket(url, undefined, { headers })
      assert.strictEqual(attributed.status, 403)
      assert.strictEqual(at(JSON.parse(attributed.body), "error", "type"), "proxy_attribution_required")
      yield* gateway.script({ upgradeRefusal: { status: 503, body: "Too many unauthenticated sockets" } })
      const full = yield* socket(url)
      assert.deepInclude(full, { status: 503, body: "Too many unauthenticated sockets" })
      yield* gateway.script({ dropAt: "challenge" })
      const proxied = yield* socket(url, undefined, { headers, localAddress: "127.0.0.2" })
      assert.deepInclude(proxied, { status: undefined, code: 1006 })
      assert.lengthOf(proxied.texts, 1)
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("a stopped gateway drops every connection; plain HTTP gets an explanation", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const url = yield* serve()
      const status = yield* Effect.callback<number | undefined>((resume) => {
        const plain = httpRequest(`http://127.0.0.1:${url.port}/`, (response) => {
          response.resume()
          resume(Effect.succeed(response.statusCode))
        })
        plain.end()
      })
      assert.strictEqual(status, 426)
      yield* gateway.stop
      assert.deepInclude(yield* socket(url), { code: 1006, status: undefined })
      yield* gateway.start
      yield* gateway.script({ closeWith: { code: 4000 } })
      assert.strictEqual((yield* overSocket(url, { token: "operator-token" })).code, 4000)
    }).pipe(Effect.scoped, Effect.provide(layer)))
})

it("knows an address of this machine in both notations", () => {
  const ours = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "::FFFF:127.0.0.1"]
  const others = ["10.0.0.1", "::ffff:10.0.0.1", "1.127.0.0", "::2", "x::ffff:127.0.0.1", ""]
  assert.deepStrictEqual([...ours, ...others].filter(isLoopback), ours)
})

describe("a client that has not authenticated", () => {
  const quick = DevGateway.layerTest({ seeded: false, handshakeDeadline: "3 seconds" })
  /** The head of a frame of 24 MiB, masked with zeros, and 1 MiB of it. */
  const unfinished = Buffer.concat([
    Buffer.from([0x81, 0x80 | 127, 0, 0, 0, 0, 1, 128, 0, 0, 0, 0, 0, 0]),
    Buffer.alloc(1024 * 1024, "a")
  ])

  /** Asks for an upgrade by hand, calls `act` for everything that comes, and gives all of it when the socket has closed. */
  const byHand = (url: URL, act: (socket: Socket, heard: string) => void, header = "X-None: 1") =>
    Effect.callback<string>((resume) => {
      const tcp = tcpConnect({ port: Number(url.port), host: "127.0.0.1", allowHalfOpen: true })
      let heard = ""
      tcp.on("data", (data) => {
        heard += data.toString("latin1")
        act(tcp, heard)
      })
      tcp.on("error", () => {})
      // It does not close its side, and writes on until the system says that the other side is closed.
      const writeOn = (error?: Error | null) => error ? undefined : void tcp.write("x", writeOn)
      tcp.on("end", writeOn)
      tcp.on("close", () => resume(Effect.succeed(heard)))
      tcp.write(`${upgradeRequest}${header}\r\n\r\n`)
      return Effect.sync(() => tcp.destroy())
    }).pipe(Effect.timeout("10 seconds"))

  it.live("cannot fill memory with an unfinished frame: it is closed with 1009", () =>
    Effect.gen(function*() {
      const url = yield* serve()
      let sent = false
      const heard = yield* byHand(url, (tcp, all) => {
        if (all.includes("connect.challenge") && !sent) sent = tcp.write(unfinished) || true
        if (all.includes(closeFrame(1009))) tcp.destroy()
      })
      assert.include(heard, closeFrame(1009))
    }).pipe(Effect.scoped, Effect.provide(quick)))

  it.live("cannot stay after it was refused, whatever it sends", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const url = yield* serve()
      let step = 0
      const heard = yield* byHand(url, (tcp, all) => {
        if (all.includes("connect.challenge") && step === 0) {
          step = 1
          tcp.write(masked(JSON.stringify({ type: "req", id: "1", method: "connect", params: {} })))
        }
        if (all.includes("invalid connect params") && step === 1) {
          step = 2
          tcp.write(unfinished)
        }
      })
      assert.include(heard, closeFrame(1008))
      assert.strictEqual((yield* gateway.stats).openPeers, 0)
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("may send more once it has its session", () =>
    Effect.gen(function*() {
      const url = yield* serve()
      const big = JSON.stringify({ type: "req", id: "2", method: "health", params: { pad: "x".repeat(1024 * 1024) } })
      const { texts } = yield* socket(url, (ws, text) => {
        if (text.includes("hello-ok")) ws.send(big)
        if (text.includes(`"id":"2"`)) ws.close()
        enter(ws, text, { token: "operator-token" })
      })
      assert.match(texts.at(-1) ?? "", /unexpected property 'pad'/)
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("has its socket closed when the upgrade is refused, even if it does not close it", () =>
    Effect.gen(function*() {
      const url = yield* serve()
      const heard = yield* byHand(url, () => {}, "X-Forwarded-For: 10.1.2.3")
      assert.match(heard, /^HTTP\/1.1 403 Forbidden/)
    }).pipe(Effect.scoped, Effect.provide(layer)))
})

const upgradeRequest = [
  "GET / HTTP/1.1",
  "Host: x",
  "Connection: Upgrade",
  "Upgrade: websocket",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  ""
].join("\r\n")

/** The first bytes of a server's close frame: its head without the length, and the code. */
const closeFrame = (code: number) => String.fromCharCode(code >> 8, code & 255)

describe("the port", () => {
  it.live("a port in use is a typed failure", () =>
    Effect.gen(function*() {
      const url = yield* serve()
      const error = yield* Effect.flip(serve({ port: Number(url.port) }))
      assert.strictEqual(error._tag, "ListenError")
      assert.strictEqual(error.message, `cannot listen on 127.0.0.1:${url.port}`)
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("connections that never ask for an upgrade do not delay the end", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const url = yield* Scope.provide(serve(), scope)
      const idle = tcpConnect(Number(url.port), "127.0.0.1")
      yield* Effect.callback<void>((resume) => void idle.once("connect", () => resume(Effect.void)))
      const closed = yield* Effect.forkChild(
        Effect.callback<void>((resume) => void idle.once("close", () => resume(Effect.void)))
      )
      idle.on("error", () => {})
      yield* Effect.yieldNow
      yield* Scope.close(scope, Exit.void)
      yield* Fiber.join(closed)
    }).pipe(Effect.provide(layer)))
})

/** A client's text frame, which has to be masked; the mask of zeros changes nothing. */
const masked = (text: string) => {
  const payload = Buffer.from(text, "utf8")
  const head = Buffer.from([0x81, 0x80 | 126, payload.length >> 8, payload.length & 255, 0, 0, 0, 0])
  return Buffer.concat([head, payload])
}
