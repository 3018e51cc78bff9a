/**
 * The releases of OpenClaw that this program is tested with (`test/interop/COMPATIBILITY.md`), oldest first.
 */
export const testedReleases = [
  "2026.1.29",
  "2026.2.22",
  "2026.2.26",
  "2026.3.2",
  "2026.5.12",
  "2026.6.11",
  "2026.9.6"
] as const

/** The numbers of a release, such as `2026.9.6`; undefined for text that is none. */
const numbersOf = (release: string): ReadonlyArray<number> | undefined => {
  const [, ...numbers] = /^v?(\d{4})\.(\d{1,3})\.(\d{1,3})(?:[-+.].*)?$/.exec(release) ?? []
  return numbers.length === 0 ? undefined : numbers.map(Number)
}

/** How a release stands to the tested ones. */
export type Standing = "tested" | "between" | "older" | "newer" | "unknown"

export const standingOf = (release: string): Standing => {
  const numbers = numbersOf(release)
  if (numbers === undefined) return "unknown"
  const orders = testedReleases.map((tested) => compare(numbers, numbersOf(tested) ?? []))
  if (orders.includes(0)) return "tested"
  if (orders.every((order) => order < 0)) return "older"
  return orders.every((order) => order > 0) ? "newer" : "between"
}

const compare = (one: ReadonlyArray<number>, other: ReadonlyArray<number>): number => {
  for (const [index, number] of one.entries()) {
    const difference = number - (other[index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}
