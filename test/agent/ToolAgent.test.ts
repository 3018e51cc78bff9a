import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { AgentEvents } from "../../src/agent/AgentEvents.ts"
import * as ToolAgent from "../../src/agent/ToolAgent.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import type { AgentEvent } from "../../src/protocol/AgentEvent.ts"
import { encodeAgentEvent } from "../../src/protocol/AgentEvent.ts"
import { TaskRunner } from "../../src/tasks/TaskRunner.ts"
import * as MemoryGateway from "../../src/testing/MemoryGateway.ts"
import { ToolHost } from "../../src/toolhost/ToolHost.ts"
import * as Fixture from "../toolhost/Fixture.ts"

/** An agent with the two tools, and everything that it tells. */
const started = Effect.gen(function*() {
  const seen: Array<AgentEvent> = []
  const events = yield* AgentEvents
  yield* Effect.forkScoped(Stream.runForEach(events.events, (event) => Effect.sync(() => void seen.push(event))), {
    startImmediately: true
  })
  const gateway = yield* DevGateway
  const approveDevice = Effect.gen(function*() {
    const { pending: [request] } = yield* gateway.awaitState(({ pending }) => pending.length > 0)
    yield* gateway.approve(request?.requestId ?? "")
    yield* TestClock.adjust("15 seconds")
    return request
  })
  return { approveDevice, gateway, host: yield* ToolHost, seen }
})

const agent = Layer.unwrap(
  Effect.map(Fixture.slowness, (slow) => ToolAgent.layer(Fixture.Tools, Fixture.handlers(slow), { reminders: 1 }))
)
const layer = (gateway: Parameters<typeof Fixture.layer>[0] = {}) =>
  agent.pipe(Layer.provideMerge(MemoryGateway.layer({ gateway })))

const told = (seen: ReadonlyArray<AgentEvent>) =>
  seen.filter(({ event }) => event === "connected" || event === "tools" || event.startsWith("pairing."))
    .map((event) =>
      [
        event.event,
        "role" in event ? event.role : "",
        "reason" in event ? event.reason : "",
        "state" in event ? event.state : ""
      ]
        .filter((part) => part !== undefined && part !== "").join(" ")
    )

describe("ToolAgent", () => {
  it.effect("one device holds both roles: three approvals, each told once, and one stream of events", () =>
    Effect.gen(function*() {
      const { approveDevice, gateway, host, seen } = yield* started
      const operator = yield* approveDevice
      assert.deepInclude(operator, { role: "operator", deviceFamily: "Linux" })
      const node = yield* approveDevice
      assert.deepInclude(node, { role: "node", isRepair: true, deviceFamily: "Linux" })
      assert.strictEqual(node?.deviceId, operator?.deviceId)
      const { surfaces: [surface] } = yield* gateway.awaitState(({ surfaces }) => surfaces.length === 1)
      yield* gateway.approveSurface(surface?.requestId ?? "")
      yield* Fixture.reached(host, "Published")
      yield* Fixture.until(() =>
        told(seen).includes("tools published") && told(seen).includes("pairing.resolved node surface")
      )
      assert.deepStrictEqual(
        told(seen),
        [
          "pairing.required not-paired",
          "pairing.resolved not-paired",
          "connected",
          "tools connecting",
          "pairing.required node role-upgrade",
          "pairing.resolved node role-upgrade",
          "tools awaiting-approval",
          "pairing.required node surface",
          "pairing.resolved node surface",
          "tools published"
        ].toSorted(inOrderOf(told(seen)))
      )
      const request = seen.find((event) => event.event === "pairing.required" && event.reason === "surface")
      if (request?.event !== "pairing.required") return assert.fail()
      assert.strictEqual(request.approve?.text, `openclaw nodes approve ${surface?.requestId}`)
      assert.strictEqual(request.list.text, "openclaw nodes pending")
      for (const event of seen) encodeAgentEvent(event)

      // Both work, each with a token of its own, and come back by it.
      const tasks = yield* TaskRunner
      const { taskId } = yield* tasks.delegate("hello")
      assert.deepInclude(yield* tasks.await(taskId), { _tag: "Completed", text: "echo: hello" })
      yield* gateway.callTool("effect_weather", { city: "Oslo" })
      yield* gateway.dropAll(1012)
      yield* TestClock.adjust("3 seconds")
      yield* Fixture.reached(host, "Published")
      yield* gateway.callTool("effect_weather", { city: "Rome" })
      assert.lengthOf((yield* gateway.paired)[0]?.tokens ?? [], 2)
      assert.lengthOf(told(seen).filter((line) => line.startsWith("pairing.required")), 3)
    }).pipe(Effect.scoped, Effect.provide(layer())))

  it.effect("a late subscriber learns of the open request for the tools", () =>
    Effect.gen(function*() {
      const { approveDevice, gateway, host } = yield* started
      yield* approveDevice
      yield* approveDevice
      yield* gateway.awaitState(({ surfaces }) => surfaces.length === 1)
      yield* Fixture.reached(host, "AwaitingApproval")
      const late: Array<AgentEvent> = []
      yield* Effect.forkScoped(
        Stream.runForEach((yield* AgentEvents).events, (event) => Effect.sync(() => void late.push(event))),
        { startImmediately: true }
      )
      yield* Fixture.until(() => told(late).length >= 3)
      assert.includeMembers(told(late), ["connected", "tools awaiting-approval", "pairing.required node surface"])
    }).pipe(Effect.scoped, Effect.provide(layer())))

  it.effect("a surface that a person rejects is told as such, and the link that is lost meanwhile does not end the wait", () =>
    Effect.gen(function*() {
      const { approveDevice, gateway, host, seen } = yield* started
      yield* approveDevice
      yield* approveDevice
      const { surfaces: [surface] } = yield* gateway.awaitState(({ surfaces }) => surfaces.length === 1)
      yield* Fixture.reached(host, "AwaitingApproval")
      yield* gateway.dropAll(1006)
      yield* TestClock.adjust("10 minutes")
      yield* Fixture.reached(host, "AwaitingApproval")
      assert.notInclude(told(seen), "pairing.expired node surface")
      assert.notInclude(told(seen), "pairing.resolved node surface")
      yield* gateway.rejectSurface(surface?.requestId ?? "")
      yield* TestClock.adjust("30 seconds")
      yield* Fixture.reached(host, "Withheld")
      yield* Fixture.until(() => told(seen).includes("pairing.cancelled node surface"))
      const cancelled = seen.find((event) => event.event === "pairing.cancelled")
      assert.deepInclude(cancelled, { outcome: "rejected", role: "node" })
    }).pipe(Effect.scoped, Effect.provide(layer())))
})

/** Statuses and notices come over two streams, so that a notice may come before or after its status. */
const inOrderOf = (order: ReadonlyArray<string>) => (one: string, other: string) =>
  order.indexOf(one) - order.indexOf(other)
