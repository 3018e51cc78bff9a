/**
 * The entity of a device on the runner that has it, and what keeps it there without a message.
 */
import * as Clock from "effect/Clock"
import * as Entity from "effect/cluster/Entity"
import * as EntityId from "effect/cluster/EntityId"
import type { ShardId } from "effect/cluster/ShardId"
import * as Sharding from "effect/cluster/Sharding"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SqlClient from "effect/sql/SqlClient"
import { Device } from "./Device.ts"
import * as EventLog from "./EventLog.ts"
import * as Registry from "./Registry.ts"
import * as Resident from "./Resident.ts"
import { Runner } from "./Runner.ts"
import * as SqlTaskJournal from "./SqlTaskJournal.ts"

/** Answers what a device is asked. */
export const layer = Device.toLayer(
  Effect.gen(function*() {
    const { entityId } = yield* Entity.CurrentAddress
    // The cluster makes one entity after another, so that nothing here waits: the device starts beside.
    const resident = yield* Resident.make(String(entityId))
    yield* resident.ensure
    return Device.of({
      Ensure: () => resident.ensure,
      Status: () => resident.report,
      Delegate: ({ payload }) => resident.delegate(payload.key, payload.text),
      Check: () => resident.check,
      Abort: ({ payload }) => resident.abort(payload.key),
      Upgrade: ({ payload }) => resident.upgrade(payload.scopes)
    })
  }),
  { maxIdleTime: Duration.infinity, concurrency: "unbounded", disableFatalDefects: true }
)

/** How often the registry is compared with what runs here. */
const every = "1 second"
/** How often all names are read, although their number says that nothing changed. */
const fullEveryMs = 15_000
const purgeEveryMs = 600_000

/** What is to be done: devices of this process that do not run, and those that run and are not registered. Pure. */
export const plan = (
  { isOwn, isUp, registered, running }: {
    readonly registered: Iterable<string>
    readonly running: Iterable<string>
    readonly isOwn: (name: string) => boolean
    readonly isUp: (name: string) => boolean
  }
): { readonly start: ReadonlyArray<string>; readonly remove: ReadonlyArray<string> } => {
  const known = new Set(registered)
  return {
    start: [...known].filter((name) => isOwn(name) && !isUp(name)),
    remove: [...running].filter((name) => !known.has(name) && isUp(name))
  }
}

/**
 * Each second: starts the registered devices whose shard this process has, and ends those that were removed. So a device is
 * connected without a message, wherever the cluster moves it.
 */
export const reconciler: Layer.Layer<never, never, Runner | Sharding.Sharding | SqlClient.SqlClient> = Layer
  .effectDiscard(Effect.gen(function*() {
    const runner = yield* Runner
    const sharding = yield* Sharding.Sharding
    const sql = yield* SqlClient.SqlClient
    const client = yield* Device.client
    const shards = new Map<string, ShardId>()
    let registered: ReadonlyArray<string> = []
    let version = ""
    let readAtMs = Number.NEGATIVE_INFINITY
    let purgedAtMs = Number.NEGATIVE_INFINITY

    const read = Effect.gen(function*() {
      const nowMs = yield* Clock.currentTimeMillis
      const [counts] = yield* sql<
        { readonly devices: unknown; readonly registered: unknown; readonly removed: unknown }
      >`
        SELECT count(*) AS devices, max(registered_at_ms) AS registered, max(removed_at_ms) AS removed,
          count(removed_at_ms) AS gone FROM fleet_device`
      const found = JSON.stringify(counts, (_, value) => typeof value === "bigint" ? String(value) : value)
      if (found === version && nowMs - readAtMs < fullEveryMs) return
      registered = yield* Registry.names
      version = found
      readAtMs = nowMs
    })
    const shardOf = (name: string): ShardId => {
      const known = shards.get(name)
      if (known !== undefined) return known
      const id = EntityId.make(name)
      const shard = sharding.getShardId(id, Device.getShardGroup(id))
      shards.set(name, shard)
      return shard
    }
    const reconcile = Effect.gen(function*() {
      yield* read
      const { remove, start } = plan({
        registered,
        running: runner.entries.keys(),
        isOwn: (name) => sharding.hasShardId(shardOf(name)),
        isUp: (name) => runner.entries.get(name)?.isUp() ?? false
      })
      yield* Effect.forEach(remove, (name) => runner.entries.get(name)?.remove ?? Effect.void, { discard: true })
      yield* Effect.forEach(
        start,
        (name) => Effect.ignore(Effect.timeout(client(name).Ensure(), "5 seconds")),
        { concurrency: 32, discard: true }
      )
      const nowMs = yield* Clock.currentTimeMillis
      if (nowMs - purgedAtMs < purgeEveryMs) return
      purgedAtMs = nowMs
      yield* SqlTaskJournal.purge(runner.options.keepOutcomes ?? "1 day")
      const gone = yield* EventLog.purge(runner.options.keepEvents ?? "1 hour")
      // There may be more, which the next round deletes.
      if (gone === EventLog.purgedAtOnce) purgedAtMs = Number.NEGATIVE_INFINITY
    }).pipe(
      Effect.provideService(SqlClient.SqlClient, sql),
      Effect.ignore({ log: "Debug", message: "the registry could not be read" }),
      Effect.ignoreCause({ log: "Error", message: "the reconciler stumbled" })
    )
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(reconcile, Effect.sleep(every)), { disableYield: true }))
  }))
