/**
 * Whether a link is being read, and the time for which it was.
 *
 * A subscriber that must lose nothing stops the reading while it is behind. What the gateway answered meanwhile lies unread,
 * so that neither a request nor the gateway may be given up for it: deadlines and silence are measured in the time for which
 * the link was read.
 */
import type * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type { Link } from "../link/Transport.ts"

export interface Reading {
  /** Milliseconds of this process's clock, less those for which the link was not read. Stands still while it is not. */
  readonly nowMs: () => number
  readonly stopped: () => boolean
  /** Waits until the link is read. */
  readonly again: Effect.Effect<void>
  /** Stops the reading for somebody, until they and all others let go. */
  readonly hold: (holder: object) => void
  readonly release: (holder: object) => void
}

export const make = (clock: Clock.Clock, link: () => Pick<Link, "pause" | "resume"> | undefined): Reading => {
  const holders = new Set<object>()
  const open = Latch.makeUnsafe(true)
  let unreadMs = 0
  let stoppedAtMs = 0
  return {
    nowMs: () => (holders.size === 0 ? clock.currentTimeMillisUnsafe() : stoppedAtMs) - unreadMs,
    stopped: () => holders.size > 0,
    again: open.await,
    hold: (holder) => {
      if (holders.size === 0) {
        stoppedAtMs = clock.currentTimeMillisUnsafe()
        open.closeUnsafe()
        link()?.pause()
      }
      holders.add(holder)
    },
    release: (holder) => {
      if (!holders.delete(holder) || holders.size > 0) return
      unreadMs += clock.currentTimeMillisUnsafe() - stoppedAtMs
      // What is resumed may deliver at once, and be stopped again by it.
      open.openUnsafe()
      link()?.resume()
    }
  }
}
