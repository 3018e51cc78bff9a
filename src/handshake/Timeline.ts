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

export interface Timeline {
  /** Begins a step and ends the one before. A step that is not ahead of the present one is ignored. */
  readonly enter: (step: Step) => void
  readonly current: () => Step
  /** Milliseconds since the first step began. */
  readonly elapsedMs: () => number
  /** Ends the last step, and returns each with its length in milliseconds. Steps that never began are absent. */
  readonly end: () => ReadonlyArray<{ readonly step: Step; readonly ms: number }>
  /** Makes one span for each step, below `parent`. The last one ends as the attempt did. Call it after `end`. */
  readonly trace: (tracer: Tracer.Tracer, parent: Tracer.AnySpan, exit: Exit.Exit<void, unknown>) => void
}

const nanosInMs = 1_000_000

export const make = (clock: Clock.Clock): Timeline => {
  const begun: Array<{ readonly step: Step; readonly at: bigint }> = []
  let endedAt: bigint | undefined
  const now = () => clock.monotonicTimeNanosUnsafe()
  // Spans are for people, so they begin and end by the wall clock, as it stood at the start.
  const aheadNanos = clock.currentTimeNanosUnsafe() - now()
  const current = (): Step => begun.at(-1)?.step ?? "dial"
  const endOf = (index: number): bigint => begun[index + 1]?.at ?? endedAt ?? now()
  const ms = (from: bigint, to: bigint): number => Math.round(Number(to - from) / nanosInMs)
  begun.push({ step: "dial", at: now() })
  return {
    enter: (step) => {
      if (steps.indexOf(step) > steps.indexOf(current())) begun.push({ step, at: now() })
    },
    current,
    elapsedMs: () => ms(begun[0]?.at ?? now(), now()),
    end: () => {
      endedAt ??= now()
      return begun.map(({ at, step }, index) => ({ step, ms: ms(at, endOf(index)) }))
    },
    trace: (tracer, parent, exit) => {
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
        span.end(endOf(index) + aheadNanos, index === begun.length - 1 ? exit : Exit.void)
      }
    }
  }
}

/** The installed tracer. Undefined when tracing is off or only the native tracer is there, whose spans nobody reads. */
export const tracerOf = ({ cache }: Fiber.Fiber<unknown, unknown>): Tracer.Tracer | undefined =>
  cache.tracerEnabled && cache.tracer !== Tracer.nativeTracer ? cache.tracer : undefined
