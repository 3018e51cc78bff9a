/**
 * A fleet on one machine, joined in memory to a development gateway. The cluster keeps real time.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"
import { Admission } from "../../src/connection/Admission.ts"
import type { Options } from "../../src/devgateway/DevGateway.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import { runIdOf } from "../../src/fleet/Device.ts"
import type { DeviceState } from "../../src/fleet/DeviceState.ts"
import { Fence } from "../../src/fleet/Fence.ts"
import { Fleet } from "../../src/fleet/Fleet.ts"
import type { FleetEvent, Start } from "../../src/fleet/FleetEvent.ts"
import * as FleetSingle from "../../src/fleet/FleetSingle.ts"
import * as FleetTables from "../../src/fleet/FleetTables.ts"
import * as NodejsSqlite from "../../src/fleet/NodejsSqlite.ts"
import * as SqlTokenStore from "../../src/fleet/SqlTokenStore.ts"
import { Signer } from "../../src/identity/Signer.ts"
import { ApproveCommands } from "../../src/pairing/ApproveCommand.ts"
import * as MemoryTransport from "../../src/testing/MemoryTransport.ts"
import * as Databases from "./Databases.ts"

const operator = Redacted.make("operator-token-canary")

/** A gateway and a database, on which fleets are started and stopped. What the fleets have of the database fails when `control` says so. */
const world = Effect.fnUntraced(function*(options: Partial<Options> = {}, token = operator) {
  const gateway = Context.get(
    yield* Layer.build(DevGateway.layer({
      auth: { mode: "token", token: Redacted.make("shared-token-canary") },
      operatorToken: operator,
      ...options
    })),
    DevGateway
  )
  const sql = Context.get(yield* Layer.build(Layer.fresh(NodejsSqlite.layer(":memory:"))), SqlClient.SqlClient)
  const { client, control } = Databases.failing(sql, /SELECT ended, outcome/)
  const database = Layer.succeed(SqlClient.SqlClient, client)
  const start = Effect.gen(function*() {
    const scope = yield* Scope.fork(yield* Scope.Scope)
    const layer = FleetSingle.layerNoDeps({ gateway: { url: "ws://127.0.0.1:1", token } }).pipe(
      Layer.provide(Layer.mergeAll(
        Admission.layer,
        MemoryTransport.layer.pipe(Layer.provide(Layer.succeed(DevGateway, gateway))),
        ApproveCommands.layerAnywhere,
        SqlTokenStore.layer,
        Signer.layerNodejs,
        SecureRandom.layerWebCrypto,
        Fence.layer({ runner: "this machine", life: "1500 millis", renewEvery: "300 millis" }).pipe(
          Layer.provide([SecureRandom.layerWebCrypto, Layer.effectDiscard(FleetTables.migrate)])
        )
      )),
      Layer.provideMerge(Databases.key),
      Layer.provide(database)
    )
    const context = yield* Layer.buildWithScope(Layer.fresh(layer), scope)
    return { fleet: Context.get(context, Fleet), stop: Scope.close(scope, Exit.void) }
  })
  return { control, gateway, sql, start }
})

/** Waits until the devices are in this state, as their runner says. */
const reached = (fleet: Fleet["Service"], names: ReadonlyArray<string>, state: DeviceState["state"]) =>
  Effect.forEach(
    names,
    (name) =>
      Effect.repeat(Effect.delay(fleet.status(name), "30 millis"), { until: (report) => report.state === state }),
    {
      concurrency: "unbounded"
    }
  )

const names = Array.from({ length: 5 }, (_, index) => `lamp-${index}`)

