/**
 * A fleet over many machines: `effect/cluster` with its tables and those of the fleet in one Postgres database.
 *
 * Runners talk to each other over plain TCP, unauthenticated and in clear: whoever reaches the port may send a device tasks. Keep them
 * on a private network.
 */
import * as NodeClusterSocket from "@effect/platform-node/NodeClusterSocket"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as RunnerAddress from "effect/cluster/RunnerAddress"
import * as ShardingConfig from "effect/cluster/ShardingConfig"

import type { ConfigError } from "effect/Config"
import * as Digest from "effect/crypto/Digest"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { SettingsInvalid } from "../handshake/GatewayConfig.ts"
import { listenReason } from "../link/ListenFailure.ts"
import * as DeviceEntity from "./DeviceEntity.ts"
import { Fence } from "./Fence.ts"
import { Fleet } from "./Fleet.ts"
import type { RunnerTaken } from "./FleetError.ts"
import { RunnerPortUnavailable } from "./FleetError.ts"
import type { FleetKey } from "./FleetKey.ts"
import * as FleetTables from "./FleetTables.ts"
import type { Timing } from "./FleetTiming.ts"
import * as FleetTiming from "./FleetTiming.ts"
import { lookup } from "./NodejsLookup.ts"
import * as PatientMessageStorage from "./PatientMessageStorage.ts"
import * as PatientRunnerStorage from "./PatientRunnerStorage.ts"
import * as PrivateAddress from "./PrivateAddress.ts"
import { Runner } from "./Runner.ts"
import type * as RunnerOptions from "./Runner.ts"
import * as RunnerHost from "./RunnerHost.ts"

/** Where the database of the fleet is. */
export interface DatabaseOptions {
  /** `postgres://user:password@host:port/database`, with `?sslmode=verify-full` for TLS. Not through PgBouncer in transaction mode. */
  readonly url: Redacted.Redacted
  /** Connections of this process besides the two of the fence and of listening; 8 unless set. */
  readonly maxConnections?: number | undefined
  /** The schema that has the tables; `public` unless set. */
  readonly schema?: string | undefined
}

/** A runner of the fleet. */
export interface Options extends RunnerOptions.Options {
  readonly database: DatabaseOptions
  /** Where the other runners reach this one, in a private network. */
  readonly host: string
  readonly port: number
  /** Where it listens, if that is another address. */
  readonly listenHost?: string | undefined
  /**
   * Names the address at which gateways see this runner: any text. Gateways limit handshakes and wrong credentials by address, and runners
   * with the same one divide what a gateway allows. All runners have the same one unless set.
   */
  readonly address?: string | undefined
  readonly timing?: Partial<Timing> | undefined
}

/** The times of a fleet do not go together. */
export class TimingInvalid extends Schema.TaggedError<TimingInvalid>()("TimingInvalid", { problem: Schema.String }) {
  override get message(): string {
    return this.problem
  }
}

const database = (
  { maxConnections = 8, schema = "public", url }: DatabaseOptions,
  name: string,
  only?: number
): Layer.Layer<SqlClient.SqlClient, SqlError> =>
  Layer.fresh(PgClient.layer({
    url,
    maxConnections: only ?? maxConnections,
    applicationName: name,
    startupParameters: { search_path: schema }
  }))

const shardingOf = (timing: Timing): Partial<ShardingConfig.ShardingConfig["Service"]> => ({
  shardLockExpiration: timing.lockExpiration,
  shardLockRefreshInterval: timing.lockRefresh,
  // Rows outlive the restart of the database, and a pool that hands out other connections.
  shardLockDisableAdvisory: true,
  refreshAssignmentsInterval: timing.assignments,
  // Without it a runner that has not seen the new one takes what another has just let go, and devices move twice.
  runnerJoinDebounce: timing.joinDebounce,
  runnerHealthCheckInterval: timing.healthCheck,
  entityMessagePollInterval: timing.messagePoll,
  entityTerminationTimeout: timing.termination,
  maxResidentEntities: "unbounded",
  simulateRemoteSerialization: false
})

/** A runner of the fleet, with the service. The tables are made where they are missing. */
export const layer = (
  options: Options
): Layer.Layer<
  Fleet | Runner | SqlClient.SqlClient,
  ConfigError | RunnerPortUnavailable | RunnerTaken | SettingsInvalid | SqlError | TimingInvalid,
  FleetKey
> =>
  Layer.unwrap(Effect.gen(function*() {
    const timing = { ...FleetTiming.defaults, ...options.timing }
    const problem = FleetTiming.problemOf(timing)
    if (problem !== undefined) return yield* new TimingInvalid({ problem })
    // A name server may take its time.
    yield* Effect.forkScoped(PrivateAddress.warn(options.host, lookup))
    const { host, port } = options
    const address = RunnerAddress.make(host, port)
    const name = `openclaw-fleet ${host}:${port}`
    const fence = Fence.layer({
      runner: `${host}:${port}`,
      address: options.address,
      life: timing.leaseLife,
      renewEvery: timing.leaseRenewal
    }).pipe(Layer.provide([database(options.database, `${name} fence`, 1), SecureRandom.layerWebCrypto]))
    const sharding = {
      ...shardingOf(timing),
      runnerAddress: Option.some(address),
      runnerListenAddress: options.listenHost === undefined
        ? Option.none()
        : Option.some(RunnerAddress.make(options.listenHost, port))
    }
    const cluster = NodeClusterSocket.layer({ storage: "byo", runnerHealth: "ping", shardingConfig: sharding }).pipe(
      Layer.provide([PatientMessageStorage.layer, PatientRunnerStorage.layer]),
      Layer.provide([ShardingConfig.layerFromEnv(sharding), Digest.layerWebCrypto]),
      Layer.catchTag("SocketServerError", ({ reason: { cause } }) =>
        Layer.effectContext(
          Effect.fail(
            new RunnerPortUnavailable({ host: options.listenHost ?? host, port, reason: listenReason(cause), cause })
          )
        ))
    )
    // Built from below, and closed from above: devices, then the cluster, then the fence, then the database.
    return Layer.mergeAll(DeviceEntity.layer, DeviceEntity.reconciler, Fleet.layer).pipe(
      Layer.provide(cluster),
      Layer.provideMerge(Runner.layer(options)),
      Layer.provide(RunnerHost.layer),
      Layer.provide(fence),
      Layer.provide(Layer.effectDiscard(FleetTables.migrate)),
      Layer.provideMerge(database(options.database, name))
    )
  }))

/** A program that runs no devices: it registers, lists, asks and delegates. Its timing has to be that of the runners. */
export const layerClient = (
  options: { readonly database: DatabaseOptions; readonly timing?: Partial<Timing> | undefined }
): Layer.Layer<Fleet | SqlClient.SqlClient, ConfigError | SqlError> =>
  Fleet.layer.pipe(
    Layer.provide(NodeClusterSocket.layer({
      storage: "sql",
      clientOnly: true,
      shardingConfig: { ...shardingOf({ ...FleetTiming.defaults, ...options.timing }), runnerAddress: Option.none() }
    })),
    Layer.provideMerge(database({ maxConnections: 4, ...options.database }, "openclaw-fleet client"))
  )

/** The database alone, for migrations and lists. */
export const layerDatabase = (options: DatabaseOptions): Layer.Layer<SqlClient.SqlClient, SqlError> =>
  database({ maxConnections: 2, ...options }, "openclaw-fleet database")
