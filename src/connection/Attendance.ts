/**
 * Who looks at a connection, and the waits that a look cuts short.
 *
 * Somebody looks while a scope of `attend` is open and for half a minute after `checkNow`. Waits for an approval are shorter
 * meanwhile. `checkNow` ends every wait, but never before a time that the gateway has set.
 *
 * Waits are by monotonic time, so that nothing is early or late when somebody sets the clock. Timers stand still while the
 * machine sleeps; that it slept shows in the wall clock, which is ahead afterwards, and then a wait is over too.
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
  /** Opens when somebody comes, leaves or asks. */
  readonly changed: Latch.Latch
  /** Open scopes of `attend`. */
  watchers: number
  lastWatchedMs: number
  checkedUntilMs: number
  /** `checkNow` was called and nothing has answered it yet. */
  checkAsked: boolean
  /** By how much the wall clock was ahead of the monotonic one when last looked at. */
  wallAheadMs: number
  /** For how long this machine has slept since the start, as far as its wall clock tells. */
  sleptMs: number
}

export const make = (clock: Clock.Clock, random: typeof Random.Random.Service): Attendance => ({
  clock,
  random,
  changed: Latch.makeUnsafe(false),
  watchers: 0,
  lastWatchedMs: Number.NEGATIVE_INFINITY,
  checkedUntilMs: Number.NEGATIVE_INFINITY,
  checkAsked: false,
  wallAheadMs: clock.currentTimeMillisUnsafe() - Monotonic.nowMs(clock),
  sleptMs: 0
})

/** Monotonic milliseconds. */
export const nowMs = (self: Attendance): number => Monotonic.nowMs(self.clock)

/** A wall clock that is less out of step than this runs as it did. */
const steadyMs = 1000
/** A wall clock that is ahead by this has not been corrected: the machine slept. */
const sleepMs = 60_000
/** How often a long wait looks whether the machine slept. */
const lookMs = 30_000

/** For how long this machine has slept since the start, as far as its wall clock tells. */
const sleptMs = (self: Attendance): number => {
  const aheadMs = self.clock.currentTimeMillisUnsafe() - nowMs(self)
  const movedMs = aheadMs - self.wallAheadMs
  if (Math.abs(movedMs) >= steadyMs) self.wallAheadMs = aheadMs
  if (movedMs >= sleepMs) self.sleptMs += movedMs
  return self.sleptMs
}

/** By how much the wall clock is ahead of the monotonic one. The same until somebody sets the clock. */
export const wallAheadMs = (self: Attendance): number => {
  sleptMs(self)
  return self.wallAheadMs
}

const attended = (self: Attendance): boolean => self.watchers > 0 || self.checkedUntilMs > nowMs(self)

/** When somebody last looked; now while somebody does, minus infinity when nobody ever did. */
const seenAtMs = (self: Attendance): number => {
  const now = nowMs(self)
  return self.watchers > 0 ? now : Math.max(self.lastWatchedMs, Math.min(now, self.checkedUntilMs))
}

/** The present moment. Its number is drawn when a decision first reads it: recordings hold exactly the numbers that were used. */
export const moment = (self: Attendance): RetryPolicy.Moment => new Present(self)

class Present implements RetryPolicy.Moment {
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

/** Looks until the scope closes. */
export const attend = (self: Attendance): Effect.Effect<void, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      self.watchers++
      self.changed.openUnsafe()
    }),
    () =>
      Effect.sync(() => {
        self.watchers--
        self.lastWatchedMs = nowMs(self)
        self.changed.openUnsafe()
      })
  )

/** Looks for half a minute, and ends the wait that is under way or the next one. */
export const checkNow = (self: Attendance): Effect.Effect<void> =>
  Effect.sync(() => {
    self.checkedUntilMs = nowMs(self) + RetryPolicy.constants.checkNowMs
    self.checkAsked = true
    self.changed.openUnsafe()
  })

/** An attempt has ended. It answers every `checkNow` that came before or during it. */
export const answered = (self: Attendance): void => {
  self.checkAsked = false
}

/** Waits until a time, or until `checkNow`, then at least until the gateway allows it. */
export const waitUntil = Effect.fnUntraced(function*(self: Attendance, untilMs: number, notBeforeMs: number) {
  const before = sleptMs(self)
  while (!(yield* waitForChange(self, untilMs, notBeforeMs, before))) { /* who comes or leaves changes no back-off */ }
})

/** Waits until `checkNow`. */
export const waitForCheck = (self: Attendance): Effect.Effect<void> => waitUntil(self, Number.POSITIVE_INFINITY, 0)

/** Waits until it is time to ask for an approval again, and tells that time whenever it changes. */
export const waitForNextAsk = Effect.fnUntraced(function*(
  self: Attendance,
  approval: Approval,
  notBeforeMs: number,
  tell: (nextCheckAtMs: number) => Effect.Effect<void>
) {
  const { sleptMs: before, unit } = moment(self)
  while (true) {
    const now = { nowMs: nowMs(self), unit }
    const nextCheckAtMs = RetryPolicy.nextCheckAtMs(approval, attended(self), notBeforeMs, now)
    yield* tell(nextCheckAtMs)
    if (yield* waitForChange(self, nextCheckAtMs, notBeforeMs, before)) return
  }
})

/**
 * Waits until a time or until somebody comes, leaves or asks; answers whether the wait is over. `before` is for how long the
 * machine had slept when it began.
 */
const waitForChange = Effect.fnUntraced(function*(
  self: Attendance,
  untilMs: number,
  notBeforeMs: number,
  before: number
) {
  self.changed.closeUnsafe()
  if (!self.checkAsked) yield* Effect.raceFirst(sleepInTurns(self, untilMs, before), self.changed.await)
  if (!self.checkAsked && !hasSlept(self, untilMs, before)) return nowMs(self) >= untilMs
  self.checkAsked = false
  yield* Effect.sleep(Duration.millis(Math.max(0, notBeforeMs - nowMs(self))))
  return true
})

/** Whether a sleep of the machine ends a wait: not one that only somebody can end. */
const hasSlept = (self: Attendance, untilMs: number, before: number): boolean =>
  Number.isFinite(untilMs) && sleptMs(self) > before

/** Sleeps until a time, in turns after which it looks whether the machine slept. */
const sleepInTurns = Effect.fnUntraced(function*(self: Attendance, untilMs: number, before: number) {
  if (!Number.isFinite(untilMs)) return yield* Effect.never
  while (!hasSlept(self, untilMs, before)) {
    const leftMs = untilMs - nowMs(self)
    if (leftMs <= 0) return
    yield* Effect.sleep(Duration.millis(Math.min(leftMs, lookMs)))
  }
})