describe("a fleet on one machine", () => {
  it.live(
    "connects registered devices without a message, also after a restart, each with its own identity",
    () =>
      Effect.gen(function*() {
        const { gateway, start } = yield* world()
        const first = yield* start
        assert.deepStrictEqual(
          yield* Effect.forEach(names, (name) => first.fleet.register(name)),
          names.map(() => true)
        )
        assert.isFalse(yield* first.fleet.register("lamp-0"))
        assert.strictEqual((yield* Effect.flip(first.fleet.register("Lamp 0")))._tag, "DeviceNameInvalid")
        yield* gateway.awaitState(({ stats }) => stats.openPeers === 5)
        const before = yield* reached(first.fleet, names, "connected")
        assert.strictEqual(new Set(before.map(({ deviceId }) => deviceId)).size, 5)
        yield* first.stop
        yield* gateway.awaitState(({ stats }) => stats.openPeers === 0)
        const second = yield* start
        yield* gateway.awaitState(({ stats }) => stats.openPeers === 5)
        const after = yield* reached(second.fleet, names, "connected")
        assert.deepStrictEqual(after.map(({ deviceId }) => deviceId), before.map(({ deviceId }) => deviceId))
        assert.isTrue(after.every(({ epoch }, index) => epoch > (before[index]?.epoch ?? 0)))
      }),
    30_000
  )

  it.live("B07: a key is one task, asked twice at once, again, and of the next process", () =>
    Effect.gen(function*() {
      const { gateway, sql, start } = yield* world()
      const first = yield* start
      yield* first.fleet.register("lamp")
      const ask = (fleet: Fleet["Service"], key: string) => fleet.delegate("lamp", `do ${key}`, { key })
      const both = yield* Effect.all([ask(first.fleet, "a"), ask(first.fleet, "a")], { concurrency: 2 })
      assert.deepInclude(both[0], { _tag: "Completed", text: "echo: do a" })
      assert.deepStrictEqual(both[0], both[1])
      assert.deepStrictEqual(yield* ask(first.fleet, "a"), both[0])
      // As after a crash between the end of the task and the answer of the cluster.
      yield* sql`DELETE FROM cluster_replies`
      yield* sql`DELETE FROM cluster_messages`
      yield* first.stop
      const second = yield* start
      assert.deepStrictEqual(yield* ask(second.fleet, "a"), both[0])
      yield* ask(second.fleet, "b")
      const { runs } = yield* gateway.stats
      assert.deepStrictEqual([...runs.values()], [1, 1])
      assert.isTrue(runs.has(yield* runIdOf("lamp", "a")))
    }), 30_000)

  it.live(
    "B07: a task that is asked for while the database is away is answered once it is back, and so is its key",
    () =>
      Effect.gen(function*() {
        const { control, gateway, start } = yield* world()
        const { fleet } = yield* start
        yield* fleet.register("lamp")
        yield* reached(fleet, ["lamp"], "connected")
        control.isAway = true
        const ask = fleet.delegate("lamp", "do it", { key: "a" })
        const waiting = yield* Effect.forkChild(ask)
        yield* Effect.repeat(Effect.sleep("20 millis"), { until: () => control.failures > 0 })
        control.isAway = false
        const answer = yield* Fiber.join(waiting)
        assert.deepInclude(answer, { _tag: "Completed", text: "echo: do it" })
        assert.deepStrictEqual(yield* ask, answer)
        assert.deepStrictEqual([...(yield* gateway.stats).runs.values()], [1])
      }),
    30_000
  )

  it.live(
    "B07: goes on with an open task that its activation did not claim, and leaves one of another gateway alone",
    () =>
      Effect.gen(function*() {
        const { gateway, sql, start } = yield* world()
        const { fleet } = yield* start
        yield* fleet.register("lamp")
        yield* fleet.delegate("lamp", "do it", { key: "a" })
        const [row] = yield* sql<{ readonly gateway_scope: string; readonly entry: string }>`SELECT * FROM fleet_task`
        /** The row of a task that an earlier activation accepted and did not send. */
        const leave = (key: string, scope: string) =>
          Effect.flatMap(runIdOf("lamp", key), (runId) => {
            const { answeredRunId: _answered, sentAtMs: _sent, ...kept } = JSON.parse(row?.entry ?? "")
            const entry = JSON.stringify({ ...kept, runId, gatewayScope: scope })
            return sql`INSERT INTO fleet_task (run_id, name, epoch, gateway_scope, entry)
            VALUES (${runId}, 'lamp', 0, ${scope}, ${entry})`
          })
        yield* leave("b", row?.gateway_scope ?? "")
        yield* leave("c", "wss://other.example:443/")
        assert.deepInclude(yield* fleet.delegate("lamp", "do it", { key: "b" }), { text: "echo: do it" })
        const other = yield* Effect.forkChild(fleet.delegate("lamp", "do it", { key: "c" }))
        assert.deepInclude(yield* fleet.delegate("lamp", "another", { key: "d" }), { text: "echo: another" })
        assert.isUndefined(other.pollUnsafe())
        assert.deepStrictEqual([...(yield* gateway.stats).runs.values()], [1, 1, 1])
      }),
    30_000
  )

  it.live("tells what is wrong with a task or a device", () =>
    Effect.gen(function*() {
      const { start } = yield* world()
      const { fleet } = yield* start
      yield* fleet.register("lamp")
      const refused = yield* Effect.flip(fleet.delegate("lamp", " ", { key: "a" }))
      assert.deepInclude(refused, { _tag: "DelegateRefused", reason: "Empty" })
      const bad = yield* Effect.flip(fleet.delegate("lamp", "x", { key: "a\nb" }))
      assert.deepInclude(bad, { _tag: "DelegateRefused", reason: "KeyInvalid" })
      for (
        const failed of [
          fleet.delegate("door", "x", { key: "a" }),
          fleet.status("door"),
          fleet.abort("door", "a"),
          fleet.check("door"),
          fleet.remove("door", { identity: "keep" })
        ]
      ) {
        assert.strictEqual((yield* Effect.flip(failed))._tag, "DeviceUnknown")
      }
    }), 30_000)

  it.live(
    "a removed device is off line, its callers are told, and it comes back as it was or as a new one",
    () =>
      Effect.gen(function*() {
        const { gateway, sql, start } = yield* world({ agent: () => Stream.never })
        const { fleet } = yield* start
        yield* fleet.register("lamp")
        const [first] = yield* reached(fleet, ["lamp"], "connected")
        const waiting = yield* Effect.forkChild(Effect.flip(fleet.delegate("lamp", "wait", { key: "a" })))
        yield* gateway.awaitState(({ stats }) => stats.runs.size === 1)
        assert.strictEqual(yield* fleet.remove("lamp", { identity: "keep" }), 1)
        yield* gateway.awaitState(({ stats }) => stats.openPeers === 0)
        assert.strictEqual((yield* Fiber.join(waiting))._tag, "DeviceUnknown")
        assert.deepStrictEqual(yield* fleet.list, [])
        assert.isTrue(yield* fleet.register("lamp"))
        const [second] = yield* reached(fleet, ["lamp"], "connected")
        assert.strictEqual(second?.deviceId, first?.deviceId)
        yield* Effect.repeat(Effect.delay(fleet.list, "50 millis"), { until: ([row]) => row?.deviceId !== undefined })
        yield* fleet.remove("lamp", { identity: "destroy" })
        yield* gateway.awaitState(({ stats }) => stats.openPeers === 0)
        assert.deepStrictEqual(yield* sql`SELECT name FROM fleet_identity`, [])
        yield* fleet.register("lamp")
        const [third] = yield* reached(fleet, ["lamp"], "connected")
        assert.notStrictEqual(third?.deviceId, first?.deviceId)
      }),
    30_000
  )

  it.live(
    "has the events of devices for those that come later, and deletes those that are too old",
    () =>
      Effect.gen(function*() {
        const { gateway, sql, start } = yield* world()
        yield* Effect.provideService(FleetTables.migrate, SqlClient.SqlClient, sql)
        yield* sql`INSERT INTO fleet_event (process, seq, runner, device, epoch, written_at_ms, event)
        VALUES ('gone', 1, 'x', 'lamp', 1, 0, '{}')`
        const { fleet } = yield* start
        const before = yield* fleet.position
        yield* fleet.register("lamp")
        yield* gateway.awaitState(({ stats }) => stats.openPeers === 1)
        const [first] = yield* reached(fleet, ["lamp"], "connected")
        const isConnected = (told: FleetEvent) => told._tag === "DeviceEvent" && told.event.event === "connected"
        for (const start of [{ after: before }, { since: "1 minute" }] satisfies ReadonlyArray<Start>) {
          const [told] = yield* Stream.runCollect(Stream.take(Stream.filter(fleet.eventsFrom(start), isConnected), 1))
          assert.deepInclude(told, { device: "lamp", runner: "this machine", epoch: first?.epoch })
        }
        yield* Effect.repeat(Effect.delay(sql`SELECT * FROM fleet_event WHERE process = 'gone'`, "30 millis"), {
          until: (rows) => rows.length === 0
        })
      }),
    30_000
  )

  it.live(
    "a device that was taken away while it waited for the lease of another process is started again",
    () =>
      Effect.gen(function*() {
        const { sql, start } = yield* world()
        const { fleet } = yield* start
        const leaseUntilMs = (yield* Clock.currentTimeMillis) + 2000
        yield* sql`INSERT INTO fleet_process (id, runner, address, lease_until_ms)
          VALUES ('gone', 'other:1', 'shared', ${leaseUntilMs})`
        yield* sql`INSERT INTO fleet_device (name, registered_at_ms, holder) VALUES ('lamp', 1, 'gone')`
        const row = sql<{ readonly epoch: number }>`SELECT epoch FROM fleet_device`
        yield* Effect.repeat(Effect.delay(row, "20 millis"), { until: ([lamp]) => lamp?.epoch === 1 })
        yield* sql`UPDATE fleet_device SET epoch = epoch + 1, holder = 'gone'`
        yield* reached(fleet, ["lamp"], "connected")
      }),
    30_000
  )

  it.live("aborts the task of a key", () =>
    Effect.gen(function*() {
      const { gateway, start } = yield* world({ agent: () => Stream.never })
      const { fleet } = yield* start
      yield* fleet.register("lamp")
      const waiting = yield* Effect.forkChild(fleet.delegate("lamp", "wait", { key: "a" }))
      yield* gateway.awaitState(({ stats }) => stats.runs.size === 1)
      assert.isTrue(yield* fleet.abort("lamp", "a"))
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "Aborted")
      assert.isFalse(yield* fleet.abort("lamp", "b"))
    }), 30_000)

  it.live(
    "lists the devices that wait for an approval, and goes on once it is given; no secret is kept in clear",
    () =>
      Effect.gen(function*() {
        const { gateway, sql, start } = yield* world({}, Redacted.make("shared-token-canary"))
        const { fleet } = yield* start
        yield* fleet.register("lamp")
        const events = yield* Effect.forkChild(
          Stream.runHead(
            Stream.filter(fleet.events, (told) => told._tag === "DeviceEvent" && told.event.event === "connected")
          )
        )
        yield* reached(fleet, ["lamp"], "awaiting-approval")
        const [pending] = yield* gateway.pending
        const requestId = pending?.requestId ?? assert.fail("nothing is pending")
        const { devices, runners } = yield* Effect.repeat(Effect.delay(fleet.overview, "50 millis"), {
          until: (overview) => overview.devices[0]?.approval !== undefined
        })
        assert.deepInclude(devices[0], { name: "lamp", state: "awaiting-approval", runner: "this machine" })
        assert.strictEqual(devices[0]?.approval?.requestId, requestId)
        assert.deepStrictEqual(runners, [{ runner: "this machine", isAlive: true, devices: 1 }])
        yield* gateway.approve(requestId)
        yield* fleet.check("lamp")
        yield* reached(fleet, ["lamp"], "connected")
        assert.strictEqual((yield* Fiber.join(events))._tag, "Some")
        yield* Effect.repeat(sql`SELECT * FROM fleet_token`, { until: (rows) => rows.length === 1 })
        const [paired] = yield* gateway.paired
        const token = JSON.stringify(paired).match(/"token":"([^"]+)"/)?.[1]
        const text = yield* Databases.dump.pipe(Effect.provideService(SqlClient.SqlClient, sql))
        for (const secret of ["shared-token-canary", "operator-token-canary", Databases.keyText, token]) {
          if (secret !== undefined) assert.notInclude(text, secret)
        }
        assert.include(text, "lamp")
        assert.include(text, `"event":"pairing.required"`)
      }),
    30_000
  )
})
