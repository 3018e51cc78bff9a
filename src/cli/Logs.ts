/**
 * What the program logs, on standard error: sentences for people, which the live line leaves room for, with their time with
 * `--log-format pretty`; or one line of JSON or logfmt for programs.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Queue from "effect/Queue"
import * as References from "effect/References"
import { field, line } from "../protocol/OutsideText.ts"
import { Output } from "./Output.ts"

export const formats = ["text", "pretty", "json", "logfmt"] as const
export type Format = typeof formats[number]

/** More than any sentence of ours has, with the path of a file in it. */
const maxLength = 2000

/** Lines that wait while standard error takes nothing; the oldest are dropped. */
const mostLines = 10_000

const shown = (part: unknown): string =>
  field(part instanceof Error ? part.message : typeof part === "string" ? part : JSON.stringify(part) ?? String(part), {
    maxLength
  })

const words: Readonly<Record<string, string>> = { Warn: "warning", Error: "error", Fatal: "error" }

/**
 * One line: `warning: what happened: more (path /x, mode 0640)`. The stack of a defect follows it, as people who report one need
 * it.
 */
const sentence = Logger.make(({ cause, fiber, logLevel, message }) => {
  const facts = Object.entries(fiber.getRef(References.CurrentLogAnnotations))
    .flatMap(([name, value]) => value === undefined ? [] : [`${name} ${shown(value)}`])
  const parts = (Array.isArray(message) ? message : [message]).map(shown)
  const line = `${words[logLevel] ?? logLevel.toLowerCase()}: ${parts.join(": ")}`
    + (facts.length === 0 ? "" : ` (${facts.join(", ")})`)
  return cause.reasons.length === 0 ? line : `${line}\n${Cause.pretty(cause)}`
})

/** With the time and the level first, as a journal without times of its own needs them. */
const pretty = Logger.make((options) => {
  const { date, logLevel } = options
  const said = sentence.log(options)
  return `${date.toISOString()} ${logLevel.toUpperCase().padEnd(5)} ${said.slice(said.indexOf(": ") + 2)}`
})

/** The lines of Effect's own formatter, with what would act on a terminal made visible. */
const logfmt = Logger.map(Logger.formatLogFmt, line)

const loggers: Readonly<Record<Format, Logger.Logger<unknown, string>>> = {
  text: sentence,
  pretty,
  json: Logger.formatJson,
  logfmt
}

/** Logs through the command's output. What is logged at the very end is written before the output is given back. */
export const layer = (format: Format): Layer.Layer<never, never, Output> =>
  Layer.unwrap(Effect.gen(function*() {
    const output = yield* Output
    const lines = yield* Queue.sliding<string>(mostLines)
    const written = Effect.flatMap(Queue.take(lines), output.warn)
    yield* Effect.addFinalizer(() =>
      Effect.flatMap(Queue.clear(lines), (rest) => Effect.forEach(rest, output.warn, { discard: true }))
    )
    yield* Effect.forkScoped(Effect.forever(written))
    const logger = Logger.map(loggers[format], (line) => void Queue.offerUnsafe(lines, line))
    return Logger.layer([logger, Logger.tracerLogger])
  }))
