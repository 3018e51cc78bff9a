/**
 * Whether a link is read, and a clock that runs only while it is.
 *
 * A subscriber that must lose nothing closes the gate while it is behind. The gateway's answers then lie unread, so
 * neither a request nor the link may time out because of that: deadlines and silence are measured on this clock.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Monotonic from "../handshake/Monotonic.ts"
import type { Link } from "../link/Transport.ts"

/** State of one link. Only the functions of this module change it. */
export interface ReadGate {
  readonly clock: Clock.Clock
  closers: Set<object> | undefined
  link: Pick<Link, "pause" | "resume"> | undefined
  /** Runs after the gate has opened. Timers on `nowMs` stand still until then. */
  opened: Effect.Effect<void>
  /** How long the gate was closed in total, without the present closure. */
  closedForMs: number
  /** When the present closure began, in monotonic milliseconds. */
  closedAtMs: number
  /** When the last message came, in monotonic nanoseconds, and `closedForMs` at that time. */
  heardAt: bigint
  closedForWhenHeardMs: number
}

export const make = (clock: Clock.Clock): ReadGate => ({
  clock,
  closers: undefined,
  link: undefined,
  opened: Effect.void,
  closedForMs: 0,
  closedAtMs: 0,
  heardAt: clock.monotonicTimeNanosUnsafe(),
  closedForWhenHeardMs: 0
})

export const isClosed = ({ closers }: ReadGate): boolean => closers !== undefined && closers.size > 0

/** Monotonic milliseconds minus the time for which the gate was closed. Stands still while it is closed. */
export const nowMs = (self: ReadGate): number =>
  (isClosed(self) ? self.closedAtMs : Monotonic.nowMs(self.clock)) - self.closedForMs

/** Notes that a message came. Called for every frame, so it only reads the clock. While the gate is closed, time stands. */
export const hear = (self: ReadGate): void => {
  if (isClosed(self)) return
  self.heardAt = self.clock.monotonicTimeNanosUnsafe()
  self.closedForWhenHeardMs = self.closedForMs
}

/** When the last message came, on the clock of `nowMs`. */
export const heardAtMs = (self: ReadGate): number => Monotonic.millis(self.heardAt) - self.closedForWhenHeardMs

/** Stops the reading until this closer and all others have opened the gate. */
export const close = (self: ReadGate, closer: object): void => {
  if (!isClosed(self)) {
    self.closedAtMs = Monotonic.nowMs(self.clock)
    self.link?.pause()
  }
  self.closers ??= new Set()
  self.closers.add(closer)
}

/** Starts the reading again if no other closer is left. */
export const open = (self: ReadGate, closer: object): Effect.Effect<void> => {
  if (self.closers?.delete(closer) !== true || isClosed(self)) return Effect.void
  self.closedForMs += Monotonic.nowMs(self.clock) - self.closedAtMs
  // Last, because a link that resumes may deliver at once, and that may close the gate again.
  self.link?.resume()
  return self.opened
}
