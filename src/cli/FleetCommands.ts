/**
 * What the `fleet` commands do. Loaded with the first of them.
 */
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { Fleet } from "../fleet/Fleet.ts"
import * as FleetCluster from "../fleet/FleetCluster.ts"
import * as FleetTables from "../fleet/FleetTables.ts"
import * as FleetTiming from "../fleet/FleetTiming.ts"
import * as NodejsSqlite from "../fleet/NodejsSqlite.ts"
import type { DeviceRow } from "../fleet/Registry.ts"
import * as Registry from "../fleet/Registry.ts"
import type { TaskResult } from "../fleet/TaskResult.ts"
import { commandFor, commandsAnywhere } from "../pairing/ApproveCommand.ts"
import { isoTime } from "../protocol/AgentEvent.ts"
import { RequestId } from "../protocol/Connect.ts"
import { field, lengths, reply } from "../protocol/OutsideText.ts"
import { withSettings } from "./AgentLayer.ts"
import { as, CommandFailed } from "./CommandError.ts"
import type { ExitCode } from "./ExitCode.ts"
import { type FleetSettings, fleetTable, read } from "./FleetSettings.ts"
import type { Output } from "./Output.ts"
import type { Settings } from "./Settings.ts"

/** Any failure of a fleet as that of the command. */
export const failed = (exit: ExitCode) => (error: { readonly _tag: string; readonly message: string }): CommandFailed =>
  error instanceof CommandFailed
    ? error
    : new CommandFailed({ exit, error: error._tag, problem: field(error.message, { maxLength: 2000 }) })

const exits: Readonly<Record<string, ExitCode>> = {
  SqlError: "unreachable",
  FleetUnavailable: "unreachable",
  RunnerPortUnavailable: "settings",
  RunnerTaken: "settings",
  TimingInvalid: "settings"
}

const exitOf = (tag: string): ExitCode => exits[tag] ?? "failed"
export const asFailure = (error: { readonly _tag: string; readonly message: string }) =>
  failed(exitOf(error._tag))(
    error._tag === "SqlError"
      ? {
        _tag: "FleetUnavailable",
        message: `the database of the fleet cannot be used: is ${fleetTable.databaseUrl.variable} right, and was`
          + " `openclaw-device fleet migrate` run?"
      }
      : error
  )

type Body<R> = (
  own: FleetSettings,
  output: Output["Service"],
  checked: Settings
) => Effect.Effect<void, CommandFailed, R>

export const onFleet = <R>(body: Body<R>) =>
  withSettings((checked, output) =>
    Effect.gen(function*() {
      const own = yield* Effect.mapError(read, as("settings"))
      yield* output.conceal([own.databaseUrl, own.key, own.earlierKeys].filter((secret) => secret !== undefined))
      yield* body(own, output, checked)
    })
  )

const databaseOf = (own: FleetSettings): Layer.Layer<SqlClient.SqlClient, SqlError> =>
  own.databaseUrl === undefined
    ? NodejsSqlite.layer(own.file ?? "")
    : FleetCluster.layerDatabase({ url: own.databaseUrl })

/** Asks the database alone. */
export const onDatabase = <R>(body: Body<R | SqlClient.SqlClient>) =>
  onFleet((own, output, checked) =>
    Effect.mapError(Effect.provide(body(own, output, checked), databaseOf(own)), asFailure)
  )

/** Asks runners, which a fleet in a file has in its own process only. */
const onCluster = <R>(
  body: (fleet: Fleet["Service"], output: Output["Service"]) => Effect.Effect<void, CommandFailed, R>
) =>
  onFleet((own, output) => {
    const { databaseUrl } = own
    if (databaseUrl === undefined) {
      return Effect.fail(
        new CommandFailed({
          exit: "usage",
          error: "NotReachable",
          problem:
            `a fleet in a file (${fleetTable.file.variable}) cannot be asked by another process: give it a database`
            + ` (${fleetTable.databaseUrl.variable}), or ask it within the program that runs it`
        })
      )
    }
    return Effect.flatMap(Fleet, (fleet) => body(fleet, output)).pipe(
      Effect.provide(
        FleetCluster.layerClient({ database: { url: databaseUrl }, timing: FleetTiming.forAbsence(own.databaseAway) })
      ),
      Effect.mapError(asFailure)
    )
  })

/** `fleet migrate`. */
export const migrate = onDatabase((_own, output) =>
  Effect.andThen(
    Effect.mapError(FleetTables.migrate, asFailure),
    output.line(output.json ? JSON.stringify({ migrated: true }) : "The tables of the fleet are there.")
  )
)

/** `fleet add`. */
export const add = (names: ReadonlyArray<string>) =>
  onDatabase((_own, output) =>
    Effect.forEach(
      names,
      (name) =>
        Effect.flatMap(Effect.mapError(Registry.register(name), asFailure), (added) =>
          output.line(
            output.json
              ? JSON.stringify({ name, added })
              : `${name} ${added ? "is registered" : "was registered already"}`
          )),
      { discard: true }
    )
  )

/** `fleet remove`. */
export const remove = (name: string, destroy: boolean) =>
  onDatabase((_own, output) =>
    Effect.gen(function*() {
      const open = yield* Effect.mapError(Registry.remove(name, destroy ? "destroy" : "keep"), asFailure)
      if (Option.isNone(open)) return yield* unknown(name)
      yield* output.line(
        output.json
          ? JSON.stringify({ name, openTasks: open.value, identity: destroy ? "destroyed" : "kept" })
          : `${name} is removed, ${open.value} open tasks ended; its identity is ${destroy ? "destroyed" : "kept"}`
      )
    })
  )

