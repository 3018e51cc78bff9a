/**
 * Streams of the events of a fleet, over the table that its processes write.
 *
 * One fiber asks for the numbers of all processes, twice a second, while anybody reads; each subscriber then reads the rows that it has
 * not told, at its own pace. So nothing waits in memory for a slow one, and a thousand idle ones ask the database no more than one
 * does. While the database is away, all of them wait.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as RcRef from "effect/RcRef"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import * as Stream from "effect/Stream"
import * as Broadcast from "../broadcast/Broadcast.ts"
import type { Heads } from "./EventLog.ts"
import * as EventLog from "./EventLog.ts"
import * as EventMerge from "./EventMerge.ts"
import type { FleetEvent, Position, Start } from "./FleetEvent.ts"

/** Reads the events of all runners. */
export interface EventReader {
  /** From now on: from the first answer of the database on. */
  readonly events: Stream.Stream<FleetEvent>
  /** From an earlier point on, as far as events are kept, and then as they come. */
  readonly eventsFrom: (start: Start) => Stream.Stream<FleetEvent>
  /** Where the fleet is now: what `events` would begin behind. */
  readonly position: Effect.Effect<Position, SqlError>
}

const pollEvery = "500 millis"
/** An answer may be lost with its connection. */
const answerWithin = "10 seconds"
const pageRows = 100

/** The reader of this process. Its fiber ends with the last subscriber, and with the scope. */
export const make: Effect.Effect<EventReader, never, Scope.Scope | SqlClient.SqlClient> = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  // A collector has no use for spans that come all the time and have no parent.
  const ask = <A>(question: Effect.Effect<A, SqlError, SqlClient.SqlClient>) =>
    Effect.withTracerEnabled(Effect.provideService(question, SqlClient.SqlClient, sql), false)
  const patient = <A>(question: Effect.Effect<A, SqlError, SqlClient.SqlClient>): Effect.Effect<A> =>
    Effect.retry(Effect.timeout(ask(question), answerWithin), Schedule.spaced("1 second")).pipe(Effect.orDie)

  const polled = yield* RcRef.make({ acquire: Effect.provideService(poll, SqlClient.SqlClient, sql) })

  const read = ({ after, process, upTo }: EventMerge.Question) =>
    Effect.map(EventLog.read(process, after, upTo, pageRows), (rows): EventMerge.Page => ({
      process,
      after,
      upTo,
      rows,
      whole: rows.length < pageRows
    }))

  const follow = (start: Effect.Effect<Iterable<readonly [string, number]>, SqlError, SqlClient.SqlClient>) =>
    Stream.unwrap(Effect.gen(function*() {
      const heads = yield* RcRef.get(polled)
      let reading = EventMerge.from(yield* patient(start))
      const tellUpTo = (heads: Heads) =>
        Stream.paginate(undefined, () =>
          Effect.gen(function*() {
            const questions = EventMerge.questions(reading, heads)
            const pages = yield* Effect.forEach(questions, (question) => patient(read(question)))
            const [next, told] = EventMerge.tell(reading, heads, pages)
            reading = next
            return [told, questions.length > 0 ? Option.some(undefined) : Option.none<undefined>()]
          }))
      return Stream.flatMap(heads.subscribe(), tellUpTo)
    }))

  return {
    events: follow(EventLog.heads),
    eventsFrom: (start) =>
      follow("since" in start ? EventLog.before(start.since) : Effect.succeed(Object.entries(start.after))),
    position: Effect.map(ask(EventLog.heads), (heads) => Object.fromEntries(heads))
  }
})

/** Tells the newest heads, whenever they have changed. */
const poll = Effect.gen(function*() {
  let latest: Heads | undefined
  let isAway = false
  const told = Broadcast.make<Heads>({
    snapshot: () => latest === undefined ? [] : [latest],
    coalesceKey: () => "heads"
  })
  const ask = Effect.withTracerEnabled(EventLog.heads, false).pipe(
    Effect.timeout(answerWithin),
    Effect.tap((heads) =>
      Effect.sync(() => {
        isAway = false
        if (latest !== undefined && !isAhead(heads, latest)) return
        latest = heads
        told.publish(heads)
      })
    ),
    Effect.catch(() => {
      const isNew = !isAway
      isAway = true
      return isNew
        ? Effect.logWarning("events of the fleet cannot be read: they wait until the database answers")
        : Effect.void
    })
  )
  yield* Effect.forever(Effect.andThen(ask, Effect.sleep(pollEvery)), { disableYield: true }).pipe(
    Effect.ignoreCause({ log: "Error", message: "events of the fleet are read no longer" }),
    Effect.forkScoped
  )
  return told
})

/** Whether a process has written since. */
const isAhead = (heads: Heads, latest: Heads): boolean =>
  [...heads].some(([process, seq]) => seq > (latest.get(process) ?? 0))
