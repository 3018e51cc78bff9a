/**
 * The signals that end the program, and the exit status that each gives.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/** SIGHUP comes when the terminal is closed. */
export type Signal = "SIGHUP" | "SIGINT" | "SIGTERM"

/** As a shell counts them: 128 and the number of the signal. */
export const statusOf = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const satisfies Readonly<Record<Signal, number>>

/** Says that the command serves until it is stopped, so that a signal is its ordinary end, with status 0. */
export const Serving = Context.Reference<Effect.Effect<void>>("effect-openclaw/cli/Serving", {
  defaultValue: () => Effect.void
})

export const serving = Effect.flatten(Serving)

/**
 * Says what SIGHUP does instead of ending the program; `undefined` takes that back. Never where the signal was ignored at the
 * start.
 */
export const OnHangup = Context.Reference<(handler: (() => void) | undefined) => void>(
  "effect-openclaw/cli/OnHangup",
  { defaultValue: () => () => {} }
)
