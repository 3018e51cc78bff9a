import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify } from "node:crypto"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { Signer } from "../../src/identity/Signer.ts"
import { PlatformName } from "../../src/protocol/Connect.ts"
import { copyDisk, failure, makeDisk, place, snapshot } from "../storage/MemoryFiles.ts"
import { interleaved, killAt, load, path, seededRandom } from "./Fixture.ts"

const parsed = (text: string | undefined): Record<string, unknown> => {
  const value: unknown = JSON.parse(text ?? "null")
  assert.isObject(value)
  return { ...Object(value) }
}

/** A disk with one real identity on it, and the text of its file. */
const withIdentity = Effect.gen(function*() {
  const disk = makeDisk()
  const identity = yield* load(disk)
  return { disk, identity, text: snapshot(disk)[path] ?? "" }
})

/** Loads a changed file, and says how that failed and whether the file is still what it was. */
const loadChanged = Effect.fnUntraced(function*(text: string) {
  const disk = makeDisk()
  place(disk, path, text)
  const error = yield* Effect.flip(load(disk))
  assert.deepStrictEqual(snapshot(disk), { [path]: text })
  assert.notInclude(error.message, "PRIVATE KEY")
  return error
})

const raw = (der: Buffer): Buffer => der.subarray(-32)

