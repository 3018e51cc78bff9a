import { assert, describe, it } from "@effect/vitest"
import { isoTime } from "../../src/protocol/AgentEvent.ts"

describe("isoTime", () => {
  it("is ISO 8601 in UTC, and no failure for a number that is no time", () => {
    assert.strictEqual(isoTime(1_795_330_230_896), "2026-11-22T06:50:30.896Z")
    for (const ms of [8.64e15 + 1, -1e20, Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.strictEqual(isoTime(ms), "an unknown time")
    }
  })
})
