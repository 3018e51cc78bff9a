import { assert, describe, it } from "@effect/vitest"
import type { Variables } from "../../src/link/ProxyEnvironment.ts"
import { proxyFor } from "../../src/link/ProxyEnvironment.ts"

const none: Variables = { all_proxy: "", http_proxy: "", https_proxy: "", no_proxy: "" }
const chosen = (url: string, variables: Partial<Variables>) => proxyFor({ ...none, ...variables }, new URL(url))
/** Whether a host is reached past the proxy. */
const isPast = (host: string, noProxy: string, port = 80): boolean =>
  chosen(`ws://${host}:${port}`, { http_proxy: "http://proxy.example:3128", no_proxy: noProxy }) === undefined

describe("the proxy of a gateway", () => {
  it("is chosen by the scheme, and ALL_PROXY stands in", () => {
    const variables = { http_proxy: "http://h:1", https_proxy: "http://s:2", all_proxy: "http://a:3" }
    assert.strictEqual(chosen("ws://gateway.example", variables), "http://h:1")
    assert.strictEqual(chosen("wss://gateway.example", variables), "http://s:2")
    assert.strictEqual(chosen("wss://gateway.example", { ...variables, https_proxy: "" }), "http://a:3")
    assert.isUndefined(chosen("wss://gateway.example", { http_proxy: "http://h:1" }))
    assert.isUndefined(chosen("wss://gateway.example", {}))
  })

  it("speaks HTTP without TLS unless its URL says otherwise", () => {
    for (const url of ["ws://gateway.example", "wss://gateway.example"]) {
      assert.strictEqual(chosen(url, { all_proxy: "proxy.example:3128" }), "http://proxy.example:3128")
      assert.strictEqual(
        chosen(url, { all_proxy: "user:p%40ss@proxy.example:1" }),
        "http://user:p%40ss@proxy.example:1"
      )
      assert.strictEqual(chosen(url, { all_proxy: "https://proxy.example" }), "https://proxy.example")
      assert.strictEqual(chosen(url, { all_proxy: "socks5://proxy.example" }), "socks5://proxy.example")
    }
  })
})

describe("NO_PROXY", () => {
  const cases: ReadonlyArray<readonly [entry: string, past: ReadonlyArray<string>, through: ReadonlyArray<string>]> = [
    ["192.0.2.0/24", ["192.0.2.1", "192.0.2.255"], ["192.0.3.1", "gw.corp.test", "[fd00::2]"]],
    ["192.0.2.7/25", ["192.0.2.127"], ["192.0.2.128"]],
    ["corp.test", ["corp.test", "gw.corp.test", "a.gw.corp.test", "gw.corp.test.", "GW.Corp.Test"], [
      "xcorp.test",
      "corp.test.example"
    ]],
    [".corp.test", ["corp.test", "gw.corp.test"], ["xcorp.test"]],
    ["corp.test.", ["corp.test", "gw.corp.test", "gw.corp.test."], ["xcorp.test"]],
    ["Gw.Corp.Test", ["gw.corp.test"], ["corp.test"]],
    ["fd00::2", ["[fd00::2]", "[fd00:0:0::2]"], ["[fd00::3]", "fd00.test"]],
    ["fd00:0:0::0002", ["[fd00::2]"], ["[fd00::20]"]],
    ["[fd00::2]", ["[fd00::2]"], ["[fd00::3]"]],
    ["fd00::/16", ["[fd00::2]", "[fd00:ffff::]"], ["[fd01::2]", "192.0.2.1"]],
    ["192.0.2.7", ["192.0.2.7"], ["192.0.2.77", "x192.0.2.7.test"]],
    ["0.0.0.0/0", ["0.0.0.0"], ["192.0.2.7"]],
    ["*", ["gw.corp.test", "192.0.2.7", "[fd00::2]"], []],
    ["*.corp.test", ["gw.corp.test"], ["corp.test", "xcorp.test"]],
    ["a.test ,\tcorp.test,,", ["gw.corp.test", "a.test"], ["b.test"]],
    ["192.0.2.7.", [], ["192.0.2.7"]],
    ["192.0.2", [], ["192.0.2.7"]],
    ["192.0.2.0/33", [], ["192.0.2.7", "192.0.2.0"]],
    ["192.0.2.0/-1", [], ["192.0.2.7"]],
    ["192.0.2.0/24/24", [], ["192.0.2.7"]],
    ["192.0.2.0/x", [], ["192.0.2.7"]],
    ["..corp.test", [], ["gw.corp.test"]],
    [".", [], ["gw.corp.test", "gw.corp.test."]],
    [",", [], ["gw.corp.test"]],
    ["", [], ["gw.corp.test", "192.0.2.7"]]
  ]
  it.each(cases)("%j", (entry, past, through) => {
    for (const host of past) assert.isTrue(isPast(host, entry), host)
    for (const host of through) assert.isFalse(isPast(host, entry), host)
  })

  it("may name a port, for a host, an address and a suffix", () => {
    for (
      const [entry, host] of [
        ["gw.corp.test:8443", "gw.corp.test"],
        ["corp.test:8443", "gw.corp.test"],
        ["192.0.2.7:8443", "192.0.2.7"],
        ["[fd00::2]:8443", "[fd00::2]"],
        ["*:8443", "gw.corp.test"]
      ] as const
    ) {
      assert.isTrue(isPast(host, entry, 8443), entry)
      assert.isFalse(isPast(host, entry, 8444), entry)
    }
    assert.isUndefined(chosen("wss://gw.corp.test", { https_proxy: "p:1", no_proxy: "gw.corp.test:443" }))
  })
})
