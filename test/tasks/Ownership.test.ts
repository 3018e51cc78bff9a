import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import type { RunId } from "../../src/tasks/Task.ts"
import type { FileOptions, JournalEntry } from "../../src/tasks/TaskJournal.ts"
import { TaskJournal } from "../../src/tasks/TaskJournal.ts"
import { chat, connecting, home, said, start, started } from "./Fixture.ts"
import * as Journals from "./Journals.ts"

const entry = (position: number, more: Partial<JournalEntry> = {}): JournalEntry =>
  Journals.entry(position, { summary: `task ${position}`, ...more })

/** Processes that a test lets live and die. */
const makeMachine = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const directory = `${yield* fs.makeTempDirectoryScoped()}/tasks`
  const alive = new Set<number>()
  /** The journal of a process. Its scope stays open when it is killed, as a killed process closes nothing. */
  const open = Effect.fnUntraced(function*(pid: number, options: Partial<FileOptions> = {}) {
    alive.add(pid)
    const processes = { own: pid, isAlive: (other: number) => alive.has(other) }
    const context = yield* Layer.build(
      TaskJournal.layerFile({ directory, processes, ...options }).pipe(
        Layer.provide([NodeServices.layer, SecureRandom.layerWebCrypto])
      )
    )
    return Context.get(context, TaskJournal)
  })
  return { fs, directory, open, kill: (pid: number) => void alive.delete(pid) }
})

// So high that no process of the machine has it: what the system tells of those is looked at too.
const [ada, bob, cleo] = [5_000_001, 5_000_002, 5_000_003]

const positions = (entries: ReadonlyArray<JournalEntry>) => entries.map(({ position }) => position)

