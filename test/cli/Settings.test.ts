import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Sink from "effect/Sink"
import * as Stdio from "effect/Stdio"
import { generateKeyPairSync } from "node:crypto"
import { Output } from "../../src/cli/Output.ts"
import * as OwnIdentity from "../../src/cli/OwnIdentity.ts"
import * as Settings from "../../src/cli/Settings.ts"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { authority } from "../support/TlsAuthority.ts"

const secret = "s3cret-of-a-test"

interface Given {
  readonly flags?: Partial<Record<"gatewayUrl" | "stateDir" | "session", string>>
  readonly platform?: string
}

const read = (env: Readonly<Record<string, string>>, { flags = {}, platform = "linux" }: Given = {}) =>
  Settings.read({
    gatewayUrl: Option.fromUndefinedOr(flags.gatewayUrl),
    stateDir: Option.fromUndefinedOr(flags.stateDir),
    session: Option.fromUndefinedOr(flags.session)
  }, { platform }).pipe(
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord({ HOME: "/home/me", ...env })),
    Effect.provide(NodeServices.layer)
  )

/** The resolved settings in words, as the README's `Changes` state them. */
const summary = (settings: Settings.Settings) => {
  const { gateway } = settings
  return {
    url: gateway.endpoint.gatewayScope.replace(/\/$/, ""),
    client: `${gateway.clientId}/${gateway.clientMode}`,
    origin: gateway.origin,
    scopes: gateway.scopes.join(","),
    narrowed: gateway.narrowedScopes,
    session: settings.sessionKey,
    challenge: Duration.toSeconds(gateway.challengeTimeout),
    hello: Duration.toSeconds(gateway.helloTimeout),
    request: Duration.toSeconds(gateway.requestTimeout),
    task: Duration.toSeconds(settings.taskTimeout),
    reminder: Duration.toSeconds(settings.reminderInterval),
    reminders: settings.reminders,
    identity: settings.identityPath,
    urlGiven: settings.urlGiven,
    warnings: settings.warnings
  }
}

const defaults = {
  url: "ws://127.0.0.1:18789",
  client: "gateway-client/backend",
  origin: undefined,
  scopes: "operator.read,operator.write",
  narrowed: "accept" as const,
  session: "agent:main:main",
  challenge: 15,
  hello: 15,
  request: 30,
  task: 180,
  reminder: 30,
  reminders: 2,
  identity: "/home/me/.local/state/effect-openclaw/identity.json",
  urlGiven: false,
  warnings: []
}

const page = (path: string) =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => fs.readFileString(`${import.meta.dirname}/../../${path}`))

/** A Markdown table without what its columns are padded with. */
const cells = (table: string) =>
  table.trim().split("\n").filter((line) => !/^[\s|:-]+$/.test(line)).map((line) =>
    line.split("|").map((cell) => cell.trim())
  )

describe("defaults", () => {
  it.effect("F28: each default has a line in the changelog", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(summary(yield* read({})), defaults)
      const changes = (yield* page("CHANGELOG.md")).split("\n## 0.1.0\n")[1] ?? ""
      for (
        const told of [
          defaults.url,
          "`gateway-client` / `backend`",
          defaults.scopes,
          defaults.session,
          "challenge and hello 15 seconds",
          "request 30 seconds",
          "task 180 seconds",
          "reminder every 30 seconds and at most 2"
        ]
      ) assert.include(changes, told)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("F28: the README's table is the one that the program reads", () =>
    Effect.gen(function*() {
      const shown = /<!-- settings -->([^]*?)<!-- \/settings -->/.exec(yield* page("src/cli/README.md"))?.[1] ?? ""
      assert.deepStrictEqual(cells(shown), cells(Settings.markdown()))
      assert.isAbove(cells(shown).length, 10)
    }).pipe(Effect.provide(NodeServices.layer)))

  const blank = Object.fromEntries(Settings.table.map(({ variable }) => [variable, " \t "]))
  it.effect("a blank variable counts as not set", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(summary(yield* read(blank)), defaults)
      const flags = { gatewayUrl: " ", stateDir: "", session: " " }
      assert.deepStrictEqual(summary(yield* read(blank, { flags })), defaults)
    }))
})

