import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { spawnCli } from "./support/DeviceCli.ts"

const script = `
import { createInterface } from "node:readline"
const say = (event, more) => console.log(JSON.stringify({ event, ...more }))
console.error("a word on stderr")
console.log("not JSON")
say("started", { args: process.argv.slice(2), names: Object.keys(process.env).sort() })
createInterface({ input: process.stdin }).on("line", (line) => say("line", { line }))
process.on("SIGTERM", () => { say("stopped"); process.exit(3) })
`

const scriptPath = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const path = `${yield* fs.makeTempDirectoryScoped()}/script.mjs`
  yield* fs.writeFileString(path, script)
  return path
})

describe("spawnCli", () => {
  it.live("reads JSON lines, writes stdin, passes signals and tells the exit", () =>
    Effect.gen(function*() {
      const cli = yield* spawnCli(["run", "--json"], { env: { MARK: "1" }, main: yield* scriptPath })
      const started = yield* cli.nextEvent("started", "10 seconds")
      assert.deepStrictEqual(started["args"], ["run", "--json"])
      assert.deepStrictEqual(started["names"], ["HOME", "MARK", "NO_COLOR", "PATH"])
      yield* cli.stdinWrite("first")
      yield* cli.stdinWrite("second")
      const second = yield* cli.nextEvent("line", "10 seconds", (event) => event["line"] === "second")
      assert.strictEqual(second["line"], "second")
      yield* cli.signal("SIGTERM")
      assert.deepStrictEqual(yield* cli.exit, { code: 3, signal: null })
      assert.deepStrictEqual(cli.events.map(({ event }) => event), ["started", "line", "line", "stopped"])
      assert.deepStrictEqual(cli.stderr, ["a word on stderr"])
      yield* cli.nextEvent("stopped")
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("fails an awaited event as soon as the command ends, and says what it printed", () =>
    Effect.gen(function*() {
      const cli = yield* spawnCli([], { env: {}, main: yield* scriptPath, stdin: ["only"] })
      const error = yield* Effect.flip(cli.nextEvent("never", "30 seconds"))
      assert.include(error.message, "it ended before event never")
      assert.include(error.message, "a word on stderr")
      assert.include(error.message, `{"event":"line","line":"only"}`)
    }).pipe(Effect.provide(NodeServices.layer)))
})
