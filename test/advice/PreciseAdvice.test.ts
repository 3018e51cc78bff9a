import { assert, describe, it } from "@effect/vitest"
import { adviceOn, lookup } from "../../src/advice/ErrorCatalogue.ts"
import { fromStorage, IdentityAbsent } from "../../src/identity/IdentityError.ts"
import { TokenStoreError } from "../../src/identity/TokenStore.ts"
import { ExposedReason, StorageError } from "../../src/storage/StorageError.ts"
import { TaskRefused } from "../../src/tasks/TaskError.ts"
import { TaskJournalError } from "../../src/tasks/TaskJournal.ts"

const path = "/s/it's here/identity.json"
const quoted = `'/s/it'"'"'s here/identity.json'`

describe("advice on one failure", () => {
  it("G16: a command on a private file has the path of the file, quoted for a shell", () => {
    const commands = (reason: StorageError["reason"], errno?: string) => {
      const error = new StorageError({ path, reason, ...(errno === undefined ? {} : { errno }) })
      const both = [adviceOn(error)?.command, adviceOn(fromStorage(error))?.command]
      assert.strictEqual(both[0], both[1])
      return both[0]
    }
    assert.strictEqual(commands("DirectoryWritable"), `chmod go-w ${quoted}`)
    assert.strictEqual(commands("FileAccessible"), `chmod 600 ${quoted}`)
    assert.strictEqual(commands("Unreadable", "EACCES"), `chown '<user>' ${quoted}`)
    for (const reason of [...ExposedReason.literals, "Unreadable", "Unwritable"] as const) {
      assert.include(commands(reason), quoted, reason)
    }
  })

  it("the name of the operating system's error decides what to do, whatever the file holds", () => {
    for (
      const [errno, told] of Object.entries({
        EACCES: "Start the program as the owner",
        EROFS: "mounted read-only",
        ENOSPC: "no space left",
        EDQUOT: "no space left",
        EISDIR: "names a directory",
        ENOTDIR: "where a directory is needed",
        EEXIST: "where a directory is needed",
        EFBIG: "far larger",
        EIO: "Check the disk"
      })
    ) {
      const cause = new StorageError({ path, reason: "Unwritable", errno })
      const journal = new TaskJournalError({ path, reason: "Unwritable", cause })
      for (
        const error of [
          cause,
          fromStorage(cause),
          new TokenStoreError({ path, reason: "Unwritable", cause }),
          journal,
          new TaskRefused({ reason: "NotKept", cause: journal })
        ]
      ) {
        assert.include(adviceOn(error)?.action, told, `${error._tag} ${errno}`)
      }
    }
  })

  it("where the fields say no more, it is the entry of the catalogue", () => {
    assert.deepStrictEqual(adviceOn(new IdentityAbsent({ path })), lookup("IdentityAbsent"))
    assert.deepStrictEqual(adviceOn(new TaskRefused({ reason: "Empty" })), lookup("TaskRefused", "Empty"))
  })
})
