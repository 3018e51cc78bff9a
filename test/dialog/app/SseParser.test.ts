import { assert, describe, it, vi } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Sse from "effect/encoding/Sse"
import * as Schema from "effect/Schema"
import { makeSseParser } from "../../../src/dialog/app/SseParser.ts"

const parse = (pieces: ReadonlyArray<string>) => {
  const events: Array<readonly [string, string]> = []
  const feed = makeSseParser((name, data) => void events.push([name, data]))
  for (const piece of pieces) feed(piece)
  return events
}

const letters = [
  "data",
  "event",
  "id",
  ":",
  ": ",
  " ",
  "\n",
  "\r\n",
  "\r",
  "a",
  "{",
  "é",
  "\n\n",
  "data: x\n\n",
  "event: b\n"
]
const text = Arbitrary.map(
  Arbitrary.array(Arbitrary.schema(Schema.Literals(letters)), { maxLength: 25 }),
  (parts) => parts.join("")
)

describe("SseParser", () => {
  it.effect.prop(
    "reads the same however the stream is cut",
    [text, Arbitrary.schema(Schema.Natural)],
    ([stream, seed]) =>
      Effect.sync(() => {
        const size = 1 + (seed % 5)
        const pieces = stream.match(new RegExp(`[^]{1,${size}}`, "g")) ?? []
        assert.deepStrictEqual(parse(pieces), parse([stream]))
      }),
    { arbitrary: { seed: 1, runs: 500 } }
  )

  it("undoes what the encoder of events does, with line ends of every kind", () => {
    const data = "first\nsecond: with colon\n third"
    const encoded = Sse.encoder.write({ _tag: "Event", event: "agent", id: "7", data })
    for (const end of ["\n", "\r\n", "\r"]) {
      assert.deepStrictEqual(parse([encoded.replaceAll("\n", end)]), [["agent", data]])
    }
  })

  it("passes over comments, fields that it does not know and events without data", () => {
    assert.deepStrictEqual(
      parse([": alive\n\nretry: 5\nid: 1\nevent: a\n\ndata\n\nevent:b\ndata:x\ndata: y\n\n\ufeffdata: z"]),
      [["message", ""], ["b", "x\ny"]]
    )
  })

  it("an event without end does not fill the memory, and what follows it is read", () => {
    const events = parse([...Array.from({ length: 80 }, () => `data: ${"x".repeat(65_536)}\n`), "\ndata: after\n\n"])
    assert.deepStrictEqual(events, [["message", "after"]])
    assert.deepStrictEqual(
      parse([...Array.from({ length: 80 }, () => "x".repeat(65_536)), "\n\ndata: after\n\n"]),
      [["message", "after"]]
    )
  })

  it("a long event that comes in small pieces is read in a time that grows with its length", () => {
    const worked = (characters: number) => {
      const split = vi.spyOn(String.prototype, "split")
      try {
        const text = `data: ${"x".repeat(characters)}\n\n`
        assert.deepStrictEqual(parse(text.match(/[^]{1,100}/g) ?? []), [["message", "x".repeat(characters)]])
        return split.mock.contexts.reduce((sum: number, read) => sum + String(read).length, 0)
      } finally {
        split.mockRestore()
      }
    }
    assert.isBelow(worked(200_000), 2.5 * worked(100_000))
  })
})
