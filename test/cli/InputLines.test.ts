import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { bounded } from "../../src/cli/InputLines.ts"

const lines = (chunks: ReadonlyArray<string>, maxLength = 1000) =>
  Effect.map(Stream.runCollect(bounded(maxLength)(Stream.fromIterable(chunks))), (all) => [...all])

describe("lines of standard input", () => {
  it.effect.prop(
    "are the same however the text is cut into pieces",
    [Schema.Array(Schema.Array(Schema.Literals(["a", "b", "\r", "\n", "\r\n"])).check(Schema.isMaxLength(6)))],
    ([pieces]) =>
      Effect.gen(function*() {
        const chunks = pieces.map((piece) => piece.join(""))
        const whole = chunks.join("")
        const parts = whole.split("\n").map((line) => line.replace(/\r$/, ""))
        assert.deepStrictEqual(yield* lines(chunks), whole.endsWith("\n") || whole === "" ? parts.slice(0, -1) : parts)
      }),
    { arbitrary: { seed: 1, runs: 500 } }
  )

  it.effect("a line that does not end takes no more memory than its bound, and the next one is whole", () =>
    Effect.gen(function*() {
      const piece = "x".repeat(65_536)
      const endless = Array.from({ length: 2000 }, () => piece)
      const before = process.memoryUsage().heapUsed
      const found = yield* lines([...endless, "y\nnext\n"], 100)
      assert.deepStrictEqual(found, ["x".repeat(101), "next"])
      assert.isBelow(process.memoryUsage().heapUsed - before, 50_000_000)
    }))
})
