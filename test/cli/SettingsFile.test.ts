import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SettingsFile from "../../src/cli/SettingsFile.ts"

const url = "OPENCLAW_GATEWAY_URL"
const token = "OPENCLAW_GATEWAY_TOKEN"
const file = { [url]: "wss://home.example", [token]: "secret", OPENCLAW_TASK_TIMEOUT: "5m" }

describe("the settings file", () => {
  it("has variables and their texts, and names the nearest for one that is none", () => {
    const back = SettingsFile.parse(new TextDecoder().decode(SettingsFile.write(file)))
    assert.deepStrictEqual(back, Result.succeed(file))
    for (const text of ["", "[]", "null", `{"${url}": 1}`, "not JSON"]) {
      assert.deepStrictEqual(SettingsFile.parse(text), Result.fail("is no JSON object of variables and their texts"))
    }
    assert.deepStrictEqual(
      SettingsFile.parse(`{"OPENCLAW_GATEWAY_UR": "x"}`),
      Result.fail(`has OPENCLAW_GATEWAY_UR, which is no setting; the nearest is ${url}`)
    )
    assert.isTrue(Result.isFailure(SettingsFile.parse(`{"OPENCLAW_DEVICE_SETTINGS": "/x"}`)))
  })

  it("loses to the environment, by setting and not by variable", () => {
    const counting = (...set: ReadonlyArray<string>) =>
      Object.keys(SettingsFile.counting(file, (name) => set.includes(name), undefined))
    assert.deepStrictEqual(counting(), Object.keys(file))
    assert.deepStrictEqual(counting("OPENCLAW_TASK_TIMEOUT"), [url, token])
    for (const other of [token, `${token}_FILE`, `${token}_FD`]) {
      assert.deepStrictEqual(counting(other), [url, "OPENCLAW_TASK_TIMEOUT"])
    }
  })

  const Credential = Schema.Literals([
    token,
    `${token}_FILE`,
    "OPENCLAW_GATEWAY_PASSWORD",
    "OPENCLAW_GATEWAY_HEADERS",
    "OPENCLAW_GATEWAY_HEADERS_FD",
    "OPENCLAW_GATEWAY_PLACE"
  ])
  it.prop(
    "G23: a credential of the file, and the place, count for the gateway of the file and for no other",
    [Credential, Schema.Literals(["wss://home.example", "wss://other.example", "none"])],
    ([name, given]) => {
      const values = { [url]: "wss://home.example", [name]: "x" }
      const counts = SettingsFile.counting(
        values,
        (each) => each === url && given !== "none",
        given === "none" ? undefined : given
      )
      assert.strictEqual(Object.hasOwn(counts, name), given !== "wss://other.example")
    },
    { arbitrary: { seed: 1, runs: 100 } }
  )
})
