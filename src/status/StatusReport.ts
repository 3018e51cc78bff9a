/**
 * What a running program tells of itself: device, gateway, connection, tasks. No field holds a secret or the text of a task.
 */
import * as Schema from "effect/Schema"
import { Failure, ToolsState } from "../protocol/AgentEvent.ts"
import { ApprovalReason } from "../protocol/Refusal.ts"

/** Where a connection stands, in the words of `ConnectionStatus`. */
export const ConnectionState = Schema.Literals([
  "connecting",
  "awaiting-approval",
  "connected",
  "waiting",
  "paused",
  "halted",
  "stopped"
])
export type ConnectionState = typeof ConnectionState.Type

/** A failure and when it was told, ISO 8601 in UTC on the clock of the program. */
export const PastFailure = Schema.Struct({ at: Schema.String, error: Failure })
export type PastFailure = typeof PastFailure.Type

/** What waits for a person. Times are ISO 8601 in UTC. */
export const Pairing = Schema.Struct({
  reason: ApprovalReason,
  requestId: Schema.optionalKey(Schema.String),
  since: Schema.String,
  /** The command that approves the request on the gateway host, or lists the requests where there is no id. */
  command: Schema.String,
  requestedScopes: Schema.optionalKey(Schema.Array(Schema.String)),
  approvedScopes: Schema.optionalKey(Schema.Array(Schema.String))
})
export type Pairing = typeof Pairing.Type

/** The session of a connection. Durations are in milliseconds. */
export const SessionReport = Schema.Struct({
  connectedAt: Schema.String,
  protocol: Schema.Natural,
  serverVersion: Schema.optionalKey(Schema.String),
  scopes: Schema.Array(Schema.String),
  missingScopes: Schema.optionalKey(Schema.Array(Schema.String)),
  /** The gateway's clock minus the program's. */
  clockDeltaMs: Schema.optionalKey(Schema.Finite),
  handshakeMs: Schema.Finite,
  deviceTokenIssued: Schema.Boolean
})
export type SessionReport = typeof SessionReport.Type

/** One program. */
export const StatusReport = Schema.Struct({
  version: Schema.Literal(1),
  /** The command that runs: `run`, `mcp` or `delegate`. */
  command: Schema.String,
  pid: Schema.Natural,
  program: Schema.String,
  nodejs: Schema.String,
  startedAt: Schema.String,
  uptimeMs: Schema.Finite,
  /** By how much the wall clock has moved against the monotonic clock since the start: it was set, or the machine slept. */
  clockStepMs: Schema.Finite,
  device: Schema.Struct({
    deviceId: Schema.String,
    compareCode: Schema.String,
    /** Where the identity is kept; absent for one that is not in a file. */
    path: Schema.optionalKey(Schema.String)
  }),
  gateway: Schema.Struct({ url: Schema.String, embedded: Schema.Boolean }),
  roles: Schema.Array(Schema.String),
  state: ConnectionState,
  /** When the state began, as far as this program has told it. */
  since: Schema.String,
  session: Schema.optionalKey(SessionReport),
  pairing: Schema.optionalKey(Pairing),
  /** Of the state `waiting` or `halted`. */
  cause: Schema.optionalKey(Failure),
  retryAt: Schema.optionalKey(Schema.String),
  credential: Schema.Struct({
    /** What the settings hold. */
    configured: Schema.Literals(["token", "password", "none"]),
    /** A device token of this gateway is stored. */
    stored: Schema.Boolean
  }),
  tools: Schema.optionalKey(Schema.Struct({
    state: ToolsState,
    tools: Schema.optionalKey(Schema.Array(Schema.String)),
    error: Schema.optionalKey(Failure),
    pairing: Schema.optionalKey(Pairing)
  })),
  /** Open tasks by state, and those that ended since the start. */
  tasks: Schema.Struct({
    queued: Schema.Natural,
    sent: Schema.Natural,
    replied: Schema.Natural,
    failed: Schema.Natural
  }),
  lastError: Schema.optionalKey(PastFailure)
})
export type StatusReport = typeof StatusReport.Type
