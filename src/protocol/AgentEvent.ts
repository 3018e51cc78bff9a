/**
 * The events of an agent in their one outward form: connection, pairing and tasks.
 *
 * Lines of `--json`, server-sent events and a host's own channel are encodings of this union. `at` is ISO 8601 in UTC on
 * this process's clock. No event holds a secret.
 */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { DeviceId, RequestId, Suspension } from "./Connect.ts"
import { PlaceCommands, UpgradeEnd } from "./PairingNotice.ts"
import { ApprovalReason } from "./Refusal.ts"
import { ShellCommand } from "./ShellCommand.ts"

/** Milliseconds of a clock as events show them. A number that is no time may come from a file or from the wire. */
export const isoTime = (ms: number): string =>
  Option.match(DateTime.make(ms), { onNone: () => "an unknown time", onSome: DateTime.formatIso })

const event = <const Name extends string, Fields extends Schema.Struct.Fields>(name: Name, fields: Fields) =>
  Schema.Struct({ at: Schema.String, event: Schema.Literal(name), ...fields })

/** A failure as people and programs read it: `error` names its class, `message` holds the facts, `advice` what to do. */
export const Failure = Schema.Struct({
  error: Schema.String,
  reason: Schema.optionalKey(Schema.String),
  message: Schema.String,
  /** Whose side it is: you, gateway host, network, this program. */
  owner: Schema.optionalKey(Schema.String),
  advice: Schema.optionalKey(Schema.String),
  /** The command at the end of `advice`, where it has one. Words in angle brackets are to be filled in. */
  command: Schema.optionalKey(Schema.String),
  /** What the agent does next by itself. */
  next: Schema.optionalKey(Schema.String)
})
export type Failure = typeof Failure.Type

/** Of which of a device's connections this is told: that of its tools. Absent for that of its tasks. */
const role = { role: Schema.optionalKey(Schema.Literal("node")) }

const request = {
  requestId: Schema.optionalKey(RequestId),
  deviceId: DeviceId,
  reason: ApprovalReason,
  ...role
}

/** How the tools of this program stand with the gateway's agent. */
export const ToolsState = Schema.Literals([
  "connecting",
  "awaiting-approval",
  "published",
  "rejected",
  "switched-off",
  "not-offered",
  "superseded",
  "waiting",
  "halted"
])
export type ToolsState = typeof ToolsState.Type

const times = {
  since: Schema.String,
  /** When the gateway drops the request unless it is asked again; the agent asks again in time. */
  expiresAt: Schema.String
}

const instructions = {
  ...request,
  ...times,
  /** Absent without a request id that is safe to show: then one lists first. */
  approve: Schema.optionalKey(ShellCommand),
  list: ShellCommand,
  /** The same for each place where the gateway may live; absent where the place is known. */
  places: Schema.optionalKey(Schema.Array(PlaceCommands)),
  requestedScopes: Schema.optionalKey(Schema.Array(Schema.String)),
  approvedScopes: Schema.optionalKey(Schema.Array(Schema.String)),
  /** True when the device is connected with the approved scopes, and only wider ones wait for approval. */
  connected: Schema.optionalKey(Schema.Boolean),
  /** What the commands need besides, for example a credential. They never hold one. */
  note: Schema.optionalKey(Schema.String)
}

const question = { questionId: Schema.String, tool: Schema.String }

const task = { taskId: Schema.String }
const accepted = {
  ...task,
  /** What was asked for, as it was delegated. */
  summary: Schema.optionalKey(Schema.String)
}

