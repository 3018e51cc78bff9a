import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import type { ConnectionStatus } from "../../src/connection/ConnectionStatus.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import * as MemoryAgent from "../support/MemoryAgent.ts"

const settle = TestClock.adjust("1 millis")
const suspensions = (seen: ReadonlyArray<ConnectionStatus>) =>
  seen.flatMap((status) => status._tag === "Connected" ? [status.suspension ?? "none"] : [])

describe("a gateway that is suspended", () => {
  it.effect("is told by the status as long as that lasts, and the session stays", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const { reached, seen } = yield* MemoryAgent.start
      yield* settle
      const { session } = yield* reached("Connected")
      for (const phase of ["preparing", "draining", "draining", "prepared", "accepting", "accepting"] as const) {
        yield* gateway.suspend(phase)
      }
      for (const payload of [{ phase: "asleep" }, { phase: 1 }, {}, null]) {
        yield* gateway.broadcast("gateway.suspension", payload)
      }
      yield* settle
      assert.deepStrictEqual(suspensions(seen), ["none", "preparing", "draining", "prepared", "none"])
      const sessions = new Set(seen.flatMap((status) => status._tag === "Connected" ? [status.session] : []))
      assert.deepStrictEqual([...sessions], [session])
    }).pipe(Effect.provide(MemoryAgent.layer({ client: { token: MemoryAgent.operatorToken } }))))

  it.effect("is told by the hello of a new link, and ends with that link", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const { reached, seen } = yield* MemoryAgent.start
      yield* settle
      yield* reached("Connected")
      yield* gateway.suspend("draining")
      yield* gateway.dropAll(1006)
      yield* TestClock.adjust("1 second")
      const { suspension } = yield* reached("Connected")
      assert.strictEqual(suspension, "draining")
      // A gateway that was started again is not suspended, and no event says so.
      yield* gateway.stop
      yield* gateway.start
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(suspensions(seen), ["none", "draining", "draining", "none"])
    }).pipe(Effect.provide(MemoryAgent.layer({ client: { token: MemoryAgent.operatorToken } }))))

  it.effect("refuses a request, and says that and when it may be made again", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const { reached } = yield* MemoryAgent.start
      yield* settle
      const { session } = yield* reached("Connected")
      yield* gateway.suspend("prepared")
      const error = yield* Effect.flip(session.request("chat.history", { sessionKey: "agent:main:main" }))
      assert.deepInclude(error, { _tag: "RequestRejected", code: "UNAVAILABLE", retryable: true, retryAfterMs: 1000 })
    }).pipe(Effect.provide(MemoryAgent.layer({ client: { token: MemoryAgent.operatorToken } }))))
})
