import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import type { Attachment } from "../../src/tasks/Attachment.ts"
import type { TaskRefused } from "../../src/tasks/TaskError.ts"
import { AttachmentRefused } from "../../src/tasks/TaskError.ts"
import type { TaskJournalError } from "../../src/tasks/TaskJournal.ts"
import { TaskJournal } from "../../src/tasks/TaskJournal.ts"
import { chat, said, start, started } from "./Fixture.ts"

const note: Attachment = { name: "note.txt", mimeType: "text/plain", content: new TextEncoder().encode("a note") }
const dot: Attachment = { name: "dot.png", mimeType: "image/png", content: new Uint8Array([1, 2, 3, 254]) }
const policy = { maxPayload: 25 * 1024 * 1024, attachments: { maxBytes: 10, maxImageBytes: 5 } }
const asSent = [
  { type: "file", mimeType: "text/plain", fileName: "note.txt", content: "YSBub3Rl" },
  { type: "image", mimeType: "image/png", fileName: "dot.png", content: "AQID/g==" }
]

const causeOf = (refused: TaskRefused) => {
  assert.strictEqual(refused.reason, "Attachment")
  assert(refused.cause instanceof AttachmentRefused)
  return refused.cause.reason
}

/** A journal in files, with a look at those that hold what is attached. */
const files = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const directory = `${yield* fs.makeTempDirectoryScoped()}/tasks`
  const attached = Effect.map(
    Effect.orElseSucceed(fs.readDirectory(directory), () => []),
    (names) => names.filter((name) => name.endsWith(".attachment"))
  )
  return {
    journal: Layer.fresh(TaskJournal.layerFile({ directory })).pipe(
      Layer.provide([NodeServices.layer, SecureRandom.layerWebCrypto])
    ),
    attached,
    /** Waits until nothing that is attached is there any more. Writes of a task are behind its events. */
    gone: Effect.asVoid(Effect.repeat(attached, { until: (left) => left.length === 0 }))
  }
})

