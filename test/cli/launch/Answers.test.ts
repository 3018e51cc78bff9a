import { assert, describe, it } from "@effect/vitest"
import { answerTo } from "../../../src/cli/launch/Answers.ts"

const colored = "\u001b[1mUSAGE\u001b[0m"
const known = { "--version": "v1", "--help": colored, "run --help": "run" }
const answer = (words: ReadonlyArray<string>, environment: Readonly<Record<string, string>> = {}, isTerminal = false) =>
  answerTo(words, () => known, environment, isTerminal)

describe("the answer without the program", () => {
  it("is given to help and version, by their long and short names, alone or behind a command", () => {
    assert.deepStrictEqual(["--version", "-v", "--help", "-h"].map((word) => answer([word])), [
      "v1",
      "v1",
      "USAGE",
      "USAGE"
    ])
    assert.strictEqual(answer(["run", "-h"]), "run")
  })

  it("is left to the program for everything else", () => {
    for (
      const words of [
        [],
        ["run"],
        ["run", "--version"],
        ["--json", "--help"],
        ["delegate", "--help"],
        ["run --help"],
        ["--help", "run"],
        ["--help=true"],
        ["toString"],
        ["constructor", "--help"]
      ]
    ) assert.isUndefined(answer(words), words.join(" "))
    assert.isUndefined(answerTo(["--help"], () => ({}), {}, false))
  })

  it("reads the answers only when it is asked for one", () => {
    let reads = 0
    answerTo(["run"], () => (reads++, known), {}, false)
    assert.strictEqual(reads, 0)
  })

  it("has colours on a terminal that takes them, as the program has", () => {
    assert.strictEqual(answer(["--help"], {}, true), colored)
    assert.strictEqual(answer(["--help"], { TERM: "xterm", NO_COLOR: "" }, true), colored)
    assert.strictEqual(answer(["--help"], { TERM: "dumb" }, true), "USAGE")
    assert.strictEqual(answer(["--help"], { NO_COLOR: "1" }, true), "USAGE")
    for (const value of ["0", "1", "false"]) assert.isUndefined(answer(["--help"], { FORCE_COLOR: value }))
  })
})
