import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Cli from "./Cli.ts"
import * as Shell from "./Shell.ts"

const limit = 60_000

describe.concurrent("what delegate prints", () => {
  it.live(
    "the reply alone is on standard output, progress on standard error; with --json all events are on standard output",
    () =>
      Effect.gen(function*() {
        const { stateDir } = yield* Shell.approved
        const reply = yield* Shell.finished(`reply=$($CLI delegate "one  two"); printf '<%s>' "$reply"`, { stateDir })
        assert.deepStrictEqual([reply.code, reply.stdout], [0, ["<echo: one  two>"]])
        assert.match(reply.stderr, /^device .*^connected.*^task \S+ sent/ms)
        assert.notInclude(reply.stderr, "echo: one")
        const json = yield* Shell.finished(`$CLI delegate "one" --json`, { stateDir })
        assert.deepStrictEqual([json.code, json.stderr], [0, ""])
        assert.include(json.stdout.at(-1), '"text":"echo: one"')
        // A reply that comes in one burst with its end is told by that alone.
        const parts = json.stdout.flatMap((line) => /"event":"task\.text".*"text":"([^"]*)"/.exec(line)?.[1] ?? [])
        assert.isTrue("echo: one".startsWith(parts.join("")), parts.join())
        const quiet = yield* Shell.finished(`$CLI delegate "one  two" --quiet`, { stateDir })
        assert.deepStrictEqual([quiet.code, quiet.stdout, quiet.stderr], [0, ["echo: one  two"], ""])
        const one = yield* Shell.finished(`$CLI delegate "one" --quiet --json`, { stateDir })
        assert.deepStrictEqual(one.stdout.map((line) => /"event":"([^"]*)"/.exec(line)?.[1]), ["task.reply"])
        const terminal = yield* Shell.finished(`script -qec '$CLI delegate one 2>/dev/null' /dev/null`, { stateDir })
        assert.match(terminal.stdout.join("\n"), /task \S+ \| echo: one/)
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live("a try that fails is told once, and no further try is promised", () =>
    Effect.gen(function*() {
      const env = { OPENCLAW_GATEWAY_URL: "ws://127.0.0.1:1" }
      const ended = yield* Cli.finished(["delegate", "x"], { stateDir: yield* Cli.temporaryDirectory, env })
      assert.deepStrictEqual([ended.code, ended.stdout], [69, []])
      assert.notInclude(ended.stderr, "trying again")
      assert.lengthOf(ended.stderr.match(/ECONNREFUSED/g) ?? [], 1)
    }).pipe(Effect.provide(Cli.platform)), limit)
})
