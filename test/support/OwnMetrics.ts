/**
 * Metrics of one test alone, as an exporter would read them.
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"

/** Runs an effect on a registry of its own. */
export const kept = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => Effect.provideService(effect, Metric.MetricRegistry, new Map()))

/** Series by name and labels; of a histogram, how much was counted. */
export const series = Effect.map(
  Metric.snapshot,
  (all) =>
    Object.fromEntries(all.flatMap(({ attributes, id, state }) => {
      const labels = Object.entries(attributes ?? {}).map(([name, value]) => `${name}=${value}`).join(",")
      const value = "count" in state ? state.count : "value" in state ? state.value : undefined
      return [[labels === "" ? id : `${id}{${labels}}`, Number(value)]]
    }))
)
