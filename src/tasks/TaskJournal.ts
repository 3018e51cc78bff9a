/**
 * The open tasks, stored so that the next process continues each of them with the same key.
 *
 * On disk each open task is one private file, named by its key and its owner, and replaced in one step. A killed process
 * leaves each file whole or absent. A task that has ended is removed, so the journal holds open tasks only. Programs that
 * share a directory need no lock: one of them claims the task of an owner that is gone by renaming its file, which only one
 * can do. A program that wants a task of another one aborted leaves a request beside it. The files that go with a task stand beside
 * it too, by their content, until the gateway has the task.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import { errnoOf } from "../storage/Errno.ts"
import { PrivateFile } from "../storage/PrivateFile.ts"
import { StorageError } from "../storage/StorageError.ts"
import * as StorageWarning from "../storage/StorageWarning.ts"
import type * as JournalContent from "./JournalContent.ts"
import type { AttachmentRecord } from "./JournalFile.ts"
import * as JournalFile from "./JournalFile.ts"
import type { TaskId, TaskOutcome } from "./Task.ts"
import { RunId } from "./Task.ts"
import type { Processes } from "./TaskOwner.ts"
import * as TaskOwner from "./TaskOwner.ts"

/** An open task. Times are milliseconds on this machine's clock. */
export interface JournalEntry {
  readonly taskId: TaskId
  readonly runId: RunId
  /** Scheme, host, port and path of the task's gateway. No other gateway gets the task. */
  readonly gatewayScope: string
  readonly sessionKey: string
  readonly summary: string
  /** The order of the tasks of one gateway. */
  readonly position: number
  readonly acceptedAtMs: number
  /** The time just before it was first sent. From then on the gateway may have it. */
  readonly sentAtMs?: number | undefined
  /** The run in the gateway's answer. It differs from `runId` when the gateway was already working on the same text. */
  readonly answeredRunId?: string | undefined
  /** The gateway merged the text into the run of a busy session, and the answer comes in that run. */
  readonly merged?: boolean | undefined
  /** The files that go with it, in order. Their content is kept apart from the entry. */
  readonly attachments?: ReadonlyArray<AttachmentRecord> | undefined
}

/**
 * The journal could not be read or written. `Invalid`: a field of the entry is out of bounds. `Full`: the files of all open tasks would
 * have more than 256 MiB.
 */
