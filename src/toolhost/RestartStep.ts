/**
 * When a process that has ended is started again: soon, then less and less often, and then no more. Pure.
 */

/** Ends in a row after which a process is given up. */
export const mostFailures = 5
/** One that lived so long, in milliseconds, starts the count again. */
export const steadyMs = 60_000
const firstMs = 1000
const longestMs = 30_000

/** What follows when it has ended after `livedMs`; `undefined` when it is given up. */
export const step = (
  failures: number,
  livedMs: number
): { readonly failures: number; readonly afterMs: number } | undefined => {
  const before = livedMs >= steadyMs ? 0 : failures
  return before + 1 >= mostFailures
    ? undefined
    : { failures: before + 1, afterMs: Math.min(firstMs * 2 ** before, longestMs) }
}
