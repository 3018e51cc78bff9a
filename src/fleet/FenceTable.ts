/**
 * The statements of the fence over the rows of devices, each for all that ask in the same moment.
 */
import * as Effect from "effect/Effect"
import * as SqlClient from "effect/sql/SqlClient"
import type { Fragment } from "effect/sql/Statement"
import * as DeviceState from "./DeviceState.ts"
import * as FleetTables from "./FleetTables.ts"
import * as LeaseStep from "./LeaseStep.ts"
import { together } from "./Together.ts"

/** The processes in the text of a row. */
const listOf = (text: string): ReadonlyArray<string> => text.split(" ").filter((id) => id !== "")

/** `LeaseStep.waitsFor` as an expression over the row of a device: ids with blanks around them. */
export const waitsFor = (sql: SqlClient.SqlClient, own: string) =>
  sql`CASE WHEN holder IS NULL OR holder = ${own} OR waits_for LIKE '% ' || holder || ' %'
    THEN waits_for ELSE waits_for || ' ' || holder || ' ' END`

/** The lease of a process: its end, and the time at which it was read, on the clock of the leases. */
export interface LeaseRow {
  readonly id: string
  readonly untilMs: number
  readonly nowMs: number
}

/** The leases of the processes for which `where` holds. */
export const leasesWhere = (sql: SqlClient.SqlClient, nowMs: () => Fragment, where: Fragment) =>
  Effect.map(
    sql<{ readonly id: string; readonly lease_until_ms: number | string; readonly now: number | string }>`
      SELECT id, lease_until_ms, ${nowMs()} AS now FROM fleet_process WHERE ${where}`,
    (rows): ReadonlyArray<LeaseRow> =>
      rows.map(({ id, lease_until_ms, now }) => ({ id, untilMs: Number(lease_until_ms), nowMs: Number(now) }))
  )

/** The process that asks. */
interface Asker {
  readonly processId: string
  /** `host:port`, for people. */
  readonly runner: string
  /** The time on the clock of the leases, in a statement. */
  readonly nowMs: () => Fragment
  /** The lease of the process now. */
  readonly lease: () => LeaseStep.Lease
}

/** One activation of a device. */
interface Turn {
  readonly name: string
  readonly epoch: number
}

/** What a takeover gives. */
export interface Raised {
  readonly epoch: number
  /** The lease of the process before the epoch was raised. */
  readonly leaseBefore: LeaseStep.Lease
  /** How long the leases of those that had the device run on. */
  readonly waitMs: number
  /** There were such processes. */
  readonly waits: boolean
}

export const make = (sql: SqlClient.SqlClient, { lease, nowMs, processId, runner }: Asker) => {
  const own = Effect.provideService(SqlClient.SqlClient, sql)

  const leasesOf = (processes: ReadonlyArray<string>) =>
    processes.length === 0 ? Effect.succeed([]) : leasesWhere(sql, nowMs, sql.in("id", processes))

  // The takeover is committed before the leases are read (see `LeaseStep`). What the earlier activation told is not true of this one.
  const raise = together((name: string) => name, (names) =>
    Effect.gen(function*() {
      const leaseBefore = lease()
      const rows = yield* sql<
        { readonly name: string; readonly epoch: number | string; readonly waits_for: string }
      >`WITH ${FleetTables.locked(sql, names)} UPDATE fleet_device
        SET epoch = epoch + 1, holder = ${processId}, runner = ${runner}, waits_for = ${waitsFor(sql, processId)},
          state = ${DeviceState.initial.state}, state_at_ms = NULL, approval = NULL
        WHERE name IN (SELECT name FROM locked) AND removed_at_ms IS NULL RETURNING name, epoch, waits_for`
      const known = yield* leasesOf(Array.from(new Set(rows.flatMap(({ waits_for }) => listOf(waits_for)))))
      const leases = new Map(known.map(({ id, untilMs }) => [id, untilMs]))
      const readAtMs = known[0]?.nowMs ?? 0
      const raised = new Map(rows.map(({ epoch, name, waits_for }): [string, Raised] => {
        const processes = listOf(waits_for)
        const waitMs = Math.max(0, LeaseStep.freeAtMs(processes, leases, processId) - readAtMs)
        return [name, { epoch: Number(epoch), leaseBefore, waitMs, waits: processes.length > 0 }]
      }))
      return (name) => raised.get(name)
    }))

  /** Changes the row of an activation, as long as it is the newest and of this process. */
  const change = (set: Fragment) =>
    together(({ epoch, name }: Turn) => `${name} ${epoch}`, (turns) => {
      const given = FleetTables.rowsOf(sql, { name: "TEXT", epoch: "BIGINT" }, turns)
      return Effect.as(
        sql`WITH ${FleetTables.locked(sql, turns.map(({ name }) => name))} UPDATE fleet_device SET ${set} FROM ${given}
          WHERE fleet_device.name IN (SELECT name FROM locked) AND fleet_device.name = given.name
            AND fleet_device.epoch = given.epoch AND holder = ${processId}`,
        () => undefined
      )
    })
  const waited = change(sql`waits_for = ''`)
  const release = change(sql`holder = NULL, runner = NULL, state = NULL, state_at_ms = NULL, approval = NULL`)

  return {
    /** Takes a device over. Undefined where it is not registered. */
    raise: (name: string) => own(raise(name)),
    /** The leases of the earlier processes are over: nobody has to wait for them again. */
    waited: (turn: Turn) => own(waited(turn)),
    /** Gives a device back. */
    release: (turn: Turn) => own(release(turn))
  }
}
