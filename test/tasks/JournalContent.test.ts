import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { PrivateFile } from "../../src/storage/PrivateFile.ts"
import { recordOf } from "../../src/tasks/Attachment.ts"
import * as JournalContent from "../../src/tasks/JournalContent.ts"
import * as JournalFile from "../../src/tasks/JournalFile.ts"
import type { JournalEntry, TaskJournal } from "../../src/tasks/TaskJournal.ts"
import { TaskJournalError } from "../../src/tasks/TaskJournal.ts"
import { entry, inDirectory, memory, open } from "./Journals.ts"

const runId = (n: number) => entry(n).runId

const bytesOf = (text: string) => new TextEncoder().encode(text)
const attachment = (name: string, text: string) => ({ name, mimeType: "text/plain", content: bytesOf(text) })

/** Keeps files of a task as the runner does: first what is in them. */
const keep = Effect.fnUntraced(function*(
  journal: TaskJournal["Service"],
  n: number,
  texts: ReadonlyArray<string>
) {
  const records = yield* Effect.forEach(texts, (text, index) => recordOf(attachment(`${index}.txt`, text)))
  for (const [index, record] of records.entries()) {
    yield* journal.contents?.put(runId(n), record, bytesOf(texts[index] ?? "")) ?? Effect.die("no contents")
  }
  yield* journal.put(entry(n, { attachments: records }))
  return records
})
const textOf = Effect.fnUntraced(function*(
  journal: TaskJournal["Service"],
  n: number,
  record: Effect.Success<ReturnType<typeof recordOf>>
) {
  const found = yield* journal.contents?.get(runId(n), record) ?? Effect.succeedNone
  return Option.getOrUndefined(Option.map(found, (bytes) => new TextDecoder().decode(bytes)))
})

