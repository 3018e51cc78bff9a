import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { inspect } from "node:util"
import packageJson from "../../package.json" with { type: "json" }
import type { GatewayInput, GatewaySettings } from "../../src/handshake/GatewayConfig.ts"
import { check, GatewayConfig } from "../../src/handshake/GatewayConfig.ts"
import { authority } from "../support/TlsAuthority.ts"

const checked = (input: GatewayInput): GatewaySettings => Result.getOrThrow(check(input))
const problemsOf = (input: GatewayInput): ReadonlyArray<string> => {
  const result = check(input)
  return Result.isSuccess(result) ? [] : result.failure.problems.map(({ setting }) => setting)
}

/** Settings as plain values, secrets as what they print. */
const plain = (settings: GatewaySettings) => ({
  ...settings,
  endpoint: { ...settings.endpoint, url: settings.endpoint.url.href },
  token: settings.token === undefined ? undefined : String(settings.token),
  password: settings.password === undefined ? undefined : String(settings.password),
  challengeTimeout: Duration.toMillis(settings.challengeTimeout),
  helloTimeout: Duration.toMillis(settings.helloTimeout),
  requestTimeout: Duration.toMillis(settings.requestTimeout)
})

const resolvedDefaults = {
  endpoint: { url: "ws://127.0.0.1:18789/", gatewayScope: "ws://127.0.0.1:18789/", loopback: true },
  token: undefined,
  password: undefined,
  clientId: "gateway-client",
  clientMode: "backend",
  clientVersion: "0.1.0",
  displayName: undefined,
  deviceFamily: undefined,
  role: "operator",
  scopes: ["operator.read", "operator.write"],
  caps: ["session-scoped-events", "tool-events"],
  origin: undefined,
  challengeTimeout: 15_000,
  helloTimeout: 15_000,
  requestTimeout: 30_000,
  legacyWithoutChallenge: false,
  narrowedScopes: "accept",
  tls: { mode: "ca", pins: [], authorities: [] },
  pinned: false,
  headers: [],
  warnings: []
}

/** Where a reader of the README looks for a default, and how it may be written there. */
const documentedDefaults: ReadonlyArray<readonly [setting: RegExp, value: RegExp]> = [
  [/OPENCLAW_GATEWAY_URL|--gateway-url/, /ws:\/\/127\.0\.0\.1:18789/],
  [/OPENCLAW_GATEWAY_SCOPES|scopes/i, /operator\.read[, `]+operator\.write/],
  [/OPENCLAW_GATEWAY_CLIENT_ID|client id/i, /gateway-client/],
  [/OPENCLAW_GATEWAY_CLIENT_MODE|client mode/i, /\bbackend\b/],
  [/challenge/i, /\b15 ?s(econds)?\b/],
  [/hello/i, /\b15 ?s(econds)?\b/],
  [/request/i, /\b30 ?s(econds)?\b/]
]
/** The rows of tables and the lines under "## 0.1.0". */
const linesThatDocument = (readme: string): ReadonlyArray<string> => {
  const changes = readme.split(/^## /m).find((section) => section.startsWith("0.1.0")) ?? ""
  return [...readme.split("\n").filter((line) => line.startsWith("|")), ...changes.split("\n")]
}

describe("defaults", () => {
  it("F28: what holds when nothing is set", () => {
    assert.deepStrictEqual<unknown>(plain(checked({})), resolvedDefaults)
  })

  it("the version that is sent is the package's", () => {
    assert.strictEqual<string>(checked({}).clientVersion, packageJson.version)
  })

  it.effect("F28: the pages say each default, in the table of settings or in the changelog", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const root = (yield* Path.Path).join(import.meta.dirname, "..", "..")
      const settings = yield* fs.readFileString(`${root}/src/cli/README.md`)
      const lines = linesThatDocument(settings + (yield* fs.readFileString(`${root}/CHANGELOG.md`)))
      const missing = documentedDefaults.filter(([setting, value]) =>
        !lines.some((line) => setting.test(line) && value.test(line))
      )
      assert.deepStrictEqual(missing.map(([setting, value]) => `${setting.source}: ${value.source}`), [])
    }).pipe(Effect.provide(NodeServices.layer)))

  it("F28: the check finds pages that miss a default", () => {
    const table = [
      "| `--gateway-url` | `OPENCLAW_GATEWAY_URL` | `ws://127.0.0.1:18789` |",
      "prose about challenge 15 s is not documentation",
      "## 0.1.0",
      "- challenge 15 s, scopes `operator.read,operator.write`",
      "## Later",
      "hello 15 s"
    ]
    const lines = linesThatDocument(table.join("\n"))
    const found = documentedDefaults.map(([setting, value]) =>
      lines.some((line) => setting.test(line) && value.test(line))
    )
    assert.deepStrictEqual(found, [true, true, false, false, true, false, false])
  })
})

