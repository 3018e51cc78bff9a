import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import { createServer, type Socket } from "node:net"
import { inspect } from "node:util"
import * as ProxyTunnel from "../../src/link/ProxyTunnel.ts"
import type { Target } from "../../src/link/Transport.ts"
import * as TransportWs from "../../src/link/TransportWs.ts"
import { dialled, outcome, refused, trust } from "../support/Dialled.ts"
import * as HttpProxy from "../support/HttpProxy.ts"
import { listening } from "../support/Listening.ts"
import * as Loopback from "../support/LoopbackServer.ts"
import * as Authority from "../support/TlsAuthority.ts"
import * as Front from "../support/TlsFront.ts"

const authority = Authority.authority("Test Authority")
const identity = authority.issue({ names: ["gateway.example"] })
const secure: Target = {
  url: new URL("wss://gateway.example"),
  origin: undefined,
  tls: trust({ ca: authority.certificate })
}
const plain: Target = { url: new URL("ws://gateway.example:18789/x"), origin: undefined }

const greeting = Loopback.links((link) => link.send("challenge"))
const behindTls = Effect.flatMap(greeting, (upstream) => Front.serve(identity, upstream))

/** A transport whose every dial goes through `proxy`. */
const through = (proxy: string) => TransportWs.layerWith({ proxyFor: () => proxy })
const at = (proxy: HttpProxy.HttpProxy, credentials = "") => `http://${credentials}127.0.0.1:${proxy.port}`

describe("a proxy", () => {
  it.live("carries wss: it learns host and port only, and the certificate is that of the gateway", () =>
    Effect.gen(function*() {
      const front = yield* behindTls
      const proxy = yield* HttpProxy.serve({ onward: front.port })
      const { texts } = yield* Effect.provide(dialled(secure), through(at(proxy)))
      assert.strictEqual(yield* Queue.take(texts), "challenge")
      assert.deepStrictEqual(proxy.asked, [{ authority: "gateway.example:443", authorization: undefined }])
      const other = { ...secure, url: new URL("wss://other.example:8443") }
      assert.strictEqual(yield* Effect.provide(outcome(other), through(at(proxy))), "TlsUntrusted/HostMismatch")
      assert.strictEqual(proxy.asked[1]?.authority, "other.example:8443")
    }))

  it.live("carries ws in a tunnel too, so the request goes to the gateway and not to the proxy", () =>
    Effect.gen(function*() {
      const requests = yield* Queue.unbounded<string | undefined>()
      const upstream = yield* Loopback.links((_, request) => void Queue.offerUnsafe(requests, request.url))
      const proxy = yield* HttpProxy.serve({ onward: Number(upstream.port) })
      assert.strictEqual(yield* Effect.provide(outcome(plain), through(at(proxy))), "open")
      assert.strictEqual(yield* Queue.take(requests), "/x")
      assert.deepStrictEqual(proxy.asked.map(({ authority }) => authority), ["gateway.example:18789"])
    }))

  it.live("that requires a user name and password gets those of its URL, decoded", () =>
    Effect.gen(function*() {
      const front = yield* behindTls
      const proxy = yield* HttpProxy.serve({ onward: front.port, credentials: "jürgen:p@ss%:word" })
      const good = at(proxy, "j%C3%BCrgen:p%40ss%25%3Aword@")
      assert.strictEqual(yield* Effect.provide(outcome(secure), through(good)), "open")
      for (const wrong of ["", "j:%zz@"]) {
        const { error } = yield* Effect.provide(refused(secure), through(at(proxy, wrong)))
        assert.deepInclude({ ...error }, {
          _tag: "ProxyRejected",
          reason: "Credentials",
          status: 407,
          proxy: `127.0.0.1:${proxy.port}`
        })
      }
      assert.strictEqual(
        proxy.asked.at(-1)?.authorization,
        `Basic ${Buffer.from("j:%zz").toString("base64")}`
      )
    }))

  it.live.each([[403, "Refused"], [404, "Refused"], [502, "Unreachable"], [504, "Unreachable"]] as const)(
    "that answers %i is named as the one that refused",
    ([refuse, reason]) =>
      Effect.gen(function*() {
        const proxy = yield* HttpProxy.serve({ refuse })
        const { error, phases } = yield* Effect.provide(refused(secure), through(at(proxy)))
        assert.deepInclude({ ...error }, { _tag: "ProxyRejected", reason, status: refuse })
        assert.include(
          error.message,
          `the proxy 127.0.0.1:${proxy.port} did not connect to the gateway: status ${refuse}`
        )
        assert.deepStrictEqual(phases, [])
      })
  )

  it.live("that cannot be reached is named, too", () =>
    Effect.gen(function*() {
      const gone = yield* Effect.scoped(HttpProxy.serve({}))
      const { error } = yield* Effect.provide(refused(secure), through(at(gone)))
      const proxy = `127.0.0.1:${gone.port}`
      assert.deepInclude({ ...error }, { _tag: "LinkError", phase: "dial", errno: "ECONNREFUSED", proxy })
      assert.include(error.message, `through the proxy ${proxy}`)
    }))

  it.live("over TLS is trusted only with a known certificate, and gets no password before", () =>
    Effect.gen(function*() {
      const proxy = yield* HttpProxy.serve({ onward: 1, credentials: "user:sekrit" })
      const front = yield* Front.serve(authority.issue(), new URL(at(proxy)))
      const { error } = yield* Effect.provide(refused(secure), through(`https://user:sekrit@localhost:${front.port}`))
      assert.deepInclude({ ...error }, { _tag: "LinkError", phase: "dial", errno: "UNABLE_TO_VERIFY_LEAF_SIGNATURE" })
      assert.strictEqual((yield* front.next).received, "")
      assert.deepStrictEqual(proxy.asked, [])
    }))

  it.live("that never answers is released when the dial is given up", () =>
    Effect.gen(function*() {
      const sockets = yield* Queue.unbounded<Socket>()
      const port = yield* listening(createServer((socket) => void Queue.offerUnsafe(sockets, socket.resume())))
      const fiber = yield* Effect.forkScoped(
        Effect.provide(Effect.scoped(dialled(secure)), through(`http://127.0.0.1:${port}`))
      )
      const socket = yield* Queue.take(sockets)
      const ended = yield* Effect.forkScoped(
        Effect.callback<void>((resume) => void socket.once("close", () => resume(Effect.void))),
        { startImmediately: true }
      )
      yield* Fiber.interrupt(fiber)
      yield* Fiber.join(ended)
    }))

  it.live.each([
    "socks5://user:sekrit@127.0.0.1:1080",
    "http://user:sekrit@",
    "ftp://sekrit@proxy.example",
    "\u0000sekrit"
  ])(
    "that cannot be used, %j, is reported without a possible secret",
    (proxy) =>
      Effect.gen(function*() {
        const { error } = yield* Effect.provide(refused(secure), through(proxy))
        assert.deepInclude({ ...error }, { _tag: "ProxyRejected", reason: "Unusable" })
        assert.notInclude(`${error.message} ${JSON.stringify(error)} ${inspect(error)}`, "sekrit")
      })
  )

  it("does not show its password when it is printed", () => {
    const parsed = ProxyTunnel.parse("http://user:sekrit@proxy.example:3128")
    const printed = `${JSON.stringify(parsed)} ${inspect(parsed, { depth: 9 })}`
    assert.notInclude(printed, "sekrit")
    assert.notInclude(printed, Buffer.from("user:sekrit").toString("base64"))
    assert.include(printed, "proxy.example:3128")
  })
})

