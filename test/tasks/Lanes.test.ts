import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as HashMap from "effect/HashMap"
import * as Schema from "effect/Schema"
import * as Lanes from "../../src/tasks/Lanes.ts"
import { TaskId } from "../../src/tasks/Task.ts"

const here = "ws://127.0.0.1:18789/"
const keys = ["main", "agent:main:main", "agent:main:work", "agent:main:Other", "other"] as const
const names = ["agent:main:main", "agent:main:work", "agent:main:other", "agent:main:new"] as const

const Step = Schema.Union([
  Schema.TaggedStruct("Enter", { key: Schema.Literals(keys) }),
  Schema.TaggedStruct("Leave", { index: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 })) }),
  Schema.TaggedStruct("Learn", { key: Schema.Literals(keys), name: Schema.Literals(names) })
])
const Steps = Arbitrary.array(Arbitrary.schema(Step), { minLength: 25, maxLength: 25 })

const at = (sessionKey: string): Lanes.Address => ({ gatewayScope: here, sessionKey })

describe("Lanes", () => {
  it.prop("F43: a task has its turn when no earlier one of its session is left, whatever the session is called", [
    Steps
  ], ([steps]) => {
    let lanes = Lanes.empty
    let count = 0
    /** Tasks that are in, in order. */
    const inside: Array<{ readonly taskId: TaskId; readonly key: (typeof keys)[number] }> = []
    const inTurn = new Set<TaskId>()
    for (const step of steps) {
      if (step._tag === "Enter") {
        const taskId = TaskId.make(`task ${count++}`)
        inside.push({ taskId, key: step.key })
        lanes = Lanes.enter(lanes, at(step.key), taskId)
      } else if (step._tag === "Leave") {
        const [left] = inside.splice(step.index % Math.max(inside.length, 1), 1)
        if (left !== undefined) lanes = Lanes.leave(lanes, at(left.key), left.taskId)
      } else lanes = Lanes.learn(lanes, at(step.key), step.name).lanes
      for (const [index, { key, taskId }] of inside.entries()) {
        if (Lanes.first(lanes, at(key)) !== taskId || inTurn.has(taskId)) continue
        inTurn.add(taskId)
        // Where it gets its turn, no earlier task is in its session as that is known now.
        const earlier = inside.slice(0, index).filter((other) => Lanes.first(lanes, at(other.key)) === taskId)
        assert.deepStrictEqual(earlier, [])
      }
    }
    // In the order of the lanes, every task gets its turn and leaves.
    while (inside.length > 0) {
      const index = inside.findIndex(({ key, taskId }) => Lanes.first(lanes, at(key)) === taskId)
      assert.notStrictEqual(index, -1, "a task never gets its turn")
      const [left] = inside.splice(index, 1)
      if (left !== undefined) lanes = Lanes.leave(lanes, at(left.key), left.taskId)
    }
    assert.strictEqual(HashMap.size(lanes.places), 0)
  }, { arbitrary: { seed: 1, runs: 500 } })

  it("F43: a session that turns out to be another one takes its tasks along, in the order in which they came", () => {
    const [one, two, three] = ["one", "two", "three"].map((name) => TaskId.make(name))
    if (one === undefined || two === undefined || three === undefined) return assert.fail()
    let lanes = Lanes.enter(Lanes.empty, at("agent:main:work"), one)
    lanes = Lanes.enter(lanes, at("main"), two)
    lanes = Lanes.enter(lanes, at("agent:main:work"), three)
    assert.deepStrictEqual([Lanes.first(lanes, at("agent:main:work")), Lanes.first(lanes, at("main"))], [one, two])
    const learned = Lanes.learn(lanes, at("main"), "agent:main:work")
    assert.isTrue(learned.renamed)
    assert.isTrue(Lanes.isSession(learned.lanes, at("main"), "Agent:Main:Work"))
    assert.strictEqual(Lanes.first(learned.lanes, at("main")), one)
    lanes = Lanes.leave(learned.lanes, at("agent:main:work"), one)
    assert.strictEqual(Lanes.first(lanes, at("agent:main:work")), two)
    lanes = Lanes.leave(lanes, at("main"), two)
    assert.strictEqual(Lanes.first(lanes, at("main")), three)
  })

  it("a spelling of the key is no other name, and another gateway's session is another session", () => {
    assert.isFalse(Lanes.learn(Lanes.empty, at("main"), "agent:main:main").renamed)
    assert.isFalse(Lanes.learn(Lanes.empty, at("main"), undefined).renamed)
    const lanes = Lanes.enter(Lanes.empty, at("main"), TaskId.make("one"))
    assert.isUndefined(Lanes.first(lanes, { gatewayScope: "wss://other:443/", sessionKey: "main" }))
  })
})
