/**
 * Keeps what is logged: the message and the annotations, one entry for each line.
 */
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import type * as LogLevel from "effect/LogLevel"
import * as References from "effect/References"

export interface LogLine {
  readonly message: unknown
  readonly level: LogLevel.LogLevel
  readonly annotations: Readonly<Record<string, unknown>>
}

/** Runs an effect with `lines` filled while it runs. */
export const kept = <A, E, R>(
  run: (lines: ReadonlyArray<LogLine>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => {
  const lines: Array<LogLine> = []
  const logger = Logger.make<unknown, void>(({ fiber, logLevel, message }) => {
    const only = Array.isArray(message) && message.length === 1 ? message[0] : message
    lines.push({ message: only, level: logLevel, annotations: { ...fiber.getRef(References.CurrentLogAnnotations) } })
  })
  return Effect.provide(Effect.suspend(() => run(lines)), Logger.layer([logger]))
}