describe("JournalContent", () => {
  for (const kind of ["file", "memory"] as const) {
    const make = kind === "file" ? Effect.flatMap(inDirectory, open) : memory
    it.effect(`the ${kind} journal keeps what is in files until the gateway has the task, or the task has ended`, () =>
      Effect.gen(function*() {
        const journal = yield* make
        const [one, two] = yield* keep(journal, 1, ["one", "two"])
        const [other] = yield* keep(journal, 2, ["one"])
        assert(one !== undefined && two !== undefined && other !== undefined)
        assert.deepStrictEqual((yield* journal.read).map(({ attachments }) => attachments), [[one, two], [other]])
        const all = () => Effect.all([textOf(journal, 1, one), textOf(journal, 1, two), textOf(journal, 2, other)])
        assert.deepStrictEqual(yield* all(), ["one", "two", "one"])
        yield* journal.put(entry(1, { attachments: [one, two], sentAtMs: 1_795_330_230_897 }))
        assert.deepStrictEqual(yield* all(), ["one", "two", "one"], "an answer may be missing, and it is sent again")
        yield* journal.put(entry(1, { attachments: [one, two], sentAtMs: 1_795_330_230_897, answeredRunId: "a-run" }))
        assert.deepStrictEqual(yield* all(), [undefined, undefined, "one"])
        yield* journal.remove(runId(2), "Aborted")
        assert.deepStrictEqual(yield* all(), [undefined, undefined, undefined])
      }).pipe(Effect.provide(NodeServices.layer)))
  }

  const recordWith = (digit: string) => ({ name: "large", mimeType: "text/plain", bytes: 1, sha256: digit.repeat(64) })

  it.effect("the memory journal takes no more than its bound for all open tasks", () =>
    Effect.gen(function*() {
      const { contents } = yield* memory
      assert(contents !== undefined)
      const half = new Uint8Array(JournalFile.maxContentBytes / 2)
      yield* contents.put(runId(1), recordWith("a"), half)
      yield* contents.put(runId(2), recordWith("b"), half)
      const { reason } = yield* Effect.flip(contents.put(runId(2), recordWith("c"), new Uint8Array(1)))
      assert.strictEqual(reason, "Full")
      yield* contents.drop(runId(1))
      yield* contents.put(runId(2), recordWith("c"), new Uint8Array(1))
    }))

  it.effect("the file journal takes no more than its bound for all programs that share it", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* inDirectory
      yield* fs.makeDirectory(directory, { recursive: true, mode: 0o700 })
      const other = `${directory}/${JournalFile.contentNameOf(runId(1), "a".repeat(64))}`
      yield* fs.writeFileString(other, "")
      yield* fs.truncate(other, JournalFile.maxContentBytes)
      const { contents } = yield* open(directory)
      assert(contents !== undefined)
      const { reason } = yield* Effect.flip(contents.put(runId(2), recordWith("b"), new Uint8Array(1)))
      assert.strictEqual(reason, "Full")
      yield* fs.truncate(other, JournalFile.maxContentBytes - 1)
      yield* contents.put(runId(2), recordWith("b"), new Uint8Array(1))
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("what was being removed when the program ended is removed with the task's entry", () =>
    Effect.gen(function*() {
      const directory = yield* inDirectory
      const removed: Array<string> = []
      const began = yield* Deferred.make<void>()
      const record = recordWith("a")
      const contents = JournalContent.makeFiles({
        fs: yield* FileSystem.FileSystem,
        files: {
          ...yield* PrivateFile,
          remove: (path) =>
            Effect.andThen(
              Deferred.succeed(began, undefined),
              removed.push(path) === 1 ? Effect.never : Effect.void
            )
        },
        log: () => Effect.void,
        names: Effect.succeed([]),
        pathOf: (name) => `${directory}/${name}`,
        strict: undefined,
        failed: (error) => new TaskJournalError({ path: "", reason: "Unwritable", cause: error }),
        full: (path) => new TaskJournalError({ path, reason: "Full" })
      })
      yield* contents.put(runId(1), record, new Uint8Array(1))
      const answered = yield* Effect.forkChild(contents.drop(runId(1)))
      yield* Deferred.await(began)
      yield* Fiber.interrupt(answered)
      yield* contents.drop(runId(1))
      const path = `${directory}/${JournalFile.contentNameOf(runId(1), record.sha256)}`
      assert.deepStrictEqual(removed, [path, path])
      yield* contents.drop(runId(1))
      assert.lengthOf(removed, 2, "and no more than that")
    }).pipe(
      Effect.provide(PrivateFile.layer.pipe(Layer.provideMerge([NodeServices.layer, SecureRandom.layerWebCrypto])))
    ))

  it.effect("the next process has the same bytes, in private files, and lets them go when they are sent", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* inDirectory
      const records = yield* Effect.scoped(
        Effect.flatMap(open(directory), (journal) => keep(journal, 1, ["one", "two", "one"]))
      )
      const files = (yield* fs.readDirectory(directory)).filter((name) => name.endsWith(".attachment"))
      assert.lengthOf(files, 2, "equal files are kept once")
      for (const name of files) assert.strictEqual((yield* fs.stat(`${directory}/${name}`)).mode & 0o777, 0o600)
      const journal = yield* open(directory)
      const [claimed] = yield* journal.claim(entry(1).gatewayScope)
      assert.deepStrictEqual(claimed?.attachments, records)
      for (const [index, record] of records.entries()) {
        assert.strictEqual(yield* textOf(journal, 1, record), ["one", "two", "one"][index])
      }
      yield* journal.put(entry(1, { attachments: records, answeredRunId: "a-run" }))
      const left = (yield* fs.readDirectory(directory)).filter((name) => name.endsWith(".attachment"))
      assert.deepStrictEqual(left, [])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("a file that somebody changed or removed is not there", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* inDirectory
      const journal = yield* open(directory)
      const [one, two] = yield* keep(journal, 1, ["one", "two"])
      assert(one !== undefined && two !== undefined)
      yield* fs.writeFileString(`${directory}/${JournalFile.contentNameOf(runId(1), one.sha256)}`, "ONE")
      yield* fs.remove(`${directory}/${JournalFile.contentNameOf(runId(1), two.sha256)}`)
      assert.deepStrictEqual(
        yield* Effect.all([textOf(journal, 1, one), textOf(journal, 1, two)]),
        [undefined, undefined]
      )
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("what a killed program left without a task is removed, and what a task needs stays", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* inDirectory
      const [record] = yield* Effect.scoped(Effect.flatMap(open(directory), (journal) => keep(journal, 1, ["one"])))
      assert(record !== undefined)
      const orphan = `${directory}/${JournalFile.contentNameOf(runId(2), record.sha256)}`
      yield* fs.writeFileString(orphan, "one")
      const kept = `${directory}/${JournalFile.contentNameOf(runId(1), record.sha256)}`
      for (const path of [orphan, kept]) yield* fs.utimes(path, new Date(0), new Date(0))
      const journal = yield* open(directory)
      // The test's clock stands at the beginning of time, where the files are new.
      yield* journal.read
      assert.deepStrictEqual(yield* Effect.all([fs.exists(orphan), fs.exists(kept)]), [true, true])
      yield* fs.utimes(orphan, new Date(-3_600_000), new Date(-3_600_000))
      yield* fs.utimes(kept, new Date(-3_600_000), new Date(-3_600_000))
      yield* journal.read
      assert.deepStrictEqual(yield* Effect.all([fs.exists(orphan), fs.exists(kept)]), [false, true])
    }).pipe(Effect.provide(NodeServices.layer)))

  it("a task with files is of a version that programs without them leave alone", () => {
    const versionOf = (more: Partial<JournalEntry>) =>
      Option.map(JournalFile.encode(entry(1, more), "device"), (text) => JSON.parse(text).version)
    const record = { name: "a", mimeType: "text/plain", bytes: 1, sha256: "0".repeat(64) }
    assert.deepStrictEqual(versionOf({}), Option.some(2))
    assert.deepStrictEqual(versionOf({ attachments: [record] }), Option.some(3))
    assert.deepStrictEqual(versionOf({ attachments: [{ ...record, sha256: "../../etc/passwd" }] }), Option.none())
    assert.deepStrictEqual(JournalFile.parseName(JournalFile.contentNameOf(runId(1), record.sha256)), {
      _tag: "Content",
      runId: runId(1)
    })
    const temporary = `${JournalFile.contentNameOf(runId(1), record.sha256)}.0123456789abcdef.tmp`
    assert.strictEqual(JournalFile.parseName(temporary)._tag, "Temporary")
  })
})
