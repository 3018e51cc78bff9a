/**
 * Makes checks one after another. One whose needs did not go well is skipped, and says behind which.
 */
import * as Effect from "effect/Effect"
import type { Check, CheckId, Result } from "./Check.ts"

/** Why a check cannot be made now: the failure behind which it stands. */
const obstacle = (needs: ReadonlyArray<CheckId>, done: ReadonlyMap<CheckId, Result>): CheckId | undefined => {
  for (const need of needs) {
    const result = done.get(need)
    if (result === undefined) continue
    if (result.finding.status === "fail") return need
    if (result.finding.status === "skipped" && result.because !== undefined) return result.because
  }
  return undefined
}

/** In the order in which they are given, which has each check after those that it needs. */
export const examine = Effect.fnUntraced(function*<R>(checks: ReadonlyArray<Check<R>>) {
  const done = new Map<CheckId, Result>()
  for (const { id, make, needs } of checks) {
    const because = obstacle(needs, done)
    done.set(
      id,
      because === undefined
        ? { id, needs, finding: yield* make }
        : { id, needs, because, finding: { status: "skipped", what: `not made, as ${because} did not go well` } }
    )
  }
  return [...done.values()]
})
