/**
 * The text of a message, whatever shape a gateway gives it, and of a reply that has several. Pure.
 */
import * as Predicate from "effect/Predicate"
import { isBefore } from "../protocol/Connect.ts"

/**
 * The text of a message in any of its shapes: a string; `content` as a string or as parts, of which those of type text are
 * joined by newlines; `text`; or one of these nested under `message`. Empty when there is none.
 */
export const textOf = (message: unknown): string => {
  const parts = partsAt(message, 0)
  return parts.length === 1 ? parts[0] ?? "" : parts.join("\n")
}

/** The parts of that text. */
export const partsOf = (message: unknown): ReadonlyArray<string> => partsAt(message, 0)

const deepest = 4
const partsAt = (message: unknown, depth: number): ReadonlyArray<string> => {
  if (Predicate.isString(message)) return [message]
  if (depth > deepest || !isMessage(message)) return []
  const { content } = message
  const said = Predicate.isString(content)
    ? [content]
    : Array.isArray(content)
    ? textsIn(content)
    : []
  if (isSomething(said)) return said
  const nested = partsAt(message.message, depth + 1)
  return !isSomething(nested) && Predicate.isString(message.text) ? [message.text] : nested
}

const isSomething = (parts: ReadonlyArray<string>): boolean => parts.length > 1 || (parts[0] ?? "") !== ""

/** Without a schema, as every piece of a reply passes here. */
const isMessage = (
  value: unknown
): value is { readonly content?: unknown; readonly message?: unknown; readonly text?: unknown } =>
  Predicate.isObject(value)

const textsIn = (content: ReadonlyArray<unknown>): ReadonlyArray<string> => {
  const texts: Array<string> = []
  for (const part of content) {
    if (!Predicate.hasProperty(part, "type") || part.type !== "text") continue
    if (Predicate.hasProperty(part, "text") && Predicate.isString(part.text)) texts.push(part.text)
  }
  return texts
}

/** An earlier message of the run. */
export interface EarlierMessage {
  readonly text: string
  /** It went on with a call of a tool. */
  readonly step: boolean
}

/**
 * What a run says in several messages, as its final event tells it: the reply whose last message is `last`. `heard`: how it
 * begins, as far as that is known.
 *
 * Releases differ in which messages belong to the reply: the last alone up to 2026.4, those before calls of tools too up to
 * 2026.7, and later those that came to an end, which are several where other messages were merged into the run. (Recorded:
 * test/vectors/runs-*.json.)
 */
export const joinReply = (
  parts: ReadonlyArray<EarlierMessage>,
  last: string,
  { heard = "", release }: { readonly heard?: string; readonly release?: string | undefined }
): string => {
  const beginning = heard.trimEnd()
  const whole = joined(parts, last, release)
  return whole.startsWith(beginning) || !last.startsWith(beginning) ? whole : last
}

const joined = (parts: ReadonlyArray<EarlierMessage>, last: string, release: string | undefined): string => {
  const texts = (wanted: ReadonlyArray<EarlierMessage>) => [...wanted.map(({ text }) => text), last]
  // One that does not say what it is counts as early.
  if (isBefore(release, "2026.5") !== false) return last
  if (isBefore(release, "2026.8") === true) return texts(parts).join("")
  return texts(parts.filter(({ step }) => !step)).join(isBefore(release, "2026.9") === true ? "" : "\n\n")
}
