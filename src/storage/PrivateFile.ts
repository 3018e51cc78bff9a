/**
 * Files that only their owner may read. They are private from the first instant, a reader sees a whole file or none, and
 * none is overwritten by accident. There are no lock files: the file system keeps two writers apart.
 */
import * as ByteSize from "effect/ByteSize"
import * as Context from "effect/Context"
import type * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Ref from "effect/Ref"
import { line } from "../protocol/OutsideText.ts"
import { errnoOf } from "./Errno.ts"
import * as FinalName from "./FinalName.ts"
import * as PrivateDirectory from "./PrivateDirectory.ts"
import { StorageError, unreadable, unwritable } from "./StorageError.ts"
import type { StorageWarning } from "./StorageWarning.ts"
import { sweep, tempNameFor } from "./TemporaryFile.ts"

/** How to treat a file or directory to which other users have access, and a large file. */
export interface Options {
  /** Refuse instead of repairing or warning. */
  readonly strict?: boolean | undefined
  /** How large a file may be; one mebibyte unless set. */
  readonly maxBytes?: number | undefined
}

/** What `create` did, and the weaknesses of the place that it found. */
export interface Written {
  /** False when the file existed: then nothing was written. */
  readonly created: boolean
  readonly warnings: ReadonlyArray<StorageWarning>
}

/** The whole content of a file, and the weaknesses of the place that were found. */
export interface Read {
  readonly bytes: Uint8Array
  readonly warnings: ReadonlyArray<StorageWarning>
}

type Machine = FileSystem.FileSystem | Path.Path | SecureRandom.SecureRandom

/**
 * Private files: create, replace, read, list and remove. Provided by `PrivateFile.layer` over `FileSystem`; identity,
 * tokens, journal and recorder stand on it.
 */
export class PrivateFile extends Context.Service<PrivateFile, {
  /**
   * Creates a 0600 file of at most `maxBytes`, and never overwrites one. A reader sees the whole file or none. On return
   * the file survives a power cut; where the file system cannot promise that, one warning is logged. A missing directory is
   * created with mode 0700. A directory that others may write is closed to them and reported; one that stays open, or that
   * another user except root owns, is refused.
   */
  readonly create: (path: string, bytes: Uint8Array, options?: Options) => Effect.Effect<Written, StorageError>
  /** Replaces the content in one step, or creates the file. A reader sees the old content or the new, also after a crash. */
  readonly replace: (path: string, bytes: Uint8Array, options?: Options) => Effect.Effect<Written, StorageError>
  /**
   * Reads a file of at most `maxBytes`; nothing where there is none. A mode that lets others in is repaired and reported,
   * or refused when `strict`. A symbolic link is refused, and so is a file or directory of another user except root.
   */
  readonly read: (path: string, options?: Options) => Effect.Effect<Option.Option<Read>, StorageError>
  /** The names in a private directory, in no order; none where there is no directory. */
  readonly list: (
    directory: string,
    options?: Options
  ) => Effect.Effect<
    { readonly names: ReadonlyArray<string>; readonly warnings: ReadonlyArray<StorageWarning> },
    StorageError
  >
  /** Removes the file. A missing file is no error. */
  readonly remove: (path: string) => Effect.Effect<void, StorageError>
  /**
   * Removes the leftovers of killed writers of this path: temporary files of ours that are older than a minute or are
   * another name of the file. Returns their number. It never fails.
   */
  readonly sweep: (path: string) => Effect.Effect<number>
}>()("effect-openclaw/storage/PrivateFile") {
  static readonly layer: Layer.Layer<PrivateFile, never, Machine> = Layer.effect(
    PrivateFile,
    Effect.gen(function*() {
      const machine = yield* Effect.context<Machine>()
      const unsyncedTold = yield* Ref.make(false)
      const tellUnsynced = (path: string) =>
        Effect.flatMap(Ref.getAndSet(unsyncedTold, true), (told) =>
          told ? Effect.void : Effect.annotateLogs(
            Effect.logWarning(
              "files cannot be synced to this file system: what was written last may be lost with the power"
            ),
            { path: line(path) }
          ))
      return PrivateFile.of({
        create: Effect.fn("PrivateFile.create")(
          (path, bytes, options) => write({ path, bytes, options, tellUnsynced }, FinalName.claim),
          Effect.uninterruptible,
          Effect.provide(machine)
        ),
        replace: Effect.fn("PrivateFile.replace")(
          (path, bytes, options) => write({ path, bytes, options, tellUnsynced }, FinalName.takeOver),
          Effect.uninterruptible,
          Effect.provide(machine)
        ),
        read: (path, options) => Effect.provide(read(path, options), machine),
        list: (directory, options) =>
          Effect.provide(PrivateDirectory.list(directory, options?.strict === true), machine),
        remove: Effect.fn("PrivateFile.remove")(remove, Effect.provide(machine)),
        sweep: (path) => Effect.provide(sweep(path), machine)
      })
    })
  )
}