export class TaskJournalError extends Schema.TaggedError<TaskJournalError>()("TaskJournalError", {
  path: Schema.String,
  reason: Schema.Literals(["Unreadable", "Unwritable", "Exposed", "Invalid", "TooLarge", "Full"]),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  /** The name of the operating system's error, where there is one. */
  private get why(): string {
    return this.cause instanceof StorageError && this.cause.errno !== undefined ? ` (${this.cause.errno})` : ""
  }
  override get message(): string {
    switch (this.reason) {
      case "Unreadable":
        return `the task journal at ${this.path} could not be read${this.why}`
      case "Unwritable":
        return `the task journal at ${this.path} could not be written${this.why}`
      case "Exposed":
        return `${this.path} belongs to another user, or may be read or replaced by others, so it was not used as task`
          + " journal"
      case "Invalid":
        return `a field of the task is out of bounds, so it was not written to the journal at ${this.path}`
      case "TooLarge":
        return `the task is too large for the journal at ${this.path}`
      case "Full":
        return `the files of all open tasks would have more than ${JournalFile.maxContentBytes} bytes in the journal at ${this.path}`
    }
  }
}

/** Keeps the files that go with tasks by their content. */
export interface Contents {
  /** Keeps a file of a task, before the task itself is put. Equal files of one task are kept once. */
  readonly put: (
    runId: RunId,
    record: AttachmentRecord,
    content: Uint8Array
  ) => Effect.Effect<void, TaskJournalError>
  /** The content of a file of a task; nothing where it is not there any more, or is not what was put. */
  readonly get: (
    runId: RunId,
    record: AttachmentRecord
  ) => Effect.Effect<Option.Option<Uint8Array>, TaskJournalError>
  /** Removes the files of a task that is not put after all. */
  readonly drop: (runId: RunId) => Effect.Effect<void>
}

/** An open task and its owner. */
export interface JournalRecord extends JournalEntry {
  /** The device that delegated it; absent in entries of version 1. */
  readonly deviceId?: string | undefined
  /** The process that works on it; absent when that process is gone, so that another one may claim the task. */
  readonly ownerPid?: number | undefined
  /** Another process asked for its abort. */
  readonly abortRequested?: boolean | undefined
}

/** The answer to a request for an abort: the kind of the task's outcome. */
export type AbortAnswer = TaskOutcome["_tag"]

/** A journal in a directory of private files. */
export interface FileOptions {
  readonly directory: string
  readonly strict?: boolean | undefined
  /** The device that claims tasks. Tasks of other devices in the directory are listed, and not claimed. */
  readonly deviceId?: string | undefined
  /** Without it all owners count as gone. */
  readonly processes?: Processes | undefined
  /** Claims this task and no other. */
  readonly only?: RunId | undefined
}

type Machine = FileSystem.FileSystem | Path.Path | SecureRandom.SecureRandom

/** Open tasks that survive the process. Provided in memory or as files; a program can provide a place of its own. */
export class TaskJournal extends Context.Service<TaskJournal, {
  /** All open tasks in order, whoever owns them. A file that is no valid entry is logged and left alone. */
  readonly read: Effect.Effect<ReadonlyArray<JournalRecord>, TaskJournalError>
  /**
   * Claims the open tasks of this device and of a gateway whose owner is gone, and returns them in order. When several
   * programs claim at once, each task goes to one of them.
   */
  readonly claim: (gatewayScope: string) => Effect.Effect<ReadonlyArray<JournalRecord>, TaskJournalError>
  /**
   * Writes an entry, or replaces the one of the same run. On return it survives a power cut. With `answeredRunId` the gateway has the
   * task, and the content of its files is not kept any longer.
   */
  readonly put: (entry: JournalEntry) => Effect.Effect<void, TaskJournalError>
  /**
   * Removes the entry and the files of a task that has ended, and answers a request for its abort. A missing entry is no error. A
   * journal may keep the outcome for callers that ask again.
   */
  readonly remove: (runId: RunId, ended: AbortAnswer, outcome?: TaskOutcome) => Effect.Effect<void, TaskJournalError>
  /** The files that go with tasks. Where this is absent, tasks with files are refused. */
  readonly contents?: Contents
  /** Own tasks whose abort another process wants. In memory, where none can ask, it never completes. */
  readonly abortRequests: Effect.Effect<ReadonlyArray<RunId>, TaskJournalError>
  /** Asks the present or next owner of a task to abort it. A second request changes nothing. */
  readonly requestAbort: (runId: RunId) => Effect.Effect<void, TaskJournalError>
  /** The answer to a request, given once; nothing while there is none. */
  readonly abortAnswer: (runId: RunId) => Effect.Effect<Option.Option<AbortAnswer>, TaskJournalError>
}>()("effect-openclaw/tasks/TaskJournal") {
  /** Private files in this directory. Nothing is created before the first task. */
  static readonly layerFile = (options: FileOptions): Layer.Layer<TaskJournal, never, Machine> =>
    Layer.effect(TaskJournal, makeFile(options)).pipe(Layer.provide(PrivateFile.layer))

  /** `layerFile` for the tasks of one device. */
  static readonly layerDevice = (
    options: Omit<FileOptions, "deviceId">
  ): Layer.Layer<TaskJournal, never, DeviceIdentity | Machine> =>
    Layer.unwrap(Effect.map(DeviceIdentity, ({ deviceId }) => TaskJournal.layerFile({ ...options, deviceId })))

  /** In memory only. */
  static readonly makeMemory: Effect.Effect<TaskJournal["Service"]> = Effect.sync(() => makeMemory())

  /** In memory only. Each use of the layer is a journal of its own, so that agents do not share their tasks. */
  static readonly layerMemory: Layer.Layer<TaskJournal> = Layer.fresh(
    Layer.effect(TaskJournal, TaskJournal.makeMemory)
  )
}

const inOrder = <Entry extends JournalEntry>(entries: ReadonlyArray<Entry>): ReadonlyArray<Entry> =>
  entries.toSorted((left, right) => left.position - right.position || left.acceptedAtMs - right.acceptedAtMs)

const makeMemory = () => {
  const entries = new Map<RunId, JournalEntry>()
  const contents = new LateContents(inMemory)
  const all = () => inOrder([...entries.values()])
  return TaskJournal.of({
    read: Effect.sync(all),
    claim: (gatewayScope) => Effect.sync(() => all().filter((entry) => entry.gatewayScope === gatewayScope)),
    put: (entry) =>
      Effect.suspend(() => {
        entries.set(entry.runId, entry)
        return entry.answeredRunId === undefined ? Effect.void : contents.drop(entry.runId)
      }),
    contents,
    remove: (runId) =>
      Effect.suspend(() => {
        entries.delete(runId)
        return contents.drop(runId)
      }),
    abortRequests: Effect.never,
    requestAbort: () => Effect.void,
    abortAnswer: () => Effect.succeedNone
  })
}

/** `know` says what a task has that an earlier process kept. */
export interface KnownContents extends Contents {
  readonly know: (runId: RunId, records: ReadonlyArray<AttachmentRecord>) => Effect.Effect<void>
}

/** Loads what keeps files with the first of them: most programs send none. A class, so that it costs an agent next to nothing. */
class LateContents implements KnownContents {
  readonly #make: (module: typeof JournalContent) => KnownContents
  #made: KnownContents | undefined
  constructor(make: (module: typeof JournalContent) => KnownContents) {
    this.#make = make
  }
  get #contents(): Effect.Effect<KnownContents> {
    return this.#made === undefined
      ? Effect.map(Effect.promise(() => import("./JournalContent.ts")), (module) => this.#made ??= this.#make(module))
      : Effect.succeed(this.#made)
  }
  put(...args: Parameters<Contents["put"]>): ReturnType<Contents["put"]> {
    return Effect.flatMap(this.#contents, (contents) => contents.put(...args))
  }
  get(...args: Parameters<Contents["get"]>): ReturnType<Contents["get"]> {
    return Effect.flatMap(this.#contents, (contents) => contents.get(...args))
  }
  drop(runId: RunId): Effect.Effect<void> {
    return this.#made === undefined ? Effect.void : this.#made.drop(runId)
  }
  know(...args: Parameters<KnownContents["know"]>): Effect.Effect<void> {
    return Effect.flatMap(this.#contents, (contents) => contents.know(...args))
  }
}

const inMemory = ({ makeMemory }: typeof JournalContent) => makeMemory(contentsFull)

const contentsFull = (path: string) => new TaskJournalError({ path, reason: "Full" })

/** Age from which a request without a task, or the file of a runner that is gone, is removed. */
const abandonedMs = 60_000

/** A record and the name of its file. */
interface FileRecord extends JournalRecord {
  readonly name: string
}

/** The directory that programs share: its files, and the owners of its tasks. */
const makeDirectory = Effect.fnUntraced(function*(options: FileOptions) {
  const { directory, processes } = options
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const files = yield* PrivateFile
  const log = yield* StorageWarning.makeLog

  const pathOf = (name: string) => paths.join(directory, name)
  const names = files.list(directory, options).pipe(
    Effect.mapError(failed),
    Effect.tap(({ warnings }) => log(warnings)),
    Effect.map(({ names }) => names)
  )
  const read = Effect.fnUntraced(function*(name: string) {
    const found = yield* Effect.mapError(files.read(pathOf(name), options), failed)
    if (Option.isSome(found)) yield* log(found.value.warnings)
    return Option.map(found, ({ bytes }) => new TextDecoder().decode(bytes))
  })
  const writer = (write: typeof files.create) => (name: string, text: string) =>
    Effect.flatMap(
      Effect.mapError(write(pathOf(name), new TextEncoder().encode(text), options), failed),
      ({ warnings }) => log(warnings)
    )
  const remove = (name: string) => Effect.mapError(files.remove(pathOf(name)), failed)

  const readTask = Effect.fnUntraced(function*(
    name: string,
    runId: string,
    known: Pick<JournalRecord, "ownerPid" | "abortRequested">
  ) {
    const text = yield* read(name)
    // Another process ended the task since the list was made.
    if (Option.isNone(text)) return []
    const entry = JournalFile.decode(text.value, runId)
    if (Option.isSome(entry)) return [{ ...entry.value, ...known, name } satisfies FileRecord]
    yield* Effect.annotateLogs(Effect.logWarning(notUnderstood), { path: pathOf(name) })
    return []
  })

  // The owner's file is read by its name: a list may have a new task without the file of its owner.
  const ownerPid = (owner: string | undefined) =>
    owner === undefined || processes === undefined
      ? Effect.undefined
      : TaskOwner.livingPid(fs, files, pathOf(JournalFile.runnerNameOf(owner)), processes)

  /** Removes temporary files, requests and attachments without a task, and files of runners that are gone. */
  const tidy = Effect.fnUntraced(function*(all: ReadonlyArray<readonly [string, JournalFile.Named]>) {
    const torn = new Set(all.flatMap(([, named]) => named._tag === "Temporary" ? [named.of] : []))
    yield* Effect.forEach(torn, (name) => files.sweep(pathOf(name)), { discard: true })
    const needed = new Set(all.flatMap(([, named]) => named._tag === "Task" ? [named.runId, named.owner] : []))
    const nowMs = yield* Clock.currentTimeMillis
    for (const [name, named] of all) {
      const owner = named._tag === "Runner" && processes !== undefined ? named.owner : undefined
      const of = named._tag === "Abort" || named._tag === "Content" ? named.runId : owner
      if (of === undefined || needed.has(of)) continue
      const info = yield* Effect.option(fs.stat(pathOf(name)))
      const old = Option.exists(
        Option.flatMap(info, ({ mtime }) => mtime),
        (mtime) => nowMs - mtime.getTime() > abandonedMs
      )
      if (old && (yield* ownerPid(owner)) === undefined) yield* Effect.ignore(remove(name))
    }
  })

  const records = Effect.gen(function*() {
    const all = (yield* names).map((name) => [name, JournalFile.parseName(name)] as const)
    yield* tidy(all)
    const wanted = new Set(all.flatMap(([, named]) => named._tag === "Abort" ? [named.runId] : []))
    const living = new Map<string | undefined, number | undefined>()
    const found: Array<FileRecord> = []
    for (const [name, named] of all) {
      if (named._tag !== "Task") continue
      const { owner, runId } = named
      if (!living.has(owner)) living.set(owner, yield* ownerPid(owner))
      const known = { ownerPid: living.get(owner), abortRequested: wanted.has(runId) }
      found.push(
        ...yield* Effect.catch(
          readTask(name, runId, known),
          (error) => Effect.as(Effect.logWarning(error.message), [])
        )
      )
    }
    return inOrder(found)
  })

  /** Renames a file. When several processes rename the same file, one of them gets true. */
  const rename = (from: string, to: string) =>
    fs.rename(pathOf(from), pathOf(to)).pipe(
      Effect.as(true),
      Effect.catchIf((error) => errnoOf(error) === "ENOENT", () => Effect.succeed(false)),
      Effect.catch((cause) => {
        const error = new TaskJournalError({ path: pathOf(from), reason: "Unwritable", cause })
        return Effect.as(Effect.logWarning(error.message), false)
      })
    )
  const exists = (name: string) => Effect.orElseSucceed(fs.exists(pathOf(name)), () => false)

  return {
    pathOf,
    files,
    log,
    names,
    records,
    read,
    create: writer(files.create),
    replace: writer(files.replace),
    remove,
    rename,
    exists
  }
})

/** Logged, with the place, of an entry that another release may have written. */
export const notUnderstood = "an entry of the task journal is not understood and left alone"

const failed = (cause: StorageError): TaskJournalError =>
  new TaskJournalError({ path: cause.path, reason: cause.fault, cause })

const makeFile = Effect.fnUntraced(function*(options: FileOptions) {
  const { deviceId, only, processes } = options
  const fs = yield* FileSystem.FileSystem
  const directory = yield* makeDirectory(options)
  const own = yield* TaskOwner.newOwnerId(yield* SecureRandom.SecureRandom)
  const runnerName = JournalFile.runnerNameOf(own)
  const ownName = (runId: string) => JournalFile.taskNameOf(runId, own)
  const contents = new LateContents(({ makeFiles }) => {
    const { files, log, names, pathOf } = directory
    return makeFiles({ fs, files, log, names, pathOf, strict: options.strict, failed, full: contentsFull })
  })
  const announceOnce = yield* Semaphore.make(1)
  let announced = false

  /** Writes the file of this runner, before the first task has its name. */
  const announce = announceOnce.withPermit(
    Effect.suspend(() =>
      announced || processes === undefined ? Effect.void : TaskOwner.describe(fs, processes).pipe(
        Effect.flatMap((text) => directory.create(runnerName, text)),
        Effect.andThen(Effect.sync(() => void (announced = true)))
      )
    )
  )
  // Another runner of this process may claim the open tasks.
  yield* Effect.addFinalizer(() =>
    announced ? Effect.ignore(directory.remove(runnerName), { log: "Warn" }) : Effect.void
  )

  return TaskJournal.of({
    read: directory.records,
    claim: Effect.fn("TaskJournal.claim")(function*(gatewayScope) {
      const orphans = (yield* directory.records).filter((record) =>
        record.ownerPid === undefined && record.gatewayScope === gatewayScope && !record.name.includes(own)
        && (only === undefined || record.runId === only)
        && (deviceId === undefined || record.deviceId === undefined || record.deviceId === deviceId)
      )
      if (orphans.length > 0) yield* announce
      const claimed = yield* Effect.filter(orphans, ({ name, runId }) => directory.rename(name, ownName(runId)))
      for (const { attachments, runId } of claimed) {
        if (attachments !== undefined) yield* contents.know(runId, attachments)
      }
      return claimed
    }, Effect.uninterruptible),
    put: Effect.fn("TaskJournal.put")(function*(entry) {
      const name = ownName(entry.runId)
      const path = directory.pathOf(name)
      const text = JournalFile.encode(entry, deviceId)
      if (Option.isNone(text)) return yield* new TaskJournalError({ path, reason: "Invalid" })
      if (new TextEncoder().encode(text.value).length > JournalFile.maxBytes) {
        return yield* new TaskJournalError({ path, reason: "TooLarge" })
      }
      yield* announce
      yield* directory.replace(name, text.value)
      if (entry.answeredRunId !== undefined) yield* contents.drop(entry.runId)
    }),
    contents,
    remove: Effect.fn("TaskJournal.remove")(function*(runId, ended) {
      const request = JournalFile.abortNameOf(runId)
      if (yield* directory.exists(request)) {
        yield* Effect.ignore(directory.replace(request, JournalFile.encodeAbort(ended)), { log: "Warn" })
      }
      yield* directory.remove(ownName(runId))
      yield* contents.drop(runId)
    }),
    abortRequests: Effect.map(directory.names, (all) => {
      const there = new Set(all)
      return all.flatMap((name) => {
        const named = JournalFile.parseName(name)
        return named._tag === "Abort" && there.has(ownName(named.runId)) ? [RunId.make(named.runId)] : []
      })
    }),
    requestAbort: Effect.fn("TaskJournal.requestAbort")(function*(runId) {
      yield* directory.create(JournalFile.abortNameOf(runId), JournalFile.encodeAbort())
    }),
    abortAnswer: Effect.fn("TaskJournal.abortAnswer")(function*(runId) {
      const request = JournalFile.abortNameOf(runId)
      const answer = Option.flatMap(yield* directory.read(request), JournalFile.decodeAbort)
      if (Option.isSome(answer)) yield* Effect.ignore(directory.remove(request))
      return answer
    })
  })
})
