/**
 * Who may act for a device: one activation at a time, in one process.
 *
 * Each activation raises the epoch of its device in the database. A process has a lease there, which it renews over a connection of its
 * own, and acts for its devices only while the lease runs (`LeaseStep`). A renewal also tells which devices were taken over
 * meanwhile: their links are cut. So a process that was frozen, or cut from the database, sends nothing once another one may.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import * as Monotonic from "../handshake/Monotonic.ts"
import * as FenceTable from "./FenceTable.ts"
import type { RunnerTaken } from "./FleetError.ts"
import { DeviceUnknown } from "./FleetError.ts"
import * as FleetTables from "./FleetTables.ts"
import * as LeaseStep from "./LeaseStep.ts"
import * as SoleProcess from "./SoleProcess.ts"

/** How long a lease lives, and how often it is renewed. */
export interface Options {
  /** How others find this process: `host:port`, of one process at a time. */
  readonly runner: string
  /** Names the address at which gateways see this process, which may be that of a router. All have the same one unless set. */
  readonly address?: string | undefined
  /**
   * For how long a process acts without an answer of the database. It must be below the expiration of the cluster's shard locks minus
   * their refresh interval, and not much below 10 s: starting hundreds of devices delays a renewal by seconds.
   */
  readonly life: Duration.Input
  readonly renewEvery: Duration.Input
}

/** One turn of a process at a device. */
export interface Activation {
  readonly name: string
  readonly epoch: number
  /** Whether it may act now. Looks at the clocks each time, and asks nobody. */
  readonly mayAct: () => boolean
  /** Done as soon as it may act, after a renewal that was late for example. False when another activation has taken the device. */
  readonly ready: Effect.Effect<boolean>
  /** `cut` is called once when another activation has taken the device, at once if that has happened. The answer withdraws it. */
  readonly onLost: (cut: () => void) => () => void
}

/** Gives activations. Provided once for a process, with a `SqlClient` that nothing else uses. */
export class Fence extends Context.Service<Fence, {
  /** Names this life of the process. */
  readonly processId: string
  /** `host:port`, for people. */
  readonly runner: string
  /** Names the address at which gateways see this process. */
  readonly address: string
  /**
   * Takes a device: raises its epoch, and waits until the lease of the process that had it is over. The scope gives it back, so that
   * the next one need not wait. Close the link before.
   */
  readonly take: (name: string) => Effect.Effect<Activation, DeviceUnknown | SqlError, Scope.Scope>
  /** Whether the lease runs. */
  readonly holds: () => boolean
}>()("effect-openclaw/fleet/Fence") {
  static readonly layer = (
    options: Options
  ): Layer.Layer<Fence, RunnerTaken | SqlError, SqlClient.SqlClient | SecureRandom.SecureRandom> =>
    Layer.effect(Fence, make(options))
}

/** What the process knows of a device that it has. */
interface Turn {
  readonly epoch: number
  lease: LeaseStep.Lease
  isLost: boolean
  readonly cuts: Set<() => void>
}

const cut = (turn: Turn): void => {
  turn.isLost = true
  for (const each of turn.cuts) each()
  turn.cuts.clear()
}

/** How long the row of a process that is gone stays. */
const forgottenAfterMs = 3_600_000

