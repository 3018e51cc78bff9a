import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { exitCodes } from "../../src/cli/ExitCode.ts"
import { spawnCli } from "../interop/support/DeviceCli.ts"
import * as Cli from "./Cli.ts"

const nobody = 65_534
const main = fileURLToPath(new URL("processes/AsNobody.ts", import.meta.url))

/** Only root can become another user, who must be able to read the program. */
const asRoot = process.getuid?.() === 0
  && spawnSync(process.execPath, ["-e", "process.setuid(65534); fs.readFileSync(process.argv[1])", main]).status === 0

/** Starts the program as a user without rights, whose home is `home`. */
const start = (args: ReadonlyArray<string>, home: string, stdin?: ReadonlyArray<string>) =>
  spawnCli(args, { main, env: { HOME: home }, ...(stdin === undefined ? {} : { stdin }) })

const finished = Effect.fnUntraced(function*(args: ReadonlyArray<string>, home: string) {
  const cli = yield* start(args, home, [])
  const { code } = yield* Effect.timeout(cli.exit, "30 seconds")
  return { code, stdout: cli.stdout, stderr: Cli.quiet(cli.stderr) }
})

/** A directory that everybody may enter, with a home in it that belongs to the other user. */
const places = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const open = yield* Cli.temporaryDirectory
  yield* fs.chmod(open, 0o755)
  const home = `${open}/home`
  yield* fs.makeDirectory(home, { mode: 0o700 })
  yield* fs.chown(home, nobody, nobody)
  return { open, home }
})

describe.skipIf(!asRoot)("as a user without rights (root alone can try this)", () => {
  it.live("state of root is left alone, and the message says whose it is", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { home, open } = yield* places
      const stateDir = `${open}/state`
      yield* Cli.finished(["identity", "show"], { stateDir })
      const before = yield* fs.readFileString(`${stateDir}/identity.json`)
      for (const mode of [0o700, 0o755]) {
        yield* fs.chmod(stateDir, mode)
        const { code, stderr, stdout } = yield* finished(["identity", "show", "--state-dir", stateDir], home)
        assert.deepStrictEqual([code, stdout], [exitCodes.settings, []], stderr)
        assert.match(stderr, /identity\.json could not be read \(EACCES.*Start the program as the owner/)
        assert.include(stderr, `chown '<user>' ${stateDir}/identity.json`)
      }
      assert.strictEqual(yield* fs.readFileString(`${stateDir}/identity.json`), before)
      assert.deepStrictEqual(yield* fs.readDirectory(stateDir), ["identity.json"])
    }).pipe(Effect.scoped, Effect.provide(Cli.platform)), 60_000)

  it.live(
    "a directory of root that cannot be written is named itself, and not a file that never was",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const { home, open } = yield* places
        const stateDir = `${open}/empty`
        yield* fs.makeDirectory(stateDir, { mode: 0o755 })
        const { code, stderr } = yield* finished(["identity", "show", "--state-dir", stateDir], home)
        assert.strictEqual(code, exitCodes.settings, stderr)
        assert.include(stderr, `${stateDir} could not be written (EACCES)`)
        assert.notInclude(stderr, ".tmp")
        const within = yield* finished(["identity", "show", "--state-dir", `${open}/new`], home)
        assert.strictEqual(within.code, exitCodes.settings, within.stderr)
        assert.include(within.stderr, `${open}/new could not be written (EACCES)`)
        assert.deepStrictEqual((yield* fs.readDirectory(open)).toSorted(), ["empty", "home"])
      }).pipe(Effect.scoped, Effect.provide(Cli.platform)),
    60_000
  )

  it.live("the main job works in a home of its own, and root does not use what it left", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { home } = yield* places
      const agent = yield* start(["run", "--json"], home)
      const { requestId } = yield* agent.nextEvent("pairing.required")
      const approved = yield* finished(["devices", "approve", String(requestId), "--yes"], home)
      assert.strictEqual(approved.code, 0, approved.stderr)
      yield* agent.nextEvent("connected")
      yield* agent.stdinWrite("a task")
      yield* agent.nextEvent("task.reply")
      yield* agent.signal("SIGTERM")
      const { code } = yield* agent.exit
      assert.strictEqual(code, 0, agent.stderr.join("\n"))

      const stateDir = `${home}/.local/state/effect-openclaw`
      for (const name of yield* fs.readDirectory(stateDir, { recursive: true })) {
        const { mode, type, uid } = yield* fs.stat(`${stateDir}/${name}`)
        assert.strictEqual(Option.getOrUndefined(uid), nobody, name)
        assert.strictEqual(mode & 0o777, type === "Directory" ? 0o700 : 0o600, name)
      }
      const root = yield* Cli.finished(["identity", "show"], { stateDir })
      assert.deepStrictEqual([root.code, root.stdout], [exitCodes.settings, []])
      assert.match(root.stderr, /belongs to another user \(user id 65534\)/)
    }).pipe(Effect.scoped, Effect.provide(Cli.platform)), 90_000)
})
