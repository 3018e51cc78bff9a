/**
 * What a command prints: one JSON object a line for programs, or sentences for people.
 *
 * The answer, and nothing else, goes to standard output; progress, logs and warnings go to standard error. Colour and the live
 * line appear on a terminal only.
 */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { PlatformError } from "effect/PlatformError"
import type * as Redacted from "effect/Redacted"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import * as Terminal from "effect/Terminal"
import { withoutSecrets } from "../agent/EventSecrets.ts"
import type { AgentEvent } from "../protocol/AgentEvent.ts"
import { encodeAgentEvent, isoTime } from "../protocol/AgentEvent.ts"
import { columnsOf, fit } from "../protocol/TextColumns.ts"
import { errnoOf } from "../storage/Errno.ts"
import { CommandFailed } from "./CommandError.ts"
import type { ReplyOfTask, Style } from "./EventText.ts"
import { plain, render, replyPiece, replyText } from "./EventText.ts"
import type { Piece } from "./LiveReply.ts"

export class Output extends Context.Service<Output, {
  readonly json: boolean
  /** Standard output is a terminal. */
  readonly terminal: boolean
  /** How words of the answer are set off. */
  readonly style: Style
  /** A live line would be seen: standard output or standard error is a terminal. */
  readonly lively: boolean
  readonly event: (event: AgentEvent) => Effect.Effect<void>
  /** An event that is not the answer of the command: with `--json` as any other, for people on standard error. */
  readonly progress: (event: AgentEvent) => Effect.Effect<void>
  /** The reply that is the answer: as any event with `--json` and on a terminal, everywhere else its text alone. */
  readonly reply: (event: ReplyOfTask) => Effect.Effect<void>
  /** The reply alone, also on a terminal: its text, or its event with `--json`. */
  readonly replyAlone: (event: ReplyOfTask) => Effect.Effect<void>
  /** A piece of the reply on a terminal, while it is written. */
  readonly replyPiece: (taskId: string, piece: Piece) => Effect.Effect<void>
  /** One line of the answer. */
  readonly line: (text: string) => Effect.Effect<void>
  /** A sentence for the person, on standard error. */
  readonly warn: (text: string) => Effect.Effect<void>
  /** A question on standard error, with nothing behind it, so that the answer stands beside it. */
  readonly ask: (text: string) => Effect.Effect<void>
  /** Credentials that were sent to a gateway. From now on they are left out of its words, in sentences and in JSON. */
  readonly conceal: (secrets: ReadonlyArray<Redacted.Redacted>) => Effect.Effect<void>
  /** Replaces the live line, or removes it when empty. Nothing on anything but a terminal. */
  readonly live: (text: string) => Effect.Effect<void>
  /** Fails when standard output can no longer be written. A reader that left is no failure. */
  readonly lost: Effect.Effect<never, CommandFailed>
  /** Fails when something of the answer so far was lost. */
  readonly delivered: Effect.Effect<void, CommandFailed>
  /** Done when the reader of standard output has left. */
  readonly readerLeft: Effect.Effect<void>
}>()("effect-openclaw/cli/Output") {
  static readonly layer = (json: boolean): Layer.Layer<Output, never, Stdio.Stdio> => Layer.effect(this, make(json))
}

/** The present time as events show it. */
export const now = Effect.map(Clock.currentTimeMillis, isoTime)

/** The last event of a command that lives until it is stopped. */
export const stopped = (output: Output["Service"]): Effect.Effect<void> =>
  Effect.andThen(output.live(""), Effect.flatMap(now, (at) => output.event({ at, event: "stopped" })))

/** A stream that a person may watch. */
interface Screen {
  readonly terminal: boolean
  readonly style: Style
  readonly write: (text: string) => Effect.Effect<void>
}

