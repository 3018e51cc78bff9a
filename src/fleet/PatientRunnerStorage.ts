/**
 * The cluster's table of runners and shard locks, asked patiently.
 *
 * A runner that cannot refresh its locks gives up all its shards after a quarter of a second of failures, and so every restart of the
 * database would take devices off line. Here the same question is asked again until the cluster stops waiting for it, which it does
 * before the locks expire.
 */
import * as RunnerStorage from "effect/cluster/RunnerStorage"
import type { ShardingConfig } from "effect/cluster/ShardingConfig"
import * as SqlRunnerStorage from "effect/cluster/SqlRunnerStorage"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as SqlClient from "effect/sql/SqlClient"

/** A question may be lost with the connection that it went over. */
const answerWithin = "1500 millis"

const make = Effect.map(RunnerStorage.RunnerStorage, (storage) =>
  RunnerStorage.RunnerStorage.of({
    ...storage,
    refresh: (address, shardIds) => {
      const shards = Array.from(shardIds)
      return Effect.retry(Effect.timeout(storage.refresh(address, shards), answerWithin), {
        schedule: Schedule.spaced("200 millis")
      }).pipe(Effect.catchTag("TimeoutError", Effect.die))
    }
  }))

/** Over the tables of `SqlRunnerStorage`. */
export const layer: Layer.Layer<RunnerStorage.RunnerStorage, never, SqlClient.SqlClient | ShardingConfig> = Layer
  .effect(
    RunnerStorage.RunnerStorage,
    make
  ).pipe(Layer.provide(Layer.orDie(SqlRunnerStorage.layer)))
