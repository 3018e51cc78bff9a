import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as TestClock from "effect/testing/TestClock"
import { runIdOf } from "../../src/fleet/Device.ts"
import { plan } from "../../src/fleet/DeviceEntity.ts"
import * as DeviceState from "../../src/fleet/DeviceState.ts"
import * as FleetTiming from "../../src/fleet/FleetTiming.ts"
import * as PrivateAddress from "../../src/fleet/PrivateAddress.ts"
import * as TaskResult from "../../src/fleet/TaskResult.ts"
import type { AgentEvent } from "../../src/protocol/AgentEvent.ts"
import { DeviceId, RequestId } from "../../src/protocol/Connect.ts"
import { RunFailed } from "../../src/tasks/TaskError.ts"

const at = "2026-11-27T12:00:00.000Z"
const deviceId = DeviceId.make("a".repeat(64))
const request = {
  at,
  deviceId,
  requestId: RequestId.make("r-1"),
  reason: "not-paired",
  since: at,
  expiresAt: at
} as const
const list = { argv: ["openclaw"], text: "openclaw" }

describe("the decisions of a fleet", () => {
  it("the state of a device follows from its events, and the approval ends with it", () => {
    const told = (events: ReadonlyArray<AgentEvent>) => events.reduce(DeviceState.after, DeviceState.initial)
    const identity: AgentEvent = { at, event: "identity", deviceId, compareCode: "", created: true }
    const required: AgentEvent = { ...request, event: "pairing.required", list }
    assert.deepStrictEqual(told([identity, { at, event: "connecting", attempt: 1 }]), {
      state: "connecting",
      deviceId,
      approval: undefined
    })
    const waiting = told([identity, required])
    assert.deepInclude(waiting, { state: "awaiting-approval", approval: { requestId: "r-1", since: at } })
    assert.strictEqual(DeviceState.after(waiting, required), waiting)
    assert.isUndefined(DeviceState.after(waiting, { ...request, event: "pairing.resolved" }).approval)
    // Of the connection of its tools.
    assert.strictEqual(DeviceState.after(waiting, { ...request, event: "pairing.cancelled", role: "node" }), waiting)
    const connected = told([identity, {
      at,
      event: "connected",
      protocol: 4,
      scopes: [],
      deviceTokenIssued: true
    }, { ...required, connected: true }])
    assert.deepInclude(connected, { state: "connected", approval: { requestId: "r-1", since: at, connected: true } })
  })

  it("starts what is registered, belongs here and does not run, and ends what is not registered", () => {
    const up = new Set(["a", "gone", "ended"])
    up.delete("ended")
    assert.deepStrictEqual(
      plan({
        registered: ["a", "b", "c"],
        running: ["a", "gone", "ended"],
        isOwn: (name) => name !== "c",
        isUp: (name) => up.has(name)
      }),
      { start: ["b"], remove: ["gone"] }
    )
  })

  it("times that do not go together are refused", () => {
    assert.isUndefined(FleetTiming.problemOf(FleetTiming.defaults))
    for (const absence of ["4 seconds", "20 seconds", "5 minutes"] as const) {
      assert.isUndefined(FleetTiming.problemOf({ ...FleetTiming.defaults, ...FleetTiming.forAbsence(absence) }))
    }
    assert.include(FleetTiming.problemOf({ ...FleetTiming.defaults, leaseLife: "11 seconds" }), "leaseLife")
    assert.include(FleetTiming.problemOf({ ...FleetTiming.defaults, leaseRenewal: "4 seconds" }), "leaseRenewal")
    assert.include(
      FleetTiming.problemOf({ ...FleetTiming.defaults, lockRefresh: "5 seconds", leaseLife: "7 seconds" }),
      "lockRefresh"
    )
  })

  it("tells private addresses from public ones, and does not judge names", () => {
    for (
      const own of ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.31.0.1", "100.64.0.1", "::1", "[fd00::1]", "fe80::1"]
    ) {
      assert.isTrue(PrivateAddress.isPrivate(own), own)
    }
    for (const open of ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2001:db8::1", "::ffff:8.8.8.8"]) {
      assert.isFalse(PrivateAddress.isPrivate(open), open)
    }
    assert.isUndefined(PrivateAddress.isPrivate("runner-1"))
    assert.isTrue(PrivateAddress.isPrivate("localhost"))
  })

  it.effect("warns of a name that has a public address, and of nothing that it cannot find", () =>
    Effect.gen(function*() {
      const logs: Array<string> = []
      const logger = Logger.layer([
        Logger.map(Logger.formatJson, (line) => void logs.push(line))
      ])
      const warned = (host: string, lookup: PrivateAddress.Lookup) =>
        Effect.gen(function*() {
          logs.length = 0
          const warning = yield* Effect.forkChild(PrivateAddress.warn(host, lookup), { startImmediately: true })
          yield* TestClock.adjust("2 seconds")
          yield* Fiber.join(warning)
          return logs.join("\n")
        }).pipe(Effect.provide(logger))
      const addresses = (...found: ReadonlyArray<string>) => () => Effect.succeed(found)
      const none = () => Effect.die("it asks for an address")
      const both = yield* warned("runner-1", addresses("10.0.0.7", "2001:db8::7", "fd00::7"))
      assert.include(both, "not private")
      assert.include(both, "2001:db8::7")
      assert.include(both, "runner-1")
      assert.notInclude(both, "10.0.0.7")
      assert.include(yield* warned("8.8.8.8", none), "not private")
      for (
        const [host, lookup] of [
          ["runner-1", addresses("10.0.0.7", "fd00::7")],
          ["runner-1", addresses()],
          ["runner-1", () => Effect.fail("ENOTFOUND")],
          ["runner-1", () => Effect.never],
          ["10.0.0.7", none],
          ["localhost", none]
        ] satisfies ReadonlyArray<readonly [string, PrivateAddress.Lookup]>
      ) assert.strictEqual(yield* warned(host, lookup), "")
    }))

  it.effect("a key and a device give one run id, a UUID of version 4, and no two pairs the same", () =>
    Effect.gen(function*() {
      const ids = yield* Effect.forEach(
        [["a", "b"], ["a", "c"], ["b", "b"], ["a\nb", ""], ["a", "b"]] as const,
        ([name, key]) => runIdOf(name, key)
      )
      for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/)
      assert.strictEqual(new Set(ids).size, 4)
    }))

  it("every outcome is kept and read as it was", () => {
    const error = new RunFailed({ runId: "r", gatewayMessage: "model gone" })
    for (
      const outcome of [
        { _tag: "Completed", text: "done\u0000", atMs: undefined },
        { _tag: "Completed", text: "", atMs: 7, truncated: true },
        { _tag: "Failed", error },
        { _tag: "Aborted", text: "half" },
        { _tag: "Expired", sent: true },
        { _tag: "Unknown", evidence: { answered: true, history: "NoReply" } }
      ] as const
    ) {
      const result = TaskResult.fromOutcome(outcome)
      assert.deepStrictEqual(TaskResult.decode(TaskResult.encode(result)), Option.some(result))
    }
    assert.deepStrictEqual(TaskResult.decode("{}"), Option.none())
  })
})
