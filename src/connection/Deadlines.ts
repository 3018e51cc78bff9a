/**
 * Deadlines of many requests, kept by one fiber.
 *
 * The fiber sleeps on the `Clock` until the earliest deadline and is woken only when an earlier one arrives. A request that
 * finishes just leaves the register: nothing is re-armed, so that an answered request costs no timer.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import * as ReadGate from "./ReadGate.ts"

export interface Pending {
  /** Milliseconds of `ReadGate.nowMs`. */
  readonly deadlineMs: number
  readonly expire: () => void
}

export interface Deadlines {
  /** Call after an entry joined the register. */
  readonly arm: (deadlineMs: number) => void
}

/** Watches `register`, whose entries leave it by themselves when they are done. */
export const watch = Effect.fnUntraced(function*(
  register: ReadonlyMap<string, Pending>,
  gate: ReadGate.ReadGate
): Effect.fn.Return<Deadlines, never, Scope.Scope> {
  const earlier = Latch.makeUnsafe(false)
  let sleepsUntilMs = Number.POSITIVE_INFINITY

  const sweep = Effect.suspend(() => {
    const nowMs = ReadGate.nowMs(gate)
    earlier.closeUnsafe()
    sleepsUntilMs = Number.POSITIVE_INFINITY
    if (ReadGate.isClosed(gate)) return ReadGate.awaitOpen(gate)
    for (const pending of register.values()) {
      if (pending.deadlineMs <= nowMs) pending.expire()
      else sleepsUntilMs = Math.min(sleepsUntilMs, pending.deadlineMs)
    }
    return sleepsUntilMs === Number.POSITIVE_INFINITY
      ? earlier.await
      : Effect.raceFirst(Effect.sleep(Duration.millis(sleepsUntilMs - nowMs)), earlier.await)
  })
  yield* Effect.forkScoped(Effect.forever(sweep, { disableYield: true }))

  return {
    arm: (deadlineMs) => {
      if (deadlineMs < sleepsUntilMs) earlier.openUnsafe()
    }
  }
})
