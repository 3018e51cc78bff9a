import { assert, describe, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import { randomUUID } from "node:crypto"
import type { RunPart } from "../../src/tasks/RunPart.ts"
import type { TaskOutcome } from "../../src/tasks/Task.ts"
import * as CountingTracer from "../support/CountingTracer.ts"
import * as LibraryAgent from "./support/LibraryAgent.ts"
import { releases } from "./support/OpenClaw.ts"
import { ownAddress, Place } from "./support/Place.ts"
import { administrator } from "./support/RawClient.ts"
import * as TaskAgent from "./support/TaskAgent.ts"

const begin = Effect.fnUntraced(function*() {
  const { gateway } = yield* Place
  const remote = yield* ownAddress
  const home = yield* LibraryAgent.makeHome
  const agent = yield* TaskAgent.start(home, { url: remote.url, token: gateway.token })
  return { agent, gateway, model: gateway.model, remote, sessionKey: `agent:main:${randomUUID()}` }
})
const completed = (outcome: TaskOutcome): string =>
  outcome._tag === "Completed" ? outcome.text : assert.fail(JSON.stringify(outcome))
const replyOf = (parts: ReadonlyArray<RunPart>): string =>
  parts.reduce(
    (reply, part) => part._tag === "Text" ? reply + part.text : part._tag === "Replaced" ? part.text : reply,
    ""
  )
const isEndOf = (runId: string) => (payload: unknown) =>
  Predicate.hasProperty(payload, "runId") && payload.runId === runId
  && Predicate.hasProperty(payload, "state") && payload.state === "final"

describe.each(Effect.runSync(releases))("runs on OpenClaw %s", (release) => {
  layer(Place.layer(release), { excludeTestServices: true, timeout: "300 seconds" })((it) => {
    it.effect(
      "a call of a tool is seen as start and result, and the parts add up to the reply",
      () =>
        Effect.gen(function*() {
          const { agent, sessionKey } = yield* begin()
          const { taskId } = yield* agent.tasks.delegate("[tool] what is there", { sessionKey })
          const parts = yield* Effect.forkChild(Stream.runCollect(agent.tasks.parts(taskId)), {
            startImmediately: true
          })
          const text = completed(yield* agent.outcome(taskId))
          assert.include(text, "echo: [tool] what is there")
          const told = yield* Fiber.join(parts)
          assert.strictEqual(replyOf(told), text)
          const tools = told.filter((part) => part._tag.startsWith("Tool")).map(({ _tag }) => _tag)
          assert.deepStrictEqual([tools[0], tools.at(-1)], ["ToolStarted", "ToolEnded"])
          assert.strictEqual(told.at(-1)?._tag, "Ended")
        }),
      120_000
    )

    it.effect(
      "F51: an agent that has nothing to say ends its run as the gateway takes it",
      () =>
        Effect.gen(function*() {
          const { agent, sessionKey } = yield* begin()
          const { taskId } = yield* agent.tasks.delegate("[silent]", { sessionKey })
          const outcome = yield* agent.outcome(taskId)
          if (release >= "2026.9") assert.strictEqual(outcome._tag, "Failed", JSON.stringify(outcome))
          else assert.strictEqual(completed(outcome), "")
        }),
      120_000
    )

    it.effect("F43: two devices in one session each get their own reply", () =>
      Effect.gen(function*() {
        const [one, two] = yield* Effect.all([begin(), begin()])
        const { sessionKey } = one
        const ends = yield* Effect.forEach([one, two], ({ agent }, index) =>
          Effect.gen(function*() {
            const summary = `from device ${index} ${randomUUID().slice(0, 8)}`
            const { taskId } = yield* agent.tasks.delegate(summary, { sessionKey })
            return [completed(yield* agent.outcome(taskId)), summary] as const
          }), { concurrency: 2 })
        // A release may add what answers the one to the reply to the other, or give the model both at once. The model of this
        // test answers the last text alone.
        const answered = ends.map(([, summary]) => summary).filter((summary) =>
          one.model.prompts.some((prompt) => prompt.includes(summary))
        )
        assert.isNotEmpty(answered)
        for (const [reply, own] of ends) {
          assert.include(reply, `echo: ${answered.includes(own) ? own : answered[0]}`)
        }
      }), 120_000)

    it.effect(
      "B21: requests carry their trace, or are made once more without where the release refuses it",
      () =>
        CountingTracer.installed(() =>
          Effect.gen(function*() {
            const { agent } = yield* begin()
            const { session } = yield* agent.until("Connected")
            for (let count = 0; count < 3; count++) yield* session.request("health", {})
            const asked = agent.frames.filter(({ from, text }) =>
              from === "client" && text.includes('"method":"health"')
            )
            const traced = asked.filter(({ text }) => text.includes('"traceparent":"00-'))
            assert.deepStrictEqual([asked.length, traced.length], release >= "2026.8" ? [3, 3] : [4, 1])
          })
        ),
      60_000
    )

    it.effect(
      "B21: a task whose trace the release refuses is run once, by one call of the model",
      () =>
        CountingTracer.installed(() =>
          Effect.gen(function*() {
            const { agent, model, sessionKey } = yield* begin()
            const summary = `with a trace ${randomUUID().slice(0, 8)}`
            const { runId, taskId } = yield* agent.tasks.delegate(summary, { sessionKey })
            assert.strictEqual(completed(yield* agent.outcome(taskId)), `echo: ${summary}`)
            const sends = agent.frames.filter(({ from, text }) =>
              from === "client" && text.includes('"method":"chat.send"') && text.includes(runId)
            )
            const traced = sends.map(({ text }) => text.includes('"traceparent":"00-'))
            // A request before it may have shown that the release refuses traces.
            assert.include(release >= "2026.8" ? ["true"] : ["true,false", "false"], traced.join())
            assert.lengthOf(model.prompts.filter((prompt) => prompt.includes(summary)), 1)
          })
        ),
      60_000
    )

    it.effect(
      "G14: a gateway that is killed after the run ended, and started again, still gives the reply",
      () =>
        Effect.gen(function*() {
          const { agent, gateway, model, remote, sessionKey } = yield* begin()
          const mark = `[hold ${randomUUID().slice(0, 8)}]`
          const summary = `${mark} over the end of the gateway`
          const { runId, taskId } = yield* agent.tasks.delegate(summary, { sessionKey })
          yield* model.asked(mark)
          yield* remote.lose("gateway")
          const observer = yield* administrator(gateway)
          yield* model.release(mark)
          yield* observer.nextEvent("chat", isEndOf(runId))
          // Gateways say that a run is over a moment before its message is kept.
          yield* Effect.sleep("1 second")
          yield* gateway.crash
          yield* gateway.start
          assert.strictEqual(completed(yield* agent.outcome(taskId, "120 seconds")), `echo: ${summary}`)
          assert.strictEqual(agent.sends(runId), 1)
        }),
      240_000
    )
  })
})
