import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as LiveText from "../../src/agent/LiveText.ts"
import type { RunPart } from "../../src/tasks/RunPart.ts"

const secret = "sk-1234567890"
const facts = { at: "2026-01-02T03:04:05.000Z", taskId: "0badcafe", secrets: [Redacted.make(secret)] }

type Told = ReturnType<typeof LiveText.step>[1][number]

/** What one reads who gets all events. */
const read = (batches: ReadonlyArray<ReadonlyArray<RunPart>>) => {
  let state = LiveText.empty
  let text = ""
  const told: Array<Told> = []
  const seen: Array<string> = []
  for (const parts of batches) {
    const [next, events] = LiveText.step(state, parts, facts)
    state = next
    for (const event of events) {
      told.push(event)
      if (event.event !== "task.text") continue
      assert.isAtMost(event.from, text.length)
      text = text.slice(0, event.from) + event.text
      seen.push(text)
    }
  }
  return { text, told, seen }
}
const text = (piece: string): RunPart => ({ _tag: "Text", text: piece })

describe("LiveText", () => {
  it("a reply that is told anew goes on before a pair of which half is the same", () => {
    const [one, other] = ["a\u{1f600}", "a\u{1f601}"]
    const { told } = read([[text(one)], [{ _tag: "Replaced", text: other }]])
    assert.deepInclude(told[1], { from: 1, text: other.slice(1) })
  })

  it("a batch is one event of text, from where it goes on", () => {
    const { told } = read([[text("one"), text(", two")], [{ _tag: "Thinking", text: "hm" }], [text(", three")]])
    assert.deepStrictEqual(told, [
      { at: facts.at, event: "task.text", taskId: "0badcafe", from: 0, text: "one, two" },
      { at: facts.at, event: "task.text", taskId: "0badcafe", from: 8, text: ", three" }
    ])
  })

  it("a reply that begins anew is told from where it differs", () => {
    const { told } = read([[text("look here")], [{ _tag: "Replaced", text: "look there" }]])
    assert.deepInclude(told[1], { from: 5, text: "there" })
  })

  it("a tool is told by its name and one line of what goes in or comes out", () => {
    const tool = { toolCallId: "c", name: "ex\nec", isError: false }
    const { told } = read([[
      { _tag: "ToolStarted", ...tool, content: { command: `echo ${secret}` } },
      { _tag: "ToolUpdated", ...tool, content: { content: [{ type: "text", text: "one\ntwo" }] } },
      { _tag: "ToolEnded", ...tool, isError: true, content: undefined }
    ]])
    const plain = { at: facts.at, event: "task.tool" as const, taskId: "0badcafe", toolCallId: "c", tool: "ex ec" }
    assert.deepStrictEqual(told, [
      { ...plain, phase: "start", detail: '{"command":"echo [redacted]"}' },
      { ...plain, phase: "update", detail: "one two" },
      { ...plain, phase: "result", failed: true }
    ])
  })

  it("a credential is never told, in whatever pieces it comes", () => {
    const whole = `the key is ${secret}, keep it`
    for (let first = 0; first <= whole.length; first++) {
      for (let second = first; second <= whole.length; second++) {
        const pieces = [whole.slice(0, first), whole.slice(first, second), whole.slice(second)]
        const { seen, text: last } = read(pieces.map((piece) => [text(piece)]))
        for (const shown of seen) assert.notMatch(shown, /sk-1/)
        assert.strictEqual(last, "the key is [redacted], keep it")
      }
    }
  })

  const Pieces = Arbitrary.array(Arbitrary.schema(Schema.String), { maxLength: 30 })
  it.prop("whoever reads all of it has the reply", [Pieces], ([pieces]) => {
    const { text: last } = read(
      pieces.map((piece, index) => [index % 7 === 6 ? { _tag: "Replaced", text: piece } : text(piece)])
    )
    const expected = pieces.reduce((reply, piece, index) => index % 7 === 6 ? piece : reply + piece, "")
    assert.strictEqual(last, expected)
  }, { arbitrary: { seed: 1, runs: 200 } })
})
