/**
 * What every task journal does, wherever it keeps the tasks.
 */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { RunId } from "../../src/tasks/Task.ts"
import type { TaskJournal } from "../../src/tasks/TaskJournal.ts"
import { entry } from "./Journals.ts"

/** `make` gives a place with nothing in it, as the effect that opens its journal: each time as the next process does. */
export const taskJournalContract = <E>(
  kind: string,
  make: Effect.Effect<Effect.Effect<TaskJournal["Service"], E, Scope.Scope>, E, Scope.Scope>
) => {
  it.effect(`B07: the ${kind} journal keeps open tasks in order and forgets the others`, () =>
    Effect.gen(function*() {
      const journal = yield* Effect.flatten(make)
      assert.deepStrictEqual(yield* journal.read, [])
      const sent = entry(1, { sentAtMs: 1_795_330_230_897, answeredRunId: "another", merged: true })
      yield* journal.put(entry(2))
      yield* journal.put(entry(1))
      yield* journal.put(entry(3))
      yield* journal.put(sent)
      const read = yield* journal.read
      assert.deepStrictEqual(read.map(({ position }) => position), [1, 2, 3])
      assert.deepInclude(read[0], sent)
      yield* journal.remove(entry(2).runId, "Completed")
      yield* journal.remove(entry(2).runId, "Completed")
      assert.deepStrictEqual((yield* journal.read).map(({ position }) => position), [1, 3])
    }))

  it.effect(`B07: the next process claims the open tasks of one gateway from the ${kind} journal`, () =>
    Effect.gen(function*() {
      const open = yield* make
      const first = yield* open
      const foreign = entry(2, { gatewayScope: "wss://other.example:443/" })
      yield* first.put(entry(3))
      yield* first.put(foreign)
      yield* first.put(entry(1, { sentAtMs: 1_795_330_230_897 }))
      const second = yield* open
      const claimed = yield* second.claim(entry(1).gatewayScope)
      assert.deepStrictEqual(claimed.map(({ runId }) => runId), [entry(1).runId, entry(3).runId])
      assert.strictEqual(claimed[0]?.sentAtMs, 1_795_330_230_897)
      yield* second.put(entry(3, { sentAtMs: 1_795_330_230_898 }))
      yield* second.remove(entry(1).runId, "Completed")
      assert.deepStrictEqual(
        (yield* second.read).map(({ runId, sentAtMs }) => [runId, sentAtMs]),
        [[foreign.runId, undefined], [entry(3).runId, 1_795_330_230_898]]
      )
    }))

  it.effect(`the ${kind} journal asks nobody to abort a task, and answers nothing, unless it was asked`, () =>
    Effect.gen(function*() {
      const journal = yield* Effect.flatten(make)
      yield* journal.put(entry(1))
      yield* journal.remove(entry(1).runId, "Completed")
      const answer = yield* journal.abortAnswer(entry(1).runId)
      assert.strictEqual(answer._tag, "None")
      const never = yield* journal.abortAnswer(RunId.make("0b0f9bd0-6d27-4c33-9c14-3a1f7b3f4a11"))
      assert.strictEqual(never._tag, "None")
    }))
}