describe("values", () => {
  const cases: ReadonlyArray<
    readonly [string, Readonly<Record<string, string>>, Given, Partial<ReturnType<typeof summary>>]
  > = [
    ["the URL", { OPENCLAW_GATEWAY_URL: " wss://gateway.example/x " }, {}, {
      url: "wss://gateway.example:443/x",
      urlGiven: true
    }],
    [
      "a flag wins over its variable",
      { OPENCLAW_GATEWAY_URL: "ws://127.0.0.1:1", OPENCLAW_CHAT_SESSION_KEY: "agent:a:b" },
      { flags: { gatewayUrl: " ws://127.0.0.1:2 ", session: " agent:c:d " } },
      { url: "ws://127.0.0.1:2", urlGiven: true, session: "agent:c:d" }
    ],
    ["scopes with blanks", { OPENCLAW_GATEWAY_SCOPES: " operator.read , operator.admin " }, {}, {
      scopes: "operator.read,operator.admin"
    }],
    ["no session with less", { OPENCLAW_GATEWAY_NARROWED_SCOPES: "refuse" }, {}, { narrowed: "refuse" }],
    [
      "client and Origin of one's own choice",
      {
        OPENCLAW_GATEWAY_CLIENT_ID: "cli",
        OPENCLAW_GATEWAY_CLIENT_MODE: "cli",
        OPENCLAW_GATEWAY_ORIGIN: " https://a.example "
      },
      {},
      { client: "cli/cli", origin: "https://a.example" }
    ],
    [
      "times and counts",
      {
        OPENCLAW_GATEWAY_CHALLENGE_TIMEOUT: "1 second",
        OPENCLAW_GATEWAY_REQUEST_TIMEOUT: "10 minutes",
        OPENCLAW_TASK_TIMEOUT: " 24 hours ",
        OPENCLAW_PAIRING_REMINDER_INTERVAL: "90 seconds",
        OPENCLAW_PAIRING_REMINDERS: " 0 "
      },
      {},
      { challenge: 1, request: 600, task: 86_400, reminder: 90, reminders: 0 }
    ],
    [
      "times as a shell writes them, and bare seconds",
      {
        OPENCLAW_GATEWAY_CHALLENGE_TIMEOUT: "15",
        OPENCLAW_GATEWAY_REQUEST_TIMEOUT: "5m",
        OPENCLAW_TASK_TIMEOUT: "2h",
        OPENCLAW_PAIRING_REMINDER_INTERVAL: "1500ms"
      },
      {},
      { challenge: 15, request: 300, task: 7200, reminder: 1.5 }
    ],
    ["~ in the variable", { OPENCLAW_DEVICE_STATE_DIR: "~/state" }, {}, { identity: "/home/me/state/identity.json" }],
    ["~ in the flag", {}, { flags: { stateDir: "~" } }, { identity: "/home/me/identity.json" }],
    ["~ in the identity path", { OPENCLAW_GATEWAY_DEVICE_IDENTITY_PATH: "~/keys/me.json" }, {}, {
      identity: "/home/me/keys/me.json"
    }],
    ["~ that is another user's stays", {}, { flags: { stateDir: "/x/~you" } }, { identity: "/x/~you/identity.json" }],
    ["the state directory of XDG", { XDG_STATE_HOME: "/xdg" }, {}, {
      identity: "/xdg/effect-openclaw/identity.json"
    }],
    ["the state directory of macOS", {}, { platform: "darwin" }, {
      identity: "/home/me/Library/Application Support/effect-openclaw/identity.json"
    }]
  ]
  it.effect.each(cases)("%s", ([, env, given, expected]) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(summary(yield* read(env, given)), { ...defaults, ...expected })
    }))
})

