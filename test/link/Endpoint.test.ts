import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { inspect } from "node:util"
import * as Endpoint from "../../src/link/Endpoint.ts"

const read = (url: string, plaintextHost?: string) => Result.getOrThrow(Endpoint.parse(url, { plaintextHost }))
const refused = (url: string, plaintextHost?: string): string => {
  const result = Endpoint.parse(url, { plaintextHost })
  if (Result.isSuccess(result)) return `accepted as ${result.success.url.href}`
  const { failure } = result
  return failure._tag === "EndpointInvalid" ? failure.reason : failure._tag
}

const advised = (url: string): string => {
  const result = Endpoint.parse(url)
  return Result.isFailure(result) ? result.failure.message : "accepted"
}

describe("Endpoint.parse", () => {
  it("reads http and https, which people paste, as ws and wss", () => {
    assert.strictEqual(read("http://127.0.0.1:18789").url.href, "ws://127.0.0.1:18789/")
    assert.strictEqual(read("HTTPS://gateway.example/x").url.href, "wss://gateway.example/x")
    assert.strictEqual(read("  wss://gateway.example  ").url.href, "wss://gateway.example/")
    assert.strictEqual(read("WS://LOCALHOST:1").url.href, "ws://localhost:1/")
  })

  it("G23: the scope of tokens names the port, and has neither query nor fragment", () => {
    const scope = (url: string) => read(url).gatewayScope
    assert.strictEqual(scope("wss://Gateway.Example"), "wss://gateway.example:443/")
    assert.strictEqual(scope("wss://gateway.example:443/"), "wss://gateway.example:443/")
    assert.strictEqual(scope("https://gateway.example"), "wss://gateway.example:443/")
    assert.strictEqual(scope("wss://gateway.example:8443/team/a"), "wss://gateway.example:8443/team/a")
    assert.strictEqual(scope("ws://localhost"), "ws://localhost:80/")
    assert.strictEqual(scope("ws://127.1:80"), "ws://127.0.0.1:80/")
    assert.strictEqual(scope("ws://[::1]:18789"), "ws://[::1]:18789/")
    assert.strictEqual(scope("wss://gateway.example/a#sekrit"), "wss://gateway.example:443/a")
  })

  it("G23: gateways that differ in scheme, host, port or path have different scopes", () => {
    const urls = [
      "ws://127.0.0.1:443",
      "wss://127.0.0.1:443",
      "wss://127.0.0.1:444",
      "wss://127.0.0.2:443",
      "wss://localhost:443",
      "wss://127.0.0.1:443/a",
      "wss://127.0.0.1:443/a/"
    ]
    assert.strictEqual(new Set(urls.map((url) => read(url).gatewayScope)).size, urls.length)
  })

  it("G25: a query is refused, because people put tokens there and it would be sent and logged", () => {
    assert.strictEqual(refused("wss://gateway.example/?token=sekrit"), "Query")
    const result = Endpoint.parse("wss://gateway.example/?token=sekrit")
    assert.notInclude(Result.isFailure(result) ? result.failure.message : "sekrit", "sekrit")
  })

  it("a fragment is never part of the address", () => {
    assert.strictEqual(read("wss://gateway.example/#/chat").url.href, "wss://gateway.example/")
    assert.strictEqual(read("wss://gateway.example/#").url.href, "wss://gateway.example/")
  })

  it("G25: the dashboard's address, which has the token after #, is refused with what to write instead", () => {
    for (
      const [url, instead] of [
        ["http://127.0.0.1:18789/#token=sekrit", "ws://127.0.0.1:18789"],
        ["https://gateway.example/#token=sekrit", "wss://gateway.example"],
        ["wss://gateway.example/base/#token=sekrit&session=main", "wss://gateway.example/base"],
        ["ws://localhost:18789#password=sekrit", "ws://localhost:18789"],
        ["ws://localhost:18789/#token%3Dsekrit", "ws://localhost:18789"],
        ["ws://localhost:18789/#Token/sekrit", "ws://localhost:18789"]
      ] as const
    ) {
      assert.strictEqual(refused(url), "Fragment", url)
      assert.include(advised(url), `put the token into OPENCLAW_GATEWAY_TOKEN, and write ${instead}`)
      assert.notMatch(advised(url), /sekrit/)
    }
  })

  it("a host and a port without a scheme are refused with the URL that is meant", () => {
    for (
      const [input, meant] of [
        ["127.0.0.1:18789", "ws://127.0.0.1:18789"],
        ["localhost:18789", "ws://localhost:18789"],
        ["LOCALHOST:18789/", "ws://LOCALHOST:18789"],
        ["0.0.0.0:18789", "ws://0.0.0.0:18789"],
        ["[::1]:18789", "ws://[::1]:18789"],
        [" gateway.lan:18789 ", "wss://gateway.lan:18789"],
        ["10.0.0.1:8443/team/a", "wss://10.0.0.1:8443/team/a"],
        ["[fd00::1]:443", "wss://[fd00::1]:443"],
        ["gateway.lan:18789/#token=sekrit", "wss://gateway.lan:18789"],
        ["gateway.lan:18789/?token=sekrit", "wss://gateway.lan:18789"]
      ] as const
    ) {
      assert.strictEqual(refused(input), "NoScheme", input)
      assert.strictEqual(advised(input), `the gateway URL must begin with ws:// or wss://; write ${meant}`)
      if (meant.startsWith("ws:")) assert.isTrue(read(meant).loopback)
      else read(meant)
    }
  })

  it("G25: what could be a secret is not repeated as a suggestion", () => {
    for (
      const input of [
        "sekrit",
        "user:sekrit@gateway.lan:18789",
        "sekrit.sekrit.sekrit",
        "sekrit:",
        ":sekrit@h:1",
        "sekrit:999999"
      ]
    ) assert.notMatch(advised(input), /sekrit/, input)
  })

  it("G12: plaintext to this machine is allowed, however its address is spelled", () => {
    for (
      const url of [
        "ws://localhost",
        "ws://LocalHost:18789",
        "ws://127.0.0.1",
        "ws://127.255.0.3",
        "ws://127.1",
        "ws://2130706433",
        "ws://0x7f000001",
        "ws://[::1]",
        "ws://[0:0:0:0:0:0:0:1]:9"
      ]
    ) assert.isTrue(read(url).loopback, url)
  })

  it("other addresses of this machine are dialled by the one that leads nowhere else", () => {
    for (
      const [host, dialled] of [
        ["0.0.0.0", "127.0.0.1"],
        ["0", "127.0.0.1"],
        ["[::]", "[::1]"],
        ["localhost.", "localhost"],
        ["LocalHost.", "localhost"],
        ["[::ffff:127.0.0.1]", "127.0.0.1"],
        ["[::ffff:7f00:1]", "127.0.0.1"],
        ["[::ffff:127.255.0.3]", "127.255.0.3"],
        ["[::ffff:0.0.0.0]", "127.0.0.1"],
        ["127.0.0.1.", "127.0.0.1"]
      ] as const
    ) {
      for (const scheme of ["ws", "wss"]) {
        const { gatewayScope, loopback, url } = read(`${scheme}://${host}:18789/a`)
        assert.isTrue(loopback, host)
        assert.strictEqual(url.href, `${scheme}://${dialled}:18789/a`)
        assert.strictEqual(gatewayScope, `${scheme}://${dialled}:18789/a`)
      }
    }
  })

  it("an IPv4 address that is written as IPv6 is the same host", () => {
    assert.strictEqual(read("wss://[::ffff:10.0.0.1]").gatewayScope, "wss://10.0.0.1:443/")
    assert.strictEqual(refused("ws://[::ffff:10.0.0.1]"), "InsecureUrl")
    assert.isFalse(read("ws://[::ffff:10.0.0.1]", "10.0.0.1").loopback)
    assert.isFalse(read("ws://10.0.0.1", "[::ffff:a00:1]").loopback)
    assert.strictEqual(refused("ws://10.0.0.2", "[::ffff:10.0.0.1]"), "InsecureUrl")
  })

  it("G12: plaintext to any other host is refused", () => {
    for (
      const url of [
        "ws://gateway.example",
        "http://gateway.example",
        "ws://10.0.0.1",
        "ws://192.168.1.2",
        "ws://0.0.0.1",
        "ws://[::2]",
        "ws://[::ffff:8.8.8.8]",
        "ws://[::ffff:128.0.0.1]",
        "ws://128.0.0.1",
        "ws://127.0.0.1.evil.example",
        "ws://localhost.evil.example",
        "ws://notlocalhost",
        "ws://[fd00::1]",
        "ws://1270.0.0.1.example"
      ]
    ) {
      assert.strictEqual(refused(url), "InsecureUrl", url)
      assert.isFalse(read(url.replace(/^\w+:/, "wss:")).loopback, url)
    }
  })

  it("G12: only the named host may be reached in plaintext", () => {
    assert.isFalse(read("ws://gateway.lan:18789", "gateway.lan").loopback)
    assert.isFalse(read("ws://GATEWAY.lan", "gateway.lan").loopback)
    for (
      const [url, host] of [
        ["ws://gateway.lan", "gateway"],
        ["ws://gateway", "gateway.lan"],
        ["ws://gateway.lan.evil.example", "gateway.lan"],
        ["ws://evil.gateway.lan", "gateway.lan"],
        ["ws://gateway.lan", ".lan"],
        ["ws://gateway.lan", "*"],
        ["ws://gateway.lan", "*.lan"],
        ["ws://gateway.lan", ""],
        ["ws://10.0.0.2", "10.0.0.1"],
        ["ws://10.0.0.2", "10.0.0.0/8"]
      ] as const
    ) assert.strictEqual(refused(url, host), "InsecureUrl", `${url} with ${host}`)
  })

  it("G12: the named host is read as in a URL: case and space around it do not matter", () => {
    assert.isFalse(read("ws://gateway.lan", "Gateway.LAN").loopback)
    assert.isFalse(read("ws://gateway.lan", " gateway.lan ").loopback)
  })

  it("G25: a user name or password in the URL is refused", () => {
    for (
      const url of [
        "ws://user:sekrit@127.0.0.1",
        "wss://sekrit@gateway.example",
        "wss://:sekrit@gateway.example",
        "https://a%40b:sekrit@gateway.example"
      ]
    ) assert.strictEqual(refused(url), "Credentials", url)
  })

  it("a text that is not a gateway URL is refused, with the reason", () => {
    for (
      const url of [
        "",
        " ",
        "gateway",
        "gateway.lan",
        "127.0.0.1",
        "ws://",
        "wss://gateway:99999",
        "ws://a b",
        "//gateway"
      ]
    ) {
      assert.strictEqual(refused(url), "Malformed", JSON.stringify(url))
    }
    for (const url of ["ftp://gateway", "file:///etc/passwd", "mailto:a@b", "javascript:alert(1)", "wss+x://h"]) {
      assert.strictEqual(refused(url), "Scheme", url)
    }
  })
})

