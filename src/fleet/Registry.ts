/**
 * Which devices a fleet has, and what the database knows of each.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SqlClient from "effect/sql/SqlClient"
import * as DeviceState from "./DeviceState.ts"
import * as FenceTable from "./FenceTable.ts"
import { DeviceNameInvalid } from "./FleetError.ts"
import * as FleetTables from "./FleetTables.ts"

/** A device as the database has it. What its runner last told of it may be a second old. */
export interface DeviceRow {
  readonly name: string
  readonly epoch: number
  /** `host:port` of the runner that has it; absent while none has. */
  readonly runner: string | undefined
  readonly deviceId: string | undefined
  /** Absent while no runner has it; `starting` until the runner that has taken it tells more. */
  readonly state: DeviceState.State | undefined
  readonly stateAtMs: number | undefined
  readonly approval: DeviceState.Approval | undefined
  readonly registeredAtMs: number
}

/** A process that runs devices. */
export interface RunnerRow {
  readonly runner: string
  /** False when its lease is over: it was killed, is frozen, or is cut from the database. */
  readonly isAlive: boolean
  readonly devices: number
}

const isName = (text: string): boolean => /^[a-z0-9][a-z0-9._-]{0,63}$/.test(text)

/** Fails unless it can be the name of a device. */
export const checkName = (name: string): Effect.Effect<string, DeviceNameInvalid> =>
  isName(name) ? Effect.succeed(name) : Effect.fail(new DeviceNameInvalid({ device: name }))

/** Adds a device. False where it is registered already. */
export const register = Effect.fn("Registry.register")(function*(given: string) {
  const sql = yield* SqlClient.SqlClient
  const name = yield* checkName(given)
  const nowMs = yield* Clock.currentTimeMillis
  const added = yield* sql`INSERT INTO fleet_device (name, registered_at_ms) VALUES (${name}, ${nowMs})
    ON CONFLICT (name) DO UPDATE SET removed_at_ms = NULL, registered_at_ms = EXCLUDED.registered_at_ms
      WHERE fleet_device.removed_at_ms IS NOT NULL
    RETURNING name`
  return added.length === 1
})

/**
 * Removes a device: no process acts for it any longer, and its open tasks end. With `destroy` its identity and its tokens are deleted
 * too, so that a device of the same name is a new one for the gateway. Gives how many tasks were open; nothing where there is no
 * such device.
 */
export const remove = Effect.fn("Registry.remove")(function*(name: string, identity: "keep" | "destroy") {
  const sql = yield* SqlClient.SqlClient
  const nowMs = yield* Clock.currentTimeMillis
  return yield* sql.withTransaction(Effect.gen(function*() {
    const [device] = yield* sql<{ readonly device_id: string | null }>`UPDATE fleet_device
      SET removed_at_ms = ${nowMs}, epoch = epoch + 1, holder = NULL, runner = NULL, state = NULL, approval = NULL,
        waits_for = ${FenceTable.waitsFor(sql, "")}
      WHERE name = ${name} AND removed_at_ms IS NULL RETURNING device_id`
    if (device === undefined) return Option.none<number>()
    const open = yield* sql`UPDATE fleet_task SET ended = 'Removed', ended_at_ms = ${nowMs}
      WHERE name = ${name} AND ended IS NULL RETURNING run_id`
    if (identity === "destroy") {
      yield* sql`DELETE FROM fleet_identity WHERE name = ${name}`
      yield* sql`DELETE FROM fleet_token WHERE device_id = ${device.device_id ?? ""}`
      yield* sql`UPDATE fleet_device SET device_id = NULL WHERE name = ${name}`
    }
    return Option.some(open.length)
  }))
})

interface Row {
  readonly name: string
  readonly epoch: number | string
  readonly runner: string | null
  readonly device_id: string | null
  readonly state: string | null
  readonly state_at_ms: number | string | null
  readonly approval: string | null
  readonly registered_at_ms: number | string
}

const decodeState = Schema.decodeUnknownOption(DeviceState.State)
const Approval = Schema.fromJsonString(DeviceState.Approval)
const decodeApproval = Schema.decodeUnknownOption(Approval)
const encodeApproval = Schema.encodeSync(Approval)

const rowOf = (row: Row): DeviceRow => ({
  name: row.name,
  epoch: Number(row.epoch),
  runner: row.runner ?? undefined,
  deviceId: row.device_id ?? undefined,
  state: Option.getOrUndefined(decodeState(row.state)),
  stateAtMs: row.state_at_ms === null ? undefined : Number(row.state_at_ms),
  approval: Option.getOrUndefined(decodeApproval(row.approval)),
  registeredAtMs: Number(row.registered_at_ms)
})

/** The registered devices by name. */
export const list = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql<Row>`SELECT name, epoch, runner, device_id, state, state_at_ms, approval, registered_at_ms
    FROM fleet_device WHERE removed_at_ms IS NULL ORDER BY name`
  return rows.map(rowOf)
})

/** One of them. */
export const find = Effect.fnUntraced(function*(name: string) {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql<Row>`SELECT name, epoch, runner, device_id, state, state_at_ms, approval, registered_at_ms
    FROM fleet_device WHERE removed_at_ms IS NULL AND name = ${name}`
  return Option.map(Option.fromUndefinedOr(rows[0]), rowOf)
})

/** The names of the registered devices. */
export const names = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql<{ readonly name: string }>`SELECT name FROM fleet_device WHERE removed_at_ms IS NULL`
  return rows.map(({ name }) => name)
})

/** The processes that have or had a lease lately. */
export const runners = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const now = FleetTables.leaseNowMs(sql, yield* Clock.Clock)
  const rows = yield* sql<{ readonly runner: string; readonly alive: unknown; readonly devices: number | string }>`
    SELECT p.runner, CASE WHEN p.lease_until_ms > ${now} THEN 1 ELSE 0 END AS alive,
      (SELECT count(*) FROM fleet_device d WHERE d.holder = p.id) AS devices
    FROM fleet_process p ORDER BY p.runner`
  return rows.map(({ alive, devices, runner }): RunnerRow => ({
    runner,
    isAlive: Number(alive) === 1,
    devices: Number(devices)
  }))
})

/** What a runner tells of a device. */
export interface Note {
  readonly name: string
  readonly epoch: number
  readonly state: DeviceState.DeviceState
}

/** Notes what a runner tells of its devices. That of an earlier activation changes nothing. */
export const note = Effect.fnUntraced(function*(notes: ReadonlyArray<Note>) {
  const sql = yield* SqlClient.SqlClient
  const nowMs = yield* Clock.currentTimeMillis
  const given = FleetTables.rowsOf(
    sql,
    { name: "TEXT", epoch: "BIGINT", state: "TEXT", approval: "TEXT", device_id: "TEXT" },
    notes.map(({ epoch, name, state: { approval, deviceId, state } }) => ({
      name,
      epoch,
      state,
      approval: approval === undefined ? null : encodeApproval(approval),
      device_id: deviceId === "" ? null : deviceId
    }))
  )
  yield* sql`WITH ${FleetTables.locked(sql, notes.map(({ name }) => name))} UPDATE fleet_device
    SET state = given.state, state_at_ms = ${nowMs}, approval = given.approval, device_id = given.device_id
    FROM ${given}
    WHERE fleet_device.name IN (SELECT name FROM locked) AND fleet_device.name = given.name
      AND fleet_device.epoch = given.epoch AND removed_at_ms IS NULL`
})
