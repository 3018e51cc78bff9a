import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { Finding } from "../../src/tasks/ChatHistory.ts"
import * as ChatHistory from "../../src/tasks/ChatHistory.ts"
import * as RecordedRuns from "./RecordedRuns.ts"
import * as Transcript from "./Transcript.ts"

const sought: ChatHistory.Sought = { runId: "r1", summary: "water the plants", notBeforeMs: 1_795_330_000_000 }
const at = (seconds: number) => sought.notBeforeMs + seconds * 1000
const find = (messages: ReadonlyArray<unknown>, more: Readonly<Record<string, unknown>> = {}): Finding =>
  ChatHistory.find({ sessionKey: "agent:main:main", messages, ...more }, sought)

const user = (text: string, seconds: number, more: Readonly<Record<string, unknown>> = {}) => ({
  role: "user",
  content: [{ type: "text", text }],
  timestamp: at(seconds),
  ...more
})
const agent = (text: string, seconds: number, more: Readonly<Record<string, unknown>> = {}) => ({
  role: "assistant",
  content: [{ type: "text", text }],
  stopReason: "stop",
  timestamp: at(seconds),
  ...more
})
const of = (runId: string) => ({ __openclaw: { runId, seq: 1 } })
const replied = (text: string, seconds: number): Finding => ({ _tag: "Replied", text, atMs: at(seconds) })

