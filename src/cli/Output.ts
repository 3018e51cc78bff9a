/**
 * What a command prints: one JSON object a line for programs, or sentences for people.
 *
 * The answer, and nothing else, goes to standard output; logs and warnings go to standard error. Colour and the live line
 * appear on a terminal only.
 */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import * as Terminal from "effect/Terminal"
import type { AgentEvent } from "../protocol/AgentEvent.ts"
import { encodeAgentEvent, isoTime } from "../protocol/AgentEvent.ts"
import { columnsOf, fit } from "../protocol/TextColumns.ts"
import type { Style } from "./EventText.ts"
import { plain, render, withoutSecrets } from "./EventText.ts"

export class Output extends Context.Service<Output, {
  readonly json: boolean
  /** Standard output is a terminal. */
  readonly terminal: boolean
  readonly event: (event: AgentEvent) => Effect.Effect<void>
  /** One line of the answer. */
  readonly line: (text: string) => Effect.Effect<void>
  /** A sentence for the person, on standard error. */
  readonly warn: (text: string) => Effect.Effect<void>
  /** Credentials that were sent to a gateway. From now on they are left out of its words, in sentences and in JSON. */
  readonly conceal: (secrets: ReadonlyArray<Redacted.Redacted>) => Effect.Effect<void>
  /** Replaces the live line, or removes it when empty. Nothing on anything but a terminal. */
  readonly live: (text: string) => Effect.Effect<void>
}>()("effect-openclaw/cli/Output") {
  static readonly layer = (json: boolean): Layer.Layer<Output, never, Stdio.Stdio> => Layer.effect(this, make(json))
}

/** The present time as events show it. */
export const now = Effect.map(Clock.currentTimeMillis, isoTime)

/** The last event of a command that lives until it is stopped. */
export const stopped = (output: Output["Service"]): Effect.Effect<void> =>
  Effect.andThen(output.live(""), Effect.flatMap(now, (at) => output.event({ at, event: "stopped" })))

const make = Effect.fnUntraced(function*(json: boolean) {
  const stdio = yield* Stdio.Stdio
  const kind = yield* Effect.orDie(Config.option(Config.String("TERM")))
  // A dumb terminal prints what would move the cursor.
  const terminal = !json && (yield* stdio.stdoutIsTerminal) && Option.getOrUndefined(kind) !== "dumb"
  const noColor = yield* Effect.orDie(Config.option(Config.String("NO_COLOR")))
  const style = terminal && Option.isNone(noColor) ? colored : plain
  // Zero where the width is not known.
  const columns = Option.match(yield* Effect.serviceOption(Terminal.Terminal), {
    onNone: () => Effect.succeed(0),
    onSome: (terminal) => terminal.columns
  })
  let shown = ""
  let secrets: ReadonlyArray<Redacted.Redacted> = []

  // The agent goes on when its reader ends (`| head`).
  const write = (text: string) => Effect.ignore(Stream.run(Stream.succeed(text), stdio.stdout()))
  const line = (text: string) =>
    Effect.suspend(() => {
      const live = shown
      return write(live === "" ? `${text}\n` : `${erase}${text}\n${live}`)
    })
  return Output.of({
    json,
    terminal,
    line,
    warn: (text) => Effect.ignore(Stream.run(Stream.succeed(`${text}\n`), stdio.stderr())),
    event: (event) => {
      const clean = withoutSecrets(event, secrets)
      if (json) return write(`${encodeAgentEvent(clean)}\n`)
      return Effect.flatMap(terminal ? columns : Effect.succeed(0), (width) => {
        const text = render(clean, style, width)
        return text === undefined ? Effect.void : line(text)
      })
    },
    conceal: (more) => Effect.sync(() => void (secrets = [...secrets, ...more])),
    live: (text) =>
      Effect.flatMap(columns, (width) => {
        const fitting = fitted(text, width)
        if (!terminal || fitting === shown) return Effect.void
        shown = fitting
        return write(`${erase}${fitting}`)
      })
  })
})

const erase = "\r\u001b[K"

/** A wrapped line could not be erased. */
const fitted = (text: string, width: number): string =>
  width > 1 && columnsOf(text) >= width ? `${fit(text, width - 2)}…` : text

const sgr = (code: number) => (text: string) => `\u001b[${code}m${text}\u001b[0m`
const colored: Style = { good: sgr(32), bad: sgr(31), attention: sgr(33), dim: sgr(2), strong: sgr(1) }
