import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { deviceTable } from "../../src/cli/DeviceTable.ts"
import * as Settings from "../../src/cli/Settings.ts"
import type { GatewaySettings } from "../../src/handshake/GatewayConfig.ts"
import { GatewayConfig, SettingsInvalid } from "../../src/handshake/GatewayConfig.ts"
import { gatewayTable } from "../../src/handshake/GatewayTable.ts"
import * as Setting from "../../src/settings/Setting.ts"
import { authority } from "../support/TlsAuthority.ts"

type Environment = Readonly<Record<string, string>>

const provided = (env: Environment) =>
  Layer.merge(
    NodeServices.layer,
    ConfigProvider.layer(ConfigProvider.fromEnvRecord({ HOME: "/home/me", ...env }, { preserveEmptyStrings: true }))
  )

const byLibrary = (env: Environment) =>
  Effect.provide(GatewayConfig, Layer.provide(GatewayConfig.layerEnv, provided(env)))

const byCommands = (env: Environment) =>
  Settings.read({ gatewayUrl: Option.none(), stateDir: Option.none() }, { platform: "linux" }).pipe(
    Effect.provide(provided(env))
  )

/** Settings with their secrets, so that they can be compared. */
const opened = (settings: object): unknown =>
  JSON.parse(
    JSON.stringify(settings, (_, value: unknown) => Redacted.isRedacted(value) ? Redacted.value(value) : value)
  )

const problemsOf = <A, E extends { readonly _tag: string }, R>(effect: Effect.Effect<A, E | SettingsInvalid, R>) =>
  Effect.map(Effect.flip(effect), (error) => error instanceof SettingsInvalid ? error.problems : [])

interface Sample {
  /** Another value than the default. */
  readonly good: string
  /** Absent where any text is right. */
  readonly bad?: string
  /** What must be set besides, for the good value to be right. */
  readonly beside?: Environment
}

const wss = { OPENCLAW_GATEWAY_URL: "wss://gateway.example" }
const secret = "s3cret-of-a-test"

const ofGateway = (caFile: string): Readonly<Record<string, Sample>> => ({
  url: { good: "wss://gateway.example/x", bad: `wss://me:${secret}@gateway.example` },
  token: { good: secret, bad: `${secret}|x` },
  password: { good: secret },
  scopes: { good: "operator.read", bad: "operator.read|x" },
  narrowedScopes: { good: "refuse", bad: secret },
  clientId: { good: "cli", bad: "my-client" },
  clientMode: { good: "cli", bad: "robot" },
  origin: { good: "https://agent.example", bad: `https://agent.example/${secret}` },
  plaintextHost: { good: "gateway.lan", beside: { OPENCLAW_GATEWAY_URL: "ws://gateway.lan" } },
  tlsAuthorities: { good: caFile, bad: `/nowhere/${secret}`, beside: wss },
  tlsPins: { good: "ab".repeat(32), bad: secret, beside: wss },
  tlsTrust: {
    good: "ca-and-pin",
    bad: secret,
    beside: { ...wss, OPENCLAW_GATEWAY_TLS_PINS: "ab".repeat(32) }
  },
  headers: { good: `X-Token: ${secret}`, bad: secret, beside: wss },
  challengeTimeout: { good: "2 seconds", bad: "121" },
  requestTimeout: { good: "2 seconds", bad: "soon" }
})

const ofDevice: Readonly<Record<string, Sample>> = {
  identityPath: { good: "/data/identity.json" },
  stateDirectory: { good: "/data" },
  gatewayPlace: { good: "docker:openclaw", bad: "cloud:openclaw" },
  sessionKey: { good: "agent:a:b" },
  noState: { good: "true", bad: "yes" },
  taskTimeout: { good: "2 seconds", bad: "15x" },
  reminderInterval: { good: "2 seconds", bad: "never" },
  reminders: { good: "3", bad: "11" },
  pagePort: { good: "18790", bad: "65536" }
}

const samples = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const caFile = `${yield* fs.makeTempDirectoryScoped()}/ca.pem`
  yield* fs.writeFileString(caFile, authority("Test Authority").certificate)
  // Which file the others are read from is known before them: test/cli/Setup.slow.test.ts has its laws.
  const { settings: _, ...device } = deviceTable
  return { gateway: rowsOf(gatewayTable, ofGateway(caFile)), device: rowsOf(device, ofDevice) }
}).pipe(Effect.provide(NodeServices.layer))

/** The rows of a table that have a variable, each with its sample; a row without one fails. */
const rowsOf = (table: Setting.Table, samples: Readonly<Record<string, Sample>>) =>
  Object.entries(table).flatMap(([name, row]) => {
    const { variable } = row
    if (variable === undefined) return []
    const sample = samples[name]
    assert.isDefined(sample, `a sample of ${name}`)
    return sample === undefined ? [] : [{ ...sample, name, row, variable, beside: sample.beside ?? {} }]
  })

