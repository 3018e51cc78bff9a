/**
 * What can go wrong with a private file or its directory. No field and no message holds the content of a file.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type { PlatformError } from "effect/PlatformError"
import * as Schema from "effect/Schema"
import { errnoOf } from "./Errno.ts"

/** Why a file was not used: other users could read or replace it, or it is no regular file. */
export const ExposedReason = Schema.Literals([
  "DirectoryWritable",
  "FileAccessible",
  "ForeignOwner",
  "SymbolicLink",
  "NotRegularFile"
])
export type ExposedReason = typeof ExposedReason.Type

/**
 * A private file could not be used. `Unreadable`: the file may be intact, and nothing was created or changed. `Unwritable`:
 * the earlier content is still there. The others: see `ExposedReason`.
 */
export class StorageError extends Schema.TaggedError<StorageError>()("StorageError", {
  path: Schema.String,
  reason: Schema.Literals(["Unreadable", "Unwritable", ...ExposedReason.literals]),
  /** The name of the failed call's error, such as `EACCES`. */
  errno: Schema.optionalKey(Schema.String),
  /** Numeric user id of the file's owner. */
  owner: Schema.optionalKey(Schema.Int),
  /** Permission bits with set-user-id, set-group-id and sticky bit. */
  mode: Schema.optionalKey(Schema.Int),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  /** The three kinds that callers tell apart. */
  get fault(): "Unreadable" | "Unwritable" | "Exposed" {
    return this.reason === "Unreadable" || this.reason === "Unwritable" ? this.reason : "Exposed"
  }
  override get message(): string {
    switch (this.reason) {
      case "Unreadable":
        return unreadableMessage(this)
      case "Unwritable":
        return unwritableMessage(this)
      default:
        return exposedMessage(this, this.reason, "file")
    }
  }
}

/** A failed call as `Unwritable`. */
export const unwritable = (path: string) => (cause: PlatformError): StorageError => {
  const errno = errnoOf(cause)
  return new StorageError({ path, reason: "Unwritable", cause, ...(errno === undefined ? {} : { errno }) })
}

/** A failed call as `Unreadable`, with owner and mode of what is there. */
export const unreadable = (path: string) =>
  Effect.fnUntraced(function*(cause: PlatformError) {
    const fs = yield* FileSystem.FileSystem
    const errno = errnoOf(cause)
    const found = yield* Effect.option(fs.lstat(path))
    const owner = Option.flatMap(found, (file) => file.uid)
    return yield* new StorageError({
      path,
      reason: "Unreadable",
      cause,
      ...(errno === undefined ? {} : { errno }),
      ...(Option.isSome(owner) ? { owner: owner.value } : {}),
      ...(Option.isSome(found) ? { mode: found.value.mode & 0o7777 } : {})
    })
  })

interface Facts {
  readonly path: string
  readonly errno?: string
  readonly owner?: number
  readonly mode?: number
}

/** The message for a file that could not be read. It names errno, owner (uid) and mode (octal) where they are known. */
export const unreadableMessage = ({ errno, mode, owner, path }: Facts): string => {
  const facts = [
    errno ?? "unknown cause",
    ...(owner === undefined ? [] : [`owner ${owner}`]),
    ...(mode === undefined ? [] : [`mode ${octal(mode)}`])
  ]
  return `${path} could not be read (${facts.join(", ")}). Nothing was changed.`
}

/** The message for a file that could not be written. */
export const unwritableMessage = ({ errno, path }: Facts): string =>
  `${path} could not be written (${errno ?? "unknown cause"}).`

/** `secret` is what others could read or put there, such as `key`. */
export const exposedMessage = ({ mode, owner, path }: Facts, reason: ExposedReason, secret: string): string => {
  const shown = mode === undefined ? "" : ` (mode ${octal(mode)})`
  switch (reason) {
    case "DirectoryWritable":
      return `${path}: the directory may be written by other users, who could put their own ${secret} there${shown}.`
    case "FileAccessible":
      return `${path}: the file may be read or written by other users${shown}.`
    case "ForeignOwner":
      return `${path} belongs to another user (user id ${owner ?? "unknown"}), who could put their own ${secret} there.`
    case "SymbolicLink":
      return `${path}: the path is a symbolic link, which may lead anywhere${shown}.`
    case "NotRegularFile":
      return `${path}: the path is not a regular file${shown}.`
  }
}

const octal = (mode: number): string => (mode & 0o7777).toString(8).padStart(4, "0")
