import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Frame from "../../src/protocol/Frame.ts"
import { isExcessive, maxDepth, maxValues, unscannedLength } from "../../src/protocol/FrameShape.ts"
import recordedHello from "../vectors/hello-2026.9.6.json" with { type: "json" }

const filling = "x".repeat(unscannedLength)
/** An event of more than `unscannedLength`, with this JSON in its payload. */
const long = (json: string) => `{"type":"event","event":"chat","payload":{"text":"${filling}","value":${json}}}`
/** Objects of the event itself, which nest around the value. */
const around = 2
/** Brackets that open in the event itself, and its commas. */
const ownValues = 5
const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth)

describe("isExcessive", () => {
  it("F48: a long text may nest up to a limit, and have values up to another", () => {
    const left = maxValues - ownValues
    for (
      const [json, excessive] of [
        [nested(maxDepth - around), false],
        [nested(maxDepth - around + 1), true],
        [`[${"{},".repeat((left - 1) / 2)}1]`, false],
        [`[${"[],".repeat((left - 1) / 2)}1,1]`, true],
        [`[${"1,".repeat(left - 1)}1]`, false],
        [`[${"1,".repeat(left)}1]`, true]
      ] as const
    ) {
      assert.strictEqual(isExcessive(long(json)), excessive)
      assert.strictEqual(Frame.parse(long(json)) === undefined, excessive)
    }
  })

  it("a text of up to 64 KiB is parsed whatever it nests", () => {
    const text = `{"type":"event","event":"chat","payload":${nested(32_000)}}`
    assert.isAtMost(text.length, unscannedLength)
    assert.isDefined(Frame.parse(text))
  })

  it("brackets in strings do not count, whatever is escaped there", () => {
    const text = "[{,".repeat(maxValues / 2)
    for (const string of [text, `"${text}`, `\\"${text}`, `${text}\\`, `\\\\"${text}\\\\`]) {
      const json = JSON.stringify([string, 1, string])
      assert.isFalse(isExcessive(long(json)))
      assert.isDefined(Frame.parse(long(json)))
    }
  })

  it("a string without an end is scanned once", () => {
    for (const end of ['"', '"\\', '"\\"']) assert.isFalse(isExcessive(long(end)))
  })

  it("a hello-ok with a thousand presences is not excessive", () => {
    const [one] = recordedHello.snapshot.presence
    const presence = Array.from({ length: 1000 }, () => one)
    const hello = { ...recordedHello, snapshot: { ...recordedHello.snapshot, presence } }
    const text = Frame.encodeResponse("connect", hello)
    assert.isAbove(text.length, unscannedLength)
    assert.isFalse(isExcessive(text))
  })

  const depthOf = (value: Schema.Json): number =>
    typeof value === "object" && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depthOf)) : 0
  it.effect.prop(
    "counts depth as JSON does, with any strings and keys between",
    [Schema.Json],
    ([json]) =>
      Effect.sync(() => {
        const spare = maxDepth - around - depthOf(json)
        const inside = (depth: number) => long(`${"[".repeat(depth)}${JSON.stringify(json)}${"]".repeat(depth)}`)
        assert.isFalse(isExcessive(inside(spare)))
        assert.isTrue(isExcessive(inside(spare + 1)))
      }),
    { arbitrary: { seed: "shape", runs: 200 } }
  )

  it.effect.prop(
    "no text makes it throw, and none that ends within a string",
    [Schema.String],
    ([text]) =>
      Effect.sync(() => {
        for (const cut of ["", '"', "\\", '\\"', "[", '["\\']) isExcessive(long(text + cut))
      }),
    { arbitrary: { seed: "shape", runs: 200 } }
  )
})
