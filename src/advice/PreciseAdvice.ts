/**
 * What the fields of one failure make precise in its entry: the path in the command, the origin in the setting, and what the
 * name of the operating system's error asks for.
 */
import { placeholder, posixCommand } from "../protocol/ShellCommand.ts"
import { StorageError } from "../storage/StorageError.ts"
import { AttachmentRefused } from "../tasks/TaskError.ts"
import { TaskJournalError } from "../tasks/TaskJournal.ts"
import type { Entry } from "./Entry.ts"
import type { AdvisedError } from "./ErrorCatalogue.ts"
import { taskAdvice } from "./TaskAdvice.ts"

type Precise = Partial<Pick<Entry, "action" | "command">>

const nothing: Precise = {}

export const precise = (error: AdvisedError): Precise => {
  switch (error._tag) {
    case "IdentityUnreadable":
      return onFile({ path: error.path, reason: "Unreadable", errno: error.errno })
    case "IdentityUnwritable":
      return onFile({ path: error.path, reason: "Unwritable", errno: error.errno })
    case "StorageError":
    case "IdentityExposed":
      return onFile(error)
    case "TokenStoreError":
    case "TaskJournalError":
      return error.cause instanceof StorageError ? onFile(error.cause) : nothing
    case "TaskRefused":
      return error.cause instanceof TaskJournalError
        ? precise(error.cause)
        : error.cause instanceof AttachmentRefused
        ? taskAdvice.AttachmentRefused[error.cause.reason]
        : nothing
    case "OriginNotAllowed":
      return onOrigin(error.origin)
    default:
      return nothing
  }
}

const command = (...argv: ReadonlyArray<string>): string => posixCommand(argv).text

/** The fault of a private file. `errno` is the name of the failed call's error. */
const onFile = (
  { errno, path, reason }: {
    readonly path: string
    readonly reason: StorageError["reason"]
    readonly errno?: string | undefined
  }
): Precise => {
  switch (reason) {
    case "Unreadable":
    case "Unwritable":
      return onErrno(errno, path)
    case "DirectoryWritable":
      return { command: command("chmod", "go-w", path) }
    case "FileAccessible":
      return { command: command("chmod", "600", path) }
    case "ForeignOwner":
      return { command: command("chown", "-R", placeholder("user"), path) }
    case "SymbolicLink":
    case "NotRegularFile":
      return { command: command("ls", "-ld", path) }
  }
}

const onErrno = (errno: string | undefined, path: string): Precise => {
  switch (errno) {
    case "EACCES":
    case "EPERM":
      return {
        action: "Start the program as the owner, or give the file back to the user that runs it.",
        command: command("chown", placeholder("user"), path)
      }
    case "EROFS":
      return {
        action: "The place is mounted read-only: choose a state directory that may be written.",
        command: command("openclaw-device", "run", "--state-dir", placeholder("directory"))
      }
    case "ENOSPC":
    case "EDQUOT":
      return { action: "There is no space left: free some and start again.", command: "df -h" }
    case "EISDIR":
      return {
        action: "The path names a directory: choose a file name inside it.",
        command: command("ls", "-ld", path)
      }
    case "EEXIST":
    case "ENOTDIR":
      return {
        action: "A file stands where a directory is needed: move it away, or choose another place.",
        command: command("ls", "-ld", path)
      }
    case "EFBIG":
      return {
        action: "The file is far larger than what belongs here: move it away after looking at it.",
        command: command("ls", "-l", path)
      }
    default:
      return { action: "Check the disk and the mount, then start again.", command: command("ls", "-l", path) }
  }
}

const onOrigin = (origin: string | undefined): Precise =>
  origin === undefined
    ? {
      action: "Use the client id gateway-client, which needs no Origin: unset OPENCLAW_GATEWAY_CLIENT_ID.",
      command: "unset OPENCLAW_GATEWAY_CLIENT_ID"
    }
    : {
      command: command(
        "openclaw",
        "config",
        "set",
        "gateway.controlUi.allowedOrigins",
        JSON.stringify([origin, placeholder("those already there")])
      )
    }
