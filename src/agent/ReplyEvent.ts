/**
 * The events of an agent for the TEN front end: the runtime's data, and the messages of its chat. Both are pure projections of
 * `AgentEvent`.
 *
 * `ReplyEvent` is what the extension `openclaw_gateway_tool_python` hands to the runtime as `openclaw_reply_event`;
 * `ChatMessage` is what the runtime sends on to the page. Names and types of the fields are TEN's. A page decides by
 * `pairing_required` alone: texts are for people, and no decision may hang on their words.
 */
import * as DateTime from "effect/DateTime"
import * as JsonSchema from "effect/JsonSchema"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { approvalAdvice } from "../advice/HandshakeAdvice.ts"
import type { AgentEvent, Failure } from "../protocol/AgentEvent.ts"
import { field, lengths } from "../protocol/OutsideText.ts"
import { truncatedWords } from "../tasks/TaskWords.ts"

const milliseconds = Schema.Natural.annotate({
  description: "When it happened: milliseconds since 1970-01-01 UTC, on the clock of the agent's machine"
})
const PairingRequired = Schema.Boolean.annotate({
  description: "True: somebody has to approve this device, and the command beside it works. False: not, or not any more"
})
const Command = (about: string) => Schema.String.annotate({ description: about })
const approveCommand = Command("Approves this device, as text for one shell. Absent without a request id: list first")
const listCommand = Command("Lists what waits for approval, as text for one shell")
const hint = Schema.String.annotate({ description: "What it is about and what comes next, for people" })

/**
 * What the TEN runtime gets as `openclaw_reply_event`: the answer to a task, a phase, an error or an approval. `jsonSchemas`
 * gives its JSON Schema.
 */
export const ReplyEvent = Schema.Struct({
  task_id: Schema.String.annotate({ description: "The task that it is about; empty when it is about none" }),
  summary: Schema.String.annotate({ description: "What that task asked for; empty when that is not known" }),
  reply_text: Schema.String.annotate({ description: "The answer to the task; empty for everything that is no answer" }),
  reply_ts: milliseconds,
  agent_phase: Schema.optionalKey(
    Schema.String.annotate({ description: "What is being done now; empty when that is over" })
  ),
  error: Schema.optionalKey(Schema.String.annotate({ description: "Why a task, or the connection, came to nothing" })),
  pairing_required: Schema.optionalKey(PairingRequired),
  pairing_list_cmd: Schema.optionalKey(listCommand),
  pairing_approve_cmd: Schema.optionalKey(approveCommand),
  pairing_hint: Schema.optionalKey(hint)
}).annotate({ identifier: "ReplyEvent" })
export type ReplyEvent = typeof ReplyEvent.Type

/**
 * What the TEN runtime sends to the page. `data_type` says which: a line of the conversation (`openclaw_result`), or what
 * the agent does now (`openclaw_phase`).
 */
export const ChatMessage = Schema.Union([
  Schema.Struct({
    data_type: Schema.Literal("openclaw_result"),
    text: Schema.NonEmptyString.annotate({ description: "A line of the conversation" }),
    ts: milliseconds,
    pairing_required: Schema.optionalKey(PairingRequired),
    pairing_approve_cmd: Schema.optionalKey(approveCommand),
    pairing_list_cmd: Schema.optionalKey(listCommand),
    pairing_hint: Schema.optionalKey(hint)
  }),
  Schema.Struct({
    data_type: Schema.Literal("openclaw_phase"),
    phase: Schema.String.annotate({ description: "What is being done now; empty removes what was shown" }),
    ts: milliseconds
  })
]).annotate({ identifier: "ChatMessage" })
export type ChatMessage = typeof ChatMessage.Type

/** The contract for others: JSON Schema, draft 2020-12, made from the schemas above. A field that is not in it is never sent. */
export const jsonSchemas = (): {
  readonly ReplyEvent: JsonSchema.JsonSchema
  readonly ChatMessage: JsonSchema.JsonSchema
} => ({ ReplyEvent: jsonSchemaOf(ReplyEvent), ChatMessage: jsonSchemaOf(ChatMessage) })

const jsonSchemaOf = (schema: Schema.Constraint): JsonSchema.JsonSchema => {
  const document = Schema.toJsonSchemaDocument(schema, { onExcessProperty: "error" })
  return { $schema: JsonSchema.META_SCHEMA_URI_DRAFT_2020_12, ...document.schema, $defs: document.definitions }
}

/** An event with commands that work. */
type Request = Extract<AgentEvent, { readonly list: unknown }>

