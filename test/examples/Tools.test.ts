import { assert, it } from "@effect/vitest"
import { layer } from "effect-openclaw/agent/ToolAgent"
import { DevGateway } from "effect-openclaw/devgateway/DevGateway"
import * as MemoryGateway from "effect-openclaw/testing/MemoryGateway"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import { handlers, toolkit } from "./Tools.ts"

it.effect("the gateway's agent uses the tool of the example", () =>
  Effect.gen(function*() {
    const gateway = yield* DevGateway
    for (const role of ["operator", "node"]) {
      const { pending } = yield* gateway.awaitState(({ pending }) => pending[0]?.role === role)
      yield* gateway.approve(pending[0]?.requestId ?? "")
      yield* TestClock.adjust("15 seconds")
    }
    const { surfaces } = yield* gateway.awaitState(({ surfaces }) => surfaces.length === 1)
    yield* gateway.approveSurface(surfaces[0]?.requestId ?? "")
    yield* gateway.awaitState(({ tools }) => tools.length === 1)
    const { details } = yield* gateway.callTool("effect_weather", { city: "Oslo" })
    assert.deepStrictEqual(details["structuredContent"], { degrees: 4 })
  }).pipe(Effect.scoped, Effect.provide(layer(toolkit, handlers).pipe(Layer.provideMerge(MemoryGateway.layer())))))
