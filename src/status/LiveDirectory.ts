/**
 * The private sockets of the programs that run on a state directory: one for each program, in the directory `live` of mode 0700.
 *
 * The socket is named by the process, `<pid>.<8 hex digits>.sock`, so that programs that share a state directory have one each. That
 * of a killed program refuses connections; the next program removes it.
 */
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as PrivateDirectory from "../storage/PrivateDirectory.ts"
import type { StorageError } from "../storage/StorageError.ts"

/** The longest path of a socket, in bytes: macOS takes 103, Linux 107. */
export const maxPathBytes = 103

const nameShape = /^(\d{1,10})\.[0-9a-f]{8}\.sock$/

/** A socket of a program, which may have ended since. */
export interface Socket {
  readonly path: string
  /** The process that made it. */
  readonly pid: number
}

/** A socket as it is in the directory. */
export interface MadeSocket extends Socket {
  /** When it was made, in milliseconds since 1970 on this machine's clock; absent where the file system does not say. */
  readonly madeAtMs: number | undefined
}

export const directoryOf = Effect.fnUntraced(function*(stateDirectory: string) {
  return (yield* Path.Path).join(stateDirectory, "live")
})

/** A new name for the socket of this process. */
export const newPath = Effect.fnUntraced(function*(directory: string, pid: number) {
  const random = yield* SecureRandom.SecureRandom
  return (yield* Path.Path).join(directory, `${pid}.${Hex.encode(yield* random.randomBytes(4))}.sock`)
})

/**
 * The sockets in the directory, oldest first. Fails for a directory that another user owns or may write: whoever put a socket there
 * could answer in the name of the program.
 */
export const list: (
  directory: string
) => Effect.Effect<
  ReadonlyArray<MadeSocket>,
  StorageError,
  FileSystem.FileSystem | Path.Path | SecureRandom.SecureRandom
> = Effect.fnUntraced(function*(directory: string) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const { names } = yield* PrivateDirectory.list(directory, true)
  const found: Array<MadeSocket> = []
  for (const name of names) {
    const pid = nameShape.exec(name)?.[1]
    if (pid === undefined) continue
    const path = paths.join(directory, name)
    const info = yield* Effect.option(fs.stat(path))
    if (Option.isNone(info) || info.value.type !== "Socket") continue
    yield* PrivateDirectory.refuseForeign(path, info.value, directory)
    found.push({ path, pid: Number(pid), madeAtMs: Option.getOrUndefined(info.value.mtime)?.getTime() })
  }
  return found.toSorted((one, other) => (one.madeAtMs ?? 0) - (other.madeAtMs ?? 0))
})
