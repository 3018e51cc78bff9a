/**
 * Files that a person names, and that are only read. They need not be private, and may be anything: so nothing is read but
 * a regular file, and no more of it than belongs there.
 */
import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { StorageError, unreadable } from "./StorageError.ts"

/**
 * The content of a regular file, through symbolic links. Fails with `NotRegularFile` for a device or a pipe, and with
 * `Unreadable` for all else: `EISDIR` for a directory, `EFBIG` for more than `maxBytes`.
 */
export const readRegularFile = Effect.fnUntraced(function*(path: string, maxBytes: number) {
  const fs = yield* FileSystem.FileSystem
  // Before it is opened: to open a pipe is to wait for its writer.
  const { mode, size, type } = yield* Effect.catch(fs.stat(path), unreadable(path))
  if (type === "Directory") return yield* new StorageError({ path, reason: "Unreadable", errno: "EISDIR" })
  if (type !== "File") return yield* new StorageError({ path, reason: "NotRegularFile", mode: mode & 0o7777 })
  if (ByteSize.toBigInt(size) > BigInt(maxBytes)) return yield* tooLarge(path)
  const bytes = yield* Effect.scoped(Effect.flatMap(fs.open(path, { flag: "r" }), (file) => readAll(file, maxBytes)))
    .pipe(Effect.catch(unreadable(path)))
  return bytes ?? (yield* tooLarge(path))
})

/**
 * The content of an open descriptor, `/dev/fd/<number>`, which may be a pipe: that is read until its writer closes it, as
 * the file system reads pieces of regular files only. `EFBIG` for more than `maxBytes`.
 */
export const readDescriptor = Effect.fnUntraced(function*(path: string, maxBytes: number) {
  const fs = yield* FileSystem.FileSystem
  const { type } = yield* Effect.catch(fs.stat(path), unreadable(path))
  if (type === "File") return yield* readRegularFile(path, maxBytes)
  const bytes = yield* Effect.catch(fs.readFile(path), unreadable(path))
  return bytes.length > maxBytes ? yield* tooLarge(path) : bytes
})

const tooLarge = (path: string) => new StorageError({ path, reason: "Unreadable", errno: "EFBIG" })

/** What a file says of its size may be wrong or not known, so it is read to its end; undefined where that is too far. */
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
