/**
 * Files that only their owner may read: private from the first instant, whole or absent to every reader, and never
 * overwritten by accident. No lock files: two writers are told apart by the file system itself.
 */
import * as ByteSize from "effect/ByteSize"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import { errnoOf } from "./Errno.ts"
import { StorageError, unwritable } from "./StorageError.ts"
import type { StorageWarning } from "./StorageWarning.ts"

export interface Options {
  /** Refuse what would otherwise be repaired or warned about. */
  readonly strict?: boolean | undefined
}

export interface Written {
  /** False when there was a file already: then nothing was written. */
  readonly created: boolean
  readonly warnings: ReadonlyArray<StorageWarning>
}

export interface Read {
  readonly bytes: Uint8Array
  readonly warnings: ReadonlyArray<StorageWarning>
}

export class PrivateFile extends Context.Service<PrivateFile, {
  /**
   * Creates a 0600 file that readers see whole or not at all, and never overwrites one. A missing directory is made with
   * 0700; a directory that others may write is refused.
   */
  readonly create: (path: string, bytes: Uint8Array, options?: Options) => Effect.Effect<Written, StorageError>
  /** Puts new content in place of the old in one step: a reader, or a crash, sees one of the two. Creates where absent. */
  readonly replace: (path: string, bytes: Uint8Array, options?: Options) => Effect.Effect<Written, StorageError>
  /**
   * Reads a file of at most one mebibyte, or nothing where there is none. A mode that others can use is repaired and
   * reported, or refused when `strict`. A symbolic link is refused.
   */
  readonly read: (
    path: string,
    options?: Options
  ) => Effect.Effect<Option.Option<Read>, StorageError>
  /** Removes the file; nothing happens where there is none. */
  readonly remove: (path: string) => Effect.Effect<void, StorageError>
  /**
   * Removes what earlier writers of this path left behind when they were killed: temporary files of ours that are older
   * than a minute, or that are another name of the file itself. Returns how many. It never fails.
   */
  readonly sweep: (path: string) => Effect.Effect<number>
}>()("effect-openclaw/storage/PrivateFile") {
  static readonly layer: Layer.Layer<
    PrivateFile,
    never,
    FileSystem.FileSystem | Path.Path | SecureRandom.SecureRandom
  > = Layer.effect(PrivateFile, Effect.suspend(() => make))
}

const maxBytes = 1024 * 1024
const staleAfterMs = 60_000
const maxAttempts = 3

/** Errors with which file systems without hard links, or mounts that hide them, answer a link. */
const noLinks: ReadonlySet<string | undefined> = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EINVAL"])

const permissions = (mode: number): number => mode & 0o777