describe("check", () => {
  it("blank counts as not set", () => {
    const blank: GatewayInput = {
      url: " ",
      token: Redacted.make("  "),
      password: Redacted.make(""),
      scopes: " , ",
      clientId: "",
      clientMode: "\t",
      clientVersion: " ",
      displayName: "",
      deviceFamily: " ",
      origin: " ",
      plaintextHost: " ",
      tlsPins: " ",
      tlsTrust: "\n",
      tlsAuthorities: "",
      headers: Redacted.make(" \n ")
    }
    assert.deepStrictEqual<unknown>(plain(checked(blank)), resolvedDefaults)
    assert.deepStrictEqual<unknown>(plain(checked({ scopes: [] })), resolvedDefaults)
  })

  it("values are trimmed", () => {
    const settings = checked({
      url: " wss://gateway.example ",
      token: Redacted.make(" sekrit\n"),
      password: Redacted.make(" pass word "),
      scopes: " operator.read\toperator.pairing ,, operator.write ",
      clientId: " cli ",
      clientMode: " cli ",
      deviceFamily: " Robot X ",
      displayName: " agent@host ",
      origin: " https://agent.example:8443 "
    })
    assert.strictEqual(settings.endpoint.gatewayScope, "wss://gateway.example:443/")
    assert.strictEqual<unknown>(settings.token === undefined ? "" : Redacted.value(settings.token), "sekrit")
    assert.strictEqual(settings.password === undefined ? "" : Redacted.value(settings.password), "pass word")
    assert.deepStrictEqual<unknown>(settings.scopes, ["operator.read", "operator.pairing", "operator.write"])
    assert.deepStrictEqual<unknown>(
      [settings.clientId, settings.clientMode, settings.deviceFamily, settings.displayName, settings.origin],
      ["cli", "cli", "Robot X", "agent@host", "https://agent.example:8443"]
    )
  })

  it("scopes as a list are trimmed too, and keep their order", () => {
    assert.deepStrictEqual<unknown>(checked({ scopes: [" operator.write ", "", "operator.read"] }).scopes, [
      "operator.write",
      "operator.read"
    ])
  })

  it("the host that may be reached in plaintext is trimmed", () => {
    assert.strictEqual(
      checked({ url: "ws://gateway.lan", plaintextHost: " gateway.lan " }).endpoint.gatewayScope,
      "ws://gateway.lan:80/"
    )
  })

  const bad: GatewayInput = {
    url: "ftp://user:sekrit-in-url@gateway/?token=sekrit-in-query",
    token: Redacted.make("sekrit|token"),
    clientId: "ten-agent",
    clientMode: "operator",
    scopes: "operator.read|operator.admin",
    deviceFamily: "i|Phone",
    origin: "https://agent.example/path",
    challengeTimeout: 0,
    helloTimeout: Duration.infinity,
    requestTimeout: -5
  }

  it("G11: every bad value is named at once, each with what it should be", () => {
    const result = check(bad)
    assert.isTrue(Result.isFailure(result))
    if (Result.isSuccess(result)) return
    const { failure } = result
    assert.deepStrictEqual(failure.problems.map(({ setting }) => setting).toSorted(), [
      "challengeTimeout",
      "clientId",
      "clientMode",
      "deviceFamily",
      "helloTimeout",
      "origin",
      "requestTimeout",
      "scopes",
      "token",
      "url"
    ])
    for (const wanted of ["gateway-client", "backend", "ws://", "http or https", "15 seconds"]) {
      assert.include(failure.message, wanted)
    }
    for (const { problem, setting } of failure.problems) assert.include(failure.message, `${setting}: ${problem}`)
  })

  it("each problem takes one line", () => {
    const result = check(bad)
    assert.isTrue(Result.isFailure(result))
    if (Result.isFailure(result)) assert.lengthOf(result.failure.message.split("\n"), result.failure.problems.length)
  })

  it("G25: no secret stands in a problem, whatever is wrong", () => {
    for (const input of [bad, { ...bad, url: "ws://user:sekrit@h" }, { url: "wss://h:sekrit", token: bad.token }]) {
      const result = check(input)
      assert.isTrue(Result.isFailure(result))
      if (Result.isSuccess(result)) continue
      const { failure } = result
      const printed = `${failure.message} ${String(failure)} ${JSON.stringify(failure)} ${
        inspect(failure, { depth: 9 })
      }`
      assert.notInclude(printed, "sekrit")
    }
  })

  it("G25: settings that hold secrets do not print them", () => {
    const settings = checked({ token: Redacted.make("sekrit-token"), password: Redacted.make("sekrit-pass") })
    const printed = `${inspect(settings, { depth: 9, showHidden: true })} ${JSON.stringify(settings)}`
    assert.notInclude(printed, "sekrit")
  })

  it("F19: a token with a delimiter is refused by name, one with a comma is not", () => {
    assert.deepStrictEqual(problemsOf({ token: Redacted.make("a|b") }), ["token"])
    assert.deepStrictEqual(problemsOf({ token: Redacted.make("a\nb") }), ["token"])
    assert.deepStrictEqual(problemsOf({ token: Redacted.make("a,b") }), [])
    assert.deepStrictEqual(problemsOf({ password: Redacted.make("a|b\tc") }), [])
  })

  it("G10: an Origin is scheme, host and port, of http or https", () => {
    for (const origin of ["https://agent.example", "http://127.0.0.1:8080", "https://[::1]:8443"]) {
      assert.strictEqual(checked({ origin }).origin, origin)
    }
    for (
      const origin of [
        "agent.example",
        "https://agent.example/",
        "https://agent.example/x",
        "wss://agent.example",
        "null",
        "*",
        "https://user@agent.example",
        "https://agent.example?x",
        "file:///x"
      ]
    ) assert.deepStrictEqual(problemsOf({ origin }), ["origin"], origin)
  })

  const hex = "ab".repeat(32)
  const wss = "wss://gateway.example"

  it("G12: a named plaintext host comes with a warning, this machine and wss without one", () => {
    const { warnings } = checked({ url: "ws://gateway.lan", plaintextHost: "gateway.lan" })
    assert.lengthOf(warnings, 1)
    assert.include(warnings[0] ?? "", "ws:// to gateway.lan is not encrypted")
    assert.deepStrictEqual(checked({ plaintextHost: "gateway.lan" }).warnings, [])
    assert.deepStrictEqual(checked({ url: "wss://gateway.lan", plaintextHost: "gateway.lan" }).warnings, [])
  })

  it("G13: pins are enough where they are set, authorities otherwise, and both where that is asked for", () => {
    const mode = (input: GatewayInput) => checked({ url: wss, ...input }).tls.mode
    assert.strictEqual(mode({}), "ca")
    assert.strictEqual(mode({ tlsTrust: "ca" }), "ca")
    assert.strictEqual(mode({ tlsPins: hex }), "pin")
    assert.strictEqual(mode({ tlsPins: hex, tlsTrust: " pin " }), "pin")
    assert.strictEqual(mode({ tlsPins: hex, tlsTrust: "ca-and-pin" }), "ca-and-pin")
    assert.deepStrictEqual(checked({ url: wss, tlsPins: `${hex},${hex}` }).tls.pins, [
      { of: "certificate", sha256: hex },
      { of: "certificate", sha256: hex }
    ])
  })

  it("B13: only a gateway that is recognised by pins counts as pinned", () => {
    const pinned = (input: GatewayInput) => checked({ url: wss, ...input }).pinned
    assert.isFalse(pinned({}))
    assert.isTrue(pinned({ tlsPins: hex }))
    assert.isTrue(pinned({ tlsPins: hex, tlsTrust: "ca-and-pin" }))
    assert.isFalse(checked({}).pinned)
  })

  const contradictions: ReadonlyArray<readonly [string, GatewayInput, string]> = [
    ["pins for ws://", { tlsPins: hex }, "tlsPins"],
    ["headers for ws://", { headers: Redacted.make("X-A: b") }, "headers"],
    [
      "headers for a named ws:// host",
      { url: "ws://gateway.lan", plaintextHost: "gateway.lan", headers: Redacted.make("X-A: b") },
      "headers"
    ],
    ["pins that would not be used", { url: wss, tlsPins: hex, tlsTrust: "ca" }, "tlsTrust"],
    ["pin without pins", { url: wss, tlsTrust: "pin" }, "tlsTrust"],
    ["ca-and-pin without pins", { url: wss, tlsTrust: "ca-and-pin" }, "tlsTrust"],
    ["a trust that is none", { url: wss, tlsTrust: "none" }, "tlsTrust"],
    ["a switch that trusts all", { url: wss, tlsTrust: "insecure", tlsPins: hex }, "tlsTrust"],
    ["pins that cannot be read", { url: wss, tlsPins: "https://user:sekrit@h" }, "tlsPins"],
    ["the same with a trust", { url: wss, tlsPins: "sekrit", tlsTrust: "ca-and-pin" }, "tlsPins"],
    ["authorities without a certificate", { url: wss, tlsAuthorities: "sekrit" }, "tlsAuthorities"],
    ["headers that cannot be read", { url: wss, headers: Redacted.make("sekrit") }, "headers"]
  ]
  it.each(contradictions)("%s: named once, and not repeated", (_, input, setting) => {
    assert.deepStrictEqual(problemsOf(input), [setting])
    const result = check(input)
    assert.notInclude(`${inspect(result, { depth: 9 })} ${JSON.stringify(result)}`, "sekrit")
  })

  it("G25: header values do not print themselves in settings", () => {
    const settings = checked({ url: wss, headers: Redacted.make("\nX-Token: sekrit\n") })
    assert.deepStrictEqual(settings.headers.map(({ name, value }) => [name, Redacted.value(value)]), [
      ["X-Token", "sekrit"]
    ])
    assert.notInclude(`${inspect(settings, { depth: 9 })} ${JSON.stringify(settings)}`, "sekrit")
  })

  it("times are at least a millisecond and end", () => {
    assert.strictEqual(plain(checked({ challengeTimeout: "2 seconds" })).challengeTimeout, 2000)
    assert.deepStrictEqual(problemsOf({ challengeTimeout: "0 seconds" }), ["challengeTimeout"])
    assert.deepStrictEqual(problemsOf({ requestTimeout: Number.NaN }), ["requestTimeout"])
    assert.deepStrictEqual(problemsOf({ helloTimeout: Number.POSITIVE_INFINITY }), ["helloTimeout"])
  })
})

