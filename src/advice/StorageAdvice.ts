/**
 * Advice on errors of the room `storage`: private files that belong to no other room, such as that of a running gateway.
 */
import type { StorageError } from "../storage/StorageError.ts"
import type { Table } from "./Entry.ts"
import * as NextStep from "./NextStep.ts"

export const storageAdvice = {
  StorageError: {
    Unreadable: {
      problem: "A private file of this program could not be read.",
      owner: "you",
      action: "Look at the error in the message: check the owner and the mode of the file, the disk and the mount.",
      command: "ls -l <state directory>",
      next: NextStep.nothingChanged
    },
    Unwritable: {
      problem: "A private file of this program could not be written. What was there before is still there.",
      owner: "you",
      action:
        "Look at the error in the message: check the space, the owner and the mode of the directory, and the mount.",
      command: "df -h <state directory>",
      next: NextStep.nothingChanged
    },
    DirectoryWritable: {
      problem: "Other users may write to the state directory, and could put their own files there.",
      owner: "you",
      action: "Take that right away from them, or choose a directory of its own, which is then created with mode 0700.",
      command: "chmod go-w <directory>",
      next: NextStep.nothingChanged
    },
    FileAccessible: {
      problem: "Other users may read or write a private file of this program.",
      owner: "you",
      action: "Make it private. Take what it holds for known if they had time to read it.",
      command: "chmod 600 <file>",
      next: NextStep.nothingChanged
    },
    ForeignOwner: {
      problem: "A private file of this program, or its directory, belongs to another user.",
      owner: "you",
      action:
        "Start the program as that user, give the place to the user that runs it, or choose a directory of its own.",
      command: "chown -R <user> <state directory>",
      next: NextStep.nothingChanged
    },
    SymbolicLink: {
      problem: "The path of a private file is a symbolic link, which may lead anywhere.",
      owner: "you",
      action: "Name the file that the link leads to.",
      next: NextStep.nothingChanged
    },
    NotRegularFile: {
      problem: "The path of a private file is no regular file.",
      owner: "you",
      action: "Name a regular file, or one that does not exist yet.",
      next: NextStep.nothingChanged
    }
  }
} satisfies Table<StorageError>
