import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Recording from "../../src/recorder/Recording.ts"
import * as Replay from "../../src/recorder/Replay.ts"
import * as Scenarios from "./Scenarios.ts"

describe("a fault recorded now", () => {
  for (const scenario of Scenarios.scenarios) {
    it.effect(`B16: ${scenario.name}, recorded afresh, replays to the same states`, () =>
      Effect.gen(function*() {
        const recording = yield* Effect.flatMap(Scenarios.recorded(scenario), Recording.parse)
        const outcome = yield* Replay.run(recording, { toleranceMs: 0 })
        assert.isUndefined(outcome.difference, JSON.stringify(outcome.difference, null, 1))
        assert.isUndefined(outcome.incomplete)
        assert.isAbove(outcome.recorded.length, 1)
      }))
  }
})
