import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Reporter, TestModule } from "vitest/node"
import * as Compatibility from "./Compatibility.ts"

/** What a run saw of each release; a release with a failed test is not in it. */
const seen = (modules: ReadonlyArray<TestModule>): ReadonlyMap<string, Compatibility.Facts> => {
  const releases = new Map<string, Compatibility.Facts>()
  const failed = new Set<string>()
  for (const module of modules) {
    for (const test of module.children.allTests()) {
      const { compatibility } = test.meta()
      if (compatibility === undefined) continue
      const { facts, release } = compatibility
      if (test.result().state === "failed") failed.add(release)
      releases.set(release, { ...releases.get(release), ...facts })
    }
  }
  for (const release of failed) releases.delete(release)
  return releases
}

const say = (line: string) => Effect.sync(() => void process.stdout.write(`${line}\n`))

const writeTable = Effect.fnUntraced(function*(modules: ReadonlyArray<TestModule>) {
  const tested = new Date().toISOString().slice(0, 10)
  const rows: Array<Compatibility.Row> = []
  for (const [release, facts] of seen(modules)) {
    const row = Compatibility.rowOf(release, tested, facts)
    if (Result.isSuccess(row)) rows.push(row.success)
    else yield* say(`compatibility: the row of ${release} stays as it is; not seen: ${row.failure.join(", ")}`)
  }
  if (rows.length === 0) return
  const file = yield* Compatibility.write(rows)
  yield* say(`compatibility: ${rows.map(({ release }) => release).join(", ")} written to ${file}`)
})

/** Writes the compatibility table at the end of a run. */
export const compatibilityReporter = (): Reporter => ({
  onTestRunEnd: (modules) =>
    Effect.runPromise(
      writeTable(modules).pipe(
        Effect.catch((error) => say(`compatibility: ${error.message}`)),
        Effect.provide(NodeServices.layer)
      )
    )
})