describe("DeviceIdentity", () => {
  it.effect("creates once, then loads the same identity", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      const first = yield* load(disk, { createdBy: "test/1" }, { seed: "first" })
      const before = snapshot(disk)
      const second = yield* load(disk, {}, { seed: "second" })
      assert.deepStrictEqual(first.source, { _tag: "File", path, created: true })
      assert.deepStrictEqual(second.source, { _tag: "File", path, created: false })
      assert.strictEqual(first.deviceId, second.deviceId)
      assert.strictEqual(first.sign("text"), second.sign("text"))
      assert.deepStrictEqual(snapshot(disk), before)
      assert.deepStrictEqual(Object.keys(before), [path])
      assert.deepStrictEqual(second.warnings, [])
    }))

  it.effect("other tools read the key, derive the same id and verify its signatures", () =>
    Effect.gen(function*() {
      const { identity, text } = yield* withIdentity
      const { deviceId, privateKey } = parsed(text)
      const key = createPrivateKey(String(privateKey))
      const publicKey = raw(createPublicKey(key).export({ format: "der", type: "spki" }))
      assert.strictEqual(createHash("sha256").update(publicKey).digest("hex"), deviceId)
      assert.strictEqual(identity.deviceId, deviceId)
      assert.strictEqual(identity.publicKey, publicKey.toString("base64url"))
      assert.isTrue(
        verify(null, Buffer.from("grüße|✓"), createPublicKey(key), Buffer.from(identity.sign("grüße|✓"), "base64url"))
      )
      assert.isTrue(identity.verify("text", sign(null, Buffer.from("text"), key).toString("base64url")))
      assert.isFalse(identity.verify("other", identity.sign("text")))
      assert.isFalse(identity.verify("text", "not a signature"))
      assert.isFalse(identity.verify("text", ""))
    }))

  it.effect("a stored identity keeps its platform", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      yield* load(disk, { platform: PlatformName.make("ten") })
      assert.strictEqual((yield* load(disk, { platform: PlatformName.make("linux") })).platform, "ten")
    }))

  it.effect("without `create` a missing identity is an error, and nothing is written", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      const error = yield* Effect.flip(load(disk, { create: false }))
      assert.strictEqual(error._tag, "IdentityAbsent")
      assert.deepStrictEqual(snapshot(disk), {})
    }))

  it.effect("F03: a tampered device id is refused", () =>
    Effect.gen(function*() {
      const { identity, text } = yield* withIdentity
      const other = createHash("sha256").update("other").digest("hex")
      const error = yield* loadChanged(text.replace(identity.deviceId, other))
      assert.deepStrictEqual([error._tag, "reason" in error && error.reason], ["IdentityInconsistent", "DeviceId"])
    }))

  it.effect("F03: a foreign public key is refused, also with the id of that key", () =>
    Effect.gen(function*() {
      const { identity, text } = yield* withIdentity
      const foreign = raw(generateKeyPairSync("ed25519").publicKey.export({ format: "der", type: "spki" }))
      const swapped = text.replace(identity.publicKey, foreign.toString("base64url"))
      for (
        const changed of [
          swapped,
          swapped.replace(identity.deviceId, createHash("sha256").update(foreign).digest("hex"))
        ]
      ) {
        const error = yield* loadChanged(changed)
        assert.deepStrictEqual([error._tag, "reason" in error && error.reason], ["IdentityInconsistent", "PublicKey"])
      }
    }))

  it.effect("F03: a file cut off anywhere is refused", () =>
    Effect.gen(function*() {
      const { text } = yield* withIdentity
      for (let length = 0; length < text.length - 1; length++) {
        const error = yield* loadChanged(text.slice(0, length))
        assert.strictEqual(error._tag, "IdentityInvalid", `cut at ${length}`)
      }
    }))

  it.effect("F03: a key that is not Ed25519 is refused", () =>
    Effect.gen(function*() {
      const { text } = yield* withIdentity
      const fields = parsed(text)
      const pems = [
        generateKeyPairSync("x25519").privateKey.export({ format: "pem", type: "pkcs8" }),
        generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "pem", type: "pkcs8" }),
        generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "pem", type: "sec1" }),
        generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "pem", type: "pkcs8" }),
        generateKeyPairSync("ed448").privateKey.export({ format: "pem", type: "pkcs8" })
      ]
      for (const privateKey of pems) {
        const error = yield* loadChanged(JSON.stringify({ ...fields, privateKey }))
        assert.deepStrictEqual([error._tag, "reason" in error && error.reason], ["IdentityInvalid", "NotEd25519"])
      }
    }))

  it.effect("F39: the error for an unusable file names it and says why, and the file stays unchanged", () =>
    Effect.gen(function*() {
      const { text } = yield* withIdentity
      const fields = parsed(text)
      const cases: ReadonlyArray<readonly [string, string, string?]> = [
        ["", "Empty"],
        ["\n \n", "Empty"],
        ["not json", "NotJson"],
        [text.slice(0, -3), "NotJson"],
        ["[]", "WrongShape"],
        ["1", "WrongShape"],
        ["{}", "WrongShape", "format"],
        [JSON.stringify({ ...fields, version: 2 }), "UnknownVersion"],
        [JSON.stringify({ ...fields, version: 2, privateKey: { future: true } }), "UnknownVersion"],
        [JSON.stringify({ ...fields, version: 0 }), "WrongShape", "version"],
        [JSON.stringify({ ...fields, platform: "a|b" }), "WrongShape", "platform"],
        [JSON.stringify({ ...fields, privateKey: 7 }), "WrongShape", "privateKey"],
        [JSON.stringify({ ...fields, privateKey: "-----BEGIN PRIVATE KEY-----" }), "DamagedKey"],
        [JSON.stringify({ ...fields, more: 1 }), "WrongShape"],
        [JSON.stringify({ version: 1, device_id: "a", public_key_pem: "b", private_key_pem: "c" }), "ForeignFormat"],
        [JSON.stringify({ version: 1, deviceId: "a", publicKeyPem: "b", privateKeyPem: "c" }), "ForeignFormat"]
      ]
      for (const [changed, reason, field] of cases) {
        const error = yield* loadChanged(changed)
        assert.deepStrictEqual(
          [error._tag, "reason" in error && error.reason, "field" in error ? error.field : undefined],
          ["IdentityInvalid", reason, field],
          changed.slice(0, 60)
        )
        assert.include(error.message, path)
        assert.include(error.message, "not touched")
      }
      const disk = makeDisk()
      place(disk, path, text)
      const file = disk.entries.get(path)
      if (file === undefined) return assert.fail("no file")
      file.bytes = Uint8Array.from(
        new TextEncoder().encode(text.replace(`"createdBy": "e`, `"createdBy": "!`)),
        (byte) => byte === 0x21 ? 0xff : byte
      )
      const notText = yield* Effect.flip(load(disk))
      assert.deepStrictEqual([notText._tag, "reason" in notText && notText.reason], ["IdentityInvalid", "NotUtf8"])
      const error = yield* loadChanged(text.replace(`"platform": "linux"`, `"platform": "ten"`))
      assert.deepStrictEqual([error._tag, "reason" in error && error.reason], ["IdentityInconsistent", "Checksum"])
    }))

  it.effect("a file that cannot be read does not count as absent or invalid", () =>
    Effect.gen(function*() {
      const { disk, text } = yield* withIdentity
      for (const operation of ["lstat", "open", "read", "stat"]) {
        const gate = (done: string, at: string) =>
          done === operation ? Effect.fail(failure("PermissionDenied", "EACCES", operation, at)) : Effect.void
        const error = yield* Effect.flip(load(disk, {}, { gate }))
        assert.deepStrictEqual(
          [error._tag, "errno" in error && error.errno],
          ["IdentityUnreadable", "EACCES"],
          operation
        )
        assert.include(error.message, "EACCES")
        if (operation === "open") assert.include(error.message, "owner 1000, mode 0600")
      }
      assert.deepStrictEqual(snapshot(disk), { [path]: text })
    }))

  it.effect("F40: OpenClaw's own places are refused with the reason, and nothing is created there", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      const refused = [
        ["/home/me/.openclaw/identity/device.json", "RetiredIdentityFile"],
        ["/home/me/.openclaw/identity/device-auth.json", "RetiredTokenFile"],
        ["/home/me/.openclaw/agent/identity.json", "OpenClawDirectory"],
        ["/home/me/elsewhere/../.openclaw/identity.json", "OpenClawDirectory"]
      ] as const
      for (const [at, reason] of refused) {
        const error = yield* Effect.flip(load(disk, { path: at }))
        assert.deepStrictEqual([error._tag, "reason" in error && error.reason], ["IdentityPathReserved", reason])
        assert.include(error.message, "OpenClaw")
      }
      assert.deepStrictEqual([...disk.entries.keys()], ["/"])
    }))

  it.effect("F08: other fibers run while each disk operation takes two seconds", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      const ticks = yield* Ref.make(0)
      yield* Effect.forkScoped(
        Effect.forever(Effect.andThen(Effect.sleep("1 second"), Ref.update(ticks, (n) => n + 1)))
      )
      let operations = 0
      const starting = yield* Effect.forkScoped(
        load(disk, {}, { gate: () => Effect.suspend(() => (operations++, Effect.sleep("2 seconds"))) })
      )
      // hashing answers from another thread, so the clock moves on until the start is through
      while (starting.pollUnsafe() === undefined) {
        yield* TestClock.adjust("1 second")
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      }
      const identity = yield* Fiber.join(starting)
      assert.strictEqual(identity.source._tag, "File")
      assert.isAbove(operations, 10)
      assert.isAtLeast(yield* Ref.get(ticks), operations * 2)
    }))

  it.effect("G02: simultaneous first starts agree on one identity", () =>
    Effect.gen(function*() {
      for (let round = 0; round < 60; round++) {
        const disk = makeDisk()
        const starts = Array.from(
          { length: 6 },
          (_, index) => load(disk, {}, { seed: `${round}:${index}`, ...interleaved(`${round}:${index}`) })
        )
        const identities = yield* Effect.all(starts, { concurrency: "unbounded" })
        assert.strictEqual(new Set(identities.map(({ deviceId }) => deviceId)).size, 1, `round ${round}`)
        assert.strictEqual(identities.filter(({ source }) => source._tag === "File" && source.created).length, 1)
        assert.deepStrictEqual(Object.keys(snapshot(disk)), [path])
      }
    }))

  it.effect("F18: after a first start that is killed at any operation, the next start finds no file or a whole one", () =>
    Effect.gen(function*() {
      const whole = killAt(Number.POSITIVE_INFINITY)
      yield* load(makeDisk(), {}, whole)
      assert.isAbove(whole.count(), 10)
      let survived = 0
      for (let operation = 0; operation <= whole.count(); operation++) {
        const disk = makeDisk()
        yield* Effect.exit(load(disk, {}, { seed: "killed", ...killAt(operation) }))
        const left = snapshot(disk)[path]
        if (left !== undefined) assert.doesNotThrow(() => parsed(left))
        const next = yield* load(copyDisk(disk), {}, { seed: "next" })
        assert.strictEqual(next.source._tag === "File" && next.source.created, left === undefined, `at ${operation}`)
        if (left !== undefined) assert.strictEqual(next.deviceId, parsed(left).deviceId)
        survived += left === undefined ? 0 : 1
        yield* TestClock.adjust("61 seconds")
        yield* load(disk, {}, { seed: "next" })
        assert.deepStrictEqual(Object.keys(snapshot(disk)), [path], `leftovers at ${operation}`)
      }
      assert.isAbove(survived, 0)
    }))

  it.effect("F05, F31: a file that others may read is repaired and reported, or refused when strict", () =>
    Effect.gen(function*() {
      const { disk } = yield* withIdentity
      const file = disk.entries.get(path)
      assert.isDefined(file)
      if (file === undefined) return
      file.mode = 0o644
      const error = yield* Effect.flip(load(disk, { strict: true }))
      assert.deepStrictEqual([error._tag, "reason" in error && error.reason], ["IdentityExposed", "FileAccessible"])
      assert.include(error.message, "0644")
      assert.strictEqual(file.mode, 0o644)
      assert.deepStrictEqual((yield* load(disk)).warnings, [{ _tag: "ModeRepaired", path, mode: 0o644 }])
      assert.strictEqual(file.mode, 0o600)
      assert.deepStrictEqual((yield* load(disk)).warnings, [])
    }))

  it.effect("F05: a mode that cannot be changed is a warning with path and mode, and refused when strict", () =>
    Effect.gen(function*() {
      const { disk } = yield* withIdentity
      const file = disk.entries.get(path)
      if (file !== undefined) file.mode = 0o640
      const { warnings } = yield* load(disk, {}, { chmod: false })
      assert.deepStrictEqual(warnings, [{ _tag: "ModeNotRepaired", path, mode: 0o640 }])
      assert.strictEqual((yield* Effect.flip(load(disk, { strict: true }, { chmod: false })))._tag, "IdentityExposed")
    }))

  it.effect("F05: a file system without modes is a warning, and refused when strict", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      const { warnings } = yield* load(disk, {}, { fixedMode: 0o777 })
      assert.deepStrictEqual(warnings, [
        { _tag: "ModesUnsupported", path: "/state/effect-openclaw" },
        { _tag: "ModesUnsupported", path }
      ])
      assert.strictEqual(
        (yield* Effect.flip(load(makeDisk(), { strict: true }, { fixedMode: 0o777 })))._tag,
        "IdentityExposed"
      )
    }))

  it.effect("a file system without hard links gets one whole identity, with a warning", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      const { warnings } = yield* load(disk, {}, { links: false })
      assert.deepStrictEqual(warnings, [{ _tag: "LinksUnsupported", path: "/state/effect-openclaw" }])
      assert.deepStrictEqual(Object.keys(snapshot(disk)), [path])
      assert.deepStrictEqual((yield* load(disk, {}, { links: false })).warnings, [])
    }))

  it.effect("G02: simultaneous first starts agree on one identity where a hard link fails with EACCES", () =>
    Effect.gen(function*() {
      for (let round = 0; round < 20; round++) {
        const disk = makeDisk()
        const starts = Array.from(
          { length: 4 },
          (_, index) =>
            load(disk, {}, { linkErrno: "EACCES", seed: `${round}:${index}`, ...interleaved(`${round}:${index}`) })
        )
        const identities = yield* Effect.all(starts, { concurrency: "unbounded" })
        assert.strictEqual(new Set(identities.map(({ deviceId }) => deviceId)).size, 1, `round ${round}`)
        assert.strictEqual(identities.filter(({ source }) => source._tag === "File" && source.created).length, 1)
        assert.deepStrictEqual([...disk.entries.keys()].filter((entry) => entry.startsWith(`${path}.`)), [])
      }
    }))

  const Seed = Arbitrary.map(
    Arbitrary.array(Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 }))), {
      minLength: 32,
      maxLength: 32
    }),
    (numbers) => Uint8Array.from(numbers)
  )

  it.effect.prop(
    "one seed is one identity in all signers",
    [Seed, Schema.String],
    ([seed, text]) =>
      Effect.gen(function*() {
        const from = (signer: Layer.Layer<Signer>) =>
          Effect.map(
            Layer.build(DeviceIdentity.layerSeed({ seed: Redacted.make(seed) }).pipe(Layer.provide(signer))),
            Context.get(DeviceIdentity)
          )
        const noble = yield* from(Signer.layer)
        const node = yield* from(Signer.layerNodejs)
        assert.strictEqual(noble.deviceId, node.deviceId)
        assert.strictEqual(noble.publicKey, node.publicKey)
        assert.strictEqual(noble.sign(text), node.sign(text))
        assert.isTrue(noble.verify(text, node.sign(text)) && node.verify(text, noble.sign(text)))
        assert.strictEqual(noble.source._tag, "Seed")
      }),
    { arbitrary: { seed: 3, runs: 60 } }
  )

  it.effect("an ephemeral identity is new each time, and its source says so", () =>
    Effect.gen(function*() {
      const make = (seed: string) =>
        Effect.map(
          Layer.build(
            DeviceIdentity.layerEphemeral().pipe(Layer.provide([Signer.layerNodejs, seededRandom(seed)]))
          ),
          Context.get(DeviceIdentity)
        )
      const first = yield* make("first")
      assert.deepStrictEqual(first.source, { _tag: "Ephemeral" })
      assert.notStrictEqual(first.deviceId, (yield* make("second")).deviceId)
    }))
})
