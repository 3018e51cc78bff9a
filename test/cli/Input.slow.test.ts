import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { exitCodes } from "../../src/cli/ExitCode.ts"
import * as Cli from "./Cli.ts"
import * as Shell from "./Shell.ts"

const limit = 120_000

describe.concurrent("standard input of run", () => {
  it.live(
    "150 lines before the approval are all done after it, in order, and a refused one is named",
    () =>
      Effect.gen(function*() {
        const stateDir = yield* Cli.temporaryDirectory
        const lines = Array.from({ length: 150 }, (_, index) => `line ${index}`)
        const cli = yield* Cli.start(["run", "--json"], { stateDir, stdin: [...lines, "x".repeat(300_000)] })
        const { requestId } = yield* cli.nextEvent("pairing.required")
        yield* Cli.finished(["devices", "approve", String(requestId), "--yes"], { stateDir })
        const refused = yield* cli.nextEvent("task.refused")
        assert.strictEqual(refused["line"], 151)
        yield* cli.nextEvent("task.reply", "60 seconds", ({ text }) => text === "echo: line 149")
        yield* Cli.endsAt(cli, "SIGTERM", stateDir)
        const replies = (yield* Cli.eventsOf(cli)).flatMap((event) => event.event === "task.reply" ? [event.text] : [])
        assert.deepStrictEqual(replies, lines.map((line) => `echo: ${line}`))
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "120 lines at once while connected are all done, in order",
    () =>
      Effect.gen(function*() {
        const { stateDir, url } = yield* Shell.approved
        const lines = Array.from({ length: 120 }, (_, index) => `line ${index}`)
        const cli = yield* Cli.start(["run", "--json"], { stateDir, env: { OPENCLAW_GATEWAY_URL: url } })
        yield* cli.nextEvent("connected")
        yield* cli.stdinWrite(lines.join("\n"))
        yield* cli.nextEvent("task.reply", "60 seconds", ({ text }) => text === "echo: line 119")
        yield* cli.signal("SIGTERM")
        yield* cli.exit
        const events = yield* Cli.eventsOf(cli)
        const replies = events.flatMap((event) => event.event === "task.reply" ? [event.text] : [])
        assert.deepStrictEqual(replies, lines.map((line) => `echo: ${line}`))
        assert.notInclude(Cli.names(events), "task.refused")
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "run that is halted ends with its status where standard input has ended, and stays where it is open",
    () =>
      Effect.gen(function*() {
        const stateDir = yield* Cli.temporaryDirectory
        const gateway = yield* Cli.start(["gateway", "--port", "0", "--json"], { stateDir })
        const url = String((yield* gateway.nextEvent("gateway"))["url"])
        const own = yield* Cli.temporaryDirectory
        const env = { OPENCLAW_GATEWAY_URL: url, OPENCLAW_GATEWAY_TOKEN: "a-wrong-token" }
        const open = yield* Cli.start(["run", "--json"], { stateDir: own, env })
        yield* open.nextEvent("halted")
        const ended = yield* Cli.finished(["run", "--json"], { stateDir: own, env })
        assert.strictEqual(ended.code, exitCodes.credential)
        assert.include(ended.stdout.at(-1), "stopped")
        assert.match(ended.stderr, /nobody can wake it/)
        yield* Cli.endsAt(open, "SIGTERM", own)
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )
})
