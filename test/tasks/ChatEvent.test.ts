import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { ChatEvent } from "../../src/tasks/ChatEvent.ts"
import { addressOf, decodeAgent, decodeChat, sameSession, timeMs } from "../../src/tasks/ChatEvent.ts"
import { textOf } from "../../src/tasks/MessageText.ts"
import * as Transcript from "./Transcript.ts"

const decoded = (payload: unknown): ChatEvent | undefined => Option.getOrUndefined(decodeChat(payload))
const final = (text: string, atMs?: number): ChatEvent => ({ _tag: "Final", text, atMs })

describe("ChatEvent", () => {
  it("reads a reply in every shape", () => {
    const parts = [{ type: "text", text: "one" }, { type: "image", url: "x" }, { type: "text", text: "two" }]
    for (
      const [message, text] of [
        ["a string", "a string"],
        [{ role: "assistant", content: "content string" }, "content string"],
        [{ content: parts }, "one\ntwo"],
        [{ message: { content: parts } }, "one\ntwo"],
        [{ message: { message: "deep" } }, "deep"],
        [{ text: "text" }, "text"],
        [{ content: [], text: "text beside empty content" }, "text beside empty content"],
        [{ content: [{ type: "toolCall", id: "1" }] }, ""],
        [{ content: 7, text: null }, ""],
        [undefined, ""],
        [null, ""],
        [[], ""]
      ] as const
    ) {
      assert.strictEqual(textOf(message), text)
      assert.deepStrictEqual(decoded({ state: "final", message }), final(text))
    }
    assert.deepStrictEqual(decoded({ state: "final", text: "beside" }), final("beside"))
  })

  it("a phase is one line of 80 characters at most, however long a gateway makes it", () => {
    const long = `model\n${"\u001b[31mx".repeat(10_000)}`
    const status = decoded({ state: "status", phase: long })
    const agent = Option.getOrUndefined(
      decodeAgent({ stream: "tool", data: { phase: "start", name: long, error: long } })
    )
    for (const label of [status?._tag === "Status" ? status.phase : "", agent?.label ?? ""]) {
      assert.match(label, /^(start · )?model /)
      assert.isAtMost(label.length, 80)
      assert.notMatch(label, /[\p{Cc}]/u)
    }
  })

  it("does not follow messages nested without end", () => {
    const loop: { message?: unknown } = {}
    loop.message = loop
    assert.strictEqual(textOf(loop), "")
  })

  it("reads times as whole and broken milliseconds, and as ISO text", () => {
    assert.strictEqual(timeMs(1_795_330_230_896), 1_795_330_230_896)
    assert.strictEqual(timeMs(1_795_330_230_896.4), 1_795_330_230_896)
    assert.strictEqual(timeMs(0), 0)
    assert.strictEqual(timeMs("2026-11-22T12:10:30Z"), Date.UTC(2026, 10, 22, 12, 10, 30))
    assert.strictEqual(timeMs("2026-11-22T12:10:30.250Z"), Date.UTC(2026, 10, 22, 12, 10, 30, 250))
    assert.strictEqual(timeMs("2026-11-22T13:10:30+01:00"), Date.UTC(2026, 10, 22, 12, 10, 30))
    for (const bad of ["yesterday", "", "2026-99-99T12:10:30Z", -1, Number.NaN, Number.POSITIVE_INFINITY, null, {}]) {
      assert.isUndefined(timeMs(bad))
    }
    assert.deepStrictEqual(
      decoded({ state: "final", message: { content: "x", timestamp: "2026-11-22T12:10:30Z" } }),
      final("x", Date.UTC(2026, 10, 22, 12, 10, 30))
    )
  })

  it("F51: knows every state; an absent one is final, and an unknown one says nothing", () => {
    assert.deepStrictEqual(decoded({ message: "x" }), final("x"))
    assert.deepStrictEqual(decoded({ state: "final" }), final(""))
    assert.deepStrictEqual(decoded({ state: "delta", message: "so far" }), { _tag: "Delta", text: "so far" })
    assert.deepStrictEqual(decoded({ state: "status", phase: "starting_model" }), {
      _tag: "Status",
      phase: "starting_model"
    })
    assert.deepStrictEqual(decoded({ state: "error", errorMessage: "400" }), { _tag: "Error", text: "400" })
    assert.deepStrictEqual(decoded({ state: "aborted", message: "half" }), { _tag: "Aborted", text: "half" })
    for (const payload of [{ state: "invented" }, { state: 7 }, { state: "status" }, "text", null, 1, []]) {
      assert.isUndefined(decoded(payload))
    }
  })

  it("labels phases: phase, name, error", () => {
    const label = (stream: string, data: unknown) =>
      Option.getOrUndefined(Option.map(decodeAgent({ stream, data }), (phase) => phase.label))
    assert.strictEqual(label("lifecycle", { phase: "start", startedAt: 1 }), "start")
    assert.strictEqual(label("lifecycle", { phase: "error", error: "400 fake failure" }), "error: 400 fake failure")
    assert.strictEqual(label("tool", { phase: "result", name: "exec", isError: false }), "result · exec")
    assert.strictEqual(label("tool", { phase: "result", name: "exec", error: "denied" }), "result · exec: denied")
    assert.isUndefined(label("assistant", { text: "echo:", delta: "echo:" }))
    assert.isUndefined(label("usage", { outputTokens: 5 }))
    assert.isUndefined(label("lifecycle", {}))
    assert.isUndefined(label("lifecycle", null))
  })

  it("F43: a session key is the same in its short form, and no other", () => {
    assert.isTrue(sameSession("main", "agent:main:main"))
    assert.isTrue(sameSession("agent:main:main", "main") === false && sameSession("main", "main"))
    assert.isTrue(sameSession("agent:main:Ten", "agent:main:ten"))
    assert.isTrue(sameSession("agent:main:main", "global"))
    assert.isTrue(sameSession("agent:main:main", undefined))
    assert.isFalse(sameSession("agent:main:main", "agent:main:other"))
    assert.isFalse(sameSession("main", "agent:main:other"))
    assert.deepStrictEqual(addressOf({ runId: "r", sessionKey: 1 }), { runId: "r", sessionKey: undefined })
    assert.isUndefined(addressOf({ runId: 1 }))
    assert.isUndefined(addressOf(null))
  })

  for (const release of Transcript.releases) {
    it.effect(`F51: every chat event recorded with ${release} is understood`, () =>
      Effect.gen(function*() {
        const runs = yield* Transcript.runs(release)
        assert.isAbove(runs.length, 5)
        const seen = new Set<string>()
        for (const [name, { frames }] of runs) {
          for (const { event, payload } of frames) {
            if (event !== "chat") continue
            const chat = decoded(payload)
            assert.isDefined(chat, `${name} ${JSON.stringify(payload)}`)
            seen.add(chat?._tag ?? "")
          }
        }
        for (const tag of ["Delta", "Final", "Error", "Aborted"]) assert.isTrue(seen.has(tag), tag)
        assert.strictEqual(seen.has("Status"), release === "2026.9.6")
      }))
  }
})
