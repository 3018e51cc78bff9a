/**
 * A question before something is changed: asked on a terminal, answered by `--yes` everywhere else.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { CommandFailed } from "./CommandError.ts"
import { bounded } from "./InputLines.ts"
import { Output } from "./Output.ts"

export interface Question {
  /** The answer was given on the command line. */
  readonly yes: boolean
  /** What the person has to see before, for standard error. */
  readonly lines: ReadonlyArray<string>
  /** It ends with a question mark. */
  readonly question: string
  /** What would be done: a sentence without its full stop. */
  readonly deed: string
}

/** Succeeds when the person agrees. Without a terminal, or with `--json`, nobody is asked. */
export const agreed = Effect.fnUntraced(function*({ deed, lines, question, yes }: Question) {
  if (yes) return
  const output = yield* Output
  const stdio = yield* Stdio.Stdio
  const asks = !output.json && (yield* stdio.stdinIsTerminal) && (yield* stdio.stderrIsTerminal)
  if (!asks) {
    return yield* new CommandFailed({
      exit: "usage",
      error: "ConfirmationMissing",
      problem: `${deed}. Nothing was changed, as there is no terminal to ask on. Add --yes to do it.`
    })
  }
  for (const line of lines) yield* output.warn(line)
  yield* output.ask(`${question} [y/N] `)
  const answer = yield* stdio.stdin.pipe(
    Stream.decodeText(),
    bounded(100),
    Stream.runHead,
    Effect.orElseSucceed(Option.none)
  )
  if (/^\s*y(es)?\s*$/i.test(Option.getOrElse(answer, () => ""))) return
  return yield* new CommandFailed({ exit: "failed", error: "Declined", problem: "Nothing was changed." })
})
