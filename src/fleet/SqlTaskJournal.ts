/**
 * The task journal of one activation of a device, in the database.
 *
 * Each write names the epoch of the activation. One that has been superseded changes nothing and fails, so that a process which was
 * frozen cannot write over what its successor knows. A task that has ended keeps its row with its outcome, so that a caller who
 * asks again under the same key gets the same answer; `purge` removes old ones.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import * as JournalFile from "../tasks/JournalFile.ts"
import { RunId, type TaskOutcome } from "../tasks/Task.ts"
import type { AbortAnswer, JournalEntry, JournalRecord } from "../tasks/TaskJournal.ts"
import { notUnderstood, TaskJournal, TaskJournalError } from "../tasks/TaskJournal.ts"
import * as FleetTables from "./FleetTables.ts"
import * as TaskResult from "./TaskResult.ts"
import { together } from "./Together.ts"

/** A later activation of the device, perhaps in another process, has taken its place. */
export class Superseded extends Schema.TaggedError<Superseded>()("Superseded", {
  device: Schema.String,
  epoch: Schema.Int
}) {
  override get message(): string {
    return `activation ${this.epoch} of the device ${this.device} has been superseded`
  }
}

interface Row {
  readonly run_id: string
  readonly entry: string
  readonly abort_state: string | null
}

const answers: ReadonlySet<string> = new Set<AbortAnswer>(["Completed", "Failed", "Aborted", "Expired", "Unknown"])
const isAnswer = (text: string | null): text is AbortAnswer => text !== null && answers.has(text)

/** Whether a device has open tasks. */
const hasOpen = together((name: string) => name, (names) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const rows = yield* sql<{ readonly name: string }>`SELECT DISTINCT name FROM fleet_task
      WHERE ended IS NULL AND name IN (SELECT name FROM ${FleetTables.namesOf(sql, names)})`
    const found = new Set(rows.map(({ name }) => name))
    return (name) => found.has(name)
  }))

/** The activation that writes. */
interface Self {
  readonly sql: SqlClient.SqlClient
  readonly name: string
  readonly epoch: number
}

const pathOf = ({ name }: Self): string => `fleet_task/${name}`

const failed = (self: Self, reason: TaskJournalError["reason"]) => (cause: unknown) =>
  cause instanceof TaskJournalError ? cause : new TaskJournalError({ path: pathOf(self), reason, cause })

/** A condition of a statement: no later activation has begun. */
const isNewest = ({ epoch, name, sql }: Self) =>
  sql`EXISTS (SELECT 1 FROM fleet_device WHERE name = ${name} AND epoch = ${epoch} ${FleetTables.forShare(sql)})`

const records = Effect.fnUntraced(function*(self: Self, rows: ReadonlyArray<Row>) {
  const found: Array<JournalRecord> = []
  for (const row of rows) {
    const entry = JournalFile.decode(row.entry, row.run_id)
    if (Option.isSome(entry)) {
      found.push({ ...entry.value, ...(row.abort_state === "Requested" ? { abortRequested: true } : {}) })
    } else {
      yield* Effect.annotateLogs(Effect.logWarning(notUnderstood), { path: `${pathOf(self)}/${row.run_id}` })
    }
  }
  return found.toSorted((left, right) => left.position - right.position || left.acceptedAtMs - right.acceptedAtMs)
})

const read = Effect.fnUntraced(function*(self: Self) {
  const { name, sql } = self
  const rows = yield* sql<Row>`SELECT run_id, entry, abort_state FROM fleet_task WHERE name = ${name} AND ended IS NULL`
  return yield* records(self, rows)
})

/** Most devices start without tasks: that is read for all that start together. */
const claim = Effect.fnUntraced(function*(self: Self, gatewayScope: string) {
  const { epoch, name, sql } = self
  if (!(yield* Effect.provideService(hasOpen(name), SqlClient.SqlClient, sql))) return []
  const rows = yield* sql<Row>`UPDATE fleet_task SET epoch = ${epoch}
    WHERE name = ${name} AND gateway_scope = ${gatewayScope} AND ended IS NULL AND epoch < ${epoch}
      AND ${isNewest(self)}
    RETURNING run_id, entry, abort_state`
  return yield* records(self, rows)
})

const put = Effect.fn("SqlTaskJournal.put")(function*(self: Self, entry: JournalEntry) {
  const { epoch, name, sql } = self
  const path = pathOf(self)
  const text = JournalFile.encode(entry, undefined)
  if (Option.isNone(text)) return yield* new TaskJournalError({ path, reason: "Invalid" })
  if (new TextEncoder().encode(text.value).length > JournalFile.maxBytes) {
    return yield* new TaskJournalError({ path, reason: "TooLarge" })
  }
  const put = yield* sql`INSERT INTO fleet_task (run_id, name, epoch, gateway_scope, entry)
    SELECT ${entry.runId}, ${name}, CAST(${epoch} AS BIGINT), ${entry.gatewayScope}, ${text.value}
    WHERE ${isNewest(self)}
    ON CONFLICT (run_id) DO UPDATE SET entry = EXCLUDED.entry
      WHERE fleet_task.name = EXCLUDED.name AND fleet_task.epoch = EXCLUDED.epoch AND fleet_task.ended IS NULL
    RETURNING run_id`
  if (put.length === 0) return yield* new Superseded({ device: name, epoch })
})

