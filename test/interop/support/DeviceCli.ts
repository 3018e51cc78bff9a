import * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Schema from "effect/Schema"
import { fileURLToPath } from "node:url"
import { type EventLog, makeEventLog } from "./EventLog.ts"
import type { InteropError } from "./InteropError.ts"
import * as ProcessGroup from "./ProcessGroup.ts"

const decodeLine = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown)))

/** One line of `--json` output. */
export type CliEvent = Readonly<Record<string, unknown>>

export interface DeviceCli {
  readonly pid: number
  /** The JSON lines of stdout so far. */
  readonly events: ReadonlyArray<CliEvent>
  /** Every line of stdout so far, JSON or not, and every line of stderr. */
  readonly stdout: ReadonlyArray<string>
  readonly stderr: ReadonlyArray<string>
  /**
   * The next line whose field `event` is `name`, or one of these names, and for which `where` holds; lines passed over stay in `events`. Fails
   * after `timeout` (60 s unless set) and at once when the command ends, with what it printed.
   */
  readonly nextEvent: (
    name: string | ReadonlyArray<string>,
    timeout?: Duration.Input,
    where?: (event: CliEvent) => boolean
  ) => Effect.Effect<CliEvent, InteropError>
  /** Writes the line and a line feed. */
  readonly stdinWrite: (line: string) => Effect.Effect<void>
  readonly stdinEnd: Effect.Effect<void>
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** The end of the command, when all its output has been read. */
  readonly exit: Effect.Effect<ProcessGroup.Exit>
}

export interface SpawnOptions {
  /** Added to an environment of `PATH`, `NO_COLOR` and a `HOME` of its own; nothing else is inherited. */
  readonly env: Readonly<Record<string, string>>
  /** Lines for stdin, which then ends. Without it stdin stays open for `stdinWrite`. */
  readonly stdin?: ReadonlyArray<string>
  /** Another script in place of this project's command line. */
  readonly main?: string
}

/** The program: bundled where the run of the tests has made a bundle, otherwise its source. */
export const projectMain = process.env["OPENCLAW_TEST_CLI"]
  ?? fileURLToPath(new URL("../../../src/cli/Main.ts", import.meta.url))

/**
 * Runs this project's command line from its sources. Its `HOME` is a new directory unless `env` names one, so that an
 * identity is kept between runs only when the test says so. The scope ends the command and removes that directory.
 */
export const spawnCli = Effect.fn("DeviceCli.spawnCli")(function*(args: ReadonlyArray<string>, options: SpawnOptions) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const home = yield* fs.makeTempDirectoryScoped({ prefix: "effect-openclaw-cli-" })
  const searchPath = yield* Config.withDefault(Config.String("PATH"), "/usr/bin:/bin")
  const log: EventLog<CliEvent> = yield* makeEventLog<CliEvent>()
  const stdout: Array<string> = []
  const stderr: Array<string> = []
  const group = yield* ProcessGroup.spawn(process.execPath, [options.main ?? projectMain, ...args], {
    cwd: home,
    env: { PATH: `${path.dirname(process.execPath)}:${searchPath}`, HOME: home, NO_COLOR: "1", ...options.env },
    onStdout: (line) => {
      stdout.push(line)
      Option.map(decodeLine(line), log.offerUnsafe)
    },
    onStderr: (line) => void stderr.push(line)
  })
  yield* Effect.forkScoped(Effect.andThen(group.drained, Effect.sync(log.endUnsafe)))
  if (options.stdin !== undefined) {
    yield* group.write(options.stdin.map((line) => `${line}\n`).join(""))
    yield* group.endInput
  }
  const cli: DeviceCli = {
    pid: group.pid,
    events: log.all,
    stdout,
    stderr,
    nextEvent: (name, timeout = "60 seconds", where = () => true) => {
      const names: ReadonlyArray<unknown> = Array.isArray(name) ? name : [name]
      return log.next({
        describe: `event ${names.join(" or ")}`,
        where: (event) => names.includes(event["event"]) && where(event),
        timeout,
        context: () => [...stdout.slice(-20).map((line) => `stdout ${line}`), ...stderr.map((line) => `stderr ${line}`)]
      })
    },
    stdinWrite: (line) => group.write(`${line}\n`),
    stdinEnd: group.endInput,
    signal: group.signal,
    exit: group.drained
  }
  return cli
})
