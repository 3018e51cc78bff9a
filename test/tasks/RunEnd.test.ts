import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Method from "../../src/protocol/Method.ts"
import { joinReply } from "../../src/tasks/MessageText.ts"
import type { RunEnd } from "../../src/tasks/RunEnd.ts"
import { fromAnswer } from "../../src/tasks/RunEnd.ts"
import * as RecordedRuns from "./RecordedRuns.ts"

const decode = Schema.decodeUnknownOption(Method.agentWait.answer)

const read = (payload: unknown): RunEnd => fromAnswer(Option.getOrThrow(decode(payload)))

/** An end in a word or two. */
const line = (end: RunEnd): string =>
  end._tag !== "Ended"
    ? end._tag
    : end.reply === undefined
    ? "Ended"
    : end.reply.text === ""
    ? "Ended, silent"
    : end.reply.cut
    ? `Ended, ${end.reply.text.length} and more`
    : "Ended, with its reply"

/** How each release remembers runs, by scene and by what was asked. */
const asked: ReadonlyArray<readonly [scene: string, name: string]> = [
  ["unknown run", "agent.wait"],
  ["held", "agent.wait while it runs"],
  ["answered", "agent.wait"],
  ["failed", "agent.wait"],
  ["aborted", "agent.wait"],
  ["silent", "agent.wait"],
  ["long", "agent.wait"],
  ["busy", "agent.wait for the second"],
  ["busy", "agent.wait for the second, later"],
  ["after a restart", "agent.wait"]
]
const table: Readonly<Record<RecordedRuns.Release, ReadonlyArray<string>>> = {
  "2026.3.2": [
    "NotKnown",
    "NotKnown",
    "Ended",
    "NotKnown",
    "NotKnown",
    "Ended",
    "Ended",
    "NotKnown",
    "NotKnown",
    "NotKnown"
  ],
  // It says of a failed run that it went well.
  "2026.5.12": ["NotKnown", "NotKnown", "Ended", "Ended", "NotKnown", "Ended", "Ended", "Ended", "Ended", "NotKnown"],
  "2026.6.11": [
    "NotKnown",
    "NotKnown",
    "Ended",
    "Failed",
    "NotKnown",
    "Ended",
    "Ended",
    "NotKnown",
    "NotKnown",
    "NotKnown"
  ],
  "2026.8.2": [
    "NotKnown",
    "NotKnown",
    "Ended, with its reply",
    "Failed",
    "Aborted",
    "Ended, silent",
    "Ended, 4095 and more",
    "Pending",
    "Ended",
    "NotKnown"
  ],
  "2026.9.6": [
    "NotKnown",
    "NotKnown",
    "Ended, with its reply",
    "Failed",
    "Aborted",
    "Failed",
    "Ended, 4095 and more",
    "Pending",
    "Ended",
    "NotKnown"
  ]
}

describe("RunEnd", () => {
  for (const release of RecordedRuns.releases) {
    it.effect(`B20: reads what ${release} remembers`, () =>
      Effect.gen(function*() {
        const scenes = yield* RecordedRuns.read(release)
        const seen = asked.map(([scene, name]) => line(read(RecordedRuns.payload(scenes[scene], name))))
        assert.deepStrictEqual(seen, table[release])
      }))
  }

  it("takes nothing for an end that says none, whatever else is in the answer", () => {
    for (
      const payload of [
        { status: "accepted" },
        { status: "timeout", stopReason: "rpc" },
        { status: "timeout", endedAt: 1 },
        { status: "error" },
        { status: "error", error: { message: "x" } }
      ]
    ) {
      assert.strictEqual(read(payload)._tag, "NotKnown", JSON.stringify(payload))
    }
    assert.deepStrictEqual(read({ status: "ok", terminalReply: { disposition: "visible", text: 1 } }), {
      _tag: "Ended",
      reply: undefined
    })
  })

  it("takes a text as cut only where gateways cut", () => {
    const reply = (text: string) => {
      const end = read({ status: "ok", endedAt: 5, terminalReply: { disposition: "visible", text } })
      return end._tag === "Ended" ? end.reply : undefined
    }
    assert.deepStrictEqual(reply("to be continued…"), { text: "to be continued…", atMs: 5, cut: false })
    assert.deepStrictEqual(reply("x".repeat(4096)), { text: "x".repeat(4096), atMs: 5, cut: false })
    assert.deepStrictEqual(reply(`${"x".repeat(4095)}…`), { text: "x".repeat(4095), atMs: 5, cut: true })
  })
})

describe("joinReply", () => {
  const parts = [{ text: "looking", step: true }, { text: "one", step: false }]
  it("joins what each release tells as one reply", () => {
    const joined = (release?: string) => joinReply(parts, "two", { release })
    assert.strictEqual(joined("2026.3.2"), "two")
    assert.strictEqual(joined("2026.5.12"), "lookingonetwo")
    assert.strictEqual(joined("2026.6.11"), "lookingonetwo")
    assert.strictEqual(joined("2026.8.2"), "onetwo")
    assert.strictEqual(joined("2026.10.1"), "one\n\ntwo")
    assert.strictEqual(joined("nightly"), "two")
    assert.strictEqual(joined(), "two")
  })
  it("keeps to the last message where that is how the reply was heard to begin", () => {
    assert.strictEqual(joinReply(parts, "two", { release: "2026.6.11", heard: "tw" }), "two")
    assert.strictEqual(joinReply(parts, "two", { release: "2026.6.11", heard: "look" }), "lookingonetwo")
    assert.strictEqual(joinReply(parts, "two", { release: "2026.6.11", heard: "neither" }), "lookingonetwo")
  })
})