/** What the projection remembers from one event to the next. Changed by `step` only. */
export interface Projection {
  /** What the last tasks asked for, by task id. */
  readonly summaries: ReadonlyMap<string, string>
  /** Tasks that wait for the approval, the first one first. */
  readonly waiting: ReadonlyArray<string>
  /** The last request for approval while its commands work, with the task that it was told for. */
  readonly request: { readonly event: Request; readonly taskId: string } | undefined
  /** Whose phase is shown: a task's, or the approval's (`pairing`). */
  readonly phaseOf: { readonly owner: "pairing" } | { readonly owner: "task"; readonly taskId: string } | undefined
}

/** The projection before the first event. */
export const initial: Projection = { summaries: new Map(), waiting: [], request: undefined, phaseOf: undefined }

type Stepped = readonly [Projection, ReadonlyArray<ReplyEvent>]

/** Total: every event has an answer in every state. */
export const step = (state: Projection, event: AgentEvent): Stepped => {
  switch (event.event) {
    case "pairing.required":
    case "pairing.superseded":
    case "pairing.renewed":
      return instruct(state, event, event.at, state.waiting[0] ?? "")
    case "pairing.reminder":
    case "pairing.expiring":
      // A request that was told is not told again. A stream that began during the wait has not told it yet.
      return state.request === undefined ? instruct(state, event, event.at, state.waiting[0] ?? "") : [state, []]
    case "pairing.expired":
      return state.request === undefined ? [state, []] : over(state, event.at, texts.expired)
    case "pairing.cancelled":
      return state.request === undefined ? [state, []] : over(state, event.at, texts.cancelled)
    case "pairing.resolved":
      return over(state, event.at, event.reason === "surface" ? texts.allowed : texts.resolved)
    case "halted":
      return both(leaveTaskPhase(state, event.at), (left) => [left, [fromFailure(event.error, event.at)]])
    case "waiting":
    case "paused":
      return leaveTaskPhase(state, event.at)
    case "stopped":
      return state.request === undefined
        ? leaveTaskPhase(state, event.at)
        : both(leaveTaskPhase(state, event.at), (left) => over(left, event.at, texts.cancelled))
    case "task.queued": {
      const known = withSummary(state, event.taskId, event.summary)
      if (event.reason !== "AwaitingApproval") return [notWaiting(known, event.taskId), []]
      if (known.waiting.includes(event.taskId)) return [known, []]
      const waiting = { ...known, waiting: [...known.waiting, event.taskId] }
      return known.request === undefined
        ? [waiting, []]
        : instruct(waiting, known.request.event, event.at, event.taskId)
    }
    case "task.sent":
      return [notWaiting(withSummary(state, event.taskId, event.summary), event.taskId), []]
    case "task.phase":
      return [
        { ...state, phaseOf: { owner: "task", taskId: event.taskId } },
        [{ ...about(state, event.at, event.taskId), agent_phase: field(event.phase, { maxLength: lengths.phase }) }]
      ]
    case "task.reply":
      return end(state, event.at, event.taskId, {
        // The contract has no field for it.
        reply_text: event.truncated === true ? `${event.text}\n\n${truncatedWords(event.text)}`.trimStart() : event.text
      })
    case "task.failed":
      return end(state, event.at, event.taskId, { error: wordsOf(event.error) })
    case "task.text": // the contract has no field for a part of an answer
    case "task.tool":
    case "task.refused": // for the person at standard input
    case "task.saved":
    case "identity":
    case "gateway":
    case "page": // its URL is for the person who started the program
    case "connecting":
    case "connected":
    case "tool.asked": // for whoever may decide
    case "tool.settled":
    case "answer.refused":
    case "tools": // of another connection; what a person has to approve is told by its notice
      return [state, []]
  }
}

/** For a start that failed before there was any event, and for a connection that was given up. */
export const fromFailure = (failure: Failure, at: string): ReplyEvent => ({
  ...about(initial, at, ""),
  error: wordsOf(failure)
})

