import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import { parsePs, parseStat } from "../../src/cli/Foreground.ts"
import * as Cli from "./Cli.ts"
import * as Shell from "./Shell.ts"

describe("a terminal", () => {
  it("the groups of a process are read after its name, which may hold anything", () => {
    const stat = "4711 (a) 1 2) 3 (b)) S 1 4711 4700 34816 4900 4194304 1 0"
    assert.deepStrictEqual(parseStat(stat), Option.some({ own: 4711, foreground: 4900 }))
    assert.deepStrictEqual(parsePs("  4711  -1\n"), Option.some({ own: 4711, foreground: -1 }))
    for (const text of ["", "junk", "1 (x) S 1", "(x) S 1 a 2 3 b"]) {
      assert.deepStrictEqual([parseStat(text), parsePs(text)], [Option.none(), Option.none()], text)
    }
  })

  it.live(
    "is not read in the background: run & goes on while the shell is typed into, and takes lines after fg",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const { stateDir, url } = yield* Shell.approved
        const told = Effect.orElseSucceed(fs.readFileString(`${stateDir}/told`), () => "")
        const shell = yield* Shell.start("script -qec 'bash --norc -i' /dev/null", {
          stateDir,
          env: { OPENCLAW_GATEWAY_URL: url }
        })
        const until = (what: string, holds: Effect.Effect<boolean>) =>
          Effect.repeat(Effect.andThen(Effect.yieldNow, holds), { until: (yes) => yes }).pipe(
            Effect.timeoutOrElse({
              duration: "20 seconds",
              orElse: () => Effect.die(`${what} did not come: ${shell.stdout.slice(-20).join("\n")}`)
            })
          )
        const shown = (text: string) => until(text, Effect.sync(() => shell.stdout.some((line) => line.includes(text))))
        const event = (text: string) => until(text, Effect.map(told, (all) => all.includes(text)))
        yield* shell.write("$CLI run --json --no-page > $STATE/told 2>&1 &\n")
        yield* event('"event":"connected"')
        // Each line is one that both the shell and a program in the background could read.
        for (let line = 1; line <= 30; line++) {
          yield* shell.write(`echo typed-$((1000 + ${line}))\n`)
          yield* shown(`typed-${1000 + line}`)
        }
        yield* shell.write("jobs; echo listed-$((1 + 1))\n")
        yield* shown("listed-2")
        assert.isTrue(shell.stdout.some((line) => /Running .*run --json/.test(line)), shell.stdout.join("\n"))
        assert.isFalse(shell.stdout.some((line) => /Stopped/.test(line)), shell.stdout.join("\n"))
        yield* shell.write("fg\n")
        yield* shell.write("from the foreground\n")
        yield* event("echo: from the foreground")
        assert.notInclude(yield* told, "echo: echo typed")
        yield* shell.write("\u0003")
        yield* event('"event":"stopped"')
        yield* shell.write("exit\n")
        yield* shell.drained
      }).pipe(Effect.provide(Cli.platform)),
    60_000
  )
})
