/**
 * What a connection counts. This is the whole list; every label has few values that are known in advance.
 *
 * | name | kind | label | meaning |
 * | --- | --- | --- | --- |
 * | `gateway_connect_attempts_total` | counter | `outcome`: `Connected`, or the class of the failure | attempts that ended, those beside a session too |
 * | `gateway_reconnects_total` | counter | | sessions after an agent's first that followed on a lost link or a pause |
 * | `gateway_session_duration_seconds` | histogram | | how long a session lived, counted at its end or when one with wider scopes takes over |
 * | `gateway_requests_total` | counter | `outcome`: see `RequestOutcome` | requests that ended |
 * | `gateway_sequence_gaps_total` | counter | | steps of the gateway's event numbers by more than one |
 * | `gateway_events_lost_total` | counter | `cause`: `gap` or `slow_subscriber` | events that a subscriber did not get |
 * | `gateway_noise_frames_total` | counter | | messages that are no frame, and answers to no request |
 * | `gateway_clock_delta_ms` | gauge | | the gateway's clock minus ours at the last connect |
 * | `gateway_pending_approval_age_seconds` | gauge | | age of the oldest approval that is waited for, of the device or of wider scopes; 0 without one |
 *
 * Effect keeps metrics in one registry for each program (`Metric.MetricRegistry`), so agents of one process add up. To tell
 * them apart, give the layer of each agent attributes of its own with `Metric.CurrentMetricAttributes`. Ordinary frames are not
 * counted, so that they cost nothing: the frame path counts only what is lost and what is noise.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { HandshakeError } from "../handshake/HandshakeError.ts"

/** The values of the label `outcome` of `gateway_requests_total`. `refused` is every error answer except a missing scope. */
export type RequestOutcome = "ok" | "refused" | "missing_scope" | "too_large" | "timeout" | "link_lost" | "interrupted"
/** The values of the label `outcome` of `gateway_connect_attempts_total`. */
export type AttemptOutcome = "Connected" | HandshakeError["_tag"]

/** Connection attempts that ended, labelled with `AttemptOutcome`. Attempts for wider scopes beside a session count too. */
export const connectAttempts = Metric.counter("gateway_connect_attempts_total", {
  description: "Connection attempts by how they ended",
  incremental: true
})
/** Sessions after an agent's first. A session with wider scopes that takes over from another is not one. */
export const reconnects = Metric.counter("gateway_reconnects_total", {
  description: "Sessions after an agent's first that followed on a lost link or a pause",
  incremental: true
})
/** Lives of sessions in seconds, recorded when a session ends. The buckets go from one second to 30 days. */
export const sessionDuration = Metric.histogram("gateway_session_duration_seconds", {
  description: "How long sessions lived",
  boundaries: [1, 10, 60, 600, 3600, 21_600, 86_400, 604_800, 2_592_000]
})
/** Requests that ended, labelled with `RequestOutcome`. */
export const requests = Metric.counter("gateway_requests_total", {
  description: "Requests by how they ended",
  incremental: true
})
/** Steps of more than one in the numbers that the gateway gives to the events of a link. One step may be many events. */
export const sequenceGaps = Metric.counter("gateway_sequence_gaps_total", {
  description: "Gaps in the gateway's event numbers",
  incremental: true
})
/**
 * Events that subscribers lost, labelled with the cause: `gap` or `slow_subscriber`. A gap counts once, however many
 * subscribers there are, and only if there are any.
 */
export const eventsLost = Metric.counter("gateway_events_lost_total", {
  description: "Events that a subscriber did not get",
  incremental: true
})
/** Messages that are no frame, and answers to no request. */
export const noiseFrames = Metric.counter("gateway_noise_frames_total", {
  description: "Messages that were no frame, and answers that nobody waited for",
  incremental: true
})
/** The gateway's clock minus this process's, in milliseconds, taken when the challenge of the last connect arrived. */
export const clockDelta = Metric.gauge("gateway_clock_delta_ms", {
  description: "The gateway's clock minus ours at the last connect, in milliseconds"
})
/** Age in seconds of the oldest approval that an agent waits for, computed when metrics are read; 0 without one. */
export const pendingApprovalAge = Metric.gauge("gateway_pending_approval_age_seconds", {
  description: "Age of the oldest approval that is waited for"
})

