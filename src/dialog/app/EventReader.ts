/**
 * What the browser reads of the events of an agent (protocol/AgentEvent). Tolerant and total: an unknown event is
 * `undefined`, an unknown field is ignored, a missing one is absent or empty.
 *
 * Names of events and codes decide, never the words of a text. Times are milliseconds since 1970 on the agent's clock.
 */
import type { AgentEvent } from "../../protocol/AgentEvent.ts"
import type { UpgradeEnd } from "../../protocol/PairingNotice.ts"

export interface Failure {
  readonly error: string
  readonly reason: string | undefined
  readonly message: string
  readonly owner: string | undefined
  readonly advice: string | undefined
  readonly command: string | undefined
  readonly next: string | undefined
}

/** Each is one line of text for a shell, or absent. */
export interface Commands {
  readonly list: string | undefined
  readonly approve: string | undefined
}
/** Commands for one place where the gateway may run. */
export interface PlaceCommands extends Commands {
  readonly place: string
  /** Words of the commands that the reader has to replace, for example `<container>`. */
  readonly fill: ReadonlyArray<string>
}

export interface Request extends Commands {
  readonly deviceId: string
  readonly requestId: string | undefined
  /** A `PairingReason`; `unspecified` for any that is not known here, such as that of tools. */
  readonly reason: Reason
  readonly since: number | undefined
  readonly expiresAt: number | undefined
  readonly requested: ReadonlyArray<string> | undefined
  readonly approved: ReadonlyArray<string> | undefined
  /** The device is connected with the approved scopes, and only more scopes wait for approval. */
  readonly connected: boolean
  readonly note: string | undefined
  readonly places: ReadonlyArray<PlaceCommands>
}

const reasons = ["not-paired", "role-upgrade", "scope-upgrade", "metadata-upgrade", "unspecified"] as const
export type Reason = (typeof reasons)[number]

/** How a request for more scopes ended without them. */
const outcomes = ["rejected", "expired", "replaced", "unseen", "refused", "ended"] as const satisfies ReadonlyArray<
  UpgradeEnd
>

/** Events about a request that waits. */
type Open = Exclude<Extract<AgentEvent["event"], `pairing.${string}`>, "pairing.resolved" | "pairing.cancelled">

export type DialogEvent =
  | { readonly event: "identity"; readonly deviceId: string; readonly compareCode: string }
  | { readonly event: "gateway"; readonly url: string }
  | { readonly event: Open; readonly request: Request }
  | { readonly event: "pairing.resolved"; readonly deviceId: string; readonly requestId: string | undefined }
  | {
    readonly event: "pairing.cancelled"
    readonly deviceId: string
    readonly requestId: string | undefined
    readonly outcome: UpgradeEnd | undefined
  }
  | { readonly event: "connecting" | "paused" | "stopped" }
  | {
    readonly event: "connected"
    readonly missingScopes: ReadonlyArray<string>
    /** The gateway takes no work now. */
    readonly suspended: boolean
  }
  | { readonly event: "waiting"; readonly cause: Failure; readonly retryAt: number | undefined }
  | { readonly event: "halted"; readonly error: Failure }

export type TaskEvent =
  | {
    readonly event: "task.queued"
    readonly taskId: string
    readonly summary: string | undefined
    readonly reason: string
  }
  | { readonly event: "task.sent"; readonly taskId: string; readonly summary: string | undefined }
  | { readonly event: "task.phase"; readonly taskId: string; readonly phase: string }
  /** `text` stands from `from` on, in place of what stood there. */
  | { readonly event: "task.text"; readonly taskId: string; readonly from: number; readonly text: string }
  | {
    readonly event: "task.reply"
    readonly taskId: string
    readonly text: string
    readonly late: boolean
    readonly truncated?: true
  }
  | { readonly event: "task.failed"; readonly taskId: string; readonly error: Failure }

/** A call of a marked tool that a person may allow. Its texts are words of a model. */
export type QuestionEvent =
  | {
    readonly event: "tool.asked"
    readonly questionId: string
    readonly tool: string
    readonly title: string | undefined
    readonly arguments: string
    /** UTF-16 code units of the arguments that are not shown. */
    readonly leftOut: number
    readonly session: string | undefined
    readonly answerBy: number | undefined
  }
  | {
    readonly event: "tool.settled"
    readonly questionId: string
    readonly tool: string
    readonly outcome: "allowed" | "denied" | "ended"
  }

