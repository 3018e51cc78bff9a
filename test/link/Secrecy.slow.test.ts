import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import { serve } from "../../src/devgateway/DevGatewayWs.ts"
import type { GatewayInput } from "../../src/handshake/GatewayConfig.ts"
import { check } from "../../src/handshake/GatewayConfig.ts"
import { Handshake } from "../../src/handshake/Handshake.ts"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import * as TransportWs from "../../src/link/TransportWs.ts"
import * as Device from "../support/Device.ts"
import * as HttpProxy from "../support/HttpProxy.ts"
import * as Loopback from "../support/LoopbackServer.ts"
import { observed, shown } from "../support/Observed.ts"
import * as Authority from "../support/TlsAuthority.ts"
import * as Front from "../support/TlsFront.ts"

const header = "unmistakable-header-value"
const token = "unmistakable-token"
const password = "unmistakable password"
const user = "unmistakable-user"
const phrase = "unmistakable-phrase"
const basic = Buffer.from(`${user}:${phrase}`).toString("base64")
const needles = ["unmistakable", basic, encodeURIComponent(password)]

const identity = Authority.authority("Test Authority").issue({ names: ["localhost", "gateway.example"] })
const other = Authority.selfSigned()
const headers = Redacted.make(`X-Front-Door: ${header}`)
const proxied = "wss://gateway.example"

/** One handshake with every kind of secret, and everything that was reported of it. */
const attempted = (input: GatewayInput, proxy = "") =>
  observed(
    Effect.gen(function*() {
      const handshake = yield* Handshake
      const device = yield* DeviceIdentity
      const plan = Device.plan(device, { credential: { _tag: "SharedToken", token: Device.token(token) } }, {
        headers,
        token: Redacted.make(token),
        password: Redacted.make(password),
        tlsPins: identity.keyPin,
        ...input
      })
      const handler = { onText: () => {}, onClose: () => {} }
      return { plan, established: yield* handshake.connect(plan, Device.limits, handler) }
    }).pipe(
      Effect.scoped,
      Effect.provide(
        Layer.merge(Device.layer, Layer.provide(Handshake.layer, TransportWs.layerWith({ proxyFor: () => proxy })))
      )
    )
  )

const assertQuiet = (text: string) => {
  for (const needle of needles) assert.notInclude(text, needle)
}

describe("G25: a failed dial shows no secret", () => {
  const door = (answer: (request: string) => string) =>
    Loopback.upgrades((request, socket) => void socket.end(answer(request.rawHeaders.join(" "))))
  const echo = door((request) =>
    Loopback.answer("302 Found", [`Location: https://${user}:${phrase}@login.example/?${header}`], request)
  )
  const behind = (shown: Authority.Identity) =>
    Effect.flatMap(echo, (upstream) => Effect.map(Front.serve(shown, upstream), (front) => front.url.href))
  const proxyUrl = (port: number) => `http://${user}:${phrase}@127.0.0.1:${port}`

  const cases: ReadonlyArray<
    readonly [string, string, Effect.Effect<Effect.Success<ReturnType<typeof attempted>>, never, Scope.Scope>]
  > = [
    [
      "another certificate than the pinned one",
      "TlsPinMismatch",
      Effect.flatMap(behind(other), (url) => attempted({ url }))
    ],
    [
      "a certificate that nobody vouches for",
      "TlsUntrusted",
      Effect.flatMap(behind(other), (url) => attempted({ url, tlsPins: undefined }))
    ],
    [
      "a front door that shows the request it refuses",
      "UpgradeRejected",
      Effect.flatMap(behind(identity), (url) => attempted({ url }))
    ],
    [
      "a proxy that wants another password",
      "ProxyRejected",
      Effect.flatMap(HttpProxy.serve({ credentials: "a:b" }), ({ port }) => attempted({ url: proxied }, proxyUrl(port)))
    ],
    [
      "a proxy that is not there",
      "LinkError",
      Effect.flatMap(Effect.scoped(HttpProxy.serve({})), ({ port }) => attempted({ url: proxied }, proxyUrl(port)))
    ],
    [
      "a proxy of an unknown kind",
      "ProxyRejected",
      attempted({ url: proxied }, `socks5://${user}:${phrase}@127.0.0.1:1`)
    ],
    [
      "a gateway that answers nonsense",
      "LinkError",
      Effect.flatMap(
        door((request) => `${request}\r\n\r\n`),
        (upstream) => Effect.flatMap(Front.serve(identity, upstream), ({ url }) => attempted({ url: url.href }))
      )
    ]
  ]
  it.live.each(cases)("%s", ([, tag, run]) =>
    Effect.gen(function*() {
      const { exit, spans, told } = yield* run
      assert.isTrue(Exit.isFailure(exit))
      assert.include(shown(exit), tag)
      assert.include(told.join("\n"), "connection attempt failed")
      assert.include(spans, "Handshake.connect")
      assertQuiet(`${shown(exit)}\n${told.join("\n")}`)
    }))

  it.live("nor does a handshake that succeeds, with a pinned certificate and through a proxy", () =>
    Effect.gen(function*() {
      const front = yield* Front.serve(identity, yield* serve())
      const proxy = yield* HttpProxy.serve({ onward: front.port, credentials: `${user}:${phrase}` })
      const { exit, told } = yield* attempted({ url: proxied }, proxyUrl(proxy.port))
      assert.isTrue(Exit.isSuccess(exit), shown(exit))
      if (Exit.isFailure(exit)) return
      const { established, plan } = exit.value
      assert.isAtLeast(established.hello.protocol, 3)
      assertQuiet(`${shown(plan)}\n${told.join("\n")}`)
      assert.deepStrictEqual(proxy.asked, [{ authority: "gateway.example:443", authorization: `Basic ${basic}` }])
      assert.include((yield* front.next).received, `X-Front-Door: ${header}\r\n`)
    }).pipe(
      Effect.provide(DevGateway.layerTest({ operatorToken: Redacted.make(token), seeded: false }))
    ))

  it("nor do settings that are refused", () => {
    const url = `https://${user}:${phrase}@gateway.example/?token=${token}`
    const inputs: ReadonlyArray<GatewayInput> = [
      { url },
      { url: proxied, tlsPins: url, tlsTrust: url, tlsAuthorities: url, headers: Redacted.make(url) },
      { url: proxied, headers: Redacted.make(`Host: ${header}`) },
      { url: `ws://${user}:${phrase}@gateway.lan`, plaintextHost: url }
    ]
    for (const input of inputs) {
      const result = check(input)
      assert.strictEqual(result._tag, "Failure")
      assertQuiet(shown(result))
    }
  })
})
