import { assert, describe, it } from "@effect/vitest"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { dirname } from "node:path"
import { Invocation } from "../../../src/cli/Invocation.ts"
import { program } from "../../../src/cli/Program.ts"
import { packageVersion } from "../../../src/handshake/PackageVersion.ts"
import { PrivateFile } from "../../../src/storage/PrivateFile.ts"
import { projectMain, spawnCli } from "../../interop/support/DeviceCli.ts"
import * as Loaded from "../../support/Loaded.ts"
import * as Cli from "../Cli.ts"

const limit = 60_000
const installed = dirname(projectMain)

const Answers = Schema.fromJsonString(Schema.Record(Schema.String, Schema.String))
const answers = Effect.flatMap(
  FileSystem.FileSystem,
  (fs) => Effect.flatMap(fs.readFileString(`${installed}/answers.json`), Schema.decodeUnknownEffect(Answers))
)

const paths = (command: Command.Command.Any, above: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<string>> => [
  above,
  ...command.subcommands.flatMap(({ commands }) => commands).flatMap((inner) => paths(inner, [...above, inner.name]))
]

/** Standard output of a start to its end, without the test's own directory for compiled code. */
const output = Effect.fnUntraced(function*(
  words: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {},
  main = projectMain
) {
  const cli = yield* spawnCli(words, { env: { NO_COLOR: "", ...env }, stdin: [], main })
  const { code } = yield* cli.exit
  return { code, stdout: cli.stdout.join("\n") }
})

/** What a start loads until it ends, or until the event. */
const loadedBy = Effect.fnUntraced(function*(words: ReadonlyArray<string>, until?: string) {
  const { env, loaded } = yield* Loaded.recorder
  const cli = yield* spawnCli(words, until === undefined ? { env, stdin: [] } : { env })
  if (until !== undefined) {
    yield* cli.nextEvent(until)
    yield* cli.signal("SIGTERM")
  }
  yield* cli.exit
  const all = (yield* loaded).filter(({ url }) => url.startsWith("file:"))
  return { all, sources: yield* Loaded.sources(all) }
})

const host = Layer.mergeAll(
  PrivateFile.layer,
  Layer.succeed(Invocation, { program: ["openclaw-device"], platform: "linux", version: packageVersion })
).pipe(Layer.provideMerge(SecureRandom.layerWebCrypto), Layer.provideMerge(Cli.platform))

describe.concurrent("the installed program", () => {
  it.effect(
    "has the answer of the program to --version and to the help of every command, with and without colours",
    () =>
      Effect.gen(function*() {
        const known = yield* answers
        const all = [["--version"], ...paths(program, []).map((path) => [...path, "--help"])]
        assert.deepStrictEqual(Object.keys(known).toSorted(), all.map((words) => words.join(" ")).toSorted())
        for (const words of all) {
          const texts: Array<string> = []
          const present = (event: CliOutput.Presenter.Event) =>
            Effect.sync(() => {
              for (const colors of [true, false]) {
                const formatter = CliOutput.defaultFormatter({ colors })
                if (event._tag === "Help") texts.push(formatter.formatHelpDoc(event.helpDoc))
                if (event._tag === "Version") texts.push(formatter.formatVersion(event.name, event.version))
              }
            })
          yield* Command.runWith(program, { version: packageVersion })(words).pipe(
            Effect.provideService(CliOutput.Presenter, { present })
          )
          const answer = known[words.join(" ")] ?? ""
          assert.deepStrictEqual([answer, answer.replace(/\p{Cc}\[[\d;]*m/gu, "")], texts)
        }
      }).pipe(Effect.provide(host)),
    limit
  )

  for (const words of [["--version"], ["--help"], ["help", "tasks", "list"]]) {
    it.live(`prints for ${words.join(" ")} what the program prints`, () =>
      Effect.gen(function*() {
        const fast = yield* output(words)
        assert.deepStrictEqual(yield* output(words, {}, `${installed}/Main.js`), fast)
        assert.deepStrictEqual([fast.code, fast.stdout.includes("\u001b")], [0, false])
        // Colours are forced on both, and then the program answers.
        const colored = yield* output(words, { FORCE_COLOR: "1" })
        assert.deepStrictEqual(yield* output(words, { FORCE_COLOR: "1" }, `${installed}/Main.js`), colored)
        assert.include(Object.values(yield* answers), colored.stdout)
      }).pipe(Effect.provide(Cli.platform)), limit)
  }

  for (const words of [["--version"], ["delegate", "--help"]]) {
    it.live(`loads one file for ${words.join(" ")}, which has nothing of a package`, () =>
      Effect.gen(function*() {
        const { all, sources } = yield* loadedBy(words)
        assert.deepStrictEqual(all.map(({ url }) => url), [`file://${projectMain}`])
        assert.deepStrictEqual(sources.filter((name) => !/^(?:builtin:|src\/cli\/)/.test(name)), [
          "src/handshake/PackageVersion.ts"
        ])
      }).pipe(Effect.provide(Cli.platform)), limit)
  }

  it.live("keeps the debugger shut before it loads anything else", () =>
    Effect.gen(function*() {
      const { all: [launcher, ...rest] } = yield* loadedBy(["tasks", "list"])
      assert.deepStrictEqual(launcher, { listeners: 0, url: `file://${projectMain}` })
      assert.isNotEmpty(rest)
      for (const { listeners, url } of rest) assert.isAtLeast(listeners, 1, url)
    }).pipe(Effect.provide(Cli.platform)), limit)

  const rare =
    /(?:^|\/)(?:devgateway|dialog\/(?!DialogAdvice|DialogUnavailable)|testing|ai|@noble)\/|recorder\/(?!RecordingAdvice)|McpServing/
  const away = ["--gateway-url", "ws://127.0.0.1:1", "--json"]
  for (
    const [name, words, until, most] of [
      ["tasks list", ["tasks", "list"], undefined, 422],
      ["delegate", ["delegate", "water the plants", ...away], undefined, 422],
      ["run", ["run", "--no-page", ...away], "waiting", 440]
    ] as const
  ) {
    it.live(`${name} loads no page, no gateway, no recorder, no AI and no other signer`, () =>
      Effect.gen(function*() {
        const { sources } = yield* loadedBy(words, until)
        assert.include(sources, "src/connection/Supervisor.ts")
        assert.deepStrictEqual(sources.filter((source) => rare.test(source)), [])
        assert.isAtMost(sources.length, most, `${sources.length} of at most ${most}:\n${sources.join("\n")}`)
      }).pipe(Effect.provide(Cli.platform)), limit)
  }

  it.live("names the licence of every package in it", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const text = yield* fs.readFileString(`${installed}/THIRD-PARTY-LICENSES.txt`)
      const files = (yield* fs.readDirectory(installed)).filter((name) => name.endsWith(".js"))
      const sources = yield* Loaded.sources(files.map((name) => ({ listeners: 0, url: `file://${installed}/${name}` })))
      const packages = new Set(sources.flatMap((name) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(name)?.[1] ?? []))
      assert.includeMembers([...packages], ["effect", "ws", "@noble/curves"])
      for (const name of packages) {
        assert.match(text, new RegExp(`^${name} \\d+\\.\\d+\\.\\d+ \\((?:MIT|BSD-3-Clause)\\)$`, "m"))
      }
      assert.isAtLeast(
        text.split(/Permission is hereby granted|Redistribution and use in source/).length - 1,
        packages.size
      )
    }).pipe(Effect.provide(Cli.platform)), limit)
})

