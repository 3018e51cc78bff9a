/**
 * What an MCP server writes, beside its answers: the protocol revision that it wants, changes of its tools, and its last words.
 */
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Predicate from "effect/Predicate"

export interface McpOutput {
  /** Bytes of standard output. */
  readonly answered: (bytes: Uint8Array) => void
  /** Bytes of standard error. */
  readonly said: (bytes: Uint8Array) => void
  /** The revision that the server named in its first answer. */
  readonly version: () => string | undefined
  /** Done when the tools have changed since the last time. */
  readonly changed: Effect.Effect<void>
  /** The last line of standard error that is not blank. */
  readonly lastWords: () => string
}

/** Calls `line` with each line of at most `longest` UTF-16 code units; longer ones are passed over. */
const lines = (longest: number, line: (text: string) => void) => {
  const decoder = new TextDecoder()
  let begun = ""
  let isLong = false
  return (bytes: Uint8Array) => {
    const [first = "", ...others] = decoder.decode(bytes, { stream: true }).split("\n")
    const add = (text: string) => {
      isLong ||= begun.length + text.length > longest
      begun = isLong ? "" : begun + text
    }
    add(first)
    for (const other of others) {
      if (!isLong) line(begun)
      begun = ""
      isLong = false
      add(other)
    }
  }
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export const make = (longestLine: number): McpOutput => {
  const news = Latch.makeUnsafe()
  let version: string | undefined
  let isAnswered = false
  let words = ""
  const answered = lines(longestLine, (text) => {
    if (isAnswered && !text.includes("list_changed")) return
    const message = parse(text)
    if (!Predicate.isObject(message)) return
    if (Predicate.hasProperty(message, "method")) {
      if (message.method === "notifications/tools/list_changed") news.openUnsafe()
      return
    }
    isAnswered = true
    if (version !== undefined || !Predicate.hasProperty(message, "result")) return
    const { result } = message
    if (Predicate.hasProperty(result, "protocolVersion") && typeof result.protocolVersion === "string") {
      version = result.protocolVersion
    }
  })
  const said = lines(longestLine, (text) => {
    if (text.trim() !== "") words = text
  })
  return {
    answered,
    said,
    version: () => version,
    changed: Effect.andThen(news.await, Effect.sync(() => void news.closeUnsafe())),
    lastWords: () => words
  }
}
