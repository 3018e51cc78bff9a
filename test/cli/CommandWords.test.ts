import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { format, parse } from "../../src/cli/CommandWords.ts"

const words = (text: string) => Result.getOrElse(parse(text), (problem) => problem)

describe("CommandWords", () => {
  it("takes words apart as a shell does, and substitutes nothing", () => {
    const cases: ReadonlyArray<readonly [string, ReadonlyArray<string> | string]> = [
      ["node server.js --port 1", ["node", "server.js", "--port", "1"]],
      ["  npx\t-y\n'a b'  ", ["npx", "-y", "a b"]],
      [`a"b c"d 'e"f' "g'h"`, ["ab cd", `e"f`, "g'h"]],
      ["a\\ b \\\"c \\'d \\\\e", ["a b", `"c`, "'d", "\\e"]],
      ["C:\\Programs\\node.exe D:\\x", ["C:\\Programs\\node.exe", "D:\\x"]],
      ["'C:\\'", ["C:\\"]],
      ["a '' b \"\"", ["a", "", "b", ""]],
      ["echo $HOME `id` $(id) ~ * > x | y && z; #", "echo $HOME `id` $(id) ~ * > x | y && z; #".split(" ")],
      ["", "there is no command"],
      ["''", "there is no command"],
      ["a 'b", "a quotation mark ' has no end"],
      ['a "b\\"', 'a quotation mark " has no end']
    ]
    for (const [text, expected] of cases) assert.deepStrictEqual(words(text), expected, text)
  })

  it.prop(
    "gives back the words of a text that was made of them",
    [Arbitrary.array(Arbitrary.schema(Schema.String), { maxLength: 5 })],
    ([others]) => assert.deepStrictEqual(words(format(["program", ...others])), ["program", ...others]),
    { arbitrary: { seed: 1, runs: 500 } }
  )
})
