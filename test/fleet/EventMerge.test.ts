/**
 * The laws of a reader of events: each row once, in the order of its process, whatever was read when.
 */
import { assert, describe, it } from "@effect/vitest"
import type { EventRow, Heads } from "../../src/fleet/EventLog.ts"
import * as EventMerge from "../../src/fleet/EventMerge.ts"
import { EventQueue } from "../../src/fleet/EventQueue.ts"
import { encodeFleetEvent, type FleetEvent, type Position, positionAfter } from "../../src/fleet/FleetEvent.ts"
import { encodeAgentEvent } from "../../src/protocol/AgentEvent.ts"

const event = { at: "2026-11-27T10:00:00.000Z", event: "paused" } as const
const row = (process: string, seq: number, writtenAtMs: number, text = encodeAgentEvent(event)): EventRow => ({
  process,
  seq,
  writtenAtMs,
  runner: `${process}:1`,
  device: `lamp-${seq}`,
  epoch: 1,
  event: text
})

const headsOf = (table: ReadonlyArray<EventRow>): Heads => {
  const heads = new Map<string, number>()
  for (const { process, seq } of table) heads.set(process, Math.max(seq, heads.get(process) ?? 0))
  return heads
}

/** Reads as `EventReader` does, with pages of `limit` rows. */
const readAll = (reading: EventMerge.Reading, table: ReadonlyArray<EventRow>, limit: number) => {
  const heads = headsOf(table)
  const all: Array<FleetEvent> = []
  let current = reading
  for (let round = 0;; round++) {
    assert.isBelow(round, 10_000, "it reads the same again and again")
    const questions = EventMerge.questions(current, heads)
    const pages = questions.map(({ after, process, upTo }) => {
      const rows = table.filter((row) => row.process === process && row.seq > after && row.seq <= upTo)
        .toSorted((left, right) => left.seq - right.seq).slice(0, limit)
      return { process, after, upTo, rows, whole: rows.length < limit }
    })
    const [next, told] = EventMerge.tell(current, heads, pages)
    current = next
    all.push(...told)
    if (questions.length === 0) return [current, all] as const
  }
}

/** A repeatable number below `below`. */
const chance = (seed: number) => {
  let state = seed
  return (below: number) => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
    return Math.floor(state / 2_147_483_648 * below)
  }
}

const named = (told: FleetEvent) => `${told.process} ${told.seq}`

