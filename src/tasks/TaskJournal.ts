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
import type { TaskOutcome } from "./Task.ts"
import { RunId, TaskId } from "./Task.ts"
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
        return `${this.path} belongs to another user, or may be read or replaced by others, so it was not used as task`
          + " journal; make it private"
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

/** How an abort that was asked for from outside went: the kind of the task's outcome. */
export const AbortAnswer = Schema.Literals(["Completed", "Failed", "Aborted", "Expired", "Unknown"])
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

const File = Schema.fromJsonString(Schema.Struct({
  format: Schema.Literal("effect-openclaw/task"),
  /** The first had no device, and no owner in its name. */
  version: Schema.Literals([1, 2]),
  taskId: TaskId,
  runId: RunId,
  deviceId: Schema.optionalKey(Schema.String),
  gatewayScope: Schema.String,
  sessionKey: Schema.String,
  summary: Schema.String,
  position: Schema.Natural,
  acceptedAtMs: Schema.Natural,
  sentAtMs: Schema.optionalKey(Schema.Natural),
  answeredRunId: Schema.optionalKey(Schema.String),
  /** `merged` of the entry. */
  elsewhere: Schema.optionalKey(Schema.Boolean)
}))
const decodeFile = Schema.decodeUnknownOption(File)

const encode = (entry: JournalEntry, deviceId: string | undefined): Uint8Array =>
  new TextEncoder().encode(`${
    JSON.stringify({
      format: "effect-openclaw/task",
      version: 2,
      taskId: entry.taskId,
      runId: entry.runId,
      deviceId,
      gatewayScope: entry.gatewayScope,
      sessionKey: entry.sessionKey,
      summary: entry.summary,
      position: entry.position,
      acceptedAtMs: entry.acceptedAtMs,
      sentAtMs: entry.sentAtMs,
      answeredRunId: entry.answeredRunId,
      elsewhere: entry.merged
    })
  }\n`)

const AbortFile = Schema.fromJsonString(Schema.Struct({
  format: Schema.Literal("effect-openclaw/task-abort"),
  version: Schema.Literal(1),
  answer: Schema.optionalKey(AbortAnswer)
}))
const decodeAbort = Schema.decodeUnknownOption(AbortFile)
const encodeAbort = Schema.encodeSync(AbortFile)
const abortBytes = (answer?: AbortAnswer): Uint8Array =>
  new TextEncoder().encode(
    `${
      encodeAbort({ format: "effect-openclaw/task-abort", version: 1, ...(answer === undefined ? {} : { answer }) })
    }\n`
  )

/** What a private file may hold and still be read. */
const maxBytes = 1024 * 1024
/** What nobody came back for within this time is removed. */
const abandonedMs = 60_000
const uuid = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
/** The run, and its owner in all but the first format. */
const taskFile = new RegExp(`^(${uuid})(?:\\.([0-9a-f]{16}))?\\.json$`)
const abortFile = new RegExp(`^(${uuid})\\.abort$`)
const ownerFile = /^([0-9a-f]{16})\.runner$/
const leftover = /^([0-9a-f-]{16,36}(?:\.[0-9a-f]{16})?\.(?:json|abort|runner))\.(?:[0-9a-f]{16}\.tmp|claim)$/

/** A task in the directory. */
interface Found extends JournalRecord {
  readonly name: string
}

