import { assert, describe, it } from "@effect/vitest"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { readAnswer } from "../../src/cli/ToolAnswer.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import type { Change, State } from "../../src/toolhost/QuestionStep.ts"
import * as QuestionStep from "../../src/toolhost/QuestionStep.ts"
import type { ApprovalRequest } from "../../src/toolhost/ToolApproval.ts"
import { ToolHost } from "../../src/toolhost/ToolHost.ts"
import { ToolQuestions } from "../../src/toolhost/ToolQuestions.ts"
import * as Fixture from "./Fixture.ts"

const request: ApprovalRequest = {
  tool: "wipe",
  title: undefined,
  arguments: { path: "/tmp" },
  sessionKey: "agent:main:main",
  endsInMs: 1000
}

const Move = Schema.Struct({
  what: Schema.Literals(["ask", "ask", "take", "come", "go"]),
  which: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 20 }))
})

describe("QuestionStep", () => {
  it.prop(
    "over arbitrary lives ids are new, each question is taken once, bounds hold, and what is missed is told apart",
    [Arbitrary.array(Arbitrary.schema(Move), { maxLength: 80 })],
    ([moves]) => {
      let state: State = QuestionStep.none
      const open = new Set<string>()
      const seen = new Set<string>()
      for (const { what, which } of moves) {
        if (what === "come") state = { ...state, audience: state.audience + 1 }
        else if (what === "go") state = { ...state, audience: Math.max(0, state.audience - 1) }
        else if (what === "ask") {
          const [next, asked] = QuestionStep.ask(state, request, 0)
          state = next
          if ("because" in asked) {
            assert.isTrue(state.audience === 0 || open.size === QuestionStep.mostPending)
            assert.strictEqual(
              asked,
              state.audience === 0 ? QuestionStep.refusals.nobody : QuestionStep.refusals.tooMany
            )
          } else {
            assert.isTrue(state.audience > 0)
            assert.isFalse(seen.has(asked.id))
            seen.add(asked.id)
            open.add(asked.id)
          }
        } else {
          const id = `t${which}`
          const [next, taken] = QuestionStep.take(state, id)
          state = next
          assert.strictEqual(taken?.id, open.has(id) ? id : undefined)
          if (!open.delete(id)) assert.strictEqual(QuestionStep.missed(state, id), seen.has(id) ? "late" : "unknown")
        }
        assert.deepStrictEqual([...state.pending.keys()], [...open])
        assert.isAtMost(open.size, QuestionStep.mostPending)
      }
    },
    { arbitrary: { seed: 1, runs: 500 } }
  )

  it.prop(
    "whatever a model gives is one line of bounded length with nothing hidden, and what is missing is told",
    [Arbitrary.schema(Schema.Unknown), Arbitrary.schema(Schema.String)],
    ([given, text]) => {
      const hostile = `${text}\u001b[31m\u202e\n\u2028\ud800`
      const [, asked] = QuestionStep.ask({ ...QuestionStep.none, audience: 1 }, {
        tool: `wipe${hostile}`,
        title: hostile,
        arguments: { given, hostile, long: "x".repeat(text.length * 300) },
        sessionKey: hostile,
        endsInMs: -5
      }, 7)
      if ("because" in asked) return assert.fail("refused")
      for (const shown of [asked.tool, asked.title, asked.arguments, asked.sessionKey]) {
        assert.notMatch(shown ?? "", /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u)
      }
      assert.isAtMost(asked.arguments.length, QuestionStep.shownArguments)
      assert.strictEqual(asked.leftOut > 0, asked.arguments.endsWith("…"))
      assert.strictEqual(asked.endsAtMs, 7)
    },
    { arbitrary: { seed: 2, runs: 300 } }
  )

  it("arguments that end with an ellipsis are whole, and are told as such", () => {
    const [, asked] = QuestionStep.ask({ ...QuestionStep.none, audience: 1 }, { ...request, arguments: "a…" }, 0)
    assert.deepStrictEqual("because" in asked ? asked : [asked.arguments, asked.leftOut], ['"a…"', 0])
  })

  it("what becomes too long by being made visible is told as cut", () => {
    const [, asked] = QuestionStep.ask({ ...QuestionStep.none, audience: 1 }, {
      ...request,
      arguments: "\u202e".repeat(1500)
    }, 0)
    if ("because" in asked) return assert.fail("refused")
    assert.isAtMost(asked.arguments.length, QuestionStep.shownArguments)
    assert.isAbove(asked.leftOut, 0)
  })

  it("a line is an answer in one form only, and a task in every other", () => {
    assert.deepStrictEqual(readAnswer("y t1"), { id: "t1", decision: "allow" })
    assert.deepStrictEqual(readAnswer(" n t12 "), { id: "t12", decision: "deny" })
    for (const line of ["y", "yes t1", "y t0", "y t1 please", "y  t1", "Y t1", "y 1", "y t1y", "water y t1", "y\tt1"]) {
      assert.isUndefined(readAnswer(line), line)
    }
  })
})

