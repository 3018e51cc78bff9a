/**
 * When an HTTP server that refused a request wants to be asked again: its `Retry-After` (RFC 9110, section 10.2.3).
 */
import * as Bounds from "../protocol/Bounds.ts"

type Header = string | ReadonlyArray<string> | undefined

/**
 * Milliseconds from now, within `Bounds.httpRetryAfterMs`. A date is read against the server's own `Date`, or else against
 * `nowMs` of this machine's wall clock. Undefined without a header that can be read.
 */
export const read = (
  { date, "retry-after": retryAfter }: Readonly<Record<string, Header>>,
  nowMs: number
): number | undefined => {
  if (typeof retryAfter !== "string") return undefined
  const ms = /^\s*\d+\s*$/.test(retryAfter)
    ? Number(retryAfter) * 1000
    : /GMT\s*$/.test(retryAfter)
    ? Date.parse(retryAfter) - dateOr(date, nowMs)
    : Number.NaN
  return Number.isNaN(ms) ? undefined : Bounds.clamp(ms, Bounds.httpRetryAfterMs)
}

const dateOr = (date: Header, otherwiseMs: number): number => {
  const ms = typeof date === "string" ? Date.parse(date) : Number.NaN
  return Number.isNaN(ms) ? otherwiseMs : ms
}
