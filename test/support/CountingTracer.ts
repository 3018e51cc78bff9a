/**
 * A tracer that keeps every span, for tests of what is traced and of what is not.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"

export interface Kept {
  readonly spans: ReadonlyArray<Tracer.NativeSpan>
  /** Names as a tree, in the order of their beginning: `parent > child`. */
  readonly tree: () => ReadonlyArray<string>
  readonly named: (name: string) => ReadonlyArray<Tracer.NativeSpan>
}

const path = (span: Tracer.NativeSpan): string => {
  const parent = Option.getOrUndefined(span.parent)
  return parent instanceof Tracer.NativeSpan ? `${path(parent)} > ${span.name}` : span.name
}

const nanosInMs = 1_000_000

/** How long a span took, in milliseconds. */
export const lengthMs = ({ status }: Tracer.NativeSpan): number =>
  status._tag === "Ended" ? Number(status.endTime - status.startTime) / nanosInMs : Number.NaN

export const failed = ({ status }: Tracer.NativeSpan): boolean => status._tag === "Ended" && Exit.isFailure(status.exit)

/** Runs an effect with `kept` filled while it runs. */
export const installed = <A, E, R>(run: (kept: Kept) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
  const spans: Array<Tracer.NativeSpan> = []
  const kept: Kept = {
    spans,
    tree: () => spans.map(path),
    named: (name) => spans.filter((span) => span.name === name)
  }
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  return Effect.withTracer(Effect.suspend(() => run(kept)), tracer)
}
