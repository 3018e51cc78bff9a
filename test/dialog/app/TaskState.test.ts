import { assert, describe, it } from "@effect/vitest"
import { readTaskEvent } from "../../../src/dialog/app/EventReader.ts"
import type { TaskState } from "../../../src/dialog/app/TaskState.ts"
import { hasEnded, stepTask } from "../../../src/dialog/app/TaskState.ts"
import type { Wire } from "./support/FakeAgent.ts"

const after = (...events: ReadonlyArray<Wire>) =>
  events.reduce<TaskState>((state, wire) => {
    const event = readTaskEvent({ taskId: "t", ...wire })
    return event === undefined ? state : stepTask(state, event)
  }, { is: "accepted" })

const queued = { event: "task.queued", reason: "Offline" }
const sent = { event: "task.sent" }
const phase = { event: "task.phase", phase: "thinking" }
const reply = { event: "task.reply", text: "done" }
const failed = { event: "task.failed", error: { error: "Expired", message: "no reply in time" } }

describe("TaskState", () => {
  it("a task is queued, sent, running and replied, and its phase is gone at the end", () => {
    assert.deepStrictEqual(after(queued), { is: "queued", reason: "Offline" })
    assert.deepStrictEqual(after(queued, sent), { is: "sent" })
    assert.deepStrictEqual(after(sent, phase), { is: "running", phase: "thinking" })
    assert.deepStrictEqual(after(sent, phase, { ...phase, phase: "" }), { is: "sent" })
    assert.deepStrictEqual(after(sent, phase, reply), { is: "replied", text: "done", late: false })
    assert.strictEqual(after(sent, phase, failed).is, "failed")
  })

  it("what is written stands where it belongs, and a reply takes its place", () => {
    const text = (from: number, text: string) => ({ event: "task.text", from, text })
    assert.deepStrictEqual(after(sent, text(0, "one")), { is: "running", phase: "", text: "one" })
    const both = after(sent, phase, text(0, "one"), text(3, ", two"))
    assert.deepStrictEqual(both, { is: "running", phase: "thinking", text: "one, two" })
    assert.deepStrictEqual(after(sent, text(0, "one"), phase), { is: "running", phase: "thinking", text: "one" })
    assert.deepStrictEqual(after(sent, text(0, "one"), text(1, "ff")), { is: "running", phase: "", text: "off" })
    // A part before it is missing.
    assert.deepStrictEqual(after(sent, text(0, "one"), text(9, "x")), { is: "running", phase: "", text: "one" })
    for (const from of [-1, 0.5, "0", null]) {
      assert.deepStrictEqual(after(sent, { event: "task.text", from, text: "x" }), { is: "sent" })
    }
    assert.deepStrictEqual(after(sent, text(0, "one"), reply), { is: "replied", text: "done", late: false })
    assert.deepStrictEqual(after(sent, reply, text(0, "one")), { is: "replied", text: "done", late: false })
  })

  it("a task that has ended stays ended, whatever a stream repeats", () => {
    for (const end of [reply, failed]) {
      const state = after(sent, end)
      assert.isTrue(hasEnded(state))
      assert.deepStrictEqual(after(sent, end, queued, sent, phase), state)
    }
    assert.strictEqual(after(reply, failed).is, "replied")
  })

  it("a reply that the gateway shortened says so", () => {
    assert.deepStrictEqual(after(sent, { ...reply, truncated: true }), {
      is: "replied",
      text: "done",
      late: false,
      truncated: true
    })
  })

  it("a late reply counts after a failure", () => {
    assert.deepStrictEqual(after(sent, failed, { ...reply, late: true }), { is: "replied", text: "done", late: true })
  })
})
