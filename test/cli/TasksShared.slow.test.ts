import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Agent } from "../../src/devgateway/Agent.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import * as DevGatewayWs from "../../src/devgateway/DevGatewayWs.ts"
import { RunId, TaskId } from "../../src/tasks/Task.ts"
import type { JournalEntry } from "../../src/tasks/TaskJournal.ts"
import { TaskJournal } from "../../src/tasks/TaskJournal.ts"
import * as Cli from "./Cli.ts"

// What is said here of programs that share a state directory is tried with programs: started, killed, interrupted.

const limit = 90_000

/** Says a word, and the rest when the test lets it; at once from then on. */
const slow = (gate: Deferred.Deferred<void>): Agent => ({ message }) =>
  Stream.make({ _tag: "Text" as const, delta: "echo:" }).pipe(
    Stream.concat(Stream.fromEffect(Effect.as(Deferred.await(gate), { _tag: "Text" as const, delta: ` ${message}` })))
  )

const setting = Effect.gen(function*() {
  const gate = yield* Deferred.make<void>()
  const context = yield* Layer.build(DevGateway.layerTest({ agent: slow(gate) }))
  const url = yield* Effect.provideContext(DevGatewayWs.serve(), context)
  const stateDir = yield* Cli.temporaryDirectory
  const env = { OPENCLAW_GATEWAY_URL: url.href, OPENCLAW_GATEWAY_TOKEN: "operator-token" }
  const gateway = Context.get(context, DevGateway)
  return {
    gateway,
    finishAgent: Deferred.succeed(gate, undefined),
    stateDir,
    scope: url.href,
    /** A command under way. */
    start: (...args: ReadonlyArray<string>) => Cli.start(args, { stateDir, env }),
    /** A command to its end. */
    run: (...args: ReadonlyArray<string>) => Cli.finished(args, { stateDir, env }),
    runsOnce: Effect.map(gateway.stats, ({ runs }) => assert.deepStrictEqual(new Set(runs.values()), new Set([1])))
  }
})

const Told = Schema.fromJsonString(Schema.Struct({
  taskId: Schema.String,
  runId: Schema.optionalKey(Schema.String),
  result: Schema.optionalKey(Schema.String),
  ended: Schema.optionalKey(Schema.String),
  text: Schema.optionalKey(Schema.String),
  pid: Schema.optionalKey(Schema.Int),
  abortRequested: Schema.optionalKey(Schema.Boolean),
  sentAt: Schema.optionalKey(Schema.String)
}))
const decode = Schema.decodeUnknownEffect(Told)
const lines = (finished: Cli.Finished) => Effect.forEach(finished.stdout, (line) => decode(line))

const sentTask = Effect.fnUntraced(function*(cli: Effect.Success<ReturnType<typeof Cli.start>>) {
  const { taskId } = yield* cli.nextEvent("task.sent")
  yield* cli.nextEvent("task.phase", "20 seconds", (event) => event["phase"] === "starting_model")
  return String(taskId)
})

