import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { createServer, type RequestListener } from "node:http"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import { serve } from "../../src/devgateway/DevGatewayWs.ts"
import { check } from "../../src/handshake/GatewayConfig.ts"
import * as TransportWs from "../../src/link/TransportWs.ts"
import * as JoinUrl from "../../src/pairing/JoinUrl.ts"
import * as SetupCode from "../../src/pairing/SetupCode.ts"
import * as Interrupting from "../support/Interrupting.ts"
import { listening } from "../support/Listening.ts"
import * as Authority from "../support/TlsAuthority.ts"
import * as Front from "../support/TlsFront.ts"

const key = "A".repeat(22)
const gateway = DevGateway.layerTest({ seeded: false })

const opened = Effect.fnUntraced(function*(text: string, own: Parameters<typeof check>[0] = {}) {
  const pasted = Result.getOrThrow(SetupCode.parse(Redacted.make(text), yield* Clock.currentTimeMillis))
  if (pasted._tag !== "JoinUrl") return assert.fail(pasted._tag)
  const settings = Result.getOrThrow(check({ url: pasted.joinUrl.gatewayUrl, helloTimeout: "2 seconds", ...own }))
  return yield* JoinUrl.open(pasted.joinUrl, settings)
}, Effect.provide(TransportWs.layer))

/** A server that answers so, and what it was asked. */
const answering = Effect.fnUntraced(function*(answer: RequestListener) {
  const asked: Array<string> = []
  const port = yield* listening(createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    answer(request, response)
  }))
  return { asked, url: `http://127.0.0.1:${port}/base/j/${key}` }
})

const connections = () => process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length

describe("JoinUrl", () => {
  it.live("gives the code of a gateway once", () =>
    Effect.gen(function*() {
      const url = (yield* serve()).origin
      const { joinUrl = "", setupCode } = yield* (yield* DevGateway).setupCode({ publicUrl: url, joinUrl: true })
      const code = yield* opened(joinUrl)
      assert.deepStrictEqual<ReadonlyArray<string>>(code.urls, [url])
      assert.include(Buffer.from(setupCode, "base64url").toString(), Redacted.value(code.token))
      const again = yield* Effect.flip(opened(joinUrl))
      assert.strictEqual(again._tag === "JoinUrlRefused" ? again.reason : again._tag, "Used")
    }).pipe(Effect.scoped, Effect.provide(gateway)))

  it.live("asks at its own path, through the same certificate as the link, which has to be known", () =>
    Effect.gen(function*() {
      const authority = Authority.authority("Test Authority")
      const url = yield* serve()
      const front = yield* Front.serve(authority.issue(), url)
      const { joinUrl = "" } = yield* (yield* DevGateway).setupCode({ publicUrl: front.url.origin, joinUrl: true })
      assert.match(joinUrl, /^https:/)
      assert.strictEqual((yield* Effect.flip(opened(joinUrl)))._tag, "TlsUntrusted")
      const code = yield* opened(joinUrl, { tlsAuthorities: authority.certificate })
      assert.deepStrictEqual<ReadonlyArray<string>>(code.urls, [front.url.origin])
    }).pipe(Effect.scoped, Effect.provide(gateway)))

  const answers: ReadonlyArray<readonly [string, RequestListener, string]> = [
    ["a redirect", (_, response) => response.writeHead(302, { location: "http://127.0.0.1:1/" }).end(), "Refused 302"],
    ["a sign-in page", (_, response) => response.end("<html>sign in</html>"), "Malformed"],
    ["more than a code has", (_, response) => response.end("x".repeat(20_000)), "Unreadable"],
    ["half an answer", (_, response) => {
      response.writeHead(200, { "content-length": 100 })
      response.write("{")
      setImmediate(() => response.destroy())
    }, "Unreadable"],
    ["nothing", () => {}, "Unreadable"]
  ]
  it.live.each(answers)("tells of %s, and asks nobody else", ([, answer, expected]) =>
    Effect.gen(function*() {
      const { asked, url } = yield* answering(answer)
      const error = yield* Effect.flip(opened(url))
      const told = "reason" in error
        ? [error.reason, "status" in error ? error.status : ""].join(" ").trim()
        : "no reason"
      assert.strictEqual(told, expected)
      assert.deepStrictEqual(asked, [`GET /base/j/${key}`])
      for (const text of [error.message, JSON.stringify(error)]) assert.notInclude(text, key)
    }).pipe(Effect.scoped))

  it.live("leaves no connection, wherever it is interrupted", () =>
    Effect.gen(function*() {
      const { url } = yield* answering((_, response) => response.end("{}"))
      let steps = 0
      for (let k = 1; k === 1 || k <= steps; k++) {
        const interrupting = yield* Interrupting.at(k)
        const fiber = yield* interrupting.fork(Effect.exit(opened(url)))
        yield* Fiber.await(fiber)
        steps = Math.max(steps, interrupting.steps())
        yield* Effect.repeat(Effect.sleep("1 millis"), { until: () => connections() === 0 }).pipe(
          Effect.timeout("5 seconds")
        )
      }
      assert.isAbove(steps, 5)
    }).pipe(Effect.scoped), 60_000)
})
