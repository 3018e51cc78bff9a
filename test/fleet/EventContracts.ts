/**
 * What the table of events keeps, and what its writer and readers do, for a database. In real time: a look at the table is due every half
 * second.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import * as Stream from "effect/Stream"
import * as EventLog from "../../src/fleet/EventLog.ts"
import * as EventReader from "../../src/fleet/EventReader.ts"
import * as EventWriter from "../../src/fleet/EventWriter.ts"
import type { FleetEvent } from "../../src/fleet/FleetEvent.ts"
import type { AgentEvent } from "../../src/protocol/AgentEvent.ts"
import { encodeAgentEvent } from "../../src/protocol/AgentEvent.ts"

const limit = 30_000
const paused: AgentEvent = { at: "2026-11-27T10:00:00.000Z", event: "paused" }
const rows = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => ({
    seq: from + index,
    device: "lamp",
    epoch: 7,
    event: encodeAgentEvent(paused)
  }))
const own = (process: string) => ({ process, runner: `${process}.internal:1` })
const append = (process: string, from: number, to: number) => EventLog.append(own(process), rows(from, to))
const named = (told: FleetEvent) =>
  told._tag === "DeviceEvent" ? `${told.process} ${told.seq}` : `${told.process} lost ${told.count}`
const names = (process: string, from: number, to: number) => rows(from, to).map(({ seq }) => `${process} ${seq}`)
/** Of one process, as those of several come in any order. */
const of = (process: string, all: ReadonlyArray<string>) => all.filter((name) => name.startsWith(`${process} `))

/** Writes as a process does, until `end`. */
const writer = Effect.fnUntraced(function*(process: string) {
  const scope = yield* Scope.make()
  const write = yield* Scope.provide(EventWriter.make(own(process)), scope)
  return { write, end: Scope.close(scope, Exit.void) }
})

/** What a stream has told so far, and its fiber. */
const collect = (events: Stream.Stream<FleetEvent>) =>
  Effect.gen(function*() {
    const told: Array<string> = []
    const fiber = yield* Effect.forkChild(
      Stream.runForEach(events, (event) => Effect.sync(() => void told.push(named(event)))),
      { startImmediately: true }
    )
    return { told, fiber }
  })
const until = (holds: () => boolean) =>
  Effect.repeat(Effect.delay(Effect.sync(holds), "20 millis"), { until: (done) => done })

/** The same of a stream that begins now: done when it has begun. It is told by a process that nothing else is asked of. */
const begun = (events: Stream.Stream<FleetEvent>) =>
  Effect.gen(function*() {
    const probe = `probe ${++probes}`
    const collected = yield* collect(Stream.filter(events, ({ process }) => !process.startsWith("probe")))
    const heard = yield* Effect.forkChild(Stream.runHead(Stream.filter(events, ({ process }) => process === probe)), {
      startImmediately: true
    })
    for (let seq = 1; heard.pollUnsafe() === undefined; seq++) {
      yield* append(probe, seq, seq)
      yield* Effect.sleep("100 millis")
    }
    return collected
  })
let probes = 0

/** The table cannot be used meanwhile, as while the database is away. */
const away = <A, E>(body: Effect.Effect<A, E>) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.acquireUseRelease(
      sql`ALTER TABLE fleet_event RENAME TO fleet_event_away`,
      () => body,
      () => Effect.orDie(sql`ALTER TABLE fleet_event_away RENAME TO fleet_event`)
    ))

