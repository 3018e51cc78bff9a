/**
 * The program as a shell starts it: in pipes, in substitutions, on a terminal.
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Schedule from "effect/Schedule"
import { projectMain } from "../interop/support/DeviceCli.ts"
import * as ProcessGroup from "../interop/support/ProcessGroup.ts"
import * as Cli from "./Cli.ts"

/** A script in a shell of its own, in which `$CLI` is the program. `$STATE` is the state directory. */
export const start = Effect.fnUntraced(function*(script: string, options: Cli.Options) {
  const folder = yield* Cli.temporaryDirectory
  const stdout: Array<string> = []
  const stderr: Array<string> = []
  const shell = yield* ProcessGroup.spawn("/bin/bash", ["-c", script], {
    cwd: folder,
    env: {
      PATH: "/usr/bin:/bin",
      HOME: folder,
      NO_COLOR: "1",
      NODE_COMPILE_CACHE: Cli.compileCache,
      CLI: `${process.execPath} ${projectMain}`,
      STATE: options.stateDir,
      OPENCLAW_DEVICE_STATE_DIR: options.stateDir,
      ...options.env
    },
    onStdout: (line) => void stdout.push(line),
    onStderr: (line) => void stderr.push(line)
  })
  if (options.stdin !== undefined) {
    yield* shell.write(options.stdin.map((line) => `${line}\n`).join(""))
    yield* shell.endInput
  }
  return { ...shell, stdout, stderr }
})

/** A command on a terminal of its own. What is written to it is typed. */
export const onTerminal = Effect.fnUntraced(function*(command: string, options: Cli.Options) {
  const fs = yield* FileSystem.FileSystem
  const file = `${yield* Cli.temporaryDirectory}/screen`
  const shell = yield* start(`script --quiet --return --flush --command '${command}' ${file}`, options)
  /** All that the terminal was sent. */
  const screen = Effect.orElseSucceed(fs.readFileString(file), () => "")
  /** Waits until it was sent this, and gives all that it was sent. */
  const until = (text: string | RegExp) =>
    screen.pipe(
      Effect.filterOrFail((all) => typeof text === "string" ? all.includes(text) : text.test(all)),
      Effect.retry(Schedule.spaced("50 millis")),
      Effect.timeoutOrElse({
        duration: "20 seconds",
        orElse: () => Effect.flatMap(screen, (all) => Effect.die(`${text} did not come:\n${all}`))
      })
    )
  return { ...shell, screen, until }
})

export const finished = Effect.fnUntraced(function*(script: string, options: Cli.Options) {
  const shell = yield* start(script, { stdin: [], ...options })
  const { code } = yield* Effect.timeout(shell.drained, "40 seconds")
  return { code, stdout: shell.stdout, stderr: Cli.quiet(shell.stderr) } satisfies Cli.Finished
})

/** A state directory with a gateway that runs and has approved its device. */
export const approved = Effect.gen(function*() {
  const stateDir = yield* Cli.temporaryDirectory
  const gateway = yield* Cli.start(["gateway", "--port", "0", "--json"], { stateDir })
  const { url } = yield* gateway.nextEvent("gateway")
  const first = yield* Cli.start(["delegate", "first", "--wait", "--json"], { stateDir, stdin: [] })
  const { requestId } = yield* first.nextEvent("pairing.required")
  yield* Cli.finished(["devices", "approve", String(requestId), "--yes"], { stateDir })
  assert.deepStrictEqual(yield* first.exit, { code: 0, signal: null })
  return { stateDir, gateway, url: String(url) }
})
