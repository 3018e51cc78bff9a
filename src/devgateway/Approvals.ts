/**
 * Requests of devices and the decisions on them: who is told, and who waits for one.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import type { Asker, Decision, PairedEntry, PairingBook, PendingEntry } from "./PairingBook.ts"
import { requestError } from "./Refusals.ts"
import type { Respond } from "./Respond.ts"
import { trim } from "./Trim.ts"

export interface Approvals {
  /** Makes, renews or replaces the request of this device. `supersede` always makes a new one. */
  readonly ask: (asker: Asker, supersede: boolean) => PendingEntry
  readonly approve: (requestId: string) => PairedEntry | undefined
  /** Approves a device that a setup code lets in. Nobody is asked. */
  readonly admit: (asker: Asker) => void
  readonly reject: (requestId: string) => PendingEntry | undefined
  /** Answers when the request is decided, superseded or expired; there is no other deadline. */
  readonly wait: (asker: Asker, requestId: string, respond: Respond) => void
  /** The gateway goes down: it answers everyone who waits. Requests stay pending. */
  readonly stop: () => void
}

const maxDecisions = 10_000

const notFound = requestError("scope upgrade expired or not found")

export const make = (options: {
  readonly book: PairingBook
  readonly nowMs: () => number
  readonly pendingLifeMs: number
  readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  /** Sends an event to the operators who may pair devices. */
  readonly publish: (event: string, payload: unknown) => void
  readonly changed: () => void
}): Approvals => {
  const { book, nowMs } = options
  const decisions = new Map<string, Decision>()
  const waiters = new Set<(down?: boolean) => void>()

  const checkWaiters = () => {
    for (const check of Array.from(waiters)) check()
  }

  const decide = (requestId: string, deviceId: string, decision: Decision) => {
    decisions.set(requestId, decision)
    trim(decisions, maxDecisions)
    checkWaiters()
    options.publish("device.pair.resolved", { requestId, deviceId, decision, ts: nowMs() })
    options.changed()
  }

  const answer = (asker: Asker, requestId: string, respond: Respond) => {
    const decision = decisions.get(requestId)
    const token = book.token(asker.deviceId, asker.role)
    if (decision !== "approved" || token === undefined) {
      return respond({ payload: { status: decision === "rejected" ? "rejected" : "expired", requestId } })
    }
    const { scopes, value } = token
    respond({ payload: { status: "approved", requestId, deviceToken: Redacted.value(value), scopes } })
  }

  return {
    ask: (asker, supersede) => {
      const { entry, isNew, replaced } = book.ask(asker, nowMs(), supersede)
      if (replaced !== undefined) decide(replaced.requestId, replaced.deviceId, "rejected")
      if (isNew) {
        checkWaiters()
        options.publish("device.pair.requested", entry)
        options.changed()
      }
      return entry
    },

    approve: (requestId) => {
      const device = book.approve(requestId, nowMs())
      if (device !== undefined) decide(requestId, device.deviceId, "approved")
      return device
    },

    admit: (asker) => {
      const { requestId } = book.ask(asker, nowMs(), false).entry
      book.approve(requestId, nowMs(), "bootstrap")
      decide(requestId, asker.deviceId, "approved")
    },

    reject: (requestId) => {
      const entry = book.reject(requestId, nowMs())
      if (entry !== undefined) decide(requestId, entry.deviceId, "rejected")
      return entry
    },

    wait: (asker, requestId, respond) => {
      const pending = () =>
        book.pending(nowMs()).find((entry) => entry.requestId === requestId && entry.deviceId === asker.deviceId)
      if (pending() === undefined) {
        return decisions.has(requestId) ? answer(asker, requestId, respond) : respond({ error: notFound })
      }
      const check = (down = false) => {
        if ((pending() !== undefined && !down) || !waiters.delete(check)) return
        timer.interruptUnsafe()
        if (down) respond({ error: notFound })
        else answer(asker, requestId, respond)
      }
      waiters.add(check)
      const untilExpiry = () => Math.max(1, (pending()?.ts ?? 0) + options.pendingLifeMs - nowMs())
      const timer = options.fork(
        Effect.suspend(() => Effect.delay(Effect.sync(() => check()), untilExpiry())).pipe(
          Effect.repeat({ while: () => waiters.has(check) }) // a request that was asked again lives on
        )
      )
    },

    stop: () => {
      for (const check of Array.from(waiters)) check(true)
    }
  }
}
