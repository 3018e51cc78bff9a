import { assert, describe, it } from "@effect/vitest"
import { step } from "../../src/tasks/TaskStep.ts"
import { Moves, TaskWorld } from "./TaskWorld.ts"

const play = (moves: ReadonlyArray<number>, abortExpired: boolean): TaskWorld => {
  const world = new TaskWorld(step, abortExpired)
  try {
    for (const move of moves) world.move(move)
    world.finish()
  } catch (cause) {
    throw new Error(`after ${world.log.join(", ")}`, { cause })
  }
  return world
}

describe("TaskStep", () => {
  for (const abortExpired of [false, true]) {
    const where = abortExpired ? ", also where expired runs are stopped" : ""
    it.prop(
      `F43 F47 G15 B07: its laws hold in every order of events${where}`,
      [Moves],
      ([moves]) => void play(moves, abortExpired),
      { arbitrary: { seed: 1, runs: 2000 } }
    )
  }

  it("the orders of events that are tried come to every end, to second sends, and to late replies", () => {
    const seen = new Map<string, number>()
    let state = 7
    const next = () => {
      state ^= state << 13
      state ^= state >>> 17
      state ^= state << 5
      return state >>> 2
    }
    for (let round = 0; round < 1000; round++) {
      const moves = Array.from({ length: 60 }, next)
      const { subjects } = play(moves, round % 2 === 0)
      for (const { lateReplies, outcome, sends } of subjects) {
        const told = [
          outcome?._tag ?? "none",
          ...(lateReplies > 0 ? ["late"] : []),
          ...(sends > 1 ? ["sent again"] : [])
        ]
        for (const what of told) seen.set(what, (seen.get(what) ?? 0) + 1)
      }
    }
    assert.deepStrictEqual(
      [...seen.keys()].toSorted(),
      ["Aborted", "Completed", "Expired", "Failed", "Unknown", "late", "sent again"]
    )
    for (const [what, times] of seen) assert.isAbove(times, 10, what)
  })
})