describe("plaintext", () => {
  it("G12: a refusal tells how to use TLS, a tunnel, Tailscale and the opt-in", () => {
    const told = advised("ws://gateway.lan:18789")
    for (
      const way of [
        "use wss://",
        "ssh -N -L 18789:127.0.0.1:18789 gateway.lan (then ws://127.0.0.1:18789)",
        "tailscale serve --bg 18789 on the gateway host (then wss://<name>.ts.net)",
        "OPENCLAW_GATEWAY_PLAINTEXT_HOST=gateway.lan"
      ]
    ) assert.include(told, way)
  })

  it("G12: the commands can be pasted unchanged", () => {
    assert.include(advised("ws://gateway.lan"), "ssh -N -L 18789:127.0.0.1:80 gateway.lan (then ws://127.0.0.1:18789)")
    const address = advised("ws://[fd00::1]:9")
    assert.include(address, "127.0.0.1:9 fd00::1 (then")
    assert.include(address, "OPENCLAW_GATEWAY_PLAINTEXT_HOST=[fd00::1]")
    assert.strictEqual(read("ws://[fd00::1]:9", "[fd00::1]").loopback, false)
    assert.include(advised("ws://host.tail1.ts.net:18789"), "(then wss://host.tail1.ts.net)")
  })

  const exposed: ReadonlyArray<readonly [host: string, who: RegExp]> = [
    ["gateway.example", /everybody on the network path/],
    ["gateway.local", /any of which may answer to that name/],
    ["gateway.local.", /any of which may answer to that name/],
    ["gateway.local.example", /everybody on the network path/],
    ["host.tail1.ts.net", /Tailscale/],
    ["ts.net.example", /everybody on the network path/],
    ["100.64.0.1", /Tailscale/],
    ["100.127.255.254", /Tailscale/],
    ["100.63.0.1", /everybody on the network path/],
    ["100.128.0.1", /everybody on the network path/],
    ["[fd7a:115c:a1e0::1]", /Tailscale/],
    ["10.1.2.3", /every device of the local network/],
    ["172.16.0.1", /every device of the local network/],
    ["172.31.0.1", /every device of the local network/],
    ["172.32.0.1", /everybody on the network path/],
    ["192.168.1.1", /every device of the local network/],
    ["169.254.1.1", /every device of the local network/],
    ["[fe80::1]", /every device of the local network/],
    ["[fd00::1]", /every device of the local network/],
    ["[2001:db8::1]", /everybody on the network path/],
    ["8.8.8.8", /everybody on the network path/],
    ["10.1.2.3.example", /everybody on the network path/],
    ["fd00.example", /everybody on the network path/]
  ]
  it.each(exposed)(
    "G12: %s is reached in plaintext only by its name, with a warning that says who can read",
    (host, who) => {
      assert.strictEqual(refused(`ws://${host}`), "InsecureUrl")
      const warning = Endpoint.plaintextWarning(read(`ws://${host}`, host)) ?? ""
      assert.include(warning, `ws:// to ${host}`)
      assert.match(warning, who)
      assert.match(warning, /the credential, every task and every answer/)
      assert.isUndefined(Endpoint.plaintextWarning(read(`wss://${host}`)))
    }
  )

  it("G12: nobody is in between on this machine", () => {
    assert.isUndefined(Endpoint.plaintextWarning(read("ws://127.0.0.1")))
    assert.isUndefined(Endpoint.plaintextWarning(read("ws://localhost")))
  })
})

