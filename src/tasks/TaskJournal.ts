/**
 * The tasks that are not done, kept over the end of the process, so that each goes on with the key it began with.
 *
 * On disk every open task is one private file, named by its key and replaced in one step. Whoever is killed leaves each of
 * them whole or absent, and what is done is simply removed: the journal is as large as the open tasks are.
 */
import * as Context from "effect/Context"
import type * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Schema from "effect/Schema"
import type { IdentityExposed, IdentityUnreadable, IdentityUnwritable } from "../identity/IdentityError.ts"
import { errnoOf, fileFault, PrivateFile } from "../identity/PrivateFile.ts"
import { RunId, TaskId } from "./Task.ts"

/** An open task. Times are milliseconds on this machine's clock. */
export interface JournalEntry {
  readonly taskId: TaskId
  readonly runId: RunId
  /** Scheme, host, port and path of the gateway that it is for. Another gateway must not get it. */
  readonly gatewayScope: string
  readonly sessionKey: string
  readonly summary: string
  /** Tasks of one gateway go in this order. */
  readonly position: number
  readonly acceptedAtMs: number
  /** When it was first about to be sent. From then on the gateway may have it. */
  readonly sentAtMs?: number | undefined
  /** The run that the gateway named in its answer; another than `runId` when it had the same text at work already. */
  readonly answeredRunId?: string | undefined
  /** The text met a busy session and is answered in another run. */
  readonly elsewhere?: boolean | undefined
}

/** The journal could not be read or written. */
export class TaskJournalError extends Schema.TaggedError<TaskJournalError>()("TaskJournalError", {
  path: Schema.String,
  reason: Schema.Literals(["Unreadable", "Unwritable", "Exposed", "TooLarge"]),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    switch (this.reason) {
      case "Unreadable":
        return `the task journal at ${this.path} could not be read; check owner and mode of the directory`
      case "Unwritable":
        return `the task journal at ${this.path} could not be written; check space, owner and mode of the directory`
      case "Exposed":
        return `${this.path} may be read or replaced by other users, so it was not used as task journal; make it private`
      case "TooLarge":
        return `the task is too large for the journal at ${this.path}`
    }
  }
}

export class TaskJournal extends Context.Service<TaskJournal, {
  /** What is open, in order. What is there and cannot be understood is left where it is, and logged. */
  readonly read: Effect.Effect<ReadonlyArray<JournalEntry>, TaskJournalError>
  /** Writes an entry, in place of the earlier one of its run if there is one. On return it survives a power cut. */
  readonly put: (entry: JournalEntry) => Effect.Effect<void, TaskJournalError>
  /** The task is done. Nothing happens where there is no entry. */
  readonly remove: (runId: RunId) => Effect.Effect<void, TaskJournalError>
}>()("effect-openclaw/tasks/TaskJournal") {
  /** Private files in this directory. Nothing is made before the first task. */
  static readonly layerFile = (options: {
    readonly directory: string
    readonly strict?: boolean | undefined
  }): Layer.Layer<TaskJournal, never, FileSystem.FileSystem | Path.Path | SecureRandom.SecureRandom> =>
    Layer.effect(TaskJournal, makeFile(options)).pipe(Layer.provide(PrivateFile.layer))

  /** Ends with the process. */
  static readonly layerMemory: Layer.Layer<TaskJournal> = Layer.effect(TaskJournal, Effect.sync(() => makeMemory()))
}

const inOrder = (entries: ReadonlyArray<JournalEntry>): ReadonlyArray<JournalEntry> =>
  entries.toSorted((left, right) => left.position - right.position || left.acceptedAtMs - right.acceptedAtMs)

const makeMemory = () => {
  const entries = new Map<RunId, JournalEntry>()
  return TaskJournal.of({
    read: Effect.sync(() => inOrder([...entries.values()])),
    put: (entry) => Effect.sync(() => void entries.set(entry.runId, entry)),
    remove: (runId) => Effect.sync(() => void entries.delete(runId))
  })
}

