/**
 * How runs ended, for `agent.wait`. Kept until the gateway stops.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Respond } from "./Respond.ts"

export interface RunEnds {
  readonly record: (runId: string, startedAtMs: number, end: Readonly<Record<string, unknown>>) => void
  /** Answers with the end of a run as soon as there is one, else with `timeout`. */
  readonly wait: (runId: string, timeoutMs: number, respond: Respond) => void
  /** Forgets all ends, and answers everyone who waits with `timeout`. */
  readonly clear: () => void
}

export const make = (options: {
  readonly nowMs: () => number
  readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
}): RunEnds => {
  const ends = new Map<string, Readonly<Record<string, unknown>>>()
  const waiters = new Map<string, Set<() => void>>()

  return {
    record: (runId, startedAt, end) => {
      ends.set(runId, { runId, startedAt, endedAt: options.nowMs(), ...end })
      for (const answer of waiters.get(runId) ?? []) answer()
    },

    wait: (runId, timeoutMs, respond) => {
      const end = ends.get(runId)
      if (end !== undefined || timeoutMs === 0) return respond({ payload: end ?? { runId, status: "timeout" } })
      const waiting = waiters.get(runId) ?? new Set()
      waiters.set(runId, waiting)
      const answer = () => {
        timer.interruptUnsafe()
        if (!waiting.delete(answer)) return
        if (waiting.size === 0) waiters.delete(runId)
        respond({ payload: ends.get(runId) ?? { runId, status: "timeout" } })
      }
      waiting.add(answer)
      const timer = options.fork(Effect.delay(Effect.sync(answer), timeoutMs))
    },

    clear: () => {
      ends.clear()
      for (const waiting of waiters.values()) for (const answer of waiting) answer()
    }
  }
}
