/**
 * The directory of a private file. It is created with mode 0700, and used only if no other user can put files into it.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import { HostUser } from "./HostUser.ts"
import { StorageError, unreadable, unwritable } from "./StorageError.ts"
import type { StorageWarning } from "./StorageWarning.ts"
import { probeNameIn } from "./TemporaryFile.ts"

/** Creates the directory if it is missing, and checks it. */
export const prepare = Effect.fnUntraced(function*(directory: string, strict: boolean) {
  const fs = yield* FileSystem.FileSystem
  yield* Effect.mapError(fs.makeDirectory(directory, { recursive: true, mode: 0o700 }), unwritable(directory))
  return yield* check(directory, strict)
})

/**
 * Refuses a directory of another user. Closes a directory that others may write, and refuses it where that fails. When
 * `strict`, nothing is repaired, and a directory on a file system without modes is refused too.
 */
export const check = Effect.fnUntraced(function*(directory: string, strict: boolean) {
  const fs = yield* FileSystem.FileSystem
  const found = yield* Effect.catch(fs.stat(directory), unreadable(directory))
  yield* refuseForeign(directory, found, directory)
  const mode = found.mode & 0o7777
  if ((mode & othersWrite) === 0) return []
  if (!strict && (yield* closed(directory, mode))) {
    return [{ _tag: "DirectoryRepaired", path: directory, mode } satisfies StorageWarning]
  }
  if (strict || (yield* keepsModes(directory))) {
    return yield* new StorageError({ path: directory, reason: "DirectoryWritable", mode })
  }
  return [{ _tag: "ModesUnsupported", path: directory } satisfies StorageWarning]
})

/**
 * Takes the right to write from group and others, and says whether that worked. The `fsGroup` of Kubernetes or a umask of
 * 002 gives it to the group. A directory with the sticky bit is shared on purpose, and stays unchanged.
 */
const closed = Effect.fnUntraced(function*(directory: string, mode: number) {
  if ((mode & sticky) !== 0) return false
  const fs = yield* FileSystem.FileSystem
  const after = yield* Effect.option(Effect.andThen(fs.chmod(directory, mode & ~othersWrite), fs.stat(directory)))
  return Option.exists(after, (found) => (found.mode & othersWrite) === 0)
})

const othersWrite = 0o022
const sticky = 0o1000

/** The names in the directory, after a check; none where there is no directory. */
export const list = Effect.fnUntraced(function*(directory: string, strict: boolean) {
  const fs = yield* FileSystem.FileSystem
  const found = yield* fs.readDirectory(directory).pipe(
    Effect.asSome,
    Effect.catchIf((error) => error.reason._tag === "NotFound", () => Effect.succeedNone),
    Effect.catch(unreadable(directory))
  )
  if (Option.isNone(found)) return { names: [], warnings: [] }
  const warnings = yield* check(directory, strict)
  return { names: found.value, warnings }
})

/**
 * Refuses a file or directory of another user, except root. Some mounts show one user for all files, whoever created them:
 * then a new file of ours in `directory` has that user too.
 */
export const refuseForeign = Effect.fnUntraced(function*(
  path: string,
  { uid }: FileSystem.File.Info,
  directory: string
) {
  const us = yield* HostUser
  if (us === undefined || Option.isNone(uid) || uid.value === us || uid.value === root) return
  const own = yield* probe(directory)
  if (Option.exists(Option.flatMap(own, (made) => made.uid), (made) => made === uid.value)) return
  return yield* new StorageError({ path, reason: "ForeignOwner", owner: uid.value })
})

const root = 0

/**
 * Makes the entries of the directory survive a power cut. Some file systems refuse this, so a failure is ignored: an entry
 * may be lost then, but it is never partial.
 */
export const sync = Effect.fnUntraced(function*(directory: string) {
  const fs = yield* FileSystem.FileSystem
  yield* Effect.ignore(Effect.scoped(Effect.flatMap(fs.open(directory, { flag: "r" }), (handle) => handle.sync)))
})

/** Whether the file system keeps modes. True where no file can be created to see it. */
const keepsModes = Effect.fnUntraced(function*(directory: string) {
  const own = yield* probe(directory)
  return Option.match(own, { onNone: () => true, onSome: ({ mode }) => (mode & 0o777) === 0o600 })
})

/** Facts of an empty file of ours, which is removed at once; nothing where none can be created. */
const probe = Effect.fnUntraced(function*(directory: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* probeNameIn(directory)
  return yield* fs.open(path, { flag: "wx", mode: 0o600 }).pipe(
    Effect.flatMap((file) => file.stat),
    Effect.scoped,
    Effect.ensuring(Effect.ignore(fs.remove(path, { force: true }))),
    Effect.option
  )
})
