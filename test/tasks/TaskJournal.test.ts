import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import { TaskId } from "../../src/tasks/Task.ts"
import type { JournalEntry } from "../../src/tasks/TaskJournal.ts"
import { TaskJournal } from "../../src/tasks/TaskJournal.ts"
import type { Disk } from "../storage/MemoryFiles.ts"
import { copyDisk, makeDisk, makeFileSystem } from "../storage/MemoryFiles.ts"
import { entry, inDirectory, memory, open } from "./Journals.ts"
import { taskJournalContract } from "./TaskJournalContract.ts"

describe("TaskJournal", () => {
  taskJournalContract(
    "file",
    Effect.map(inDirectory, (directory) => open(directory)).pipe(Effect.provide(NodeServices.layer))
  )
  taskJournalContract("memory", Effect.map(memory, (journal) => Effect.succeed(journal)))

  it.effect("B07: each use of the memory layer is a journal of its own, also where layers are shared", () =>
    Effect.gen(function*() {
      const agentOf = (position: number) =>
        Layer.effectDiscard(Effect.gen(function*() {
          const journal = yield* TaskJournal
          yield* journal.put(entry(position))
          assert.deepStrictEqual((yield* journal.read).map((found) => found.position), [position])
        })).pipe(Layer.provide(TaskJournal.layerMemory))
      yield* Layer.build(Layer.mergeAll(agentOf(1), agentOf(2)))
    }))

  it.effect("B07: another process reads it, and files and directory are private", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* inDirectory
      yield* Effect.scoped(Effect.flatMap(open(directory), (journal) => journal.put(entry(1))))
      const [name = ""] = yield* fs.readDirectory(directory)
      assert.strictEqual((yield* fs.stat(`${directory}/${name}`)).mode & 0o777, 0o600)
      assert.strictEqual((yield* fs.stat(directory)).mode & 0o777, 0o700)
      const journal = yield* open(directory)
      assert.deepInclude((yield* journal.read)[0], entry(1))
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("B07: leftovers of a killed writer and invalid files do not disturb other entries", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* inDirectory
      const journal = yield* open(directory)
      yield* journal.put(entry(1))
      yield* journal.put(entry(2))
      const [second = ""] = (yield* fs.readDirectory(directory)).filter((name) => name.startsWith(entry(2).runId))
      const named = (position: number) => `${directory}/${second.replace(entry(2).runId, entry(position).runId)}`
      const torn = [`${named(3)}.0123456789abcdef.tmp`, `${directory}/${entry(3).runId}.abort.0123456789abcdef.tmp`]
      for (const name of torn) {
        yield* fs.writeFileString(name, '{"format":"effect-op')
        yield* fs.utimes(name, new Date(-120_000), new Date(-120_000))
      }
      const broken = named(4)
      yield* fs.writeFileString(broken, '{"format":"effect-op')
      yield* fs.symlink(broken, named(5))
      yield* fs.copyFile(named(2), named(6))
      yield* fs.writeFileString(`${directory}/notes.txt`, "mine")
      assert.deepStrictEqual((yield* journal.read).map(({ position }) => position), [1, 2])
      assert.isTrue(yield* fs.exists(broken))
      for (const name of torn) assert.isFalse(yield* fs.exists(name), name)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("an entry with an id, a time or a number out of bounds is left alone", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* inDirectory
      const journal = yield* open(directory)
      yield* journal.put(entry(1))
      const [name = ""] = yield* fs.readDirectory(directory)
      const text = yield* fs.readFileString(`${directory}/${name}`)
      const ansi = "\u001b[31mred\u001b[0m"
      const crafted: ReadonlyArray<Record<string, unknown>> = [
        { taskId: ansi },
        { taskId: "" },
        { taskId: "1a2b3c4d5" },
        { deviceId: ansi },
        { deviceId: "d".repeat(300) },
        { answeredRunId: ansi },
        { answeredRunId: "r".repeat(600) },
        { gatewayScope: ansi },
        { acceptedAtMs: 8.64e15 + 1 },
        { acceptedAtMs: 253_402_300_800_000 },
        { acceptedAtMs: -1 },
        { sentAtMs: 8.64e15 + 1 },
        { sentAtMs: "now" },
        { position: -1 },
        { position: 0.5 },
        { position: 1e300 },
        { runId: "0b0f9bd0-6d27-4c33-9c14-3a1f7b3f4a11" }
      ]
      for (const change of crafted) {
        const runId = entry(2).runId
        const file = `${directory}/${name.replace(entry(1).runId, runId)}`
        const fields: Record<string, unknown> = { ...Object(JSON.parse(text)), runId, ...change }
        yield* fs.writeFileString(file, JSON.stringify(fields), { mode: 0o600 })
        assert.deepStrictEqual((yield* journal.read).map(({ position }) => position), [1], JSON.stringify(change))
        assert.strictEqual(yield* fs.readFileString(file), JSON.stringify(fields))
      }
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("later tasks follow an entry with the last possible position, in their order", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* inDirectory
      const journal = yield* open(directory)
      yield* journal.put(entry(1))
      const [name = ""] = yield* fs.readDirectory(directory)
      const file = `${directory}/${name}`
      const text = (yield* fs.readFileString(file)).replace('"position":1', `"position":${Number.MAX_SAFE_INTEGER}`)
      yield* fs.writeFileString(file, text)
      const [last] = yield* journal.read
      const position = last?.position ?? assert.fail("not read")
      yield* journal.put(entry(2, { position: position + 1, acceptedAtMs: entry(1).acceptedAtMs + 1 }))
      yield* journal.put(entry(3, { position: position + 2, acceptedAtMs: entry(1).acceptedAtMs + 2 }))
      assert.deepStrictEqual((yield* journal.read).map(({ taskId }) => taskId), [
        entry(1).taskId,
        entry(2).taskId,
        entry(3).taskId
      ])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("refuses to write an entry that it could not read back", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* inDirectory
      const journal = yield* open(directory)
      yield* journal.put(entry(1))
      const before = yield* fs.readDirectory(directory)
      for (
        const change of [
          { acceptedAtMs: 8.64e15 },
          { acceptedAtMs: Number.NaN },
          { sentAtMs: -1 },
          { position: -1 },
          { taskId: TaskId.make("not an id") },
          { gatewayScope: "a\nb" }
        ]
      ) {
        const error = yield* Effect.flip(journal.put(entry(2, change)))
        assert.deepStrictEqual([error._tag, error.reason], ["TaskJournalError", "Invalid"], JSON.stringify(change))
      }
      assert.deepStrictEqual(yield* fs.readDirectory(directory), before)
      // The gateway names this one, and must not be able to keep a task out of the journal.
      yield* journal.put(entry(2, { answeredRunId: "r\u001b[31m".repeat(100) }))
      const [, second] = yield* journal.read
      assert.strictEqual(second?.taskId, entry(2).taskId)
      assert.isUndefined(second?.answeredRunId)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("a runner whose file has no process id is gone, and no process is asked for", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* inDirectory
      const asked: Array<number> = []
      const on = (own: number) =>
        Effect.map(
          Layer.build(
            Layer.fresh(TaskJournal.layerFile({
              directory,
              processes: { own, isAlive: (pid) => asked.push(pid) > 0 }
            })).pipe(Layer.provide([NodeServices.layer, SecureRandom.layerWebCrypto]))
          ),
          Context.get(TaskJournal)
        )
      const journal = yield* on(5_000_001)
      yield* journal.put(entry(1))
      const [runner = ""] = (yield* fs.readDirectory(directory)).filter((name) => name.endsWith(".runner"))
      for (const pid of [0, -1, 2 ** 31, Number.MAX_SAFE_INTEGER]) {
        yield* fs.writeFileString(
          `${directory}/${runner}`,
          JSON.stringify({ format: "effect-openclaw/task-runner", version: 1, pid })
        )
        assert.deepStrictEqual((yield* journal.read).map(({ ownerPid }) => ownerPid), [undefined])
      }
      assert.deepStrictEqual(asked, [])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("B07: a process that is killed at any operation leaves each entry in its old or its new state", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      const on = (of: Disk, gate: () => void) =>
        Effect.map(
          Layer.build(
            Layer.fresh(TaskJournal.layerFile({ directory: "/state/tasks" })).pipe(
              Layer.provide(Layer.effect(
                FileSystem.FileSystem,
                makeFileSystem(of, { gate: () => Effect.sync(gate) })
              )),
              Layer.provide([Path.layer, SecureRandom.layerWebCrypto])
            )
          ),
          Context.get(TaskJournal)
        ).pipe(Effect.provide(Path.layer))
      const texts = (entries: ReadonlyArray<JournalEntry>) => JSON.stringify(entries)
      const copies: Array<{ readonly disk: Disk; readonly step: number }> = []
      let step = 0
      const journal = yield* on(disk, () => void copies.push({ disk: copyDisk(disk), step }))
      const states: Array<string> = []
      for (
        const change of [
          journal.put(entry(1)),
          journal.put(entry(1, { sentAtMs: 1 })),
          journal.put(entry(2)),
          journal.remove(entry(1).runId, "Completed"),
          journal.put(entry(2, { sentAtMs: 2, answeredRunId: "2" })),
          journal.remove(entry(2).runId, "Completed")
        ]
      ) {
        step = Number.NaN
        states.push(texts(yield* journal.read))
        step = states.length - 1
        yield* change
      }
      step = Number.NaN
      states.push(texts(yield* journal.read))
      const left = copies.filter((copy) => !Number.isNaN(copy.step))
      assert.isAbove(left.length, 60)
      for (const copy of left) {
        const after = yield* on(copy.disk, () => {})
        assert.include([states[copy.step], states[copy.step + 1]], texts(yield* after.read))
      }
    }))

  it.effect("keeps tasks, runners and abort requests where a hard link fails with EACCES", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      const on = (pid: number, alive: (pid: number) => boolean) =>
        Effect.map(
          Layer.build(
            Layer.fresh(
              TaskJournal.layerFile({ directory: "/state/tasks", processes: { own: pid, isAlive: alive } })
            ).pipe(
              Layer.provide(Layer.effect(FileSystem.FileSystem, makeFileSystem(disk, { linkErrno: "EACCES" }))),
              Layer.provide([Path.layer, SecureRandom.layerWebCrypto])
            )
          ),
          Context.get(TaskJournal)
        ).pipe(Effect.provide(Path.layer))
      const first = yield* on(5_000_001, () => true)
      yield* first.put(entry(1))
      const second = yield* on(5_000_002, (pid) => pid !== 5_000_001)
      yield* second.requestAbort(entry(1).runId)
      yield* second.requestAbort(entry(1).runId)
      assert.deepStrictEqual(yield* first.abortRequests, [entry(1).runId])
      const [claimed] = yield* second.claim(entry(1).gatewayScope)
      assert.deepInclude(claimed, { runId: entry(1).runId, abortRequested: true })
      yield* second.remove(entry(1).runId, "Aborted")
      assert.deepStrictEqual(yield* first.abortAnswer(entry(1).runId), Option.some("Aborted"))
    }))

  it.effect("an error names the fault of the place, and never the task", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* inDirectory
      const journal = yield* open(directory)
      const large = yield* Effect.flip(journal.put(entry(1, { summary: "x".repeat(1024 * 1024) })))
      assert.strictEqual(large.reason, "TooLarge")
      yield* journal.put(entry(1))
      yield* fs.chmod(directory, 0o1777)
      const exposed = yield* Effect.flip(journal.put(entry(2, { summary: "my secret errand" })))
      assert.strictEqual(exposed.reason, "Exposed")
      assert.notInclude(JSON.stringify(exposed), "errand")
      yield* fs.chmod(directory, 0o700)
      const occupied = `${directory}/file`
      yield* fs.writeFileString(occupied, "")
      const nowhere = yield* open(`${occupied}/tasks`)
      assert.strictEqual((yield* Effect.flip(nowhere.put(entry(1)))).reason, "Unwritable")
      assert.strictEqual((yield* Effect.flip(nowhere.read)).reason, "Unreadable")
    }).pipe(Effect.provide(NodeServices.layer)))
})
