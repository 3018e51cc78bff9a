/**
 * Variables that look like settings and are none: misspelt, or of another program. A misspelt one would otherwise be ignored
 * in silence.
 */
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"

export interface UnknownVariable {
  readonly name: string
  /** The setting whose name differs least. */
  readonly nearest: string
}

/** What is set with the first two words of a known variable, such as `OPENCLAW_GATEWAY`, and is not known itself. */
export const unknownVariables = Effect.fn("UnknownVariable.unknownVariables")(function*(known: ReadonlyArray<string>) {
  const provider = yield* ConfigProvider.ConfigProvider
  const groups = new Set(known.map((name) => name.split("_", 2).join("_")))
  const unknown: Array<UnknownVariable> = []
  const visit = (path: ReadonlyArray<string>): Effect.Effect<void, ConfigProvider.SourceError> =>
    Effect.flatMap(provider.load(path), (node) => {
      const name = path.join("_")
      if (node?.value !== undefined && node.value.trim() !== "" && !known.includes(name)) {
        unknown.push({ name, nearest: nearest(name, known) })
      }
      return node?._tag === "Record" ? Effect.forEach(node.keys, (key) => visit([...path, key])) : Effect.void
    })
  yield* Effect.forEach(groups, (group) => visit(group.split("_")))
  return unknown
})

/** The known name that differs least. */
export const nearest = (name: string, known: ReadonlyArray<string>): string =>
  known.reduce((best, each) => distance(name, each) < distance(name, best) ? each : best, known[0] ?? name)

/** How many characters have to be added, removed or replaced (Levenshtein). */
export const distance = (from: string, to: string): number => {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (const [index, character] of [...from].entries()) {
    const next = [index + 1]
    for (const [column, other] of [...to].entries()) {
      const replaced = (row[column] ?? 0) + (character === other ? 0 : 1)
      next.push(Math.min(replaced, (row[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1))
    }
    row = next
  }
  return row.at(-1) ?? 0
}
