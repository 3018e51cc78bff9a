/**
 * How a temporary file gets its final name: once and for all where there is no file yet, or in place of the file there is.
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

/** Gives the name where it is free. Of any number of processes one gets `Created`. */
export const claim = Effect.fnUntraced(function*(temp: string, path: string) {
  const fs = yield* FileSystem.FileSystem
  const info = (at: string) => Effect.option(fs.lstat(at))
  const failure = yield* Effect.match(fs.link(temp, path), { onSuccess: () => undefined, onFailure: (error) => error })
  if (failure === undefined) return { outcome: "Created", warnings: [] } satisfies Placed
  const errno = errnoOf(failure)
  if (errno === "EEXIST") {
    // Over a network the answer to a link that happened may get lost, and the repeated call finds our own file.
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

/** Takes the name over: a reader, or a crash, sees the old content or the new. */
export const takeOver = Effect.fnUntraced(function*(temp: string, path: string) {
  const fs = yield* FileSystem.FileSystem
  // Another name of the old content would outlive it.
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
 * Errors with which file systems without hard links, or mounts and policies that hide them, answer a link: Android says
 * EACCES, exFAT on Windows EISDIR. The right to write there is known: the temporary file is in the same directory.
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