const unknown = (name: string) =>
  new CommandFailed({
    exit: "failed",
    error: "DeviceUnknown",
    problem: `no device ${field(name, { maxLength: lengths.name })} is registered; \`fleet list\` shows those that are`
  })

const rowAsJson = (row: DeviceRow): string =>
  JSON.stringify({
    name: row.name,
    state: row.state ?? "nowhere",
    ...(row.runner === undefined ? {} : { runner: row.runner }),
    ...(row.deviceId === undefined ? {} : { deviceId: row.deviceId }),
    ...(row.stateAtMs === undefined ? {} : { since: isoTime(row.stateAtMs) }),
    ...(row.approval === undefined ? {} : { approval: row.approval })
  })

/** `fleet list`. */
export const list = onDatabase((_own, output) =>
  Effect.gen(function*() {
    const rows = yield* Effect.mapError(Registry.list, asFailure)
    if (rows.length === 0 && !output.json) return yield* output.line("No device is registered.")
    for (const row of rows) {
      yield* output.line(
        output.json ? rowAsJson(row) : `${row.name}  ${row.state ?? "nowhere"}  ${row.runner ?? "-"}`
      )
    }
  })
)

const isRequestId = Schema.is(RequestId)

const approveText = (requestId: string | undefined): string => {
  return commandFor(commandsAnywhere(), isRequestId(requestId) ? requestId : undefined).text
}

/** `fleet status`. */
export const status = (name: Option.Option<string>) =>
  Option.match(name, {
    onNone: () => overview,
    onSome: (name) =>
      onCluster((fleet, output) =>
        Effect.gen(function*() {
          const found = yield* Effect.mapError(fleet.status(name), asFailure)
          if (output.json) return yield* output.line(JSON.stringify(found))
          yield* output.line(`device    ${found.name}`)
          yield* output.line(`state     ${found.state}`)
          yield* output.line(`runner    ${found.runner}`)
          yield* output.line(`identity  ${found.deviceId}`)
          if (found.approval !== undefined) yield* output.line(`approve   ${approveText(found.approval.requestId)}`)
        })
      )
  })

const overview = onDatabase((_own, output) =>
  Effect.gen(function*() {
    const { devices, runners } = yield* Effect.mapError(
      Effect.all({ devices: Registry.list, runners: Registry.runners }),
      asFailure
    )
    const states: Record<string, number> = {}
    for (const { state = "nowhere" } of devices) states[state] = (states[state] ?? 0) + 1
    const oldest = devices.filter(({ approval }) => approval !== undefined)
      .toSorted((left, right) => (left.approval?.since ?? "").localeCompare(right.approval?.since ?? ""))[0]
    const pending = oldest === undefined ? {} : { oldestApproval: { name: oldest.name, ...oldest.approval } }
    if (output.json) {
      return yield* output.line(JSON.stringify({ runners, devices: devices.length, states, ...pending }))
    }
    for (const { devices, isAlive, runner } of runners) {
      yield* output.line(`runner    ${runner}  ${isAlive ? "alive" : "its lease is over"}  ${devices} devices`)
    }
    if (runners.length === 0) yield* output.line("runner    none")
    yield* output.line(`devices   ${devices.length}`)
    for (const [state, count] of Object.entries(states)) yield* output.line(`          ${count} ${state}`)
    if (oldest?.approval !== undefined) {
      yield* output.line(`waiting   ${oldest.name} for an approval since ${field(oldest.approval.since)}`)
    }
  })
)

/** `fleet approve`. */
export const approve = (name: Option.Option<string>) =>
  onDatabase((_own, output) =>
    Effect.gen(function*() {
      const rows = yield* Effect.mapError(Registry.list, asFailure)
      const wanted = rows.filter((row) => Option.isNone(name) || row.name === name.value)
      if (Option.isSome(name) && wanted.length === 0) return yield* unknown(name.value)
      const pending = wanted.flatMap(({ approval, name }) => approval === undefined ? [] : [{ name, ...approval }])
      if (pending.length === 0 && !output.json) return yield* output.line("Nothing waits for approval.")
      for (const each of pending) {
        const command = approveText(each.requestId)
        yield* output.line(
          output.json
            ? JSON.stringify({ ...each, command })
            : `${each.name}  since ${field(each.since)}  ${command}`
        )
      }
    })
  )

const tell = (name: string, result: TaskResult, output: Output["Service"]) => {
  if (output.json) return output.line(JSON.stringify({ name, ...result }))
  switch (result._tag) {
    case "Completed":
      return output.line(reply(result.text))
    default:
      return Effect.fail(
        new CommandFailed({
          exit: "failed",
          error: result._tag,
          problem: result._tag === "Failed"
            ? field(result.message, { maxLength: 2000 })
            : `the task ended as ${result._tag}`
        })
      )
  }
}

/** `fleet delegate`. */
export const delegate = (name: string, text: string, key: string) =>
  onCluster((fleet, output) =>
    Effect.flatMap(
      Effect.mapError(fleet.delegate(name, text, { key }), asFailure),
      (result) => tell(name, result, output)
    )
  )