const File = Schema.fromJsonString(Schema.Struct({
  format: Schema.Literal("effect-openclaw/task"),
  version: Schema.Literal(1),
  taskId: TaskId,
  runId: RunId,
  gatewayScope: Schema.String,
  sessionKey: Schema.String,
  summary: Schema.String,
  position: Schema.Natural,
  acceptedAtMs: Schema.Natural,
  sentAtMs: Schema.optionalKey(Schema.Natural),
  answeredRunId: Schema.optionalKey(Schema.String),
  elsewhere: Schema.optionalKey(Schema.Boolean)
}))
const decodeFile = Schema.decodeUnknownOption(File)

const encode = (entry: JournalEntry): Uint8Array =>
  new TextEncoder().encode(`${
    JSON.stringify({
      format: "effect-openclaw/task",
      version: 1,
      taskId: entry.taskId,
      runId: entry.runId,
      gatewayScope: entry.gatewayScope,
      sessionKey: entry.sessionKey,
      summary: entry.summary,
      position: entry.position,
      acceptedAtMs: entry.acceptedAtMs,
      sentAtMs: entry.sentAtMs,
      answeredRunId: entry.answeredRunId,
      elsewhere: entry.elsewhere
    })
  }\n`)

/** What a private file may hold and still be read. */
const maxBytes = 1024 * 1024
const fileName = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.json$/
const leftover = /^([0-9a-f-]{36}\.json)\.[0-9a-f]{16}\.tmp$/

const makeFile = Effect.fnUntraced(function*(options: {
  readonly directory: string
  readonly strict?: boolean | undefined
}) {
  const { directory } = options
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const files = yield* PrivateFile

  const pathOf = (name: string) => paths.join(directory, name)
  const failed = (cause: IdentityUnreadable | IdentityUnwritable | IdentityExposed) =>
    new TaskJournalError({
      path: cause.path,
      reason: fileFault[cause._tag],
      cause
    })

  const readEntry = Effect.fnUntraced(function*(name: string) {
    const path = pathOf(name)
    const found = yield* Effect.mapError(files.read(path, options), failed)
    // Done by another process between the two looks.
    if (Option.isNone(found)) return []
    const decoded = Option.filter(
      decodeFile(new TextDecoder().decode(found.value.bytes)),
      ({ runId }) => `${runId}.json` === name
    )
    if (Option.isSome(decoded)) return [decoded.value]
    yield* Effect.logWarning("an entry of the task journal is not understood and left alone").pipe(
      Effect.annotateLogs({ path })
    )
    return []
  })

  const read = Effect.gen(function*() {
    const names = yield* fs.readDirectory(directory).pipe(
      Effect.catchIf((error) => errnoOf(error) === "ENOENT", () => Effect.succeed([])),
      Effect.mapError((cause) => new TaskJournalError({ path: directory, reason: "Unreadable", cause }))
    )
    const torn = new Set(names.flatMap((name) => leftover.exec(name)?.[1] ?? []))
    yield* Effect.forEach(torn, (name) => files.sweep(pathOf(name)), { discard: true })
    const entries = yield* Effect.forEach(
      names.filter((name) => fileName.test(name)),
      (name) => Effect.catch(readEntry(name), (error) => Effect.as(Effect.logWarning(error.message), []))
    )
    return inOrder(entries.flat())
  })

  return TaskJournal.of({
    read,
    put: Effect.fn("TaskJournal.put")(function*(entry) {
      const path = pathOf(`${entry.runId}.json`)
      const bytes = encode(entry)
      if (bytes.length > maxBytes) return yield* new TaskJournalError({ path, reason: "TooLarge" })
      yield* Effect.mapError(files.replace(path, bytes, options), failed)
    }),
    remove: Effect.fn("TaskJournal.remove")(function*(runId) {
      yield* Effect.mapError(files.remove(pathOf(`${runId}.json`)), failed)
    })
  })
})