describe("bad values", () => {
  const bad: ReadonlyArray<readonly [variable: string, value: string, what: RegExp]> = [
    ["OPENCLAW_GATEWAY_URL", "not a url", /url|URL|ws:/],
    ["OPENCLAW_GATEWAY_URL", "ws://gateway.example", /wss/],
    ["OPENCLAW_GATEWAY_TOKEN", `${secret}|x`, /\|/],
    ["OPENCLAW_GATEWAY_SCOPES", "operator.read|x", /\|/],
    ["OPENCLAW_GATEWAY_NARROWED_SCOPES", "maybe", /^must be accept or refuse$/],
    ["OPENCLAW_GATEWAY_CLIENT_ID", "my-client", /gateway-client/],
    ["OPENCLAW_GATEWAY_CLIENT_MODE", "robot", /backend/],
    ["OPENCLAW_GATEWAY_ORIGIN", "https://a.example/path", /origin like/],
    ["OPENCLAW_GATEWAY_TLS_PINS", secret, /pin 1 of 1 cannot be read/],
    ["OPENCLAW_GATEWAY_TLS_TRUST", "none", /ca, pin or ca-and-pin/],
    ["OPENCLAW_GATEWAY_HEADERS", secret, /line 1 is no header/],
    ["OPENCLAW_GATEWAY_HEADERS_FILE", `/nowhere/${secret}`, /cannot be read/],
    ["OPENCLAW_GATEWAY_CA_FILE", `/nowhere/${secret}`, /cannot be read/],
    ["OPENCLAW_GATEWAY_CHALLENGE_TIMEOUT", "15000", /1 second to 120 seconds/],
    ["OPENCLAW_GATEWAY_CHALLENGE_TIMEOUT", "121 seconds", /1 second to 120 seconds/],
    ["OPENCLAW_GATEWAY_REQUEST_TIMEOUT", "soon", /1 second to 600 seconds/],
    ["OPENCLAW_TASK_TIMEOUT", "0 seconds", /1 second to 24 hours/],
    ["OPENCLAW_TASK_TIMEOUT", "5 fortnights", /written like "15 seconds", 15s or 5m/],
    ["OPENCLAW_TASK_TIMEOUT", "-5", /1 second to 24 hours/],
    ["OPENCLAW_TASK_TIMEOUT", "0", /1 second to 24 hours/],
    ["OPENCLAW_TASK_TIMEOUT", "1e3", /1 second to 24 hours/],
    ["OPENCLAW_PAIRING_REMINDER_INTERVAL", "-1 seconds", /1 second to 1 hour/],
    ["OPENCLAW_PAIRING_REMINDERS", "2.5", /0 to 10/],
    ["OPENCLAW_PAIRING_REMINDERS", "11", /0 to 10/]
  ]
  const problemsOf = (env: Readonly<Record<string, string>>, given: Given = {}) =>
    Effect.map(Effect.flip(read(env, given)), (error) => {
      assert.strictEqual(error._tag, "SettingsInvalid")
      return { message: error.message, problems: error._tag === "SettingsInvalid" ? error.problems : [] }
    })

  it.effect.each(bad)("%s=%s is named with what it should be", ([variable, value, what]) =>
    Effect.gen(function*() {
      const { message, problems } = yield* problemsOf({ [variable]: value })
      assert.lengthOf(problems, 1)
      assert.strictEqual(problems[0]?.setting, variable)
      assert.match(problems[0]?.problem ?? "", what)
      assert.notInclude(message, secret)
      assert.lengthOf(message.split("\n"), 1)
    }))

  it.effect("a bad flag is named by itself, although its variable is right", () =>
    Effect.gen(function*() {
      const env = { OPENCLAW_GATEWAY_URL: "wss://gateway.example" }
      const { problems } = yield* problemsOf(env, { flags: { gatewayUrl: "ftp://x" } })
      assert.deepStrictEqual(problems.map(({ setting }) => setting), ["--gateway-url"])
    }))

  it.effect("all of them are named at once, and no secret is", () =>
    Effect.gen(function*() {
      const all = Object.fromEntries(bad.map(([variable, value]) => [variable, value]))
      const { message, problems } = yield* problemsOf({ ...all, OPENCLAW_GATEWAY_PASSWORD: secret })
      assert.deepStrictEqual(
        problems.map(({ setting }) => setting).toSorted(),
        Object.keys(all).toSorted()
      )
      assert.notInclude(message, secret)
    }))

  it.effect("without a home directory the state directory has to be named", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(read({ HOME: " " }))
      assert.strictEqual(error._tag, "StateDirectoryUnknown")
      assert.include(summary(yield* read({ HOME: "", OPENCLAW_DEVICE_STATE_DIR: "/state" })), {
        identity: "/state/identity.json"
      })
    }))
})

