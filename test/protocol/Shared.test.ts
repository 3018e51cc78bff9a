import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import { decodeHelloOk } from "../../src/protocol/Connect.ts"
import { methods as shared } from "../../src/protocol/Shared.ts"
import recordedHello from "../vectors/hello-2026.9.6.json" with { type: "json" }

const methodsOf = () => Result.getOrThrow(decodeHelloOk(structuredClone(recordedHello))).features?.methods

describe("the methods that a gateway offers", () => {
  it("are one list for all connections to gateways of one build", () => {
    const first = methodsOf()
    assert.deepStrictEqual(first, recordedHello.features.methods)
    assert.strictEqual(methodsOf(), first)
  })

  it("are another list where one name differs, and none is kept that is larger than any gateway's", () => {
    const list = ["one", "two"]
    assert.strictEqual(shared([...list]), shared([...list]))
    assert.deepStrictEqual(shared(["one", "too"]), ["one", "too"])
    for (const large of [Array.from({ length: 2001 }, () => "x"), ["x".repeat(100_001)]]) {
      assert.notStrictEqual(shared([...large]), shared([...large]))
    }
  })

  it("of many builds do not stay in memory for ever", () => {
    const first = shared(["first"])
    for (let build = 0; build < 8; build++) shared([`build ${build}`])
    assert.notStrictEqual(shared(["first"]), first)
  })
})