const makeFile = Effect.fnUntraced(function*(options: FileOptions) {
  const { deviceId, directory, only, processes } = options
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const files = yield* PrivateFile
  const own = yield* TaskOwner.newOwnerId(yield* SecureRandom.SecureRandom)
  const announcing = yield* Semaphore.make(1)
  let announced = false

  const pathOf = (name: string) => paths.join(directory, name)
  const ownPath = (runId: string) => pathOf(`${runId}.${own}.json`)
  const abortPath = (runId: string) => pathOf(`${runId}.abort`)
  const log = yield* StorageWarning.makeLog
  const failed = (cause: StorageError) => new TaskJournalError({ path: cause.path, reason: cause.fault, cause })

  /** Before the first task has our name, everybody can see that we live. */
  const announce = announcing.withPermit(Effect.suspend(() => {
    if (announced || processes === undefined) return Effect.void
    return Effect.flatMap(
      TaskOwner.describe(fs, processes),
      (bytes) => write(files.create(pathOf(`${own}.runner`), bytes, options))
    ).pipe(
      Effect.andThen(Effect.sync(() => void (announced = true)))
    )
  }))
  // Whoever lives on in this process takes up what is left, as others do.
  yield* Effect.addFinalizer(() =>
    announced ? Effect.ignore(files.remove(pathOf(`${own}.runner`)), { log: "Warn" }) : Effect.void
  )

  const names = files.list(directory, options).pipe(
    Effect.mapError(failed),
    Effect.tap(({ warnings }) => log(warnings)),
    Effect.map(({ names }) => names)
  )
  const write = (writing: ReturnType<typeof files.create>) =>
    Effect.flatMap(Effect.mapError(writing, failed), ({ warnings }) => log(warnings))

  const readEntry = Effect.fnUntraced(function*(
    name: string,
    known: Pick<JournalRecord, "ownerPid" | "abortRequested">
  ) {
    const path = pathOf(name)
    const found = yield* Effect.mapError(files.read(path, options), failed)
    // Done by another process between the two looks.
    if (Option.isNone(found)) return []
    yield* log(found.value.warnings)
    const decoded = Option.filter(
      decodeFile(new TextDecoder().decode(found.value.bytes)),
      ({ runId }) => runId === taskFile.exec(name)?.[1]
    )
    if (Option.isSome(decoded)) {
      const { deviceId, elsewhere: merged, format: _, version: __, ...entry } = decoded.value
      return [{ ...entry, ...known, merged, deviceId, name } satisfies Found]
    }
    yield* Effect.logWarning("an entry of the task journal is not understood and left alone").pipe(
      Effect.annotateLogs({ path })
    )
    return []
  })

  /** Removes what nobody needs any more: requests whose task is over, and files of runners that are gone. */
  const tidy = Effect.fnUntraced(function*(all: ReadonlyArray<string>) {
    const torn = new Set(all.flatMap((name) => leftover.exec(name)?.[1] ?? []))
    yield* Effect.forEach(torn, (name) => files.sweep(pathOf(name)), { discard: true })
    const needed = new Set(all.flatMap((name) => taskFile.exec(name)?.slice(1) ?? []))
    const nowMs = yield* Clock.currentTimeMillis
    for (const name of all) {
      const owner = processes === undefined ? undefined : ownerFile.exec(name)?.[1]
      const of = abortFile.exec(name)?.[1] ?? owner
      if (of === undefined || needed.has(of)) continue
      const info = yield* Effect.option(fs.stat(pathOf(name)))
      const old = Option.exists(
        Option.flatMap(info, ({ mtime }) => mtime),
        (mtime) => nowMs - mtime.getTime() > abandonedMs
      )
      if (old && (yield* ownerPid(owner)) === undefined) {
        yield* Effect.ignore(files.remove(pathOf(name)))
      }
    }
  })

  // Asked by name for each owner of a task: a list made meanwhile may have the task and not yet its owner.
  const ownerPid = (owner: string | undefined) =>
    owner === undefined || processes === undefined
      ? Effect.undefined
      : TaskOwner.livingPid(fs, files, pathOf(`${owner}.runner`), processes)

  const look = Effect.gen(function*() {
    const all = yield* names
    yield* tidy(all)
    const wanted = new Set(all.flatMap((name) => abortFile.exec(name)?.[1] ?? []))
    const living = new Map<string | undefined, number | undefined>()
    const entries: Array<Found> = []
    for (const name of all) {
      const [, run, owner] = taskFile.exec(name) ?? []
      if (run === undefined) continue
      if (!living.has(owner)) living.set(owner, yield* ownerPid(owner))
      entries.push(
        ...yield* Effect.catch(
          readEntry(name, { ownerPid: living.get(owner), abortRequested: wanted.has(run) }),
          (error) => Effect.as(Effect.logWarning(error.message), [])
        )
      )
    }
    return inOrder(entries)
  })

  /** Only one of several that try has the old name to rename. */
  const claimFile = ({ name, runId }: Found) =>
    fs.rename(pathOf(name), ownPath(runId)).pipe(
      Effect.as(true),
      Effect.catchIf((error) => errnoOf(error) === "ENOENT", () => Effect.succeed(false)),
      Effect.catch((cause) => {
        const error = new TaskJournalError({ path: pathOf(name), reason: "Unwritable", cause })
        return Effect.as(Effect.logWarning(error.message), false)
      })
    )

  return TaskJournal.of({
    read: look,
    claim: Effect.fn("TaskJournal.claim")(function*(gatewayScope) {
      const orphans = (yield* look).filter((entry) =>
        entry.ownerPid === undefined && entry.gatewayScope === gatewayScope && !entry.name.includes(own)
        && (only === undefined || entry.runId === only)
        && (deviceId === undefined || entry.deviceId === undefined || entry.deviceId === deviceId)
      )
      if (orphans.length > 0) yield* announce
      return yield* Effect.filter(orphans, claimFile)
    }, Effect.uninterruptible),
    put: Effect.fn("TaskJournal.put")(function*(entry) {
      const path = ownPath(entry.runId)
      const bytes = encode(entry, deviceId)
      if (bytes.length > maxBytes) return yield* new TaskJournalError({ path, reason: "TooLarge" })
      yield* announce
      yield* write(files.replace(path, bytes, options))
    }),
    remove: Effect.fn("TaskJournal.remove")(function*(runId, ended) {
      if (yield* Effect.orElseSucceed(fs.exists(abortPath(runId)), () => false)) {
        yield* Effect.ignore(write(files.replace(abortPath(runId), abortBytes(ended), options)), { log: "Warn" })
      }
      yield* Effect.mapError(files.remove(ownPath(runId)), failed)
    }),
    abortRequests: Effect.map(names, (all) => {
      const there = new Set(all)
      return all.flatMap((name) => {
        const run = abortFile.exec(name)?.[1]
        return run !== undefined && there.has(`${run}.${own}.json`) ? [RunId.make(run)] : []
      })
    }),
    requestAbort: Effect.fn("TaskJournal.requestAbort")(function*(runId) {
      yield* write(files.create(abortPath(runId), abortBytes(), options))
    }),
    abortAnswer: Effect.fn("TaskJournal.abortAnswer")(function*(runId) {
      const found = yield* Effect.mapError(files.read(abortPath(runId), options), failed)
      const answer = found.pipe(
        Option.flatMap(({ bytes }) => decodeAbort(new TextDecoder().decode(bytes))),
        Option.flatMap(({ answer }) => Option.fromUndefinedOr(answer))
      )
      if (Option.isSome(answer)) yield* Effect.ignore(files.remove(abortPath(runId)))
      return answer
    })
  })
})
