/**
 * Texts as release 2026.9.6 keeps and shows them: what it makes of a message that it is sent, and what `chat.history`,
 * `chat.message.get` and events show of one.
 */
import * as Predicate from "effect/Predicate"

/** The text that is kept of a message; `undefined` when the gateway refuses it. */
export const accept = (message: string): string | undefined => {
  const normal = message.normalize("NFC")
  return normal.includes("\u0000") ? undefined : normal.replace(controls, "")
}

const controls = /(?![\t\n\r\u0080-\u009f])\p{Cc}/gu

/** How many UTF-16 code units of a text are shown unless the client asks for another number. */
export const historyMaxChars = 8000
export const messageMaxChars = 1_000_000

/** The text so far as `chat` events show it: the end of what is longer. */
export const live = (text: string): string => text.slice(-liveMaxChars)
const liveMaxChars = 500_000

/** A reply as the end of its run tells it. */
export const inEnd = (text: string): string =>
  text.length <= endMaxChars ? text : `${text.slice(0, endMaxChars - 1).trimEnd()}…`
const endMaxChars = 4096

/** Messages of more bytes are left out of history. */
const historyMaxBytes = 128 * 1024

type Message = Readonly<Record<string, unknown>>

/** A message whose texts are cut at `maxChars`. */
export const cut = (message: Message, maxChars: number): Message => {
  const content = cutContent(message["content"], maxChars)
  return content === message["content"] ? message : marked({ ...message, content }, "display-cap")
}

/** A message as `chat.history` shows it. */
export const inHistory = (message: Message, maxChars: number): Message => {
  const shown = cut(message, maxChars)
  if (Buffer.byteLength(JSON.stringify(shown)) <= historyMaxBytes) return shown
  const { role, timestamp } = shown
  // Nothing else of its marks is kept, not even the run.
  const { id, idempotencyKey, seq } = marksOf(shown)
  const marks = { ...(idempotencyKey === undefined ? {} : { idempotencyKey }), id, seq }
  return marked({ role, timestamp, content: [{ type: "text", text: omission }], __openclaw: marks }, "oversized")
}

const omission = "[chat.history omitted: message too large]"

const cutContent = (content: unknown, maxChars: number): unknown => {
  if (Predicate.isString(content)) return cutText(content, maxChars)
  if (!Array.isArray(content)) return content
  const parts = content.map((part: unknown) => cutPart(part, maxChars))
  return parts.some((part, index) => part !== content[index]) ? parts : content
}

const cutPart = (part: unknown, maxChars: number): unknown => {
  if (!Predicate.hasProperty(part, "text") || !Predicate.isString(part.text)) return part
  const text = cutText(part.text, maxChars)
  return text === part.text ? part : { ...part, text }
}

const cutText = (text: string, maxChars: number): string =>
  text.length <= maxChars ? text : `${text.slice(0, maxChars)}\n...(truncated)...`

const marksOf = (message: Message): Message =>
  Predicate.isObject(message["__openclaw"]) ? { ...message["__openclaw"] } : {}

const marked = (message: Message, reason: string): Message => ({
  ...message,
  __openclaw: { ...marksOf(message), truncated: true, reason }
})

/** The payload of `chat.message.get`. */
export const found = (messages: ReadonlyArray<Message>, messageId: string, maxChars: number) => {
  const message = messages.find((each) => marksOf(each)["id"] === messageId)
  return message === undefined
    ? { ok: false, unavailableReason: "not_found" }
    : { ok: true, message: cut(message, maxChars) }
}
