/**
 * Fleets for tests: a key, a database with the tables, a device in it.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as SqlClient from "effect/sql/SqlClient"
import { ConnectionError, SqlError } from "effect/sql/SqlError"
import { FleetKey } from "../../src/fleet/FleetKey.ts"
import * as FleetTables from "../../src/fleet/FleetTables.ts"
import * as NodejsSqlite from "../../src/fleet/NodejsSqlite.ts"

/** 32 bytes in base64. */
export const keyText = Buffer.alloc(32, 7).toString("base64")

export const key = FleetKey.layer({ key: Redacted.make(keyText) })

/** An SQLite database in memory, with the tables. */
export const sqlite = Layer.fresh(
  Layer.effectDiscard(FleetTables.migrate).pipe(Layer.provideMerge(NodejsSqlite.layer(":memory:")))
)

/** A client whose statements of this text fail while `isAway`. `failures` counts them. */
export const failing = (sql: SqlClient.SqlClient, text: RegExp) => {
  const control = { isAway: false, failures: 0 }
  const away = new SqlError({
    reason: new ConnectionError({ cause: new Error("the database is away"), operation: "execute" })
  })
  const client = new Proxy(sql, {
    apply: (target, self, [template, ...values]) => {
      if (!control.isAway || !Array.isArray(template) || !text.test(template.join("?"))) {
        return Reflect.apply(target, self, [template, ...values])
      }
      control.failures++
      return Effect.fail(away)
    }
  })
  return { client, control }
}

/** Raises the epoch of a device that is added with the first call. */
export const raise = (name: string) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const [row] = yield* sql<{ readonly epoch: number }>`INSERT INTO fleet_device (name, epoch, registered_at_ms)
      VALUES (${name}, 1, 0) ON CONFLICT (name) DO UPDATE SET epoch = fleet_device.epoch + 1 RETURNING epoch`
    return Number(row?.epoch)
  })

/** Everything that a database keeps, as text. */
export const dump = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const tables = yield* sql.onDialectOrElse({
    sqlite: () => sql<{ readonly name: string }>`SELECT name FROM sqlite_master WHERE type = 'table'`,
    orElse: () =>
      sql<{ readonly name: string }>`SELECT tablename AS name FROM pg_tables WHERE schemaname = current_schema()`
  })
  const rows = yield* Effect.forEach(tables, ({ name }) => sql`SELECT * FROM ${sql(name)}`)
  return rows.flat().map((row) =>
    Object.values(row).map((value) =>
      value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : String(value)
    )
      .join(" ")
  ).join("\n")
})
