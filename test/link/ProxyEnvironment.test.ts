import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { execFile, execFileSync } from "node:child_process"
import { createServer } from "node:http"
import type { Variables } from "../../src/link/ProxyEnvironment.ts"
import { proxyFor } from "../../src/link/ProxyEnvironment.ts"
import * as HttpProxy from "../support/HttpProxy.ts"
import { listening } from "../support/Listening.ts"

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

/** Whether curl is here, of a release that knows networks in NO_PROXY (7.86). */
const curl = (() => {
  try {
    const [, major = 0, minor = 0] = /^curl (\d+)\.(\d+)/.exec(execFileSync("curl", ["--version"]).toString()) ?? []
    return Number(major) * 1000 + Number(minor) >= 7086
  } catch {
    return false
  }
})()

describe.skipIf(!curl)("what curl does", () => {
  const hosts = [
    "corp.test",
    "gw.corp.test",
    "a.gw.corp.test",
    "xcorp.test",
    "corp.test.example",
    "gw.corp.test.",
    "192.0.2.7",
    "192.0.2.130",
    "192.0.3.7",
    "10.0.0.1",
    "[fd00::2]",
    "[fd00:1::2]"
  ]
  /** Entries that curl reads alike in every release since 7.86, and what people write that it does not read. */
  const entries = [
    "corp.test",
    ".corp.test",
    "corp.test.",
    ".corp.test.",
    "..corp.test",
    "corp.test..",
    "CORP.Test",
    "gw.corp.test",
    "test",
    "192.0.2.0/24",
    "192.0.2.7/25",
    "192.0.2.7/31",
    "192.0.2.7/32",
    "192.0.2.7/33",
    "192.0.2.7/0",
    "0.0.0.0/0",
    "192.0.2.7",
    "192.0.2.",
    "192.0.2",
    "192.0.2.7.",
    "10.0.0.0/8",
    "fd00::2",
    "localhost",
    "http://corp.test",
    "."
  ]
  const seeded = (seed: number) => () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
    return seed / 2_147_483_648
  }
  const random = seeded(1)
  const pick = () => entries[Math.floor(random() * entries.length)] ?? ""
  const lists = [
    ...entries,
    "*",
    "",
    ...Array.from(
      { length: 12 },
      () => [pick(), pick(), pick()].join([",", " ", ", ", " ,\t"][Math.floor(random() * 4)])
    )
  ]

  /** The hosts that curl reaches past the proxy. */
  const reached = (noProxy: string, proxy: number, direct: number) =>
    Effect.callback<ReadonlyArray<string>>((resume) => {
      const urls = hosts.flatMap((host) => ["-o", "/dev/null", `http://${host}:${direct}/`])
      const to = ["--connect-to", `::127.0.0.1:${direct}`, "-w", "%{http_code}\\n"]
      const env = { ...process.env, http_proxy: `127.0.0.1:${proxy}`, no_proxy: noProxy }
      execFile("curl", ["-q", "-s", ...to, ...urls], { env }, (_, output) => {
        const codes = output.trim().split("\n")
        assert.lengthOf(codes, hosts.length)
        resume(Effect.succeed(hosts.filter((_, index) => codes[index] === "200")))
      })
    })

  it.live(
    "we do, for hosts, suffixes, dots, networks and lists, and a proxy without a scheme",
    () =>
      Effect.gen(function*() {
        const direct = yield* listening(createServer((_, response) => void response.end("direct")))
        const proxy = yield* HttpProxy.serve({ refuse: 403 })
        const found = yield* Effect.forEach(
          lists,
          (list) => Effect.map(reached(list, proxy.port, direct), (past) => ({ list, past })),
          { concurrency: 4 }
        )
        assert.deepStrictEqual(
          found.map(({ list }) => ({ list, past: hosts.filter((host) => isPast(host, list, direct)) })),
          found
        )
        assert.isAbove(found.filter(({ past }) => past.length > 0).length, 20)
        assert.isAbove(proxy.asked.length, 200)
      }),
    { timeout: 60_000 }
  )
})
