import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import { RunId, TaskId } from "../../src/tasks/Task.ts"
import type { Action, Input } from "../../src/tasks/TaskLife.ts"
import { begin } from "../../src/tasks/TaskLife.ts"
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

/** A task whose run the gateway says to be over, and that is asked how it ended. */
const asking = () => {
  const actions: Array<Action["_tag"]> = []
  let life = begin(
    {
      taskId: TaskId.make("0badcafe"),
      runId: RunId.make("r"),
      gatewayScope: "here",
      sessionKey: "agent:main:main",
      summary: "water the plants",
      position: 1,
      acceptedAtMs: 0
    },
    { waitsFor: undefined, away: false, turn: true, inherited: false, shared: false }
  )
  const put = (...inputs: ReadonlyArray<Input>) => {
    actions.length = 0
    for (const input of inputs) {
      const [next, due] = step({ timeoutMs: 180_000, abortExpired: false }, life, input, 1000)
      life = next
      actions.push(...due.map(({ _tag }) => _tag))
    }
    return actions
  }
  const answer = Result.succeed({ runId: "r", status: "ok" })
  put(
    { _tag: "Accepted" },
    { _tag: "LinkUp" },
    { _tag: "Saved", ok: true },
    { _tag: "SendAnswered", answer, shared: false }
  )
  return { put, asked: [...actions] }
}

describe("TaskStep", () => {
  it("G14 B20: what the gateway did not know yet when it was asked is asked again, if the run told something meanwhile", () => {
    const notKnown: Input = { _tag: "EndAnswered", end: { _tag: "NotKnown" }, linkLost: false }
    const quiet = asking()
    assert.include(quiet.asked, "AskHowItEnded")
    assert.deepStrictEqual(quiet.put(notKnown), ["ReadHistory"])
    const busy = asking()
    busy.put({ _tag: "ChatTold", event: { _tag: "Final", text: "", atMs: undefined } })
    assert.deepStrictEqual(busy.put(notKnown), ["AskHowItEnded"])
  })

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
