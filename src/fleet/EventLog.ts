/**
 * The table of events: `fleet_event`. Each process appends its own rows in the order of their numbers, one statement after another, so
 * that a reader that has found a number finds all lower ones too. One number for all processes would not do: a row that commits late
 * has a number that readers are past already.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Waiting } from "./EventQueue.ts"
import * as FleetTables from "./FleetTables.ts"

/** A row. */
export interface EventRow extends Waiting {
  readonly process: string
  readonly runner: string
  /** On the database's clock. */
  readonly writtenAtMs: number
}

/** The highest number of each process that has rows. */
export type Heads = ReadonlyMap<string, number>

/** Appends events of a process. Writing some of them again changes nothing: an answer may be lost with its connection. */
export const append = Effect.fnUntraced(function*(
  { process, runner }: { readonly process: string; readonly runner: string },
  events: ReadonlyArray<Waiting>
) {
  if (events.length === 0) return
  const sql = yield* SqlClient.SqlClient
  const now = FleetTables.leaseNowMs(sql, yield* Clock.Clock)
  const given = FleetTables.rowsOf(sql, { seq: "BIGINT", device: "TEXT", epoch: "BIGINT", event: "TEXT" }, events)
  // Without the condition SQLite takes ON CONFLICT for that of a join.
  yield* sql`INSERT INTO fleet_event (process, seq, runner, device, epoch, written_at_ms, event)
    SELECT CAST(${process} AS TEXT), seq, CAST(${runner} AS TEXT), device, epoch, ${now}, event FROM ${given} WHERE true
    ON CONFLICT (process, seq) DO NOTHING`
})

interface Numbered {
  readonly process: string
  readonly seq: number | string
}

const headsOf = (rows: ReadonlyArray<Numbered>): Heads =>
  new Map(rows.map(({ process, seq }) => [process, Number(seq)]))

/** Two steps in the index for each process, however many rows there are. */
export const heads: Effect.Effect<Heads, SqlError, SqlClient.SqlClient> = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql<Numbered>`WITH RECURSIVE own(process) AS (
      SELECT min(process) FROM fleet_event
      UNION ALL
      SELECT (SELECT min(e.process) FROM fleet_event e WHERE e.process > own.process) FROM own WHERE own.process IS NOT NULL
    )
    SELECT process, (SELECT max(e.seq) FROM fleet_event e WHERE e.process = own.process) AS seq
    FROM own WHERE process IS NOT NULL`
  return headsOf(rows)
})

/** What stands right before the events that were written since: where a reader of these begins. */
export const before = Effect.fnUntraced(function*(since: Duration.Input) {
  const sql = yield* SqlClient.SqlClient
  const now = FleetTables.leaseNowMs(sql, yield* Clock.Clock)
  const known = yield* heads
  const sinceMs = Duration.toMillis(since)
  const rows = yield* sql<Numbered>`SELECT process, min(seq) - 1 AS seq FROM fleet_event
    WHERE written_at_ms >= ${now} - CAST(${sinceMs} AS BIGINT) GROUP BY process`
  return new Map([...known, ...headsOf(rows)])
})

/** Rows of a process in order, at most `limit`: those behind `after`, up to `upTo`. */
export const read = Effect.fnUntraced(function*(process: string, after: number, upTo: number, limit: number) {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql<
    {
      readonly seq: number | string
      readonly runner: string
      readonly device: string
      readonly epoch: number | string
      readonly written_at_ms: number | string
      readonly event: string
    }
  >`SELECT seq, runner, device, epoch, written_at_ms, event FROM fleet_event
    WHERE process = ${process} AND seq > ${after} AND seq <= ${upTo} ORDER BY seq LIMIT ${limit}`
  return rows.map(({ device, epoch, event, runner, seq, written_at_ms }): EventRow => ({
    process,
    seq: Number(seq),
    runner,
    device,
    epoch: Number(epoch),
    writtenAtMs: Number(written_at_ms),
    event
  }))
})

/** How many rows one purge deletes at most. */
export const purgedAtOnce = 5000

/**
 * Deletes events that were written longer ago, at most `purgedAtOnce`, and gives how many. The last one of a process that lives stays,
 * so that readers that come later know how far it has counted.
 */
export const purge = Effect.fnUntraced(function*(keep: Duration.Input) {
  const sql = yield* SqlClient.SqlClient
  const now = FleetTables.leaseNowMs(sql, yield* Clock.Clock)
  const keepMs = Duration.toMillis(keep)
  const gone = yield* sql`DELETE FROM fleet_event WHERE (process, seq) IN (
      SELECT process, seq FROM fleet_event e
      WHERE written_at_ms < ${now} - CAST(${keepMs} AS BIGINT) AND (
        seq < (SELECT max(l.seq) FROM fleet_event l WHERE l.process = e.process)
        OR NOT EXISTS (SELECT 1 FROM fleet_process p WHERE p.id = e.process))
      ORDER BY written_at_ms LIMIT ${purgedAtOnce})
    RETURNING seq`
  return gone.length
})