describe("any URL", () => {
  const part = Arbitrary.map(
    Arbitrary.array(Arbitrary.schema(Schema.Literals(["a", "1", ".", "-", "%41", "é"])), {
      minLength: 1,
      maxLength: 4
    }),
    (pieces) => pieces.join("")
  )
  const scheme = Arbitrary.schema(Schema.Literals(["ws", "wss", "http", "https", "ftp", "x y"]))
  it.effect.prop(
    "G25: no refusal and no scope shows a secret in the URL",
    [scheme, part, Arbitrary.schema(Schema.Literals(["user:sekrit@", "sekrit@", ":sekrit@", ""])), part],
    ([protocol, host, userinfo, path]) =>
      Effect.sync(() => {
        const result = Endpoint.parse(`${protocol}://${userinfo}${host}/${path}?token=sekrit#sekrit`)
        if (Result.isSuccess(result)) {
          assert.strictEqual(userinfo, "")
          assert.notInclude(result.success.gatewayScope, "sekrit")
          assert.strictEqual(result.success.url.username + result.success.url.password, "")
        } else {
          const { failure } = result
          const printed = `${failure.message} ${String(failure)} ${JSON.stringify(failure)} ${inspect(failure)}`
          assert.notInclude(printed, "sekrit")
        }
      }),
    { arbitrary: { seed: "endpoint", runs: 500 } }
  )

  const piece = Arbitrary.schema(Schema.Literals([
    "127.0.0.1",
    "127.1",
    "0177.0.0.1",
    "0x7f.1",
    "2130706433",
    "017700000001",
    "localhost",
    "LOCALHOST",
    "::1",
    "::ffff:127.0.0.1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "evil",
    "example.com",
    ".",
    "@",
    "%2e",
    "。",
    ":",
    "\\",
    "#",
    "/",
    "1"
  ]))
  it.effect.prop(
    "G12: plaintext never goes to a host that only looks like this machine",
    [Arbitrary.array(piece, { minLength: 1, maxLength: 4 })],
    ([pieces]) =>
      Effect.sync(() => {
        const result = Endpoint.parse(`ws://${pieces.join("")}`)
        if (Result.isFailure(result)) return
        const { gatewayScope, url } = result.success
        // The host to which a socket is opened, in the one spelling of URL.
        assert.match(url.hostname, /^(?:localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])$/)
        assert.strictEqual(gatewayScope, `ws://${url.hostname}:${url.port === "" ? 80 : url.port}${url.pathname}`)
        assert.strictEqual(url.username + url.password + url.search + url.hash, "")
      }),
    { arbitrary: { seed: "look-alike", runs: 3000 } }
  )

  it("G12: the spellings of this machine are accepted, and hosts that only contain them are not", () => {
    for (const host of ["127.1", "0177.0.0.1", "0x7f.1", "2130706433", "017700000001", "127.0.0.1.", "[::1]"]) {
      assert.isTrue(read(`ws://${host}`).loopback, host)
    }
    for (
      const host of [
        "[::127.0.0.1]",
        "localhost..",
        "localhost.evil",
        "evil.localhost",
        "127.0.0.1.example.com",
        "127.0.0.1@evil.example",
        "2130706434.evil",
        "128.1",
        "3232235777",
        "0300.0250.1.1"
      ]
    ) assert.include(["InsecureUrl", "Credentials"], refused(`ws://${host}`), host)
  })

  it.effect.prop("never throws, and what it accepts is ws or wss", [Schema.String], ([text]) =>
    Effect.sync(() => {
      for (const url of [text, `ws://${text}`, `wss://${text}:1/`]) {
        const result = Endpoint.parse(url)
        if (Result.isFailure(result)) continue
        assert.match(result.success.gatewayScope, /^wss?:\/\/.+:\d+\//)
        assert.isTrue(result.success.url.protocol === "wss:" || result.success.loopback)
      }
    }), { arbitrary: { seed: "endpoint", runs: 500 } })
})