const make = Effect.fnUntraced(function*(json: boolean) {
  const stdio = yield* Stdio.Stdio
  const kind = yield* Effect.orDie(Config.option(Config.String("TERM")))
  const noColor = isSet(yield* Effect.orDie(Config.option(Config.String("NO_COLOR"))))
  const forced = isForced(yield* Effect.orDie(Config.option(Config.String("FORCE_COLOR"))))
  const lost = yield* Deferred.make<never, CommandFailed>()
  const readerLeft = yield* Deferred.make<void>()
  const onLost = (error: PlatformError) => {
    const code = errnoOf(error)
    return code === "EPIPE" || code === "ERR_STREAM_DESTROYED"
      ? Deferred.succeed(readerLeft, undefined)
      : Deferred.fail(lost, outputLost(code))
  }
  const screen = (isTerminal: boolean, sink: () => ReturnType<typeof stdio.stdout>): Screen => {
    // A dumb terminal prints what would move the cursor.
    const isDumb = Option.getOrUndefined(kind) === "dumb"
    const terminal = !json && isTerminal && !isDumb
    return {
      terminal,
      style: (terminal || (forced && !json && !isDumb)) && !noColor ? colored : plain,
      write: (text) => Effect.ignore(Stream.run(Stream.succeed(text), sink()))
    }
  }
  const answer: Screen = {
    ...screen(yield* stdio.stdoutIsTerminal, () => stdio.stdout()),
    write: (text) => Effect.catch(Stream.run(Stream.succeed(text), stdio.stdout()), onLost)
  }
  const beside = screen(yield* stdio.stderrIsTerminal, () => stdio.stderr())
  const liveScreen = answer.terminal ? answer : beside
  // Zero where the width is not known.
  const columns = Option.match(yield* Effect.serviceOption(Terminal.Terminal), {
    onNone: () => Effect.succeed(0),
    onSome: (terminal) => terminal.columns
  })
  let shown = ""
  let secrets: ReadonlyArray<Redacted.Redacted> = []

  /** Lines above the live line. Both screens may be one terminal. */
  const lineOn = (screen: Screen) => (text: string): Effect.Effect<void> =>
    Effect.suspend(() => {
      const live = shown
      if (live === "" || !screen.terminal) return screen.write(`${text}\n`)
      return screen === liveScreen
        ? screen.write(`${erase}${text}\n${live}`)
        : Effect.andThen(
          liveScreen.write(erase),
          Effect.andThen(screen.write(`${text}\n`), liveScreen.write(live))
        )
    })
  const rendered = (event: AgentEvent, screen: Screen): Effect.Effect<void> =>
    Effect.flatMap(screen.terminal ? columns : Effect.succeed(0), (width) => {
      const text = render(event, screen.style, width)
      return text === undefined ? Effect.void : lineOn(screen)(text)
    })
  const tell = (event: AgentEvent, screen: Screen): Effect.Effect<void> => {
    const clean = withoutSecrets(event, secrets)
    return json ? answer.write(`${encodeAgentEvent(clean)}\n`) : rendered(clean, screen)
  }
  return Output.of({
    json,
    terminal: answer.terminal,
    style: answer.style,
    lively: liveScreen.terminal,
    line: lineOn(answer),
    warn: lineOn(beside),
    ask: beside.write,
    event: (event) => tell(event, answer),
    progress: (event) => tell(event, beside),
    reply: (event) =>
      Effect.suspend(() => json || answer.terminal ? tell(event, answer) : lineOn(answer)(replyText(event, secrets))),
    replyAlone: (event) => Effect.suspend(() => json ? tell(event, answer) : lineOn(answer)(replyText(event, secrets))),
    replyPiece: (taskId, piece) =>
      Effect.flatMap(columns, (width) => lineOn(answer)(replyPiece(taskId, piece, answer.style, width))),
    conceal: (more) => Effect.sync(() => void (secrets = [...secrets, ...more])),
    lost: Deferred.await(lost),
    delivered: Effect.flatMap(Deferred.isDone(lost), (isLost) => isLost ? Deferred.await(lost) : Effect.void),
    readerLeft: Deferred.await(readerLeft),
    live: (text) =>
      Effect.flatMap(columns, (width) => {
        const fitting = fitted(text, width)
        if (!liveScreen.terminal || fitting === shown) return Effect.void
        shown = fitting
        return liveScreen.write(`${erase}${fitting}`)
      })
  })
})

/** As no-color.org has it: empty counts as not set. */
const isSet = (found: Option.Option<string>): boolean => Option.getOrElse(found, () => "") !== ""

const isForced = (found: Option.Option<string>): boolean =>
  !["", "0", "false"].includes(Option.getOrElse(found, () => "").toLowerCase())

const outputLost = (code: string | undefined) =>
  new CommandFailed({
    exit: "output",
    error: "OutputLost",
    problem: `standard output cannot be written${
      code === undefined ? "" : ` (${code})`
    }: check where it goes, and its space`
  })

const erase = "\r\u001b[K"

/** A wrapped line could not be erased. */
const fitted = (text: string, width: number): string =>
  width > 1 && columnsOf(text) >= width ? `${fit(text, width - 2)}…` : text

const sgr = (code: number) => (text: string) => `\u001b[${code}m${text}\u001b[0m`
const colored: Style = { good: sgr(32), bad: sgr(31), attention: sgr(33), dim: sgr(2), strong: sgr(1) }
