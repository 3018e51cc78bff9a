import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import type { TaskOutcome } from "../../src/tasks/Task.ts"
import { start } from "./Fixture.ts"
import * as Transcript from "./Transcript.ts"
import * as Wire from "./Wire.ts"

/** What the recorded run came to, told from its frames alone. */
const expected = ({ ended, frames, request }: Transcript.Recorded) => {
  const own = frames.flatMap(({ event, payload }) => {
    const chat: Readonly<Record<string, unknown>> = { ...Object(payload) }
    return event === "chat" && chat["runId"] === request.idempotencyKey && chat["state"] === ended ? [chat] : []
  })
  const content = (chat: Readonly<Record<string, unknown>> | undefined): string => {
    const parts: unknown = Object(chat?.["message"])["content"]
    return Array.isArray(parts) ? parts.map((part: unknown) => String(Object(part)["text"])).join("\n") : ""
  }
  switch (ended) {
    case "final":
      return { _tag: "Completed", text: content(own[0]) }
    case "aborted":
      return { _tag: "Aborted", text: content(own[0]) }
    case "error":
      return { _tag: "Failed", text: String(own.at(-1)?.["errorMessage"]) }
    case null:
      return { _tag: "Failed", text: String(Object(frames[0]?.error)["message"]) }
  }
}

const seen = (outcome: TaskOutcome) => {
  switch (outcome._tag) {
    case "Completed":
    case "Aborted":
      return { _tag: outcome._tag, text: outcome.text }
    case "Failed":
      return {
        _tag: outcome._tag,
        text: "gatewayMessage" in outcome.error ? outcome.error.gatewayMessage : outcome.error.message
      }
    default:
      return { _tag: outcome._tag, text: "" }
  }
}

/** A runner with a real session on a gateway that only plays what was recorded. */
const startOnWire = Effect.gen(function*() {
  const { become, runner } = yield* start()
  const wire = yield* Wire.make
  yield* become({ _tag: "Connected", session: wire.session })
  return { runner, wire }
})

/** The first answer belongs to `chat.send`, the others to requests of the recorder. */
const plays = (frame: Transcript.Recorded["frames"][number], first: boolean) => first || frame.type === "event"

describe("recorded transcripts", () => {
  for (const release of Transcript.releases) {
    it.effect(`F09 F51: every run recorded with ${release} ends as it did`, () =>
      Effect.gen(function*() {
        const { runner, wire } = yield* startOnWire
        for (const [name, recorded] of yield* Transcript.runs(release)) {
          const { request } = recorded
          const receipt = yield* runner.delegate(request.message, { sessionKey: request.sessionKey })
          const asked = yield* wire.next("chat.send")
          const { frames } = Transcript.withKey(recorded, receipt.runId)
          for (const [index, frame] of frames.entries()) if (plays(frame, index === 0)) wire.play(frame, asked)
          yield* TestClock.adjust("1 second")
          assert.deepStrictEqual(seen(yield* runner.await(receipt.taskId)), expected(recorded), name)
        }
        assert.deepInclude(wire.session.counts(), { pending: 0, dropped: 0, missed: 0 })
      }))
  }

  const Order = Schema.Array(Schema.Boolean)
  for (const release of Transcript.releases) {
    it.effect.prop(
      `F43 G14: in any interleaving of two runs recorded with ${release}, each task ends as its own run did`,
      [Order, Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 99 }))],
      ([order, pick]) =>
        Effect.gen(function*() {
          const all = yield* Transcript.runs(release)
          const chosen = [all[pick % 10 % all.length], all[Math.floor(pick / 10) % all.length]]
          const { runner, wire } = yield* startOnWire
          const tasks: Array<{
            readonly recorded: Transcript.Recorded
            readonly taskId: Parameters<typeof runner.await>[0]
            readonly asked: Effect.Success<ReturnType<Wire.Wire["next"]>>
            readonly frames: Array<Transcript.Recorded["frames"][number]>
            begun: boolean
          }> = []
          for (const [index, entry] of chosen.entries()) {
            if (entry === undefined) continue
            // Each in a session of its own, as a second one of the same session would wait.
            const recorded = Transcript.withSession(entry[1], `agent:main:s${index}`)
            const receipt = yield* runner.delegate(recorded.request.message, {
              sessionKey: recorded.request.sessionKey
            })
            const asked = yield* wire.next("chat.send")
            const frames = [...Transcript.withKey(recorded, receipt.runId).frames]
            tasks.push({ recorded, taskId: receipt.taskId, asked, frames, begun: false })
          }
          const turns = [...order.map((left) => left ? 0 : 1), ...tasks.flatMap(({ frames }, i) => frames.map(() => i))]
          for (const turn of turns) {
            const task = tasks[turn]
            const frame = task?.frames.shift()
            if (task === undefined || frame === undefined) continue
            if (plays(frame, !task.begun)) wire.play(frame, task.asked)
            task.begun = true
          }
          yield* TestClock.adjust("1 second")
          for (const { recorded, taskId } of tasks) {
            assert.deepStrictEqual(seen(yield* runner.await(taskId)), expected(recorded))
          }
        }).pipe(Effect.scoped),
      { arbitrary: { seed: 1, runs: 40 } }
    )
  }
})
