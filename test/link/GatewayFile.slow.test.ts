import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { IncomingMessage, ServerResponse } from "node:http"
import { createServer } from "node:http"
import * as GatewayFile from "../../src/link/GatewayFile.ts"
import { FileNotGiven } from "../../src/link/LinkError.ts"
import * as LinkSocket from "../../src/link/LinkSocket.ts"
import type { Target } from "../../src/link/Transport.ts"
import { trust } from "../support/Dialled.ts"
import { listening } from "../support/Listening.ts"
import * as Authority from "../support/TlsAuthority.ts"
import * as Front from "../support/TlsFront.ts"

const authority = Authority.authority("Test Authority")
const good = authority.issue()
const resources = { contextFor: LinkSocket.makeContexts() }
const get = (target: Omit<Target, "origin">, path: string, maxBytes = 100) =>
  GatewayFile.get({ origin: undefined, ...target }, path, maxBytes, resources)
const reasonOf = (effect: ReturnType<typeof get>) =>
  Effect.map(
    Effect.flip(effect),
    (error) =>
      error instanceof FileNotGiven
        ? [error.reason, error.status].filter((part) => part !== undefined).join(" ")
        : error._tag
  )

/** A server that answers with `answer`, and the requests that it got. */
const serving = Effect.fnUntraced(function*(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const asked: Array<IncomingMessage> = []
  const port = yield* listening(createServer((request, response) => {
    asked.push(request)
    answer(request, response)
  }))
  return { asked, url: new URL(`ws://127.0.0.1:${port}`) }
})
const file = "/api/chat/media/outgoing/agent%3Amain%3Amain/x/full?mediaTicket=v1.a_b-c"

/** How many connections this process holds open, at either end. */
const connections = () => process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length

describe("GatewayFile", () => {
  it.live("gets the bytes at a path of the gateway, over a connection of its own that is closed then", () =>
    Effect.gen(function*() {
      const content = Buffer.from([0, 1, 254, 255])
      const { asked, url } = yield* serving((_, response) => response.end(content))
      const bytes = yield* get({ url }, file)
      assert.deepStrictEqual([...bytes], [...content])
      assert.deepStrictEqual(asked.map(({ headers, method, url }) => [method, url, headers.host]), [
        ["GET", file, url.host]
      ])
      assert.notProperty(asked[0]?.headers, "origin")
      yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => connections() === 0 })
    }))

  it.live("takes no more than was asked for, whatever the answer says of its length", () =>
    Effect.gen(function*() {
      const answers: ReadonlyArray<(response: ServerResponse) => void> = [
        (response) => response.writeHead(200, { "content-length": 101 }).flushHeaders(),
        (response) => {
          response.write("x".repeat(50))
          response.write("x".repeat(51)) // chunked, and without an end
        }
      ]
      for (const answer of answers) {
        const { url } = yield* serving((_, response) => answer(response))
        assert.strictEqual(yield* reasonOf(get({ url }, file)), "TooLarge")
      }
      const { url } = yield* serving((_, response) => response.end("x".repeat(100)))
      assert.lengthOf(yield* get({ url }, file), 100)
    }))

  it.live("what ends early, is refused or leads elsewhere is an error", () =>
    Effect.gen(function*() {
      const early = yield* serving((_, response) => {
        response.writeHead(200, { "content-length": 10 })
        response.write("half", () => response.destroy())
      })
      assert.strictEqual(yield* reasonOf(get({ url: early.url }, file)), "Broken")
      const silent = yield* serving((request) => request.socket.destroy())
      assert.strictEqual(yield* reasonOf(get({ url: silent.url }, file)), "Broken")
      const other = yield* serving((_, response) => response.end("secret"))
      const moved = yield* serving((_, response) =>
        response.writeHead(302, { location: other.url.href.replace("ws", "http") }).end()
      )
      assert.strictEqual(yield* reasonOf(get({ url: moved.url }, file)), "Refused 302")
      assert.lengthOf(other.asked, 0)
      const closed = new URL(early.url)
      closed.port = "1"
      assert.strictEqual(yield* reasonOf(get({ url: closed }, file)), "LinkError")
    }))

  it.live("an address that is no path of the gateway is not asked", () =>
    Effect.gen(function*() {
      const { asked, url } = yield* serving((_, response) => response.end("secret"))
      const paths = [
        "",
        "/",
        "/config",
        "//evil.example/api/x",
        "http://evil.example/api/x",
        "https://127.0.0.1/api/x",
        "/api/../config",
        "/api/./x",
        "/api/%2e%2E/config",
        "/api/.%2e%2fconfig",
        "/api/x/%2e",
        "/api//evil.example",
        "/api/x/..",
        "/api/x\r\nx-injected: 1",
        "/api/x y",
        "/api/\\evil",
        `/api/${"x".repeat(5000)}`
      ]
      for (const path of paths) assert.strictEqual(yield* reasonOf(get({ url }, path)), "NotHere", path)
      assert.lengthOf(asked, 0)
    }))

  it.live("a gateway below a path of its host is asked there first", () =>
    Effect.gen(function*() {
      const { asked, url } = yield* serving((request, response) =>
        request.url?.startsWith("/claw/api/a") === true || request.url === "/api/b"
          ? response.end(request.url)
          : response.writeHead(404).end()
      )
      url.pathname = "/claw/"
      const at = (path: string) => Effect.map(get({ url }, path), (bytes) => new TextDecoder().decode(bytes))
      assert.strictEqual(yield* at("/api/a"), "/claw/api/a")
      assert.strictEqual(yield* at("/api/b"), "/api/b")
      assert.deepStrictEqual(asked.map((request) => request.url), ["/claw/api/a", "/claw/api/b", "/api/b"])
    }))

  it.live("G13: the gateway is recognised before the address or a header is written to it", () =>
    Effect.gen(function*() {
      const { asked, url } = yield* serving((_, response) => response.end("image"))
      const headers = [{ name: "X-Door", value: Redacted.make("open sesame") }]
      const front = yield* Front.serve(good, url)
      const target = { url: front.url, headers }
      const bytes = yield* get({ ...target, tls: trust({ ca: authority.certificate }) }, file)
      assert.strictEqual(new TextDecoder().decode(bytes), "image")
      assert.strictEqual(asked[0]?.headers["x-door"], "open sesame")
      assert.include((yield* front.next).received, "mediaTicket")
      const pins = [`sha256:${"0".repeat(64)}`]
      assert.strictEqual(yield* reasonOf(get({ ...target, tls: trust({ pins }) }, file)), "TlsPinMismatch")
      assert.strictEqual((yield* front.next).received, "")
      assert.strictEqual(yield* reasonOf(get(target, file)), "TlsUntrusted")
      assert.strictEqual((yield* front.next).received, "")
      // Without TLS anybody on the way could read them.
      yield* get({ url, headers }, file)
      assert.notProperty(asked[1]?.headers, "x-door")
    }))
})
