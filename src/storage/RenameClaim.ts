/**
 * How one of several processes gets a free name where the file system has no hard links.
 *
 * A rename replaces a file that is there, but never a directory that is not empty. So the content goes into a directory,
 * and the directory is renamed to `<path>.claim`, which one process alone can do. From there the content gets its name: the
 * process that comes next does that for one that was killed. Nothing is locked, and nobody waits.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import { errnoOf } from "./Errno.ts"
import { unreadable, unwritable } from "./StorageError.ts"
import { claimNameOf, sameFile, tempNameFor } from "./TemporaryFile.ts"

/** `Lost` means that somebody removed the content, so that all has to be done again. */
export type Outcome = "Created" | "Existed" | "Lost"

/** Gives `temp` the name `path` where that is free. */
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
        // The other one is done already, or directories cannot be renamed here.
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

/** Takes the content out of its directory, unless the name was given away meanwhile. `ours` is what the content is. */
const finish = Effect.fnUntraced(function*(from: string, path: string, ours: Option.Option<FileSystem.File.Info>) {
  const fs = yield* FileSystem.FileSystem
  // Whoever came next may have finished this already, so what is there can be ours.
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
 * Finishes what another process has begun. The name is looked at after the content was seen in its place: from then on only
 * this content can get the name, whoever gives it.
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

// More than there are processes that create the same file at once.
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
