/**
 * What a reader of the table of events does next: which rows it reads, and what it tells of those it has. Pure.
 *
 * Rows of one process are told in their order, each once. Those of several processes are merged by the time at which they were written,
 * so that hours that were missed are told as they were, and not one process after another.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { AgentEvent, isoTime } from "../protocol/AgentEvent.ts"
import type { EventRow, Heads } from "./EventLog.ts"
import type { EventsLost, FleetEvent } from "./FleetEvent.ts"

/** A process as a reader knows it. */
interface Cursor {
  /** The last number that was told, or that counts as told. */
  readonly told: number
  /** Up to here the table was read. */
  readonly readTo: number
  /** Rows that were read and not told. */
  readonly waiting: ReadonlyArray<EventRow>
}

/** What a reader knows. A process that is not in it is new, and counts from 1. */
export type Reading = ReadonlyMap<string, Cursor>

/** What is to be read of a process: the rows behind `after`, up to `upTo`. */
export interface Question {
  readonly process: string
  readonly after: number
  readonly upTo: number
}

/** The answer to a question. `whole` is false where there may be more. */
export interface Page extends Question {
  readonly rows: ReadonlyArray<EventRow>
  readonly whole: boolean
}

/** A reader that has told everything up to these numbers. */
export const from = (known: Iterable<readonly [process: string, seq: number]>): Reading =>
  new Map(Array.from(known, ([process, seq]) => [process, { told: seq, readTo: seq, waiting: [] }]))

const unknown: Cursor = { told: 0, readTo: 0, waiting: [] }

/** What has to be read before more can be told. Empty where nothing more is there up to these heads. */
export const questions = (reading: Reading, heads: Heads): ReadonlyArray<Question> =>
  Array.from(heads).flatMap(([process, upTo]) => {
    const { readTo, waiting } = reading.get(process) ?? unknown
    return waiting.length === 0 && upTo > readTo ? [{ process, after: readTo, upTo }] : []
  })

/** The rows of a process from `place` on. */
interface Lane {
  readonly process: string
  readonly waiting: ReadonlyArray<EventRow>
  place: number
}

/** The lane whose next row was written first. */
const firstOf = (lanes: ReadonlyArray<Lane>): Lane | undefined => {
  let first: Lane | undefined
  let writtenAtMs = Number.POSITIVE_INFINITY
  for (const lane of lanes) {
    const row = lane.waiting[lane.place]
    if (row === undefined || row.writtenAtMs >= writtenAtMs) continue
    first = lane
    ;({ writtenAtMs } = row)
  }
  return first
}

/** Takes what was read, and tells what can be told: up to the point from which on a process has to be read further. */
export const tell = (
  reading: Reading,
  heads: Heads,
  pages: ReadonlyArray<Page>
): readonly [Reading, ReadonlyArray<FleetEvent>] => {
  const cursors = new Map(reading)
  for (const { process, rows, upTo, whole } of pages) {
    const { readTo, told, waiting } = cursors.get(process) ?? unknown
    cursors.set(process, {
      told,
      readTo: whole ? upTo : rows.at(-1)?.seq ?? readTo,
      waiting: [...waiting, ...rows]
    })
  }
  if (questions(cursors, heads).length > 0) return [cursors, []]
  const told: Array<FleetEvent> = []
  const lanes = Array.from(cursors, ([process, { waiting }]): Lane => ({ process, waiting, place: 0 }))
  for (let lane = firstOf(lanes); lane !== undefined; lane = firstOf(lanes)) {
    const cursor = cursors.get(lane.process) ?? unknown
    const row = lane.waiting[lane.place++]
    if (row === undefined) break
    told.push(...eventsOf(row, cursor.told))
    const waiting = lane.place < lane.waiting.length ? cursor.waiting : []
    cursors.set(lane.process, { ...cursor, told: row.seq, waiting })
    if (waiting.length === 0 && (heads.get(lane.process) ?? 0) > cursor.readTo) break
  }
  for (const { place, process, waiting } of lanes) {
    const cursor = cursors.get(process)
    if (cursor !== undefined) cursors.set(process, { ...cursor, waiting: waiting.slice(place) })
  }
  return [cursors, told]
}

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(AgentEvent))

/** What a row tells, with what is missing between it and the number that was told last. */
const eventsOf = (row: EventRow, told: number): ReadonlyArray<FleetEvent> => {
  const { device, epoch, process, runner, seq, writtenAtMs } = row
  const lost = (seq: number, count: number, reason: EventsLost["reason"]): EventsLost => ({
    _tag: "EventsLost",
    process,
    seq,
    runner,
    at: isoTime(writtenAtMs),
    count,
    reason
  })
  const count = seq - told - 1
  return [
    ...(count > 0 ? [lost(seq - 1, count, "Missing")] : []),
    Option.match(decode(row.event), {
      onNone: () => lost(seq, 1, "Unreadable"),
      onSome: (event): FleetEvent => ({ _tag: "DeviceEvent", process, seq, runner, device, epoch, event })
    })
  ]
}
