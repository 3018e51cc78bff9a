/**
 * The text of a message, whatever shape a gateway gives it. Pure.
 */
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"

/**
 * The text of a message in any of its shapes: a string; `content` as a string or as parts, of which those of type text are
 * joined by newlines; `text`; or one of these nested under `message`. Empty when there is none.
 */
export const textOf = (message: unknown): string => partsAt(message, 0).join("\n")

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
    ? content.filter(isTextPart).map((part) => part.text)
    : []
  if (isSomething(said)) return said
  const nested = partsAt(message.message, depth + 1)
  return !isSomething(nested) && Predicate.isString(message.text) ? [message.text] : nested
}

const isSomething = (parts: ReadonlyArray<string>): boolean => parts.length > 1 || (parts[0] ?? "") !== ""

const isMessage = Schema.is(Schema.Struct({
  content: Schema.optionalKey(Schema.Unknown),
  message: Schema.optionalKey(Schema.Unknown),
  text: Schema.optionalKey(Schema.Unknown)
}))
const isTextPart = Schema.is(Schema.Struct({ type: Schema.Literal("text"), text: Schema.String }))
