import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as SqlClient from "effect/sql/SqlClient"
import { type ChildProcess, spawn } from "node:child_process"
import * as NodejsSqlite from "../../src/fleet/NodejsSqlite.ts"

/** Starts a process that writes to a file of SQLite all the time, and waits until it has written for the first time. */
const writer = (file: string) =>
  Effect.acquireRelease(
    Effect.callback<ChildProcess>((resume) => {
      const program = `
        const { DatabaseSync } = require("node:sqlite")
        const database = new DatabaseSync(process.argv[1])
        database.exec("PRAGMA busy_timeout = 5000; PRAGMA synchronous = OFF")
        const insert = database.prepare("INSERT INTO written (by) VALUES ('the other process')")
        insert.run()
        process.stdout.write("writes")
        const write = () => { insert.run(); setImmediate(write) }
        write()`
      const child = spawn(process.execPath, ["--no-warnings", "-e", program, file], {
        stdio: ["ignore", "pipe", "inherit"]
      })
      child.stdout.once("data", () => resume(Effect.succeed(child)))
    }),
    (child) => Effect.sync(() => void child.kill("SIGKILL"))
  )

describe("a file of SQLite that another process writes to", () => {
  it.live("is opened, read and written, also by what is read before it is written", () =>
    Effect.gen(function*() {
      const file = `${yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped()}/fleet.db`
      yield* Effect.gen(function*() {
        yield* (yield* SqlClient.SqlClient)`CREATE TABLE written (by TEXT NOT NULL)`
      }).pipe(Effect.provide(NodejsSqlite.layer(file)))
      yield* writer(file)
      const own = Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const [before] = yield* sql<{ readonly count: number }>`SELECT count(*) AS count FROM written`
        yield* Effect.yieldNow
        yield* sql`INSERT INTO written (by) VALUES ('this one')`
        return before?.count ?? 0
      })
      const counts = yield* Effect.replicateEffect(
        Effect.flatMap(SqlClient.SqlClient, (sql) => sql.withTransaction(own)).pipe(
          Effect.provide(NodejsSqlite.layer(file), { local: true })
        ),
        50
      )
      assert.deepStrictEqual(counts, counts.toSorted((one, other) => one - other))
      const [row] = yield* Effect.provide(
        Effect.flatMap(SqlClient.SqlClient, (sql) =>
          sql<{ readonly count: number }>`SELECT count(*) AS count FROM written WHERE by = 'this one'`),
        NodejsSqlite.layer(file)
      )
      assert.strictEqual(row?.count, 50)
    }).pipe(Effect.provide(NodeServices.layer)))
})
