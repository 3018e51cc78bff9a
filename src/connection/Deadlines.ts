/**
 * Deadlines of one session, kept by one fiber.
 *
 * The fiber sleeps on the `Clock` until the earliest deadline, and another takes its place only when an earlier one arrives. A
 * request that finishes re-arms nothing, so an answered request costs no timer. Without a deadline there is no fiber.
 *
 * Deadlines are times of `ReadGate.nowMs`. It never runs faster than the `Clock`, so the fiber may be early, and sleeps again;
 * while it stands still there is no fiber.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Patience from "../handshake/Patience.ts"
import * as ReadGate from "./ReadGate.ts"

/** State of one session. Only the functions of this module change it. */
export interface Deadlines {
  readonly gate: ReadGate.ReadGate
  /** Does what is due, and gives the next deadline; infinite if there is none. */
  readonly sweep: (nowMs: number) => number
  readonly scope: Scope.Scope
  fiber: Fiber.Fiber<void> | undefined
  wakeAtMs: number
}

export const make = (gate: ReadGate.ReadGate, scope: Scope.Scope, sweep: Deadlines["sweep"]): Deadlines => {
  const self: Deadlines = { gate, sweep, scope, fiber: undefined, wakeAtMs: Number.POSITIVE_INFINITY }
  gate.opened = Effect.suspend(() => arm(self, ReadGate.nowMs(gate)))
  return self
}

/** Whether the fiber would wake too late for this deadline. Then `arm` has to run. */
export const isLate = ({ wakeAtMs }: Deadlines, deadlineMs: number): boolean => deadlineMs < wakeAtMs

/** Sees to it that `sweep` runs at this time at the latest. */
export const arm = (self: Deadlines, deadlineMs: number): Effect.Effect<void> =>
  Effect.suspend(() => {
    self.fiber?.interruptUnsafe()
    self.wakeAtMs = deadlineMs
    return Effect.map(
      Effect.forkIn(sleepAndSweep(self), self.scope, { startImmediately: true }),
      (fiber) => {
        self.fiber = fiber
      }
    )
  })

const sleepAndSweep = (self: Deadlines): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (ReadGate.isClosed(self.gate)) self.wakeAtMs = Number.POSITIVE_INFINITY
    if (self.wakeAtMs === Number.POSITIVE_INFINITY) return Effect.void
    const leftMs = self.wakeAtMs - ReadGate.nowMs(self.gate)
    if (leftMs > 0) return Effect.andThen(sleep(leftMs), sleepAndSweep(self))
    // Until the sweep is over no deadline is late: it sees those that come meanwhile.
    self.wakeAtMs = self.sweep(ReadGate.nowMs(self.gate))
    return sleepAndSweep(self)
  })

const sleep = (ms: number): Effect.Effect<void> => Effect.andThen(Effect.sleep(Duration.millis(ms)), Patience.heard)