const usualBytes = 1024 * 1024
/** The errors of a sync on network mounts and other file systems that have none. */
const unsyncable: ReadonlySet<string | undefined> = new Set(["EINVAL", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"])
const maxAttempts = 3

interface Writing {
  readonly path: string
  readonly bytes: Uint8Array
  readonly options: Options | undefined
  /** Logs once that writes may not survive a power cut. */
  readonly tellUnsynced: (path: string) => Effect.Effect<void>
}

const write = Effect.fnUntraced(function*(
  { bytes, options, path, tellUnsynced }: Writing,
  place: typeof FinalName.claim | typeof FinalName.takeOver
) {
  // It could not be read back.
  if (bytes.length > (options?.maxBytes ?? usualBytes)) {
    return yield* new StorageError({ path, reason: "Unwritable", errno: "EFBIG" })
  }
  const fs = yield* FileSystem.FileSystem
  const strict = options?.strict === true
  const directory = (yield* Path.Path).dirname(path)
  const directoryWarnings = yield* PrivateDirectory.prepare(directory, strict)
  for (let attempt = 1;; attempt++) {
    const temp = yield* tempNameFor(path)
    const { outcome, warnings } = yield* Effect.flatMap(
      Effect.mapError(
        writeTemp(temp, bytes, strict, tellUnsynced(path)),
        (error) => atItsPlace(error, temp, path, directory)
      ),
      (tempWarnings) =>
        Effect.map(place(temp, path), ({ outcome, warnings }) => ({
          outcome,
          // The temporary name is gone when they are read.
          warnings: [...directoryWarnings, ...tempWarnings.map((warning) => ({ ...warning, path })), ...warnings]
        }))
    ).pipe(Effect.ensuring(Effect.ignore(fs.remove(temp, { force: true }))))
    if (outcome === "Lost" && attempt < maxAttempts) continue
    if (outcome === "Lost") return yield* new StorageError({ path, reason: "Unwritable", errno: "ENOENT" })
    yield* PrivateDirectory.sync(directory)
    return { created: outcome === "Created", warnings } satisfies Written
  }
})

/**
 * The error of a temporary file, which is gone by then, at the file that it was for; at the directory where it could not even be
 * created there.
 */
const atItsPlace = (error: StorageError, temp: string, path: string, directory: string): StorageError =>
  error.path === temp
    ? new StorageError({ ...error, path: uncreatable.has(error.errno) ? directory : path })
    : error
const uncreatable: ReadonlySet<string | undefined> = new Set(["EACCES", "EPERM", "EROFS"])

const writeTemp = Effect.fnUntraced(function*(
  temp: string,
  bytes: Uint8Array,
  strict: boolean,
  tellUnsynced: Effect.Effect<void>
) {
  const fs = yield* FileSystem.FileSystem
  const mode = yield* fs.open(temp, { flag: "wx", mode: 0o600 }).pipe(
    Effect.flatMap(Effect.fnUntraced(function*(file) {
      // The mode is checked while the file is still empty.
      const { mode } = yield* file.stat
      if (strict && (mode & 0o077) !== 0) return mode
      yield* file.writeAll(bytes)
      yield* Effect.catchIf(file.sync, (error) => unsyncable.has(errnoOf(error)), () => tellUnsynced)
      return mode
    })),
    Effect.scoped,
    Effect.mapError(unwritable(temp))
  )
  return yield* makePrivate(temp, mode, strict)
})

/** Reduces the mode of the file to 0600, and gives the warning for it. */
const makePrivate = Effect.fnUntraced(function*(path: string, fileMode: number, strict: boolean) {
  if ((fileMode & 0o077) === 0) return []
  const mode = fileMode & 0o7777
  if (strict) return yield* new StorageError({ path, reason: "FileAccessible", mode })
  const fs = yield* FileSystem.FileSystem
  const changed = yield* Effect.isSuccess(fs.chmod(path, 0o600))
  if (!changed) return [{ _tag: "ModeNotRepaired", path, mode } satisfies StorageWarning]
  const after = yield* Effect.option(fs.lstat(path))
  const repaired = Option.exists(after, (file) => (file.mode & 0o077) === 0)
  return [
    repaired
      ? { _tag: "ModeRepaired", path, mode } satisfies StorageWarning
      : { _tag: "ModesUnsupported", path } satisfies StorageWarning
  ]
})

// Without a span: a tracer keeps the result of a span, which is the content.
const read = Effect.fnUntraced(function*(path: string, options: Options | undefined) {
  const fs = yield* FileSystem.FileSystem
  const strict = options?.strict === true
  const found = yield* fs.lstat(path).pipe(
    Effect.asSome,
    Effect.catchIf((error) => error.reason._tag === "NotFound", () => Effect.succeedNone),
    Effect.catch(unreadable(path))
  )
  if (Option.isNone(found)) return Option.none<Read>()
  const { mode, type } = found.value
  if (type === "SymbolicLink") return yield* new StorageError({ path, reason: "SymbolicLink" })
  if (type !== "File") return yield* new StorageError({ path, reason: "NotRegularFile", mode: mode & 0o7777 })
  const directory = (yield* Path.Path).dirname(path)
  const directoryWarnings = yield* PrivateDirectory.check(directory, strict)
  const maxBytes = options?.maxBytes ?? usualBytes
  const content = yield* Effect.scoped(Effect.flatMap(open(path), (file) => readBytes(file, maxBytes))).pipe(
    Effect.asSome,
    // Another process may have replaced or removed the file since `lstat`.
    Effect.catchIf((error) => error.reason._tag === "NotFound", () => Effect.succeedNone),
    Effect.catch(unreadable(path))
  )
  if (Option.isNone(content)) return Option.none<Read>()
  const { bytes, info } = content.value
  yield* PrivateDirectory.refuseForeign(path, info, directory)
  if (bytes === undefined) return yield* new StorageError({ path, reason: "Unreadable", errno: "EFBIG" })
  const warnings = yield* makePrivate(path, info.mode, strict)
  return Option.some<Read>({ bytes, warnings: [...directoryWarnings, ...warnings] })
})

const open = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  return yield* Effect.catchIf(
    fs.open(path, { flag: "r", noFollow: true }),
    // Windows has no such flag; `lstat` has refused a link before.
    (error) => error.reason._tag === "BadArgument",
    () => fs.open(path, { flag: "r" })
  )
})

const readBytes = Effect.fnUntraced(function*(file: FileSystem.File, maxBytes: number) {
  const info = yield* file.stat
  const length = ByteSize.toBigInt(info.size)
  if (length > BigInt(maxBytes)) return { info, bytes: undefined }
  const bytes = new Uint8Array(Number(length))
  let filled = 0
  while (filled < bytes.length) {
    const count = yield* file.read(bytes.subarray(filled))
    if (count === 0) break
    filled += count
  }
  return { info, bytes: bytes.subarray(0, filled) }
})

const remove = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  yield* Effect.mapError(fs.remove(path, { force: true }), unwritable(path))
  yield* PrivateDirectory.sync((yield* Path.Path).dirname(path))
})
