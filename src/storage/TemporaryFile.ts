/**
 * The names of a private file before it has its own: `<path>.<16 hex digits>.tmp`, and `<path>.claim` where there are no
 * hard links (see `RenameClaim`). The next process removes those that a killed one left behind.
 */
import * as Clock from "effect/Clock"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"

/** A new name beside `path`. */
export const tempNameFor = (path: string): Effect.Effect<string, never, SecureRandom.SecureRandom> =>
  Effect.flatMap(
    SecureRandom.SecureRandom,
    (random) => Effect.map(random.randomBytes(8), (bytes) => `${path}.${Hex.encode(bytes)}.tmp`)
  )

/** A new name for a file that shows what the file system supports. */
export const probeNameIn = Effect.fnUntraced(function*(directory: string) {
  const paths = yield* Path.Path
  return yield* tempNameFor(paths.join(directory, "probe"))
})

/** The directory by which one of several processes gets `path` where there are no hard links. */
export const claimNameOf = (path: string): string => `${path}.claim`

/** Whether both are the same file. False where the file system has no file numbers. */
export const sameFile = (left: Option.Option<FileSystem.File.Info>, right: Option.Option<FileSystem.File.Info>) => {
  const leftInode = inode(left)
  const rightInode = inode(right)
  return Option.isSome(leftInode) && Option.isSome(rightInode) && leftInode.value === rightInode.value
}

const inode = (found: Option.Option<FileSystem.File.Info>) =>
  Option.flatMap(found, (file) => Option.map(file.ino, (ino) => `${file.dev}:${ino}`))

const tempEnding = /^(?:[0-9a-f]{16}\.tmp|claim)$/
const probeName = /^probe\.[0-9a-f]{16}\.tmp$/
const staleAfterMs = 60_000

/** See `PrivateFile.sweep`. */
export const sweep = Effect.fn("PrivateFile.sweep")(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const directory = paths.dirname(path)
  const prefix = `${paths.basename(path)}.`
  const names = yield* Effect.orElseSucceed(fs.readDirectory(directory), () => [])
  const temps = names.filter((name) =>
    probeName.test(name) || (name.startsWith(prefix) && tempEnding.test(name.slice(prefix.length)))
  )
  if (temps.length === 0) return 0
  const target = yield* Effect.option(fs.lstat(path))
  const now = yield* Clock.currentTimeMillis
  let removed = 0
  for (const name of temps) {
    const temp = paths.join(directory, name)
    const found = yield* Effect.option(fs.lstat(temp))
    const stale = Option.exists(
      Option.flatMap(found, (file) => file.mtime),
      (mtime) => now - mtime.getTime() > staleAfterMs
    )
    // Another name of the target is of no use any more, however young it is.
    if (!stale && !sameFile(found, target)) continue
    removed += yield* Effect.match(fs.remove(temp, { recursive: true }), { onSuccess: () => 1, onFailure: () => 0 })
  }
  return removed
})
