/**
 * A fleet of real processes: a database of the test's own, runners that can be killed, frozen and cut off, and a client; on a gateway of
 * the test's own, or on another one.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as SqlClient from "effect/sql/SqlClient"
import { type ChildProcess, spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { mkdtempSync, openSync, readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { Fleet } from "../../../src/fleet/Fleet.ts"
import * as FleetCluster from "../../../src/fleet/FleetCluster.ts"
import * as FleetTables from "../../../src/fleet/FleetTables.ts"
import { freePort } from "../../support/FreePort.ts"
import { keyText } from "../Databases.ts"
import * as Postgres from "./Postgres.ts"
import type { Settings } from "./RunnerProcess.ts"
import * as TcpProxy from "./TcpProxy.ts"
import * as WatchedGateway from "./WatchedGateway.ts"

/** A runner, which may be started again under the same address. */
export interface RunnerProcess {
  readonly port: number
  readonly start: Effect.Effect<void>
  readonly signal: (signal: NodeJS.Signals) => void
  /** Waits for the end of the process. */
  readonly ended: Effect.Effect<void>
  readonly database: TcpProxy.TcpProxy
  readonly log: () => string
  /** What the process has used of a processor so far. */
  readonly cpuMs: () => number
  readonly residentMb: () => number
  /** What is on its heap after a collection. */
  readonly heapBytes: Effect.Effect<number>
}

const schema = "public"

/**
 * Names in order, spread over the shards. Those of counted devices would lie side by side, as the hash that shards are by is near for names
 * that are near.
 */
export const namesOf = (count: number): ReadonlyArray<string> =>
  Array.from(
    { length: count },
    (_, index) => `device-${createHash("sha1").update(String(index)).digest("hex").slice(0, 8)}`
  )
    .toSorted()

const spawned = (settings: Settings, log: string): ChildProcess =>
  spawn(
    process.execPath,
    ["--expose-gc", new URL("RunnerProcess.ts", import.meta.url).pathname, JSON.stringify(settings)],
    {
      stdio: ["ignore", "pipe", openSync(log, "a"), "ipc"],
      env: { ...process.env, NODE_OPTIONS: "" }
    }
  )

/** How long ago a runner last refreshed its locks: others may take its devices when they have expired. */
export const lockAgeMs = (sql: SqlClient.SqlClient, { port }: RunnerProcess) =>
  Effect.map(
    sql<{ readonly ms: number | string | null }>`
      SELECT extract(epoch FROM now() - max(acquired_at)) * 1000 AS ms FROM cluster_locks
      WHERE address LIKE ${`%${port}%`}`,
    ([row]) => Math.round(Number(row?.ms))
  )

/** The gateway of a fleet: where it listens on loopback, and what its devices come with. */
export interface GatewayPlace {
  readonly port: number
  readonly token: string
}

/** A fleet on any gateway. */
export const makeAt = Effect.fnUntraced(function*(place: GatewayPlace) {
  const server = yield* Postgres.server
  const database = new URL(server.url)
  const directory = mkdtempSync(`${tmpdir()}/fleet-runners-`)
  const tables = Layer.effectDiscard(FleetTables.migrate).pipe(Layer.provide(Postgres.client(server.url, schema)))
  yield* Layer.build(tables)
  const context = yield* Layer.build(
    FleetCluster.layerClient({ database: { url: Redacted.make(server.url), schema, maxConnections: 8 } })
  )

  // One for all: a task belongs to the gateway of this address.
  const toGateway = yield* TcpProxy.make({ host: "127.0.0.1", port: place.port })

  /** A runner on a port of its own, unless it is told to be another one. It may listen elsewhere than at its address. */
  const runner = Effect.fnUntraced(function*(
    { token = place.token, ...given }: Partial<Pick<Settings, "port" | "listenHost" | "databaseAwayMs" | "token">> = {}
  ) {
    const port = given.port ?? (yield* freePort)
    const toDatabase = yield* TcpProxy.make({ host: database.hostname, port: Number(database.port) })
    const through = new URL(database)
    through.hostname = "127.0.0.1"
    through.port = String(toDatabase.port)
    const settings: Settings = {
      ...given,
      port,
      database: through.href,
      schema,
      gateway: `ws://127.0.0.1:${toGateway.port}`,
      token,
      key: keyText
    }
    const log = `${directory}/${port}.log`
    let child: ChildProcess | undefined
    const ended = Effect.callback<void>((resume) => {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
      child.once("exit", () => resume(Effect.void))
    })
    const start = Effect.callback<void>((resume) => {
      child = spawned(settings, log)
      let printed = ""
      const exited = () =>
        resume(Effect.die(new Error(`runner ${port} did not start: ${printed}${readFileSync(log, "utf8")}`)))
      // When it has closed what it prints to, too.
      child.once("close", exited)
      child.stdout?.on("data", (text) => {
        printed += text
        // A failure is printed too.
        if (!printed.endsWith("ready\n")) return
        child?.off("close", exited)
        resume(Effect.void)
      })
    })
    yield* Effect.addFinalizer(() => {
      child?.kill("SIGCONT")
      child?.kill("SIGKILL")
      return ended
    })
    return {
      port,
      start,
      signal: (signal) => void child?.kill(signal),
      ended,
      database: toDatabase,
      log: () => readFileSync(log, "utf8"),
      cpuMs: () => {
        // proc(5): user and system time in hundredths of a second, after the name in parentheses.
        const fields = readFileSync(`/proc/${child?.pid}/stat`, "utf8").replace(/^.*\) /s, "").split(" ")
        return (Number(fields[11]) + Number(fields[12])) * 10
      },
      residentMb: () =>
        Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child?.pid}/status`, "utf8"))?.[1]) / 1024),
      heapBytes: Effect.callback<number>((resume) => {
        child?.once("message", (bytes) => resume(Effect.succeed(Number(bytes))))
        child?.send("heap")
      })
    } satisfies RunnerProcess
  })

  return {
    server,
    runner,
    gateway: toGateway,
    fleet: Context.get(context, Fleet),
    sql: Context.get(context, SqlClient.SqlClient)
  }
})

/** A fleet on a development gateway that counts. */
export const make = Effect.gen(function*() {
  const watched = yield* WatchedGateway.make
  /** Waits until so many devices have a session. */
  const connected = (count: number) =>
    Effect.repeat(Effect.sync(watched.connected), {
      until: (now) => now === count,
      schedule: Schedule.spaced("20 millis")
    })
  return { ...(yield* makeAt({ port: watched.port, token: WatchedGateway.token })), watched, connected }
})