/** `database` builds a database with the tables of a fleet and nothing in them. */
export const eventContracts = (kind: string, database: Layer.Layer<SqlClient.SqlClient, SqlError>) => {
  const within = <A, E>(
    body: (logged: (text: string) => Effect.Effect<boolean>) => Effect.Effect<A, E, SqlClient.SqlClient | Scope.Scope>
  ) => {
    const logs: Array<string> = []
    const logger = Logger.layer([Logger.make(({ message }) => void logs.push(String(message)))])
    return Effect.gen(function*() {
      const sql = Context.get(yield* Layer.build(database), SqlClient.SqlClient)
      const logged = (text: string) => until(() => logs.some((each) => each.includes(text)))
      return yield* Effect.provideService(body(logged), SqlClient.SqlClient, sql)
    }).pipe(Effect.provide(logger))
  }

  describe(`events in ${kind}`, () => {
    it.live(
      "a row that is written twice is there once, and a page is in order and within its bounds",
      () =>
        within(() =>
          Effect.gen(function*() {
            yield* append("b", 1, 3)
            yield* append("b", 1, 250)
            yield* append("a", 1, 2)
            assert.deepStrictEqual([...yield* EventLog.heads].toSorted(), [["a", 2], ["b", 250]])
            const page = yield* EventLog.read("b", 5, 240, 100)
            assert.deepStrictEqual(page.map(({ seq }) => seq), rows(6, 105).map(({ seq }) => seq))
            assert.deepInclude(page[0], { process: "b", runner: "b.internal:1", device: "lamp", epoch: 7 })
            assert.isAbove(page[0]?.writtenAtMs ?? 0, 1_700_000_000_000)
            assert.strictEqual((yield* EventLog.read("b", 239, 240, 100)).length, 1)
            assert.deepStrictEqual([...yield* EventLog.before("1 minute")].toSorted(), [["a", 0], ["b", 0]])
          })
        ),
      limit
    )

    it.live(
      "a purge deletes what is old, so much at a time, and leaves the last row of a process that lives",
      () =>
        within(() =>
          Effect.gen(function*() {
            const sql = yield* SqlClient.SqlClient
            yield* sql`INSERT INTO fleet_process (id, runner, address, lease_until_ms) VALUES ('alive', 'x', 'x', 0)`
            yield* append("alive", 1, 3)
            yield* append("gone", 1, 3)
            yield* sql`UPDATE fleet_event SET written_at_ms = written_at_ms - 100000`
            yield* append("young", 1, 3)
            yield* append("young", 4, 4)
            assert.deepStrictEqual([...yield* EventLog.before("1 minute")].toSorted(), [
              ["alive", 3],
              ["gone", 3],
              ["young", 0]
            ])
            assert.strictEqual(yield* EventLog.purge("5 minutes"), 0)
            assert.strictEqual(yield* EventLog.purge("1 minute"), 5)
            assert.strictEqual(yield* EventLog.purge("1 minute"), 0)
            assert.deepStrictEqual([...yield* EventLog.heads].toSorted(), [["alive", 3], ["young", 4]])
            for (let from = 1; from <= 5001; from += 500) yield* append("many", from, Math.min(5001, from + 499))
            yield* sql`UPDATE fleet_event SET written_at_ms = written_at_ms - 100000 WHERE process = 'many'`
            assert.strictEqual(yield* EventLog.purge("1 minute"), EventLog.purgedAtOnce)
            assert.strictEqual(yield* EventLog.purge("1 minute"), 1)
          })
        ),
      limit
    )

    it.live(
      "several subscribers get what two processes write from now on, and what a third one does, each once and in order",
      () =>
        within(() =>
          Effect.gen(function*() {
            yield* append("a", 1, 5)
            const reader = yield* EventReader.make
            const position = yield* reader.position
            assert.deepStrictEqual(position, { a: 5 })
            const first = yield* begun(reader.events)
            const second = yield* begun(reader.events)
            yield* Effect.all([append("a", 6, 150), append("b", 1, 150)], { concurrency: 2 })
            yield* until(() => first.told.length === 295)
            yield* append("c", 1, 1)
            yield* append("a", 151, 151)
            yield* until(() => first.told.length === 297 && second.told.length === 297)
            for (const { told } of [first, second]) {
              assert.deepStrictEqual(of("a", told), names("a", 6, 151))
              assert.deepStrictEqual(of("b", told), names("b", 1, 150))
              assert.deepStrictEqual(of("c", told), ["c 1"])
            }
            const since = yield* collect(reader.eventsFrom({ since: "1 minute" }))
            const behind = yield* collect(reader.eventsFrom({ after: { ...position, a: 140, b: 150 } }))
            yield* until(() => of("a", since.told).length === 151 && of("a", behind.told).length === 11)
            assert.deepStrictEqual(of("a", since.told), names("a", 1, 151))
            assert.deepStrictEqual(of("a", behind.told), names("a", 141, 151))
            assert.deepStrictEqual([...of("b", behind.told), ...of("c", behind.told)], ["c 1"])
          })
        ),
      limit
    )

    it.live(
      "while the database is away, writers and readers wait, and nothing is lost or doubled",
      () =>
        within((logged) =>
          Effect.gen(function*() {
            const reader = yield* EventReader.make
            const { end, write } = yield* writer("w")
            const tell = (count: number) => {
              for (let each = 0; each < count; each++) write({ device: "lamp", epoch: 1, event: paused })
            }
            const { told } = yield* begun(reader.events)
            tell(3)
            yield* until(() => told.length === 3)
            const late = yield* away(Effect.gen(function*() {
              tell(300)
              yield* logged("events of devices wait")
              yield* logged("cannot be read")
              tell(300)
              return yield* collect(reader.eventsFrom({ since: "1 minute" }))
            }))
            tell(1)
            yield* until(() => told.length === 604 && of("w", late.told).length === 604)
            assert.deepStrictEqual(told, names("w", 1, 604))
            assert.deepStrictEqual(of("w", late.told), told)
            yield* end
          })
        ),
      limit
    )

    it.live(
      "tells how many events had to go, leaves pieces of replies out, and writes the rest at its end",
      () =>
        within((logged) =>
          Effect.gen(function*() {
            const reader = yield* EventReader.make
            const { end, write } = yield* writer("w")
            const piece: AgentEvent = { at: paused.at, event: "task.text", taskId: "t", from: 0, text: "x" }
            const { told } = yield* begun(reader.events)
            yield* away(Effect.gen(function*() {
              for (let each = 0; each < 10_050; each++) {
                write({ device: "lamp", epoch: 1, event: paused })
                write({ device: "lamp", epoch: 1, event: piece })
              }
              yield* logged("events of devices wait")
            }))
            yield* until(() => told.length === 10_001)
            assert.deepStrictEqual(told.slice(0, 2), ["w lost 50", "w 51"])
            write({ device: "lamp", epoch: 1, event: paused })
            yield* end
            assert.strictEqual((yield* EventLog.heads).get("w"), 10_051)
            yield* until(() => told.length === 10_002)
            // One that breaks its schema ends nothing, and is counted.
            const other = yield* writer("v")
            const broken: AgentEvent = { at: paused.at, event: "connecting", attempt: -1 }
            for (const event of [broken, paused]) other.write({ device: "lamp", epoch: 1, event })
            yield* other.end
            yield* until(() => told.length === 10_004)
            assert.deepStrictEqual(of("v", told), ["v lost 1", "v 2"])
          })
        ),
      limit
    )

    it.live("asks nothing once the last subscriber has left", () =>
      within((logged) =>
        Effect.gen(function*() {
          const reader = yield* EventReader.make
          const { fiber } = yield* begun(reader.events)
          yield* Fiber.interrupt(fiber)
          // Two polls would have failed by then.
          const asked = yield* away(Effect.timeoutOption(logged("cannot be read"), "1200 millis"))
          assert.isTrue(Option.isNone(asked))
          yield* collect(reader.events)
          yield* away(logged("cannot be read"))
        })
      ), limit)
  })
}
