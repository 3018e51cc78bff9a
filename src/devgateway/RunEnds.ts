/**
 * How runs ended, for `agent.wait`. Kept until the gateway stops.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Respond } from "./Respond.ts"

export interface RunEnds {
  readonly record: (runId: string, end: Readonly<Record<string, unknown>>) => void
  /** Answers with the end of a run as soon as there is one, else with `pending` or `timeout`. */
  readonly wait: (runId: string, timeoutMs: number, respond: Respond) => void
  /** Forgets all ends, and answers everyone who waits with `timeout`. */
  readonly clear: () => void
}

export const make = (options: {
  readonly nowMs: () => number
  readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  /** Whether the message with this key waits behind an active run. */
  readonly isQueued: (runId: string) => boolean
}): RunEnds => {
  const ends = new Map<string, Readonly<Record<string, unknown>>>()
  const waiters = new Map<string, Set<() => void>>()
  const stateOf = (runId: string) =>
    ends.get(runId) ?? (options.isQueued(runId)
      ? { runId, status: "pending", timeoutPhase: "queue", providerStarted: false }
      : { runId, status: "timeout" })

  return {
    record: (runId, end) => {
      ends.set(runId, { runId, endedAt: options.nowMs(), ...end })
      for (const answer of waiters.get(runId) ?? []) answer()
    },

    wait: (runId, timeoutMs, respond) => {
      if (ends.has(runId) || timeoutMs === 0) return respond({ payload: stateOf(runId) })
      const waiting = waiters.get(runId) ?? new Set()
      waiters.set(runId, waiting)
      const answer = () => {
        timer.interruptUnsafe()
        if (!waiting.delete(answer)) return
        if (waiting.size === 0) waiters.delete(runId)
        respond({ payload: stateOf(runId) })
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
