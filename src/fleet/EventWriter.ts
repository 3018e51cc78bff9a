/**
 * Writes what the devices of this process tell into the database, many events at a time.
 *
 * While the database is away they wait, up to a bound. A process that is killed takes what it has not written with it: the last quarter of
 * a second, or what was told since the database went away.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import { AgentEvent } from "../protocol/AgentEvent.ts"
import * as EventLog from "./EventLog.ts"
import { EventQueue, type Waiting } from "./EventQueue.ts"

/** Takes an event to be written. */
export type Write = (told: { readonly device: string; readonly epoch: number; readonly event: AgentEvent }) => void

const encode = Schema.encodeOption(Schema.fromJsonString(AgentEvent))

const limits = { events: 10_000, size: 32_000_000, batchEvents: 200, batchSize: 1_000_000 }
const writeEvery = "250 millis"
const retryAfter = "1 second"
/** An answer may be lost with its connection. */
const answerWithin = "10 seconds"
/** For what is left when the process ends. */
const endWithin = "2 seconds"

/** Until the scope closes; then what waits is written, if the database answers. */
export const make = Effect.fnUntraced(function*(
  own: { readonly process: string; readonly runner: string }
): Effect.fn.Return<Write, never, Scope.Scope | SqlClient.SqlClient> {
  const sql = yield* SqlClient.SqlClient
  const queue = new EventQueue(limits)
  let dropped = 0
  let isAway = false

  const append = (events: ReadonlyArray<Waiting>) =>
    EventLog.append(own, events).pipe(
      Effect.timeout(answerWithin),
      Effect.withTracerEnabled(false),
      Effect.provideService(SqlClient.SqlClient, sql)
    )
  const write: Effect.Effect<void, Effect.Error<ReturnType<typeof append>>> = Effect.suspend(() => {
    const events = queue.batch()
    const last = events.at(-1)
    if (last === undefined) return Effect.void
    return Effect.andThen(append(events), Effect.andThen(Effect.sync(() => queue.written(last.seq)), write))
  })
  const went = Effect.suspend(() => {
    if (isAway) return Effect.void
    isAway = true
    return Effect.logWarning("events of devices wait until the database answers")
  })
  const back = Effect.suspend(() => {
    if (!isAway) return Effect.void
    isAway = false
    const count = dropped
    dropped = 0
    return Effect.logInfo("events of devices are written again").pipe(Effect.annotateLogs({ dropped: count }))
  })
  const turn = Effect.matchEffect(Effect.delay(write, writeEvery), {
    onSuccess: () => back,
    onFailure: () => Effect.andThen(went, Effect.sleep(retryAfter))
  })

  yield* Effect.addFinalizer(() => Effect.ignore(Effect.timeout(write, endWithin)))
  yield* Effect.forever(turn, { disableYield: true }).pipe(
    Effect.ignoreCause({ log: "Error", message: "events of devices are written no longer" }),
    Effect.forkScoped
  )
  return ({ device, epoch, event }) => {
    // Ten a second for each task that runs, and all of it comes again with the reply.
    if (event.event === "task.text") return
    const text = encode(event)
    // The caller follows the state of the device by the same events, and must not die of one.
    if (Option.isNone(text)) return queue.skip()
    dropped += queue.push({ device, epoch, event: text.value })
  }
})
