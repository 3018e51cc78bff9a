import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { decodePart as decode } from "../../src/tasks/ChatEvent.ts"
import { append } from "../../src/tasks/LiveRun.ts"
import type { RunPart } from "../../src/tasks/RunPart.ts"
import { TaskId } from "../../src/tasks/Task.ts"
import type { Gateway } from "./Fixture.ts"
import { chat, said, start, started } from "./Fixture.ts"
import * as RecordedRuns from "./RecordedRuns.ts"

const settle = TestClock.adjust(0)
const accept = Effect.fnUntraced(function*(gateway: Gateway) {
  const asked = yield* gateway.next("chat.send")
  asked.answer(started(asked))
  yield* settle
  return asked
})

/** A task that the gateway has, and its parts as they come. */
const begin = Effect.fnUntraced(function*(summary = "hello") {
  const running = yield* start()
  const gateway = yield* running.connect()
  yield* settle
  const receipt = yield* running.runner.delegate(summary)
  const parts: Array<RunPart> = []
  const followed = yield* Effect.forkScoped(
    Stream.runForEach(running.runner.parts(receipt.taskId), (part) => Effect.sync(() => void parts.push(part))),
    { startImmediately: true }
  )
  const asked = yield* accept(gateway)
  const tell = (event: string, rest: Readonly<Record<string, unknown>>) =>
    Effect.andThen(Effect.sync(() => gateway.tell(event, chat(asked, rest))), settle)
  return { ...running, gateway, receipt, parts, followed, asked, tell }
})

/** The reply that parts add up to. */
const replyOf = (parts: ReadonlyArray<RunPart>): string =>
  parts.reduce(
    (reply, part) => part._tag === "Text" ? reply + part.text : part._tag === "Replaced" ? part.text : reply,
    ""
  )
const tags = (parts: ReadonlyArray<RunPart>) => parts.map(({ _tag }) => _tag)

