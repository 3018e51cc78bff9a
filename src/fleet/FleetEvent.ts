/**
 * The events of all devices of a fleet, as its processes write them into the database, and how far a consumer has read them.
 *
 * A process is one life of a runner. It counts its events from 1, and they are told in that order. Those of several processes are
 * ordered by the database's clock, as far as one look at the table shows them. No event holds a secret. It does hold texts of tasks
 * and replies.
 */
import type * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import type { AgentEvent } from "../protocol/AgentEvent.ts"
import { encodeAgentEvent } from "../protocol/AgentEvent.ts"

/**
 * What a device told. Events of an activation that another one has superseded are told too, as they are facts of the past: `epoch`
 * tells them apart, as each activation of a device has a higher one.
 */
export interface DeviceEvent {
  readonly _tag: "DeviceEvent"
  /** Names the life of the process that wrote it. */
  readonly process: string
  /** Counted by the process: with `process` it names the event. */
  readonly seq: number
  /** `host:port` of the runner. */
  readonly runner: string
  readonly device: string
  readonly epoch: number
  /** Without `task.text`: pieces of replies are not kept, as `task.reply` has the whole. */
  readonly event: AgentEvent
}

/** Events that a consumer does not get. */
export interface EventsLost {
  readonly _tag: "EventsLost"
  readonly process: string
  /** That of the last one of them. */
  readonly seq: number
  readonly runner: string
  /** ISO 8601, on the database's clock: when the event was written that shows the loss. */
  readonly at: string
  readonly count: number
  /**
   * `Missing`: the process had no room for them while the database was away, or they were older than is kept before they were read.
   * `Unreadable`: a newer release wrote them, and this one does not know their kind.
   */
  readonly reason: "Missing" | "Unreadable"
}

/** What the fleet tells. */
export type FleetEvent = DeviceEvent | EventsLost

/** How far a consumer has read: the last `seq` of each process. To be kept as JSON. */
export const Position = Schema.Record(Schema.String, Schema.Natural)
export type Position = typeof Position.Type

/** Where reading begins. `since`: so long ago, on the database's clock. `after`: with the first event behind a position. */
export type Start = { readonly since: Duration.Input } | { readonly after: Position }

/** The position of a consumer that has dealt with this event. */
export const positionAfter = (position: Position, { process, seq }: FleetEvent): Position => ({
  ...position,
  [process]: Math.max(position[process] ?? 0, seq)
})

/** The event as one line of JSON: that of the device, with what the fleet knows of it in front. */
export const encodeFleetEvent = (told: FleetEvent): string => {
  const { process, runner, seq } = told
  if (told._tag === "EventsLost") {
    const { at, count, reason } = told
    return JSON.stringify({ runner, process, seq, at, event: "events.lost", count, reason })
  }
  const { device, epoch, event } = told
  return `${JSON.stringify({ device, runner, epoch, process, seq }).slice(0, -1)},${encodeAgentEvent(event).slice(1)}`
}
