import { assert, describe, it } from "@effect/vitest"
import * as RunnerState from "../../src/tasks/RunnerState.ts"
import { RunId, TaskId } from "../../src/tasks/Task.ts"
import type { RunAfterEnd } from "../../src/tasks/TaskLife.ts"
import { home, offline } from "./Fixture.ts"

const make = () => new RunnerState.RunnerState({ gatewayScope: home, status: offline })

const add = (state: RunnerState.RunnerState, index: number) =>
  state.add({
    taskId: TaskId.make(`task ${index}`),
    runId: RunId.make(`run ${index}`),
    gatewayScope: home,
    sessionKey: `agent:main:${index}`,
    summary: "water the plants",
    position: index,
    acceptedAtMs: 0
  }, false)

const end = (state: RunnerState.RunnerState, cell: RunnerState.Cell, run: RunAfterEnd) => {
  const outcome = { _tag: "Expired", sent: true } as const
  state.update(cell, { ...cell.life, stage: { _tag: "Ended", outcome, run, lateReply: undefined } })
  state.trim()
}

describe("RunnerState", () => {
  it("lists the last 200 that ended; of those before, nothing is left", () => {
    const state = make()
    const first = add(state, 0)
    state.listen(first, "their run")
    state.claim(first, "their run")
    const open = add(state, 1)
    end(state, first, { _tag: "Listening", stopped: false, asked: false })
    for (let index = 2; index < 201; index++) end(state, add(state, index), { _tag: "Over" })
    assert.strictEqual(state.cells.size, 201)
    assert.strictEqual(state.ofRun("their run"), first)
    end(state, add(state, 201), { _tag: "Over" })
    assert.isUndefined(state.ofRun("run 0"))
    assert.isUndefined(state.ofRun("their run"))
    assert.strictEqual(state.claimed.size, 0)
    assert.isFalse(state.cells.has(first.life.subject.taskId))
    assert.strictEqual(state.ofRun("run 1"), open)
    assert.strictEqual(state.openCount(), 1)
  })

  it("F47: what keeps a session busy stays until it does not", () => {
    const state = make()
    const first = add(state, 0)
    end(state, first, { _tag: "Holding", stop: "NotWanted" })
    for (let index = 1; index < 300; index++) end(state, add(state, index), { _tag: "Over" })
    assert.isTrue(state.cells.has(first.life.subject.taskId))
    assert.strictEqual(state.cells.size, 200)
    end(state, first, { _tag: "Listening", stopped: false, asked: false })
    end(state, add(state, 300), { _tag: "Over" })
    assert.isFalse(state.cells.has(first.life.subject.taskId))
    assert.strictEqual(state.cells.size, 200)
  })

  it("F43: the run of another task that answers one is shared, and stays the other's", () => {
    const state = make()
    const [one, two] = [add(state, 0), add(state, 1)]
    state.listen(two, "run 0")
    assert.strictEqual(state.ofRun("run 0"), one)
    state.unlisten(two)
    assert.deepStrictEqual([state.ofRun("run 0"), state.ofRun("run 1")], [one, undefined])
  })
})