const parameters = Schema.Struct({ size: Schema.Finite })
const Marked = Toolkit.make(
  Tool.make("wipe", { parameters, success: Schema.String }).annotate(Tool.Destructive, true),
  Tool.make("free", { parameters, success: Schema.String })
)

/** A host with a marked tool, what was told of questions, and a way to call the tool. */
const staged = Effect.fnUntraced(function*(options?: Parameters<typeof ToolQuestions.make>[0]) {
  const gateway = yield* DevGateway
  const questions = yield* ToolQuestions.make(options)
  const told: Array<Change> = []
  yield* Effect.forkScoped(
    Stream.runForEach(questions.changes, (change) => Effect.sync(() => void told.push(change))),
    { startImmediately: true }
  )
  let done = 0
  const { host } = yield* Fixture.running(
    ToolHost.layer(Marked, { approve: questions.approve }).pipe(Layer.provide(Marked.toLayer({
      wipe: () => Effect.sync(() => `done ${++done}`),
      free: () => Effect.succeed("free")
    })))
  )
  yield* Fixture.approveBoth
  yield* Fixture.reached(host, "Published")
  const call = (size = 1) =>
    Effect.forkChild(Effect.map(gateway.callTool("wipe", { size }), (output) => Fixture.texts(output).at(-1)), {
      startImmediately: true
    })
  const asked = (count: number) => Fixture.until(() => told.filter(({ _tag }) => _tag === "Asked").length >= count)
  const tags = () => told.map((change) => `${change.question.id} ${change._tag === "Asked" ? "asked" : change.outcome}`)
  return { asked, call, done: () => done, gateway, host, questions, tags, told }
})

