/** A program with an agent in it, as the packed package is used: it pairs with a gateway in memory and delegates a task. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Agent from "effect-openclaw/agent/Agent"
import { Supervisor } from "effect-openclaw/connection/Supervisor"
import { TaskRunner } from "effect-openclaw/tasks/TaskRunner"
import { DevGateway, MemoryGateway } from "effect-openclaw/testing"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

const program = Effect.gen(function*() {
  const gateway = yield* DevGateway
  const supervisor = yield* Supervisor
  const tasks = yield* TaskRunner
  const { queued, taskId } = yield* tasks.delegate("water the plants")
  const { pending: [request] } = yield* gateway.awaitState(({ pending }) => pending.length === 1)
  yield* gateway.approve(request?.requestId ?? "")
  yield* supervisor.checkNow
  yield* Console.log(JSON.stringify({ queued, outcome: yield* tasks.await(taskId) }))
})

NodeRuntime.runMain(program.pipe(Effect.provide(Layer.provideMerge(Agent.layer(), MemoryGateway.layer()))))
