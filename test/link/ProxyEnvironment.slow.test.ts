import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { execFile, execFileSync } from "node:child_process"
import { createServer } from "node:http"
import { proxyFor } from "../../src/link/ProxyEnvironment.ts"
import * as HttpProxy from "../support/HttpProxy.ts"
import { listening } from "../support/Listening.ts"

/** Whether a host is reached past the proxy. */
const isPast = (host: string, noProxy: string, port: number): boolean =>
  proxyFor(
    { all_proxy: "", http_proxy: "proxy.example:3128", https_proxy: "", no_proxy: noProxy },
    new URL(`ws://${host}:${port}`)
  )
    === undefined

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
