/**
 * What the answer to `chat.history` says about one own run. Pure.
 *
 * Releases from 2026.9 put run ids on the messages and name the runs that are active; older ones have text and times only.
 */
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Method from "../protocol/Method.ts"
import { timeMs } from "./ChatEvent.ts"
import * as KeptText from "./KeptText.ts"
import { joinReply, textOf } from "./MessageText.ts"
import * as ShortenedText from "./ShortenedText.ts"

/** The run to look for. */
export interface Sought {
  readonly runId: string
  /** The text as it was sent. */
  readonly summary: string
  /** No message from before this time is ours. Milliseconds on the gateway's clock. */
  readonly notBeforeMs: number
  /** The text was merged into another run: what stands behind it answers it, whatever run that names. */
  readonly merged?: boolean
  /** Runs whose replies were given to other tasks. */
  readonly claimed?: ReadonlySet<string>
  /** The gateway had the message: it answered, or told something of the run. */
  readonly received?: boolean
  /** The beginning of the reply, as far as it was heard. */
  readonly heard?: string
  /** The version of the gateway. */
  readonly release?: string | undefined
}

export type Finding =
  /** The gateway says that the run is at work or, if `queued`, waits for its turn. */
  | { readonly _tag: "Running"; readonly queued?: true | undefined }
  | {
    readonly _tag: "Replied"
    readonly text: string
    readonly atMs: number | undefined
    /** Present when the text is not the whole reply. */
    readonly shortened?: Shortened | undefined
  }
  | { readonly _tag: "Failed"; readonly text: string }
  | { readonly _tag: "Aborted"; readonly text: string }
  /** The message arrived, and nothing that answers it is there. */
  | { readonly _tag: "NoReply" }
  /** The message is not there. */
  | { readonly _tag: "Absent" }
  /** No history that we can read. */
  | { readonly _tag: "Unreadable" }

export type Replied = Extract<Finding, { readonly _tag: "Replied" }>

/** What is known of the message of a reply that history shortened. */
export interface Shortened {
  /** By this the gateway gives the message; absent on releases that tell none. */
  readonly messageId: string | undefined
}

/** An answer to `chat.history`. */
export type History = typeof Method.chatHistory.answer.Type

/** What a history says of one run and of its session. */
export interface HistoryView {
  readonly finding: Finding
  /** See `isBusy`. */
  readonly busy: boolean | undefined
  /** The gateway may have had the message, although the history does not show it: see `isUnkept` and `replacementOf`. */
  readonly unkept: boolean
  /** The key under which the gateway files the session that was asked for, on releases that say it. */
  readonly sessionKey: string | undefined
}

/** `wholeBelow`: see `ShortenedText.isShortened`. */
export const view = (history: History, sought: Sought, wholeBelow?: number): HistoryView => ({
  finding: findIn(history, sought, wholeBelow),
  busy: isBusyIn(history),
  unkept: isUnkeptIn(history) || replacementOf(messagesIn(history), sought) !== -1,
  sessionKey: sessionKeyIn(history)
})

/** The view of an answer that has another shape. */
export const unreadable: HistoryView = {
  finding: { _tag: "Unreadable" },
  busy: undefined,
  unkept: false,
  sessionKey: undefined
}

/** What the payload of an answer says of a run. */
export const find = (payload: unknown, sought: Sought): Finding =>
  Option.match(decode(payload), {
    onNone: () => unreadable.finding,
    onSome: (history) => findIn(history, sought)
  })

/** The reply in one message of an agent, without anything about its run. `wholeBelow`: see `ShortenedText.isShortened`. */
export const replyIn = (message: unknown, wholeBelow?: number): Replied | undefined =>
  decodeMessage(message).pipe(
    Option.filter(({ role }) => role === "assistant"),
    Option.map((message) => replied(message, wholeBelow)),
    Option.getOrUndefined
  )

/**
 * Whether any run of the session is at work or waits for its turn, or the gateway is about to continue one that its own
 * restart interrupted. Nothing on releases that do not say.
 */
export const isBusy = (payload: unknown): boolean | undefined =>
  Option.getOrUndefined(Option.map(decode(payload), isBusyIn))

/**
 * The session was begun, and nothing of it is kept yet. Releases up to 2026.6 keep the first message of a session together
 * with its answer, so that a gateway that ends before that has nothing to show of a message it had received.
 */
export const isUnkept = (payload: unknown): boolean => Option.exists(decode(payload), isUnkeptIn)

const decode = Schema.decodeUnknownOption(Method.chatHistory.answer)

