import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/testing/TestClock"
import { createHash, generateKeyPairSync } from "node:crypto"
import { adviceOn } from "../../src/advice/ErrorCatalogue.ts"
import { HostPlatform } from "../../src/identity/HostPlatform.ts"
import { IdentityAdmin } from "../../src/identity/IdentityAdmin.ts"
import * as KeyEnvelope from "../../src/identity/KeyEnvelope.ts"
import { PlatformName } from "../../src/protocol/Connect.ts"
import { copyDisk, type Disk, failure, makeDisk, place, snapshot } from "../storage/MemoryFiles.ts"
import { killAt, load, type Machine, machine, path } from "./Fixture.ts"

const admin = (disk: Disk, on: Machine = {}, at = path) =>
  Effect.map(
    Layer.build(IdentityAdmin.layerFile({ path: at }).pipe(Layer.provideMerge(machine(disk, on)))),
    Context.get(IdentityAdmin)
  )
const first = Redacted.make("first passphrase")
const second = Redacted.make("second passphrase")
/** Sealing costs a third of a second on purpose, which tests that seal many times do without. */
const cheaply = Effect.provideService(KeyEnvelope.Cost, 2 ** 14)
const reasonOf = <A, E extends { readonly _tag: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), (error) => "reason" in error ? `${error._tag} ${String(error.reason)}` : error._tag)

const foreign = () => {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519")
  const raw = publicKey.export({ format: "der", type: "spki" }).subarray(-32)
  return {
    deviceId: createHash("sha256").update(raw).digest("hex"),
    publicKeyPem: publicKey.export({ format: "pem", type: "spki" }).toString(),
    privateKeyPem: privateKey.export({ format: "pem", type: "pkcs8" }).toString()
  }
}
const tenFile = ({ deviceId, privateKeyPem, publicKeyPem }: ReturnType<typeof foreign>) => ({
  version: 1,
  device_id: deviceId,
  public_key_pem: publicKeyPem,
  private_key_pem: privateKeyPem,
  created_at_ms: 1_700_000_000_000
})

