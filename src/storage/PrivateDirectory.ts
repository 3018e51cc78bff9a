/**
 * The directory of a private file: made with mode 0700, and used only where no other user can put files into it.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import { StorageError, unreadable, unwritable } from "./StorageError.ts"
import type { StorageWarning } from "./StorageWarning.ts"
import { tempNameFor } from "./TemporaryFile.ts"

/** Makes the directory of `path` where there is none, and checks it. */
export const prepare = Effect.fnUntraced(function*(path: string, strict: boolean) {
  const fs = yield* FileSystem.FileSystem
  const directory = (yield* Path.Path).dirname(path)
  yield* Effect.mapError(fs.makeDirectory(directory, { recursive: true, mode: 0o700 }), unwritable(directory))
  return yield* check(path, strict)
})

/** Refuses a directory of `path` that others may write. When `strict`, also one whose modes mean nothing. */
export const check = Effect.fnUntraced(function*(path: string, strict: boolean) {
  const fs = yield* FileSystem.FileSystem
  const directory = (yield* Path.Path).dirname(path)
  const found = yield* Effect.catch(fs.stat(directory), unreadable(directory))
  if ((found.mode & 0o022) === 0) return []
  if (strict || (yield* keepsModes(path))) {
    return yield* new StorageError({ path: directory, reason: "DirectoryWritable", mode: found.mode & 0o7777 })
  }
  return [{ _tag: "ModesUnsupported", path: directory } satisfies StorageWarning]
})

/**
 * Makes the names in the directory of `path` survive a power cut. Without it an entry may be lost, never torn; some file
 * systems refuse the request, so a failure is passed over.
 */
export const sync = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  const directory = (yield* Path.Path).dirname(path)
  yield* Effect.ignore(Effect.scoped(Effect.flatMap(fs.open(directory, { flag: "r" }), (handle) => handle.sync)))
})

/** Whether modes mean anything here, seen on an empty file of our own that is removed at once. */
const keepsModes = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  const probe = yield* tempNameFor(path)
  return yield* fs.open(probe, { flag: "wx", mode: 0o600 }).pipe(
    Effect.flatMap((file) => file.stat),
    Effect.map((file) => (file.mode & 0o777) === 0o600),
    Effect.scoped,
    Effect.ensuring(Effect.ignore(fs.remove(probe, { force: true }))),
    Effect.orElseSucceed(() => true)
  )
})
