/**
 * The report of a program at one moment, of what its events told and of the state of its connection. Pure.
 */
import type { ConnectionStatus } from "../connection/ConnectionStatus.ts"
import { isoTime } from "../protocol/AgentEvent.ts"
import type { Told } from "./StatusFold.ts"
import type { ConnectionState, SessionReport, StatusReport } from "./StatusReport.ts"

/** What does not change while the program runs. */
export interface About {
  readonly command: string
  readonly pid: number
  readonly program: string
  readonly nodejs: string
  /** Milliseconds since 1970 on the wall clock. */
  readonly startedAtMs: number
  /** The credential that the settings hold. */
  readonly configured: StatusReport["credential"]["configured"]
}

/** What holds at the moment of the report. */
export interface Moment {
  /** Milliseconds since 1970 on the wall clock. */
  readonly nowMs: number
  /** Milliseconds on the monotonic clock since the start. */
  readonly uptimeMs: number
  readonly status: ConnectionStatus
  /** When the program entered the state, on its wall clock. */
  readonly sinceMs: number
  readonly stored: boolean
}

const states = {
  AwaitingApproval: "awaiting-approval",
  Connected: "connected",
  Connecting: "connecting",
  Halted: "halted",
  Paused: "paused",
  Stopped: "stopped",
  Waiting: "waiting"
} as const satisfies Readonly<Record<ConnectionStatus["_tag"], ConnectionState>>

/** The name of a status in reports. */
export const stateOf = ({ _tag }: ConnectionStatus): ConnectionState => states[_tag]

export const reportOf = (about: About, told: Told, moment: Moment): StatusReport => {
  const { nowMs, sinceMs, status, stored, uptimeMs } = moment
  const { cause, gateway, identity, lastError, open, pairing, tools, toolsPairing } = told
  const state = stateOf(status)
  const session = sessionOf(status, told)
  const sent = [...open.values()].filter((isSent) => isSent).length
  return {
    version: 1,
    command: about.command,
    pid: about.pid,
    program: about.program,
    nodejs: about.nodejs,
    startedAt: isoTime(about.startedAtMs),
    uptimeMs,
    clockStepMs: nowMs - about.startedAtMs - uptimeMs,
    device: {
      deviceId: identity?.deviceId ?? "",
      compareCode: identity?.compareCode ?? "",
      ...(identity?.path === undefined ? {} : { path: identity.path })
    },
    gateway: { url: gateway?.url ?? "", embedded: gateway?.embedded ?? false },
    roles: tools === undefined ? ["operator"] : ["operator", "node"],
    state,
    since: isoTime(sinceMs),
    ...(session === undefined ? {} : { session }),
    ...(pairing === undefined ? {} : { pairing }),
    ...(cause === undefined || (state !== "waiting" && state !== "halted") ? {} : { cause }),
    ...(status._tag === "Waiting" ? { retryAt: isoTime(status.retryAtMs) } : {}),
    credential: { configured: about.configured, stored },
    ...(tools === undefined ? {} : {
      tools: {
        state: tools.state,
        ...(tools.tools === undefined ? {} : { tools: tools.tools }),
        ...(tools.error === undefined ? {} : { error: tools.error }),
        ...(toolsPairing === undefined ? {} : { pairing: toolsPairing })
      }
    }),
    tasks: { queued: open.size - sent, sent, replied: told.replied, failed: told.failed },
    ...(lastError === undefined ? {} : { lastError })
  }
}

/** Words of the gateway come from the event, in which credentials are redacted already. */
const sessionOf = (status: ConnectionStatus, { connected }: Told): SessionReport | undefined => {
  if (status._tag !== "Connected" || connected === undefined) return undefined
  const { connectedAtMs, handshakeMs } = status.session.facts
  return {
    connectedAt: isoTime(connectedAtMs),
    protocol: connected.protocol,
    ...(connected.serverVersion === undefined ? {} : { serverVersion: connected.serverVersion }),
    scopes: connected.scopes,
    ...(connected.missingScopes === undefined ? {} : { missingScopes: connected.missingScopes }),
    ...(connected.clockDeltaMs === undefined ? {} : { clockDeltaMs: connected.clockDeltaMs }),
    handshakeMs,
    deviceTokenIssued: connected.deviceTokenIssued
  }
}

/** Whether two reports differ in more than in the time that has passed. */
export const differs = (one: StatusReport, other: StatusReport): boolean => timeless(one) !== timeless(other)

const timeless = (report: StatusReport): string =>
  JSON.stringify({ ...report, uptimeMs: 0, clockStepMs: 0, retryAt: undefined })
