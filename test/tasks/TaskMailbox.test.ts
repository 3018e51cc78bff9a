import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import * as RunnerState from "../../src/tasks/RunnerState.ts"
import type { TaskEvent } from "../../src/tasks/Task.ts"
import { RunId, TaskId } from "../../src/tasks/Task.ts"
import type { JournalEntry } from "../../src/tasks/TaskJournal.ts"
import { TaskJournal } from "../../src/tasks/TaskJournal.ts"
import type { TaskMailbox } from "../../src/tasks/TaskMailbox.ts"
import * as Mailbox from "../../src/tasks/TaskMailbox.ts"
import { home, makeGateway, started } from "./Fixture.ts"

const entry: JournalEntry = {
  taskId: TaskId.make("00000001"),
  runId: RunId.make("00000001-0000-4000-8000-000000000000"),
  gatewayScope: home,
  sessionKey: "agent:main:main",
  summary: "water the plants",
  position: 1,
  acceptedAtMs: 0
}

/** One task on a link, and everything that is done for it, in order. `put` is what a write of the journal waits for. */
const start = Effect.fnUntraced(function*(put: (write: number) => Effect.Effect<void> = () => Effect.void) {
  const done: Array<string> = []
  let writes = 0
  let onPublish = (_event: TaskEvent) => {}
  const journal = yield* Effect.provide(
    TaskJournal,
    Layer.mock(TaskJournal, {
      put: () =>
        Effect.andThen(
          Effect.suspend(() => put(++writes)),
          Effect.sync(() => void done.push("write"))
        ),
      remove: () => Effect.sync(() => void done.push("forget"))
    })
  )
  const gateway = yield* makeGateway()
  const { session } = gateway
  const state = new RunnerState.RunnerState({ gatewayScope: home, status: { _tag: "Connected", session } })
  const mailbox: TaskMailbox = yield* Mailbox.make({
    rules: { timeoutMs: 180_000, abortExpired: false },
    state,
    journal,
    publish: (event) => {
      done.push(event._tag)
      onPublish(event)
    }
  })
  state.link = { session, gatewayScope: home, refusedWays: new Set(), heard: new Map() }
  const cell = state.add(entry, false)
  return {
    cell,
    done,
    gateway,
    post: mailbox.post,
    whenPublished: (then: (event: TaskEvent) => void) => void (onPublish = then)
  }
})

describe("TaskMailbox", () => {
  it.effect("what an action sets off at once comes after the other actions of its input", () =>
    Effect.gen(function*() {
      const { cell, done, gateway, post, whenPublished } = yield* start()
      // A subscriber that has the task ended as soon as it is sent.
      whenPublished((event) => {
        if (event._tag !== "Sent") return
        post(cell, { _tag: "ChatTold", event: { _tag: "Final", text: "done", atMs: undefined } })
      })
      post(cell, { _tag: "Accepted" })
      post(cell, { _tag: "LinkUp" })
      const asked = yield* gateway.next("chat.send")
      asked.answer(started(asked))
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(done, ["write", "Sent", "write", "Replied", "forget"])
    }))

  it.effect("G15 B07: a task that ends while an entry of it is written is forgotten after that", () =>
    Effect.gen(function*() {
      const written = yield* Deferred.make<void>()
      const { cell, done, gateway, post } = yield* start((write) => write === 2 ? Deferred.await(written) : Effect.void)
      post(cell, { _tag: "Accepted" })
      post(cell, { _tag: "LinkUp" })
      const asked = yield* gateway.next("chat.send")
      asked.answer(started(asked))
      yield* TestClock.adjust(0)
      post(cell, { _tag: "ChatTold", event: { _tag: "Final", text: "done", atMs: undefined } })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(done, ["write", "Sent", "Replied"])
      yield* Deferred.succeed(written, undefined)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(done, ["write", "Sent", "Replied", "write", "forget"])
    }))
})