describe("IdentityAdmin", () => {
  it.effect("`inspect` changes nothing", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      const operations = yield* admin(disk)
      assert.isTrue(Option.isNone(yield* operations.inspect()))
      assert.deepStrictEqual(snapshot(disk), {})
      const identity = yield* load(disk, { createdBy: "test/1" })
      const before = snapshot(disk)
      const summary = Option.getOrThrow(yield* operations.inspect())
      assert.strictEqual(summary.deviceId, identity.deviceId)
      assert.strictEqual(summary.createdBy, "test/1")
      assert.isTrue(summary.verified && !summary.encrypted)
      assert.isTrue(identity.deviceId.startsWith(summary.compareCode.digits.slice(0, 4)))
      assert.deepStrictEqual(snapshot(disk), before)
      assert.notInclude(JSON.stringify(summary), "PRIVATE")
    }))

  it.effect("F04: encryption, a new passphrase and decryption keep the identity, and leave no plain key on the disk", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      const identity = yield* load(disk)
      const plain = snapshot(disk)[path] ?? ""
      const secret = /MC4[^\\]*/.exec(plain)?.[0] ?? assert.fail("no key")
      const operations = yield* admin(disk)
      const sealed = yield* operations.encrypt(first)
      assert.isTrue(sealed.encrypted && sealed.verified)
      assert.notInclude(JSON.stringify(snapshot(disk)), secret)
      assert.strictEqual(disk.entries.get(path)?.mode, 0o600)
      assert.strictEqual(yield* reasonOf(load(disk)), "IdentityLocked PassphraseMissing")
      assert.strictEqual(yield* reasonOf(load(disk, { passphrase: second })), "IdentityLocked PassphraseWrong")
      assert.strictEqual((yield* load(disk, { passphrase: first })).sign("x"), identity.sign("x"))

      const unopened = Option.getOrThrow(yield* operations.inspect())
      assert.isTrue(unopened.encrypted && !unopened.verified)
      assert.strictEqual(unopened.deviceId, identity.deviceId)
      assert.isTrue(Option.getOrThrow(yield* operations.inspect(first)).verified)
      assert.strictEqual(yield* reasonOf(operations.inspect(second)), "IdentityLocked PassphraseWrong")

      const before = snapshot(disk)
      assert.strictEqual(yield* reasonOf(operations.encrypt(second)), "IdentityLocked AlreadyEncrypted")
      assert.strictEqual(yield* reasonOf(operations.changePassphrase(second, first)), "IdentityLocked PassphraseWrong")
      assert.strictEqual(yield* reasonOf(operations.decrypt(second)), "IdentityLocked PassphraseWrong")
      assert.deepStrictEqual(snapshot(disk), before)

      yield* operations.changePassphrase(first, second)
      assert.strictEqual(yield* reasonOf(load(disk, { passphrase: first })), "IdentityLocked PassphraseWrong")
      assert.strictEqual((yield* load(disk, { passphrase: second })).deviceId, identity.deviceId)
      yield* operations.decrypt(second)
      assert.deepStrictEqual(snapshot(disk), { [path]: plain })
      assert.isFalse((yield* operations.decrypt(second)).encrypted)
      assert.strictEqual(yield* reasonOf(operations.changePassphrase(first, second)), "IdentityLocked NotEncrypted")
    }).pipe(cheaply))

  it.effect("F04: a passphrase encrypts a new identity; a stored plain one is reported", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      const identity = yield* load(disk, { passphrase: first })
      assert.include(snapshot(disk)[path], "encryptedKey")
      assert.notInclude(snapshot(disk)[path], "PRIVATE KEY")
      assert.strictEqual((yield* load(disk, { passphrase: first })).deviceId, identity.deviceId)
      const plain = makeDisk()
      yield* load(plain)
      assert.deepStrictEqual((yield* load(plain, { passphrase: first })).warnings, [{ _tag: "NotEncrypted", path }])
    }).pipe(cheaply))

  it.effect("F04: a killed creation leaves another name of the plain key, and encrypting removes it at once", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      yield* load(disk)
      const inode = disk.entries.get(path)
      if (inode !== undefined) disk.entries.set(`${path}.0123456789abcdef.tmp`, inode)
      yield* Effect.flatMap(admin(disk), (operations) => operations.encrypt(first))
      assert.notInclude(JSON.stringify(snapshot(disk)), "PRIVATE KEY")
    }).pipe(cheaply))

  it.effect(
    "F18: after an encryption that is killed at any operation, the same identity opens, plain or sealed",
    () =>
      Effect.gen(function*() {
        const start = makeDisk()
        const identity = yield* load(start)
        const whole = killAt(Number.POSITIVE_INFINITY)
        yield* Effect.flatMap(admin(copyDisk(start), whole), (operations) => operations.encrypt(first))
        const seen = new Set<boolean>()
        for (let operation = 0; operation <= whole.count(); operation++) {
          const disk = copyDisk(start)
          yield* Effect.exit(Effect.flatMap(admin(disk, killAt(operation)), (operations) => operations.encrypt(first)))
          seen.add(snapshot(disk)[path]?.includes("encryptedKey") ?? assert.fail("the file is gone"))
          assert.strictEqual((yield* load(disk, { passphrase: first })).deviceId, identity.deviceId)
          yield* TestClock.adjust("61 seconds")
          yield* load(disk, { passphrase: first })
          assert.deepStrictEqual(Object.keys(snapshot(disk)), [path])
        }
        assert.deepStrictEqual(seen, new Set([false, true]))
      }).pipe(cheaply),
    60_000
  )

  it.effect("F40: a TEN file is imported with its platform, and the file stays unchanged", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      const ten = foreign()
      const source = "/home/me/.openclaw/identity/device.json"
      place(disk, source, `${JSON.stringify(tenFile(ten), undefined, 2)}\n`, 0o644)
      const before = snapshot(disk)[source]
      const operations = yield* admin(disk)
      const { imported, source: kind, summary } = yield* operations.importFile(source)
      assert.deepStrictEqual([imported, kind], [true, "Ten"])
      assert.deepStrictEqual([summary.deviceId, summary.platform], [ten.deviceId, "ten"])
      assert.strictEqual(summary.createdAt, "2023-11-14T22:13:20.000Z")
      assert.strictEqual(snapshot(disk)[source], before)
      assert.strictEqual(disk.entries.get(source)?.mode, 0o644)
      const identity = yield* load(disk, { platform: PlatformName.make("linux") })
      assert.deepStrictEqual([identity.deviceId, identity.platform], [ten.deviceId, "ten"])
      assert.isFalse((yield* operations.importFile(source)).imported)
    }))

  it.effect("an OpenClaw file is imported with the platform that its own clients send", () =>
    Effect.gen(function*() {
      for (const [host, expected] of [["linux", "linux"], ["macos", "darwin"], ["windows", "win32"]] as const) {
        const disk = makeDisk()
        const own = foreign()
        place(disk, "/old.json", JSON.stringify({ version: 1, ...own, createdAtMs: 1 }))
        const operations = yield* admin(disk)
        const { source, summary } = yield* operations.importFile("/old.json").pipe(
          Effect.provideService(HostPlatform, PlatformName.make(host))
        )
        assert.deepStrictEqual([source, summary.deviceId, summary.platform], ["OpenClaw", own.deviceId, expected])
      }
    }))

  it.effect("PEM and a backup of our own are imported, sealed when asked", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      const own = foreign()
      place(disk, "/key.pem", own.privateKeyPem.replaceAll("\n", "\r\n"))
      const { source, summary } = yield* Effect.flatMap(admin(disk), (operations) =>
        operations.importFile("/key.pem", { platform: PlatformName.make("macos"), sealWith: first }))
      assert.deepStrictEqual([source, summary.deviceId, summary.platform], ["Pem", own.deviceId, "macos"])
      assert.isTrue(summary.encrypted)
      const other = "/elsewhere/identity.json"
      const again = yield* Effect.flatMap(
        admin(disk, {}, other),
        (operations) =>
          operations.importFile(path, { passphrase: first })
      )
      assert.deepStrictEqual([again.source, again.summary.platform, again.summary.encrypted], ["Own", "macos", false])
      assert.strictEqual((yield* load(disk, { path: other })).deviceId, own.deviceId)
    }).pipe(cheaply))

  it.effect("F03: an import whose parts contradict each other is refused, and nothing is stored", () =>
    Effect.gen(function*() {
      const own = foreign()
      const other = foreign()
      const cases: ReadonlyArray<readonly [string, string]> = [
        [JSON.stringify({ ...own, deviceId: other.deviceId }), "IdentityInconsistent DeviceId"],
        [JSON.stringify({ ...own, publicKeyPem: other.publicKeyPem }), "IdentityInconsistent PublicKey"],
        [JSON.stringify({ ...own, publicKeyPem: "x" }), "IdentityInconsistent PublicKey"],
        [JSON.stringify({ ...tenFile(own), device_id: other.deviceId }), "IdentityInconsistent DeviceId"],
        [JSON.stringify({ ...own, privateKeyPem: own.privateKeyPem.slice(0, 60) }), "IdentityInvalid DamagedKey"],
        [JSON.stringify({ deviceId: own.deviceId }), "IdentityInvalid WrongShape"],
        [
          generateKeyPairSync("x25519").privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
          "IdentityInvalid NotEd25519"
        ],
        ["", "IdentityInvalid Empty"],
        ["hello", "IdentityInvalid NotJson"]
      ]
      for (const [text, expected] of cases) {
        const disk = makeDisk()
        place(disk, "/source", text)
        const operations = yield* admin(disk)
        assert.strictEqual(yield* reasonOf(operations.importFile("/source")), expected)
        assert.deepStrictEqual(snapshot(disk), { "/source": text })
      }
      const operations = yield* admin(makeDisk())
      assert.strictEqual(yield* reasonOf(operations.importFile("/none")), "IdentityUnreadable")
    }))

  it.effect("an import reads only a regular file that is not larger than an identity can be", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      place(disk, "/source", foreign().privateKeyPem)
      const inode = disk.entries.get("/source")
      if (inode === undefined) return assert.fail("no file")
      // A device would give bytes without end, and a pipe would wait for its writer.
      const gate = (operation: string, at: string) =>
        at === "/source" && (operation === "open" || operation === "readFile")
          ? Effect.die("it was opened")
          : Effect.void
      const operations = yield* admin(disk, { gate })
      for (const type of ["CharacterDevice", "FIFO", "Socket", "BlockDevice"] as const) {
        disk.entries.set("/source", { ...inode, type })
        assert.strictEqual(yield* reasonOf(operations.importFile("/source")), "IdentityExposed NotRegularFile", type)
      }
      disk.entries.set("/source", { ...inode, bytes: new Uint8Array(1024 * 1024 + 1) })
      const error = yield* Effect.flip(operations.importFile("/source"))
      assert.deepStrictEqual([error._tag, "errno" in error && error.errno], ["IdentityUnreadable", "EFBIG"])
    }))

  it.effect("F39: an import never replaces another identity, and reset keeps a backup", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      const identity = yield* load(disk)
      const own = foreign()
      place(disk, "/key.pem", own.privateKeyPem)
      const operations = yield* admin(disk)
      const error = yield* Effect.flip(operations.importFile("/key.pem"))
      assert.deepStrictEqual([error._tag, "deviceId" in error && error.deviceId], ["IdentityExists", identity.deviceId])
      const kept = snapshot(disk)[path]
      const backup = Option.getOrThrow(yield* operations.reset)
      assert.strictEqual(snapshot(disk)[backup], kept)
      assert.isUndefined(snapshot(disk)[path])
      assert.isTrue(backup.startsWith(`${path}.backup-19700101T000000Z`))
      assert.isTrue((yield* operations.importFile("/key.pem")).imported)
      const another = Option.getOrThrow(yield* operations.reset)
      assert.notStrictEqual(another, backup)
      assert.isTrue(Option.isNone(yield* operations.reset))
      assert.strictEqual(Object.keys(snapshot(disk)).length, 3)
    }))

  it.effect("F39: reset keeps a backup of an unusable file too", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      place(disk, path, "damaged")
      const backup = Option.getOrThrow(yield* Effect.flatMap(admin(disk), (operations) => operations.reset))
      assert.deepStrictEqual(snapshot(disk), { [backup]: "damaged" })
    }))

  it.effect("a reset on a read-only disk says why it failed, and changes nothing", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      yield* load(disk)
      const before = snapshot(disk)
      const readOnly = yield* admin(disk, {
        gate: (operation, at) =>
          operation === "rename" ? Effect.fail(failure("Unknown", "EROFS", operation, at)) : Effect.void
      })
      const error = yield* Effect.flip(readOnly.reset)
      assert.deepStrictEqual([error._tag, "errno" in error && error.errno], ["IdentityUnwritable", "EROFS"])
      assert.include(error.message, "(EROFS)")
      assert.include(adviceOn(error)?.action, "The place is mounted read-only")
      assert.deepStrictEqual(snapshot(disk), before)
    }))

  it.effect("a failed change is a typed error and leaves the file unchanged", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      assert.strictEqual(yield* reasonOf(Effect.flatMap(admin(disk), (each) => each.encrypt(first))), "IdentityAbsent")
      yield* load(disk)
      const before = snapshot(disk)
      const full = yield* admin(disk, {
        gate: (operation, at) =>
          operation === "write" ? Effect.fail(failure("Unknown", "ENOSPC", operation, at)) : Effect.void
      })
      assert.strictEqual(yield* reasonOf(full.encrypt(first)), "IdentityUnwritable")
      assert.deepStrictEqual(snapshot(disk), before)
    }).pipe(cheaply))
})
