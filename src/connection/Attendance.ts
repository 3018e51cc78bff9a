/**
 * Whether somebody watches a connection, and the waits that this shortens.
 *
 * Somebody watches while a scope of `attend` is open, and for half a minute after `checkNow`. Meanwhile waits for an approval
 * are shorter. `checkNow` ends every wait, but never before a time that the gateway has set.
 *
 * Waits use monotonic time, so setting the wall clock makes none of them early or late. Timers stand still while the machine
 * sleeps. After a sleep the wall clock is ahead, and then a wait is over too.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Monotonic from "../handshake/Monotonic.ts"
import type { Approval } from "./ConnectionStatus.ts"
import * as RetryPolicy from "./RetryPolicy.ts"

/** State of one connection. Only the functions of this module change it. */
export interface Attendance {
  readonly clock: Clock.Clock
  readonly random: typeof Random.Random.Service
  /** Opens when a watcher comes or leaves, and at `checkNow`. There is none before the first wait. */
  changed: Latch.Latch | undefined
  /** Open scopes of `attend`. */
  watchers: number
  lastWatchedMs: number
  checkedUntilMs: number
  /** `checkNow` was called, and neither a wait nor an attempt has ended since. */
  checkAsked: boolean
  /** By how much the wall clock was ahead of the monotonic one when they were last compared. */
  wallAheadMs: number
  /** How long this machine has slept since the start, judged by its wall clock. */
  sleptMs: number
}

export const make = (clock: Clock.Clock, random: typeof Random.Random.Service): Attendance => ({
  clock,
  random,
  changed: undefined,
  watchers: 0,
  lastWatchedMs: Number.NEGATIVE_INFINITY,
  checkedUntilMs: Number.NEGATIVE_INFINITY,
  checkAsked: false,
  wallAheadMs: clock.currentTimeMillisUnsafe() - Monotonic.nowMs(clock),
  sleptMs: 0
})

/** Monotonic milliseconds. */
export const nowMs = (self: Attendance): number => Monotonic.nowMs(self.clock)

/** A difference below this is inaccuracy: the wall clock was not set. */
const steadyMs = 1000
/** A wall clock that jumped ahead by this much was not corrected: the machine slept. */
const sleepMs = 60_000
/** How often a long wait checks whether the machine slept. */
const sleepCheckMs = 30_000

/** Compares the clocks, and gives how long this machine has slept since the start. */
const sleptMs = (self: Attendance): number => {
  const aheadMs = self.clock.currentTimeMillisUnsafe() - nowMs(self)
  const movedMs = aheadMs - self.wallAheadMs
  if (Math.abs(movedMs) >= steadyMs) self.wallAheadMs = aheadMs
  if (movedMs >= sleepMs) self.sleptMs += movedMs
  return self.sleptMs
}

/** By how much the wall clock is ahead of the monotonic one. Constant until the clock is set or the machine sleeps. */
export const wallAheadMs = (self: Attendance): number => {
  sleptMs(self)
  return self.wallAheadMs
}

const attended = (self: Attendance): boolean => self.watchers > 0 || self.checkedUntilMs > nowMs(self)

/** When somebody last watched: now while somebody does, minus infinity if nobody ever did. */
const seenAtMs = (self: Attendance): number => {
  const now = nowMs(self)
  return self.watchers > 0 ? now : Math.max(self.lastWatchedMs, Math.min(now, self.checkedUntilMs))
}

/** The present moment. Its random number is drawn when a decision first reads it, so recordings hold exactly those used. */
export const moment = (self: Attendance): RetryPolicy.Moment => new PresentMoment(self)

class PresentMoment implements RetryPolicy.Moment {
  readonly nowMs: number
  readonly sleptMs: number
  readonly seenAtMs: number
  readonly #random: typeof Random.Random.Service
  #unit: number | undefined
  constructor(attendance: Attendance) {
    this.nowMs = nowMs(attendance)
    this.sleptMs = sleptMs(attendance)
    this.seenAtMs = seenAtMs(attendance)
    this.#random = attendance.random
  }
  get unit(): number {
    return this.#unit ??= this.#random.nextDoubleUnsafe()
  }
}

