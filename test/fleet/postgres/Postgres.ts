/**
 * A Postgres server of the tests' own: in a temporary folder, on a free port of loopback, as a user that may run one.
 *
 * `OPENCLAW_FLEET_TEST_DATABASE_URL` names one that runs already; then the tests that stop and start the server are left out.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { execFileSync, spawn } from "node:child_process"
import { chownSync, existsSync, mkdtempSync, openSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as FleetTables from "../../../src/fleet/FleetTables.ts"
import { freePort } from "../../support/FreePort.ts"

/** A server that the tests may use. */
export interface Server {
  readonly url: string
  /** Stops the server as an operator does, and starts it again after so long. Absent for a server of somebody else. */
  readonly restart?: (downMs: number) => Effect.Effect<void>
}

const advice =
  `No Postgres was found. Install its programs (Debian: \`apt-get install postgresql\`; they need not run as a service),
or set OPENCLAW_FLEET_TEST_DATABASE_URL to a database that the tests may fill, such as postgres://user:password@host/database.`

const programs = (): string => {
  const root = "/usr/lib/postgresql"
  const versions = existsSync(root) ? readdirSync(root).toSorted((a, b) => Number(b) - Number(a)) : []
  const found = [
    ...versions.map((version) => `${root}/${version}/bin`),
    ...(process.env["PATH"] ?? "").split(":"),
    "/usr/local/pgsql/bin",
    "/opt/homebrew/bin"
  ].find((directory) => existsSync(`${directory}/initdb`) && existsSync(`${directory}/postgres`))
  if (found === undefined) throw new Error(advice)
  return found
}

/** initdb refuses root, so that a user who may do less takes its place. */
const unprivileged = (): { readonly uid?: number; readonly gid?: number } => {
  if (process.getuid?.() !== 0) return {}
  for (const name of ["postgres", "nobody"]) {
    try {
      const id = (flag: string) => Number(execFileSync("id", [flag, name], { stdio: ["ignore", "pipe", "ignore"] }))
      return { uid: id("-u"), gid: id("-g") }
    } catch {
      continue
    }
  }
  return { uid: 65534, gid: 65534 }
}

const ready = (url: string) =>
  Effect.scoped(
    Effect.flatMap(Layer.build(client(url, "public")), (context) =>
      Effect.provide(
        Effect.flatMap(SqlClient.SqlClient, (sql) => sql`SELECT 1`),
        context
      ))
  ).pipe(
    Effect.retry({ schedule: Schedule.spaced("100 millis"), times: 100 }),
    Effect.orDie
  )

/** A client whose tables are in a schema of this name. */
export const client = (url: string, schema: string): Layer.Layer<SqlClient.SqlClient, SqlError> =>
  PgClient.layer({
    url: Redacted.make(url),
    maxConnections: 4,
    startupParameters: { search_path: schema }
  })

/** Stops with the scope. */
export const server = Effect.gen(function*(): Effect.fn.Return<Server, never, Scope.Scope> {
  const given = process.env["OPENCLAW_FLEET_TEST_DATABASE_URL"]
  if (given !== undefined && given !== "") return { url: given }
  const bin = programs()
  const user = unprivileged()
  const port = yield* freePort
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const made = mkdtempSync(`${tmpdir()}/fleet-postgres-`)
      if (user.uid !== undefined && user.gid !== undefined) chownSync(made, user.uid, user.gid)
      return made
    }),
    (made) => Effect.sync(() => rmSync(made, { recursive: true, force: true }))
  )
  execFileSync(`${bin}/initdb`, ["-D", `${directory}/data`, "-A", "trust", "-U", "fleet", "--no-sync"], {
    ...user,
    cwd: directory,
    stdio: "ignore"
  })
  const start = () =>
    spawn(
      `${bin}/postgres`,
      // The disk of a machine that others use too is not what is measured.
      ["-D", `${directory}/data`, "-p", String(port), "-k", directory, "-c", "listen_addresses=127.0.0.1", "-F"],
      { ...user, cwd: directory, stdio: ["ignore", openSync("/dev/null", "w"), openSync(`${directory}/log`, "a")] }
    )
  let running = start()
  const stop = Effect.callback<void>((resume) => {
    if (running.exitCode !== null || running.signalCode !== null) return resume(Effect.void)
    running.once("exit", () => resume(Effect.void))
    running.kill("SIGINT")
  })
  yield* Effect.addFinalizer(() => stop)
  const url = `postgres://fleet@127.0.0.1:${port}/postgres`
  yield* ready(url)
  return {
    url,
    restart: (downMs) =>
      stop.pipe(
        Effect.andThen(Effect.sleep(downMs)),
        Effect.andThen(Effect.sync(() => void (running = start()))),
        Effect.andThen(ready(url))
      )
  }
})

let schemas = 0

/** A schema of its own with the tables of a fleet. */
export const database = (url: string): Layer.Layer<SqlClient.SqlClient, SqlError> =>
  Layer.unwrap(Effect.sync(() => {
    const schema = `fleet_${process.pid}_${++schemas}`
    const create = Layer.effectDiscard(
      Effect.flatMap(SqlClient.SqlClient, (sql) => sql`CREATE SCHEMA ${sql(schema)}`)
    ).pipe(Layer.provide(client(url, "public")))
    const tables = Layer.effectDiscard(FleetTables.migrate).pipe(Layer.provideMerge(client(url, schema)))
    return Layer.fresh(Layer.provide(tables, create))
  }))
