/**
 * The span of a request, and what the gateway is told of it.
 */
import * as Effect from "effect/Effect"
import type * as Tracer from "effect/Tracer"
import type { RequestError } from "./RequestError.ts"

/** The trace of a span, as W3C Trace Context writes it; nothing for one that a tracer names otherwise. */
export const traceparentOf = (
  { sampled, spanId, traceId }: Pick<Tracer.Span, "sampled" | "spanId" | "traceId">
): string | undefined =>
  /^(?!0{32})[0-9a-f]{32}$/.test(traceId) && /^(?!0{16})[0-9a-f]{16}$/.test(spanId)
    ? `00-${traceId}-${spanId}-0${sampled ? 1 : 0}`
    : undefined

/** What releases before 2026.8 say of a frame with a trace. (Recorded: test/vectors/runs-*.json.) */
export const refusesTrace = (error: RequestError): boolean =>
  error._tag === "RequestRejected" && error.gatewayMessage.startsWith("invalid request frame")
  && error.gatewayMessage.includes("'traceparent'")

/** Runs a request in a span. Tracers keep a span's result, and an answer may hold a secret, so it passes beside the span. */
export const trace = (
  method: string,
  request: (span: Tracer.Span) => Effect.Effect<unknown, RequestError>
): Effect.Effect<unknown, RequestError> =>
  Effect.suspend(() => {
    let payload: unknown
    const options = { kind: "client", attributes: { "rpc.system": "openclaw", "rpc.method": method } } as const
    return Effect.map(
      Effect.useSpan("gateway.request", options, (span) =>
        request(span).pipe(
          Effect.tapError((error) =>
            Effect.sync(() => {
              span.attribute("error.type", error._tag)
              if ("code" in error) span.attribute("rpc.response.status_code", error.code)
            })
          ),
          Effect.map((answer) => {
            payload = answer
          })
        )),
      () => payload
    )
  })
