import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import { createServer as createHttpServer } from "node:http"
import { createServer as createHttpsServer } from "node:https"
import { createServer, type Socket } from "node:net"
import { lookup } from "../../src/advice/ErrorCatalogue.ts"
import type { LinkReason } from "../../src/link/LinkError.ts"
import * as TransportWs from "../../src/link/TransportWs.ts"
import { dialled, outcome, refused } from "../support/Dialled.ts"
import { flood } from "../support/Flood.ts"
import { kept, listening } from "../support/Listening.ts"
import * as Authority from "../support/TlsAuthority.ts"

const { certificate, privateKey } = Authority.authority("Test Authority").issue()

/** A server that does this with each connection. */
const serving = (onSocket: (socket: Socket) => void) => Effect.suspend(() => listening(createServer(onSocket), kept()))
/** A server that answers the first bytes of each connection with these, and hangs up if told to. */
const answering = (bytes: string | ReadonlyArray<number>, hangUp = false) =>
  serving((socket) =>
    void socket.once("data", () => {
      const answer = typeof bytes === "string" ? bytes : Uint8Array.from(bytes)
      if (hangUp) socket.end(answer)
      else socket.write(answer)
    })
  )
const https = Effect.suspend(() => listening(createHttpsServer({ cert: certificate, key: privateKey }), kept()))
const http = Effect.suspend(() => listening(createHttpServer((_, response) => void response.end("hello")), kept()))
const ssh = serving((socket) => void socket.write("SSH-2.0-OpenSSH_9.6\r\n"))
const mail = serving((socket) => void socket.write("220 mail.example ESMTP\r\n"))
const silentClose = serving((socket) => void socket.once("data", () => socket.end()))
const reset = serving((socket) => void socket.once("data", () => socket.resetAndDestroy()))
const zeros = (length: number) => Array.from({ length }, () => 0)
const alert = [0x15, 3, 3, 0, 2, 2, 10]

const at = (scheme: "ws" | "wss", port: number) => ({
  url: new URL(`${scheme}://127.0.0.1:${port}`),
  origin: undefined
})
const plaintextRefused = (body: string) => `HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n${body}`

