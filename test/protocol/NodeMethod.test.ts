import { assert, describe, it } from "@effect/vitest"
import { agentName, isBehindToolSearch } from "../../src/protocol/NodeMethod.ts"

describe("NodeMethod", () => {
  it("a tool has its own name for the agent, or one with the beginning of the node id before it", () => {
    const digit = "35e5f616".repeat(8)
    const letter = "beb4ed73".repeat(8)
    const names = new Set(["one", `node_${digit.slice(0, 32)}_two`, `${letter.slice(0, 32)}_two`])
    assert.strictEqual(agentName(digit, "one", names), "one")
    assert.strictEqual(agentName(digit, "two", names), `node_${digit.slice(0, 32)}_two`)
    assert.strictEqual(agentName(letter, "two", names), `${letter.slice(0, 32)}_two`)
    assert.isUndefined(agentName(letter, "three", names))
    // The plain name is that of another then.
    assert.strictEqual(agentName(letter, "two", new Set([...names, "two"])), `${letter.slice(0, 32)}_two`)
  })

  it("tool search is what is set, else what the release does by itself, where that is known", () => {
    for (const version of ["2026.8.2", "2026.9.6", undefined]) {
      assert.deepStrictEqual(
        [true, false, {}, { enabled: false }, { enabled: true }, { mode: "tools" }].map((setting) =>
          isBehindToolSearch(setting, version)
        ),
        [true, false, true, false, true, true]
      )
    }
    assert.deepStrictEqual(
      ["2026.9.6", "2026.10.1", "2026.8.2", "dev", undefined].map((version) => isBehindToolSearch(undefined, version)),
      [true, true, undefined, undefined, undefined]
    )
  })
})
