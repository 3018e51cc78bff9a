/**
 * Everything that a program tells the outside while it runs, as text to look for secrets in.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Tracer from "effect/Tracer"
import { inspect } from "node:util"

/** A value in every form in which it may be printed. */
export const shown = (value: unknown): string => {
  let json: string
  try {
    json = JSON.stringify(value) ?? ""
  } catch {
    json = ""
  }
  const options = { depth: Number.POSITIVE_INFINITY, maxArrayLength: null, maxStringLength: null, showHidden: true }
  return `${inspect(value, options)}\n${json}\n${String(value)}`
}

/** Runs a program, all levels of the log included, while everything that it tells the outside is written down. */
export const observed = Effect.fnUntraced(function*<A, E, R>(program: Effect.Effect<A, E, R>) {
  const told: Array<string> = []
  const logger = Logger.make((entry) => {
    told.push(shown(entry.message), Cause.pretty(entry.cause), shown([...entry.fiber.context.mapUnsafe.values()]))
  })
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  const exit = yield* Effect.exit(program.pipe(
    Effect.provide(Logger.layer([logger])),
    Effect.provideService(Tracer.Tracer, tracer),
    Effect.provideService(References.MinimumLogLevel, "All")
  ))
  for (const { attributes, events, name, status } of spans) {
    told.push(name, shown([...attributes]), shown(events), shown(status))
  }
  return { exit, told, spans: spans.map(({ name }) => name) }
})
