import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import { compareCode } from "../../src/identity/CompareCode.ts"
import { DeviceId } from "../../src/protocol/Connect.ts"

const HexId = Arbitrary.schema(DeviceId)

describe("CompareCode", () => {
  it("G26: vectors", () => {
    const bytes = (...values: ReadonlyArray<number>) =>
      DeviceId.make(Buffer.from([...values, ...Array.from({ length: 32 - values.length }, () => 0x7f)]).toString("hex"))
    assert.deepStrictEqual(compareCode(bytes(0, 1, 2, 3, 252, 253, 254, 255, 16, 17)), {
      digits: "0001-0203-fcfd-feff-1011",
      words: "acorn actor adobe agate tiger tulip tunnel turtle"
    })
    assert.deepStrictEqual(
      compareCode(DeviceId.make("6a1b2863554dc14bd5a4295ed3ae9430bdc7ffbfa60abf30307dfe147fa36939")),
      { digits: "6a1b-2863-554d-c14b-d5a4", words: "fiddle barley boulder eraser dolphin cymbal ocean cupcake" }
    )
  })

  it.prop(
    "G26: the digits are the beginning of the id, and the words stand for its first eight bytes",
    [HexId],
    ([id]) => {
      const { digits, words } = compareCode(id)
      assert.isTrue(id.startsWith(digits.replaceAll("-", "")))
      assert.match(digits, /^([0-9a-f]{4}-){4}[0-9a-f]{4}$/)
      const bytes = words.split(" ").map((word) => byteOf.get(word))
      assert.strictEqual(Buffer.from(bytes.map((byte) => byte ?? 0)).toString("hex"), id.slice(0, 16))
      assert.notInclude(bytes, undefined)
    },
    { arbitrary: { seed: 4, runs: 200 } }
  )

  it("G26: the 256 words differ in their first four letters", () => {
    assert.strictEqual(byteOf.size, 256)
    assert.strictEqual(new Set([...byteOf.keys()].map((word) => word.slice(0, 4))).size, 256)
    for (const word of byteOf.keys()) assert.match(word, /^[a-z]{4,10}$/)
  })
})

const byteOf = new Map(
  Array.from({ length: 256 }, (_, byte) => {
    const id = DeviceId.make(byte.toString(16).padStart(2, "0").repeat(32))
    return [compareCode(id).words.split(" ")[0] ?? "", byte] as const
  })
)