describe("layerEnv", () => {
  const fromEnv = (env: Record<string, string>, preserveEmptyStrings = false) =>
    Effect.provide(
      GatewayConfig,
      GatewayConfig.layerEnv.pipe(
        Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(env, { preserveEmptyStrings }))),
        Layer.provide(NodeServices.layer)
      )
    )

  it.effect("nothing set gives the defaults", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual<unknown>(plain(yield* fromEnv({})), resolvedDefaults)
      assert.deepStrictEqual<unknown>(
        plain(yield* fromEnv({ OPENCLAW_GATEWAY_PORT: "1", GATEWAY_URL: "x" })),
        resolvedDefaults
      )
    }))

  it.effect("each variable reaches its setting", () =>
    Effect.gen(function*() {
      const settings = yield* fromEnv({
        OPENCLAW_GATEWAY_URL: "wss://gateway.example:8443",
        OPENCLAW_GATEWAY_TOKEN: " sekrit-token ",
        OPENCLAW_GATEWAY_SCOPES: "operator.read operator.pairing",
        OPENCLAW_GATEWAY_CLIENT_ID: "cli",
        OPENCLAW_GATEWAY_CLIENT_MODE: "cli",
        OPENCLAW_GATEWAY_ORIGIN: "https://agent.example",
        OPENCLAW_GATEWAY_PLAINTEXT_HOST: "gateway.lan",
        OPENCLAW_GATEWAY_TLS_PINS: "ab".repeat(32),
        OPENCLAW_GATEWAY_TLS_TRUST: "ca-and-pin",
        OPENCLAW_GATEWAY_HEADERS: "X-Token: sekrit-value"
      })
      assert.deepStrictEqual<unknown>(plain(settings), {
        ...resolvedDefaults,
        endpoint: {
          url: "wss://gateway.example:8443/",
          gatewayScope: "wss://gateway.example:8443/",
          loopback: false
        },
        token: "<redacted:token>",
        scopes: ["operator.read", "operator.pairing"],
        clientId: "cli",
        clientMode: "cli",
        origin: "https://agent.example",
        tls: { mode: "ca-and-pin", pins: [{ of: "certificate", sha256: "ab".repeat(32) }], authorities: [] },
        pinned: true,
        headers: settings.headers
      })
      assert.deepStrictEqual(settings.headers.map(({ value }) => Redacted.value(value)), ["sekrit-value"])
      assert.strictEqual<unknown>(settings.token === undefined ? "" : Redacted.value(settings.token), "sekrit-token")
      const { password } = yield* fromEnv({ OPENCLAW_GATEWAY_PASSWORD: " sekrit-pass " })
      assert.strictEqual(password === undefined ? "" : Redacted.value(password), "sekrit-pass")
      assert.strictEqual(String(password), "<redacted:password>")
    }))

  it.effect("narrowed scopes and the times are read, too, within the ranges of the commands", () =>
    Effect.gen(function*() {
      const settings = yield* fromEnv({
        OPENCLAW_GATEWAY_NARROWED_SCOPES: "refuse",
        OPENCLAW_GATEWAY_CHALLENGE_TIMEOUT: " 2 seconds ",
        OPENCLAW_GATEWAY_REQUEST_TIMEOUT: "10 minutes"
      })
      assert.deepStrictEqual<unknown>(plain(settings), {
        ...resolvedDefaults,
        narrowedScopes: "refuse",
        challengeTimeout: 2000,
        requestTimeout: 600_000
      })
      const error = yield* Effect.flip(fromEnv({
        OPENCLAW_GATEWAY_NARROWED_SCOPES: "maybe",
        OPENCLAW_GATEWAY_CHALLENGE_TIMEOUT: "121 seconds",
        OPENCLAW_GATEWAY_REQUEST_TIMEOUT: "15000"
      }))
      assert.strictEqual(
        error.message,
        [
          "OPENCLAW_GATEWAY_NARROWED_SCOPES: must be accept or refuse",
          'OPENCLAW_GATEWAY_CHALLENGE_TIMEOUT: must be a time from 1 second to 120 seconds, written like "15 seconds", 15s or 5m',
          'OPENCLAW_GATEWAY_REQUEST_TIMEOUT: must be a time from 1 second to 600 seconds, written like "15 seconds", 15s or 5m'
        ].join("\n")
      )
    }))

  it.effect("nested configuration is read as well as an environment", () =>
    Effect.gen(function*() {
      const provider = ConfigProvider.fromUnknown({ OPENCLAW_GATEWAY: { URL: "wss://gateway.example", TOKEN: "t" } })
      const { endpoint, token } = yield* Effect.provide(
        GatewayConfig,
        GatewayConfig.layerEnv.pipe(Layer.provide([ConfigProvider.layer(provider), NodeServices.layer]))
      )
      assert.strictEqual(endpoint.gatewayScope, "wss://gateway.example:443/")
      assert.isDefined(token)
    }))

  it.effect("a blank variable is not set", () =>
    Effect.gen(function*() {
      for (const preserveEmptyStrings of [false, true]) {
        const names = [
          "URL",
          "TOKEN",
          "PASSWORD",
          "SCOPES",
          "CLIENT_ID",
          "CLIENT_MODE",
          "ORIGIN",
          "PLAINTEXT_HOST",
          "TLS_PINS",
          "TLS_TRUST",
          "HEADERS",
          "HEADERS_FILE",
          "CA_FILE",
          "NARROWED_SCOPES",
          "CHALLENGE_TIMEOUT",
          "REQUEST_TIMEOUT"
        ]
        for (const value of ["", "  "]) {
          const env = Object.fromEntries(names.map((name) => [`OPENCLAW_GATEWAY_${name}`, value]))
          assert.deepStrictEqual<unknown>(plain(yield* fromEnv(env, preserveEmptyStrings)), resolvedDefaults)
        }
      }
    }))

  it.effect("bad variables fail typed, all together and without secrets", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(fromEnv({
        OPENCLAW_GATEWAY_URL: "wss://user:sekrit@gateway.example",
        OPENCLAW_GATEWAY_TOKEN: "sekrit|token",
        OPENCLAW_GATEWAY_CLIENT_ID: "ten-agent",
        OPENCLAW_GATEWAY_CLIENT_MODE: "operator"
      }))
      assert.strictEqual(error._tag, "SettingsInvalid")
      if (error._tag !== "SettingsInvalid") return
      assert.deepStrictEqual(error.problems.map(({ setting }) => setting).toSorted(), [
        "OPENCLAW_GATEWAY_CLIENT_ID",
        "OPENCLAW_GATEWAY_CLIENT_MODE",
        "OPENCLAW_GATEWAY_TOKEN",
        "OPENCLAW_GATEWAY_URL"
      ])
      assert.notInclude(`${error.message} ${String(error)} ${JSON.stringify(error)} ${inspect(error)}`, "sekrit")
    }))

  const files = Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const directory = yield* fs.makeTempDirectoryScoped()
    const write = (name: string, text: string) =>
      Effect.as(fs.writeFileString(`${directory}/${name}`, text), `${directory}/${name}`)
    return { directory, write }
  })

  it.effect("authorities and headers are read from files", () =>
    Effect.gen(function*() {
      const { write } = yield* files
      const { certificate } = authority("Test Authority")
      const settings = yield* fromEnv({
        OPENCLAW_GATEWAY_URL: "wss://gateway.example",
        OPENCLAW_GATEWAY_CA_FILE: ` ${yield* write("ca.pem", `# ours\n${certificate}`)} `,
        OPENCLAW_GATEWAY_HEADERS_FILE: yield* write("headers", "X-Token: sekrit-value\n")
      })
      assert.deepStrictEqual(settings.tls, { mode: "ca", pins: [], authorities: [certificate.trim()] })
      assert.deepStrictEqual(settings.headers.map(({ value }) => Redacted.value(value)), ["sekrit-value"])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("files that cannot be used fail typed, together with all else that is wrong, and without what is in them", () =>
    Effect.gen(function*() {
      const { directory, write } = yield* files
      // The length of what is signed, inside; the whole is as long as it says.
      const damaged = authority("Test Authority").certificate.replace(/(?<=^-.*\n.{6})./, "A")
      const ca = "OPENCLAW_GATEWAY_CA_FILE"
      const cases: ReadonlyArray<readonly [Record<string, string>, ReadonlyArray<string>]> = [
        [{ [ca]: `${directory}/none` }, [`${ca}: names a file that cannot be read`]],
        [{ [ca]: yield* write("key", "sekrit") }, [`${ca}: holds no certificate`]],
        [{ [ca]: yield* write("damaged", damaged) }, [`${ca}: certificate 1 of 1 is damaged`]],
        [{ OPENCLAW_GATEWAY_HEADERS_FILE: directory }, [
          "OPENCLAW_GATEWAY_HEADERS_FILE: names a file that cannot be read"
        ]],
        [
          { OPENCLAW_GATEWAY_HEADERS_FILE: yield* write("bad", "\nsekrit") },
          ["OPENCLAW_GATEWAY_HEADERS_FILE: line 2 is no header"]
        ],
        [
          {
            OPENCLAW_GATEWAY_HEADERS: "X-A: sekrit",
            OPENCLAW_GATEWAY_HEADERS_FILE: yield* write("good", "X-A: sekrit"),
            OPENCLAW_GATEWAY_ORIGIN: "x",
            [ca]: directory
          },
          [
            `${ca}: names a file`,
            "OPENCLAW_GATEWAY_HEADERS_FILE: is set beside OPENCLAW_GATEWAY_HEADERS; set one of them",
            "OPENCLAW_GATEWAY_ORIGIN: must be an origin"
          ]
        ]
      ]
      for (const [env, problems] of cases) {
        const error = yield* Effect.flip(fromEnv({ OPENCLAW_GATEWAY_URL: "wss://gateway.example", ...env }))
        assert.strictEqual(error._tag, "SettingsInvalid")
        const lines = error.message.split("\n").toSorted()
        assert.lengthOf(lines, problems.length, error.message)
        for (const [index, line] of lines.entries()) assert.include(line, problems[index] ?? "")
        assert.notInclude(`${error.message} ${JSON.stringify(error)} ${inspect(error, { depth: 9 })}`, "sekrit")
      }
    }).pipe(Effect.provide(NodeServices.layer)))
})
