import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Cli from "./Cli.ts"
import * as Shell from "./Shell.ts"

const limit = 60_000
const statuses = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const

describe.concurrent("signals", () => {
  for (const [signal, status] of Object.entries(statuses)) {
    it.live(
      `${signal} ends a command that has not finished with status ${status}, and the task is named`,
      () =>
        Effect.gen(function*() {
          const stateDir = yield* Cli.temporaryDirectory
          const env = { OPENCLAW_GATEWAY_URL: "ws://127.0.0.1:1" }
          const cli = yield* Cli.start(["delegate", "x", "--wait", "--json"], { stateDir, env, stdin: [] })
          yield* cli.nextEvent("waiting")
          yield* cli.signal(signal === "SIGHUP" ? "SIGHUP" : signal === "SIGINT" ? "SIGINT" : "SIGTERM")
          assert.deepStrictEqual(yield* cli.exit, { code: status, signal: null })
          assert.match(Cli.quiet(cli.stderr), /^Task \S+ (was aborted|could not be aborted)/)
        }).pipe(Effect.provide(Cli.platform)),
      limit
    )
  }

  it.live("SIGHUP is the ordinary end of run, with its last event", () =>
    Effect.gen(function*() {
      const stateDir = yield* Cli.temporaryDirectory
      const cli = yield* Cli.start(["run", "--json"], { stateDir })
      yield* cli.nextEvent("pairing.required")
      yield* Cli.endsAt(cli, "SIGHUP", stateDir)
    }).pipe(Effect.provide(Cli.platform)), limit)

  it.live("under nohup a closed terminal does not end run", () =>
    Effect.gen(function*() {
      const stateDir = yield* Cli.temporaryDirectory
      const ended = yield* Shell.finished(
        `nohup $CLI run --json --gateway-url ws://127.0.0.1:1 > out < /dev/null &
        until grep -q waiting out; do sleep 0.1; done; kill -HUP $!; sleep 1; kill -0 $! && kill -TERM $!; wait $!; echo $?`,
        { stateDir }
      )
      assert.deepStrictEqual(ended.stdout, ["0"])
    }).pipe(Effect.provide(Cli.platform)), limit)
})
