import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/testing/TestClock"
import { adviceOn } from "../../src/advice/ErrorCatalogue.ts"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { TokenStore } from "../../src/identity/TokenStore.ts"
import { AuthToken } from "../../src/protocol/Connect.ts"
import { PrivateFile } from "../../src/storage/PrivateFile.ts"
import { RunId, TaskId } from "../../src/tasks/Task.ts"
import { TaskJournal } from "../../src/tasks/TaskJournal.ts"
import { interleaved, killAt, machine, privateFile } from "../identity/Fixture.ts"
import { copyDisk, failure, makeDisk, place, snapshot } from "./MemoryFiles.ts"

const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const read = (file: PrivateFile["Service"], path: string) =>
  Effect.map(file.read(path), Option.map(({ bytes }) => new TextDecoder().decode(bytes)))

const home = "wss://gateway.example:443/"

/** The real file system, with whatever the test wants to do around each call. */
const onDisk = Layer.mergeAll(NodeFileSystem.layer, NodePath.layer, SecureRandom.layerWebCrypto)
const real = Effect.gen(function*() {
  const context = yield* Layer.build(Layer.provideMerge(PrivateFile.layer, onDisk))
  const fs = Context.get(context, FileSystem.FileSystem)
  const paths = Context.get(context, Path.Path)
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "private-file-" })
  return { file: Context.get(context, PrivateFile), fs, paths, directory }
})