const make = Effect.fnUntraced(function*(options: Options) {
  const sql = yield* SqlClient.SqlClient
  const clock = yield* Clock.Clock
  const processId = yield* Effect.orDie((yield* SecureRandom.SecureRandom).uuidV4())
  const lifeMs = Duration.toMillis(options.life)
  const { address = "shared", runner } = options
  const nowMs = () => FleetTables.leaseNowMs(sql, clock)
  const grantedMs = lifeMs + LeaseStep.marginMs(lifeMs)
  const turns = new Map<string, Turn>()
  let lease = LeaseStep.initial
  let isOver = false
  const moment = (): LeaseStep.Moment => ({
    monotonicMs: Monotonic.nowMs(clock),
    wallMs: clock.currentTimeMillisUnsafe()
  })
  const holds = () => !isOver && LeaseStep.holds(lease, moment(), lifeMs)
  const table = FenceTable.make(sql, { processId, runner, nowMs, lease: () => lease })

  // Two statements and no transaction: the lease is granted before the devices are read (see `LeaseStep`).
  const ask = Effect.gen(function*() {
    yield* sql`INSERT INTO fleet_process (id, runner, address, lease_until_ms)
      VALUES (${processId}, ${runner}, ${address}, ${nowMs()} + CAST(${grantedMs} AS BIGINT))
      ON CONFLICT (id) DO UPDATE SET lease_until_ms = EXCLUDED.lease_until_ms`
    return yield* sql<{ readonly name: string; readonly epoch: number | string }>`
      SELECT name, epoch FROM fleet_device WHERE holder = ${processId}`
  })

  const renew = Effect.gen(function*() {
    const askedAt = moment()
    const asked = new Map(Array.from(turns, ([name, { epoch }]) => [name, epoch]))
    const rows = yield* ask
    const held = new Map(rows.map(({ epoch, name }) => [name, Number(epoch)]))
    const lost = LeaseStep.lost(asked, held)
    for (const name of lost) {
      const turn = turns.get(name)
      if (turn === undefined || turn.epoch !== asked.get(name)) continue
      turns.delete(name)
      cut(turn)
    }
    for (const [name, epoch] of asked) {
      const turn = turns.get(name)
      if (turn?.epoch === epoch) turn.lease = LeaseStep.renewed(turn.lease, askedAt)
    }
    const before = lease
    lease = LeaseStep.renewed(lease, askedAt)
    const lapsed = before.askedAt !== undefined && !LeaseStep.holds(before, askedAt, lifeMs)
    if (lapsed || lost.length > 0) {
      yield* Effect.logWarning("the lease of this process was renewed late, or devices were taken over").pipe(
        Effect.annotateLogs({ lapsed, takenOver: lost.length, runner })
      )
    }
  })

  const giveBack = (name: string, turn: Turn) =>
    Effect.suspend(() => {
      const isOwn = turns.get(name) === turn
      if (isOwn) turns.delete(name)
      turn.isLost = true
      return isOwn
        ? Effect.ignore(Effect.timeout(table.release({ name, epoch: turn.epoch }), "2 seconds"))
        : Effect.void
    })

  yield* SoleProcess.claim(sql, { processId, runner, nowMs, grant: renew, renewEvery: options.renewEvery })
  yield* Effect.ignore(
    sql`DELETE FROM fleet_process WHERE lease_until_ms < ${nowMs()} - CAST(${forgottenAfterMs} AS BIGINT)`
  )
  // Added before the loop is, so that it runs after the loop has ended: nothing renews a lease that was given back.
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      isOver = true
      for (const turn of turns.values()) cut(turn)
      return Effect.ignore(Effect.timeout(SoleProcess.leave(sql, processId), "2 seconds"))
    })
  )
  yield* Effect.forkScoped(
    Effect.forever(
      Effect.delay(Effect.ignoreCause(Effect.timeout(renew, options.life)), options.renewEvery),
      { disableYield: true }
    )
  )

  return Fence.of({
    processId,
    runner,
    address,
    holds,
    take: Effect.fn("Fence.take")(function*(name) {
      const { turn, waitMs, waits } = yield* Effect.acquireRelease(
        Effect.flatMap(table.raise(name), (raised) => {
          if (raised === undefined) return Effect.fail(new DeviceUnknown({ device: name }))
          const { epoch, leaseBefore, waitMs, waits } = raised
          const turn: Turn = { epoch, lease: leaseBefore, isLost: false, cuts: new Set() }
          const before = turns.get(name)
          if (before !== undefined) cut(before)
          turns.set(name, turn)
          return Effect.succeed({ turn, waitMs, waits })
        }),
        ({ turn }) => giveBack(name, turn)
      )
      if (waitMs > 0) yield* Effect.sleep(Duration.millis(waitMs))
      if (waits) yield* table.waited({ name, epoch: turn.epoch })
      const mayAct = () => !isOver && !turn.isLost && LeaseStep.holds(turn.lease, moment(), lifeMs)
      const ready: Effect.Effect<boolean> = Effect.suspend(() =>
        mayAct() || isOver || turn.isLost ? Effect.sync(mayAct) : Effect.andThen(Effect.sleep("250 millis"), ready)
      )
      return {
        name,
        epoch: turn.epoch,
        mayAct,
        ready,
        onLost: (cut) => {
          // It may have been taken while this one waited, or while its link was opened.
          if (turn.isLost) cut()
          else turn.cuts.add(cut)
          return () => void turn.cuts.delete(cut)
        }
      }
    })
  })
})
