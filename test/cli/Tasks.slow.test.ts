import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"
import * as Sink from "effect/Sink"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import * as TestConsole from "effect/testing/TestConsole"
import { delegate } from "../../src/cli/Delegate.ts"
import { Invocation } from "../../src/cli/Invocation.ts"
import { root } from "../../src/cli/Root.ts"
import { tasks } from "../../src/cli/Tasks.ts"
import type { Agent } from "../../src/devgateway/Agent.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import * as DevGatewayWs from "../../src/devgateway/DevGatewayWs.ts"
import { PrivateFile } from "../../src/storage/PrivateFile.ts"
import { RunId, TaskId } from "../../src/tasks/Task.ts"
import { TaskJournal } from "../../src/tasks/TaskJournal.ts"
import * as Cli from "./Cli.ts"

const host = Layer.mergeAll(
  PrivateFile.layer,
  Layer.succeed(Invocation, { program: ["openclaw-device"], platform: "linux", version: "0" })
).pipe(Layer.provideMerge(SecureRandom.layerWebCrypto), Layer.provideMerge(Cli.platform))

interface Options {
  readonly stateDir: string
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: Stream.Stream<Uint8Array>
  readonly terminal?: boolean
  /** Sees what has been printed after each piece. */
  readonly onOutput?: (out: string) => void
}

/** Runs a command line within this process, with standard streams of the test's own. */
const cli = Effect.fnUntraced(function*(args: ReadonlyArray<string>, options: Options) {
  let out = ""
  let err = ""
  const stdio = Stdio.layerTest({
    stdin: options.stdin ?? Stream.empty,
    stdout: () =>
      Sink.forEach((piece) =>
        Effect.sync(() => {
          out += String(piece)
          options.onOutput?.(out)
        })
      ),
    stderr: () => Sink.forEach((piece) => Effect.sync(() => void (err += String(piece)))),
    stdinIsTerminal: Effect.succeed(options.terminal ?? false),
    stdoutIsTerminal: Effect.succeed(options.terminal ?? false)
  })
  const program = root.pipe(Command.withSubcommands([delegate, tasks]))
  const exit = yield* Command.runWith(program, { version: "0" })([...args, "--state-dir", options.stateDir]).pipe(
    Effect.provide(stdio),
    Effect.provideService(
      ConfigProvider.ConfigProvider,
      ConfigProvider.fromEnvRecord({ HOME: options.stateDir, NO_COLOR: "1", ...options.env })
    ),
    Effect.provideService(References.MinimumLogLevel, "None"),
    Effect.provideService(CliOutput.Presenter, { present: () => Effect.void }),
    Effect.provide(TestConsole.layer),
    Effect.exit
  )
  const failure = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  return {
    code: failure === undefined ? 0 : Runtime.getErrorExitCode(failure),
    problem: failure instanceof Error ? failure.message : "",
    out,
    err
  }
}, Effect.provide(host))

/** A gateway that admits the device at once, and where to find it. */
const gateway = Effect.fnUntraced(function*(agent?: Agent) {
  const context = yield* Layer.build(DevGateway.layerTest(agent === undefined ? {} : { agent }))
  const url = yield* Effect.provideContext(DevGatewayWs.serve(), context)
  return {
    gateway: Context.get(context, DevGateway),
    env: { OPENCLAW_GATEWAY_URL: url.href, OPENCLAW_GATEWAY_TOKEN: "operator-token" }
  }
})

const bytes = (text: string) => Stream.succeed(new TextEncoder().encode(text))

