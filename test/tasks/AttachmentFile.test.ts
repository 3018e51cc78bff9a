import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import type { AttachmentUnreadable } from "../../src/tasks/AttachmentFile.ts"
import { read, typeOf } from "../../src/tasks/AttachmentFile.ts"
import type { Inode } from "../storage/MemoryFiles.ts"
import { makeDisk, makeFileSystem, user } from "../storage/MemoryFiles.ts"

const bytesOf = (text: string) => new TextEncoder().encode(text)
const png = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  "base64"
)

const failureOf = <A, R>(effect: Effect.Effect<A, AttachmentUnreadable, R>) =>
  Effect.map(Effect.flip(effect), ({ message, reason }) => ({ message, reason }))

describe("AttachmentFile", () => {
  it.effect("tells the type by the content, of a text by the name, and else says that it does not know", () =>
    Effect.gen(function*() {
      const types: ReadonlyArray<readonly [name: string, content: Uint8Array, type: string]> = [
        ["dot.png", png, "image/png"],
        ["dot.txt", png, "image/png"],
        ["no-name", png, "image/png"],
        ["paper", bytesOf("%PDF-1.7\n"), "application/pdf"],
        ["note.txt", bytesOf("a note"), "text/plain"],
        ["note", bytesOf("ein Gruß"), "text/plain"],
        ["note.md", bytesOf("# a note"), "text/markdown"],
        ["data.json", bytesOf("{}"), "application/json"],
        ["table.csv", bytesOf("a,b"), "text/csv"],
        // By its name alone it would be a video.
        ["Main.ts", bytesOf("export {}"), "text/plain"],
        ["fake.png", bytesOf("no image"), "text/plain"],
        ["fake.png", new Uint8Array([0, 1, 2, 255]), "application/octet-stream"],
        ["b.bin", new Uint8Array([0, 1, 2, 255]), "application/octet-stream"],
        ["torn.png", png.subarray(0, 9), "application/octet-stream"],
        ["torn.zip", bytesOf("PK\u0003\u0004"), "application/zip"],
        ["empty", new Uint8Array(), "text/plain"]
      ]
      for (const [name, content, type] of types) {
        assert.strictEqual(yield* typeOf(name, content), type, `${name} ${content.length}`)
      }
    }))

  it.effect("reads the whole file under its own name", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = `${yield* fs.makeTempDirectoryScoped()}/dot.png`
      yield* fs.writeFile(path, png)
      const { content, mimeType, name } = yield* read(path)
      assert.deepStrictEqual([name, mimeType, Buffer.from(content).equals(png)], ["dot.png", "image/png", true])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.effect("a file that is not there, is no file or is too large is an error with its path", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* fs.makeTempDirectoryScoped()
      assert.strictEqual((yield* failureOf(read(`${directory}/none`))).reason, "Missing")
      assert.strictEqual((yield* failureOf(read(directory))).reason, "NotRegularFile")
      assert.strictEqual((yield* failureOf(read("/dev/zero"))).reason, "NotRegularFile")
      yield* fs.writeFileString(`${directory}/file`, "")
      assert.strictEqual((yield* failureOf(read(`${directory}/file/below`))).reason, "Missing")
      yield* fs.truncate(`${directory}/file`, 25 * 1024 * 1024 + 1)
      const { message, reason } = yield* failureOf(read(`${directory}/file`))
      assert.strictEqual(reason, "TooLarge")
      assert.include(message, `${directory}/file`)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  const inode = (number: bigint, text: string, mtimeMs = 1000): Inode => ({
    number,
    type: "File",
    mode: 0o644,
    uid: user,
    bytes: bytesOf(text),
    mtimeMs
  })

  /** Reads `/file`, to which something happens at the time of an operation. */
  const meanwhile = Effect.fnUntraced(function*(operation: string, nth: number, next: Inode | undefined) {
    const disk = makeDisk()
    disk.entries.set("/file", inode(7n, "before"))
    let seen = 0
    const fs = yield* makeFileSystem(disk, {
      gate: (done) =>
        Effect.sync(() => {
          if (done !== operation || ++seen !== nth) return
          if (next === undefined) return void disk.entries.delete("/file")
          const now = disk.entries.get("/file")
          if (now?.number === next.number) Object.assign(now, next)
          else disk.entries.set("/file", next)
        })
    })
    return yield* Effect.provideService(read("/file"), FileSystem.FileSystem, fs)
  }, Effect.provide(Path.layer))

  it.effect("a file that is written, replaced or removed while it is read is an error", () =>
    Effect.gen(function*() {
      const reasonOf = (operation: string, nth: number, next: Inode | undefined) =>
        Effect.map(failureOf(meanwhile(operation, nth, next)), ({ reason }) => reason)
      for (const [operation, nth] of [["open", 1], ["read", 1], ["read", 2]] as const) {
        const at = `${operation} ${nth}`
        for (const text of ["longer than before", "short", "BEFORE"]) {
          assert.strictEqual(yield* reasonOf(operation, nth, inode(7n, text, 2000)), "Changed", `${at} ${text}`)
        }
        // The same content, in another file.
        assert.strictEqual(yield* reasonOf(operation, nth, inode(8n, "before")), "Changed", at)
      }
      // Behind the last read, and within one tick of the file system's clock.
      assert.strictEqual(yield* reasonOf("stat", 3, inode(7n, "longer than before")), "Changed")
      assert.strictEqual(yield* reasonOf("open", 1, undefined), "Missing")
      assert.strictEqual(yield* reasonOf("read", 1, undefined), "Changed")
      const { content } = yield* meanwhile("read", 1, inode(7n, "before"))
      assert.strictEqual(new TextDecoder().decode(content), "before")
    }))
})
