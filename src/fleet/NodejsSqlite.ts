/**
 * A `SqlClient` over the SQLite that Node.js brings (`node:sqlite`): one file, one process, no server.
 *
 * Calls are synchronous and hold the event loop while they run: some tens of microseconds for a read, a sync of the disk for a write.
 * `@effect/sql-sqlite-node` has no release for Effect 4.1.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as Semaphore from "effect/Semaphore"
import * as SqlClient from "effect/sql/SqlClient"
import type { Connection } from "effect/sql/SqlConnection"
import { classifySqliteError, SqlError } from "effect/sql/SqlError"
import * as Statement from "effect/sql/Statement"
import * as Stream from "effect/Stream"
import type { DatabaseSync, SQLInputValue } from "node:sqlite"

const failed = (cause: unknown, operation: string) =>
  new SqlError({ reason: classifySqliteError(cause, { message: "SQLite failed", operation }) })

const inputOf = (value: unknown): SQLInputValue => {
  if (value === undefined || value === null) return null
  if (typeof value === "boolean") return value ? 1 : 0
  if (value instanceof Date) return value.toISOString()
  if (typeof value === "string" || typeof value === "number" || typeof value === "bigint") return value
  return value instanceof Uint8Array ? value : String(value)
}

const open = (filename: string) =>
  Effect.tryPromise({
    try: () => import("node:sqlite").then(({ DatabaseSync }) => new DatabaseSync(filename)),
    catch: (cause) => failed(cause, "open")
  })

const connectionTo = (database: DatabaseSync): Connection => {
  const run = (sql: string, params: ReadonlyArray<unknown>, arrays: boolean) =>
    Effect.withFiber<ReadonlyArray<Record<string, unknown>>, SqlError>((fiber) =>
      Effect.try({
        try: () => {
          const statement = database.prepare(sql)
          statement.setReadBigInts(Context.get(fiber.context, SqlClient.SafeIntegers))
          if (arrays) statement.setReturnArrays(true)
          const inputs = params.map(inputOf)
          if (statement.columns().length > 0) return statement.all(...inputs)
          statement.run(...inputs)
          return []
        },
        catch: (cause) => failed(cause, "execute")
      })
    )
  const objects: Connection["execute"] = (sql, params, transform) =>
    transform === undefined ? run(sql, params, false) : Effect.map(run(sql, params, false), transform)
  const values: Connection["executeValues"] = (sql, params) =>
    Effect.map(run(sql, params, true), (rows) => rows.map((row) => Object.values(row)))
  return {
    execute: objects,
    executeRaw: (sql, params) => run(sql, params, false),
    executeValues: values,
    executeValuesUnprepared: values,
    executeUnprepared: objects,
    executeStream: (sql, params, transform) =>
      Stream.unwrap(Effect.map(objects(sql, params, transform), (rows) => Stream.fromIterable(rows)))
  }
}

/** The client for a file, or for `:memory:`. The file is created where it is missing; the scope closes it. */
export const make = Effect.fnUntraced(function*(filename: string) {
  const database = yield* Effect.acquireRelease(open(filename), (opened) => Effect.sync(() => opened.close()))
  yield* Effect.try({
    // Waiting comes first, so that the other two wait too.
    try: () => database.exec("PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL"),
    catch: (cause) => failed(cause, "open")
  })
  const semaphore = yield* Semaphore.make(1)
  const acquirers = SqlClient.makeSqliteAcquirers({
    connection: Effect.succeed(connectionTo(database)),
    semaphore,
    isTransaction: () => database.isTransaction
  })
  return yield* SqlClient.make({
    ...acquirers,
    // A transaction that reads first cannot write once another process has written: SQLite fails there, and does not wait.
    beginTransaction: "BEGIN IMMEDIATE",
    driver: "node-sqlite",
    compiler: Statement.makeCompilerSqlite(),
    spanAttributes: []
  })
})

/** `make` as a layer. */
export const layer = (filename: string): Layer.Layer<SqlClient.SqlClient, SqlError> =>
  Layer.effect(SqlClient.SqlClient, make(filename)).pipe(Layer.provide(Reactivity.layer))
