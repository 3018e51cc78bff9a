/**
 * `Admission` for the processes of a fleet: those that gateways see at one address stay below the limits together.
 *
 * Each tells the others of its refused credentials by rows in the database, and reads every 2 s who lives and what was refused to
 * them; `AdmissionShare` decides. While the database is away, the last figures stay, refusals in them get old as all others do, and
 * those of this process wait to be written. No handshake waits for the database.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { Admission } from "../connection/Admission.ts"
import { windowMs } from "../connection/AdmissionStep.ts"
import * as Monotonic from "../handshake/Monotonic.ts"
import * as AdmissionShare from "./AdmissionShare.ts"
import { Fence } from "./Fence.ts"
import * as FleetTables from "./FleetTables.ts"

/** How often a process reads about the others. `AdmissionShare.limits.unknownMs` is twice that and more. */
const readEvery = "2 seconds"

/** An answer may be lost with the connection that it went over. */
const answerWithin = "5 seconds"

/** A refused credential of this process that is not in the database yet. */
interface Unwritten {
  readonly number: number
  readonly gatewayScope: string
  /** Monotonic. */
  readonly atMs: number
}

/** A process that lives, or a refusal to one that may be gone. */
interface Row {
  readonly process: string
  readonly gateway_scope: string | null
  readonly age_ms: number | string | null
}

const make = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const clock = yield* Clock.Clock
  const { address, processId } = yield* Fence
  const nowMs = () => Monotonic.nowMs(clock)
  const databaseNowMs = () => FleetTables.leaseNowMs(sql, clock)
  const sinceMs = nowMs()
  const due = Latch.makeUnsafe(false)
  let view: AdmissionShare.View = { sinceMs, others: new Set(), refusals: [] }
  let unwritten: ReadonlyArray<Unwritten> = []
  let count = 0

  const { admission, review } = yield* Admission.makeShared({
    allowance: (gatewayScope) => AdmissionShare.allowance(view, gatewayScope, nowMs()),
    onRefused: (gatewayScope) =>
      Effect.sync(() => {
        unwritten = [...unwritten, { number: ++count, gatewayScope, atMs: nowMs() }]
        due.openUnsafe()
      })
  })

  const write = Effect.gen(function*() {
    unwritten = unwritten.filter(({ atMs }) => atMs > nowMs() - windowMs)
    if (unwritten.length === 0) return
    // The number makes one row of a refusal that is written again because the answer was lost.
    for (const { atMs, gatewayScope, number } of unwritten) {
      yield* sql`INSERT INTO fleet_refusal (process, number, address, gateway_scope, at_ms)
        VALUES (${processId}, ${number}, ${address}, ${gatewayScope},
          ${databaseNowMs()} - CAST(${nowMs() - atMs} AS BIGINT))
        ON CONFLICT (process, number) DO NOTHING`
      unwritten = unwritten.filter((each) => each.number !== number)
    }
    yield* sql`DELETE FROM fleet_refusal WHERE at_ms < ${databaseNowMs()} - CAST(${windowMs} AS BIGINT)`
  })

  const read = Effect.gen(function*() {
    const rows = yield* sql<Row>`
      SELECT id AS process, NULL AS gateway_scope, NULL AS age_ms FROM fleet_process
        WHERE address = ${address} AND id <> ${processId} AND lease_until_ms > ${databaseNowMs()}
      UNION ALL
      SELECT process, gateway_scope, ${databaseNowMs()} - at_ms AS age_ms FROM fleet_refusal
        WHERE address = ${address} AND process <> ${processId}
          AND at_ms > ${databaseNowMs()} - CAST(${windowMs} AS BIGINT)`
    const at = nowMs()
    view = {
      sinceMs,
      others: new Set(rows.flatMap((row) => row.gateway_scope === null ? [row.process] : [])),
      refusals: rows.flatMap(({ age_ms, gateway_scope, process }) =>
        gateway_scope === null
          ? []
          : [{ process, gatewayScope: gateway_scope, atMs: at - Math.min(Math.max(0, Number(age_ms)), windowMs) }]
      )
    }
  })

  // The first handshake must know of what was refused to a process before this one.
  yield* read
  yield* Effect.forkScoped(
    Effect.raceFirst(due.await, Effect.sleep(readEvery)).pipe(
      Effect.andThen(Effect.sync(() => due.closeUnsafe())),
      Effect.andThen(Effect.timeout(Effect.andThen(write, read), answerWithin)),
      Effect.ignoreCause({ log: "Debug", message: "refused credentials are not exchanged with other processes now" }),
      // Refusals get old without the database too.
      Effect.andThen(review),
      Effect.forever({ disableYield: true })
    )
  )
  return admission
})

/** One for a process. */
export const layer: Layer.Layer<Admission, SqlError, Fence | SqlClient.SqlClient> = Layer.effect(Admission, make)
