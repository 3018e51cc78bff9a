/**
 * The index of findings: every closed finding in `findings.json` is named by the title of a test that runs. Whether that test fails
 * without the mend is not known here.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Schema from "effect/Schema"
import list from "./findings.json" with { type: "json" }

const Findings = Schema.Array(Schema.Struct({
  id: Schema.String.check(Schema.isPattern(/^F\d\d$/)),
  finding: Schema.NonEmptyString,
  closed: Schema.Boolean
}))
type Findings = typeof Findings.Type

const expectedIds = Array.from({ length: 53 }, (_, index) => `F${String(index + 1).padStart(2, "0")}`)

/** The titles of the suites and tests in a source, without those that are skipped, to do, or expected to fail. */
const titlesIn = (source: string): ReadonlyArray<string> =>
  [...source.matchAll(/\b(?:it|test|describe|layer)((?:\.\w+)*)(?:\([^()]*\))?\(\s*(["'`])((?:(?!\2)[^\\]|\\.)*)\2/g)]
    .flatMap(([, modifiers = "", , title = ""]) => /\.(skip|todo|fails)\b/.test(modifiers) ? [] : [title])

/** The mistakes of the list: ids that are missing, doubled or unknown, and closed findings that no title names. */
const mistakes = (findings: Findings, titles: ReadonlyArray<string>): ReadonlyArray<string> => {
  const ids = findings.map(({ id }) => id)
  return [
    ...expectedIds.filter((id) => !ids.includes(id)).map((id) => `${id} is missing`),
    ...ids.filter((id, index) => ids.indexOf(id) !== index).map((id) => `${id} is there twice`),
    ...ids.filter((id) => !expectedIds.includes(id)).map((id) => `${id} is unknown`),
    ...findings.filter(({ closed, id }) => closed && !titles.some((title) => new RegExp(`\\b${id}\\b`).test(title)))
      .map(({ id }) => `${id} is closed, but no test names it`)
  ]
}

/** What once had no tests, its module and where it is tested now. */
const pureCore: ReadonlyArray<readonly [what: string, module: string, tests: string]> = [
  ["signed text", "protocol/DeviceProof", "protocol/DeviceProof.test.ts"],
  ["challenge", "protocol/Connect", "protocol/Connect.test.ts"],
  ["detection", "protocol/Refusal", "protocol/Refusal.test.ts"],
  ["deduplication", "pairing/PairingStep", "pairing/PairingStep.test.ts"],
  ["commands", "pairing/ApproveCommand", "pairing/ApproveCommand.slow.test.ts"],
  ["error texts", "advice/ErrorCatalogue", "advice/ErrorCatalogue.test.ts"]
]

describe("findings", () => {
  it.effect("F10: every closed finding is named by a test that runs, and all 53 are listed once", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const names = (yield* fs.readDirectory(import.meta.dirname, { recursive: true }))
        .filter((name) => name.endsWith(".test.ts") && !name.includes("node_modules"))
      const sources = yield* Effect.forEach(names, (name) => fs.readFileString(`${import.meta.dirname}/${name}`))
      const titles = sources.flatMap(titlesIn)
      assert.isAbove(titles.length, 50)
      assert.deepStrictEqual(mistakes(yield* Schema.decodeEffect(Findings)(list), titles), [])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect.each(pureCore)("F10: %s has a test file of its own: %s", ([, module, tests]) =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const source = yield* fs.readFileString(`${import.meta.dirname}/${tests}`)
      assert.include(source, `src/${module}.ts"`)
      assert.isAbove(titlesIn(source).length, 2)
    }).pipe(Effect.provide(NodeServices.layer)))

  it("a missing, doubled or unknown id is a mistake, and so is a closed finding that no title names", () => {
    const all = expectedIds.map((id) => ({ id, finding: "x", closed: id === "F06" || id === "F36" }))
    assert.deepStrictEqual(mistakes(all, ["F06: a", "suite of F36"]), [])
    assert.deepStrictEqual(mistakes(all, ["F06: a", "F366 XF36"]), ["F36 is closed, but no test names it"])
    assert.deepStrictEqual(mistakes(all.slice(1), ["F06", "F36"]), ["F01 is missing"])
    assert.deepStrictEqual(mistakes([...all, ...all.slice(0, 1)], ["F06", "F36"]), ["F01 is there twice"])
    assert.deepStrictEqual(mistakes([...all, { id: "F54", finding: "x", closed: false }], ["F06", "F36"]), [
      "F54 is unknown"
    ])
  })

  it("the titles of tests that do not run do not count", () => {
    const source = [
      'describe("A", () => {',
      "  it('B', () => {})",
      "  it.effect(`C ${name}`, () => {})",
      '  it.effect.prop(\n    "D \\"q\\" (",\n    [X]',
      '  it.effect.each([1, 2])("E", f)',
      '  it.skip("no 1", f)',
      '  it.effect.skip("no 2", f)',
      '  it.todo("no 3")',
      '  it.fails("no 4", f)',
      '  const title = "no 5" // it is "no 6"',
      '  submit("no 7")'
    ]
    assert.deepStrictEqual(titlesIn(source.join("\n")), ["A", "B", "C ${name}", 'D \\"q\\" (', "E"])
  })
})