describe.concurrent("its compiled code", () => {
  const kept = Effect.fnUntraced(function*(env: Readonly<Record<string, string>>, ...more: ReadonlyArray<string>) {
    const fs = yield* FileSystem.FileSystem
    const home = yield* Cli.temporaryDirectory
    const cli = yield* spawnCli(["tasks", "list", ...more], { env: { HOME: home, ...env }, stdin: [] })
    const { code } = yield* cli.exit
    const place = `${home}/.cache/effect-openclaw/compiled`
    const names = yield* Effect.orElseSucceed(fs.readDirectory(place, { recursive: true }), () => [])
    return { code, home, names, place }
  })

  it.live(
    "is kept below the home directory, one folder for each version, for this user alone",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const { code, names, place } = yield* kept({})
        assert.strictEqual(code, 0)
        const [folder = ""] = names.filter((name) => !name.includes("/"))
        assert.isTrue(folder.startsWith(`${packageVersion}-${process.version}-${process.arch}-`), folder)
        assert.strictEqual((yield* fs.stat(`${place}/${folder}`)).mode & 0o777, 0o700)
        // A folder of Node.js, and a file for each of ours.
        assert.isAbove(names.length, 3)
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "is not kept where nothing may be stored, where it is turned off, and where another one is chosen",
    () =>
      Effect.gen(function*() {
        const elsewhere = yield* Cli.temporaryDirectory
        for (
          const [env, ...more] of [
            [{}, "--no-state"],
            [{ OPENCLAW_DEVICE_NO_STATE: "true" }],
            [{ NODE_DISABLE_COMPILE_CACHE: "1" }],
            [{ NODE_COMPILE_CACHE: elsewhere }]
          ] as const
        ) assert.deepStrictEqual((yield* kept(env, ...more)).names, [])
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live("is not used where others may write, and the start is the same", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const home = yield* Cli.temporaryDirectory
      yield* fs.makeDirectory(`${home}/.cache`)
      yield* fs.chmod(`${home}/.cache`, 0o777)
      const { code, names } = yield* kept({ HOME: home })
      assert.deepStrictEqual([code, names], [0, []])
      assert.deepStrictEqual(yield* fs.readDirectory(`${home}/.cache`), [])
      // Neither does a place where nothing can be made.
      assert.strictEqual((yield* kept({ XDG_CACHE_HOME: "/dev/null" })).code, 0)
      assert.strictEqual((yield* kept({ HOME: "/nonexistent" }, "--state-dir", home)).code, 0)
    }).pipe(Effect.provide(Cli.platform)), limit)
})