/** Adds a watcher until the scope closes. */
export const attend = (self: Attendance): Effect.Effect<void, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      self.watchers++
      self.changed?.openUnsafe()
    }),
    () =>
      Effect.sync(() => {
        self.watchers--
        self.lastWatchedMs = nowMs(self)
        self.changed?.openUnsafe()
      })
  )

/** Counts as watching for half a minute, and ends the present wait or else the next one. */
export const checkNow = (self: Attendance): void => {
  self.checkedUntilMs = nowMs(self) + RetryPolicy.constants.checkNowMs
  self.checkAsked = true
  self.changed?.openUnsafe()
}

/** An attempt has ended. It answers every `checkNow` that came before or during it. */
export const answered = (self: Attendance): void => {
  self.checkAsked = false
}

/** Waits until a time or until `checkNow`, but in any case until `notBeforeMs`. */
export const waitUntil = Effect.fnUntraced(function*(self: Attendance, untilMs: number, notBeforeMs: number) {
  const sleptBeforeMs = sleptMs(self)
  while (!(yield* waitForChange(self, untilMs, notBeforeMs, sleptBeforeMs))) {
    /* a watcher does not change a back-off */
  }
})

/** Waits until `checkNow`. */
export const waitForCheck = (self: Attendance): Effect.Effect<void> => waitUntil(self, Number.POSITIVE_INFINITY, 0)

/** Waits until it is time to ask for an approval again, and publishes that time whenever it changes. */
export const waitForNextAsk = Effect.fnUntraced(function*(
  self: Attendance,
  approval: Approval,
  notBeforeMs: number,
  tell: (nextCheckAtMs: number) => void
) {
  const { sleptMs: sleptBeforeMs, unit } = moment(self)
  while (true) {
    const now = { nowMs: nowMs(self), unit }
    const nextCheckAtMs = RetryPolicy.nextCheckAtMs(approval, attended(self), notBeforeMs, now)
    tell(nextCheckAtMs)
    if (yield* waitForChange(self, nextCheckAtMs, notBeforeMs, sleptBeforeMs)) return
  }
})

/**
 * Waits until a time or until `changed` opens; answers whether the whole wait is over. `sleptBeforeMs` is what `sleptMs` was
 * when the whole wait began.
 */
const waitForChange = Effect.fnUntraced(function*(
  self: Attendance,
  untilMs: number,
  notBeforeMs: number,
  sleptBeforeMs: number
) {
  const changed = self.changed ??= Latch.makeUnsafe(false)
  changed.closeUnsafe()
  if (!self.checkAsked) yield* Effect.raceFirst(sleepInTurns(self, untilMs, sleptBeforeMs), changed.await)
  if (!self.checkAsked && !hasSlept(self, untilMs, sleptBeforeMs)) return nowMs(self) >= untilMs
  self.checkAsked = false
  yield* Effect.sleep(Duration.millis(Math.max(0, notBeforeMs - nowMs(self))))
  return true
})

/** Whether a wait is over because the machine slept. A wait without a time to wait for ends with `checkNow` only. */
const hasSlept = (self: Attendance, untilMs: number, sleptBeforeMs: number): boolean =>
  Number.isFinite(untilMs) && sleptMs(self) > sleptBeforeMs

/** Sleeps until a time or until the machine has slept, which it checks after each turn. */
const sleepInTurns = Effect.fnUntraced(function*(self: Attendance, untilMs: number, sleptBeforeMs: number) {
  if (!Number.isFinite(untilMs)) return yield* Effect.never
  while (!hasSlept(self, untilMs, sleptBeforeMs)) {
    const leftMs = untilMs - nowMs(self)
    if (leftMs <= 0) return
    yield* Effect.sleep(Duration.millis(Math.min(leftMs, sleepCheckMs)))
  }
})
