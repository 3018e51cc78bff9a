import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { execFileSync, spawn } from "node:child_process"
import { closeSync, openSync } from "node:fs"
import { readDescriptor, readRegularFile } from "../../src/storage/RegularFile.ts"

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const faultOf = <A, R>(effect: Effect.Effect<A, { readonly reason: string; readonly errno?: string }, R>) =>
  Effect.map(Effect.flip(effect), ({ errno, reason }) => errno === undefined ? reason : `${reason} ${errno}`)

const directory = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped({ prefix: "regular-" }))

describe("RegularFile", () => {
  it.effect("reads a file up to its limit, also through a symbolic link", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = `${yield* directory}/file`
      for (const content of ["", "x", "x".repeat(65_536), "y".repeat(200_000)]) {
        yield* fs.writeFileString(path, content)
        assert.strictEqual(text(yield* readRegularFile(path, 200_000)), content)
      }
      yield* fs.symlink(path, `${path}.link`)
      assert.lengthOf(yield* readRegularFile(`${path}.link`, 200_000), 200_000)
      assert.strictEqual(yield* faultOf(readRegularFile(path, 199_999)), "Unreadable EFBIG")
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("reads a file that does not say its size", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = "/proc/self/status"
      if (!(yield* fs.exists(path))) return
      assert.include(text(yield* readRegularFile(path, 65_536)), "Pid:")
      assert.strictEqual(yield* faultOf(readRegularFile(path, 16)), "Unreadable EFBIG")
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("refuses an endless device, a pipe without a writer and a directory at once", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const place = yield* directory
      execFileSync("mkfifo", [`${place}/pipe`])
      yield* fs.symlink(`${place}/pipe`, `${place}/link`)
      assert.strictEqual(yield* faultOf(readRegularFile("/dev/zero", 10)), "NotRegularFile")
      assert.strictEqual(yield* faultOf(readRegularFile(`${place}/pipe`, 10)), "NotRegularFile")
      assert.strictEqual(yield* faultOf(readRegularFile(`${place}/link`, 10)), "NotRegularFile")
      assert.strictEqual(yield* faultOf(readRegularFile(place, 10)), "Unreadable EISDIR")
      assert.strictEqual(yield* faultOf(readRegularFile(`${place}/none`, 10)), "Unreadable ENOENT")
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("reads a descriptor of a file or a pipe, up to the limit", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const place = yield* directory
      yield* fs.writeFileString(`${place}/file`, "content")
      const descriptor = yield* Effect.acquireRelease(
        Effect.sync(() => openSync(`${place}/file`, "r")),
        (opened) => Effect.sync(() => closeSync(opened))
      )
      assert.strictEqual(text(yield* readDescriptor(`/dev/fd/${descriptor}`, 7)), "content")
      assert.strictEqual(yield* faultOf(readDescriptor(`/dev/fd/${descriptor}`, 6)), "Unreadable EFBIG")
      assert.strictEqual(yield* faultOf(readDescriptor("/dev/fd/987654", 10)), "Unreadable ENOENT")
      const endless = yield* Effect.acquireRelease(
        Effect.sync(() => openSync("/dev/zero", "r")),
        (opened) => Effect.sync(() => closeSync(opened))
      )
      assert.strictEqual(yield* faultOf(readDescriptor(`/dev/fd/${endless}`, 10)), "NotRegularFile")
      execFileSync("mkfifo", [`${place}/pipe`])
      for (const [maxBytes, read] of [[7, "content"], [6, "Unreadable EFBIG"]] as const) {
        spawn("sh", ["-c", `printf content > ${place}/pipe`])
        const given = Effect.map(readDescriptor(`${place}/pipe`, maxBytes), text)
        assert.strictEqual(yield* (maxBytes === 7 ? given : faultOf(given)), read)
      }
    }).pipe(Effect.provide(NodeServices.layer)))
})
