import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import { columnsOf, fit, wrap } from "../../src/protocol/TextColumns.ts"

const words = Arbitrary.map(
  Arbitrary.array(
    Arbitrary.schema(Schema.Literals([
      ..."abc  ",
      "longword",
      "\u001b[2m",
      "\u001b[0m",
      "全角",
      "e\u0301",
      "👩‍👩‍👧‍👦",
      "🇩🇪",
      "é"
    ])),
    { maxLength: 40 }
  ),
  (parts) => parts.join("")
)
const columns = Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 20, maximum: 40 })))
const indent = Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5 })))
const fixed = { arbitrary: { seed: "columns", runs: 400 } }
const letters = (text: string) => text.replace(/ /g, "")

describe("TextColumns", () => {
  it("no text is wider than it is counted: what could take two columns does, and what combines takes none", () => {
    const known: ReadonlyArray<readonly [text: string, columns: number]> = [
      ["", 0],
      ["abc", 3],
      ["é", 1],
      ["e\u0301", 1],
      ["全角", 4],
      ["👍", 2],
      ["\u001b[31mred\u001b[0m", 3]
    ]
    for (const [text, expected] of known) assert.strictEqual(columnsOf(text), expected, text)
  })

  it.prop("a wrapped line fits, goes on with its indent, and loses nothing but blanks", [words, columns, indent], ([
    text,
    columns,
    indent
  ]) => {
    const lines = wrap(text, columns, indent)
    for (const [index, line] of lines.entries()) {
      assert.isAtMost(columnsOf(line), columns)
      if (index > 0) assert.isTrue(line.startsWith(" ".repeat(indent)))
    }
    assert.strictEqual(letters(lines.join("")), letters(text))
    if (columnsOf(text) <= columns) assert.deepStrictEqual(lines, [text])
  }, fixed)

  it("breaks at the last blank that fits, or in a word that is longer than a line", () => {
    assert.deepStrictEqual(wrap("one two three", 8), ["one two", "three"])
    assert.deepStrictEqual(wrap("one two three", 8, 2), ["one two", "  three"])
    assert.deepStrictEqual(wrap("abcdefghij", 4), ["abcd", "efgh", "ij"])
    assert.deepStrictEqual(wrap("one two three", 0), ["one two three"])
  })

  it.prop("what fits is a beginning of the line, and no character more would", [words, columns], ([text, columns]) => {
    const fitting = fit(text, columns)
    assert.isTrue(text.startsWith(fitting))
    assert.isAtMost(columnsOf(fitting), columns)
    if (columnsOf(text) <= columns) assert.strictEqual(fitting, text)
  }, fixed)
})
