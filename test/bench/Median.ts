/** The middle of the values that there are; the upper of two. NaN where there is none. */
export const median = (values: ReadonlyArray<number | undefined>): number => {
  const sorted = values.flatMap((value) => (value === undefined || Number.isNaN(value) ? [] : [value])).toSorted((
    a,
    b
  ) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
