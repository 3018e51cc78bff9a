/**
 * What is remembered of an agent's events to make a report of them. Pure.
 *
 * Tasks are counted; their texts are not kept.
 */
import type { AgentEvent, Failure } from "../protocol/AgentEvent.ts"
import type { Pairing, PastFailure } from "./StatusReport.ts"

type ConnectedEvent = Extract<AgentEvent, { readonly event: "connected" }>
type ToolsEvent = Extract<AgentEvent, { readonly event: "tools" }>

/** What the events have told so far. */
export interface Told {
  readonly identity: Extract<AgentEvent, { readonly event: "identity" }> | undefined
  readonly gateway: Extract<AgentEvent, { readonly event: "gateway" }> | undefined
  readonly connected: ConnectedEvent | undefined
  /** The last failure that still holds: of a wait or a halt. */
  readonly cause: Failure | undefined
  readonly pairing: Pairing | undefined
  readonly toolsPairing: Pairing | undefined
  readonly tools: ToolsEvent | undefined
  /** The open tasks, and whether each was sent. */
  readonly open: ReadonlyMap<string, boolean>
  readonly replied: number
  readonly failed: number
  readonly lastError: PastFailure | undefined
  /** What the connection went through, the last `recentEvents`. */
  readonly recent: ReadonlyArray<AgentEvent>
}

/** How many events `recent` keeps. */
export const recentEvents = 100

export const nothingTold: Told = {
  identity: undefined,
  gateway: undefined,
  connected: undefined,
  cause: undefined,
  pairing: undefined,
  toolsPairing: undefined,
  tools: undefined,
  open: new Map(),
  replied: 0,
  failed: 0,
  lastError: undefined,
  recent: []
}

/** What is told after one more event. */
export const step = (told: Told, event: AgentEvent): Told => {
  const next = { ...told, ...changeOf(told, event) }
  return isOfConnection(event) ? { ...next, recent: [...told.recent, event].slice(-recentEvents) } : next
}

/** Neither tasks, which have texts of people, nor the page, whose address opens it. */
const isOfConnection = ({ event }: AgentEvent): boolean => !event.startsWith("task.") && event !== "page"

const changeOf = (told: Told, event: AgentEvent): Partial<Told> => {
  switch (event.event) {
    case "identity":
      return { identity: event }
    case "gateway":
      return { gateway: event, connected: undefined, cause: undefined }
    case "connecting":
    case "paused":
      return { connected: undefined, cause: undefined }
    case "connected":
      return { connected: event, cause: undefined }
    case "waiting":
      return {
        connected: undefined,
        cause: event.cause,
        lastError: { at: event.at, error: event.cause }
      }
    case "halted":
      return {
        connected: undefined,
        cause: event.error,
        lastError: { at: event.at, error: event.error }
      }
    case "pairing.required":
    case "pairing.reminder":
    case "pairing.superseded":
    case "pairing.expiring":
    case "pairing.renewed":
      return event.role === undefined ? { pairing: pairingOf(event) } : { toolsPairing: pairingOf(event) }
    case "pairing.expired":
    case "pairing.resolved":
    case "pairing.cancelled":
      return event.role === undefined ? { pairing: undefined } : { toolsPairing: undefined }
    case "tools":
      return { tools: event }
    case "task.queued":
      return { open: new Map(told.open).set(event.taskId, false) }
    case "task.sent":
      return { open: new Map(told.open).set(event.taskId, true) }
    case "task.reply":
      return { open: without(told.open, event.taskId), replied: told.replied + 1 }
    case "task.failed":
      return {
        open: without(told.open, event.taskId),
        failed: told.failed + 1,
        lastError: { at: event.at, error: event.error }
      }
    default:
      return {}
  }
}

const pairingOf = (
  event: Extract<AgentEvent, { readonly list: unknown }>
): Pairing => ({
  reason: event.reason,
  ...(event.requestId === undefined ? {} : { requestId: event.requestId }),
  since: event.since,
  command: (event.approve ?? event.list).text,
  ...(event.requestedScopes === undefined ? {} : { requestedScopes: event.requestedScopes }),
  ...(event.approvedScopes === undefined ? {} : { approvedScopes: event.approvedScopes })
})

const without = (open: ReadonlyMap<string, boolean>, taskId: string): ReadonlyMap<string, boolean> => {
  const left = new Map(open)
  left.delete(taskId)
  return left
}