describe("a task with files", () => {
  it.effect("sends them in order, and keeps them until the gateway has answered", () =>
    Effect.gen(function*() {
      const { attached, gone, journal } = yield* files
      const { connect, next, runner } = yield* start({}, undefined, journal)
      const gateway = yield* connect({ policy })
      const { taskId } = yield* runner.delegate("see this", { attachments: [note, dot] })
      assert.lengthOf(yield* attached, 2)
      const asked = yield* gateway.next("chat.send")
      assert.deepStrictEqual(asked.params.attachments, asSent)
      assert.strictEqual(asked.params.message, "see this")
      assert.lengthOf(yield* attached, 2)
      asked.answer(started(asked))
      yield* next("Sent")
      gateway.tell("chat", chat(asked, { state: "final", message: said("seen") }))
      assert.include(yield* runner.await(taskId), { _tag: "Completed", text: "seen" })
      yield* gone
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.effect("a task without files has none on the wire", () =>
    Effect.gen(function*() {
      const { connect, runner } = yield* start()
      const gateway = yield* connect({ policy })
      yield* runner.delegate("see this", { attachments: [] })
      assert.notProperty((yield* gateway.next("chat.send")).params, "attachments")
    }))

  it.effect("what the gateway would not take is refused at once, and nothing is kept or sent", () =>
    Effect.gen(function*() {
      const { attached, journal } = yield* files
      const { connect, runner } = yield* start({}, undefined, journal)
      const gateway = yield* connect({ policy })
      const refusal = (...attachments: ReadonlyArray<Attachment>) =>
        Effect.map(Effect.flip(runner.delegate("see this", { attachments })), causeOf)
      assert.strictEqual(yield* refusal(note, { ...dot, content: new Uint8Array(6) }), "ImageTooLarge")
      assert.strictEqual(yield* refusal({ ...note, content: new Uint8Array(11) }), "TooLarge")
      assert.strictEqual(yield* refusal({ ...note, name: "../note.txt" }), "Name")
      assert.strictEqual(gateway.untaken(), 0)
      assert.deepStrictEqual(yield* attached, [])
      assert.deepStrictEqual(yield* runner.list, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.effect("without a link it is judged when it is sent, and ends without a frame if it is refused", () =>
    Effect.gen(function*() {
      const { gone, journal } = yield* files
      const { connect, runner } = yield* start({}, undefined, journal)
      const large = { ...note, content: new Uint8Array(11) }
      const { taskId } = yield* runner.delegate("see this", { attachments: [large] })
      const gateway = yield* connect({ policy })
      const outcome = yield* runner.await(taskId)
      assert(outcome._tag === "Failed" && outcome.error._tag === "AttachmentRefused")
      assert.strictEqual(outcome.error.reason, "TooLarge")
      yield* TestClock.adjust(0)
      assert.strictEqual(gateway.untaken(), 0)
      yield* gone
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.effect("a release that drops files is sent none", () =>
    Effect.gen(function*() {
      const { connect, runner } = yield* start()
      const gateway = yield* connect({ serverVersion: "2026.3.2", policy: { maxPayload: 25 * 1024 * 1024 } })
      const refused = yield* Effect.flip(runner.delegate("see this", { attachments: [note] }))
      assert.strictEqual(causeOf(refused), "ImagesOnly")
      assert.include(refused.message, "note.txt")
      yield* runner.delegate("see this", { attachments: [dot] })
      assert.lengthOf((yield* gateway.next("chat.send")).params.attachments ?? [], 1)
    }))

  it.effect("F51: sent again over the next link, or by the next process, with the same key and the same bytes", () =>
    Effect.gen(function*() {
      const { attached, gone, journal } = yield* files
      const nothing = { messages: [], sessionInfo: { hasActiveRun: false } }
      const first = yield* Effect.scoped(Effect.gen(function*() {
        const { connect, drop, runner } = yield* start({}, undefined, journal)
        const gateway = yield* connect({ policy })
        yield* runner.delegate("see this", { attachments: [note, dot] })
        const asked = yield* gateway.next("chat.send")
        yield* drop(gateway)
        const again = yield* connect({ policy })
        ;(yield* again.next("chat.history")).answer(nothing)
        const { params } = yield* again.next("chat.send")
        assert.deepStrictEqual(params, asked.params)
        return params
      }))
      assert.lengthOf(yield* attached, 2)
      const { connect } = yield* start({}, undefined, journal)
      const gateway = yield* connect({ policy })
      ;(yield* gateway.next("chat.history")).answer(nothing)
      const asked = yield* gateway.next("chat.send")
      assert.deepStrictEqual(asked.params, first)
      asked.answer(started(asked))
      yield* gone
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.effect("what was removed from the journal is not sent as a task without it", () =>
    Effect.gen(function*() {
      const { contents, ...journal } = yield* TaskJournal.makeMemory
      assert(contents !== undefined)
      const forgetful = Layer.succeed(
        TaskJournal,
        TaskJournal.of({
          ...journal,
          contents: {
            put: (...args) => contents.put(...args),
            get: () => Effect.succeedNone,
            drop: (runId) => contents.drop(runId)
          }
        })
      )
      const { connect, runner } = yield* start({}, undefined, forgetful)
      const gateway = yield* connect({ policy })
      const { taskId } = yield* runner.delegate("see this", { attachments: [note] })
      const outcome = yield* runner.await(taskId)
      assert(outcome._tag === "Failed" && outcome.error._tag === "AttachmentRefused")
      assert.strictEqual(outcome.error.reason, "Lost")
      assert.strictEqual(gateway.untaken(), 0)
    }))

  it.effect("a journal that keeps no files takes no task with files, and any other", () =>
    Effect.gen(function*() {
      const { contents: _, ...journal } = yield* TaskJournal.makeMemory
      const { connect, runner } = yield* start({}, undefined, Layer.succeed(TaskJournal, TaskJournal.of(journal)))
      yield* connect({ policy })
      assert.strictEqual(
        causeOf(yield* Effect.flip(runner.delegate("see this", { attachments: [note] }))),
        "NotKept"
      )
      yield* runner.delegate("see this")
    }))

  it.effect("a caller that is interrupted while files are written leaves nothing behind", () =>
    Effect.gen(function*() {
      const { contents, ...journal } = yield* TaskJournal.makeMemory
      assert(contents !== undefined)
      const writing = yield* Deferred.make<void>()
      const dropped: Array<string> = []
      const slow = TaskJournal.of({
        ...journal,
        contents: {
          get: (...args) => contents.get(...args),
          put: (): Effect.Effect<void, TaskJournalError> =>
            Effect.andThen(Deferred.succeed(writing, undefined), Effect.never),
          drop: (runId) => Effect.sync(() => void dropped.push(runId))
        }
      })
      const { runner } = yield* start({}, undefined, Layer.succeed(TaskJournal, slow))
      const delegating = yield* Effect.forkChild(runner.delegate("see this", { attachments: [note] }))
      yield* Deferred.await(writing)
      yield* Fiber.interrupt(delegating)
      assert.lengthOf(dropped, 1)
      assert.deepStrictEqual(yield* runner.list, [])
      assert.deepStrictEqual(yield* slow.read, [])
    }))
})