describe("ChatHistory", () => {
  it("G14: a run that is named as active is at work, whatever the messages say", () => {
    const before = [user(sought.summary, 1, of("r1")), agent("a first try", 2, { ...of("r1"), stopReason: "error" })]
    assert.deepStrictEqual(find(before, { inFlightRun: { runId: "r1", text: "so" } }), { _tag: "Running" })
    assert.deepStrictEqual(find(before, { sessionInfo: { activeRunIds: ["r0", "r1"] } }), { _tag: "Running" })
    assert.deepStrictEqual(find([], { pendingInputs: { items: [{ id: "1", runId: "r1" }], total: 1 } }), {
      _tag: "Running",
      queued: true
    })
    assert.deepStrictEqual(find([], { inFlightRun: { runId: "r2" } }), { _tag: "Absent" })
  })

  it("G14: finds the reply by run id", () => {
    assert.deepStrictEqual(
      find([
        user("x", 1, of("r0")),
        user(sought.summary, 1, of("r1")),
        agent("no", 2, of("r0")),
        agent("yes", 3, of("r1"))
      ]),
      replied("yes", 3)
    )
    assert.deepStrictEqual(find([user(sought.summary, 1, of("r1")), agent("no", 2, of("r0"))]), { _tag: "NoReply" })
    assert.deepStrictEqual(find([user(sought.summary, 1, of("r0")), agent("no", 2, of("r0"))]), { _tag: "Absent" })
  })

  it("G14: finds the reply behind the message that has our key", () => {
    const ours = user("[Sun 2026-11-22 12:10 UTC] anything", 1, { idempotencyKey: "r1:user" })
    assert.deepStrictEqual(find([user(sought.summary, 0), agent("no", 0), ours, agent("yes", 3)]), replied("yes", 3))
    assert.deepStrictEqual(find([{ ...ours, idempotencyKey: undefined, __openclaw: { idempotencyKey: "r1:user" } }]), {
      _tag: "NoReply"
    })
  })

  it("G14: on releases without run ids, finds the reply behind the text, if it is new enough", () => {
    assert.deepStrictEqual(find([user(sought.summary, 1), agent("yes", 3)]), replied("yes", 3))
    assert.deepStrictEqual(
      find([user(`[Sun 2026-11-22 12:10 UTC] ${sought.summary}\n[message_id: 1]`, 1), agent("yes", 3)]),
      replied("yes", 3)
    )
    assert.deepStrictEqual(find([user(sought.summary, -1), agent("an earlier answer", 0)]), { _tag: "Absent" })
    assert.deepStrictEqual(find([user("another", 1), agent("no", 3)]), { _tag: "Absent" })
  })

  it("G14: on releases without run ids, finds the text as they keep it: composed, without controls, cut", () => {
    const long = "water the plants ".repeat(800)
    for (
      const [sent, kept] of [
        ["Cafe\u0301 now", "Caf\u00e9 now"],
        ["now\u0007 or \u001b[1mnever", "now or [1mnever"],
        ["a\r\nb", "[Sun 2026-11-22 12:10 UTC] a\nb"],
        [long, `${long.slice(0, 12_000)}\n...(truncated)...`],
        ["[2026-01-01 10:00] tea", "tea"]
      ] as const
    ) {
      const payload = { messages: [user(kept, 1), agent("yes", 3)] }
      assert.deepStrictEqual(ChatHistory.find(payload, { ...sought, summary: sent }), replied("yes", 3), kept)
    }
  })

  it("F43: the answer to the next message is not ours", () => {
    assert.deepStrictEqual(find([user(sought.summary, 1), user("another", 2), agent("no", 3)]), { _tag: "NoReply" })
  })

  it("a tool call is no reply, and the last text counts", () => {
    const call = agent("let me see", 2, { stopReason: "toolUse" })
    const result = { role: "toolResult", content: [{ type: "text", text: "ten" }], timestamp: at(3) }
    assert.deepStrictEqual(find([user(sought.summary, 1), call, result]), { _tag: "NoReply" })
    assert.deepStrictEqual(find([user(sought.summary, 1), call, result, agent("done", 4)]), replied("done", 4))
    assert.deepStrictEqual(find([user(sought.summary, 1), agent("NO_REPLY", 4)]), replied("", 4))
  })

  it("F51: sees failed and aborted runs", () => {
    assert.deepStrictEqual(
      find([user(sought.summary, 1), agent("", 2, { stopReason: "error", errorMessage: "400 fake failure" })]),
      { _tag: "Failed", text: "400 fake failure" }
    )
    assert.deepStrictEqual(find([user(sought.summary, 1), agent("half", 2, { stopReason: "aborted" })]), {
      _tag: "Aborted",
      text: "half"
    })
  })

  it("G15: what cannot be read proves nothing", () => {
    for (const payload of [undefined, null, "x", {}, { messages: 7 }]) {
      assert.deepStrictEqual(ChatHistory.find(payload, sought), { _tag: "Unreadable" })
    }
    assert.deepStrictEqual(find([null, 7, { role: 1 }]), { _tag: "Absent" })
  })

  it.effect("finds a message with files, whatever a gateway puts around it", () =>
    Effect.gen(function*() {
      for (const release of RecordedRuns.releases) {
        const { attachments } = yield* RecordedRuns.read(release)
        const payload = Object(attachments?.later["chat.history"])["payload"]
        const asked = { runId: "run-a text file", summary: "read this", notBeforeMs: 0, release }
        assert.strictEqual(ChatHistory.find(payload, asked)._tag, "Replied", release)
        const another = ChatHistory.find(payload, { runId: "run-x", summary: "a note", notBeforeMs: 0, release })
        assert.strictEqual(another._tag, "Absent", release)
      }
    }))

  it.effect("reads the histories that gateways really gave", () =>
    Effect.gen(function*() {
      const found: Array<Finding> = []
      for (const release of Transcript.releases) {
        const { history } = yield* Transcript.read(release)
        const tool = (yield* Transcript.runs(release)).find(([name]) => name === "tool")?.[1]
        assert.isDefined(tool)
        const payload = Object(history)["payload"]
        const runId = tool?.request.idempotencyKey ?? ""
        found.push(ChatHistory.find(payload, { runId, summary: tool?.request.message ?? "", notBeforeMs: 0 }))
      }
      // Each was asked with a limit that cut the question off; only the newest release says whose reply the rest is.
      assert.deepStrictEqual(found, [
        { _tag: "Absent" },
        { _tag: "Absent" },
        { _tag: "Replied", text: "echo: please [tool] now", atMs: 1_795_330_287_437 }
      ])
    }))
})