describe.concurrent("tasks of programs that share a state directory", () => {
  it.live(
    "B07: `tasks abort` ends the task of a live program through that program, and says so in both",
    () =>
      Effect.gen(function*() {
        const { run, runsOnce, start } = yield* setting
        const running = yield* start("run", "--json")
        yield* running.nextEvent("connected")
        yield* running.stdinWrite("water the plants")
        const taskId = yield* sentTask(running)
        assert.include((yield* lines(yield* run("tasks", "list", "--json")))[0], { taskId, pid: running.pid })
        const aborted = yield* run("tasks", "abort", taskId)
        assert.deepStrictEqual(aborted, { code: 0, stdout: [`task ${taskId} is aborted`], stderr: "" })
        const told = yield* running.nextEvent("task.failed")
        assert.strictEqual(told["taskId"], taskId)
        assert.deepInclude(told["error"], { error: "Aborted" })
        assert.strictEqual((yield* run("tasks", "list")).stdout[0], "No task is open.")
        yield* runsOnce
        const again = yield* run("tasks", "abort", taskId)
        assert.strictEqual(again.code, 1)
        assert.include(again.stderr, `no task ${taskId} is open: it has ended, or was never here`)
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "G15 B07: a `delegate` that is killed loses nothing: the next one goes on with its task, and both are done once",
    () =>
      Effect.gen(function*() {
        const { finishAgent, run, runsOnce, start } = yield* setting
        const first = yield* start("delegate", "water the plants", "--json")
        const taskId = yield* sentTask(first)
        yield* first.signal("SIGKILL")
        yield* first.exit
        const [open] = yield* lines(yield* run("tasks", "list", "--json"))
        assert.strictEqual(open?.taskId, taskId)
        assert.isUndefined(open?.pid)
        assert.isDefined(open?.sentAt)
        yield* finishAgent
        const second = yield* run("delegate", "feed the cat", "--json", "--session", "agent:main:main")
        assert.strictEqual(second.code, 0)
        const replies = second.stdout.flatMap((line) => /"event":"task.reply".*"text":"([^"]*)"/.exec(line)?.[1] ?? [])
        assert.deepStrictEqual(replies, ["echo: water the plants", "echo: feed the cat"])
        assert.strictEqual((yield* run("tasks", "list")).stdout[0], "No task is open.")
        yield* runsOnce
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live.each([false, true])(
    "G15 B07: a `run` that lives on takes over the task of one that is killed, within 30 s, and tells the reply once; recorded: %s",
    (isRecorded) =>
      Effect.gen(function*() {
        const { finishAgent, run, runsOnce, start } = yield* setting
        const recording = `${yield* Cli.temporaryDirectory}/living.ndjson`
        const record = isRecorded ? ["--record", recording] : []
        const living = yield* start("run", "--json", "--session", "agent:main:living", ...record)
        yield* living.nextEvent("connected")
        const killed = yield* start("run", "--json", "--session", "agent:main:killed")
        yield* killed.nextEvent("connected")
        yield* killed.stdinWrite("water the plants")
        const taskId = yield* sentTask(killed)
        yield* killed.signal("SIGKILL")
        yield* killed.exit
        // It is at work until somebody has taken it over.
        const owner = Effect.map(Effect.flatMap(run("tasks", "list", "--json"), lines), ([open]) => open?.pid)
        const [took] = yield* Effect.timed(Effect.repeat(owner, { until: (pid) => pid === living.pid }))
        assert.isBelow(Duration.toMillis(took), 30_000)
        yield* finishAgent
        const reply = yield* living.nextEvent("task.reply")
        assert.deepInclude(reply, { taskId, text: "echo: water the plants" })
        yield* living.signal("SIGTERM")
        yield* living.exit
        const events = yield* Cli.eventsOf(living)
        assert.lengthOf(events.filter(({ event }) => event === "task.reply"), 1)
        assert.strictEqual((yield* run("tasks", "list")).stdout[0], "No task is open.")
        yield* runsOnce
        if (isRecorded) assert.strictEqual((yield* run("replay", recording)).code, 0)
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "B07: a second program leaves the tasks of a live one alone",
    () =>
      Effect.gen(function*() {
        const { finishAgent, run, runsOnce, start } = yield* setting
        const first = yield* start("delegate", "water the plants", "--json", "--session", "one")
        const taskId = yield* sentTask(first)
        const second = yield* start("delegate", "feed the cat", "--json", "--session", "two")
        yield* sentTask(second)
        yield* finishAgent
        assert.strictEqual((yield* second.exit).code, 0)
        assert.strictEqual((yield* first.exit).code, 0)
        assert.isFalse(second.stdout.some((line) => line.includes(taskId)))
        assert.lengthOf(first.stdout.filter((line) => line.includes('"event":"task.reply"')), 1)
        assert.strictEqual((yield* run("tasks", "list")).stdout[0], "No task is open.")
        yield* runsOnce
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "Ctrl-C on `delegate` aborts its task at the gateway, and says so",
    () =>
      Effect.gen(function*() {
        const { gateway, run, start } = yield* setting
        const cli = yield* start("delegate", "water the plants", "--wait", "--json")
        const taskId = yield* sentTask(cli)
        yield* cli.signal("SIGINT")
        assert.deepStrictEqual(yield* Effect.timeout(cli.exit, "10 seconds"), { code: 130, signal: null })
        assert.strictEqual(Cli.quiet(cli.stderr), `Task ${taskId} was aborted.`)
        assert.strictEqual((yield* run("tasks", "list")).stdout[0], "No task is open.")
        // Its session is free again.
        assert.strictEqual((yield* gateway.stats).runs.size, 1)
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "Ctrl-C on `delegate` without a gateway leaves the task in the journal, says how to see it, and the abort waits there",
    () =>
      Effect.gen(function*() {
        const { finishAgent, gateway, run, runsOnce, start, stateDir } = yield* setting
        const cli = yield* start("delegate", "water the plants", "--json")
        const taskId = yield* sentTask(cli)
        yield* gateway.stop
        yield* cli.nextEvent("waiting")
        yield* cli.signal("SIGINT")
        assert.deepStrictEqual(yield* Effect.timeout(cli.exit, "10 seconds"), { code: 130, signal: null })
        const said = Cli.quiet(cli.stderr)
        assert.include(said, `Task ${taskId} could not be aborted now. It stays in the journal`)
        const show = /^To see it: (.*)$/m.exec(said)?.[1] ?? ""
        const shown = yield* Cli.paste(show)
        assert.strictEqual(shown.code, 0)
        assert.include(shown.stdout.join("\n"), "nowhere; the next program takes it up")
        assert.include(show, stateDir)

        const pending = yield* run("tasks", "abort", taskId)
        assert.strictEqual(pending.code, 75)
        assert.include(pending.stderr, "it is not known yet")
        assert.include(pending.stderr, "The request stays beside the task")
        assert.include((yield* lines(yield* run("tasks", "list", "--json")))[0], { taskId, abortRequested: true })

        yield* gateway.start
        yield* finishAgent
        const next = yield* run("delegate", "feed the cat", "--json", "--session", "agent:main:two")
        assert.strictEqual(next.code, 0)
        // The gateway forgot the run when it stopped, so there is nothing left to stop: what became of it is not known.
        assert.isTrue(next.stdout.some((line) => line.includes('"task.reply"') && line.includes("echo: feed the cat")))
        yield* runsOnce
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "`tasks abort` takes over the task of a program that is gone, and stops it at the gateway",
    () =>
      Effect.gen(function*() {
        const { run, runsOnce, start } = yield* setting
        const cli = yield* start("delegate", "water the plants", "--json")
        const taskId = yield* sentTask(cli)
        yield* cli.signal("SIGKILL")
        yield* cli.exit
        const [told] = yield* lines(yield* run("tasks", "abort", taskId, "--json"))
        assert.deepInclude(told, { taskId, result: "aborted", ended: "Aborted" })
        assert.strictEqual((yield* run("tasks", "list")).stdout[0], "No task is open.")
        yield* runsOnce
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "`tasks abort` of a task that was done meanwhile tells the reply that nobody heard",
    () =>
      Effect.gen(function*() {
        const { finishAgent, run, runsOnce, start } = yield* setting
        const cli = yield* start("delegate", "water the plants", "--json")
        const taskId = yield* sentTask(cli)
        yield* cli.signal("SIGKILL")
        yield* cli.exit
        yield* finishAgent
        assert.deepStrictEqual(yield* run("tasks", "abort", taskId), {
          code: 0,
          stdout: [`task ${taskId} had ended already: completed`, "| echo: water the plants"],
          stderr: ""
        })
        assert.strictEqual((yield* run("tasks", "list")).stdout[0], "No task is open.")
        yield* runsOnce
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "`tasks abort` forgets a task that was never sent without any connection, and goes to no gateway but its own",
    () =>
      Effect.gen(function*() {
        const { gateway, run, stateDir } = yield* setting
        const kept: JournalEntry = {
          taskId: TaskId.make("1a2b3c4d"),
          runId: RunId.make("0b0f9bd0-6d27-4c33-9c14-3a1f7b3f4a11"),
          gatewayScope: "wss://elsewhere.example:443/",
          sessionKey: "agent:main:main",
          summary: "water the plants",
          position: 1,
          acceptedAtMs: 1_795_330_230_896
        }
        const sent = {
          ...kept,
          taskId: TaskId.make("5e6f7a8b"),
          runId: RunId.make("1b0f9bd0-6d27-4c33-9c14-3a1f7b3f4a11"),
          sentAtMs: 1_795_330_231_000
        }
        yield* Effect.flatMap(TaskJournal, ({ put }) => Effect.andThen(put(kept), put(sent))).pipe(
          Effect.provide(
            TaskJournal.layerFile({ directory: `${stateDir}/tasks` }).pipe(Layer.provide(SecureRandom.layerWebCrypto))
          )
        )
        assert.deepStrictEqual((yield* run("tasks", "abort", "1a2b3c4d")).stdout, ["task 1a2b3c4d is aborted"])
        const refused = yield* run("tasks", "abort", "5e6f7a8b")
        assert.strictEqual(refused.code, 78)
        assert.include(refused.stderr, "is for the gateway at wss://elsewhere.example:443/; name it with --gateway-url")
        assert.deepStrictEqual((yield* lines(yield* run("tasks", "list", "--json"))).map(({ taskId }) => taskId), [
          "5e6f7a8b"
        ])
        assert.strictEqual((yield* gateway.stats).attempts, 0)
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "a `delegate` that gives up before its task was sent leaves nothing behind that would do it twice",
    () =>
      Effect.gen(function*() {
        const { gateway, run } = yield* setting
        yield* gateway.stop
        const given = yield* run("delegate", "water the plants")
        assert.strictEqual(given.code, 69)
        assert.match(given.stderr, /Task [0-9a-f]{8} was aborted\./)
        assert.strictEqual((yield* run("tasks", "list")).stdout[0], "No task is open.")
        yield* gateway.start
        assert.strictEqual((yield* gateway.stats).runs.size, 0)
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )
})