/** When the agent asks the gateway next whether it is approved. `nextCheckAt` is absent when it does not wait. */
export interface Check {
  readonly checking: boolean
  readonly nextCheckAt: number | undefined
}

type Fields = Readonly<Record<string, unknown>>
const isFields = (value: unknown): value is Fields => typeof value === "object" && value !== null

/** Characters that would reorder or hide text. */
const hidden = /(?![\n\t])[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]/gu
const shown = (value: string): string => value.replace(/\r\n?/g, "\n").replace(hidden, "\ufffd")

/** Of the same length, as places in it are counted. */
const piece = (value: unknown): string =>
  typeof value === "string" ? value.replace(/\r(?=\n)/g, " ").replace(/\r/g, "\n").replace(hidden, "\ufffd") : ""

const optional = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? shown(value) : undefined
const text = (value: unknown): string => optional(value) ?? ""
const texts = (value: unknown): ReadonlyArray<string> | undefined =>
  Array.isArray(value) ? value.filter((item) => typeof item === "string").map(shown) : undefined
const time = (value: unknown): number | undefined => {
  const ms = typeof value === "string" ? Date.parse(value) : Number.NaN
  return Number.isFinite(ms) ? ms : undefined
}

/** A command is copied as it is, so a text with hidden characters or more than one line is no command. */
const line = (value: unknown): string | undefined =>
  typeof value === "string" && value.trim() !== "" && !/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(value)
    ? value
    : undefined
const command = (value: unknown): string | undefined => isFields(value) ? line(value["text"]) : undefined

const failure = (value: unknown): Failure => {
  const fields = isFields(value) ? value : {}
  return {
    error: text(fields["error"]),
    reason: optional(fields["reason"]),
    message: text(fields["message"]),
    owner: optional(fields["owner"]),
    advice: optional(fields["advice"]),
    command: line(fields["command"]),
    next: optional(fields["next"])
  }
}

const places = (value: unknown): ReadonlyArray<PlaceCommands> =>
  (Array.isArray(value) ? value : []).flatMap((item: unknown) => {
    const fields = isFields(item) ? item : {}
    const place = optional(fields["place"])
    const list = command(fields["list"])
    const approve = command(fields["approve"])
    return place === undefined || (list === undefined && approve === undefined)
      ? []
      : [{ place, fill: texts(fields["fill"]) ?? [], list, approve }]
  })

const subject = (fields: Fields) => ({
  deviceId: text(fields["deviceId"]),
  requestId: optional(fields["requestId"])
})

const request = (fields: Fields): Request => ({
  ...subject(fields),
  reason: reasons.find((known) => known === fields["reason"]) ?? "unspecified",
  since: time(fields["since"]),
  expiresAt: time(fields["expiresAt"]),
  requested: texts(fields["requestedScopes"]),
  approved: texts(fields["approvedScopes"]),
  connected: fields["connected"] === true,
  note: optional(fields["note"]),
  places: places(fields["places"]),
  list: command(fields["list"]),
  approve: command(fields["approve"])
})

const opened = (event: Open) => (fields: Fields): DialogEvent => ({ event, request: request(fields) })
const taskId = (fields: Fields): string => text(fields["taskId"])

type Readers<Name extends string, A> = Readonly<Record<Name, (fields: Fields) => A | undefined>>
/**
 * Events that no page shows: its own address, the files of tasks, which are on the machine of the program, lines of its standard
 * input, which have no task, and tools, as a notice says what a person has to approve of them.
 */
type NotShown = "page" | "answer.refused" | "task.refused" | "task.saved" | "tools"
type QuestionName = "tool.asked" | "tool.settled"
type Shown = Exclude<AgentEvent["event"], NotShown | QuestionName>
type TaskName = Extract<Shown, `task.${string}`>