describe("the parts of a run", () => {
  it.effect("are told as they come, and end with the task", () =>
    Effect.gen(function*() {
      const { followed, parts, tell } = yield* begin()
      yield* tell("chat", { state: "delta", message: said("one") })
      yield* tell("agent", { stream: "thinking", data: { text: "hm", delta: "hm" } })
      yield* tell("agent", { stream: "tool", data: { phase: "start", toolCallId: "c", name: "exec", args: { a: 1 } } })
      yield* tell("agent", { stream: "usage", data: { outputTokens: 7 } })
      yield* tell("agent", { stream: "tool", data: { phase: "result", toolCallId: "c", name: "exec", isError: true } })
      yield* tell("chat", { state: "delta", message: said("one, two") })
      yield* tell("chat", { state: "final", message: said("one, two, three") })
      assert.deepStrictEqual<unknown>(parts, [
        { _tag: "Text", text: "one" },
        { _tag: "Thinking", text: "hm" },
        { _tag: "ToolStarted", toolCallId: "c", name: "exec", content: { a: 1 }, isError: false },
        { _tag: "Usage", outputTokens: 7 },
        { _tag: "ToolEnded", toolCallId: "c", name: "exec", content: undefined, isError: true },
        { _tag: "Text", text: ", two" },
        { _tag: "Text", text: ", three" },
        { _tag: "Ended", outcome: { _tag: "Completed", text: "one, two, three", atMs: 1_795_330_230_896 } }
      ])
      yield* Fiber.join(followed)
    }))

  it.effect("begin for one who comes late with the reply so far, and for one who comes after the end with all of it", () =>
    Effect.gen(function*() {
      const { receipt, runner, tell } = yield* begin()
      yield* tell("chat", { state: "delta", message: said("one") })
      yield* tell("chat", { state: "delta", message: said("one, two") })
      const late = yield* Effect.forkScoped(Stream.runCollect(runner.parts(receipt.taskId)), { startImmediately: true })
      yield* tell("chat", { state: "final", message: said("one, two, three") })
      const told = yield* Fiber.join(late)
      assert.deepStrictEqual(told.slice(0, 2), [{ _tag: "Text", text: "one, two" }, { _tag: "Text", text: ", three" }])
      const after = yield* Stream.runCollect(runner.parts(receipt.taskId))
      assert.deepStrictEqual(tags(after), ["Text", "Ended"])
      assert.strictEqual(replyOf(after), "one, two, three")
    }))

  it.effect("G14: have a gap where the link was lost, and the reply is whole all the same", () =>
    Effect.gen(function*() {
      const { asked, connect, drop, gateway, parts, tell } = yield* begin()
      yield* tell("chat", { state: "delta", message: said("one") })
      yield* drop(gateway)
      const after = yield* connect()
      const looked = yield* after.next("chat.history")
      looked.answer({ messages: [], inFlightRun: { runId: asked.params.idempotencyKey } })
      yield* settle
      after.tell("chat", chat(asked, { state: "final", message: said("one, two") }))
      yield* settle
      assert.deepStrictEqual(tags(parts), ["Text", "Gap", "Text", "Ended"])
      assert.strictEqual(replyOf(parts), "one, two")
    }))

  it.effect("count the events that were lost", () =>
    Effect.gen(function*() {
      const { gateway, parts, tell } = yield* begin()
      yield* tell("chat", { state: "delta", message: said("one") })
      gateway.lose(3)
      yield* tell("chat", { state: "delta", message: said("one, two") })
      assert.deepInclude(parts, { _tag: "Gap", events: 3 })
      assert.strictEqual(replyOf(parts), "one, two")
    }))

  it.effect("say when a reply begins anew", () =>
    Effect.gen(function*() {
      const { parts, tell } = yield* begin()
      yield* tell("chat", { state: "delta", message: said("looking") })
      yield* tell("chat", { state: "delta", message: said("found") })
      assert.deepStrictEqual<unknown>(parts, [{ _tag: "Text", text: "looking" }, { _tag: "Replaced", text: "found" }])
    }))

  it.effect("of an unknown task are none", () =>
    Effect.gen(function*() {
      const { runner } = yield* begin()
      const error = yield* Effect.flip(Stream.runCollect(runner.parts(TaskId.make("0badcafe"))))
      assert.strictEqual(error._tag, "TaskNotFound")
    }))

  for (const release of RecordedRuns.releases) {
    it.effect(`of every run recorded with ${release} add up to its reply, with its tools`, () =>
      Effect.gen(function*() {
        const scenes = yield* RecordedRuns.read(release)
        for (const way of ["answered", "tool", "thought", "held"]) {
          const scene = scenes[way] ?? assert.fail(way)
          yield* Effect.scoped(Effect.gen(function*() {
            const running = yield* start({ sessionKey: `agent:main:${way}` })
            const gateway = yield* running.connect()
            yield* settle
            const { runId, taskId } = yield* running.runner.delegate(scene.asked ?? "")
            const told = yield* Effect.forkScoped(Stream.runCollect(running.runner.parts(taskId)), {
              startImmediately: true
            })
            yield* accept(gateway)
            const own: RecordedRuns.Scene = JSON.parse(JSON.stringify(scene).replaceAll(`run-${way}`, runId))
            for (const { event, payload } of own.events ?? []) {
              gateway.tell(event, payload)
              yield* settle
            }
            const parts = yield* Fiber.join(told)
            const last = parts.at(-1)
            assert.strictEqual(last?._tag, "Ended")
            const outcome = last?._tag === "Ended" ? last.outcome : undefined
            assert.strictEqual(outcome?._tag === "Completed" ? outcome.text : undefined, replyOf(parts))
            const tools = parts.filter((part) => part._tag.startsWith("Tool"))
            assert.deepStrictEqual(
              [...new Set(tags(tools))],
              way === "tool" ? ["ToolStarted", "ToolUpdated", "ToolEnded"] : []
            )
            if (way === "thought" && release === "2026.9.6") {
              assert.deepStrictEqual(
                parts.flatMap((part) => part._tag === "Thinking" ? [part.text] : []),
                ["let me", " think"]
              )
              assert.deepInclude(parts, { _tag: "Usage", outputTokens: 30 })
            }
          }))
        }
      }))
  }
})

