import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import * as Snapshot from "../../src/agent/Snapshot.ts"
import { AgentEvent } from "../../src/protocol/AgentEvent.ts"
import { DeviceId } from "../../src/protocol/Connect.ts"

const at = "2026-01-02T03:04:05.678Z"
const subject = { at, deviceId: DeviceId.make("0123456789abcdef".repeat(4)), reason: "not-paired" as const }
const required: AgentEvent = {
  ...subject,
  event: "pairing.required",
  since: at,
  expiresAt: at,
  list: { argv: ["openclaw"], text: "openclaw" }
}

const after = (events: ReadonlyArray<AgentEvent>, options?: Snapshot.Options): ReadonlyArray<AgentEvent> => {
  const snapshot = Snapshot.make(options)
  for (const event of events) snapshot.note(event)
  return snapshot.events()
}

describe("Snapshot", () => {
  it("a notice stands until it is resolved or cancelled", () => {
    assert.deepStrictEqual(after([required]), [required])
    assert.deepStrictEqual(after([required, { ...subject, event: "pairing.resolved" }]), [])
    assert.deepStrictEqual(after([required, { ...subject, event: "pairing.cancelled" }]), [])
  })

  it("of a task that ended nothing stands unless it is asked for, and then what it was and how it ended", () => {
    const events: ReadonlyArray<AgentEvent> = [
      { at, event: "task.queued", taskId: "a", reason: "Busy", summary: "one" },
      { at, event: "task.sent", taskId: "a", runId: "r", summary: "one" },
      { at, event: "task.phase", taskId: "a", phase: "start" },
      { at, event: "task.reply", taskId: "a", runId: "r", text: "done" }
    ]
    assert.deepStrictEqual(after(events.slice(0, 3)).map(({ event }) => event), ["task.sent", "task.phase"])
    assert.deepStrictEqual(after(events), [])
    assert.deepStrictEqual(after(events, { endedTasks: 1 }).map(({ event }) => event), ["task.sent", "task.reply"])
  })

  it("what was written of an open task stands as one event, until its end", () => {
    const text = (from: number, text: string): AgentEvent => ({ at, event: "task.text", taskId: "a", from, text })
    const written = [text(0, "one"), text(3, ", two"), text(5, "three")]
    assert.deepStrictEqual(after(written), [text(0, "one, three")])
    // A part before it is missing.
    assert.deepStrictEqual(after([text(0, "one"), text(9, "x")]), [text(0, "one")])
    assert.deepStrictEqual(after([...written, { at, event: "task.reply", taskId: "a", runId: "r", text: "done" }]), [])
  })

  it.prop(
    "to be told twice changes nothing, and nothing is told that did not happen",
    [Arbitrary.array(Arbitrary.schema(AgentEvent), { maxLength: 10 }), Arbitrary.schema(Schema.Literals([0, 1, 3]))],
    ([events, endedTasks]) => {
      const standing = after(events, { endedTasks })
      // What was written is told as one.
      for (const event of standing) if (event.event !== "task.text") assert.include(events, event)
      assert.deepStrictEqual(after(standing, { endedTasks }), standing)
      assert.isFalse(standing.some(({ event }) => event === "page"), "its address is for one person")
    },
    { arbitrary: { seed: "standing", runs: 200 } }
  )
})
