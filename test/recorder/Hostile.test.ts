import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { fileURLToPath } from "node:url"
import * as Recording from "../../src/recorder/Recording.ts"
import * as Replay from "../../src/recorder/Replay.ts"

const directory = fileURLToPath(new URL("../recordings", import.meta.url))

const linesOf = Effect.fnUntraced(function*(name: string) {
  const fs = yield* FileSystem.FileSystem
  return (yield* fs.readFileString(`${directory}/${name}.ndjson`)).trimEnd().split("\n")
}, Effect.provide(NodeServices.layer))

/** The line with the value at this path replaced by a JSON text. */
const replaced = (line: string, path: ReadonlyArray<string>, json: string): string => {
  const root: unknown = JSON.parse(line)
  const parent = path.slice(0, -1).reduce<unknown>((inner, name) => Reflect.get(Object(inner), name), root)
  const name = path.at(-1)
  if (Predicate.isObject(parent) && name !== undefined) Reflect.set(parent, name, placeholder)
  return JSON.stringify(root).replace(`"${placeholder}"`, () => json)
}
const placeholder = "here"

const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`

describe("a crafted recording", () => {
  const header: ReadonlyArray<readonly [path: string, json: string]> = [
    ["at", "8.64e15"],
    ["at", "-1"],
    ["at", "1e300"],
    ["taskTimeoutMs", "-1"],
    ["settings.gateway", `"?token=x"`],
    ["settings.gateway", `"../../x"`],
    ["settings.challengeTimeoutMs", "0"],
    ["settings.helloTimeoutMs", "-5"],
    ["settings.requestTimeoutMs", "1e300"],
    ["settings.scopes", nested(20_000)]
  ]
  it.effect.each(header)("is refused with %s %s in its header", ([path, json]) =>
    Effect.gen(function*() {
      const [first = "", ...rest] = yield* linesOf("hello")
      const text = [replaced(first, path.split("."), json), ...rest, ""].join("\n")
      const error = yield* Effect.flip(Effect.flatMap(Recording.parse(text), Replay.run))
      assert.deepInclude(error, { _tag: "RecordingInvalid", line: 1 })
    }))

  const task = { taskId: "0badcafe", runId: "run", sessionKey: "main", summary: "~1~", position: 1, acceptedAtMs: 1 }
  const entry = (kind: string, fields: object, at: number = 1_795_305_600_000) =>
    JSON.stringify({ at, kind, ...fields })
  const entries: ReadonlyArray<readonly [what: string, line: string]> = [
    ["a time that no calendar has", entry("end", {}, 8.64e15)],
    ["a negative time", entry("end", {}, -1)],
    ["a random number above 1", entry("draw", { value: 1e300 })],
    ["a negative random number", entry("draw", { value: -1 })],
    ["an abort of no task", entry("abort", { taskId: "" })],
    ["an earlier task without id", entry("takenUp", { tasks: [{ ...task, taskId: "" }] })],
    ["an earlier task without run id", entry("takenUp", { tasks: [{ ...task, runId: "" }] })],
    ["an earlier task at a time that no calendar has", entry("takenUp", { tasks: [{ ...task, acceptedAtMs: 1e300 }] })],
    ["an earlier task at a wild position", entry("takenUp", { tasks: [{ ...task, position: 2 ** 53 }] })],
    [
      "a frame that is nested too deeply",
      replaced(entry("in", { link: 1, frame: { payload: 1 } }), ["frame", "payload"], nested(20_000))
    ],
    [
      "settings that are nested too deeply",
      replaced(entry("reconfigured", { settings: 1 }), ["settings"], nested(20_000))
    ]
  ]
  it.effect.each(entries)("is refused with %s", ([, line]) =>
    Effect.gen(function*() {
      const [first = "", second = "", ...rest] = yield* linesOf("hello")
      const text = [first, second, line, ...rest, ""].join("\n")
      const error = yield* Effect.flip(Effect.flatMap(Recording.parse(text), Replay.run))
      assert.deepInclude(error, { _tag: "RecordingInvalid", line: 3, reason: "Unreadable" })
    }))

  /** A place, evenly spread: generated numbers themselves are mostly small. */
  const unit = Arbitrary.map(
    Arbitrary.schema(Schema.Natural),
    (value) => (Math.imul(value % 1_000_003, 0x9e3779b1) >>> 0) / 2 ** 32
  )
  const value = Arbitrary.schema(Schema.Literals([
    "-1",
    "0",
    "0.5",
    "9007199254740992",
    "253402300799999",
    "8.64e15",
    "1e300",
    "-1e300",
    "null",
    "true",
    `""`,
    `"constructor"`,
    `"__proto__"`,
    `"\\u0000"`,
    `"|?#/"`,
    `"${"a".repeat(2000)}"`,
    "[]",
    "{}",
    `["x","x"]`,
    nested(40),
    nested(20_000)
  ]))
  it.effect.prop(
    "never ends in a defect, whatever value is in whatever place",
    [Arbitrary.schema(Schema.Literals(["hello", "approval", "close-1012", "another-gateway"])), unit, unit, value],
    ([name, line, place, json]) =>
      Effect.gen(function*() {
        const lines = [...yield* linesOf(name)]
        const index = Math.floor(line * lines.length)
        const places = pathsOf(JSON.parse(lines[index] ?? ""))
        lines[index] = replaced(lines[index] ?? "", places[Math.floor(place * places.length)] ?? ["at"], json)
        const text = [...lines, ""].join("\n")
        yield* Effect.flatMap(Recording.parse(text), Replay.run).pipe(
          Effect.catchTags({ RecordingInvalid: () => Effect.void, SettingsInvalid: () => Effect.void })
        )
      }),
    { arbitrary: { seed: "crafted", runs: 250 } }
  )
})

/** The path of every property in a value. */
const pathsOf = (value: unknown, path: ReadonlyArray<string> = []): ReadonlyArray<ReadonlyArray<string>> =>
  Predicate.isObject(value)
    ? Object.entries(value).flatMap(([name, inner]) => [[...path, name], ...pathsOf(inner, [...path, name])])
    : []
