import { assert, describe, it } from "@effect/vitest"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import { ToolHost } from "../../src/toolhost/ToolHost.ts"
import { ToolQuestions } from "../../src/toolhost/ToolQuestions.ts"
import * as Census from "../support/Census.ts"
import * as Interrupting from "../support/Interrupting.ts"
import { unstepped } from "../support/MemoryAgent.ts"
import * as Fixture from "./Fixture.ts"

/** From the two approvals over a call, a cancelled one and a lost link to the next publication, with the host closed at the end. */
const life = Effect.scoped(Effect.gen(function*() {
  const gateway = yield* DevGateway
  const slow = yield* Fixture.slowness
  const { host, stop } = yield* Fixture.serving(slow)
  yield* unstepped(Fixture.approveBoth)
  yield* unstepped(Fixture.reached(host, "Published"))
  yield* unstepped(gateway.callTool("effect_weather", { city: "Oslo" }))
  const call = (name: string) =>
    unstepped(Effect.forkChild(Effect.ignore(gateway.callTool("effect_slow", { name })), { startImmediately: true }))
  const cancelled = yield* call("cancelled")
  yield* unstepped(Fixture.until(() => slow.begun.length === 1))
  yield* unstepped(Fiber.interrupt(cancelled))
  yield* unstepped(Fixture.until(() => host.counts().running === 0))
  const lost = yield* call("lost")
  yield* unstepped(Fixture.until(() => slow.begun.length === 2))
  yield* unstepped(gateway.dropAll(1006))
  yield* unstepped(Fiber.join(lost))
  yield* unstepped(TestClock.adjust("2 seconds"))
  yield* unstepped(Fixture.reached(host, "Published"))
  const left = yield* call("left")
  yield* unstepped(Fixture.until(() => slow.begun.length === 3))
  yield* stop
  yield* unstepped(Fiber.join(left))
  assert.deepStrictEqual(slow.stopped, slow.begun)
}))

const Marked = Toolkit.make(
  Tool.make("wipe", { parameters: Schema.Struct({ size: Schema.Finite }), success: Schema.String, needsApproval: true })
)

/** A question that is answered, one whose call is cancelled, and one that is open when the host is closed. */
const asking = Effect.scoped(Effect.gen(function*() {
  const gateway = yield* DevGateway
  const questions = yield* ToolQuestions.make()
  const seen: Array<string> = []
  yield* Effect.forkScoped(
    Stream.runForEach(
      questions.changes,
      ({ _tag, question }) => Effect.sync(() => void seen.push(`${question.id} ${_tag}`))
    )
  )
  yield* questions.attend
  const { stop } = yield* Fixture.running(
    ToolHost.layer(Marked, { approve: questions.approve }).pipe(
      Layer.provide(Marked.toLayer({ wipe: () => Effect.succeed("wiped") }))
    )
  )
  yield* unstepped(Fixture.approveBoth)
  yield* unstepped(gateway.awaitState(({ tools }) => tools.length === 1))
  const call = (size: number) =>
    unstepped(Effect.forkChild(Effect.ignore(gateway.callTool("wipe", { size })), { startImmediately: true }))
  const told = (count: number) => unstepped(Fixture.until(() => seen.length === count))
  const answered = yield* call(1)
  yield* told(1)
  yield* questions.answer("t1", "allow")
  yield* unstepped(Fiber.join(answered))
  const cancelled = yield* call(2)
  yield* told(3)
  yield* unstepped(Fiber.interrupt(cancelled))
  yield* told(4)
  const left = yield* call(3)
  yield* told(5)
  yield* stop
  yield* unstepped(Fiber.join(left))
  yield* told(6)
  assert.deepStrictEqual(seen, ["t1 Asked", "t1 Settled", "t2 Asked", "t2 Settled", "t3 Asked", "t3 Settled"])
}))

describe("the life of a host of tools", () => {
  it.effect.each([["calls", life, 200], ["questions", asking, 80]] as const)(
    "interrupted at every step it leaves no fiber, no sleep and no link: %s",
    ([, life, atLeast]) =>
      Effect.gen(function*() {
        const livedUntil = Effect.fnUntraced(
          function*(k: number) {
            const interrupting = yield* Interrupting.at(k)
            const context = yield* Layer.build(Layer.fresh(Fixture.layer()))
            yield* Census.taken((census) =>
              Effect.gen(function*() {
                const exit = yield* Fiber.await(yield* interrupting.fork(Effect.provide(life, context)))
                if (k === Number.POSITIVE_INFINITY) assert.strictEqual(exit._tag, "Success", String(exit))
                assert.deepStrictEqual([census.fibers(), census.sleeps()], [0, 0], `step ${k}`)
              })
            )
            assert.strictEqual((yield* Context.get(context, DevGateway).stats).openPeers, 0, `step ${k}`)
            return interrupting.steps()
          },
          Effect.scoped,
          Random.withSeed("tools")
        )
        const total = yield* livedUntil(Number.POSITIVE_INFINITY)
        assert.isAbove(total, atLeast)
        for (let k = 1; k <= total; k++) yield* livedUntil(k)
      }),
    240_000
  )

  it.effect("ten thousand calls leave its registers empty, and its memory as it was", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const slow = yield* Fixture.slowness
      yield* Deferred.succeed(slow.release, undefined)
      const { host } = yield* Fixture.published(slow)
      const calls = Effect.fnUntraced(function*(count: number) {
        for (let index = 0; index < count; index += 20) {
          yield* Effect.forEach(
            Array.from({ length: 20 }, (_, one) => `${index + one}`),
            (name) => gateway.callTool("effect_slow", { name }),
            { concurrency: "unbounded", discard: true }
          )
        }
      })
      const heapMb = Effect.sync(() => {
        globalThis.gc?.()
        return process.memoryUsage().heapUsed / 1024 / 1024
      })
      yield* calls(2000)
      const before = yield* heapMb
      yield* calls(8000)
      assert.isBelow((yield* heapMb) - before, globalThis.gc === undefined ? 200 : 10)
      assert.strictEqual(slow.begun.length, 10_000)
      const counts = host.counts()
      assert.deepStrictEqual([counts.running, counts.queued], [0, 0])
      assert.isAtMost(counts.remembered, 64)
      // What is kept for a gateway that asks again goes with the next call.
      yield* TestClock.adjust("11 seconds")
      yield* gateway.callTool("effect_slow", { name: "last" })
      assert.deepStrictEqual(host.counts(), { running: 0, queued: 0, remembered: 1 })
    }).pipe(Effect.scoped, Effect.provide(Fixture.layer())), 60_000)
})