const remove = Effect.fn("SqlTaskJournal.remove")(function*(
  self: Self,
  runId: RunId,
  ended: string,
  outcome: TaskOutcome | undefined
) {
  const { epoch, name, sql } = self
  const endedAtMs = yield* Clock.currentTimeMillis
  const text = outcome === undefined ? null : TaskResult.encode(TaskResult.fromOutcome(outcome))
  yield* sql`UPDATE fleet_task SET ended = ${ended}, ended_at_ms = ${endedAtMs}, outcome = ${text}
    WHERE run_id = ${runId} AND name = ${name} AND epoch = ${epoch} AND ended IS NULL AND ${isNewest(self)}`
})

const abortRequests = Effect.fnUntraced(function*({ epoch, name, sql }: Self) {
  const rows = yield* sql<{ readonly run_id: string }>`SELECT run_id FROM fleet_task
    WHERE name = ${name} AND epoch = ${epoch} AND ended IS NULL AND abort_state = 'Requested'`
  return rows.map((row) => RunId.make(row.run_id))
})

const requestAbort = ({ name, sql }: Self, runId: RunId) =>
  Effect.asVoid(sql`UPDATE fleet_task SET abort_state = 'Requested'
    WHERE run_id = ${runId} AND name = ${name} AND ended IS NULL AND abort_state IS NULL`)

const abortAnswer = Effect.fnUntraced(function*({ name, sql }: Self, runId: RunId) {
  const [row] = yield* sql<{ readonly ended: string | null }>`UPDATE fleet_task SET abort_state = 'Answered'
    WHERE run_id = ${runId} AND name = ${name} AND ended IS NOT NULL AND abort_state = 'Requested'
    RETURNING ended`
  return row !== undefined && isAnswer(row.ended) ? Option.some(row.ended) : Option.none()
})

/**
 * The journal of the activation of a device with this epoch. While `mayAct`, the end of a task is tried again where the database is away:
 * callers ask for its outcome. A later activation finds out by itself.
 */
export const make = Effect.fnUntraced(function*(name: string, epoch: number, mayAct: () => boolean = () => false) {
  const self: Self = { sql: yield* SqlClient.SqlClient, name, epoch }
  const reading = Effect.mapError(failed(self, "Unreadable"))
  const writing = Effect.mapError(failed(self, "Unwritable"))
  return TaskJournal.of({
    read: Effect.suspend(() => reading(read(self))),
    claim: (gatewayScope) => reading(claim(self, gatewayScope)),
    put: (entry) => writing(put(self, entry)),
    remove: (runId, ended, outcome) =>
      writing(
        Effect.retry(remove(self, runId, ended, outcome), { while: mayAct, schedule: Schedule.spaced("1 second") })
      ),
    abortRequests: Effect.suspend(() => reading(abortRequests(self))),
    requestAbort: (runId) => writing(requestAbort(self, runId)),
    abortAnswer: (runId) => reading(abortAnswer(self, runId))
  })
})

/** What is known of a task that may have ended already. */
export type Known =
  | { readonly _tag: "Absent" }
  | { readonly _tag: "Open"; readonly gatewayScope: string }
  /** `result` is absent where the task ended before its outcome was kept. */
  | { readonly _tag: "Ended"; readonly ended: string; readonly result: TaskResult.TaskResult | undefined }

/** What the table has of a run. */
export const find = Effect.fnUntraced(function*(name: string, runId: RunId) {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{
    readonly ended: string | null
    readonly outcome: string | null
    readonly gateway_scope: string
  }>`SELECT ended, outcome, gateway_scope FROM fleet_task WHERE run_id = ${runId} AND name = ${name}`
  if (row === undefined) return { _tag: "Absent" } satisfies Known
  if (row.ended === null) return { _tag: "Open", gatewayScope: row.gateway_scope } satisfies Known
  const result = row.outcome === null ? undefined : Option.getOrUndefined(TaskResult.decode(row.outcome))
  return { _tag: "Ended", ended: row.ended, result } satisfies Known
})

/** Removes tasks that ended longer ago, and gives how many. */
export const purge = (keep: Duration.Input): Effect.Effect<number, SqlError, SqlClient.SqlClient> =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const before = (yield* Clock.currentTimeMillis) - Duration.toMillis(keep)
    const gone = yield* sql`DELETE FROM fleet_task WHERE ended IS NOT NULL AND ended_at_ms < ${before} RETURNING run_id`
    return gone.length
  })