describe("PrivateFile", () => {
  it.effect("creates once, never overwrites, and leaves nothing else behind", () =>
    Effect.gen(function*() {
      const { directory, file, fs, paths } = yield* real
      const path = paths.join(directory, "made", "deep", "file")
      assert.isTrue((yield* file.create(path, text("one"))).created)
      assert.isFalse((yield* file.create(path, text("two"))).created)
      assert.deepStrictEqual(yield* read(file, path), Option.some("one"))
      assert.isTrue((yield* file.replace(path, text("three"))).created)
      assert.deepStrictEqual(yield* read(file, path), Option.some("three"))
      assert.deepStrictEqual(yield* fs.readDirectory(paths.dirname(path)), ["file"])
      assert.strictEqual((yield* fs.stat(path)).mode & 0o777, 0o600)
      assert.strictEqual((yield* fs.stat(paths.dirname(path))).mode & 0o777, 0o700)
      assert.strictEqual((yield* fs.stat(paths.join(directory, "made"))).mode & 0o777, 0o700)
      yield* file.remove(path)
      yield* file.remove(path)
      assert.deepStrictEqual(yield* read(file, path), Option.none())
      assert.deepStrictEqual(yield* read(file, paths.join(directory, "none", "file")), Option.none())
    }))

  it.effect("F18: symbolic links and directories are refused and not followed", () =>
    Effect.gen(function*() {
      const { directory, file, fs, paths } = yield* real
      const target = paths.join(directory, "target")
      const link = paths.join(directory, "link")
      yield* fs.writeFileString(target, "secret", { mode: 0o600 })
      yield* fs.symlink(target, link)
      yield* fs.makeDirectory(paths.join(directory, "folder"))
      const reasonOf = (path: string) => Effect.map(Effect.flip(file.read(path)), (error) => error.reason)
      assert.strictEqual(yield* reasonOf(link), "SymbolicLink")
      assert.strictEqual(yield* reasonOf(paths.join(directory, "folder")), "NotRegularFile")
      // a dangling link is not absent either: creating through it would write wherever it leads
      yield* fs.remove(target)
      assert.strictEqual(yield* reasonOf(link), "SymbolicLink")
      assert.isFalse((yield* file.create(link, text("x"))).created)
      assert.isFalse(yield* fs.exists(target))
    }))

  it.effect("F18: a directory that stays writable to others is refused before anything is written", () =>
    Effect.gen(function*() {
      const { directory, file, fs, paths } = yield* real
      // The sticky bit says that a directory is shared on purpose, so it is not ours to change.
      for (const [mode, strict] of [[0o777, true], [0o775, true], [0o722, true], [0o1777, false]] as const) {
        const open = paths.join(directory, `open-${mode}`)
        yield* fs.makeDirectory(open)
        yield* fs.chmod(open, mode)
        for (
          const attempt of [
            file.create(paths.join(open, "file"), text("x"), { strict }),
            file.replace(paths.join(open, "file"), text("x"), { strict })
          ]
        ) {
          const error = yield* Effect.flip(attempt)
          assert.deepStrictEqual([error._tag, error.reason, error.fault], [
            "StorageError",
            "DirectoryWritable",
            "Exposed"
          ])
          assert.strictEqual(adviceOn(error)?.command, `chmod go-w ${open}`)
        }
        yield* fs.writeFileString(paths.join(open, "file"), "planted", { mode: 0o600 })
        assert.strictEqual((yield* Effect.flip(file.read(paths.join(open, "file"), { strict }))).fault, "Exposed")
        assert.deepStrictEqual(yield* fs.readDirectory(open), ["file"])
        assert.strictEqual((yield* fs.stat(open)).mode & 0o7777, mode)
      }
      const group = paths.join(directory, "readable")
      yield* fs.makeDirectory(group, { mode: 0o755 })
      assert.isTrue((yield* file.create(paths.join(group, "file"), text("x"))).created)
    }))

  it.effect("a directory of ours that others may write is closed to them, with a warning", () =>
    Effect.gen(function*() {
      const { directory, file, fs, paths } = yield* real
      for (const [mode, after] of [[0o777, 0o755], [0o775, 0o755], [0o770, 0o750], [0o2770, 0o2750]] as const) {
        const warnings = (at: string) => [{ _tag: "DirectoryRepaired" as const, path: at, mode }]
        const open = paths.join(directory, `repaired-${mode}`)
        const path = paths.join(open, "file")
        yield* fs.makeDirectory(open)
        const opened = fs.chmod(open, mode)
        yield* opened
        assert.deepStrictEqual(yield* file.create(path, text("x")), { created: true, warnings: warnings(open) })
        assert.strictEqual((yield* fs.stat(open)).mode & 0o7777, after)
        yield* opened
        assert.deepStrictEqual((yield* file.replace(path, text("y"))).warnings, warnings(open))
        yield* opened
        assert.deepStrictEqual(Option.getOrThrow(yield* file.read(path)).warnings, warnings(open))
        assert.deepStrictEqual(Option.getOrThrow(yield* file.read(path)).warnings, [])
        yield* opened
        assert.deepStrictEqual(yield* file.list(open), { names: ["file"], warnings: warnings(open) })
      }
    }))

  it.effect("a directory that cannot be closed is refused, and so is another user's file in one that was closed", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      place(disk, "/s/file", "planted")
      const directory = disk.entries.get("/s")
      const planted = disk.entries.get("/s/file")
      if (directory === undefined || planted === undefined) return assert.fail("no file")
      directory.mode = 0o777
      const stuck = yield* privateFile(disk, { chmod: false })
      assert.strictEqual((yield* Effect.flip(stuck.read("/s/file"))).reason, "DirectoryWritable")
      assert.strictEqual((yield* Effect.flip(stuck.create("/s/other", text("x")))).reason, "DirectoryWritable")
      planted.uid = 4711
      const file = yield* privateFile(disk)
      assert.strictEqual((yield* Effect.flip(file.read("/s/file"))).reason, "ForeignOwner")
      assert.strictEqual(directory.mode & 0o777, 0o755)
      assert.deepStrictEqual(snapshot(disk), { "/s/file": "planted" })
    }))

  it.effect("F05: an exposed file is repaired and reported, or refused when strict", () =>
    Effect.gen(function*() {
      const { directory, file, fs, paths } = yield* real
      const path = paths.join(directory, "file")
      yield* file.create(path, text("x"))
      yield* fs.chmod(path, 0o664)
      assert.strictEqual((yield* Effect.flip(file.read(path, { strict: true }))).fault, "Exposed")
      const found = Option.getOrThrow(yield* file.read(path))
      assert.deepStrictEqual(found.warnings, [{ _tag: "ModeRepaired", path, mode: 0o664 }])
      assert.strictEqual((yield* fs.stat(path)).mode & 0o777, 0o600)
    }))

  it.effect("refuses to write more than it reads back", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      const file = yield* privateFile(disk)
      const largest = new Uint8Array(1024 * 1024)
      yield* file.create("/s/file", largest)
      assert.lengthOf(Option.getOrThrow(yield* file.read("/s/file")).bytes, largest.length)
      yield* file.replace("/s/file", text("small"))
      for (const write of [file.create, file.replace]) {
        const error = yield* Effect.flip(write("/s/file", new Uint8Array(1024 * 1024 + 1)))
        assert.deepStrictEqual([error.reason, error.errno], ["Unwritable", "EFBIG"])
      }
      assert.deepStrictEqual(snapshot(disk), { "/s/file": "small" })
    }))

  it.effect("a file of more than a mebibyte is not read", () =>
    Effect.gen(function*() {
      const { directory, file, fs, paths } = yield* real
      const path = paths.join(directory, "file")
      yield* fs.writeFile(path, new Uint8Array(1024 * 1024 + 1), { mode: 0o600 })
      const error = yield* Effect.flip(file.read(path))
      assert.deepStrictEqual([error.fault, error.errno], ["Unreadable", "EFBIG"])
    }))

  it.effect("removes temporary files of ours after a minute, and no other files", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      const file = yield* privateFile(disk)
      const old = "/s/file.0123456789abcdef.tmp"
      const fresh = "/s/file.fedcba9876543210.tmp"
      const others = [
        "/s/other.0123456789abcdef.tmp",
        "/s/file.0123.tmp",
        "/s/file.backup",
        "/s/file.0123456789abcdef.tmp2"
      ]
      place(disk, "/s/file", "content")
      place(disk, old, "old")
      for (const other of others) place(disk, other, "keep")
      yield* TestClock.adjust("60 seconds")
      assert.strictEqual(yield* file.sweep("/s/file"), 0)
      place(disk, fresh, "fresh", 0o600, 60_000)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* file.sweep("/s/file"), 1)
      assert.deepStrictEqual(Object.keys(snapshot(disk)).toSorted(), ["/s/file", fresh, ...others].toSorted())
      assert.strictEqual(yield* file.sweep("/nowhere/file"), 0)
    }))

  it.effect("F04: replacing removes a temporary file that is another name of the old content at once", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      place(disk, "/s/file", "secret")
      const inode = disk.entries.get("/s/file")
      if (inode !== undefined) disk.entries.set("/s/file.0123456789abcdef.tmp", inode)
      const file = yield* privateFile(disk)
      yield* file.replace("/s/file", text("sealed"))
      assert.deepStrictEqual(snapshot(disk), { "/s/file": "sealed" })
    }))

  it.effect("F18: after a replacement that is killed at any operation, a reader finds the old or the new content", () =>
    Effect.gen(function*() {
      const whole = killAt(Number.POSITIVE_INFINITY)
      const start = makeDisk()
      place(start, "/s/file", "the old content")
      yield* Effect.flatMap(
        privateFile(copyDisk(start), whole),
        (file) => file.replace("/s/file", text("the new content"))
      )
      const seen = new Set<string | undefined>()
      for (let operation = 0; operation <= whole.count(); operation++) {
        const disk = copyDisk(start)
        const killed = yield* privateFile(disk, killAt(operation))
        yield* Effect.exit(killed.replace("/s/file", text("the new content")))
        seen.add(snapshot(disk)["/s/file"])
      }
      assert.deepStrictEqual(seen, new Set(["the old content", "the new content"]))
    }))

  it.effect("writes again when its temporary file was removed", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      let vanished = 0
      const gate = (operation: string) =>
        Effect.sync(() => {
          if (operation !== "link" && operation !== "rename") return
          if (vanished++ > 0) return
          for (const name of disk.entries.keys()) if (name.endsWith(".tmp")) disk.entries.delete(name)
        })
      const file = yield* privateFile(disk, { gate })
      assert.isTrue((yield* file.create("/s/file", text("x"))).created)
      vanished = 0
      yield* file.replace("/s/file", text("y"))
      assert.deepStrictEqual(snapshot(disk), { "/s/file": "y" })
    }))

  it.effect("a failed write is a typed error, removes its temporary file and leaves the old content", () =>
    Effect.gen(function*() {
      for (const operation of ["open", "write", "sync", "link", "rename"]) {
        const disk = makeDisk()
        const good = yield* privateFile(disk)
        yield* good.create("/s/kept", text("kept"))
        const gate = (done: string, at: string) =>
          done === operation && at.includes("/s/") ? Effect.fail(failure("Unknown", "ENOSPC", done, at)) : Effect.void
        const bad = yield* privateFile(disk, { gate, seed: "bad" })
        if (operation !== "rename") {
          const error = yield* Effect.flip(bad.create("/s/file", text("x")))
          assert.deepStrictEqual([error.fault, error.errno], ["Unwritable", "ENOSPC"], operation)
        }
        if (operation !== "link") {
          assert.isTrue((yield* Effect.exit(bad.replace("/s/kept", text("x"))))._tag === "Failure")
        }
        assert.deepStrictEqual(snapshot(disk), { "/s/kept": "kept" }, operation)
      }
    }))

  it.effect("of several writers at once exactly one creates the file, and the file has its content", () =>
    Effect.gen(function*() {
      for (let round = 0; round < 100; round++) {
        const disk = makeDisk()
        const writers = yield* Effect.forEach(
          [0, 1, 2, 3],
          (index) => privateFile(disk, { seed: `${round}:${index}`, ...interleaved(`${round}:${index}`) })
        )
        const written = yield* Effect.forEach(
          writers,
          (file, index) => file.create("/s/file", text(`writer ${index}`)),
          { concurrency: "unbounded" }
        )
        const winners = written.flatMap(({ created }, index) => created ? [`writer ${index}`] : [])
        assert.deepStrictEqual(snapshot(disk), { "/s/file": winners[0] ?? "" })
        assert.strictEqual(winners.length, 1)
      }
    }))

  const withoutLinks = ["EACCES", "EPERM", "EXDEV", "EMLINK", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EINVAL", "EISDIR"]

  for (const linkErrno of withoutLinks) {
    it.effect(`creates a file once and never overwrites it where a hard link fails with ${linkErrno}`, () =>
      Effect.gen(function*() {
        const disk = makeDisk()
        const file = yield* privateFile(disk, { linkErrno })
        assert.deepStrictEqual(yield* file.create("/s/file", text("one")), {
          created: true,
          warnings: [{ _tag: "LinksUnsupported", path: "/s" }]
        })
        assert.isFalse((yield* file.create("/s/file", text("two"))).created)
        assert.deepStrictEqual(snapshot(disk), { "/s/file": "one" })
        assert.deepStrictEqual([...disk.entries.keys()], ["/", "/s", "/s/file"])
        assert.strictEqual(disk.entries.get("/s/file")?.mode, 0o600)
      }))
  }

  it.effect("of several writers at once exactly one creates the file, also without hard links", () =>
    Effect.gen(function*() {
      // In round 2569 another writer gives the winner's content its name before the winner looks.
      for (const round of [...Array(30).keys(), 2569]) {
        const disk = makeDisk()
        const writers = yield* Effect.forEach(
          [0, 1, 2, 3],
          (index) =>
            privateFile(disk, { seed: `${round}:${index}`, linkErrno: "EACCES", ...interleaved(`${round}:${index}`) })
        )
        const written = yield* Effect.forEach(
          writers,
          (file, index) => file.create("/s/file", text(`writer ${index}`)),
          { concurrency: "unbounded" }
        )
        const winners = written.flatMap(({ created }, index) => created ? [`writer ${index}`] : [])
        assert.deepStrictEqual(snapshot(disk), { "/s/file": winners[0] ?? "" }, `round ${round}`)
        assert.strictEqual(winners.length, 1)
        assert.deepStrictEqual([...disk.entries.keys()].toSorted(), ["/", "/s", "/s/file"])
      }
    }))

  it.effect("of sixteen writers on a real disk without hard links one creates the file, and nothing else stays", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const linkless = Layer.succeed(FileSystem.FileSystem, {
        ...fs,
        link: (_, to) => Effect.fail(failure("PermissionDenied", "EACCES", "link", to))
      })
      const file = Context.get(
        yield* Layer.build(
          PrivateFile.layer.pipe(Layer.provide([linkless, NodePath.layer, SecureRandom.layerWebCrypto]))
        ),
        PrivateFile
      )
      const directory = yield* fs.makeTempDirectoryScoped({ prefix: "private-file-" })
      for (let round = 0; round < 10; round++) {
        const path = `${directory}/made/${round}`
        const written = yield* Effect.forEach(
          [...Array(16).keys()],
          (writer) => file.create(path, text(`writer ${writer}`)),
          { concurrency: "unbounded" }
        )
        const winners = written.flatMap(({ created }, writer) => created ? [`writer ${writer}`] : [])
        assert.deepStrictEqual(winners, [yield* fs.readFileString(path)])
        assert.isFalse((yield* file.create(path, text("late"))).created)
      }
      assert.lengthOf(yield* fs.readDirectory(`${directory}/made`), 10)
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.effect("after a creation without hard links that is killed at any operation, the next one leaves one whole file", () =>
    Effect.gen(function*() {
      const whole = { ...killAt(Number.POSITIVE_INFINITY), linkErrno: "EACCES" }
      yield* Effect.flatMap(privateFile(makeDisk(), whole), (file) => file.create("/s/file", text("killed")))
      const seen = new Set<string | undefined>()
      for (let operation = 0; operation <= whole.count(); operation++) {
        const disk = makeDisk()
        const killed = yield* privateFile(disk, { seed: "killed", linkErrno: "EACCES", ...killAt(operation) })
        yield* Effect.exit(killed.create("/s/file", text("killed")))
        const left = snapshot(disk)["/s/file"]
        assert.include([undefined, "killed"], left)
        const next = yield* privateFile(disk, { seed: "next", linkErrno: "EACCES" })
        const { created } = yield* next.create("/s/file", text("next"))
        assert.strictEqual(snapshot(disk)["/s/file"], created ? "next" : "killed")
        seen.add(snapshot(disk)["/s/file"])
        yield* TestClock.adjust("61 seconds")
        yield* next.sweep("/s/file")
        assert.deepStrictEqual([...disk.entries.keys()].toSorted(), ["/", "/s", "/s/file"], `killed at ${operation}`)
      }
      assert.deepStrictEqual(seen, new Set(["killed", "next"]))
    }))

  for (const errno of ["EINVAL", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"]) {
    it.effect(`writes everything, with one warning, where sync fails with ${errno}`, () =>
      Effect.gen(function*() {
        const disk = makeDisk()
        const said: Array<unknown> = []
        const gate = (operation: string, at: string) =>
          operation === "sync" ? Effect.fail(failure("Unknown", errno, operation, at)) : Effect.void
        const program = Effect.gen(function*() {
          const file = yield* PrivateFile
          assert.deepStrictEqual(yield* file.create("/s/file", text("one")), { created: true, warnings: [] })
          yield* file.replace("/s/file", text("two"))
          const device = yield* DeviceIdentity
          const tokens = yield* TokenStore
          const tasks = yield* TaskJournal
          const token = Redacted.make(AuthToken.make("token"))
          const key = { gatewayScope: home, deviceId: device.deviceId, role: "operator" as const }
          yield* tokens.put(key, { token, scopes: [], storedAtMs: 1 })
          yield* tasks.put({
            taskId: TaskId.make("1a2b3c4d"),
            runId: RunId.make("0b0f9bd0-6d27-4c33-9c14-3a1f7b3f4a11"),
            gatewayScope: home,
            sessionKey: "agent:main:main",
            summary: "water the plants",
            position: 1,
            acceptedAtMs: 1
          })
          assert.lengthOf(yield* tasks.read, 1)
          assert.isTrue(Option.isSome(yield* tokens.get(key)))
        })
        yield* program.pipe(
          Effect.provide(
            Layer.mergeAll(
              PrivateFile.layer,
              DeviceIdentity.layerFile({ path: "/s/identity.json" }),
              TokenStore.layerFile({ directory: "/s/tokens" }),
              TaskJournal.layerFile({ directory: "/s/tasks" })
            ).pipe(
              Layer.provide(machine(disk, { gate })),
              Layer.provideMerge(Logger.layer([Logger.make(({ message }) => void said.push(message))]))
            )
          )
        )
        assert.strictEqual(snapshot(disk)["/s/file"], "two")
        assert.deepStrictEqual(said.map(String), [
          "files cannot be synced to this file system: what was written last may be lost with the power"
        ])
      }))
  }

  it.effect("a sync that fails with another error is a failed write", () =>
    Effect.gen(function*() {
      const gate = (operation: string, at: string) =>
        operation === "sync" ? Effect.fail(failure("Unknown", "EIO", operation, at)) : Effect.void
      const error = yield* Effect.flip(
        Effect.flatMap(privateFile(makeDisk(), { gate }), (file) => file.create("/s/file", text("x")))
      )
      assert.deepStrictEqual([error.reason, error.errno], ["Unwritable", "EIO"])
    }))

  it.effect("an interrupt leaves no partial file", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      const file = yield* privateFile(disk, { gate: () => Effect.sleep("1 second") })
      const writing = yield* Effect.forkChild(file.create("/s/file", text("content")))
      yield* TestClock.adjust("3 seconds")
      const stopping = yield* Effect.forkChild(Effect.sync(() => writing.interruptUnsafe()))
      yield* TestClock.adjust("1 minute")
      assert.isDefined(stopping.pollUnsafe())
      assert.deepStrictEqual(snapshot(disk), { "/s/file": "content" })
    }))
})
