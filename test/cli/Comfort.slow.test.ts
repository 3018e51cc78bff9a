import { assert, describe, it } from "@effect/vitest"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { existsSync } from "node:fs"
import { Invocation } from "../../src/cli/Invocation.ts"
import { program } from "../../src/cli/Program.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import * as DevGatewayWs from "../../src/devgateway/DevGatewayWs.ts"
import { PrivateFile } from "../../src/storage/PrivateFile.ts"
import * as Cli from "./Cli.ts"
import * as Shell from "./Shell.ts"

const limit = 120_000

const paths = (command: Command.Command.Any, above: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<string>> => [
  above,
  ...command.subcommands.flatMap(({ commands }) => commands).flatMap((inner) => paths(inner, [...above, inner.name]))
]

const host = Layer.mergeAll(
  PrivateFile.layer,
  Layer.succeed(Invocation, { program: ["openclaw-device"], platform: "linux", version: "0" })
).pipe(Layer.provideMerge(SecureRandom.layerWebCrypto), Layer.provideMerge(Cli.platform))

/** The examples of every command's help. */
const examples = await Effect.runPromise(
  Effect.forEach(paths(program, []), (path) => {
    const found: Array<string> = []
    const present = (event: CliOutput.Presenter.Event) =>
      Effect.sync(() => {
        if (event._tag === "Help") found.push(...(event.helpDoc.examples ?? []).map(({ command }) => command))
      })
    return Effect.as(
      Effect.provideService(
        Command.runWith(program, { version: "0" })([...path, "--help"]),
        CliOutput.Presenter,
        { present }
      ),
      found
    )
  }).pipe(Effect.map((all) => all.flat()), Effect.provide(host))
)

describe.concurrent("the examples of help", () => {
  for (const example of examples) {
    it.live(`run: ${example}`, () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const context = yield* Layer.build(DevGateway.layerTest())
        const url = yield* Effect.provideContext(DevGatewayWs.serve(), context)
        const stateDir = yield* Cli.temporaryDirectory
        const bin = yield* Cli.temporaryDirectory
        yield* fs.writeFileString(`${bin}/openclaw-device`, '#!/bin/sh\nexec $CLI "$@"\n')
        yield* fs.chmod(`${bin}/openclaw-device`, 0o755)
        const ended = yield* Shell.finished(
          `echo "water the plants" > task.txt; timeout --signal=TERM 4 ${example}; echo "status $?"`,
          {
            stateDir,
            env: {
              PATH: `${bin}:/usr/bin:/bin`,
              OPENCLAW_GATEWAY_URL: url.href,
              OPENCLAW_GATEWAY_TOKEN: "operator-token"
            }
          }
        )
        // What it names may not be there; that it can be read, and ends as it should, is what an example promises.
        const [, status = ""] = /^status (\d+)$/.exec(ended.stdout.at(-1) ?? "") ?? []
        const unasked = status === "64" && ended.stderr.includes("no terminal to ask on")
        const uncoded = status === "77" && ended.stderr.includes("etup code")
        const expected = [
          "0",
          "1",
          "3",
          "69",
          "75",
          "78",
          "124",
          ...(unasked ? ["64"] : []),
          ...(uncoded ? ["77"] : [])
        ]
        assert.include(expected, status, ended.stderr)
        assert.notMatch(ended.stderr, /\n\s+at |Unrecognized|Unknown subcommand/)
      }).pipe(Effect.provide(Cli.platform)), limit)
  }
})

describe.concurrent("what is mistyped", () => {
  for (
    const [words, nearest] of [
      [["devics", "list"], "devices"],
      [["devices", "aprove", "x"], "approve"],
      [["devices", "list", "--jsn"], "--json"],
      [["run", "--sate-dir", "x"], "--state-dir"],
      [["run", "--no-pag"], "--no-page"]
    ] as const
  ) {
    it.live(`${words.join(" ")}: the nearest is named`, () =>
      Effect.gen(function*() {
        const ended = yield* Shell.finished(`$CLI ${words.join(" ")}`, { stateDir: yield* Cli.temporaryDirectory })
        assert.strictEqual(ended.code, 64)
        assert.match(ended.stderr, new RegExp(`Did you mean this\\?\\n +${nearest}\\n`))
      }).pipe(Effect.provide(Cli.platform)), limit)
  }

  it.live("what is near nothing names nothing", () =>
    Effect.gen(function*() {
      const ended = yield* Shell.finished("$CLI run --something-else", { stateDir: yield* Cli.temporaryDirectory })
      assert.strictEqual(ended.code, 64)
      assert.notInclude(ended.stderr, "Did you mean")
    }).pipe(Effect.provide(Cli.platform)), limit)
})

describe.concurrent("completions", () => {
  const completed = (shell: string, script: string) =>
    Effect.flatMap(
      Cli.temporaryDirectory,
      (stateDir) => Shell.finished(`$CLI --completions ${shell} > complete || exit 9\n${script}`, { stateDir })
    )

  it.live("bash completes commands and flags", () =>
    Effect.gen(function*() {
      const script = `
        source ./complete
        of() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=\${#COMP_LINE}; COMPREPLY=()
          _openclaw_device; echo "\${COMPREPLY[*]}"; }
        of openclaw-device dev
        of openclaw-device devices ap
        of openclaw-device run --exit-o`
      const { code, stdout } = yield* completed("bash", script)
      assert.deepStrictEqual([code, stdout.map((line) => line.trim())], [0, [
        "devices",
        "approve",
        "--exit-on-pairing"
      ]])
    }).pipe(Effect.provide(Cli.platform)), limit)

  it.live.skipIf(!existsSync("/usr/bin/fish"))("fish completes commands and flags", () =>
    Effect.gen(function*() {
      const script = `fish --no-config -c 'source ./complete
        complete -C "openclaw-device dev"; complete -C "openclaw-device devices ap"; complete -C "openclaw-device run --exit-o"'`
      const { code, stdout } = yield* completed("fish", script)
      assert.strictEqual(code, 0)
      assert.deepStrictEqual(stdout.map((line) => line.split("\t")[0]), ["devices", "approve", "--exit-on-pairing"])
    }).pipe(Effect.provide(Cli.platform)), limit)

  it.live.skipIf(!existsSync("/usr/bin/zsh"))(
    "zsh takes the script as the completion of the command",
    () =>
      Effect.gen(function*() {
        const script = `zsh --no-rcs -c 'autoload -Uz compinit; compinit -u -d ./dump; source ./complete
        print -r -- $_comps[openclaw-device]'`
        const { code, stderr, stdout } = yield* completed("zsh", script)
        assert.deepStrictEqual([code, stdout, stderr], [0, ["_openclaw_device"], ""])
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )
})
