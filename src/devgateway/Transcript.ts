/**
 * The messages of one chat session, and what `chat.history` answers about them. History shows the words of a failed run as an
 * assistant message with the stop reason `error`, and nothing of an agent that had nothing to say.
 */
import { mainSessionKey } from "./Hello.ts"
import * as MessageDisplay from "./MessageDisplay.ts"

/** What runs and messages name as their model. */
export const provider = "devgateway"
export const model = "agent"

export const usage = {
  input: 0,
  output: 0,
  totalTokens: 0,
  cacheRead: 0,
  cacheWrite: 0,
  cost: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, total: 0 }
}

export interface Transcript {
  /** In its full form, such as `agent:main:main`. */
  readonly key: string
  readonly id: string
  readonly createdAtMs: number
  readonly messages: Array<Readonly<Record<string, unknown>>>
}

/** What a new message is stamped with. */
interface Stamp {
  readonly id: string
  readonly nowMs: number
}

export const fullKey = (key: string): string =>
  key.startsWith("agent:") ? key : key === "main" ? mainSessionKey : `agent:main:${key}`

export const textContent = (text: string) => [{ type: "text", text }]

/** `marks` tell which run a message belongs to. */
const add = (
  { id: source, messages }: Transcript,
  { id, nowMs }: Stamp,
  message: Readonly<Record<string, unknown>>,
  marks: Readonly<Record<string, unknown>>
): void => {
  const seq = messages.length + 1
  messages.push({
    ...message,
    timestamp: nowMs,
    __openclaw: { ...marks, id, recordTimestampMs: nowMs, transcriptPosition: { source, rawSeq: seq }, seq }
  })
}

/** A question has the key that it was sent with, and no run id. */
export const addQuestion = (
  transcript: Transcript,
  stamp: Stamp,
  key: string,
  text: string,
  media: ReadonlyArray<Readonly<Record<string, unknown>>>
): void => {
  const idempotencyKey = `${key}:user`
  const marks = { ...(media.length === 0 ? {} : { media }), idempotencyKey }
  add(transcript, stamp, { role: "user", content: text, idempotencyKey }, marks)
}

export const addReply = (
  transcript: Transcript,
  stamp: Stamp,
  reply: {
    readonly runId: string
    readonly text: string
    /** Parts that stand for files. */
    readonly files: ReadonlyArray<Readonly<Record<string, unknown>>>
    readonly responseId: string
    readonly stopReason: string
  }
): void => {
  const { files, responseId, runId, stopReason, text } = reply
  const content = [...(text === "" && files.length > 0 ? [] : textContent(text)), ...files]
  const message = { role: "assistant", content, api: "openai-completions", provider, model, usage }
  add(transcript, stamp, { ...message, stopReason, responseId }, { runId })
}

/** The payload of `chat.history`: the last `limit` messages, and whether a run is active. */
export const history = (
  { createdAtMs, id, key, messages: all }: Transcript,
  { activeRunId, limit, maxChars, nowMs }: {
    readonly activeRunId: string | undefined
    readonly limit: number
    readonly maxChars: number
    readonly nowMs: number
  }
) => {
  const messages = all.slice(-limit).map((message) => MessageDisplay.inHistory(message, maxChars))
  const hasMore = messages.length < all.length
  const begun = all.length > 0
  const deltaCursor = Buffer.from(`${id}:${all.length}`, "utf8").toString("base64url")
  return {
    sessionKey: key,
    ...(begun ? { sessionId: id, deltaCursor } : {}),
    messages,
    pendingInputs: { items: [], total: 0 },
    ...(hasMore ? { nextOffset: messages.length } : {}),
    hasMore,
    totalMessages: all.length,
    defaults: { modelProvider: provider, model, contextTokens: 200_000 },
    sessionInfo: {
      key,
      kind: "direct",
      agentId: "main",
      isMain: key === mainSessionKey,
      ...(begun
        ? {
          visibility: "shared",
          createdAt: createdAtMs,
          sessionId: id,
          status: activeRunId === undefined ? "done" : "running"
        }
        : {}),
      modelProvider: provider,
      model,
      hasActiveRun: activeRunId !== undefined,
      activeRunIds: activeRunId === undefined ? [] : [activeRunId],
      snapshotAt: nowMs
    }
  }
}
