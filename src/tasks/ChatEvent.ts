/**
 * What `chat` and `agent` events say about a run. Pure decoding, lenient: a field of an unexpected kind is left out, and an
 * event that says nothing we know is no event.
 *
 * Every operator connection gets the events of every run, so `addressOf` is cheap and comes first; only an event of an own run
 * is worth decoding.
 */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as OutsideText from "../protocol/OutsideText.ts"
import { textOf } from "./MessageText.ts"
import type { RunPart, ToolPart } from "./RunPart.ts"
import * as ShortenedText from "./ShortenedText.ts"

/**
 * One step of a run, from a `chat` event. `text` is always the whole text so far, never an addition. `atMs` is on the
 * gateway's clock, in milliseconds.
 */
export type ChatEvent =
  | { readonly _tag: "Status"; readonly phase: string }
  | { readonly _tag: "Delta"; readonly text: string }
  /**
   * Text is empty when the gateway sent no message: the agent said nothing, or said it in another run. `shortened`: it is not,
   * or may not be, the whole text.
   */
  | {
    readonly _tag: "Final"
    readonly text: string
    readonly atMs: number | undefined
    readonly shortened?: true | undefined
  }
  | { readonly _tag: "Error"; readonly text: string }
  /**
   * `uncertain`: a stop command ended the run, or the agent did, without a word; what is then told as an abort is a failure, for
   * 2026.9.6.
   */
  | { readonly _tag: "Aborted"; readonly text: string; readonly uncertain?: true | undefined }

/** Where an agent stands, from an `agent` event. */
export interface AgentPhase {
  /** `lifecycle` is all there is on releases without chat status, and repeats the status on those that have it. */
  readonly stream: "lifecycle" | "tool"
  /** `phase`, `phase · name` for a tool, and `: error` behind it when one is told. */
  readonly label: string
  /** The run, or an attempt of it, begins or ends with it. A `chat` event tells the end at once, but for a failed run of 2026.5. */
  readonly turn?: "Begins" | "Ends" | undefined
}

/** Whose event it is. */
export interface Address {
  readonly runId: string
  readonly sessionKey: string | undefined
}

export const addressOf = (payload: unknown): Address | undefined => {
  if (!Predicate.hasProperty(payload, "runId") || typeof payload.runId !== "string") return undefined
  const sessionKey = Predicate.hasProperty(payload, "sessionKey") ? payload.sessionKey : undefined
  return { runId: payload.runId, sessionKey: typeof sessionKey === "string" ? sessionKey : undefined }
}

/**
 * The key under which gateways with the usual settings file a session: `main` becomes `agent:main:main`. Keys are compared
 * without case.
 */
export const canonicalSessionKey = (sessionKey: string): string => {
  const key = sessionKey.trim().toLowerCase()
  return key.startsWith("agent:") || key === globalKey ? key : `agent:main:${key}`
}

/** Whether an event told for one session key belongs to a run that was started with another spelling of it. */
export const sameSession = (asked: string, told: string | undefined): boolean => {
  if (told === undefined) return true
  const key = told.trim().toLowerCase()
  const wanted = asked.trim().toLowerCase()
  return key === canonicalSessionKey(asked)
    || key === wanted
    // A gateway with one session for everything tells every event under this key.
    || key === globalKey
    // A short key belongs to the default agent, whatever its name.
    || (!wanted.startsWith("agent:") && key.startsWith("agent:") && key.endsWith(`:${wanted}`))
}
const globalKey = "global"

/** The step in the payload of a `chat` event. An absent state is final, as in the earliest releases. */
export const decodeChat = (payload: unknown): Option.Option<ChatEvent> => Option.fromUndefinedOr(readChat(payload))

/** The same, without an option: every piece of a reply passes here. */
export const readChat = (payload: unknown): ChatEvent | undefined =>
  isChatPayload(payload) ? fromChat(payload) : undefined

/** The phase in the payload of an `agent` event; none for streams of text, usage and the like. */
export const decodeAgent = (payload: unknown): Option.Option<AgentPhase> => {
  if (!Predicate.hasProperty(payload, "stream") || !Predicate.isString(payload.stream)) return Option.none()
  if (payload.stream !== "lifecycle" && payload.stream !== "tool") return Option.none()
  return Option.map(decodeAgentPayload(payload), ({ data, stream }) => ({
    stream,
    label: phaseLabel(data.phase, data.name, data.error),
    ...(stream === "lifecycle" && turns[data.phase] !== undefined ? { turn: turns[data.phase] } : {})
  }))
}
const turns: Readonly<Record<string, AgentPhase["turn"]>> = { start: "Begins", end: "Ends", error: "Ends" }

