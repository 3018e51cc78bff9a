/**
 * The command line program as a child process, on state directories of its own.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { fileURLToPath } from "node:url"
import { AgentEvent } from "../../src/protocol/AgentEvent.ts"
import { type DeviceCli, spawnCli } from "../interop/support/DeviceCli.ts"
import * as ProcessGroup from "../interop/support/ProcessGroup.ts"

/** Compiled sources are kept from one child process to the next: most of a short command's time would go there. */
export const compileCache = fileURLToPath(new URL("../../node_modules/.cache/effect-openclaw-cli", import.meta.url))

export const platform = NodeServices.layer
export type Platform = NodeServices.NodeServices | Scope.Scope

export const temporaryDirectory = Effect.flatMap(
  FileSystem.FileSystem,
  (fs) => fs.makeTempDirectoryScoped({ prefix: "openclaw-device-" })
)

export interface Options {
  readonly stateDir: string
  readonly env?: Readonly<Record<string, string>>
  /** Lines for standard input, which then ends. */
  readonly stdin?: ReadonlyArray<string>
}

/** Starts the program; the scope ends it. */
export const start = (args: ReadonlyArray<string>, { env, stateDir, stdin }: Options) =>
  spawnCli([...args, "--state-dir", stateDir], {
    env: { NODE_COMPILE_CACHE: compileCache, ...env },
    ...(stdin === undefined ? {} : { stdin })
  })

export interface Finished {
  readonly code: number | null
  readonly stdout: ReadonlyArray<string>
  /** Without what `quiet` leaves out. */
  readonly stderr: string
}

/** Starts the program and waits for its end. */
export const finished = Effect.fnUntraced(function*(args: ReadonlyArray<string>, options: Options) {
  const cli = yield* start(args, { stdin: [], ...options })
  const { code } = yield* Effect.timeout(cli.exit, "30 seconds")
  return { code, stdout: cli.stdout, stderr: quiet(cli.stderr) } satisfies Finished
})

/**
 * Standard error without the warnings that a test cannot avoid: temporary directories, and some test machines, do not last;
 * and a checkout need not be built.
 */
export const quiet = (lines: ReadonlyArray<string>): string =>
  lines.join("\n").replace(/^warning: the identity is kept .*$/gm, "")
    .replace(/^warning: The page on this machine cannot be served, as it was not built\..*$/gm, "").trim()

const decodeEvent = Schema.decodeUnknownEffect(Schema.fromJsonString(AgentEvent), { onExcessProperty: "error" })

/** Standard output as events; a line that is none fails. */
export const eventsOf = (cli: DeviceCli) => Effect.forEach(cli.stdout, (line) => decodeEvent(line))

/** Waits until so many programs of a state directory can be asked how they stand: no start waits for that. */
export const served = (stateDir: string, programs = 1) =>
  Effect.flatMap(
    FileSystem.FileSystem,
    (fs) =>
      Effect.orElseSucceed(fs.readDirectory(`${stateDir}/live`), () => []).pipe(
        Effect.filterOrFail((names) => names.length >= programs, () => "not served yet"),
        Effect.retry(Schedule.spaced("50 millis")),
        Effect.timeout("20 seconds")
      )
  )

/** Names of events in the order in which they came. */
export const names = (events: ReadonlyArray<AgentEvent>): ReadonlyArray<string> => events.map(({ event }) => event)

/** The same whether this checkout is built, and so has a page to serve, or not. */
export const withoutPage = (names: ReadonlyArray<string>): ReadonlyArray<string> =>
  names.filter((name) => name !== "page")

/** Runs a pasted line in a shell that has nothing but `PATH` and `HOME`, in a folder of its own. */
export const paste = Effect.fnUntraced(function*(text: string) {
  const folder = yield* temporaryDirectory
  const stdout: Array<string> = []
  const stderr: Array<string> = []
  const shell = yield* ProcessGroup.spawn("/bin/sh", ["-c", text], {
    cwd: folder,
    env: { PATH: "/usr/bin:/bin", HOME: folder },
    onStdout: (line) => void stdout.push(line),
    onStderr: (line) => void stderr.push(line)
  })
  yield* shell.endInput
  const { code } = yield* Effect.timeout(shell.drained, "30 seconds")
  return { code, stdout, stderr: quiet(stderr) } satisfies Finished
})

/**
 * Sends the signal and holds what every end of `run` and `gateway` promises: within a second, status 0, `stopped` last,
 * nothing on standard error, no process and no temporary file left. Answers how long it took, in milliseconds.
 */
export const endsAt = Effect.fnUntraced(
  function*(cli: DeviceCli, signal: "SIGHUP" | "SIGINT" | "SIGTERM", stateDir: string) {
    const fs = yield* FileSystem.FileSystem
    const startedAtMs = performance.now()
    yield* cli.signal(signal)
    const exit = yield* Effect.timeout(cli.exit, "30 seconds")
    const elapsedMs = performance.now() - startedAtMs
    assert.deepStrictEqual(exit, { code: 0, signal: null })
    assert.strictEqual((yield* eventsOf(cli)).at(-1)?.event, "stopped")
    assert.strictEqual(quiet(cli.stderr), "")
    assert.isFalse(ProcessGroup.isAlive(cli))
    const left = yield* Effect.orElseSucceed(fs.readDirectory(stateDir, { recursive: true }), () => [])
    assert.deepStrictEqual(left.filter((name) => name === "gateway.json" || /\.tmp$|\.lock$/.test(name)), [])
    assert.isBelow(elapsedMs, 1000)
    return elapsedMs
  }
)
