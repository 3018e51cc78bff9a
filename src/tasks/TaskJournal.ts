/**
 * The tasks that are not done, kept over the end of the process, so that each goes on with the key it began with.
 *
 * On disk every open task is one private file, named by its key and its owner, and replaced in one step. Whoever is killed
 * leaves each of them whole or absent, and what is done is simply removed: the journal is as large as the open tasks are.
 * Programs that share a directory need no lock. A task is taken from an owner that is gone by giving its file another name,
 * which only one of them can do; and whoever wants the task of another aborted leaves a request beside it.
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
import type { StorageError } from "../storage/StorageError.ts"
import * as StorageWarning from "../storage/StorageWarning.ts"
import * as JournalFile from "./JournalFile.ts"
import type { TaskId, TaskOutcome } from "./Task.ts"
import { RunId } from "./Task.ts"
import type { Processes } from "./TaskOwner.ts"
import * as TaskOwner from "./TaskOwner.ts"

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
  /** The gateway merged the text into the run of a busy session, and the answer comes in that run. */
  readonly merged?: boolean | undefined
}

/** The journal could not be read or written. */
export class TaskJournalError extends Schema.TaggedError<TaskJournalError>()("TaskJournalError", {
  path: Schema.String,
  reason: Schema.Literals(["Unreadable", "Unwritable", "Exposed", "Invalid", "TooLarge"]),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    switch (this.reason) {
      case "Unreadable":
        return `the task journal at ${this.path} could not be read; check owner and mode of the directory`
      case "Unwritable":
        return `the task journal at ${this.path} could not be written; check space, owner and mode of the directory`
      case "Exposed":
        return `${this.path} belongs to another user, or may be read or replaced by others, so it was not used as task`
          + " journal; make it private"
      case "Invalid":
        return `a field of the task is out of bounds, so it was not written to the journal at ${this.path}`
      case "TooLarge":
        return `the task is too large for the journal at ${this.path}`
    }
  }
}

/** An open task, and whose it is. */
export interface JournalRecord extends JournalEntry {
  /** The device that delegated it; absent in entries of the first format. */
  readonly deviceId?: string | undefined
  /** The process that has it at work; absent when that is gone, so that the next one takes the task up. */
  readonly ownerPid?: number | undefined
  /** Somebody asked for its abort. */
  readonly abortRequested?: boolean | undefined
}

/** How an abort that another process asked for went: the kind of the task's outcome. */
export type AbortAnswer = TaskOutcome["_tag"]

export interface FileOptions {
  readonly directory: string
  readonly strict?: boolean | undefined
  /** The device whose tasks these are. Those of others in the same directory are listed, and not taken up. */
  readonly deviceId?: string | undefined
  /** Without it nobody can tell which owners live, and all of them count as gone. */
  readonly processes?: Processes | undefined
  /** Takes up this task and no other. */
  readonly only?: RunId | undefined
}

type Machine = FileSystem.FileSystem | Path.Path | SecureRandom.SecureRandom

export class TaskJournal extends Context.Service<TaskJournal, {
  /** What is open, in order, whoever it belongs to. What is there and cannot be understood is left where it is, and logged. */
  readonly read: Effect.Effect<ReadonlyArray<JournalRecord>, TaskJournalError>
  /**
   * Makes the open tasks of this device on a gateway our own, those whose owner is gone, and returns them in order. Of
   * several programs that do so at once, each task goes to one.
   */
  readonly claim: (gatewayScope: string) => Effect.Effect<ReadonlyArray<JournalRecord>, TaskJournalError>
  /** Writes an entry, in place of the earlier one of its run if there is one. On return it survives a power cut. */
  readonly put: (entry: JournalEntry) => Effect.Effect<void, TaskJournalError>
  /** The task is done. Who asked for its abort is told how it ended. Nothing happens where there is no entry. */
  readonly remove: (runId: RunId, ended: AbortAnswer) => Effect.Effect<void, TaskJournalError>
  /** Own tasks that somebody wants aborted. It never answers where nobody else can ask. */
  readonly abortRequests: Effect.Effect<ReadonlyArray<RunId>, TaskJournalError>
  /** Asks the owner of a task, the present one or the next, to abort it. Asking twice is asking once. */
  readonly requestAbort: (runId: RunId) => Effect.Effect<void, TaskJournalError>
  /** What became of a request; nothing while it is open. An answer is given once. */
  readonly abortAnswer: (runId: RunId) => Effect.Effect<Option.Option<AbortAnswer>, TaskJournalError>
}>()("effect-openclaw/tasks/TaskJournal") {
  /** Private files in this directory. Nothing is made before the first task. */
  static readonly layerFile = (options: FileOptions): Layer.Layer<TaskJournal, never, Machine> =>
    Layer.effect(TaskJournal, makeFile(options)).pipe(Layer.provide(PrivateFile.layer))

  /** `layerFile` for the tasks of one device. */
  static readonly layerDevice = (
    options: Omit<FileOptions, "deviceId">
  ): Layer.Layer<TaskJournal, never, DeviceIdentity | Machine> =>
    Layer.unwrap(Effect.map(DeviceIdentity, ({ deviceId }) => TaskJournal.layerFile({ ...options, deviceId })))

  /** Ends with the process. Each place that names it has a journal of its own: the tasks of one agent are not the next one's. */
  static readonly layerMemory: Layer.Layer<TaskJournal> = Layer.fresh(
    Layer.effect(TaskJournal, Effect.sync(() => makeMemory()))
  )
}

