import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Settings from "../../src/cli/Settings.ts"
import * as Setting from "../../src/settings/Setting.ts"

const secret = "s3cret-of-a-test"

const warningsOf = (env: Readonly<Record<string, string>>) =>
  Settings.read({ gatewayUrl: Option.none(), stateDir: Option.none() }, { platform: "linux" }).pipe(
    Effect.map(({ warnings }) => warnings),
    Effect.provide(
      Layer.merge(
        NodeServices.layer,
        ConfigProvider.layer(
          ConfigProvider.fromEnvRecord({ HOME: "/home/me", ...env }, { preserveEmptyStrings: true })
        )
      )
    )
  )

describe("a variable that looks like a setting", () => {
  const cases: ReadonlyArray<readonly [name: string, nearest: string]> = [
    ["OPENCLAW_GATEWAY_TOKN", "OPENCLAW_GATEWAY_TOKEN"],
    ["OPENCLAW_GATEWAY_TOKEN_FIEL", "OPENCLAW_GATEWAY_TOKEN_FILE"],
    ["OPENCLAW_GATEWAY_SCOPE", "OPENCLAW_GATEWAY_SCOPES"],
    ["OPENCLAW_GATEWAY_REQUEST_TIMEOUT_MS", "OPENCLAW_GATEWAY_REQUEST_TIMEOUT"],
    ["OPENCLAW_GATEWAY_HEADERS_FILES", "OPENCLAW_GATEWAY_HEADERS_FILE"],
    ["OPENCLAW_DEVICE_IDENTITY_PASPHRASE", "OPENCLAW_DEVICE_IDENTITY_PASSPHRASE"],
    ["OPENCLAW_DEVICE_STATEDIR", "OPENCLAW_DEVICE_STATE_DIR"],
    ["OPENCLAW_TASK_TIMOUT", "OPENCLAW_TASK_TIMEOUT"],
    ["OPENCLAW_PAIRING_REMINDER", "OPENCLAW_PAIRING_REMINDERS"]
  ]
  it.effect.each(cases)(
    "%s is warned about, with %s as the nearest, and without its value",
    ([name, nearest]) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* warningsOf({ [name]: secret }), [
          `${name} is not a setting of this program and is ignored. The nearest setting is ${nearest}.`
        ])
      })
  )

  it.effect("each of several gets a warning of its own", () =>
    Effect.gen(function*() {
      const warnings = yield* warningsOf(Object.fromEntries(cases.map(([name]) => [name, secret])))
      assert.sameMembers(warnings.map((warning) => warning.split(" ")[0] ?? ""), cases.map(([name]) => name))
    }))

  it.effect("is not warned about when it is blank, known, or of another program", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* warningsOf({ OPENCLAW_GATEWAY_TOKN: " " }), [])
      for (
        const name of [
          "OPENCLAW_STATE_DIR",
          "OPENCLAW_CONFIG_PATH",
          "OPENCLAW",
          "MY_OPENCLAW_GATEWAY_TOKN",
          "GATEWAY_URL"
        ]
      ) {
        assert.deepStrictEqual(yield* warningsOf({ [name]: "/x" }), [], name)
      }
      for (const name of Setting.variables(Settings.table)) {
        const warnings = yield* Effect.orElseSucceed(warningsOf({ [name]: "0" }), () => [])
        for (const warning of warnings) assert.notInclude(warning, "not a setting")
      }
    }))
})
