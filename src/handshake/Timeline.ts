/**
 * Records when each step of an attempt begins, and makes spans of the steps once the attempt is over.
 *
 * The link's callbacks have no fiber to open a span in, and an attempt without a tracer must not pay for spans. So a step
 * costs one clock reading, and the spans are made afterwards from these times.
 */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"

/**
 * The steps in their order. `dial` covers name lookup, TCP and a proxy; `connect` is our own answer to the challenge: signing
 * and sending. A transport that does not tell TLS and the upgrade apart leaves them out.
 */
export const steps = ["dial", "tls", "upgrade", "challenge", "connect", "hello"] as const
export type Step = (typeof steps)[number]

/** State of one attempt. Only the functions of this module change it. */
export interface Timeline {
  readonly clock: Clock.Clock
  /** In monotonic nanoseconds. */
  readonly begun: Array<{ readonly step: Step; readonly at: bigint }>
  /** By how much the wall clock was ahead at the start. Spans are for people, so they begin and end by it. */
  readonly aheadNanos: bigint
  endedAt: bigint | undefined
}

const nanosInMs = 1_000_000

export const make = (clock: Clock.Clock): Timeline => {
  const at = clock.monotonicTimeNanosUnsafe()
  return {
    clock,
    begun: [{ step: "dial", at }],
    aheadNanos: clock.currentTimeNanosUnsafe() - at,
    endedAt: undefined
  }
}

const now = ({ clock }: Timeline): bigint => clock.monotonicTimeNanosUnsafe()
const endOf = (self: Timeline, index: number): bigint => self.begun[index + 1]?.at ?? self.endedAt ?? now(self)
const ms = (from: bigint, to: bigint): number => Math.round(Number(to - from) / nanosInMs)

const current = ({ begun }: Timeline): Step => begun.at(-1)?.step ?? "dial"

/** Begins a step and ends the one before. A step that is not ahead of the present one is ignored. */
export const enter = (self: Timeline, step: Step): void => {
  if (steps.indexOf(step) > steps.indexOf(current(self))) self.begun.push({ step, at: now(self) })
}

/** Milliseconds since the first step began. */
export const elapsedMs = (self: Timeline): number => ms(self.begun[0]?.at ?? now(self), now(self))

/** Ends the last step, and gives each with its length in milliseconds. Steps that never began are absent. */
export const end = (self: Timeline): ReadonlyArray<{ readonly step: Step; readonly ms: number }> => {
  self.endedAt ??= now(self)
  return self.begun.map(({ at, step }, index) => ({ step, ms: ms(at, endOf(self, index)) }))
}

/** Makes one span for each step, below `parent`. The last one ends as the attempt did. Call it after `end`. */
export const trace = (
  self: Timeline,
  tracer: Tracer.Tracer,
  parent: Tracer.AnySpan,
  exit: Exit.Exit<void, unknown>
): void => {
  const { aheadNanos, begun } = self
  for (const [index, { at, step }] of begun.entries()) {
    const span = tracer.span({
      name: `gateway.${step}`,
      parent: Option.some(parent),
      annotations: Context.empty(),
      links: [],
      startTime: at + aheadNanos,
      kind: step === "connect" ? "internal" : "client",
      root: false,
      sampled: parent.sampled
    })
    span.end(endOf(self, index) + aheadNanos, index === begun.length - 1 ? exit : Exit.void)
  }
}

/** The installed tracer. Undefined when tracing is off or only the native tracer is there, whose spans nobody reads. */
export const tracerOf = ({ cache }: Fiber.Fiber<unknown, unknown>): Tracer.Tracer | undefined =>
  cache.tracerEnabled && cache.tracer !== Tracer.nativeTracer ? cache.tracer : undefined