/** What the chat is sent for one event: its phase first, then what is to be read. */
export const toChatMessages = (reply: ReplyEvent): ReadonlyArray<ChatMessage> => {
  const ts = reply.reply_ts
  const { pairing_approve_cmd, pairing_hint, pairing_list_cmd, pairing_required } = reply
  const text = pairing_required === undefined
    ? reply.error === undefined ? reply.reply_text : `OpenClaw error: ${reply.error}`
    : [pairing_hint, pairing_approve_cmd ?? pairing_list_cmd].filter((line) => line !== undefined).join("\n")
  return [
    ...(reply.agent_phase === undefined
      ? []
      : [{ data_type: "openclaw_phase" as const, phase: reply.agent_phase, ts }]),
    ...(text === "" ? [] : [{
      data_type: "openclaw_result" as const,
      text,
      ts,
      ...(pairing_required === undefined ? {} : { pairing_required }),
      ...(pairing_approve_cmd === undefined ? {} : { pairing_approve_cmd }),
      ...(pairing_list_cmd === undefined ? {} : { pairing_list_cmd }),
      ...(pairing_hint === undefined ? {} : { pairing_hint })
    }])
  ]
}

/** The runtime's data for a stream of events, for example `AgentEvents.events`. */
export const replies = <E, R>(events: Stream.Stream<AgentEvent, E, R>): Stream.Stream<ReplyEvent, E, R> =>
  Stream.mapAccum(events, () => initial, step)

const texts = {
  phase: "Pairing required",
  resolved: "This device is approved. Tasks that waited for it are sent now.",
  allowed: "The gateway's agent may use the tools of this device now.",
  expired: "The request for approval has expired. A new one follows by itself.",
  cancelled: "This device no longer waits for approval."
}

const wordsOf = ({ advice, message, next }: Failure): string =>
  [field(message, { maxLength: lengths.text }), advice, next].filter((text) => text !== undefined).join("\n")

/** How many summaries are kept, so that a late answer is told with what was asked. */
const keptSummaries = 200

const about = (state: Projection, at: string, taskId: string) => ({
  task_id: taskId,
  summary: state.summaries.get(taskId) ?? "",
  reply_text: "",
  reply_ts: Option.match(DateTime.make(at), {
    onNone: () => 0,
    onSome: (time) => Math.max(0, DateTime.toEpochMillis(time))
  })
})

const instruct = (state: Projection, event: Request, at: string, taskId: string): Stepped => [
  { ...state, request: { event, taskId }, phaseOf: { owner: "pairing" } },
  [{
    ...about(state, at, taskId),
    agent_phase: texts.phase,
    pairing_required: true,
    pairing_list_cmd: event.list.text,
    ...(event.approve === undefined ? {} : { pairing_approve_cmd: event.approve.text }),
    pairing_hint: hintOf(event)
  }]
]

/** The words of the catalogue alone: they ask nobody to restart anything. */
const hintOf = ({ note, reason }: Request): string => {
  const { action, next, problem } = approvalAdvice(reason)
  return [problem, action, next, ...(note === undefined ? [] : [note])].join(" ")
}

const over = (state: Projection, at: string, text: string): Stepped => {
  const shown = state.phaseOf?.owner === "pairing"
  return [
    { ...state, request: undefined, phaseOf: shown ? undefined : state.phaseOf },
    [{
      ...about(state, at, state.request?.taskId ?? ""),
      ...(shown ? { agent_phase: "" } : {}),
      pairing_required: false,
      pairing_hint: text
    }]
  ]
}

/** Removes the phase of a task: without a link its progress is not known. */
const leaveTaskPhase = (state: Projection, at: string): Stepped =>
  state.phaseOf?.owner === "task"
    ? [{ ...state, phaseOf: undefined }, [{ ...about(state, at, state.phaseOf.taskId), agent_phase: "" }]]
    : [state, []]

const end = (
  state: Projection,
  at: string,
  taskId: string,
  outcome: Partial<Pick<ReplyEvent, "reply_text" | "error">>
): Stepped => {
  const shown = state.phaseOf?.owner === "task" && state.phaseOf.taskId === taskId
  return [
    { ...notWaiting(state, taskId), phaseOf: shown ? undefined : state.phaseOf },
    [{ ...about(state, at, taskId), ...(shown ? { agent_phase: "" } : {}), ...outcome }]
  ]
}

const both = ([state, told]: Stepped, then: (state: Projection) => Stepped): Stepped => {
  const [left, more] = then(state)
  return [left, [...told, ...more]]
}

const notWaiting = (state: Projection, taskId: string): Projection =>
  state.waiting.includes(taskId) ? { ...state, waiting: state.waiting.filter((other) => other !== taskId) } : state

const withSummary = (state: Projection, taskId: string, summary: string | undefined): Projection =>
  summary === undefined || state.summaries.get(taskId) === summary
    ? state
    : { ...state, summaries: new Map([...state.summaries, [taskId, summary] as const].slice(-keptSummaries)) }