describe("delegate", () => {
  it.live("takes the task from standard input when none is given, all of it", () =>
    Effect.gen(function*() {
      const { env } = yield* gateway()
      const stateDir = yield* Cli.temporaryDirectory
      const stdin = Stream.concat(bytes("water the plants\n"), bytes("then feed the cat\n"))
      const { code, out } = yield* cli(["delegate"], { stateDir, env, stdin })
      assert.strictEqual(code, 0)
      assert.strictEqual(out, "echo: water the plants\nthen feed the cat\n")
    }).pipe(Effect.provide(Cli.platform)))

  it.live("an argument wins, an empty or endless input is refused, and a terminal is not waited for", () =>
    Effect.gen(function*() {
      const { env, gateway: { stats } } = yield* gateway()
      const stateDir = yield* Cli.temporaryDirectory
      const given = yield* cli(["delegate", "one"], { stateDir, env, stdin: Stream.die("read") })
      assert.deepInclude(given, { code: 0, problem: "" })
      const before = (yield* stats).runs.size
      const empty = yield* cli(["delegate"], { stateDir, env, stdin: bytes(" \n") })
      assert.deepInclude(empty, {
        code: 64,
        problem:
          'task refused: it has no text. Say what is to be done. Command: openclaw-device delegate "<what to do>"'
      })
      const endless = yield* cli(["delegate"], { stateDir, env, stdin: Stream.forever(bytes("x".repeat(65_536))) })
      assert.strictEqual(endless.code, 64)
      assert.match(endless.problem, /longer than/)
      const terminal = yield* cli(["delegate"], { stateDir, env, stdin: Stream.never, terminal: true })
      assert.strictEqual(terminal.code, 64)
      assert.match(terminal.problem, /^there is no task/)
      assert.strictEqual((yield* stats).runs.size, before)
    }).pipe(Effect.provide(Cli.platform)))

  it.live("refuses a task that it cannot keep, and says where", () =>
    Effect.gen(function*() {
      const { env, gateway: { stats } } = yield* gateway()
      const stateDir = yield* Cli.temporaryDirectory
      yield* Effect.flatMap(FileSystem.FileSystem, (fs) => fs.writeFileString(`${stateDir}/tasks`, ""))
      const { code, problem } = yield* cli(["delegate", "one"], { stateDir, env })
      assert.strictEqual(code, 78)
      assert.strictEqual(
        problem,
        `task refused: the task journal at ${stateDir}/tasks could not be written (EEXIST).`
          + ` A file stands where a directory is needed: move it away, or choose another place. Command: ls -ld ${stateDir}/tasks`
      )
      assert.strictEqual((yield* stats).runs.size, 0)
    }).pipe(Effect.provide(Cli.platform)))

  it.live("--timeout is how long the task may take, and its end is status 75", () =>
    Effect.gen(function*() {
      const { env } = yield* gateway(() => Stream.never)
      const stateDir = yield* Cli.temporaryDirectory
      const { code, problem } = yield* cli(["delegate", "one", "--timeout", "1 second"], { stateDir, env })
      assert.strictEqual(code, 75)
      assert.match(problem, /no reply in time.*\nThe gateway has stopped it\.$/s)
      for (const wrong of ["5", "0 seconds", "2 days", "soon"]) {
        assert.notStrictEqual((yield* cli(["delegate", "one", "--timeout", wrong], { stateDir, env })).code, 0)
      }
    }).pipe(Effect.provide(Cli.platform)))

  it.live("shows on a terminal what goes on, and removes it at the end", () =>
    Effect.gen(function*() {
      const go = yield* Deferred.make<void>()
      const { env } = yield* gateway(() =>
        Stream.concat(
          Stream.succeed({ _tag: "Phase", phase: "think\u001b[31ming" }),
          Stream.fromEffect(Effect.as(Deferred.await(go), { _tag: "Text", delta: "done" }))
        )
      )
      const stateDir = yield* Cli.temporaryDirectory
      const onOutput = (out: string) => {
        const told = out.replaceAll("\u001b", "ESC")
        if (/\rESC\[Ktask [0-9a-f]{8} think\\u\{1b\}\[31ming, /.test(told)) Deferred.doneUnsafe(go, Effect.void)
      }
      const { code, out } = yield* cli(["delegate", "one"], { stateDir, env, terminal: true, onOutput })
      assert.strictEqual(code, 0)
      // The live line is gone.
      assert.match(out.replaceAll("\u001b", "ESC"), /\rESC\[K[^\r]*task [0-9a-f]{8}[^\r]* \| done\n$/)
    }).pipe(Effect.provide(Cli.platform)))
})

describe("tasks", () => {
  const Shown = Schema.fromJsonString(Schema.Struct({
    taskId: Schema.String,
    runId: Schema.String,
    gateway: Schema.String,
    sessionKey: Schema.String,
    summary: Schema.String,
    acceptedAt: Schema.String,
    sentAt: Schema.optionalKey(Schema.String)
  }))
  const decode = Schema.decodeUnknownEffect(Shown, { onExcessProperty: "error" })

  const entry = {
    taskId: TaskId.make("1a2b3c4d"),
    runId: RunId.make("0b0f9bd0-6d27-4c33-9c14-3a1f7b3f4a11"),
    gatewayScope: "ws://127.0.0.1:18789/",
    sessionKey: "agent:main:main",
    summary: "water\u001b[31m the\nplants",
    position: 1,
    acceptedAtMs: 1_795_330_230_896
  }
  const sent = {
    ...entry,
    taskId: TaskId.make("5e6f7a8b"),
    runId: RunId.make("1b0f9bd0-6d27-4c33-9c14-3a1f7b3f4a11"),
    summary: "feed the cat",
    position: 2,
    sentAtMs: 1_795_330_231_000
  }

  it.live("lists and shows what is open, and nothing that a terminal would obey", () =>
    Effect.gen(function*() {
      const stateDir = yield* Cli.temporaryDirectory
      assert.deepInclude(yield* cli(["tasks", "list"], { stateDir }), { code: 0, out: "No task is open.\n", err: "" })
      assert.deepInclude(yield* cli(["tasks", "list", "--json"], { stateDir }), { code: 0, out: "" })

      yield* Effect.flatMap(TaskJournal, ({ put }) => Effect.andThen(put(entry), put(sent))).pipe(
        Effect.provide(
          TaskJournal.layerFile({ directory: `${stateDir}/tasks` }).pipe(Layer.provide(SecureRandom.layerWebCrypto))
        )
      )
      assert.strictEqual(
        (yield* cli(["tasks", "list"], { stateDir })).out,
        [
          "1a2b3c4d  kept  2026-11-22T06:50:30.896Z  water\\u{1b}[31m the plants",
          "5e6f7a8b  sent  2026-11-22T06:50:30.896Z  feed the cat",
          ""
        ].join("\n")
      )
      const lines = (yield* cli(["tasks", "list", "--json"], { stateDir })).out.trimEnd().split("\n")
      const [first, second] = yield* Effect.forEach(lines, (line) => decode(line))
      assert.deepStrictEqual([first?.summary, first?.sentAt], [entry.summary, undefined])
      assert.deepStrictEqual([second?.taskId, second?.sentAt], [sent.taskId, "2026-11-22T06:50:31.000Z"])

      const shown = yield* cli(["tasks", "show", "5e6f7a8b"], { stateDir })
      for (const part of ["5e6f7a8b", "sent at 2026-11-22T06:50:31.000Z", sent.runId, "feed the cat"]) {
        assert.include(shown.out, part)
      }
      assert.deepInclude(yield* decode((yield* cli(["tasks", "show", "5e6f7a8b", "--json"], { stateDir })).out), {
        taskId: "5e6f7a8b"
      })
      const absent = yield* cli(["tasks", "show", "00000000"], { stateDir })
      assert.deepInclude(absent, { code: 1, out: "" })
      assert.match(absent.problem, /no task 00000000 is open/)
    }).pipe(Effect.provide(Cli.platform)))
})
