import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Cli from "./Cli.ts"
import * as Shell from "./Shell.ts"

const limit = 60_000

describe.concurrent("what goes wrong inside", () => {
  it.live("a defect is told on standard error, never on standard output", () =>
    Effect.gen(function*() {
      const stateDir = yield* Cli.temporaryDirectory
      const fs = yield* FileSystem.FileSystem
      // Loaded before the program.
      yield* fs.writeFileString(
        `${stateDir}/bug.mjs`,
        `Object.defineProperty(process.stdout, "isTTY", { get: () => { throw new Error("a bug of ours") } })\n`
      )
      const ended = yield* Shell.finished(`NODE_OPTIONS="--import $STATE/bug.mjs" $CLI identity show --json`, {
        stateDir
      })
      assert.deepStrictEqual([ended.code, ended.stdout], [1, []])
      assert.include(ended.stderr, "a bug of ours")
    }).pipe(Effect.provide(Cli.platform)), limit)
})
