/**
 * The two ways in which a temporary file gets its final name: if the name is free, or in place of the present file.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import { errnoOf } from "./Errno.ts"
import { claimByRename, type Outcome } from "./RenameClaim.ts"
import { unwritable } from "./StorageError.ts"
import type { StorageWarning } from "./StorageWarning.ts"
import { sameFile, sweep } from "./TemporaryFile.ts"

export interface Placed {
  readonly outcome: Outcome
  readonly warnings: ReadonlyArray<StorageWarning>
}

/** Gives the name if it is free. Of several processes one gets `Created`. */
export const claim = Effect.fnUntraced(function*(temp: string, path: string) {
  const fs = yield* FileSystem.FileSystem
  const info = (at: string) => Effect.option(fs.lstat(at))
  const failure = yield* Effect.match(fs.link(temp, path), { onSuccess: () => undefined, onFailure: (error) => error })
  if (failure === undefined) return { outcome: "Created", warnings: [] } satisfies Placed
  const errno = errnoOf(failure)
  if (errno === "EEXIST") {
    // A network file system may lose the answer to a successful link. The repeated call then finds our own file.
    const ours = sameFile(yield* info(temp), yield* info(path))
    return { outcome: ours ? "Created" : "Existed", warnings: [] } satisfies Placed
  }
  if (errno === "ENOENT") return { outcome: "Lost", warnings: [] } satisfies Placed
  if (!noLinks.has(errno)) return yield* unwritable(path)(failure)
  const outcome = yield* claimByRename(temp, path)
  const directory = (yield* Path.Path).dirname(path)
  return {
    outcome,
    warnings: outcome === "Created" ? [{ _tag: "LinksUnsupported", path: directory }] : []
  } satisfies Placed
})

/** Gives the name in place of the present file. A reader sees the old content or the new, also after a crash. */
export const takeOver = Effect.fnUntraced(function*(temp: string, path: string) {
  const fs = yield* FileSystem.FileSystem
  // A leftover name of the old content would survive it.
  yield* sweep(path)
  return yield* Effect.matchEffect(fs.rename(temp, path), {
    onSuccess: () => Effect.succeed<Placed>({ outcome: "Created", warnings: [] }),
    onFailure: (error) =>
      errnoOf(error) === "ENOENT"
        ? Effect.succeed<Placed>({ outcome: "Lost", warnings: [] })
        : Effect.fail(unwritable(path)(error))
  })
})

/**
 * The errors of a link where there are no hard links, or where a mount or a policy forbids them: EACCES on Android, EISDIR
 * on exFAT in Windows. They do not mean that the directory is read-only: the temporary file was just written there.
 */
const noLinks: ReadonlySet<string | undefined> = new Set([
  "EACCES",
  "EPERM",
  "EXDEV",
  "EMLINK",
  "EISDIR",
  "ENOTSUP",
  "EOPNOTSUPP",
  "ENOSYS",
  "EINVAL"
])
