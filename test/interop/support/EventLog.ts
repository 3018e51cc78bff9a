import type * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import { InteropError } from "./InteropError.ts"

/** What an outside party said, in order: everything so far in `all`, and a cursor that `next` moves forward. */
export interface EventLog<A> {
  readonly all: ReadonlyArray<A>
  readonly offerUnsafe: (item: A) => void
  readonly endUnsafe: () => void
  /**
   * The first item after the cursor that `where` accepts; the cursor then stands behind it, so items passed over are
   * found in `all` only. Fails when nothing came within `timeout` of real time, or when the log has ended; `describe`
   * says what was waited for and `context` gives the lines of the failure.
   */
  readonly next: (options: {
    readonly describe: string
    readonly where: (item: A) => boolean
    readonly timeout: Duration.Input
    readonly context: () => ReadonlyArray<string>
  }) => Effect.Effect<A, InteropError>
}

export const makeEventLog = Effect.fnUntraced(function*<A>() {
  const all: Array<A> = []
  const queue = yield* Queue.unbounded<A, Cause.Done>()
  const log: EventLog<A> = {
    all,
    offerUnsafe: (item) => {
      all.push(item)
      Queue.offerUnsafe(queue, item)
    },
    endUnsafe: () => void Queue.endUnsafe(queue),
    next: ({ context, describe, timeout, where }) => {
      const failure = (what: string) =>
        Effect.suspend(() =>
          Effect.fail(new InteropError({ step: "event", detail: `${what} ${describe}`, log: context() }))
        )
      const search: Effect.Effect<A, Cause.Done> = Effect.filterOrElse(Queue.take(queue), where, () => search)
      return search.pipe(
        Effect.catch(() => failure("it ended before")),
        Effect.timeoutOrElse({ duration: timeout, orElse: () => failure("nothing came in time:") })
      )
    }
  }
  return log
})

/** Waits in real time for what happens, or is written down, in this process. */
export const untilTrue = (is: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => is() ? Effect.void : Effect.andThen(Effect.sleep("10 millis"), untilTrue(is)))
