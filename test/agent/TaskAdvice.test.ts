import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { AgentEvents } from "../../src/agent/AgentEvents.ts"
import { MissingScope, RequestRejected } from "../../src/connection/RequestError.ts"
import { Supervisor } from "../../src/connection/Supervisor.ts"
import { PairingNotifier } from "../../src/pairing/PairingNotifier.ts"
import type { Failure } from "../../src/protocol/AgentEvent.ts"
import { RunId, TaskId } from "../../src/tasks/Task.ts"
import type { TaskEvent, TaskOutcome } from "../../src/tasks/Task.ts"
import { RunFailed, SessionConflicted, TakenAsCommand, TaskNotFound } from "../../src/tasks/TaskError.ts"
import { TaskRunner } from "../../src/tasks/TaskRunner.ts"
import * as Device from "../support/Device.ts"

const told = { runId: "a-run", gatewayMessage: "no credit" }

/** Every end of a task but its reply, and what its advice is about. */
const ends: ReadonlyArray<readonly [Exclude<TaskOutcome, { readonly _tag: "Completed" }>, RegExp]> = [
  [{ _tag: "Failed", error: new RunFailed(told) }, /openclaw logs/],
  [{ _tag: "Failed", error: new SessionConflicted(told) }, /--session agent:main:<name>/],
  [{ _tag: "Failed", error: new TakenAsCommand({ stoppedRunIds: [] }) }, /whole sentence/],
  [
    { _tag: "Failed", error: new MissingScope({ method: "chat.send", scope: "operator.write" }) },
    /openclaw devices list/
  ],
  [
    {
      _tag: "Failed",
      error: new RequestRejected({ method: "chat.send", code: "INVALID_REQUEST", gatewayMessage: "no" })
    },
    /session key/
  ],
  [{ _tag: "Aborted", text: "" }, /delegate it anew/],
  [{ _tag: "Expired", sent: true }, /--timeout/],
  [{ _tag: "Expired", sent: false }, /session of its own/],
  [{ _tag: "Unknown", evidence: { answered: true, history: "NoReply" } }, /before the task is delegated anew/],
  [{ _tag: "Unknown", evidence: { answered: true, history: "Absent" } }, /session was reset/],
  [{ _tag: "Unknown", evidence: { answered: false, history: "Unavailable" } }, /openclaw gateway status/]
]

describe("the end of a task", () => {
  it.effect("G16: every kind says what happened, whose side it is, what to do, and what comes next", () =>
    Effect.gen(function*() {
      const events = yield* Queue.unbounded<TaskEvent>()
      const context = yield* Layer.build(
        AgentEvents.layer().pipe(Layer.provide([
          Device.layer,
          Layer.mock(Supervisor, { gatewayScope: Effect.succeed("ws://127.0.0.1:18789/"), changes: Stream.never }),
          Layer.mock(PairingNotifier, { notices: Stream.never }),
          Layer.mock(TaskRunner, {
            events: Stream.fromQueue(events),
            get: (taskId) => Effect.fail(new TaskNotFound({ taskId }))
          })
        ]))
      )
      const seen = yield* Queue.unbounded<Failure>()
      yield* Effect.forkScoped(
        Stream.runForEach(
          Context.get(context, AgentEvents).events,
          (event) => event.event === "task.failed" ? Queue.offer(seen, event.error) : Effect.void
        ),
        { startImmediately: true }
      )
      const all = new Set<string>()
      for (const [outcome, about] of ends) {
        yield* Queue.offer(events, { ...outcome, taskId: TaskId.make("1a2b3c4d"), runId: RunId.make("a-run") })
        const { advice = "", error, message, next = "", owner = "" } = yield* Queue.take(seen)
        assert.strictEqual(error, outcome._tag === "Failed" ? outcome.error._tag : outcome._tag)
        assert.match(advice, about, error)
        for (const sentence of [message, owner, next]) assert.isAbove(sentence.length, 2, error)
        all.add(advice)
      }
      assert.strictEqual(all.size, ends.length)
    }))
})