describe("a dial that fails says what is there", () => {
  it.live.each(
    [
      ["a TLS port of Nodejs, as the gateway's own", "ws", https, "LinkError/HungUp"],
      ["a TLS port that answers with an alert", "ws", answering(alert, true), "LinkError/NeedsTls"],
      [
        "nginx's TLS port",
        "ws",
        answering(plaintextRefused("<center>The plain HTTP request was sent to HTTPS port</center>"), true),
        "UpgradeRejected/SecureOnly"
      ],
      [
        "a TLS port of Go's",
        "ws",
        answering(plaintextRefused("Client sent an HTTP request to an HTTPS server.\n"), true),
        "UpgradeRejected/SecureOnly"
      ],
      ["any other 400", "ws", answering(plaintextRefused("no"), true), "UpgradeRejected/Other"],
      ["an SSH port", "ws", ssh, "LinkError/Ssh"],
      ["an SSH port that waits for the client", "ws", answering("SSH-2.0-x\r\n"), "LinkError/Ssh"],
      ["a mail server", "ws", mail, "LinkError/NotWebSocket"],
      ["garbage", "ws", answering([0, 1, 2, 0xff, 0xfe], true), "LinkError/NotWebSocket"],
      [
        "an upgrade that is not ours",
        "ws",
        answering(
          "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n"
        ),
        "LinkError/NotWebSocket"
      ],
      [
        "an upgrade to something else",
        "ws",
        answering("HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"),
        "LinkError/NotWebSocket"
      ],
      ["a server that hangs up", "ws", silentClose, "LinkError/HungUp"],
      ["a server that resets", "ws", reset, "LinkError/HungUp"],
      ["half an answer", "ws", answering("HTTP/1.1 101 Switching", true), "LinkError/HungUp"],
      ["a plain HTTP port", "wss", http, "LinkError/NotTls"],
      ["an SSH port", "wss", ssh, "LinkError/NotTls"],
      ["a mail server", "wss", mail, "LinkError/NotTls"],
      ["garbage", "wss", answering([0, 1, 2, 0xff, 0xfe], true), "LinkError/NotTls"],
      [
        "a record that is too long",
        "wss",
        answering([0x16, 3, 3, 0xff, 0xff, ...zeros(70_000)]),
        "LinkError/NotTls"
      ],
      ["a refusal", "wss", answering(alert, true), "LinkError/TlsFailed"],
      ["a server of TLS 1.0", "wss", answering([0x15, 3, 1, 0, 2, 2, 70], true), "LinkError/TlsFailed"],
      ["half a ServerHello", "wss", answering([0x16, 3, 3, 0, 80, 2, 0, 0, 76, 3, 3], true), "LinkError/HungUp"],
      ["a server that hangs up", "wss", silentClose, "LinkError/HungUp"],
      ["a server that resets", "wss", reset, "LinkError/HungUp"]
    ] as const
  )("%s, by %s://", ([, scheme, server, expected]) =>
    Effect.gen(function*() {
      const port = yield* server
      assert.strictEqual(yield* Effect.provide(outcome(at(scheme, port)), TransportWs.layer), expected)
    }))

  it.live("a TLS port that hangs up on ws:// is hinted at, and one that hangs up on TLS is not", () =>
    Effect.gen(function*() {
      const hint = /a port with TLS does that when the URL begins with ws:\/\//
      assert.match((yield* refused(at("ws", yield* https))).error.message, hint)
      assert.notMatch((yield* refused(at("wss", yield* silentClose))).error.message, hint)
    }).pipe(Effect.provide(TransportWs.layer)))

  it.live("a name without an address, in any spelling", () =>
    Effect.gen(function*() {
      for (const host of ["gateway.invalid", "gateway.invalid.", "a..b", "-.invalid", `${"x".repeat(64)}.invalid`]) {
        const { error, phases } = yield* refused({ url: new URL(`wss://${host}`), origin: undefined })
        assert.deepInclude({ ...error }, { _tag: "LinkError", reason: "UnknownHost", phase: "dial" }, host)
        assert.deepStrictEqual(phases, [])
      }
    }).pipe(Effect.provide(TransportWs.layer)))

  it.live.each(
    [["nothing", undefined], ["an SSH port", ssh], ["a TLS port", https], ["a mail server", mail]] as const
  )("%s in the place of the proxy", ([, server]) =>
    Effect.gen(function*() {
      const port = server === undefined ? 1 : yield* server
      const proxy = `127.0.0.1:${port}`
      const { error } = yield* Effect.provide(
        refused({ url: new URL("wss://gateway.example"), origin: undefined }),
        TransportWs.layerWith({ proxyFor: () => `http://${proxy}` })
      )
      assert.deepInclude({ ...error }, { _tag: "LinkError", reason: "ProxyUnreachable", phase: "dial", proxy })
    }))

  it("each with advice of its own", () => {
    const reasons: ReadonlyArray<LinkReason> = [
      "Unreachable",
      "UnknownHost",
      "HungUp",
      "NotTls",
      "NeedsTls",
      "TlsFailed",
      "Ssh",
      "NotWebSocket",
      "ProxyUnreachable",
      "TooLarge"
    ]
    assert.strictEqual(new Set(reasons.map((reason) => lookup("LinkError", reason)?.problem)).size, reasons.length)
    assert.match(lookup("LinkError", "HungUp")?.action ?? "", /TLS .* wss:\/\//)
    assert.match(lookup("LinkError", "NeedsTls")?.action ?? "", /wss:\/\//)
    assert.match(lookup("LinkError", "Ssh")?.command ?? "", /^ssh -N -L/)
  })
})

describe("hostile TLS", () => {
  const hello = [0x16, 3, 3, 0x40, 0, 2, 0, 0x3f, 0xfc, 3, 3]
  const flooding = (bytes: ReadonlyArray<number>) =>
    serving((socket) => {
      const many = Uint8Array.from(Array.from({ length: Math.ceil(16_384 / bytes.length) }, () => bytes).flat())
      socket.once("data", () => flood(socket, many))
    })

  it.live.each([["says half of its hello", false], ["drips it byte by byte", true]] as const)(
    "that %s is let go of when the dial is given up",
    ([, drips]) =>
      Effect.gen(function*() {
        const sockets = yield* Queue.unbounded<Socket>()
        const port = yield* serving((socket) =>
          void socket.once("data", () => {
            const drip = (error?: Error | null) => {
              if (error === undefined || error === null) setImmediate(() => void socket.write(Uint8Array.of(0), drip))
            }
            socket.write(Uint8Array.from(hello))
            if (drips) drip()
            Queue.offerUnsafe(sockets, socket.resume())
          })
        )
        const fiber = yield* Effect.forkScoped(Effect.scoped(dialled(at("wss", port))))
        const socket = yield* Queue.take(sockets)
        const gone = yield* Effect.forkScoped(
          Effect.callback<void>((resume) => void socket.once("close", () => resume(Effect.void))),
          { startImmediately: true }
        )
        yield* Fiber.interrupt(fiber)
        yield* Fiber.join(gone)
      }).pipe(Effect.provide(TransportWs.layer))
  )

  it.live.each(
    [
      ["warnings", [0x15, 3, 3, 0, 2, 1, 90]],
      ["empty records", [0x16, 3, 3, 0, 0]],
      ["zeros", zeros(1000)],
      ["handshake messages of no type", [0x16, 3, 3, 0, 4, 99, 0, 0, 0]],
      ["ServerHellos", [0x16, 3, 3, 0, 4, 2, 0, 0, 0]],
      ["a hello of 16 MiB", [0x16, 3, 3, 0x40, 0, 2, 0xff, 0xff, 0xff, ...zeros(16_380)]]
    ] as const
  )("of %s without an end ends the dial", ([, bytes]) =>
    Effect.gen(function*() {
      const port = yield* flooding(bytes)
      const { error } = yield* Effect.provide(refused(at("wss", port)), TransportWs.layer)
      assert.deepInclude({ ...error }, { _tag: "LinkError", phase: "tls" })
    }), { timeout: 3000 })
})