const make = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const random = yield* SecureRandom.SecureRandom

  const tempNameFor = (path: string) => Effect.map(random.randomBytes(8), (bytes) => `${path}.${Hex.encode(bytes)}.tmp`)
  const isTempNameOf = (path: string) => {
    const prefix = `${paths.basename(path)}.`
    return (name: string) => name.startsWith(prefix) && /^[0-9a-f]{16}\.tmp$/.test(name.slice(prefix.length))
  }

  const info = (path: string) => Effect.option(fs.lstat(path))
  const inode = (found: Option.Option<FileSystem.File.Info>) =>
    Option.flatMap(found, (file) => Option.map(file.ino, (ino) => `${file.dev}:${ino}`))
  const sameFile = (left: Option.Option<FileSystem.File.Info>, right: Option.Option<FileSystem.File.Info>) => {
    const leftInode = inode(left)
    const rightInode = inode(right)
    return Option.isSome(leftInode) && Option.isSome(rightInode) && leftInode.value === rightInode.value
  }

  const unreadable = (path: string) =>
    Effect.fnUntraced(function*(cause: PlatformError) {
      const errno = errnoOf(cause)
      const found = yield* info(path)
      const owner = Option.flatMap(found, (file) => file.uid)
      return yield* new StorageError({
        path,
        reason: "Unreadable",
        cause,
        ...(errno === undefined ? {} : { errno }),
        ...(Option.isSome(owner) ? { owner: owner.value } : {}),
        ...(Option.isSome(found) ? { mode: found.value.mode & 0o7777 } : {})
      })
    })

  const sweep = Effect.fn("PrivateFile.sweep")(function*(path: string) {
    const directory = paths.dirname(path)
    const names = yield* Effect.orElseSucceed(fs.readDirectory(directory), () => [])
    const temps = names.filter(isTempNameOf(path))
    if (temps.length === 0) return 0
    const target = yield* info(path)
    const now = yield* Clock.currentTimeMillis
    let removed = 0
    for (const name of temps) {
      const temp = paths.join(directory, name)
      const found = yield* info(temp)
      const stale = Option.exists(
        Option.flatMap(found, (file) => file.mtime),
        (mtime) => now - mtime.getTime() > staleAfterMs
      )
      // a temporary file that is another name of the target has done its work, however young it is
      if (!stale && !sameFile(found, target)) continue
      removed += yield* Effect.match(fs.remove(temp), { onSuccess: () => 1, onFailure: () => 0 })
    }
    return removed
  })

  /** Whether modes mean anything here, seen on an empty file of our own that is removed at once. */
  const keepsModes = Effect.fnUntraced(function*(directory: string, path: string) {
    const probe = yield* tempNameFor(path)
    return yield* fs.open(probe, { flag: "wx", mode: 0o600 }).pipe(
      Effect.flatMap((file) => file.stat),
      Effect.map((file) => permissions(file.mode) === 0o600),
      Effect.scoped,
      Effect.ensuring(Effect.ignore(fs.remove(paths.join(directory, paths.basename(probe)), { force: true }))),
      Effect.orElseSucceed(() => true)
    )
  })

  const checkDirectory = Effect.fnUntraced(function*(path: string, options: Options | undefined) {
    const directory = paths.dirname(path)
    const found = yield* Effect.catch(fs.stat(directory), unreadable(directory))
    if ((found.mode & 0o022) === 0) return []
    const exposed = new StorageError({ path: directory, reason: "DirectoryWritable", mode: found.mode & 0o7777 })
    if (options?.strict === true || (yield* keepsModes(directory, path))) return yield* exposed
    return [{ _tag: "ModesUnsupported", path: directory } satisfies StorageWarning]
  })

  /** Gives the file 0600 where it has more, and says how that went. */
  const makePrivate = Effect.fnUntraced(function*(path: string, mode: number, options: Options | undefined) {
    if ((mode & 0o077) === 0) return []
    const exposed = new StorageError({ path, reason: "FileAccessible", mode: mode & 0o7777 })
    if (options?.strict === true) return yield* exposed
    const changed = yield* Effect.isSuccess(fs.chmod(path, 0o600))
    if (!changed) return [{ _tag: "ModeNotRepaired", path, mode: mode & 0o7777 } satisfies StorageWarning]
    const after = yield* info(path)
    const repaired = Option.exists(after, (file) => (file.mode & 0o077) === 0)
    return [
      repaired
        ? { _tag: "ModeRepaired", path, mode: mode & 0o7777 } satisfies StorageWarning
        : { _tag: "ModesUnsupported", path } satisfies StorageWarning
    ]
  })

  const writeTemp = Effect.fnUntraced(function*(temp: string, bytes: Uint8Array, options: Options | undefined) {
    const mode = yield* fs.open(temp, { flag: "wx", mode: 0o600 }).pipe(
      Effect.flatMap(Effect.fnUntraced(function*(file) {
        // the mode is looked at while the file is still empty
        const { mode } = yield* file.stat
        if (options?.strict === true && (mode & 0o077) !== 0) return mode
        yield* file.writeAll(bytes)
        yield* file.sync
        return mode
      })),
      Effect.scoped,
      Effect.mapError(unwritable(temp))
    )
    return yield* makePrivate(temp, mode, options)
  })

  /** A directory entry that was not synced may be lost with the power, never torn; some file systems refuse the request. */
  const syncDirectory = (directory: string) =>
    Effect.ignore(Effect.scoped(Effect.flatMap(fs.open(directory, { flag: "r" }), (handle) => handle.sync)))

  /** Gives the temporary file its final name. `Lost` means that somebody removed it, so that all is to be done again. */
  const linkTo = Effect.fnUntraced(function*(temp: string, path: string) {
    const linked = yield* Effect.match(fs.link(temp, path), {
      onSuccess: () => "Linked" as const,
      onFailure: (error) => error
    })
    if (linked === "Linked") return { outcome: "Created" as const, warnings: [] }
    const errno = errnoOf(linked)
    if (errno === "EEXIST") {
      // over a network the answer to a link that happened may get lost, and the repeated call finds our own file
      const ours = sameFile(yield* info(temp), yield* info(path))
      return { outcome: ours ? "Created" as const : "Existed" as const, warnings: [] }
    }
    if (errno === "ENOENT") return { outcome: "Lost" as const, warnings: [] }
    if (!noLinks.has(errno)) return yield* unwritable(path)(linked)
    if (Option.isSome(yield* info(path))) return { outcome: "Existed" as const, warnings: [] }
    yield* Effect.mapError(fs.rename(temp, path), unwritable(path))
    return {
      outcome: "Created" as const,
      warnings: [{ _tag: "LinksUnsupported", path: paths.dirname(path) } satisfies StorageWarning]
    }
  })

  const renameTo = Effect.fnUntraced(function*(temp: string, path: string) {
    // another name of the old content would outlive it
    yield* sweep(path)
    return yield* Effect.matchEffect(fs.rename(temp, path), {
      onSuccess: () => Effect.succeed({ outcome: "Created" as const, warnings: [] }),
      onFailure: (error) =>
        errnoOf(error) === "ENOENT"
          ? Effect.succeed({ outcome: "Lost" as const, warnings: [] })
          : Effect.fail(unwritable(path)(error))
    })
  })

  const write = Effect.fnUntraced(function*(
    path: string,
    bytes: Uint8Array,
    options: Options | undefined,
    finish: typeof linkTo | typeof renameTo
  ) {
    const directory = paths.dirname(path)
    yield* Effect.mapError(fs.makeDirectory(directory, { recursive: true, mode: 0o700 }), unwritable(directory))
    const directoryWarnings = yield* checkDirectory(path, options)
    for (let attempt = 1;; attempt++) {
      const temp = yield* tempNameFor(path)
      const result = yield* Effect.flatMap(
        writeTemp(temp, bytes, options),
        (warnings) =>
          Effect.map(finish(temp, path), (finished) => ({
            outcome: finished.outcome,
            warnings: [...directoryWarnings, ...warnings, ...finished.warnings]
          }))
      ).pipe(Effect.ensuring(Effect.ignore(fs.remove(temp, { force: true }))))
      if (result.outcome === "Lost" && attempt < maxAttempts) continue
      if (result.outcome === "Lost") return yield* new StorageError({ path, reason: "Unwritable", errno: "ENOENT" })
      yield* syncDirectory(directory)
      return { created: result.outcome === "Created", warnings: result.warnings }
    }
  })

  const create = Effect.fn("PrivateFile.create")(
    (path: string, bytes: Uint8Array, options?: Options) => write(path, bytes, options, linkTo),
    Effect.uninterruptible
  )

  const replace = Effect.fn("PrivateFile.replace")(
    (path: string, bytes: Uint8Array, options?: Options) => write(path, bytes, options, renameTo),
    Effect.uninterruptible
  )

  const open = (path: string) =>
    Effect.catchIf(
      fs.open(path, { flag: "r", noFollow: true }),
      // Windows cannot be asked not to follow; there the look at the link before has to do
      (error) => error.reason._tag === "BadArgument",
      () => fs.open(path, { flag: "r" })
    )

  const readBytes = Effect.fnUntraced(function*(file: FileSystem.File) {
    const { mode, size } = yield* file.stat
    const length = ByteSize.toBigInt(size)
    if (length > BigInt(maxBytes)) return { mode, bytes: undefined }
    const bytes = new Uint8Array(Number(length))
    let filled = 0
    while (filled < bytes.length) {
      const count = yield* file.read(bytes.subarray(filled))
      if (count === 0) break
      filled += count
    }
    return { mode, bytes: bytes.subarray(0, filled) }
  })

  // without a span: a tracer keeps what a span ended with, and that is the content
  const read = Effect.fnUntraced(function*(path: string, options?: Options) {
    const found = yield* fs.lstat(path).pipe(
      Effect.asSome,
      Effect.catchIf((error) => error.reason._tag === "NotFound", () => Effect.succeedNone),
      Effect.catch(unreadable(path))
    )
    if (Option.isNone(found)) return Option.none<Read>()
    const { mode, type } = found.value
    if (type === "SymbolicLink") return yield* new StorageError({ path, reason: "SymbolicLink" })
    if (type !== "File") {
      return yield* new StorageError({ path, reason: "NotRegularFile", mode: mode & 0o7777 })
    }
    const directoryWarnings = yield* checkDirectory(path, options)
    const content = yield* Effect.scoped(Effect.flatMap(open(path), readBytes)).pipe(
      Effect.asSome,
      // a file that is replaced or removed between the two looks is simply the new file, or none
      Effect.catchIf((error) => error.reason._tag === "NotFound", () => Effect.succeedNone),
      Effect.catch(unreadable(path))
    )
    if (Option.isNone(content)) return Option.none<Read>()
    if (content.value.bytes === undefined) {
      return yield* new StorageError({ path, reason: "Unreadable", errno: "EFBIG" })
    }
    const warnings = yield* makePrivate(path, content.value.mode, options)
    return Option.some<Read>({ bytes: content.value.bytes, warnings: [...directoryWarnings, ...warnings] })
  })

  const remove = Effect.fn("PrivateFile.remove")(function*(path: string) {
    yield* Effect.mapError(fs.remove(path, { force: true }), unwritable(path))
    yield* syncDirectory(paths.dirname(path))
  })

  return PrivateFile.of({ create, replace, read, remove, sweep })
})
