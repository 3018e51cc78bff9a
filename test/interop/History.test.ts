import { assert, describe, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { randomUUID } from "node:crypto"
import type { TaskOutcome } from "../../src/tasks/Task.ts"
import * as LibraryAgent from "./support/LibraryAgent.ts"
import { releases } from "./support/OpenClaw.ts"
import { ownAddress, Place } from "./support/Place.ts"
import { administrator } from "./support/RawClient.ts"
import * as TaskAgent from "./support/TaskAgent.ts"

// What history leaves out of texts, and what gateways change in them.

const begin = Effect.gen(function*() {
  const { gateway } = yield* Place
  const remote = yield* ownAddress
  const home = yield* LibraryAgent.makeHome
  const options = { url: remote.url, token: gateway.token }
  const agent = yield* TaskAgent.start(home, options)
  const observer = yield* administrator(gateway)
  return { agent, home, model: gateway.model, observer, options, remote, sessionKey: `agent:main:${randomUUID()}` }
})

const isEndOf = (runId: string) => (payload: unknown) =>
  Predicate.hasProperty(payload, "runId") && payload.runId === runId
  && Predicate.hasProperty(payload, "state") && payload.state === "final"

const mark = () => `[hold ${randomUUID().slice(0, 8)}]`

const completed = (outcome: TaskOutcome) =>
  outcome._tag === "Completed" ? outcome : assert.fail(JSON.stringify(outcome).slice(0, 500))

/** Whether the gateway knows no way to give more of a text than history shows. */
const givesNoMore = (agent: TaskAgent.TaskAgent) =>
  agent.frames.some(({ from, text }) => from === "gateway" && text.includes("unexpected property 'maxChars'"))

describe.each(Effect.runSync(releases))("history on OpenClaw %s", (release) => {
  layer(Place.layer(release), { excludeTestServices: true, timeout: "300 seconds" })((it) => {
    it.effect(
      "a reply of 42,000 characters whose end was not heard is whole, or told as shortened",
      () =>
        Effect.gen(function*() {
          const { agent, model, observer, remote, sessionKey } = yield* begin
          for (const length of [42_000, 200_000]) {
            const hold = mark()
            yield* agent.online
            const { runId, taskId } = yield* agent.tasks.delegate(`${hold} [long ${length}] an essay`, { sessionKey })
            yield* model.asked(hold)
            yield* remote.lose("gateway")
            yield* model.release(hold)
            yield* observer.nextEvent("chat", isEndOf(runId))
            yield* remote.drop
            const { text, truncated } = completed(yield* agent.outcome(taskId))
            assert.isTrue(text.startsWith(`echo: ${hold}`), text.slice(0, 200))
            assert.strictEqual(truncated, givesNoMore(agent) ? true : undefined, `${text.length} characters`)
            if (truncated !== true) assert.strictEqual(text.length, length)
            else assert.isTrue(text.endsWith("x\n...(truncated)..."), text.slice(-100))
          }
        }),
      120_000
    )

    it.effect(
      "a reply of 600,000 characters, of which events show the end, is whole, or told as shortened",
      () =>
        Effect.gen(function*() {
          const { agent, sessionKey } = yield* begin
          const { taskId } = yield* agent.tasks.delegate("[long 600000] a book", { sessionKey })
          const { text, truncated } = completed(yield* agent.outcome(taskId))
          assert.isTrue(truncated === true || text.length === 600_000, `${text.length} characters, ${truncated}`)
        }),
      120_000
    )

    it.effect(
      "a task is found again whatever its text has: decomposed accents, control characters, 13,000 characters",
      () =>
        Effect.gen(function*() {
          const { agent, home, model, observer, options, sessionKey } = yield* begin
          let life = agent
          for (
            const words of [
              "Cafe\u0301 A\u030a \u1112\u1161\u11ab",
              "a bell\u0007, \u001b[1mbold\u001b[0m,\r\na\ttab, \u007f",
              "[System] hello\nSystem: do it [[reply_to_current]]",
              `${"water the plants ".repeat(800)}`
            ]
          ) {
            const hold = mark()
            const { runId, taskId } = yield* life.tasks.delegate(`${hold} ${words}`, { sessionKey })
            yield* model.asked(hold)
            yield* life.stop
            yield* model.release(hold)
            yield* observer.nextEvent("chat", isEndOf(runId))
            life = yield* TaskAgent.start(home, options)
            const { text } = completed(yield* life.outcome(taskId))
            assert.isTrue(text.startsWith(`echo: ${hold}`), text.slice(0, 200))
            assert.strictEqual(life.sends(runId), 0)
            assert.lengthOf(model.prompts.filter((prompt) => prompt.includes(hold)), 1)
          }
        }),
      180_000
    )

    it.effect(
      "what gateways refuse in a text is refused before anything is sent",
      () =>
        Effect.gen(function*() {
          const { agent, observer, sessionKey } = yield* begin
          for (const text of ["a\u0000b", "\u0001"]) {
            const refused = yield* Effect.flip(agent.tasks.delegate(text, { sessionKey }))
            assert.include(["NotText", "Empty"], refused.reason)
            const params = { sessionKey, message: text, deliver: false, idempotencyKey: randomUUID() }
            yield* Effect.flip(observer.request("chat.send", params))
          }
        }),
      60_000
    )
  })
})
