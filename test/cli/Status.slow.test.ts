import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Cli from "./Cli.ts"
import * as Shell from "./Shell.ts"

const nobody = 65_534
const isRoot = process.getuid?.() === 0

const reportOf = (stdout: ReadonlyArray<string>) => stdout.map((line) => JSON.parse(line))

describe("status", () => {
  it.live("of a run that waits, that is connected, and that was stopped", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { stateDir, url } = yield* Shell.approved
      const stranger = yield* Cli.temporaryDirectory
      // Another device, which nobody has approved.
      const waiting = yield* Cli.start(["run", "--json", "--no-page", "--gateway-url", url], {
        stateDir: stranger,
        env: { OPENCLAW_GATEWAY_TOKEN: yield* tokenOf(stateDir) }
      })
      yield* waiting.nextEvent("pairing.required")
      yield* Cli.served(stranger)
      const asked = yield* Cli.finished(["status", "--json"], { stateDir: stranger })
      assert.deepStrictEqual([asked.code, asked.stderr], [75, ""])
      const [pairing] = reportOf(asked.stdout)
      assert.deepStrictEqual([pairing.state, pairing.pairing.reason], ["awaiting-approval", "not-paired"])

      const running = yield* Cli.start(["run", "--json", "--no-page", "--gateway-url", url], { stateDir })
      yield* running.nextEvent("connected")
      yield* Cli.served(stateDir)
      const { code, stderr, stdout } = yield* Cli.finished(["status"], { stateDir })
      assert.deepStrictEqual([code, stderr], [0, ""])
      assert.match(stdout.join("\n"), /^state +connected to ws:\/\/127\.0\.0\.1:\d+ \(OpenClaw .*, protocol 4\)$/m)
      assert.match(stdout.join("\n"), /^tasks +0 kept, 0 sent; since the start 0 replied, 0 failed$/m)
      assert.match(stdout.join("\n"), new RegExp(`process ${running.pid}, up`))

      yield* running.signal("SIGTERM")
      assert.deepStrictEqual(yield* running.exit, { code: 0, signal: null })
      const stopped = yield* Cli.finished(["status"], { stateDir })
      assert.deepStrictEqual([stopped.code, stopped.stderr], [3, ""])
      assert.match(stopped.stdout.join(), /^not running: no program runs on /)
      assert.deepStrictEqual(yield* fs.readDirectory(`${stateDir}/live`), [])
    }).pipe(Effect.scoped, Effect.provide(Cli.platform)), 60_000)

  it.live("of a run that was killed, and of one that runs beside the leftover", () =>
    Effect.gen(function*() {
      const { stateDir, url } = yield* Shell.approved
      const killed = yield* Cli.start(["run", "--json", "--no-page", "--gateway-url", url], { stateDir })
      yield* killed.nextEvent("connected")
      yield* Cli.served(stateDir)
      yield* killed.signal("SIGKILL")
      yield* killed.exit
      const after = yield* Cli.finished(["status"], { stateDir })
      assert.deepStrictEqual([after.code, after.stderr], [3, ""])
      assert.match(after.stdout.join(), new RegExp(`^not running: process ${killed.pid} was killed`))
      const next = yield* Cli.start(["run", "--json", "--no-page", "--gateway-url", url], { stateDir })
      yield* next.nextEvent("connected")
      yield* Cli.served(stateDir, 2)
      assert.strictEqual((yield* Cli.finished(["status"], { stateDir })).code, 0)
    }).pipe(Effect.scoped, Effect.provide(Cli.platform)), 60_000)

  it.live.skipIf(!isRoot)("of a run of another user is not asked", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { stateDir, url } = yield* Shell.approved
      const running = yield* Cli.start(["run", "--json", "--no-page", "--gateway-url", url], { stateDir })
      yield* running.nextEvent("connected")
      yield* Cli.served(stateDir)
      const [name = ""] = yield* fs.readDirectory(`${stateDir}/live`)
      yield* fs.chown(`${stateDir}/live/${name}`, nobody, nobody)
      const { code, stderr, stdout } = yield* Cli.finished(["status"], { stateDir })
      assert.deepStrictEqual([code, stdout], [78, []])
      assert.match(stderr, /belongs to another user \(user id 65534\)/)
    }).pipe(Effect.scoped, Effect.provide(Cli.platform)), 60_000)

  it.live("of several state directories below one, worst first in the exit status", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const parent = yield* Cli.temporaryDirectory
      yield* fs.makeDirectory(`${parent}/empty`)
      for (const name of ["a", "b"]) yield* Cli.finished(["identity", "show"], { stateDir: `${parent}/${name}` })
      const gateway = yield* Cli.start(["gateway", "--port", "0", "--json"], { stateDir: `${parent}/a` })
      yield* gateway.nextEvent("gateway")
      const running = yield* Cli.start(["run", "--json", "--no-page"], { stateDir: `${parent}/a` })
      yield* running.nextEvent("pairing.required")
      yield* Cli.served(`${parent}/a`)
      const { code, stdout } = yield* Cli.finished(["status", "--all", parent], { stateDir: parent })
      assert.strictEqual(code, 3)
      assert.strictEqual(stdout.length, 2, stdout.join("\n"))
      assert.match(stdout[0] ?? "", /\/a  awaiting approval/)
      assert.match(stdout[1] ?? "", /\/b  not running$/)
      const json = reportOf((yield* Cli.finished(["status", "--all", parent, "--json"], { stateDir: parent })).stdout)
      assert.deepStrictEqual(json.map(({ running }) => running), [true, false])
    }).pipe(Effect.scoped, Effect.provide(Cli.platform)), 60_000)

  it.live("--watch tells each change until the program ends", () =>
    Effect.gen(function*() {
      const stateDir = yield* Cli.temporaryDirectory
      const gateway = yield* Cli.start(["gateway", "--port", "0", "--json"], { stateDir })
      const url = String((yield* gateway.nextEvent("gateway")).url)
      const running = yield* Cli.start(["run", "--json", "--no-page", "--gateway-url", url], { stateDir })
      const { requestId } = yield* running.nextEvent("pairing.required")
      yield* Cli.served(stateDir)
      const watch = yield* Cli.start(["status", "--watch", "--json"], { stateDir })
      const scripted = Shell.finished(`until $CLI status >/dev/null; do :; done`, { stateDir })
      yield* Cli.finished(["devices", "approve", String(requestId), "--yes"], { stateDir })
      yield* running.nextEvent("connected")
      yield* Cli.served(stateDir)
      yield* scripted
      yield* running.signal("SIGTERM")
      assert.deepStrictEqual(yield* watch.exit, { code: 3, signal: null })
      const states = reportOf(watch.stdout).map(({ running, state }) => running ? state : "ended")
      assert.strictEqual(states[0], "awaiting-approval")
      assert.include(states, "connected")
      assert.strictEqual(states.at(-1), "ended")
    }).pipe(Effect.scoped, Effect.provide(Cli.platform)), 60_000)

  it.live("tells no secret: neither the gateway's token nor the device's", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { stateDir, url } = yield* Shell.approved
      const running = yield* Cli.start(["run", "--json", "--no-page", "--gateway-url", url], { stateDir })
      yield* running.nextEvent("connected")
      yield* Cli.served(stateDir)
      const { stdout } = yield* Cli.finished(["status", "--json"], { stateDir })
      const files = yield* fs.readDirectory(`${stateDir}/tokens`, { recursive: true })
      const tokens = yield* Effect.forEach(files.filter((name) => name.endsWith(".json")), (name) =>
        Effect.map(fs.readFileString(`${stateDir}/tokens/${name}`), (text) => JSON.parse(text).token))
      const canaries = [yield* tokenOf(stateDir), ...tokens].filter((canary) =>
        canary !== undefined
      )
      assert.isAbove(canaries.length, 1)
      for (const canary of canaries) assert.notInclude(stdout.join("\n"), canary)
    }).pipe(Effect.scoped, Effect.provide(Cli.platform)), 60_000)
})

/** The shared token of the gateway that runs on a state directory. */
const tokenOf = (stateDir: string) =>
  Effect.flatMap(
    FileSystem.FileSystem,
    (fs) => Effect.map(fs.readFileString(`${stateDir}/gateway.json`), (text) => String(JSON.parse(text).sharedToken))
  )
