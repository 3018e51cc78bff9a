/**
 * The tables of a fleet. Times are milliseconds since 1970; those of leases, of refusals and of the writing of events are on the
 * database's clock, all others on the clock of the process that wrote them. Identities and device tokens are sealed; texts of tasks and
 * replies are not.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

const statements: ReadonlyArray<string> = [
  `CREATE TABLE IF NOT EXISTS fleet_schema (version INTEGER PRIMARY KEY)`,
  // A removed device keeps its row, so that its epochs go on where it is added again.
  `CREATE TABLE IF NOT EXISTS fleet_device (
    name TEXT PRIMARY KEY,
    epoch BIGINT NOT NULL DEFAULT 0,
    holder TEXT,
    waits_for TEXT NOT NULL DEFAULT '',
    registered_at_ms BIGINT NOT NULL,
    removed_at_ms BIGINT,
    runner TEXT,
    device_id TEXT,
    state TEXT,
    state_at_ms BIGINT,
    approval TEXT
  )`,
  `CREATE INDEX IF NOT EXISTS fleet_device_holder ON fleet_device (holder)`,
  `CREATE TABLE IF NOT EXISTS fleet_process (
    id TEXT PRIMARY KEY,
    runner TEXT NOT NULL,
    address TEXT NOT NULL,
    lease_until_ms BIGINT NOT NULL
  )`,
  // Credentials that a gateway refused within the last minute. They outlive their process.
  `CREATE TABLE IF NOT EXISTS fleet_refusal (
    process TEXT NOT NULL,
    number INTEGER NOT NULL,
    address TEXT NOT NULL,
    gateway_scope TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (process, number)
  )`,
  // The document in use has the empty slot; retired ones have the time in theirs.
  `CREATE TABLE IF NOT EXISTS fleet_identity (
    name TEXT NOT NULL,
    slot TEXT NOT NULL,
    sealed TEXT NOT NULL,
    PRIMARY KEY (name, slot)
  )`,
  `CREATE TABLE IF NOT EXISTS fleet_token (
    gateway_scope TEXT NOT NULL,
    device_id TEXT NOT NULL,
    role TEXT NOT NULL,
    sealed TEXT NOT NULL,
    PRIMARY KEY (gateway_scope, device_id, role)
  )`,
  `CREATE TABLE IF NOT EXISTS fleet_task (
    run_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    gateway_scope TEXT NOT NULL,
    entry TEXT NOT NULL,
    abort_state TEXT,
    ended TEXT,
    ended_at_ms BIGINT,
    outcome TEXT
  )`,
  `CREATE INDEX IF NOT EXISTS fleet_task_open ON fleet_task (name) WHERE ended IS NULL`,
  `CREATE INDEX IF NOT EXISTS fleet_task_ended ON fleet_task (ended_at_ms) WHERE ended IS NOT NULL`,
  // Of one life of a process, which counts them from 1. Kept for a while.
  `CREATE TABLE IF NOT EXISTS fleet_event (
    process TEXT NOT NULL,
    seq BIGINT NOT NULL,
    runner TEXT NOT NULL,
    device TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    written_at_ms BIGINT NOT NULL,
    event TEXT NOT NULL,
    PRIMARY KEY (process, seq)
  )`,
  `CREATE INDEX IF NOT EXISTS fleet_event_written ON fleet_event (written_at_ms)`,
  `INSERT INTO fleet_schema (version) VALUES (1) ON CONFLICT DO NOTHING`
]

/** Makes the tables where they are missing. Several processes may do so at once. */
export const migrate: Effect.Effect<void, SqlError, SqlClient.SqlClient> = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const lock = sql.onDialectOrElse({
    pg: () => Effect.asVoid(sql`SELECT pg_advisory_xact_lock(7270421)`),
    orElse: () => Effect.void
  })
  yield* sql.withTransaction(
    Effect.andThen(lock, Effect.forEach(statements, (statement) => sql.unsafe(statement), { discard: true }))
  )
})

/** Milliseconds on the clock that leases are by: that of a server, or that of the one process which has the file. */
export const leaseNowMs = (sql: SqlClient.SqlClient, clock: Clock.Clock) =>
  sql.onDialectOrElse({
    pg: () => sql`CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)`,
    orElse: () => sql`CAST(${clock.currentTimeMillisUnsafe()} AS BIGINT)`
  })

/** The types of columns that `rowsOf` knows. */
type ColumnType = "BIGINT" | "TEXT"

/**
 * Rows as a table `given`, for a statement over many devices: they go as one parameter, so that its text is the same for any number of
 * rows, and the server has it prepared.
 */
export const rowsOf = <const Columns extends Readonly<Record<string, ColumnType>>>(
  sql: SqlClient.SqlClient,
  columns: Columns,
  rows: ReadonlyArray<{ readonly [Name in keyof Columns]: string | number | null }>
) => {
  const json = JSON.stringify(rows)
  const names = Object.entries(columns)
  return sql.onDialectOrElse({
    pg: () =>
      sql`json_to_recordset(CAST(${json} AS json)) AS given(${
        sql.literal(names.map(([name, type]) => `${name} ${type}`).join(", "))
      })`,
    orElse: () =>
      sql`(SELECT ${
        sql.literal(names.map(([name]) => `json_extract(value, '$.${name}') AS ${name}`).join(", "))
      } FROM json_each(${json})) AS given`
  })
}

/** The names of devices, as the table `given`. */
export const namesOf = (sql: SqlClient.SqlClient, names: ReadonlyArray<string>) =>
  rowsOf(sql, { name: "TEXT" }, names.map((name) => ({ name })))

/**
 * The names of devices, whose rows are locked in the order of the names: two statements over several devices never wait for each other.
 * For `WITH`, as the table `locked`.
 */
export const locked = (sql: SqlClient.SqlClient, names: ReadonlyArray<string>) =>
  sql`locked AS (SELECT name FROM fleet_device WHERE name IN (SELECT name FROM ${namesOf(sql, names)})
    ORDER BY name ${sql.onDialectOrElse({ pg: () => sql.literal("FOR UPDATE"), orElse: () => sql.literal("") })})`

/** Keeps the rows that a `SELECT` reads as they are until its transaction ends; others may go on to read them. */
export const forShare = (sql: SqlClient.SqlClient) =>
  sql.onDialectOrElse({ pg: () => sql.literal("FOR SHARE"), orElse: () => sql.literal("") })