const readers: Readers<Exclude<Shown, TaskName>, DialogEvent> = {
  identity: (fields) => ({
    event: "identity",
    deviceId: text(fields["deviceId"]),
    compareCode: text(fields["compareCode"])
  }),
  gateway: (fields) => ({ event: "gateway", url: text(fields["url"]) }),
  "pairing.required": opened("pairing.required"),
  "pairing.reminder": opened("pairing.reminder"),
  "pairing.superseded": opened("pairing.superseded"),
  "pairing.expiring": opened("pairing.expiring"),
  "pairing.expired": opened("pairing.expired"),
  "pairing.renewed": opened("pairing.renewed"),
  "pairing.resolved": (fields) => ({ event: "pairing.resolved", ...subject(fields) }),
  "pairing.cancelled": (fields) => ({
    event: "pairing.cancelled",
    ...subject(fields),
    outcome: outcomes.find((known) => known === fields["outcome"])
  }),
  connecting: () => ({ event: "connecting" }),
  connected: (fields) => ({
    event: "connected",
    missingScopes: texts(fields["missingScopes"]) ?? [],
    suspended: fields["suspension"] !== undefined
  }),
  waiting: (fields) => ({ event: "waiting", cause: failure(fields["cause"]), retryAt: time(fields["retryAt"]) }),
  paused: () => ({ event: "paused" }),
  halted: (fields) => ({ event: "halted", error: failure(fields["error"]) }),
  stopped: () => ({ event: "stopped" })
}

const taskReaders: Readers<TaskName, TaskEvent> = {
  "task.queued": (fields) => ({
    event: "task.queued",
    taskId: taskId(fields),
    summary: optional(fields["summary"]),
    reason: text(fields["reason"])
  }),
  "task.sent": (fields) => ({ event: "task.sent", taskId: taskId(fields), summary: optional(fields["summary"]) }),
  "task.phase": (fields) => ({ event: "task.phase", taskId: taskId(fields), phase: text(fields["phase"]) }),
  "task.text": (fields) => {
    const [from, written] = [fields["from"], piece(fields["text"])]
    const event = { event: "task.text" as const, taskId: taskId(fields), text: written }
    return typeof from === "number" && Number.isSafeInteger(from) && from >= 0 ? { ...event, from } : undefined
  },
  // Tools are phases, too.
  "task.tool": () => undefined,
  "task.reply": (fields) => ({
    event: "task.reply",
    taskId: taskId(fields),
    text: text(fields["text"]),
    late: fields["late"] === true,
    ...(fields["truncated"] === true ? { truncated: true } : {})
  }),
  "task.failed": (fields) => ({ event: "task.failed", taskId: taskId(fields), error: failure(fields["error"]) })
}

const questionReaders: Readers<QuestionName, QuestionEvent> = {
  "tool.asked": (fields) => ({
    event: "tool.asked",
    questionId: text(fields["questionId"]),
    tool: text(fields["tool"]),
    title: optional(fields["title"]),
    arguments: text(fields["arguments"]),
    leftOut: typeof fields["leftOut"] === "number" && fields["leftOut"] > 0 ? fields["leftOut"] : 0,
    session: optional(fields["session"]),
    answerBy: time(fields["answerBy"])
  }),
  "tool.settled": (fields) => {
    const { outcome } = fields
    return {
      event: "tool.settled",
      questionId: text(fields["questionId"]),
      tool: text(fields["tool"]),
      outcome: outcome === "allowed" || outcome === "denied" ? outcome : "ended"
    }
  }
}

const read = <A>(readers: Readers<string, A>, value: unknown): A | undefined => {
  const name = isFields(value) ? value["event"] : undefined
  return isFields(value) && typeof name === "string" && Object.hasOwn(readers, name)
    ? readers[name]?.(value)
    : undefined
}

/** Reads one event, parsed from JSON, that is about identity, gateway, connection or pairing. */
export const readEvent = (value: unknown): DialogEvent | undefined => read(readers, value)

/** Reads one event, parsed from JSON, that is about a task. */
export const readTaskEvent = (value: unknown): TaskEvent | undefined => read(taskReaders, value)

/** Reads one event, parsed from JSON, that is about a call of a marked tool. */
export const readQuestionEvent = (value: unknown): QuestionEvent | undefined => read(questionReaders, value)

/** Reads the data of a `check` event. */
export const readCheck = (value: unknown): Check | undefined =>
  isFields(value) && typeof value["checking"] === "boolean"
    ? { checking: value["checking"], nextCheckAt: time(value["nextCheckAt"]) }
    : undefined

/** Parses JSON; `undefined` where it is none. */
export const parseJson = (json: string): unknown => {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}
