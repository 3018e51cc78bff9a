import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { exitCodes } from "../../src/cli/ExitCode.ts"
import * as Cli from "./Cli.ts"
import * as Shell from "./Shell.ts"

const limit = 90_000

describe.concurrent("standard output that cannot be written", () => {
  it.live("a reply that nobody got is status 74, and the next program has it", () =>
    Effect.gen(function*() {
      const { stateDir, url } = yield* Shell.approved
      const lost = yield* Shell.finished(`$CLI delegate "water the plants" > /dev/full`, { stateDir })
      assert.strictEqual(exitCodes.output, 74)
      assert.deepStrictEqual([lost.code, lost.stdout], [74, []])
      assert.match(lost.stderr, /standard output cannot be written \(ENOSPC\)/)
      const open = yield* Cli.finished(["tasks", "list"], { stateDir })
      assert.match(open.stdout.join("\n"), /water the plants/)
      const run = yield* Cli.start(["run", "--json", "--gateway-url", url], { stateDir })
      assert.strictEqual((yield* run.nextEvent("task.reply"))["text"], "echo: water the plants")
      yield* run.signal("SIGTERM")
      yield* run.exit
      const after = yield* Cli.finished(["tasks", "list"], { stateDir })
      assert.deepStrictEqual(after.stdout, ["No task is open."])
    }).pipe(Effect.provide(Cli.platform)), limit)

  for (const command of ["identity show", "tasks list", "run --json", "gateway --port 0", "--help", "--version"]) {
    it.live(`${command} > /dev/full is status 74`, () =>
      Effect.gen(function*() {
        const stateDir = yield* Cli.temporaryDirectory
        const { code, stderr } = yield* Shell.finished(`$CLI ${command} > /dev/full`, { stateDir })
        assert.strictEqual(code, exitCodes.output)
        assert.notMatch(stderr, /\n\s+at /)
      }).pipe(Effect.provide(Cli.platform)), limit)
  }

  for (const command of ["run", "run --json", "gateway --port 0", "tasks list", "--help"]) {
    it.live(`${command} whose reader has left ends with status 0`, () =>
      Effect.gen(function*() {
        const stateDir = yield* Cli.temporaryDirectory
        const ended = yield* Shell.finished(`$CLI ${command} | true; echo \${PIPESTATUS[0]}`, { stateDir })
        assert.deepStrictEqual(ended.stdout, ["0"])
      }).pipe(Effect.provide(Cli.platform)), limit)
  }
})
