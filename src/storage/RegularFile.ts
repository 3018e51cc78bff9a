/**
 * Files that a person names and that are only read. Such a path may lead to anything, so only a regular file is read, and
 * only up to a limit.
 */
import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import { StorageError, unreadable } from "./StorageError.ts"

/**
 * The content of a regular file. Symbolic links are followed. Fails with `NotRegularFile` for a device or a pipe, else with
 * `Unreadable`: `EISDIR` for a directory, `EFBIG` for more than `maxBytes`.
 */
export const readRegularFile = Effect.fnUntraced(function*(path: string, maxBytes: number) {
  const fs = yield* FileSystem.FileSystem
  // The type is checked first, as opening a pipe waits for its writer.
  const { mode, size, type } = yield* Effect.catch(fs.stat(path), unreadable(path))
  if (type === "Directory") return yield* new StorageError({ path, reason: "Unreadable", errno: "EISDIR" })
  if (type !== "File") return yield* new StorageError({ path, reason: "NotRegularFile", mode: mode & 0o7777 })
  if (ByteSize.toBigInt(size) > BigInt(maxBytes)) return yield* tooLarge(path)
  const bytes = yield* Effect.scoped(Effect.flatMap(fs.open(path, { flag: "r" }), (file) => readAll(file, maxBytes)))
    .pipe(Effect.catch(unreadable(path)))
  return bytes ?? (yield* tooLarge(path))
})

/**
 * The content of a regular file that nobody changes meanwhile; undefined where somebody did. It is read from one descriptor. Before
 * and after that the size, the time of the last change and the file's number are compared, and whether the path still leads to
 * this file. A program that sets the time of the last change back is not noticed.
 */
export const readUnchanged = Effect.fnUntraced(function*(path: string, maxBytes: number) {
  const fs = yield* FileSystem.FileSystem
  const before = yield* Effect.catch(fs.stat(path), unreadable(path))
  const bytes = yield* readRegularFile(path, maxBytes)
  const after = yield* Effect.option(fs.stat(path))
  return Option.exists(after, (now) => isSame(before, now)) && ByteSize.toBigInt(before.size) === BigInt(bytes.length)
    ? bytes
    : undefined
})

const isSame = (one: FileSystem.File.Info, other: FileSystem.File.Info): boolean =>
  one.dev === other.dev
  && Option.getOrUndefined(one.ino) === Option.getOrUndefined(other.ino)
  && one.size === other.size
  && Option.getOrUndefined(one.mtime)?.getTime() === Option.getOrUndefined(other.mtime)?.getTime()

/**
 * The content of an open descriptor, `/dev/fd/<number>`: of a regular file, or of a pipe until its writer closes it. The limit of
 * a pipe is checked at its end, as `FileSystem` reads pieces of regular files only. A device, which may have no end, fails with
 * `NotRegularFile`; `EFBIG` for more than `maxBytes`.
 */
export const readDescriptor = Effect.fnUntraced(function*(path: string, maxBytes: number) {
  const fs = yield* FileSystem.FileSystem
  const { mode, type } = yield* Effect.catch(fs.stat(path), unreadable(path))
  if (type === "CharacterDevice" || type === "BlockDevice") {
    return yield* new StorageError({ path, reason: "NotRegularFile", mode: mode & 0o7777 })
  }
  if (type === "File") return yield* readRegularFile(path, maxBytes)
  const bytes = yield* Effect.catch(fs.readFile(path), unreadable(path))
  return bytes.length > maxBytes ? yield* tooLarge(path) : bytes
})

const tooLarge = (path: string) => new StorageError({ path, reason: "Unreadable", errno: "EFBIG" })

/** Reads to the end, as the size of a file may be unknown or wrong; undefined for more than `maxBytes`. */
const readAll = Effect.fnUntraced(function*(file: FileSystem.File, maxBytes: number) {
  const pieces: Array<Uint8Array> = []
  let length = 0
  for (;;) {
    const piece = new Uint8Array(Math.min(pieceBytes, maxBytes + 1 - length))
    const count = yield* file.read(piece)
    if (count === 0) break
    pieces.push(piece.subarray(0, count))
    length += count
    if (length > maxBytes) return undefined
  }
  const bytes = new Uint8Array(length)
  let filled = 0
  for (const piece of pieces) {
    bytes.set(piece, filled)
    filled += piece.length
  }
  return bytes
})

const pieceBytes = 65_536
