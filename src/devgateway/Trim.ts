/** Removes the oldest entries of a map that has more than `max`. */
export const trim = (map: Map<string, unknown>, max: number): void => {
  for (const key of map.keys()) {
    if (map.size <= max) return
    map.delete(key)
  }
}
