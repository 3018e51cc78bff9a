/**
 * One process at a time for a runner. Others find a runner by its address, and shards are locked by it: two processes with the same one
 * would take each other's devices again and again, which the default address on two machines is enough for.
 *
 * A process that was killed leaves a lease that nobody renews. Its successor begins after it, as its devices would have to.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment } from "effect/sql/Statement"
import type { LeaseRow } from "./FenceTable.ts"
import { leasesWhere } from "./FenceTable.ts"
import { RunnerTaken } from "./FleetError.ts"

interface Options {
  readonly processId: string
  /** `host:port`. */
  readonly runner: string
  /** The time on the clock of the leases, in a statement. */
  readonly nowMs: () => Fragment
  /** Grants a lease to this process. */
  readonly grant: Effect.Effect<void, SqlError>
  /** How often a process that lives renews its lease. */
  readonly renewEvery: Duration.Input
}

/** Gives the lease of a process back. */
export const leave = (sql: SqlClient.SqlClient, processId: string): Effect.Effect<void, SqlError> =>
  Effect.asVoid(sql`DELETE FROM fleet_process WHERE id = ${processId}`)

/** Grants the first lease once no other process is this runner. Fails when one is that lives: it renews its lease. */
export const claim = (
  sql: SqlClient.SqlClient,
  { grant, nowMs, processId, renewEvery, runner }: Options
): Effect.Effect<void, RunnerTaken | SqlError> => {
  const others = Effect.suspend(() =>
    leasesWhere(sql, nowMs, sql`runner = ${runner} AND id <> ${processId} AND lease_until_ms > ${nowMs()}`)
  )
  const leftMs = (rows: ReadonlyArray<LeaseRow>) => Math.max(...rows.map(({ nowMs, untilMs }) => untilMs - nowMs))
  const renewMs = Duration.toMillis(renewEvery)
  // Longer than a process that lives takes to renew, and not the same for two that begin at the same time.
  const pause = (rows: ReadonlyArray<LeaseRow>) =>
    Effect.flatMap(
      Random.nextBetween(1.1 * renewMs, 2 * renewMs),
      (ms) => Effect.sleep(Math.min(ms, Math.max(1, leftMs(rows))))
    )
  const gone = (before: ReadonlyArray<LeaseRow>): Effect.Effect<void, RunnerTaken | SqlError> =>
    Effect.flatMap(Effect.andThen(pause(before), others), (rows) => {
      const known = new Map(before.map(({ id, untilMs }) => [id, untilMs]))
      return rows.length === 0
        ? Effect.void
        : rows.some(({ id, untilMs }) => untilMs > (known.get(id) ?? untilMs))
        ? Effect.fail(new RunnerTaken({ runner }))
        : gone(rows)
    })
  // Of two that begin at the same time at least one sees the other: each is in the table before it looks.
  return Effect.gen(function*() {
    yield* grant
    const rows = yield* others
    if (rows.length === 0) return
    yield* leave(sql, processId)
    yield* Effect.logInfo("this runner waits until the lease of its earlier process is over").pipe(
      Effect.annotateLogs({ runner, atMost: Duration.format(Duration.seconds(Math.ceil(leftMs(rows) / 1000))) })
    )
    yield* gone(rows)
    yield* claim(sql, { grant, nowMs, processId, renewEvery, runner })
  })
}