/** One event of an agent; `event` names its kind. Made by `agent/AgentEvents` from status, notices and tasks. */
export const AgentEvent = Schema.Union([
  event("identity", {
    deviceId: DeviceId,
    /** Eight words read off the device id, to be compared with what the approver sees. */
    compareCode: Schema.String,
    created: Schema.Boolean,
    /** Where the identity is kept. Absent for one that lives in memory only. */
    path: Schema.optionalKey(Schema.String)
  }),
  event("gateway", { url: Schema.String, embedded: Schema.Boolean }),
  /** A page on this machine that shows the same. The fragment of its URL opens it, so the URL is as good as a password. */
  event("page", { url: Schema.String }),
  event("connecting", { attempt: Schema.Natural }),
  event("pairing.required", instructions),
  event("pairing.reminder", { ...instructions, reminder: Schema.Natural }),
  event("pairing.superseded", { ...instructions, previousRequestId: Schema.optionalKey(RequestId) }),
  event("pairing.expiring", instructions),
  event("pairing.expired", { ...request, ...times }),
  event("pairing.renewed", instructions),
  event("pairing.resolved", request),
  /** `outcome` says how a request for wider scopes ended without them; the session goes on. */
  event("pairing.cancelled", { ...request, outcome: Schema.optionalKey(UpgradeEnd) }),
  event("connected", {
    protocol: Schema.Natural,
    serverVersion: Schema.optionalKey(Schema.String),
    scopes: Schema.Array(Schema.String),
    /** What was asked for and not granted; absent when nothing is missing. */
    missingScopes: Schema.optionalKey(Schema.Array(Schema.String)),
    /** The gateway's clock minus this machine's, in milliseconds; absent when the gateway sent no challenge. */
    clockDeltaMs: Schema.optionalKey(Schema.Finite),
    /** False is a success too: the gateway admitted this client without giving it a token. */
    deviceTokenIssued: Schema.Boolean,
    /** The gateway takes no work now; absent while it does. The event comes again when that changes. */
    suspension: Schema.optionalKey(Suspension)
  }),
  /**
   * The tools that this program offers, over a connection of their own: the role *node* of the same device. `tools` names those that
   * the agent has; `error` says why it has none, and with `waiting` when the connection is tried again.
   */
  event("tools", {
    state: ToolsState,
    tools: Schema.optionalKey(Schema.Array(Schema.String)),
    error: Schema.optionalKey(Failure),
    retryAt: Schema.optionalKey(Schema.String)
  }),
  /**
   * The gateway's agent wants to call a marked tool of this program, and a person has to decide until `answerBy`. `arguments` is what
   * the model gave, as JSON on one line, or its beginning: then `leftOut` counts the UTF-16 code units that are missing.
   */
  event("tool.asked", {
    ...question,
    title: Schema.optionalKey(Schema.String),
    arguments: Schema.String,
    leftOut: Schema.optionalKey(Schema.Natural),
    /** The conversation from which the call comes, as the gateway names it. */
    session: Schema.optionalKey(Schema.String),
    answerBy: Schema.String
  }),
  /** How such a question ended. `ended`: the call was over before somebody decided. */
  event("tool.settled", { ...question, outcome: Schema.Literals(["allowed", "denied", "ended"]) }),
  /** A line of standard input answered no open question: that one has ended, or there never was one of this id. */
  event("answer.refused", {
    line: Schema.Natural,
    questionId: Schema.String,
    reason: Schema.Literals(["late", "unknown"])
  }),
  event("waiting", { cause: Failure, retryAt: Schema.String }),
  event("paused", {}),
  event("halted", { error: Failure }),
  event("task.queued", { ...accepted, reason: Schema.String }),
  event("task.sent", { ...accepted, runId: Schema.String }),
  event("task.phase", { ...task, phase: Schema.String }),
  /**
   * What the agent writes, while it writes: `text` stands from `from` on, in UTF-16 code units, in place of what was told from there.
   * At most ten a second for each task; `task.reply` has the whole. One who reads slowly misses some: then `from` is beyond what
   * came before.
   */
  event("task.text", { ...task, from: Schema.Natural, text: Schema.String }),
  /** A step of a call of a tool. `detail` is the beginning of its arguments or of its result, as one line. */
  event("task.tool", {
    ...task,
    toolCallId: Schema.String,
    tool: Schema.String,
    phase: Schema.Literals(["start", "update", "result"]),
    failed: Schema.optionalKey(Schema.Boolean),
    detail: Schema.optionalKey(Schema.String)
  }),
  /**
   * `late`: the task had already ended as expired or unknown. `truncated`: the gateway shortened the reply, and `text` is not the
   * whole of it.
   */
  event("task.reply", {
    ...task,
    runId: Schema.String,
    text: Schema.String,
    late: Schema.optionalKey(Schema.Boolean),
    truncated: Schema.optionalKey(Schema.Boolean)
  }),
  event("task.failed", { ...task, error: Failure }),
  /** A file that the agent showed was written to this machine: `bytes` of it, at `path`. */
  event("task.saved", {
    ...task,
    path: Schema.String,
    /** What the gateway calls it, as one line. */
    title: Schema.String,
    mimeType: Schema.optionalKey(Schema.String),
    bytes: Schema.Natural
  }),
  /** A line of standard input was not taken as a task. Lines are counted from 1; `summary` is the beginning of this one. */
  event("task.refused", { line: Schema.Natural, summary: Schema.String, error: Failure }),
  event("stopped", {})
])
export type AgentEvent = typeof AgentEvent.Type

/** The event as one line of JSON. */
export const encodeAgentEvent = Schema.encodeSync(Schema.fromJsonString(AgentEvent))

/**
 * Whether the device itself has to be approved, without which nothing works. Otherwise wider scopes or its tools wait for a person, and
 * the rest goes on.
 */
export const asksForDevice = (
  { connected, role }: Extract<AgentEvent, { readonly event: "pairing.required" | "pairing.superseded" }>
): boolean => connected !== true && role === undefined