const findIn = (history: History, sought: Sought, wholeBelow?: number): Finding => {
  if (isActive(history, sought.runId)) return { _tag: "Running" }
  if (isQueued(history, sought.runId)) return { _tag: "Running", queued: true }
  const messages = messagesIn(history)
  const isOurs = KeptText.matcher(asWritten(sought.summary))
  const own = messages.findLastIndex((message) => isAsking(message, sought, isOurs))
  // Of a message that the gateway did not have, another one may have been replaced.
  const asked = own === -1 && sought.received === true && sought.merged !== true
    ? replacementOf(messages, sought)
    : own
  const runs = runsOf(messages, asked, sought.runId)
  const stopped = messages.find((message) => hasRunId(message.openclawAbort, sought.runId))
  if (stopped !== undefined) return { _tag: "Aborted", text: textOf(stopped) }
  const answer = messages.findLast((message, index) => isAnswer(message, index, asked, runs, messages, sought))
  if (answer === undefined) return { _tag: asked === -1 ? "Absent" : "NoReply" }
  const text = textOf(answer)
  switch (answer.stopReason) {
    case "error":
      return { _tag: "Failed", text: Predicate.isString(answer.errorMessage) ? answer.errorMessage : text }
    case "aborted":
      return { _tag: "Aborted", text }
    default: {
      const reply = replied(answer, wholeBelow)
      const before = messages.slice(0, messages.indexOf(answer))
      const parts = before.flatMap((message, index) =>
        message.role === "assistant"
          && isAnswer({ ...message, stopReason: "stop" }, index, asked, runs, messages, sought)
          ? [{ text: textOf(message), step: message.stopReason !== "stop" }]
          : []
      )
      return reply.shortened === undefined && sought.merged !== true
        ? { ...reply, text: joinReply(parts, reply.text, sought) }
        : reply
    }
  }
}

const messagesIn = ({ messages }: History): ReadonlyArray<Message> =>
  messages.flatMap((message) => Option.toArray(decodeMessage(message)))

const replied = (message: Message, wholeBelow?: number): Replied => {
  const text = textOf(message)
  return {
    _tag: "Replied",
    text: text.trim() === silence || ShortenedText.isOmission(text) ? "" : text,
    atMs: timeMs(message.timestamp),
    ...(ShortenedText.isShortened(message, wholeBelow) ? { shortened: { messageId: idOf(message) } } : {})
  }
}

const idOf = ({ __openclaw: marks }: Message): string | undefined =>
  Predicate.isString(marks?.id) && marks.id !== "" ? marks.id : undefined

const isBusyIn = ({ inFlightRun, pendingInputs, sessionInfo }: History): boolean | undefined => {
  const pending = Predicate.hasProperty(pendingInputs, "items") ? pendingInputs.items : undefined
  if (Predicate.hasProperty(inFlightRun, "runId") || (Array.isArray(pending) && pending.length > 0)) return true
  // Also while the gateway, started again under a run, has neither continued it nor given it up.
  if (Predicate.hasProperty(sessionInfo, "status") && sessionInfo.status === "running") return true
  const told = Predicate.hasProperty(sessionInfo, "hasActiveRun") ? sessionInfo.hasActiveRun : undefined
  return Predicate.isBoolean(told) ? told : undefined
}

const isUnkeptIn = ({ messages, sessionId }: History): boolean => messages.length === 0 && Predicate.isString(sessionId)

const sessionKeyIn = ({ sessionInfo }: History): string | undefined =>
  Predicate.hasProperty(sessionInfo, "key") && Predicate.isString(sessionInfo.key) ? sessionInfo.key : undefined

/** What an agent writes that has nothing to say. Gateways keep it from events and some keep it in history. */
const silence = "NO_REPLY"

const Marks = Schema.Struct({
  id: Schema.optionalKey(Schema.Unknown),
  truncated: Schema.optionalKey(Schema.Unknown),
  runId: Schema.optionalKey(Schema.Unknown),
  idempotencyKey: Schema.optionalKey(Schema.Unknown)
})
const Message = Schema.Struct({
  role: Schema.String,
  content: Schema.optionalKey(Schema.Unknown),
  text: Schema.optionalKey(Schema.Unknown),
  timestamp: Schema.optionalKey(Schema.Unknown),
  stopReason: Schema.optionalKey(Schema.Unknown),
  errorMessage: Schema.optionalKey(Schema.Unknown),
  idempotencyKey: Schema.optionalKey(Schema.Unknown),
  /** On what a run had written when it was stopped. */
  openclawAbort: Schema.optionalKey(Schema.Unknown),
  __openclaw: Schema.optionalKey(Marks)
})
type Message = typeof Message.Type
const decodeMessage = Schema.decodeUnknownOption(Message)