describe("ToolQuestions", () => {
  it.effect("a person allows or refuses, the first answer counts, and a later one is told as late", () =>
    Effect.gen(function*() {
      const { asked, call, done, questions, tags, told } = yield* staged()
      yield* questions.attend
      const allowed = yield* call(1)
      yield* asked(1)
      assert.deepInclude(told[0]?.question, {
        id: "t1",
        tool: "wipe",
        arguments: '{"size":1}',
        leftOut: 0
      })
      assert.strictEqual(done(), 0)
      assert.strictEqual(yield* questions.answer("t2", "allow"), "unknown")
      assert.strictEqual(yield* questions.answer("t1", "allow"), "taken")
      assert.strictEqual(yield* Fixture.joined(allowed), '"done 1"')
      assert.strictEqual(yield* questions.answer("t1", "deny"), "late")
      const denied = yield* call(2)
      yield* asked(2)
      assert.strictEqual(yield* questions.answer("t2", "deny"), "taken")
      assert.match(
        String(yield* Fixture.joined(denied)),
        /^The tool wipe was not called: a person has refused this call/
      )
      assert.strictEqual(yield* questions.answer("t2", "allow"), "late")
      assert.deepStrictEqual([done(), ...tags()], [1, "t1 asked", "t1 allowed", "t2 asked", "t2 denied"])
    }).pipe(Effect.scoped, Effect.provide(Fixture.layer())))

  it.effect("where nobody could answer, a call is refused at once with words that say so", () =>
    Effect.gen(function*() {
      const { call, done, gateway, questions, told } = yield* staged()
      assert.match(String(yield* Fixture.joined(yield* call())), /nobody is there who could decide/)
      assert.strictEqual(Fixture.texts(yield* gateway.callTool("free", { size: 1 })).at(-1), '"free"')
      const place = yield* Scope.make()
      yield* Scope.provide(questions.attend, place)
      yield* Scope.close(place, Exit.void)
      assert.match(String(yield* Fixture.joined(yield* call())), /nobody is there who could decide/)
      assert.deepStrictEqual([done(), told], [0, []])
    }).pipe(Effect.scoped, Effect.provide(Fixture.layer())))

  it.effect("a question ends with its call: at the deadline, when it is cancelled, and when the link is lost", () =>
    Effect.gen(function*() {
      const { asked, call, done, gateway, host, questions, tags, told } = yield* staged()
      yield* questions.attend
      yield* Effect.forkScoped(Effect.ignore(gateway.callTool("wipe", { size: 1 })), { startImmediately: true })
      yield* asked(1)
      const { endsAtMs } = told[0]?.question ?? { endsAtMs: 0 }
      yield* TestClock.setTime(endsAtMs - 1)
      yield* Effect.yieldNow
      assert.deepStrictEqual(tags(), ["t1 asked"])
      yield* TestClock.adjust("1 millis")
      yield* Fixture.until(() => told.length === 2)
      assert.strictEqual(yield* questions.answer("t1", "allow"), "late")

      const cancelled = yield* call(2)
      yield* asked(2)
      yield* Fiber.interrupt(cancelled)
      yield* Fixture.until(() => told.length === 4)
      assert.strictEqual(yield* questions.answer("t2", "allow"), "late")

      yield* Effect.forkScoped(Effect.ignore(gateway.callTool("wipe", { size: 3 })), { startImmediately: true })
      yield* asked(3)
      yield* gateway.dropAll(1006)
      yield* Fixture.until(() => told.length === 6)
      assert.strictEqual(yield* questions.answer("t3", "allow"), "late")
      assert.deepStrictEqual(
        [done(), ...tags()],
        [0, "t1 asked", "t1 ended", "t2 asked", "t2 ended", "t3 asked", "t3 ended"]
      )
      yield* Fixture.until(() => host.counts().running === 0)
    }).pipe(Effect.scoped, Effect.provide(Fixture.layer())))

  it.effect("so many wait at once, one more is refused, and who comes late is told those that wait", () =>
    Effect.gen(function*() {
      const { asked, call, questions, told } = yield* staged()
      yield* questions.attend
      const waiting = yield* Effect.forEach(
        Array.from({ length: QuestionStep.mostPending }, (_, index) => index),
        (size) => call(size)
      )
      yield* asked(QuestionStep.mostPending)
      assert.match(String(yield* Fixture.joined(yield* call(99))), /8 other calls wait for one/)
      const late = yield* Stream.runCollect(Stream.take(questions.changes, QuestionStep.mostPending))
      assert.deepStrictEqual(late, told)
      for (const { question } of late) yield* questions.answer(question.id, "allow")
      for (const fiber of waiting) assert.match(String(yield* Fixture.joined(fiber)), /done/)
    }).pipe(Effect.scoped, Effect.provide(Fixture.layer())))

  it.effect("a tool that was allowed beforehand is called without a question, also where nobody is", () =>
    Effect.gen(function*() {
      const { call, told } = yield* staged({ allow: ["wipe"] })
      assert.strictEqual(yield* Fixture.joined(yield* call()), '"done 1"')
      assert.deepStrictEqual(told, [])
    }).pipe(Effect.scoped, Effect.provide(Fixture.layer())))
})