const inOrder = <Entry extends JournalEntry>(entries: ReadonlyArray<Entry>): ReadonlyArray<Entry> =>
  entries.toSorted((left, right) => left.position - right.position || left.acceptedAtMs - right.acceptedAtMs)

const makeMemory = () => {
  const entries = new Map<RunId, JournalEntry>()
  const all = () => inOrder([...entries.values()])
  return TaskJournal.of({
    read: Effect.sync(all),
    claim: (gatewayScope) => Effect.sync(() => all().filter((entry) => entry.gatewayScope === gatewayScope)),
    put: (entry) => Effect.sync(() => void entries.set(entry.runId, entry)),
    remove: (runId) => Effect.sync(() => void entries.delete(runId)),
    abortRequests: Effect.never,
    requestAbort: () => Effect.void,
    abortAnswer: () => Effect.succeedNone
  })
}

/** What nobody came back for within this time is removed. */
const abandonedMs = 60_000

/** A record, and the name of its file. */
interface Found extends JournalRecord {
  readonly name: string
}

/** The directory that programs share: what is in it, and whether the owners of the tasks in it live. */
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
    // Another process ended the task between the two looks.
    if (Option.isNone(text)) return []
    const entry = JournalFile.decode(text.value, runId)
    if (Option.isSome(entry)) return [{ ...entry.value, ...known, name } satisfies Found]
    yield* Effect.logWarning("an entry of the task journal is not understood and left alone").pipe(
      Effect.annotateLogs({ path: pathOf(name) })
    )
    return []
  })

  // Asked by name for each owner of a task: a list made meanwhile may have the task and not yet its owner.
  const ownerPid = (owner: string | undefined) =>
    owner === undefined || processes === undefined
      ? Effect.undefined
      : TaskOwner.livingPid(fs, files, pathOf(JournalFile.runnerNameOf(owner)), processes)

  /** Removes what nobody needs any more: requests whose task is over, and files of runners that are gone. */
  const tidy = Effect.fnUntraced(function*(all: ReadonlyArray<readonly [string, JournalFile.Named]>) {
    const torn = new Set(all.flatMap(([, named]) => named._tag === "Temporary" ? [named.of] : []))
    yield* Effect.forEach(torn, (name) => files.sweep(pathOf(name)), { discard: true })
    const needed = new Set(all.flatMap(([, named]) => named._tag === "Task" ? [named.runId, named.owner] : []))
    const nowMs = yield* Clock.currentTimeMillis
    for (const [name, named] of all) {
      const owner = named._tag === "Runner" && processes !== undefined ? named.owner : undefined
      const of = named._tag === "Abort" ? named.runId : owner
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
    const found: Array<Found> = []
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

  /** Gives a file another name. Of several that do so with one file, one gets true. */
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

const failed = (cause: StorageError): TaskJournalError =>
  new TaskJournalError({ path: cause.path, reason: cause.fault, cause })

const makeFile = Effect.fnUntraced(function*(options: FileOptions) {
  const { deviceId, only, processes } = options
  const fs = yield* FileSystem.FileSystem
  const directory = yield* makeDirectory(options)
  const own = yield* TaskOwner.newOwnerId(yield* SecureRandom.SecureRandom)
  const runnerName = JournalFile.runnerNameOf(own)
  const ownName = (runId: string) => JournalFile.taskNameOf(runId, own)
  const announcing = yield* Semaphore.make(1)
  let announced = false

  /** Before a task has our name, others can see that we live. */
  const announce = announcing.withPermit(
    Effect.suspend(() =>
      announced || processes === undefined ? Effect.void : TaskOwner.describe(fs, processes).pipe(
        Effect.flatMap((text) => directory.create(runnerName, text)),
        Effect.andThen(Effect.sync(() => void (announced = true)))
      )
    )
  )
  // What lives on in this process claims what is left, as other processes do.
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
      return yield* Effect.filter(orphans, ({ name, runId }) => directory.rename(name, ownName(runId)))
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
    }),
    remove: Effect.fn("TaskJournal.remove")(function*(runId, ended) {
      const request = JournalFile.abortNameOf(runId)
      if (yield* directory.exists(request)) {
        yield* Effect.ignore(directory.replace(request, JournalFile.encodeAbort(ended)), { log: "Warn" })
      }
      yield* directory.remove(ownName(runId))
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
