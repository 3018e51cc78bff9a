/**
 * A gateway that tells phases without end, and a reader of the agent's events that takes none of them.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as Agent from "../../src/agent/Agent.ts"
import { AgentEvents } from "../../src/agent/AgentEvents.ts"
import type { AgentEvent } from "../../src/protocol/AgentEvent.ts"
import type { TaskEvent } from "../../src/tasks/Task.ts"
import { RunId, TaskId } from "../../src/tasks/Task.ts"
import { TaskJournal } from "../../src/tasks/TaskJournal.ts"
import { TaskRunner } from "../../src/tasks/TaskRunner.ts"
import * as MemoryGateway from "../../src/testing/MemoryGateway.ts"

setFlagsFromString("--expose-gc")
const collect: unknown = runInNewContext("gc")
const heapMb = (): number => {
  if (typeof collect === "function") collect()
  return process.memoryUsage().heapUsed / 1e6
}

const count = 1_000_000
const ids = { taskId: TaskId.make("task-1"), runId: RunId.make("run-1"), sessionKey: "main" }
const phases = function*(): Generator<TaskEvent> {
  for (let index = 0; index < count; index++) {
    yield { ...ids, _tag: "Phase", phase: `phase ${index} `.padEnd(80, "x") }
  }
  yield { ...ids, _tag: "Replied", text: "done", at: undefined, late: false }
}

describe("AgentEvents", () => {
  it.effect(
    "a million phases wait for a reader that takes nothing as the last sixteen, and the end is not lost",
    () =>
      Effect.gen(function*() {
        const begun = yield* Deferred.make<void>()
        const told = yield* Deferred.make<void>()
        const tasks = Layer.effect(
          TaskRunner,
          Effect.map(TaskRunner, (runner) => ({
            ...runner,
            events: Stream.fromEffectDrain(Deferred.await(begun)).pipe(
              Stream.concat(Stream.fromIterable(phases())),
              Stream.onEnd(Deferred.succeed(told, undefined))
            )
          }))
        )
        yield* Effect.gen(function*() {
          const { events } = yield* AgentEvents
          const release = yield* Deferred.make<void>()
          const reading = yield* Deferred.make<void>()
          const seen: Array<AgentEvent> = []
          const reader = yield* events.pipe(
            Stream.mapEffect((event) =>
              Effect.andThen(Deferred.succeed(reading, undefined), Effect.as(Deferred.await(release), event))
            ),
            Stream.tap((event) => Effect.sync(() => void seen.push(event))),
            Stream.takeUntil(({ event }) => event === "task.reply"),
            Stream.runDrain,
            Effect.forkChild
          )
          yield* Deferred.await(reading)
          const before = heapMb()
          yield* Deferred.succeed(begun, undefined)
          yield* Deferred.await(told)
          const grown = heapMb() - before
          yield* Deferred.succeed(release, undefined)
          yield* Fiber.join(reader)
          const shown = seen.flatMap((event) => event.event === "task.phase" ? [event.phase.trim()] : [])
          assert.deepStrictEqual(
            shown.map((phase) => Number(phase.split(" ")[1])),
            Array.from({ length: 16 }, (_, index) => count - 16 + index)
          )
          assert.isBelow(grown, 10, "MB of heap")
        }).pipe(
          Effect.provide(
            AgentEvents.layer().pipe(
              Layer.provide(tasks),
              Layer.provideMerge(Agent.layer()),
              Layer.provide(TaskJournal.layerMemory),
              Layer.provideMerge(MemoryGateway.layer())
            )
          ),
          Effect.scoped
        )
      }),
    60_000
  )
})
