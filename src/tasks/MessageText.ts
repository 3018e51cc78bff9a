/**
 * The text of a message, whatever shape a gateway gives it. Pure.
 */
import * as Predicate from "effect/Predicate"

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