describe("the owner of a task", () => {
  it.effect("B07: while its process lives nobody else takes the task up, and afterwards it is taken up", () =>
    Effect.gen(function*() {
      const { kill, open } = yield* makeMachine
      const first = yield* open(ada)
      yield* first.put(entry(1))
      yield* first.put(entry(2, { sentAtMs: 7 }))
      const second = yield* open(bob)
      yield* second.put(entry(3))
      assert.deepStrictEqual(yield* second.claim(home), [])
      assert.deepStrictEqual((yield* second.read).map(({ ownerPid }) => ownerPid), [ada, ada, bob])
      kill(ada)
      assert.deepStrictEqual((yield* second.read).map(({ ownerPid }) => ownerPid), [undefined, undefined, bob])
      const taken = yield* second.claim(home)
      assert.deepStrictEqual(positions(taken), [1, 2])
      assert.deepInclude(taken[1], entry(2, { sentAtMs: 7 }))
      assert.deepStrictEqual((yield* second.read).map(({ ownerPid }) => ownerPid), [bob, bob, bob])
      assert.deepStrictEqual(yield* second.claim(home), [])
      yield* second.remove(entry(1).runId, "Completed")
      assert.deepStrictEqual(positions(yield* second.read), [2, 3])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("B07: of many that start at once after a crash, each task goes to one", () =>
    Effect.gen(function*() {
      const { kill, open } = yield* makeMachine
      const first = yield* open(ada)
      for (let position = 1; position < 9; position++) yield* first.put(entry(position))
      kill(ada)
      const journals = yield* Effect.forEach(Array.from({ length: 8 }, (_, index) => bob + index), (pid) => open(pid))
      const taken = yield* Effect.forEach(journals, ({ claim }) => claim(home), { concurrency: "unbounded" })
      assert.deepStrictEqual(positions(taken.flat()).toSorted(), [1, 2, 3, 4, 5, 6, 7, 8])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("B07: who ends in order leaves its tasks to the next, also in the same process", () =>
    Effect.gen(function*() {
      const { directory, fs, open } = yield* makeMachine
      const scope = yield* Scope.make()
      const first = yield* Scope.provide(open(ada), scope)
      yield* first.put(entry(1))
      const second = yield* open(ada)
      assert.deepStrictEqual(yield* second.claim(home), [])
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(positions(yield* second.claim(home)), [1])
      const runners = (yield* fs.readDirectory(directory)).filter((name) => name.endsWith(".runner"))
      assert.lengthOf(runners, 1)
      assert.strictEqual((yield* fs.stat(`${directory}/${runners[0]}`)).mode & 0o777, 0o600)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("B07: a process that has the number of one that died is not taken for it", () =>
    Effect.gen(function*() {
      const { directory, fs, open } = yield* makeMachine
      // The test's own process: only of one that is there the system tells when it began.
      const first = yield* open(process.pid)
      yield* first.put(entry(1))
      const [runner = ""] = (yield* fs.readDirectory(directory)).filter((name) => name.endsWith(".runner"))
      const text = yield* fs.readFileString(`${directory}/${runner}`)
      const second = yield* open(bob)
      assert.deepStrictEqual(yield* second.claim(home), [])
      if (!text.includes("started")) return
      yield* fs.writeFileString(
        `${directory}/${runner}`,
        text.replace(/(\d)"}/, (_, digit) => `${9 - Number(digit)}"}`)
      )
      assert.deepStrictEqual(positions(yield* second.claim(home)), [1])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("B07: tasks of another device, of another gateway, or beside the one that is wanted are left alone", () =>
    Effect.gen(function*() {
      const { kill, open } = yield* makeMachine
      const first = yield* open(ada, { deviceId: "device-a" })
      yield* first.put(entry(1))
      yield* first.put(entry(2, { gatewayScope: "wss://elsewhere:443/" }))
      yield* first.put(entry(3))
      kill(ada)
      const stranger = yield* open(bob, { deviceId: "device-b" })
      assert.deepStrictEqual(yield* stranger.claim(home), [])
      assert.deepStrictEqual((yield* stranger.read).map(({ deviceId }) => deviceId), Array(3).fill("device-a"))
      const one = yield* open(cleo, { deviceId: "device-a", only: entry(3).runId })
      assert.deepStrictEqual(positions(yield* one.claim(home)), [3])
      const rest = yield* open(bob, { deviceId: "device-a" })
      assert.deepStrictEqual(positions(yield* rest.claim(home)), [1])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("B07: an entry of the first format, without device and owner, is taken up", () =>
    Effect.gen(function*() {
      const { directory, fs, open } = yield* makeMachine
      const { acceptedAtMs, gatewayScope, position, runId, sessionKey, summary, taskId } = entry(1)
      yield* fs.makeDirectory(directory, { mode: 0o700 })
      yield* fs.writeFileString(
        `${directory}/${runId}.json`,
        `${
          JSON.stringify({
            format: "effect-openclaw/task",
            version: 1,
            taskId,
            runId,
            gatewayScope,
            sessionKey,
            summary,
            position,
            acceptedAtMs
          })
        }\n`
      )
      const journal = yield* open(ada, { deviceId: "device-a" })
      assert.deepStrictEqual(positions(yield* journal.claim(home)), [1])
      yield* journal.put(entry(1, { sentAtMs: 3 }))
      assert.deepInclude((yield* journal.read)[0], { sentAtMs: 3, deviceId: "device-a", ownerPid: ada })
      yield* journal.remove(runId, "Completed")
      assert.deepStrictEqual(yield* journal.read, [])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("a request for an abort reaches the owner, the next one as well, and is answered once", () =>
    Effect.gen(function*() {
      const { directory, fs, kill, open } = yield* makeMachine
      const [first, second, third] = [yield* open(ada), yield* open(bob), yield* open(cleo)]
      const { runId } = entry(1)
      yield* first.put(entry(1))
      yield* second.put(entry(2))
      assert.deepStrictEqual(yield* first.abortRequests, [])
      yield* third.requestAbort(runId)
      yield* third.requestAbort(runId)
      assert.deepStrictEqual(yield* first.abortRequests, [runId])
      assert.deepStrictEqual(yield* second.abortRequests, [])
      assert.strictEqual((yield* fs.stat(`${directory}/${runId}.abort`)).mode & 0o777, 0o600)
      kill(ada)
      assert.strictEqual((yield* second.claim(home))[0]?.abortRequested, true)
      assert.deepStrictEqual(yield* second.abortRequests, [runId])
      assert.deepStrictEqual(yield* third.abortAnswer(runId), Option.none())
      yield* second.remove(runId, "Aborted")
      assert.deepStrictEqual(yield* third.abortAnswer(runId), Option.some("Aborted"))
      assert.deepStrictEqual(yield* third.abortAnswer(runId), Option.none())
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("what nobody needs is removed after a minute: an answer nobody read, and the name of a runner that is gone", () =>
    Effect.gen(function*() {
      const { directory, fs, kill, open } = yield* makeMachine
      const [first, second] = [yield* open(ada), yield* open(bob)]
      yield* first.put(entry(1))
      yield* second.put(entry(2))
      yield* second.requestAbort(entry(1).runId)
      yield* first.remove(entry(1).runId, "Aborted")
      kill(ada)
      yield* second.read
      assert.lengthOf(yield* fs.readDirectory(directory), 4)
      for (const name of yield* fs.readDirectory(directory)) {
        yield* fs.utimes(`${directory}/${name}`, new Date(-120_000), new Date(-120_000))
      }
      const blind = yield* open(cleo, { processes: undefined })
      yield* blind.read
      assert.isTrue((yield* fs.readDirectory(directory)).length === 3, "without sight of processes no runner is gone")
      yield* second.read
      const left = (yield* fs.readDirectory(directory)).map((name) => name.slice(name.lastIndexOf(".")))
      assert.deepStrictEqual(left.toSorted(), [".json", ".runner"])
    }).pipe(Effect.provide(NodeServices.layer)))
})

describe("two runners on one journal", () => {
  it.effect("B07: a task is driven by its owner alone, until that is gone; then the next goes on with it", () =>
    Effect.gen(function*() {
      const { kill, open } = yield* makeMachine
      const on = Effect.fnUntraced(function*(pid: number) {
        return yield* start({}, connecting, Layer.succeed(TaskJournal, yield* open(pid)))
      })
      const first = yield* on(ada)
      const before = yield* first.connect()
      const { runId, taskId } = yield* first.runner.delegate("water the plants")
      const asked = yield* before.next("chat.send")
      asked.answer(started(asked))
      yield* first.next("Sent")

      const second = yield* on(bob)
      const beside = yield* second.connect()
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* second.runner.list, [])
      assert.strictEqual(beside.untaken(), 0)

      kill(ada)
      const third = yield* on(cleo)
      assert.deepStrictEqual((yield* third.runner.list).map((task) => task.taskId), [taskId])
      const after = yield* third.connect()
      const looked = yield* after.next("chat.history")
      looked.answer({ messages: [], inFlightRun: { runId } })
      yield* TestClock.adjust(0)
      after.tell("chat", chat(asked, { state: "final", message: said("done") }))
      assert.include(yield* third.runner.await(taskId), { text: "done" })
      assert.strictEqual(beside.untaken(), 0)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("B07: a runner that lives long takes over the task of one that was killed beside it, within 30 seconds", () =>
    Effect.gen(function*() {
      const { kill, open } = yield* makeMachine
      const first = yield* start({}, connecting, Layer.succeed(TaskJournal, yield* open(ada)))
      const before = yield* first.connect()
      const { runId, taskId } = yield* first.runner.delegate("water the plants")
      const asked = yield* before.next("chat.send")
      asked.answer(started(asked))
      yield* first.next("Sent")

      const claims: Array<string> = []
      const journal = yield* open(bob)
      const counted = TaskJournal.of({
        ...journal,
        claim: (scope) =>
          Effect.tap(journal.claim(scope), (taken) => Effect.sync(() => void claims.push(`${taken.length}`)))
      })
      const second = yield* start({ takeOverEvery: "20 seconds" }, connecting, Layer.succeed(TaskJournal, counted))
      const beside = yield* second.connect()
      const looksAre = (count: number) =>
        Effect.repeat(Effect.andThen(TestClock.adjust(0), Effect.sync(() => claims.length)), {
          until: (now) => now === count
        })
      for (let looks = 1; looks <= 3; looks++) {
        yield* looksAre(looks)
        yield* TestClock.adjust("20 seconds")
      }
      yield* looksAre(4)
      assert.deepStrictEqual(claims, ["0", "0", "0", "0"])
      kill(ada)
      yield* TestClock.adjust("20 seconds")
      const looked = yield* beside.next("chat.history")
      looked.answer({ messages: [], inFlightRun: { runId } })
      yield* TestClock.adjust(0)
      beside.tell("chat", chat(asked, { state: "final", message: said("done") }))
      assert.include(yield* second.runner.await(taskId), { text: "done" })
      assert.deepStrictEqual((yield* second.runner.list).map(({ inherited }) => inherited), [true])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("an abort that another process asks for: at the gateway for a run, at once for a task that was not sent", () =>
    Effect.gen(function*() {
      const { open } = yield* makeMachine
      const { connect, runner } = yield* start({}, connecting, Layer.succeed(TaskJournal, yield* open(ada)))
      const asking = yield* open(bob)
      const gateway = yield* connect()
      const sent = yield* runner.delegate("sent")
      const asked = yield* gateway.next("chat.send")
      asked.answer(started(asked))
      const kept = yield* runner.delegate("kept")
      yield* asking.requestAbort(kept.runId)
      yield* asking.requestAbort(sent.runId)
      const abort = yield* gateway.next("chat.abort")
      assert.strictEqual(abort.params.runId, sent.runId)
      gateway.tell("chat", chat(asked, { state: "aborted", stopReason: "rpc" }))
      abort.answer({ ok: true, aborted: true, runIds: [sent.runId] })
      assert.strictEqual((yield* runner.await(sent.taskId))._tag, "Aborted")
      assert.strictEqual((yield* runner.await(kept.taskId))._tag, "Aborted")
      for (const { runId } of [sent, kept]) {
        const answer = yield* Effect.repeat(asking.abortAnswer(runId), { until: Option.isSome })
        assert.deepStrictEqual(answer, Option.some("Aborted"))
      }
      // An entry is removed after the answer is there.
      yield* Effect.repeat(asking.read, { until: (entries) => entries.length === 0 })
      assert.strictEqual(gateway.untaken(), 0)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("an abort that another process goes on asking for is asked of the gateway once", () =>
    Effect.gen(function*() {
      const journal = Context.get(yield* Layer.build(Layer.fresh(TaskJournal.layerMemory)), TaskJournal)
      const wanted: Array<RunId> = []
      const asked = TaskJournal.of({ ...journal, abortRequests: Effect.succeed(wanted) })
      const { connect, runner } = yield* start({}, connecting, Layer.succeed(TaskJournal, asked))
      const gateway = yield* connect()
      const { runId, taskId } = yield* runner.delegate("one")
      const sent = yield* gateway.next("chat.send")
      sent.answer(started(sent))
      wanted.push(runId)
      yield* TestClock.adjust("1 second")
      const abort = yield* gateway.next("chat.abort")
      abort.answer({ ok: true, aborted: false, runIds: [] })
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(gateway.untaken(), 0)
      const again = yield* Effect.forkChild(runner.abort(taskId), { startImmediately: true })
      const abortAgain = yield* gateway.next("chat.abort")
      abortAgain.answer({ ok: true, aborted: true, runIds: [runId] })
      assert.isTrue(yield* Fiber.join(again))
    }))

  it.effect("a task whose abort was asked for while nobody had it, is not sent", () =>
    Effect.gen(function*() {
      const { kill, open } = yield* makeMachine
      const first = yield* open(ada)
      yield* first.put(entry(1))
      yield* first.put(entry(2))
      yield* first.requestAbort(entry(1).runId)
      kill(ada)
      const { connect, runner } = yield* start({}, connecting, Layer.succeed(TaskJournal, yield* open(bob)))
      const gateway = yield* connect()
      const looked = yield* gateway.next("chat.history")
      looked.answer({ messages: [] })
      assert.strictEqual((yield* gateway.next("chat.send")).params.message, "task 2")
      assert.deepStrictEqual((yield* runner.list).map(({ state }) => state._tag), ["Aborted", "Queued"])
    }).pipe(Effect.provide(NodeServices.layer)))
})