describe("which proxy", () => {
  /** Sets the environment of this process for the scope, without its other proxy variables. */
  const environment = (variables: Readonly<Record<string, string>>) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const before = Object.entries(process.env).filter(([name]) => /_proxy$/i.test(name))
        for (const [name] of before) delete process.env[name]
        Object.assign(process.env, variables)
        return before
      }),
      (before) =>
        Effect.sync(() => {
          for (const name of Object.keys(variables)) delete process.env[name]
          Object.assign(process.env, Object.fromEntries(before))
        })
    )
  const dial = (target: Target) => Effect.provide(outcome(target), TransportWs.layer)

  it.live("the standard variables choose by scheme, in either case, and ALL_PROXY is the default", () =>
    Effect.gen(function*() {
      const front = yield* behindTls
      const forTls = yield* HttpProxy.serve({ onward: front.port })
      const forPlain = yield* HttpProxy.serve({ refuse: 403 })
      yield* environment({ HTTPS_PROXY: at(forTls), http_proxy: at(forPlain) })
      assert.strictEqual(yield* dial(secure), "open")
      assert.strictEqual(yield* dial(plain), "ProxyRejected/Refused")
      assert.deepStrictEqual([forTls.asked.length, forPlain.asked.length], [1, 1])
      yield* environment({ ALL_PROXY: at(forPlain) })
      assert.strictEqual(yield* dial(secure), "ProxyRejected/Refused")
    }))

  it.live("a proxy without a scheme is asked in plain HTTP, for wss:// too", () =>
    Effect.gen(function*() {
      const front = yield* behindTls
      const proxy = yield* HttpProxy.serve({ onward: front.port, credentials: "user:sekrit" })
      yield* environment({ HTTPS_PROXY: `user:sekrit@127.0.0.1:${proxy.port}` })
      assert.strictEqual(yield* dial(secure), "open")
      assert.lengthOf(proxy.asked, 1)
    }))

  // 0.0.0.0 is reached without a look-up, is refused at once, and does not count as this machine.
  it.live.each(
    [
      ["0.0.0.0", 1],
      ["gateway.example,0.0.0.0:1", 1],
      ["gateway.example .0.0.0", 1],
      ["*", 1],
      [
        "0.0.0.0:1",
        2
      ],
      ["0.0.0.1", 1],
      ["", 1]
    ] as const
  )("NO_PROXY=%s is heeded for port %i", ([NO_PROXY, port]) =>
    Effect.gen(function*() {
      const proxy = yield* HttpProxy.serve({ refuse: 403 })
      const past = port === 1 && NO_PROXY !== "" && NO_PROXY !== "0.0.0.1"
      yield* environment({ HTTPS_PROXY: at(proxy), NO_PROXY })
      const target = { url: new URL(`wss://0.0.0.0:${port}`), origin: undefined }
      assert.strictEqual(yield* dial(target), past ? "LinkError/Unreachable" : "ProxyRejected/Refused")
      assert.lengthOf(proxy.asked, past ? 0 : 1)
    }))

  it.live("this machine is never reached through a proxy", () =>
    Effect.gen(function*() {
      const proxy = yield* HttpProxy.serve({ refuse: 403 })
      const url = yield* greeting
      for (const host of ["127.0.0.1", "localhost"]) {
        const target = { url: new URL(`ws://${host}:${url.port}`), origin: undefined }
        assert.strictEqual(yield* Effect.provide(outcome(target), through(at(proxy))), "open", host)
      }
      assert.deepStrictEqual(proxy.asked, [])
    }))
})
