/**
 * Who looks at a connection, and the waits that a look cuts short.
 *
 * Somebody looks while a scope of `attend` is open and for half a minute after `checkNow`. Waits for an approval are shorter
 * meanwhile. `checkNow` ends every wait, but never before a time that the gateway has set.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
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
}

export const make = (clock: Clock.Clock, random: typeof Random.Random.Service): Attendance => ({
  clock,
  random,
  changed: Latch.makeUnsafe(false),
  watchers: 0,
  lastWatchedMs: Number.NEGATIVE_INFINITY,
  checkedUntilMs: Number.NEGATIVE_INFINITY,
  checkAsked: false
})

export const nowMs = (self: Attendance): number => self.clock.currentTimeMillisUnsafe()

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
  readonly seenAtMs: number
  readonly #random: typeof Random.Random.Service
  #unit: number | undefined
  constructor(attendance: Attendance) {
    this.nowMs = nowMs(attendance)
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
  while (!(yield* waitForChange(self, untilMs, notBeforeMs))) { /* who comes or leaves changes no back-off */ }
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
  const { unit } = moment(self)
  while (true) {
    const now = { nowMs: nowMs(self), unit }
    const nextCheckAtMs = RetryPolicy.nextCheckAtMs(approval, attended(self), notBeforeMs, now)
    yield* tell(nextCheckAtMs)
    if (yield* waitForChange(self, nextCheckAtMs, notBeforeMs)) return
  }
})

/** Waits until a time or until somebody comes, leaves or asks; answers whether the wait is over. */
const waitForChange = Effect.fnUntraced(function*(self: Attendance, untilMs: number, notBeforeMs: number) {
  self.changed.closeUnsafe()
  if (!self.checkAsked) yield* Effect.raceFirst(sleepUntil(self, untilMs), self.changed.await)
  if (!self.checkAsked) return nowMs(self) >= untilMs
  self.checkAsked = false
  yield* sleepUntil(self, notBeforeMs)
  return true
})

const sleepUntil = (self: Attendance, untilMs: number): Effect.Effect<void> =>
  Effect.suspend(() =>
    Number.isFinite(untilMs) ? Effect.sleep(Duration.millis(Math.max(0, untilMs - nowMs(self)))) : Effect.never
  )
