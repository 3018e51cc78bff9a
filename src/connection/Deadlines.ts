/**
 * Deadlines of many requests, kept by one fiber.
 *
 * The fiber sleeps on the `Clock` until the earliest deadline and is woken only when an earlier one arrives. A request that
 * finishes leaves the register and re-arms nothing, so an answered request costs no timer.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import * as ReadGate from "./ReadGate.ts"

export interface Pending {
  /** Milliseconds of `ReadGate.nowMs`. */
  readonly deadlineMs: number
  /** Called once the deadline has passed. Takes the entry out of the register. */
  readonly expire: () => void
}

export interface Deadlines {
  /** Call after adding an entry to the register. */
  readonly arm: (deadlineMs: number) => void
}

/** Expires the entries of `register`. Entries that finish before leave it without a call here. */
export const watch = Effect.fnUntraced(function*(
  register: ReadonlyMap<string, Pending>,
  gate: ReadGate.ReadGate
): Effect.fn.Return<Deadlines, never, Scope.Scope> {
  const earlierDeadline = Latch.makeUnsafe(false)
  let wakeAtMs = Number.POSITIVE_INFINITY

  const sweep = Effect.suspend(() => {
    const nowMs = ReadGate.nowMs(gate)
    earlierDeadline.closeUnsafe()
    wakeAtMs = Number.POSITIVE_INFINITY
    if (ReadGate.isClosed(gate)) return ReadGate.awaitOpen(gate)
    for (const pending of register.values()) {
      if (pending.deadlineMs <= nowMs) pending.expire()
      else wakeAtMs = Math.min(wakeAtMs, pending.deadlineMs)
    }
    return wakeAtMs === Number.POSITIVE_INFINITY
      ? earlierDeadline.await
      : Effect.raceFirst(Effect.sleep(Duration.millis(wakeAtMs - nowMs)), earlierDeadline.await)
  })
  yield* Effect.forkScoped(Effect.forever(sweep, { disableYield: true }))

  return {
    arm: (deadlineMs) => {
      if (deadlineMs < wakeAtMs) earlierDeadline.openUnsafe()
    }
  }
})
