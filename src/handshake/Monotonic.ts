/**
 * Time that no setting of the wall clock moves: for waits, deadlines, leases and everything else that is measured.
 *
 * Its origin is arbitrary, so that a moment means something only beside another one of the same process. It may stand still
 * while the machine sleeps. What people read, and what the gateway's clock is compared with, is wall time.
 */
import type * as Clock from "effect/Clock"

/** Milliseconds, whole. */
export const nowMs = (clock: Clock.Clock): number => millis(clock.monotonicTimeNanosUnsafe())

/** Nanoseconds as `Clock` gives them, in whole milliseconds. */
export const millis = (nanos: bigint): number => Number(nanos / 1_000_000n)
