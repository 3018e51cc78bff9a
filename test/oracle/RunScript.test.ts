import { assert, describe, it } from "@effect/vitest"
import { facts, toJson } from "./RunScript.ts"

describe("a recording of runs", () => {
  it("is JSON also where an answer lacks fields, at every depth", () => {
    const scene = {
      answer: { payload: { runId: "run-one", status: undefined } },
      events: [{ event: "chat", payload: { seq: 1, message: undefined } }],
      later: { absent: undefined, "agent.wait": { payload: undefined, error: undefined }, told: [{ ok: undefined }] }
    }
    const kept: unknown = JSON.parse(toJson("2026.9.6", { one: scene }))
    assert.deepStrictEqual(kept, {
      source: "OpenClaw 2026.9.6, played by test/interop/Runs.test.ts with OPENCLAW_RECORD=true",
      scenes: {
        one: {
          answer: { payload: { runId: "run-one" } },
          events: [{ event: "chat", payload: { seq: 1 } }],
          later: { "agent.wait": {}, told: [{}] }
        }
      }
    })
    assert.deepStrictEqual(facts(kept), { one: { kinds: ["chat"], later: { "agent.wait": {}, told: [{}] } } })
  })
})
