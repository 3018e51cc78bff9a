/**
 * From results to what a person reads: the root cause first, its consequences behind it. Pure.
 */
import type { CheckId, CheckStatus, Result } from "./Check.ts"
import { checkIds } from "./Check.ts"

/** The results in the order in which they are told. */
export interface Diagnosis {
  /** The worst of all results. Skipped and unknown ones are not bad. */
  readonly worst: "ok" | "warn" | "fail"
  /** What to see to first: the first failure that no other one explains; without a failure, the first warning. */
  readonly root: Result | undefined
  /** What is told: failures, then warnings, those that another one explains left out. */
  readonly told: ReadonlyArray<Result>
  /** Failures and warnings that another failure explains. */
  readonly hidden: ReadonlyArray<Result>
  readonly counts: Readonly<Record<CheckStatus, number>>
}

const place = ({ id }: Result): number => checkIds.indexOf(id)

/** The checks that have to go well before this one means anything, however far away. */
const causesOf = (
  id: CheckId,
  results: ReadonlyMap<CheckId, Result>,
  seen = new Set<CheckId>()
): ReadonlySet<CheckId> => {
  for (const need of results.get(id)?.needs ?? []) {
    if (seen.has(need)) continue
    seen.add(need)
    causesOf(need, results, seen)
  }
  return seen
}

const isBad = ({ finding: { status } }: Result): boolean => status === "fail" || status === "warn"

export const diagnose = (results: ReadonlyArray<Result>): Diagnosis => {
  const byId = new Map(results.map((result) => [result.id, result]))
  const hasFailed = (id: CheckId): boolean => byId.get(id)?.finding.status === "fail"
  const isExplained = ({ id }: Result): boolean =>
    [...causesOf(id, byId)].some((cause) => cause !== id && hasFailed(cause))
  const bad = results.filter(isBad).toSorted((one, other) =>
    severity(one) - severity(other) || place(one) - place(other)
  )
  const told = bad.filter((result) => !isExplained(result))
  const counts = { ok: 0, warn: 0, fail: 0, skipped: 0, unknown: 0 }
  for (const { finding: { status } } of results) counts[status]++
  return {
    worst: counts.fail > 0 ? "fail" : counts.warn > 0 ? "warn" : "ok",
    root: told[0],
    told,
    hidden: bad.filter(isExplained),
    counts
  }
}

const severity = ({ finding: { status } }: Result): number => status === "fail" ? 0 : 1

/** The checks that show that the gateway can be reached. What follows them shows whether it lets this device in. */
const reaching: ReadonlyArray<CheckId> = ["proxy", "dns", "dial", "tls", "certificate", "front-door", "challenge"]
const allowing: ReadonlyArray<CheckId> = ["protocol", "client", "origin", "credential", "proof", "pairing", "session"]

/** Whether all of these went well; `undefined` where none failed, and some were not made. */
const together = (results: ReadonlyArray<Result>, ids: ReadonlyArray<CheckId>): boolean | undefined => {
  const found = results.filter(({ id }) => ids.includes(id)).map(({ finding: { status } }) => status)
  if (found.includes("fail")) return false
  return found.length > 0 && found.every((status) => status === "ok" || status === "warn") ? true : undefined
}

/** Reachable is another thing than allowed. `undefined`: not known. */
export const reach = (results: ReadonlyArray<Result>) => ({
  reachable: together(results, reaching),
  allowed: together(results, allowing)
})