const isActive = ({ inFlightRun, sessionInfo }: History, runId: string): boolean => {
  if (hasRunId(inFlightRun, runId)) return true
  const active = Predicate.hasProperty(sessionInfo, "activeRunIds") ? sessionInfo.activeRunIds : undefined
  return Array.isArray(active) && active.includes(runId)
}
const isQueued = ({ pendingInputs }: History, runId: string): boolean => {
  const pending = Predicate.hasProperty(pendingInputs, "items") ? pendingInputs.items : undefined
  return Array.isArray(pending) && pending.some((item) => hasRunId(item, runId))
}
const hasRunId = (value: unknown, runId: string): boolean =>
  Predicate.hasProperty(value, "runId") && value.runId === runId

/** The run that a message names: as a run id, or as the key of the message that began it, which ends in `:user`. */
const runOf = (message: Message): string | undefined => {
  const marks = message.__openclaw
  for (const mark of [marks?.runId, marks?.idempotencyKey, message.idempotencyKey]) {
    if (Predicate.isString(mark)) return mark.replace(/:user$/, "")
  }
  return undefined
}

const isAsking = (message: Message, sought: Sought, isOurs: (text: string) => boolean): boolean => {
  if (message.role !== "user") return false
  const run = runOf(message)
  if (run !== undefined) return run === sought.runId
  const atMs = timeMs(message.timestamp)
  return atMs !== undefined && atMs >= sought.notBeforeMs && isOurs(asWritten(textOf(message)))
}

/** Old releases put the time before what the model sees, and the message id behind it. */
const withoutStamp = (text: string): string =>
  text.replace(/^\[[^\]\n]*\d\d:\d\d[^\]\n]*\] /, "").replace(/\n\[message_id: [^\]\n]*\]\s*$/, "").trim()

/**
 * With these words a gateway that was started again goes on with an interrupted message: in a message of its own, which
 * begins another run, or, up to 2026.6, behind the repeated message, which is then no longer there.
 */
const resumed = "[System] Your previous turn was interrupted by a gateway restart"
const isResumption = (message: Message): boolean => message.role === "user" && textOf(message).includes(resumed)

/** Up to 2026.5 what a gateway makes of files stands around the text: where it put them, and what is in them. */
const withoutFiles = (text: string): string => {
  const own = text.replace(/^(?:\[media attached[^\n]*\]\n)+/, "")
  const files = own.indexOf('\n\n<file name="')
  return files !== -1 && own.endsWith("\n</file>") ? own.slice(0, files) : own
}

/**
 * The message with which 2026.8, started again under a run, goes on in place of the one that began the run, which is then no
 * longer there. A message that came in between may be the one that it replaces. -1 where there is none.
 */
const replacementOf = (messages: ReadonlyArray<Message>, { notBeforeMs }: Sought): number => {
  const first = messages.findIndex((message) =>
    message.role === "user" && (timeMs(message.timestamp) ?? Infinity) >= notBeforeMs
  )
  const message = messages[first]
  return message !== undefined && isResumption(message) ? first : -1
}

/** The text of a message as its sender wrote it. */
const asWritten = (whole: string): string => {
  const text = withoutFiles(whole)
  const repeated = text.indexOf(resumed)
  if (repeated === -1) return withoutStamp(text)
  const before = text.slice(0, repeated).replace(/\n\n(\[[^\]\n]*\d\d:\d\d[^\]\n]*\] )?$/, "")
  return withoutStamp(before.replace(/^\[Queued [^\]\n]*\]\s*/, ""))
}

/** The run of a message and, in it or behind it with no other message between, those that went on with it. */
const runsOf = (messages: ReadonlyArray<Message>, asked: number, runId: string): ReadonlySet<string> => {
  const runs = new Set([runId])
  if (asked === -1) return runs
  for (const [index, message] of messages.slice(asked).entries()) {
    if (message.role !== "user") continue
    if (!isResumption(message)) {
      if (index === 0) continue
      break
    }
    const run = runOf(message)
    if (run !== undefined) runs.add(run)
  }
  return runs
}

const isAnswer = (
  message: Message,
  index: number,
  asked: number,
  runs: ReadonlySet<string>,
  messages: ReadonlyArray<Message>,
  sought: Sought
): boolean => {
  // A call of a tool is a step on the way.
  if (message.role !== "assistant" || message.stopReason === "toolUse") return false
  if (textOf(message) === "" && message.stopReason !== "error" && message.stopReason !== "aborted") return false
  const run = runOf(message)
  if (run !== undefined && sought.merged !== true) return runs.has(run)
  if (run !== undefined && sought.claimed?.has(run) === true) return false
  if (asked === -1 || index < asked) return false
  // Behind the next question it answers that one.
  return !messages.slice(asked + 1, index).some((between) => between.role === "user" && !isResumption(between))
}
