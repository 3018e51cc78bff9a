/**
 * The state of a device in one word, and the approval that it waits for, from its events. Pure.
 */
import * as Schema from "effect/Schema"
import type { AgentEvent } from "../protocol/AgentEvent.ts"
import { ConnectionState } from "../status/StatusReport.ts"

/** `starting`: no connection has been tried yet, for example while another process still has the device. */
export const State = Schema.Literals(["starting", ...ConnectionState.literals])
export type State = typeof State.Type

/** An approval that a person has to give at the gateway. */
export const Approval = Schema.Struct({
  /** Absent when the gateway sent none that is safe to show. */
  requestId: Schema.optionalKey(Schema.String),
  /** ISO 8601. */
  since: Schema.String,
  /** The device works meanwhile, with fewer scopes. */
  connected: Schema.optionalKey(Schema.Boolean)
})
export type Approval = typeof Approval.Type

/** What is told of a device. */
export interface DeviceState {
  readonly state: State
  readonly deviceId: string
  readonly approval: Approval | undefined
}

/** Before the first event. */
export const initial: DeviceState = { state: "starting", deviceId: "", approval: undefined }

/** The state after an event; the same object where the event changes nothing. */
export const after = (before: DeviceState, event: AgentEvent): DeviceState => {
  switch (event.event) {
    case "identity":
      return { ...before, deviceId: event.deviceId }
    case "connecting":
    case "connected":
    case "waiting":
    case "paused":
    case "halted":
    case "stopped":
      return before.state === event.event ? before : { ...before, state: event.event }
    case "pairing.required":
    case "pairing.reminder":
    case "pairing.superseded":
    case "pairing.expiring":
    case "pairing.renewed": {
      if (event.role !== undefined) return before
      const { connected = false, requestId, since } = event
      const approval: Approval = {
        ...(requestId === undefined ? {} : { requestId }),
        since,
        ...(connected ? { connected } : {})
      }
      const { approval: known, state } = before
      const next = connected ? state : "awaiting-approval"
      return known?.requestId === requestId && known?.since === since && state === next
        ? before
        : { ...before, state: next, approval }
    }
    case "pairing.expired":
    case "pairing.resolved":
    case "pairing.cancelled":
      return event.role !== undefined || before.approval === undefined ? before : { ...before, approval: undefined }
    default:
      return before
  }
}
