/**
 * The exit status of a command that has told its answer already, where that answer is not a failure of the command.
 */
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"

class Outcome extends Schema.TaggedError<Outcome>()("Outcome", { status: Schema.Int }) {
  override readonly [Runtime.errorReported] = false
  override get [Runtime.errorExitCode](): number {
    return this.status
  }
}

/** Ends with this status, and says nothing more. */
export const endWith = (status: number): Effect.Effect<void, Outcome> =>
  status === 0 ? Effect.void : Effect.fail(new Outcome({ status }))
