/**
 * A fleet on one machine: the same service over one SQLite file, without Postgres and without a port.
 */
import * as SingleRunner from "effect/cluster/SingleRunner"
import type { ConfigError } from "effect/Config"
import * as Digest from "effect/crypto/Digest"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Layer from "effect/Layer"
import type * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { SettingsInvalid } from "../handshake/GatewayConfig.ts"
import * as DeviceEntity from "./DeviceEntity.ts"
import { Fence } from "./Fence.ts"
import { Fleet } from "./Fleet.ts"
import type { RunnerTaken } from "./FleetError.ts"
import type { FleetKey } from "./FleetKey.ts"
import * as FleetTables from "./FleetTables.ts"
import * as FleetTiming from "./FleetTiming.ts"
import * as NodejsSqlite from "./NodejsSqlite.ts"
import type * as RunnerOptions from "./Runner.ts"
import { Runner } from "./Runner.ts"
import * as RunnerHost from "./RunnerHost.ts"

/** A fleet of one process. */
export interface Options extends RunnerOptions.Options {
  /** The file of the database. Its directory has to be there, and private. `:memory:` keeps nothing. */
  readonly filename: string
}

/** The fleet over services of the caller's: another transport for example. */
export const layerNoDeps = (
  options: Omit<Options, "filename">
): Layer.Layer<Fleet | Runner, ConfigError | SettingsInvalid | SqlError, RunnerOptions.Needs> =>
  Layer.mergeAll(DeviceEntity.layer, DeviceEntity.reconciler, Fleet.layer).pipe(
    Layer.provide(
      SingleRunner.layer({
        runnerStorage: "memory",
        shardingConfig: {
          entityMessagePollInterval: "2 seconds",
          maxResidentEntities: "unbounded",
          simulateRemoteSerialization: false
        }
      })
    ),
    Layer.provideMerge(Runner.layer(options)),
    Layer.provide([Digest.layerWebCrypto, Layer.effectDiscard(FleetTables.migrate)])
  )

/** The fence of a process that has its database alone. */
export const fence: Layer.Layer<Fence, RunnerTaken | SqlError, SqlClient.SqlClient> = Fence.layer({
  runner: "this machine",
  life: FleetTiming.defaults.leaseLife,
  renewEvery: FleetTiming.defaults.leaseRenewal
}).pipe(Layer.provide([SecureRandom.layerWebCrypto, Layer.effectDiscard(FleetTables.migrate)]))

/** Everything. A second process with the same file fails with `RunnerTaken`. */
export const layer = (
  options: Options
): Layer.Layer<
  Fleet | Runner | SqlClient.SqlClient,
  ConfigError | RunnerTaken | SettingsInvalid | SqlError,
  FleetKey
> =>
  layerNoDeps(options).pipe(
    Layer.provide(RunnerHost.layer),
    Layer.provide(fence),
    Layer.provideMerge(Layer.fresh(NodejsSqlite.layer(options.filename)))
  )