describe("reading the events of a fleet", () => {
  it("tells each row once and in order, finds new processes, and counts what is missing, in 200 random histories", () => {
    for (let seed = 1; seed <= 200; seed++) {
      const next = chance(seed)
      const processes = ["a", "b", "c", "d"].slice(0, 1 + next(4))
      const counted = new Map(processes.map((process) => [process, next(5)]))
      const start = new Map(counted)
      // A process begins to write some time, and one that the reader does not know counts from 1.
      for (const process of processes) {
        if (next(3) > 0) continue
        counted.set(process, 0)
        start.delete(process)
      }
      const table: Array<EventRow> = []
      const written: Array<string> = []
      const missing = new Map<string, number>()
      let clockMs = 1000
      let reading = EventMerge.from(start)
      let position: Position = Object.fromEntries(start)
      const told: Array<FleetEvent> = []
      for (let step = 0; step < 12; step++) {
        for (const process of processes) {
          for (let count = next(6); count > 0; count--) {
            const gap = next(8) === 0 ? 1 + next(3) : 0
            const seq = (counted.get(process) ?? 0) + gap + 1
            counted.set(process, seq)
            missing.set(process, (missing.get(process) ?? 0) + gap)
            clockMs += next(4) - 1
            table.push(row(process, seq, clockMs))
            written.push(`${process} ${seq}`)
          }
        }
        const [after, some] = readAll(reading, table, 1 + next(4))
        reading = after
        told.push(...some)
        for (const each of some) position = positionAfter(position, each)
        // A reader that was started again goes on from its position.
        if (next(4) === 0) reading = EventMerge.from(Object.entries(position))
      }
      const events = told.filter(({ _tag }) => _tag === "DeviceEvent").map(named)
      assert.sameMembers(events, written, `seed ${seed}`)
      assert.strictEqual(new Set(events).size, written.length)
      for (const process of processes) {
        const own = told.filter((each) => each.process === process)
        assert.deepStrictEqual(own.map(({ seq }) => seq), own.map(({ seq }) => seq).toSorted((a, b) => a - b))
        const lost = own.reduce((sum, each) => sum + (each._tag === "EventsLost" ? each.count : 0), 0)
        assert.strictEqual(lost, missing.get(process) ?? 0, `seed ${seed}`)
      }
    }
  })

  it("merges what was missed by the time at which it was written, with pages of any size", () => {
    const table = [
      ...[1, 4, 5, 9, 12].map((at, index) => row("a", index + 1, at)),
      ...[2, 3, 6, 7, 8].map((at, index) => row("b", index + 1, at)),
      ...[10, 11].map((at, index) => row("c", index + 1, at))
    ]
    const expected = table.toSorted((left, right) => left.writtenAtMs - right.writtenAtMs)
      .map(({ process, seq }) => `${process} ${seq}`)
    for (const limit of [1, 2, 3, 100]) {
      assert.deepStrictEqual(readAll(EventMerge.from([]), table, limit)[1].map(named), expected)
    }
  })

  it("goes on where rows went between two questions, and tells how many", () => {
    const before = EventMerge.from([["a", 3]])
    const heads = new Map([["a", 9]])
    assert.deepStrictEqual(EventMerge.questions(before, heads), [{ process: "a", after: 3, upTo: 9 }])
    const [after, told] = EventMerge.tell(before, heads, [{ process: "a", after: 3, upTo: 9, rows: [], whole: true }])
    assert.deepStrictEqual(told, [])
    assert.deepStrictEqual(EventMerge.questions(after, heads), [])
    const [, later] = readAll(after, [row("a", 10, 5000)], 10)
    assert.deepStrictEqual(later.map(({ _tag }) => _tag), ["EventsLost", "DeviceEvent"])
    assert.deepInclude(later[0], { count: 6, seq: 9, reason: "Missing", at: "1970-01-01T00:00:05.000Z" })
  })

  it("tells an event that this release cannot read as lost, and goes on", () => {
    const table = [row("a", 1, 1, `{"at":"x","event":"of.tomorrow"}`), row("a", 2, 2, "no JSON"), row("a", 3, 3)]
    const [, told] = readAll(EventMerge.from([]), table, 10)
    assert.deepStrictEqual(told.map((each) => each._tag === "EventsLost" ? each.reason : each.event.event), [
      "Unreadable",
      "Unreadable",
      "paused"
    ])
  })

  it("encodes an event as one line, with its device and runner in front", () => {
    const [, told] = readAll(EventMerge.from([]), [row("a", 2, 0)], 10)
    assert.deepStrictEqual(told.map((each) => JSON.parse(encodeFleetEvent(each))), [
      {
        runner: "a:1",
        process: "a",
        seq: 1,
        at: "1970-01-01T00:00:00.000Z",
        event: "events.lost",
        count: 1,
        reason: "Missing"
      },
      { device: "lamp-2", runner: "a:1", epoch: 1, process: "a", seq: 2, ...event }
    ])
    assert.match(encodeFleetEvent(told[1] ?? assert.fail()), /^\{"device":"lamp-2","runner":"a:1"/)
  })
})

describe("events that wait for the database", () => {
  const limits = { events: 5, size: 100, batchEvents: 3, batchSize: 40 }
  const told = (event: string) => ({ device: "lamp", epoch: 1, event })
  const numbers = (queue: EventQueue) => queue.batch().map(({ seq }) => seq)

  it("go in order, in batches, and stay until they are written", () => {
    const queue = new EventQueue(limits)
    for (let count = 0; count < 5; count++) assert.strictEqual(queue.push(told("x")), 0)
    assert.deepStrictEqual(numbers(queue), [1, 2, 3])
    assert.deepStrictEqual(numbers(queue), [1, 2, 3])
    queue.written(3)
    assert.deepStrictEqual(numbers(queue), [4, 5])
    queue.written(5)
    assert.deepStrictEqual(numbers(queue), [])
  })

  it("are counted where they cannot be written", () => {
    const queue = new EventQueue(limits)
    queue.push(told("x"))
    queue.skip()
    queue.push(told("x"))
    assert.deepStrictEqual(numbers(queue), [1, 3])
  })

  it("are bounded by number and by size, and the newest stays", () => {
    const queue = new EventQueue(limits)
    const gone = Array.from({ length: 8 }, () => queue.push(told("x"))).reduce((sum, count) => sum + count)
    assert.strictEqual(gone, 3)
    assert.deepStrictEqual(numbers(queue), [4, 5, 6])
    // What was handed out before is written after it had to go.
    queue.written(3)
    assert.deepStrictEqual(numbers(queue), [4, 5, 6])
    assert.strictEqual(queue.push(told("x".repeat(500))), 5)
    assert.deepStrictEqual(numbers(queue), [9])
    assert.strictEqual(queue.push(told("x".repeat(30))), 1)
    queue.push(told("x".repeat(30)))
    assert.deepStrictEqual(numbers(queue), [10])
  })
})
