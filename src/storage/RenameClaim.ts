/**
 * Gives a free name to one of several processes on a file system without hard links.
 *
 * A rename replaces an existing file, but not a directory that has entries. So each process puts its content into a
 * directory and renames that to `<path>.claim`, which only one of them can do. Then the content is renamed to `path`. If the
 * process was killed before, the next one does it. There is no lock, and no process waits.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import { errnoOf } from "./Errno.ts"
import { unreadable, unwritable } from "./StorageError.ts"
import { claimNameOf, sameFile, tempNameFor } from "./TemporaryFile.ts"

/** `Lost`: another process removed the content, so the caller has to write it again. */
export type Outcome = "Created" | "Existed" | "Lost"

/** Gives `temp` the name `path` if that is free. */
export const claimByRename = Effect.fnUntraced(function*(temp: string, path: string) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const claimed = claimNameOf(path)
  const name = paths.basename(temp)
  const found = yield* Effect.option(fs.lstat(temp))
  const staged = yield* tempNameFor(path)
  const stage = Effect.andThen(fs.makeDirectory(staged, { mode: 0o700 }), fs.rename(temp, paths.join(staged, name)))

  const contend = Effect.fnUntraced(function*() {
    for (let round = 0; round < maxRounds; round++) {
      if (yield* isThere(path)) return "Existed"
      const failure = yield* failureOf(fs.rename(staged, claimed))
      if (failure === undefined) {
        const outcome = yield* finish(paths.join(claimed, name), path, found)
        yield* removeAll(claimed)
        return outcome
      }
      if (errnoOf(failure) === "ENOENT") return "Lost"
      if (!(yield* isThere(claimed))) {
        // The other process is done, or the file system cannot rename directories.
        if (round === 0) continue
        return yield* finish(paths.join(staged, name), path, found)
      }
      yield* finishFor(claimed, path)
    }
    return "Lost"
  })

  return yield* Effect.mapError(stage, unwritable(path)).pipe(
    Effect.andThen(contend()),
    Effect.ensuring(removeAll(staged))
  )
})

/** Renames the content to `path`, unless `path` exists. `ours` identifies the content. */
const finish = Effect.fnUntraced(function*(from: string, path: string, ours: Option.Option<FileSystem.File.Info>) {
  const fs = yield* FileSystem.FileSystem
  // Another process may have renamed our content already.
  const given = Effect.map(
    Effect.option(fs.lstat(path)),
    Option.map((there) => sameFile(Option.some(there), ours) ? "Created" as const : "Existed" as const)
  )
  const before = yield* given
  if (Option.isSome(before)) return before.value
  const failure = yield* failureOf(fs.rename(from, path))
  if (failure === undefined) return "Created"
  if (errnoOf(failure) !== "ENOENT") return yield* unwritable(path)(failure)
  return Option.getOrElse(yield* given, () => "Lost" as const)
})

/**
 * Renames the content of another process to `path`. `path` is checked after the content was seen in the claim: from then on
 * no other content can get the name.
 */
const finishFor = Effect.fnUntraced(function*(claimed: string, path: string) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const names = yield* Effect.catch(
    fs.readDirectory(claimed),
    (error) => errnoOf(error) === "ENOENT" ? Effect.succeed<ReadonlyArray<string>>([]) : unreadable(claimed)(error)
  )
  for (const name of names) yield* finish(paths.join(claimed, name), path, Option.none())
  yield* removeAll(claimed)
})

// More rounds than processes that create the same file at once.
const maxRounds = 100

const isThere = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  return yield* Effect.isSuccess(fs.lstat(path))
})

const removeAll = Effect.fnUntraced(function*(directory: string) {
  const fs = yield* FileSystem.FileSystem
  yield* Effect.ignore(fs.remove(directory, { recursive: true, force: true }))
})

const failureOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.match(effect, { onSuccess: () => undefined, onFailure: (error) => error })