/** A phase as one line of at most `OutsideText.lengths.phase`. */
export const phaseLabel = (phase: string, name?: string | null, error?: string | null): string =>
  OutsideText.field(
    [phase, ...(name ? [` · ${name}`] : []), ...(error ? [`: ${error}`] : [])].join(""),
    { maxLength: OutsideText.lengths.phase }
  )

/** A time on the gateway's clock in milliseconds. Sent as milliseconds, whole or not, or as ISO text with a time zone. */
export const timeMs = (value: unknown): number | undefined => {
  if (Predicate.isNumber(value)) return Number.isFinite(value) && value >= 0 ? Math.round(value) : undefined
  if (!Predicate.isString(value) || !isoTime.test(value)) return undefined
  return Option.getOrUndefined(Option.map(DateTime.make(value), (time) => time.epochMilliseconds))
}
const isoTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/

/** Each field is looked at where it is used. */
interface ChatPayload {
  readonly state?: unknown
  readonly phase?: unknown
  readonly message?: unknown
  readonly text?: unknown
  readonly content?: unknown
  readonly timestamp?: unknown
  readonly errorMessage?: unknown
  readonly stopReason?: unknown
}
const isChatPayload = (value: unknown): value is ChatPayload => Predicate.isObject(value)

const OptionalText = Schema.optionalKey(Schema.NullOr(Schema.String))
const decodeAgentPayload = Schema.decodeUnknownOption(Schema.Struct({
  stream: Schema.Literals(["lifecycle", "tool"]),
  data: Schema.Struct({ phase: Schema.String, name: OptionalText, error: OptionalText })
}))

const fromChat = (chat: ChatPayload): ChatEvent | undefined => {
  switch (chat.state) {
    case "status":
      return Predicate.isString(chat.phase) ? { _tag: "Status", phase: phaseLabel(chat.phase) } : undefined
    case "delta":
      return { _tag: "Delta", text: textOf(chat) }
    case undefined:
    case null:
    case "final":
      return {
        _tag: "Final",
        text: textOf(chat),
        atMs: timeOf(chat.message) ?? timeMs(chat.timestamp),
        ...(ShortenedText.isShortenedLive(chat) ? { shortened: true } : {})
      }
    case "error":
      return { _tag: "Error", text: Predicate.isString(chat.errorMessage) ? chat.errorMessage : textOf(chat) }
    case "aborted":
      return { _tag: "Aborted", text: textOf(chat), ...(chat.stopReason === "stop" ? { uncertain: true } : {}) }
    default:
      return undefined
  }
}

const timeOf = (message: unknown): number | undefined =>
  Predicate.hasProperty(message, "timestamp") ? timeMs(message.timestamp) : undefined

/** The part in the payload of an `agent` event; nothing for text, which `chat` events tell. */
export const decodePart = (payload: unknown): RunPart | undefined => {
  if (!Predicate.hasProperty(payload, "stream") || !Predicate.hasProperty(payload, "data")) return undefined
  const { data, stream } = payload
  switch (stream) {
    case "thinking": {
      const delta = Predicate.hasProperty(data, "delta") ? data.delta : undefined
      return Predicate.isString(delta) && delta !== "" ? { _tag: "Thinking", text: delta } : undefined
    }
    case "usage": {
      const count = Predicate.hasProperty(data, "outputTokens") ? data.outputTokens : undefined
      return Number.isSafeInteger(count) && Number(count) >= 0
        ? { _tag: "Usage", outputTokens: Number(count) }
        : undefined
    }
    case "tool":
      return toolPart(data)
    default:
      return undefined
  }
}

const toolSteps = { start: "ToolStarted", update: "ToolUpdated", result: "ToolEnded" } as const

const toolPart = (data: unknown): ToolPart | undefined => {
  if (!Predicate.hasProperty(data, "phase") || !Predicate.hasProperty(data, "toolCallId")) return undefined
  const { phase, toolCallId } = data
  if (!Predicate.isString(toolCallId) || (phase !== "start" && phase !== "update" && phase !== "result")) {
    return undefined
  }
  const fields: Readonly<Record<string, unknown>> = { ...data }
  const field = (name: string): unknown => fields[name]
  const name = field("name")
  return {
    _tag: toolSteps[phase],
    toolCallId,
    name: Predicate.isString(name) ? name : "",
    content: field(phase === "start" ? "args" : phase === "update" ? "partialResult" : "result"),
    isError: field("isError") === true
  }
}