/** The counters of a connection, for callbacks that have no fiber. Each call costs a tenth of a microsecond. */
export interface Counters {
  readonly attempt: (outcome: AttemptOutcome) => void
  readonly reconnected: () => void
  readonly sessionEnded: (livedMs: number) => void
  readonly request: (outcome: RequestOutcome) => void
  readonly gap: () => void
  readonly lost: (cause: "gap" | "slow_subscriber", events: number) => void
  readonly noise: () => void
  readonly clockDelta: (ms: number) => void
}

/** A metric with one label: one series for each value that occurs, shared by all agents of the process. */
const labelled = <Value extends string>(metric: Metric.Counter<number>, label: string) => {
  const series = new Map<Value, Metric.Metric<number, Metric.CounterState<number>>>()
  return (value: Value) => {
    const known = series.get(value)
    if (known !== undefined) return known
    const made = Metric.withAttributes(metric, { [label]: value })
    series.set(value, made)
    return made
  }
}

const attemptsBy = labelled<AttemptOutcome>(connectAttempts, "outcome")
const requestsBy = labelled<RequestOutcome>(requests, "outcome")
const lostBy = labelled<"gap" | "slow_subscriber">(eventsLost, "cause")

class ContextCounters implements Counters {
  readonly #context: Context.Context<never>
  constructor(context: Context.Context<never>) {
    this.#context = context
  }
  attempt(outcome: AttemptOutcome) {
    attemptsBy(outcome).updateUnsafe(1, this.#context)
  }
  reconnected() {
    reconnects.updateUnsafe(1, this.#context)
  }
  sessionEnded(livedMs: number) {
    sessionDuration.updateUnsafe(livedMs / 1000, this.#context)
  }
  request(outcome: RequestOutcome) {
    requestsBy(outcome).updateUnsafe(1, this.#context)
  }
  gap() {
    sequenceGaps.updateUnsafe(1, this.#context)
  }
  lost(cause: "gap" | "slow_subscriber", events: number) {
    lostBy(cause).updateUnsafe(events, this.#context)
  }
  noise() {
    noiseFrames.updateUnsafe(1, this.#context)
  }
  clockDelta(ms: number) {
    clockDelta.updateUnsafe(ms, this.#context)
  }
}

/** Counters on the metric registry of a fiber with this context, with its attributes. */
export const countersOf = (context: Context.Context<never>): Counters => new ContextCounters(context)

/** `countersOf` the calling fiber. */
export const counters: Effect.Effect<Counters> = Effect.map(Effect.context<never>(), countersOf)

interface ApprovalSeries {
  readonly ages: Set<() => number>
  readonly registration: Metric.Registration
}

/** The series by registry and attributes. A series has one reader, which asks every agent that shares it. */
const approvalSeries = new WeakMap<object, Map<string, ApprovalSeries>>()

const registerSeries = (context: Context.Context<never>): ApprovalSeries => {
  const ages = new Set<() => number>()
  const registration = Metric.registerUnsafe(pendingApprovalAge, context, {
    get: () => ({ value: Array.from(ages).reduce((oldest, ageMs) => Math.max(oldest, ageMs()), 0) / 1000 }),
    update: () => {},
    modify: () => {}
  })
  return { ages, registration }
}

/**
 * Shows an agent's wait for approval until the effect that this gives is run. `ageMs` is called whenever metrics are read; 0
 * means that the agent does not wait. Agents with the same attributes share the series, which shows the oldest of their waits.
 */
export const showApprovalAge = (ageMs: () => number): Effect.Effect<Effect.Effect<void>> =>
  Effect.contextWith((context: Context.Context<never>) => {
    const registry = Context.get(context, Metric.MetricRegistry)
    const key = JSON.stringify(Object.entries(Context.get(context, Metric.CurrentMetricAttributes)).toSorted())
    const bySeries = approvalSeries.get(registry) ?? new Map<string, ApprovalSeries>()
    approvalSeries.set(registry, bySeries)
    const series = bySeries.get(key) ?? registerSeries(context)
    bySeries.set(key, series)
    series.ages.add(ageMs)
    return Effect.succeed(Effect.sync(() => {
      series.ages.delete(ageMs)
      if (series.ages.size > 0) return
      bySeries.delete(key)
      series.registration.remove()
    }))
  })