describe("every setting of the gateway", () => {
  it.effect("reaches the library and the commands alike, with white space around it or without", () =>
    Effect.gen(function*() {
      for (const { beside, good, variable } of (yield* samples).gateway) {
        const without = yield* Effect.match(byLibrary(beside), { onFailure: () => undefined, onSuccess: opened })
        const settings = opened(yield* byLibrary({ ...beside, [variable]: good }))
        assert.notDeepEqual(settings, without, variable)
        for (const text of [good, ` ${good}\t`]) {
          const env = { ...beside, [variable]: text }
          assert.deepStrictEqual(opened(yield* byLibrary(env)), settings, variable)
          assert.deepStrictEqual(opened((yield* byCommands(env)).gateway), settings, variable)
        }
      }
    }))

  it.effect("is refused by both alike when it is bad, by the name of its variable and without its value", () =>
    Effect.gen(function*() {
      for (const { bad, beside, variable } of (yield* samples).gateway) {
        if (bad === undefined) continue
        const env = { ...beside, [variable]: bad }
        const problems = yield* problemsOf(byLibrary(env))
        assert.deepStrictEqual(yield* problemsOf(byCommands(env)), problems)
        assert.lengthOf(problems, 1)
        assert.strictEqual(problems[0]?.setting, variable)
        assert.notInclude(JSON.stringify(problems), secret)
      }
    }))

  it.effect("is not set when it is blank, to both", () =>
    Effect.gen(function*() {
      const gateway: GatewaySettings = yield* byLibrary({})
      for (const { variable } of (yield* samples).gateway) {
        for (const text of ["", "  \t"]) {
          assert.deepStrictEqual(opened(yield* byLibrary({ [variable]: text })), opened(gateway))
          assert.deepStrictEqual(opened((yield* byCommands({ [variable]: text })).gateway), opened(gateway))
        }
      }
    }))
})

describe("every setting of the device", () => {
  it.effect("reaches the commands, is refused by its name when it is bad, and is not set when it is blank", () =>
    Effect.gen(function*() {
      const settings = opened(yield* byCommands({}))
      for (const { bad, good, variable } of (yield* samples).device) {
        const changed = opened(yield* byCommands({ [variable]: good }))
        assert.notDeepEqual(changed, settings, variable)
        assert.deepStrictEqual(opened(yield* byCommands({ [variable]: ` ${good} ` })), changed)
        assert.deepStrictEqual(opened(yield* byCommands({ [variable]: " " })), settings)
        if (bad === undefined) continue
        const problems = yield* problemsOf(byCommands({ [variable]: bad }))
        assert.lengthOf(problems, 1)
        assert.strictEqual(problems[0]?.setting, variable)
      }
    }))
})

describe("the tables", () => {
  it("no two settings share a variable, the variables that go with it, or a flag", () => {
    const names = [
      ...Setting.variables(Settings.table),
      ...Settings.table.flatMap(({ flag }) => flag === undefined ? [] : [flag])
    ]
    assert.strictEqual(new Set(names).size, names.length)
    assert.isAbove(names.length, 25)
  })

  it("every setting that has a variable has a line in the README's table, and says what it is about", () => {
    const lines = Settings.markdown().split("\n").slice(2)
    const rows = Settings.table.filter(({ variable }) => variable !== undefined)
    assert.lengthOf(lines, rows.length)
    for (const [index, { about, flag, range, variable }] of rows.entries()) {
      for (const text of [about, flag, range, variable]) {
        assert.isNotEmpty(text ?? "-")
        assert.include(lines[index], text ?? "")
      }
    }
  })

  it("a default is right, as a program gives it and as text", () => {
    for (const row of Settings.table) {
      if (row.default === undefined) continue
      assert.isDefined(Result.getOrThrow(row.accept(row.default)), row.about)
      if (row.variable === undefined) continue
      assert.deepStrictEqual(
        Result.getOrThrow(row.parse(String(row.default))),
        Result.getOrThrow(row.accept(row.default))
      )
    }
  })

  it("a range ends where it says", () => {
    for (const row of Settings.table) {
      const [, least, most, unit] = /^(\d+)(?: \w+)? to (\d+)( \w+)?$/.exec(row.range) ?? []
      if (least === undefined || most === undefined) continue
      const ok = (text: string) => Result.isSuccess(row.parse(text))
      const [first = "", last = ""] = row.range.split(" to ")
      assert.deepStrictEqual([ok(first), ok(last)], [true, true], row.about)
      assert.isFalse(ok(`${Number(most) + 1}${unit ?? ""}`), row.about)
      assert.isFalse(ok(unit === undefined ? `${Number(least) - 1}` : "999 millis"), row.about)
    }
  })
})