describe("what waits for one who does not read", () => {
  const Parts = Arbitrary.array(
    Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 6 }))),
    { maxLength: 2000 }
  )
  const partOf = (pick: number, index: number): RunPart => {
    const tool = { toolCallId: `c${index % 3}`, name: "exec", content: index, isError: false }
    const all: ReadonlyArray<RunPart> = [
      { _tag: "Text", text: `${index} ` },
      { _tag: "Thinking", text: "hm" },
      { _tag: "ToolStarted", ...tool },
      { _tag: "ToolUpdated", ...tool },
      { _tag: "ToolEnded", ...tool },
      { _tag: "Usage", outputTokens: index },
      index % 10 === 0 ? { _tag: "Replaced", text: `${index}: ` } : { _tag: "Gap", events: 1 }
    ]
    return all[pick] ?? { _tag: "Usage", outputTokens: 0 }
  }

  it.prop("is bounded, and the reply is whole", [Parts], ([picks]) => {
    const all = picks.map(partOf)
    const waiting: Array<RunPart> = []
    for (const part of all) append(waiting, part)
    assert.isAtMost(waiting.length, 256)
    assert.strictEqual(replyOf(waiting), replyOf(all))
  }, { arbitrary: { seed: 1, runs: 200 } })

  it("is bounded by what the agent thinks, too", () => {
    const waiting: Array<RunPart> = []
    for (let index = 0; index < 10_000; index++) append(waiting, { _tag: "Thinking", text: "hm ".repeat(100) })
    const longest = waiting.map((part) => part._tag === "Thinking" ? part.text.length : 0)
    assert.isAtMost(Math.max(...longest), 65_536 + 300)
    assert.isAtMost(waiting.length, 256)
  })

  it("is bounded by what tools say, too", () => {
    const waiting: Array<RunPart> = []
    const told = 3000
    for (let index = 0; index < told; index++) {
      const tool = { toolCallId: `c${index}`, name: "exec", content: { out: "x".repeat(20_000) }, isError: false }
      append(waiting, { _tag: "ToolEnded", ...tool })
    }
    assert.isBelow(JSON.stringify(waiting).length, 1_100_000)
    const [gap] = waiting
    assert.deepStrictEqual(gap, { _tag: "Gap", events: told - (waiting.length - 1) })
  })

  it.effect("of one who never reads is bounded, whatever the run tells, and the reply is whole at last", () =>
    Effect.gen(function*() {
      const { asked, gateway, receipt, runner } = yield* begin()
      const gate = yield* Deferred.make<void>()
      const sleeping = yield* Effect.forkScoped(
        Stream.runCollect(Stream.rechunk(Stream.tap(runner.parts(receipt.taskId), () => Deferred.await(gate)), 1)),
        { startImmediately: true }
      )
      const text = (index: number) => `${index} `.repeat(1 + index % 40)
      for (let index = 0; index < 10_000; index++) {
        gateway.tell("chat", chat(asked, { state: "delta", message: said(text(index)) }))
        const data = { phase: "result", toolCallId: `c${index}`, name: "exec", result: "x".repeat(2000) }
        if (index % 3 === 0) gateway.tell("agent", chat(asked, { stream: "tool", data }))
        if (index % 3 === 1) {
          gateway.tell("agent", chat(asked, { stream: "thinking", data: { delta: "hm ".repeat(50) } }))
        }
        if (index % 500 === 0) yield* settle
      }
      gateway.tell("chat", chat(asked, { state: "final", message: said("done") }))
      yield* settle
      yield* Deferred.succeed(gate, undefined)
      const told = yield* Fiber.join(sleeping)
      assert.isBelow(told.length, 300)
      assert.isBelow(JSON.stringify(told).length, 2_000_000)
      assert.strictEqual(replyOf(told), "done")
      assert.strictEqual(told.at(-1)?._tag, "Ended")
      assert.isTrue(told.some((part) => part._tag === "Gap" && (part.events ?? 0) > 1000))
    }))

  it("10,000 pieces of text are one part", () => {
    const waiting: Array<RunPart> = []
    for (let index = 0; index < 10_000; index++) append(waiting, { _tag: "Text", text: "x".repeat(200) })
    assert.lengthOf(waiting, 1)
    assert.strictEqual(replyOf(waiting).length, 2_000_000)
  })

  it("what is no part is none", () => {
    for (
      const payload of [
        undefined,
        { stream: "tool" },
        { stream: "tool", data: { phase: "start" } },
        { stream: "tool", data: { phase: "end", toolCallId: "c" } },
        { stream: "thinking", data: { progressTokens: 5 } },
        { stream: "usage", data: { outputTokens: -1 } },
        { stream: "assistant", data: { text: "x", delta: "x" } }
      ]
    ) {
      assert.isUndefined(decode(payload), JSON.stringify(payload))
    }
    assert.isTrue(Predicate.isNotUndefined(decode({ stream: "usage", data: { outputTokens: 0 } })))
  })
})