describe("credentials", () => {
  it.effect("a token wins over a password with a warning; neither is shown", () =>
    Effect.gen(function*() {
      const both = yield* read({ OPENCLAW_GATEWAY_TOKEN: ` ${secret} `, OPENCLAW_GATEWAY_PASSWORD: `${secret}-2` })
      assert.strictEqual(both.gateway.token === undefined ? undefined : Redacted.value(both.gateway.token), secret)
      assert.isUndefined(both.gateway.password)
      assert.lengthOf(both.warnings, 1)
      assert.match(both.warnings[0] ?? "", /OPENCLAW_GATEWAY_TOKEN and OPENCLAW_GATEWAY_PASSWORD .*the token is used/)
      assert.notInclude(JSON.stringify(both), secret)
      const password = yield* read({ OPENCLAW_GATEWAY_TOKEN: " ", OPENCLAW_GATEWAY_PASSWORD: secret })
      assert.isUndefined(password.gateway.token)
      assert.isDefined(password.gateway.password)
      assert.deepStrictEqual(password.warnings, [])
    }))
})

describe("a link to trust", () => {
  it.effect("G12 G13 G28: what is set for it reaches the gateway's settings, ~ in paths included", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const HOME = yield* fs.makeTempDirectoryScoped()
      const { certificate } = authority("Test Authority")
      yield* fs.writeFileString(`${HOME}/ca.pem`, certificate)
      yield* fs.writeFileString(`${HOME}/headers`, `X-Token: ${secret}\n`)
      const settings = yield* read({
        HOME,
        OPENCLAW_GATEWAY_URL: "wss://gateway.example",
        OPENCLAW_GATEWAY_CA_FILE: "~/ca.pem",
        OPENCLAW_GATEWAY_HEADERS_FILE: "~/headers",
        OPENCLAW_GATEWAY_TLS_PINS: "ab".repeat(32),
        OPENCLAW_GATEWAY_TLS_TRUST: "ca-and-pin"
      })
      const { headers, pinned, tls } = settings.gateway
      assert.isTrue(pinned)
      assert.deepStrictEqual([tls.mode, tls.pins.length, tls.authorities.length], ["ca-and-pin", 1, 1])
      assert.deepStrictEqual(headers.map(({ value }) => Redacted.value(value)), [secret])
      assert.notInclude(JSON.stringify(settings), secret)
      assert.deepStrictEqual(settings.warnings, [])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("G12: a person sees the warning about a named plaintext host", () =>
    Effect.gen(function*() {
      const { warnings } = yield* read({
        OPENCLAW_GATEWAY_URL: "ws://gateway.local:18789",
        OPENCLAW_GATEWAY_PLAINTEXT_HOST: "gateway.local"
      })
      assert.lengthOf(warnings, 1)
      assert.match(warnings[0] ?? "", /gateway\.local is not encrypted/)
    }))
})

const ten = {
  OPENCLAW_GATEWAY_URL: "ws://127.0.0.1:18789",
  OPENCLAW_GATEWAY_TOKEN: secret,
  OPENCLAW_GATEWAY_SCOPES: "operator.read,operator.write",
  OPENCLAW_GATEWAY_CLIENT_ID: "openclaw-control-ui",
  OPENCLAW_GATEWAY_CLIENT_MODE: "ui",
  OPENCLAW_GATEWAY_ORIGIN: "http://localhost:18789",
  OPENCLAW_GATEWAY_DEVICE_IDENTITY_PATH: "~/.openclaw/identity/device.json",
  OPENCLAW_CHAT_SESSION_KEY: "agent:main:main"
}

/** An Ed25519 key as TEN's extension writes it, with the device id to expect. */
const tenIdentity = () => {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519")
  return JSON.stringify({
    version: 1,
    public_key_pem: publicKey.export({ type: "spki", format: "pem" }),
    private_key_pem: privateKey.export({ type: "pkcs8", format: "pem" }),
    created_at_ms: 1_760_000_000_000
  })
}

/** Starts far enough to have the identity; answers it with what went to standard error. */
const started = Effect.fnUntraced(function*(env: Readonly<Record<string, string>>, options = { create: true }) {
  const said: Array<string> = []
  const keep = () => Sink.forEach((text: string | Uint8Array) => Effect.sync(() => void said.push(String(text))))
  const host = Output.layer(true).pipe(
    Layer.provide(Stdio.layerTest({ stdout: keep, stderr: keep })),
    Layer.provideMerge(Layer.mergeAll(NodeServices.layer, SecureRandom.layerWebCrypto))
  )
  const settings = yield* read(env)
  const context = yield* Layer.build(OwnIdentity.layer(settings, options).pipe(Layer.provide(host)))
  return { settings, identity: Context.get(context, DeviceIdentity), said }
})

describe("an environment written for TEN", () => {
  it.effect("F28: gives one warning for each key, as the README says", () =>
    Effect.gen(function*() {
      const settings = yield* read(ten)
      assert.include(summary(settings), {
        url: defaults.url,
        client: defaults.client,
        origin: undefined,
        identity: defaults.identity
      })
      assert.deepStrictEqual(
        settings.warnings.map((warning) => /^OPENCLAW_GATEWAY_[A-Z_]+/.exec(warning)?.[0]).toSorted(),
        [
          "OPENCLAW_GATEWAY_CLIENT_ID",
          "OPENCLAW_GATEWAY_CLIENT_MODE",
          "OPENCLAW_GATEWAY_DEVICE_IDENTITY_PATH",
          "OPENCLAW_GATEWAY_ORIGIN"
        ]
      )
      for (const warning of settings.warnings) assert.notInclude(warning, secret)
    }))

  it.effect.each([
    ["inside ~/.openclaw", ".openclaw/identity/device.json"],
    ["elsewhere", "data/ten/device.json"]
  ])("F40: an identity %s is taken over once, and its file is only read", ([, place]) =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const home = yield* fs.makeTempDirectoryScoped({ prefix: "openclaw-device-" })
      const source = `${home}/${place}`
      const text = tenIdentity()
      yield* fs.makeDirectory(source.replace(/\/[^/]+$/, ""), { recursive: true })
      yield* fs.writeFileString(source, text, { mode: 0o640 })
      const before = yield* fs.stat(source)
      const env = { ...ten, HOME: home, OPENCLAW_GATEWAY_DEVICE_IDENTITY_PATH: `~/${place}` }

      const first = yield* started(env)
      assert.strictEqual(first.identity.platform, "ten")
      assert.deepStrictEqual(first.identity.source, {
        _tag: "File",
        path: `${home}/.local/state/effect-openclaw/identity.json`,
        created: false
      })
      const told = first.said.filter((line) => line.startsWith("warning: "))
      assert.lengthOf(told, 1)
      assert.match(told[0] ?? "", /was taken over from .*device\.json, which was only read/)
      const second = yield* started(env)
      assert.strictEqual(second.identity.deviceId, first.identity.deviceId)
      assert.deepStrictEqual(second.said.filter((line) => line.startsWith("warning: ")), [])

      const after = yield* fs.stat(source)
      assert.strictEqual(yield* fs.readFileString(source), text)
      assert.deepStrictEqual([after.mtime, after.mode, after.ino], [before.mtime, before.mode, before.ino])
      assert.deepStrictEqual(yield* fs.readDirectory(source.replace(/\/[^/]+$/, "")), ["device.json"])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("F40: nothing is created in ~/.openclaw when there is no identity yet", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const home = yield* fs.makeTempDirectoryScoped({ prefix: "openclaw-device-" })
      const { identity } = yield* started({ ...ten, HOME: home })
      assert.include(identity.source, { _tag: "File", created: true })
      assert.deepStrictEqual(yield* fs.readDirectory(home), [".local"])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("F40: an unusable identity file stops the start instead of costing the pairing", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const home = yield* fs.makeTempDirectoryScoped({ prefix: "openclaw-device-" })
      yield* fs.makeDirectory(`${home}/.openclaw/identity`, { recursive: true })
      yield* fs.writeFileString(`${home}/.openclaw/identity/device.json`, "{}")
      const error = yield* Effect.flip(started({ ...ten, HOME: home }))
      assert.strictEqual(error._tag, "IdentityInvalid")
      assert.deepStrictEqual(yield* fs.readDirectory(home), [".openclaw"])
      const none = yield* Effect.flip(started({ ...ten, HOME: home }, { create: false }))
      assert.strictEqual(none._tag, "IdentityAbsent")
    }).pipe(Effect.provide(NodeServices.layer)))
})
