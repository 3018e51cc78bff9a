import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import { plain, replyPiece } from "../../src/cli/EventText.ts"
import * as LiveReply from "../../src/cli/LiveReply.ts"

type Written = Parameters<typeof LiveReply.write>[1]

/** What a terminal shows of a reply that came in these pieces. */
const shown = (pieces: ReadonlyArray<Written>, reply: string) => {
  let state = LiveReply.empty
  const printed: Array<LiveReply.Piece> = []
  for (const piece of pieces) {
    const [next, print] = LiveReply.write(state, piece)
    state = next
    if (print !== undefined) printed.push(print)
    assert.notInclude(LiveReply.line(state), "\n")
  }
  const last = LiveReply.finish(state, reply)
  return last === undefined ? printed : [...printed, last]
}
const inOrder = (texts: ReadonlyArray<string>): ReadonlyArray<Written> =>
  texts.map((text, index) => ({ from: texts.slice(0, index).join("").length, text }))

describe("LiveReply", () => {
  it("a line is printed when it is whole, and the rest at the end", () => {
    assert.deepStrictEqual(shown(inOrder(["one\ntw", "o\nthr", "ee"]), "one\ntwo\nthree"), [
      { text: "one", first: true },
      { text: "two", first: false },
      { text: "three", first: false }
    ])
    assert.deepStrictEqual(shown([], "all at once"), [{ text: "all at once", first: true }])
    assert.deepStrictEqual(shown(inOrder(["one\n"]), "one\n"), [{ text: "one", first: true }])
  })

  it("what was printed and is no beginning of the reply is followed by all of it", () => {
    const [begun, again] = shown(inOrder(["looking\nhere"]), "found")
    assert.deepStrictEqual([begun, again], [{ text: "looking", first: true }, { text: "found", first: true }])
    const anew = shown([{ from: 0, text: "one\n" }, { from: 0, text: "two\n" }], "two\nthree")
    assert.deepStrictEqual(anew.map(({ text }) => text), ["one", "two", "three"])
    assert.deepStrictEqual(anew.map(({ first }) => first), [true, true, false])
  })

  it("a piece behind a gap waits for the reply", () => {
    assert.deepStrictEqual(shown([{ from: 0, text: "a\n" }, { from: 9, text: "z\n" }], "a\nb\nz\n").at(-1), {
      text: "b\nz\n",
      first: false
    })
  })

  const Pieces = Arbitrary.array(Arbitrary.schema(Schema.Literals(["a", "b c", "\n", "\n\n", "d\ne"])), {
    maxLength: 30
  })
  it.prop("the lines that are printed are those of the reply", [Pieces], ([pieces]) => {
    const reply = pieces.join("")
    const lines = shown(inOrder(pieces), reply).map(({ text }) => text).join("\n")
    assert.strictEqual(lines.trimEnd(), reply.trimEnd())
  }, { arbitrary: { seed: 1, runs: 300 } })

  it("pieces stand behind one bar", () => {
    assert.strictEqual(
      replyPiece("0badcafe", { text: "one\ntwo", first: true }, plain),
      "task 0badcafe | one\n              | two"
    )
    assert.strictEqual(replyPiece("0badcafe", { text: "three", first: false }, plain), "              | three")
  })
})
