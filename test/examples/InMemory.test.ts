import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { Agent, TaskRunner } from "effect-openclaw"
import { DevGateway, MemoryGateway } from "effect-openclaw/testing"
import { TestClock } from "effect/testing"

it.effect("delegates once it is approved", () =>
  Effect.gen(function*() {
    const tasks = yield* TaskRunner
    const gateway = yield* DevGateway
    const { taskId } = yield* tasks.delegate("hello")
    const { pending: [request] } = yield* gateway.awaitState(({ pending }) => pending.length === 1)
    yield* gateway.approve(request?.requestId ?? "")
    const outcome = yield* Effect.forkChild(tasks.await(taskId))
    yield* TestClock.adjust("15 seconds") // the next time the agent asks
    assert.deepInclude(yield* Fiber.join(outcome), { _tag: "Completed", text: "echo: hello" })
  }).pipe(Effect.provide(Agent.layer().pipe(Layer.provideMerge(MemoryGateway.layer())))))
