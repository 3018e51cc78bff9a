import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Cli from "./Cli.ts"
import * as Shell from "./Shell.ts"

const limit = 60_000

describe.concurrent("what users of other programs expect", () => {
  it.live("help, help with a command, version and -V are known as words", () =>
    Effect.gen(function*() {
      const stateDir = yield* Cli.temporaryDirectory
      const pairs = [["help", "--help"], ["help delegate", "delegate --help"], ["version", "--version"], [
        "-V",
        "--version"
      ]]
      const all = pairs.map(([word, flag]) => `diff <($CLI ${word}) <($CLI ${flag}) || echo ${word}`).join("; ")
      const ended = yield* Shell.finished(all, { stateDir })
      assert.deepStrictEqual(ended, { code: 0, stdout: [], stderr: "" })
    }).pipe(Effect.provide(Cli.platform)), limit)

  it.live("SIGUSR1 opens no debugger in a process that holds the key", () =>
    Effect.gen(function*() {
      const stateDir = yield* Cli.temporaryDirectory
      const cli = yield* Cli.start(["run", "--json"], { stateDir })
      yield* cli.nextEvent("pairing.required")
      yield* cli.signal("SIGUSR1")
      yield* cli.stdinWrite("one")
      yield* cli.nextEvent("task.queued")
      yield* Cli.endsAt(cli, "SIGTERM", stateDir)
    }).pipe(Effect.provide(Cli.platform)), limit)
})
