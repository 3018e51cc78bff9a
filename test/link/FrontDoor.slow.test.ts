import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { inspect } from "node:util"
import { lookup } from "../../src/advice/ErrorCatalogue.ts"
import { recognise } from "../../src/link/FrontDoor.ts"
import type { UpgradeReason } from "../../src/link/FrontDoor.ts"
import * as TransportWs from "../../src/link/TransportWs.ts"
import * as UpgradeHeader from "../../src/link/UpgradeHeader.ts"
import { refused, trust } from "../support/Dialled.ts"
import * as Loopback from "../support/LoopbackServer.ts"
import * as Authority from "../support/TlsAuthority.ts"
import * as Front from "../support/TlsFront.ts"

const asked = new URL("wss://gateway.example")

describe("who refused an upgrade", () => {
  const attribution = JSON.stringify({ error: { message: "…", type: "proxy_attribution_required" } })
  const cases: ReadonlyArray<
    readonly [
      what: string,
      status: number,
      headers: Readonly<Record<string, string>>,
      body: string,
      expected: UpgradeReason
    ]
  > = [
    [
      "Access's redirect",
      302,
      { location: "https://team.cloudflareaccess.com/cdn-cgi/access/login/x" },
      "",
      "CloudflareAccess"
    ],
    ["Access's redirect on the same host", 302, { location: "/cdn-cgi/access/login?x" }, "", "CloudflareAccess"],
    ["Access's own header", 403, { "cf-access-domain": "gateway.example" }, "", "CloudflareAccess"],
    [
      "Access's challenge",
      401,
      { "www-authenticate": 'Cloudflare-Access resource_metadata="x"' },
      "",
      "CloudflareAccess"
    ],
    ["Cloudflare's refusal", 403, { "cf-ray": "8e1-FRA" }, "Forbidden", "CloudflareAccess"],
    ["a gateway that is down behind Cloudflare", 502, { "cf-ray": "8e1-FRA", "cf-access-x": "y" }, "", "Other"],
    ["a look-alike of Access", 302, { location: "https://cloudflareaccess.com.evil.example/" }, "", "SignIn"],
    ["a sign-in page", 302, { location: "https://login.example/?next=x" }, "", "SignIn"],
    ["a sign-in page on the same host", 303, { location: "/oauth2/sign_in" }, "", "SignIn"],
    ["basic authentication", 401, { "www-authenticate": "Basic realm=x" }, "", "SignIn"],
    ["a redirect without a place", 302, {}, "", "Other"],
    ["Tailscale's sign-in", 302, { location: "https://login.tailscale.com/a/x" }, "", "Tailscale"],
    ["another tailnet name", 308, { location: "https://host.tail1.ts.net/" }, "", "Tailscale"],
    ["OpenClaw's proxy attribution", 403, {}, attribution, "ProxyAttribution"],
    ["OpenClaw when it is full", 503, {}, "Too many unauthenticated sockets", "GatewayFull"],
    ["any other 503", 503, {}, "busy", "Other"],
    ["not found", 404, {}, "", "Other"],
    ["a place that leads nowhere", 200, { location: "https://team.example" }, "", "Other"]
  ]
  const answer = (status: number, headers: Readonly<Record<string, string>>, body: string, url: URL) => ({
    status,
    headers,
    body,
    location: headers["location"] === undefined ? undefined : new URL(headers["location"], url)
  })
  it.each(cases)("G28: %s", (_, status, headers, body, expected) => {
    assert.strictEqual(recognise(answer(status, headers, body, asked), asked), expected)
  })

  it("G28: a redirect to https on the same host requires wss", () => {
    const plain = new URL("ws://gateway.lan:80")
    const secure = { location: "https://gateway.lan/" }
    assert.strictEqual(recognise(answer(301, secure, "", plain), plain), "SecureOnly")
    assert.strictEqual(recognise(answer(301, { location: "https://other.lan/" }, "", plain), plain), "SignIn")
    const tailnet = new URL("ws://host.tail1.ts.net")
    assert.strictEqual(
      recognise(answer(302, { location: "https://host.tail1.ts.net/" }, "", tailnet), tailnet),
      "Tailscale"
    )
  })
})

describe("the report of a refused upgrade", () => {
  const refusal = (answer: (request: string) => string) =>
    Effect.gen(function*() {
      const identity = Authority.selfSigned()
      const door = yield* Loopback.upgrades((request, socket) => void socket.end(answer(request.rawHeaders.join(" "))))
      const front = yield* Front.serve(identity, door)
      const headers = Result.getOrThrow(UpgradeHeader.parse("CF-Access-Client-Secret: sekrit-value"))
      const { error } = yield* refused({
        url: front.url,
        origin: undefined,
        tls: trust({ pins: [identity.keyPin] }),
        headers
      })
      assert.strictEqual(error._tag, "UpgradeRejected")
      return { error, printed: `${error.message} ${JSON.stringify(error)} ${inspect(error, { depth: 9 })}` }
    }).pipe(Effect.provide(TransportWs.layer))

  it.live("G25 G28: Cloudflare Access is named, with the target of its redirect and neither query nor user", () =>
    Effect.gen(function*() {
      const location = "Location: https://user:sekrit@team.cloudflareaccess.com/cdn-cgi/access/login?meta=sekrit#sekrit"
      const { error, printed } = yield* refusal(() => Loopback.answer("302 Found", [location], ""))
      assert.deepInclude({ ...error }, { reason: "CloudflareAccess", status: 302 })
      assert.include(error.message, "Cloudflare Access, in front of the gateway, refused the WebSocket with status 302")
      assert.include(error.message, "https://team.cloudflareaccess.com/cdn-cgi/access/login")
      assert.notInclude(printed, "sekrit")
      assert.include(lookup(error._tag, "CloudflareAccess")?.action ?? "", "CF-Access-Client-Secret")
    }))

  it.live("G28: the gateway's own refusal of a proxy is named, with what to set", () =>
    Effect.gen(function*() {
      const body = JSON.stringify({ error: { type: "proxy_attribution_required" } })
      const { error } = yield* refusal(() => Loopback.answer("403 Forbidden", [], body))
      assert.deepInclude({ ...error }, { reason: "ProxyAttribution", status: 403, body })
      assert.include(lookup(error._tag, "ProxyAttribution")?.command ?? "", "gateway.trustedProxies")
    }))

  it.live("G25: a page that shows the request it refuses does not bring our header values back", () =>
    Effect.gen(function*() {
      const { error, printed } = yield* refusal((request) =>
        Loopback.answer("403 Forbidden", ["Location: /denied/sekrit-value"], `you sent: ${request}`)
      )
      assert.include(error._tag === "UpgradeRejected" ? error.body : "", "CF-Access-Client-Secret [redacted]")
      assert.notInclude(printed, "sekrit")
    }))

  it.live("an answer that is not HTTP is a link error without the answer's text", () =>
    Effect.gen(function*() {
      const door = yield* Loopback.upgrades((_, socket) => void socket.end("sekrit nonsense\r\n\r\n"))
      const { error } = yield* Effect.provide(refused({ url: door, origin: undefined }), TransportWs.layer)
      assert.deepInclude({ ...error }, { _tag: "LinkError", phase: "upgrade", errno: "HPE_INVALID_CONSTANT" })
      assert.notInclude(inspect(error, { depth: 9 }), "rawPacket")
    }))
})
