import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"
import * as Sink from "effect/Sink"
import * as Stdio from "effect/Stdio"
import { createHash, createPrivateKey, generateKeyPairSync } from "node:crypto"
import { inspect } from "node:util"
import { delegate } from "../../src/cli/Delegate.ts"
import { devices } from "../../src/cli/Devices.ts"
import { plain, render } from "../../src/cli/EventText.ts"
import { exitCodes } from "../../src/cli/ExitCode.ts"
import { identity } from "../../src/cli/Identity.ts"
import { Invocation } from "../../src/cli/Invocation.ts"
import { root } from "../../src/cli/Root.ts"
import { run } from "../../src/cli/Run.ts"
import { table } from "../../src/cli/Settings.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import * as DevGatewayWs from "../../src/devgateway/DevGatewayWs.ts"
import { compareCode } from "../../src/identity/CompareCode.ts"
import * as KeyEnvelope from "../../src/identity/KeyEnvelope.ts"
import { DeviceId } from "../../src/protocol/Connect.ts"
import { PrivateFile } from "../../src/storage/PrivateFile.ts"
import * as Cli from "./Cli.ts"

const limit = 60_000
const prefix = "OPENCLAW_DEVICE_IDENTITY_"
const first = "the first unmistakable passphrase"
const second = "the second unmistakable passphrase"

interface Answer {
  readonly code: number
  /** The sentence that a person reads, and the class of what failed. */
  readonly problem: string
  readonly error: string | undefined
  readonly out: string
  /** All that the command told the outside: both outputs, its log, its error with every field. */
  readonly everything: string
}

const program = root.pipe(Command.withSubcommands([identity, run, delegate, devices]))

/**
 * Runs the program in this process, with cheap key derivation. Whatever it does, nothing that it tells may show a passphrase
 * or a key that is in the state directory before or after.
 */
const cli = Effect.fnUntraced(function*(
  args: ReadonlyArray<string>,
  { env = {}, present, stateDir }: {
    readonly stateDir: string
    readonly env?: Readonly<Record<string, string>>
    /** What is answered to a command line before any command runs. */
    readonly present?: (event: CliOutput.Presenter.Event) => void
  }
) {
  const keys = [unused, ...(yield* storedSeeds(stateDir))]
  const out: Array<string> = []
  const told: Array<string> = []
  const into = (kept: Array<string>) => () =>
    Sink.forEach((text: string | Uint8Array) => Effect.sync(() => void kept.push(String(text))))
  const logger = Logger.make((entry) =>
    void told.push(inspect([entry.message, entry.fiber.context.mapUnsafe], { depth: 6 }), Cause.pretty(entry.cause))
  )
  const host = Layer.mergeAll(
    PrivateFile.layer,
    Layer.succeed(Invocation, { program: ["openclaw-device"], platform: "linux", version: "1.2.3" }),
    Stdio.layerTest({ stdout: into(out), stderr: into(told) }),
    Logger.layer([logger])
  ).pipe(Layer.provideMerge(SecureRandom.layerWebCrypto), Layer.provideMerge(Cli.platform))
  const exit = yield* Effect.exit(
    Command.runWith(program, { version: "1.2.3", renderErrors: false })([...args, "--state-dir", stateDir]).pipe(
      Effect.provideService(CliOutput.Presenter, { present: (event) => Effect.sync(() => present?.(event)) }),
      Effect.provideService(KeyEnvelope.Cost, 2 ** 14),
      Effect.provideService(
        ConfigProvider.ConfigProvider,
        ConfigProvider.fromEnvRecord({ HOME: stateDir, ...env })
      ),
      Effect.provide(host)
    )
  )
  const error: unknown = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  const failed = error instanceof Error
  const answer: Answer = {
    code: !failed ? 0 : "exit" in error ? Runtime.getErrorExitCode(error) : exitCodes.usage,
    problem: failed ? error.message : "",
    error: failed && "error" in error ? String(error.error) : undefined,
    out: out.join(""),
    everything: [
      ...out,
      ...told,
      inspect(error, { depth: Number.POSITIVE_INFINITY, showHidden: true }),
      JSON.stringify(error)
    ].join("\n")
  }
  for (const seed of [...keys, ...(yield* storedSeeds(stateDir))]) assertSilent(seed, answer.everything)
  return answer
})

const Shown = Schema.fromJsonString(Schema.Struct({
  deviceId: DeviceId,
  compareCode: Schema.String,
  compareDigits: Schema.String,
  publicKey: Schema.String,
  platform: Schema.String,
  path: Schema.optionalKey(Schema.String),
  encrypted: Schema.optionalKey(Schema.Boolean),
  verified: Schema.optionalKey(Schema.Boolean),
  createdAt: Schema.optionalKey(Schema.String),
  createdBy: Schema.optionalKey(Schema.String),
  created: Schema.optionalKey(Schema.Boolean),
  imported: Schema.optionalKey(Schema.Boolean),
  from: Schema.optionalKey(Schema.String),
  format: Schema.optionalKey(Schema.String),
  warnings: Schema.Array(Schema.Struct({ _tag: Schema.String, message: Schema.String }))
}))
const decodeShown = Schema.decodeUnknownEffect(Shown)

/** The one line that an `identity` command answers with. */
const shown = Effect.fnUntraced(function*(args: ReadonlyArray<string>, options: Parameters<typeof cli>[1]) {
  const answer = yield* cli(["identity", ...args, "--json"], options)
  assert.strictEqual(answer.code, 0, answer.problem)
  assert.match(answer.out, /^[^\n]+\n$/)
  return yield* decodeShown(answer.out)
})

const Changed = Schema.fromJsonString(Schema.Struct({
  files: Schema.Array(Schema.Struct({ path: Schema.String, encrypted: Schema.Boolean, changed: Schema.Boolean })),
  plainBackups: Schema.optionalKey(Schema.Array(Schema.String))
}))

const changed = Effect.fnUntraced(function*(args: ReadonlyArray<string>, options: Parameters<typeof cli>[1]) {
  const answer = yield* cli(["identity", ...args, "--json"], options)
  assert.strictEqual(answer.code, 0, answer.problem)
  return yield* Schema.decodeEffect(Changed)(answer.out)
})

/** It is refused with this status and class, in sentences, with nothing on standard output. */
const refused = Effect.fnUntraced(function*(
  args: ReadonlyArray<string>,
  options: Parameters<typeof cli>[1],
  expected: { readonly error?: string; readonly code?: number; readonly says: RegExp }
) {
  const answer = yield* cli(args, options)
  assert.deepStrictEqual([answer.code, answer.out], [expected.code ?? exitCodes.settings, ""], answer.problem)
  assert.strictEqual(answer.error, expected.error)
  assert.match(answer.problem, expected.says)
  assert.notMatch(answer.problem, /undefined|\[object|\n/)
  return answer
})

/** Every file below a folder with its mode and bytes. */
const tree = Effect.fnUntraced(function*(folder: string) {
  const fs = yield* FileSystem.FileSystem
  const names = yield* Effect.orElseSucceed(fs.readDirectory(folder, { recursive: true }), () => [])
  const entries = yield* Effect.forEach(names.toSorted(), (name) =>
    Effect.gen(function*() {
      const { mode, type } = yield* fs.stat(`${folder}/${name}`)
      return [name, mode & 0o777, type === "File" ? yield* fs.readFileString(`${folder}/${name}`) : type] as const
    }))
  return entries
})

const stateDirectory = Effect.map(Cli.temporaryDirectory, (directory) => `${directory}/state`)

/** A key of the test, as other programs store it. */
const makeKey = () => {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519")
  const pem = privateKey.export({ format: "pem", type: "pkcs8" }).toString()
  const publicPem = publicKey.export({ format: "pem", type: "spki" }).toString()
  const raw = publicKey.export({ format: "der", type: "spki" }).subarray(-32)
  const deviceId = DeviceId.make(createHash("sha256").update(raw).digest("hex"))
  return {
    deviceId,
    pem,
    seed: seedOf(pem),
    ten: JSON.stringify({
      version: 1,
      device_id: deviceId,
      public_key_pem: publicPem,
      private_key_pem: pem,
      created_at_ms: 1_760_000_000_000
    }),
    openClaw: JSON.stringify({
      version: 1,
      deviceId,
      publicKeyPem: publicPem,
      privateKeyPem: pem,
      createdAtMs: 1_760_000_000_000
    })
  }
}

const seedOf = (pem: string) => createPrivateKey(pem).export({ format: "der", type: "pkcs8" }).subarray(-32)

/** Nothing that was told shows the key, in any of its forms, or a passphrase. */
const assertSilent = (seed: Uint8Array, ...told: ReadonlyArray<string>) => {
  const bytes = Buffer.from(seed)
  const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), bytes])
  const secrets = {
    hex: bytes.toString("hex"),
    HEX: bytes.toString("hex").toUpperCase(),
    base64: bytes.toString("base64").slice(0, 42),
    base64url: bytes.toString("base64url"),
    pem: der.toString("base64").slice(24),
    armour: "PRIVATE KEY-",
    numbers: [...bytes.subarray(0, 8)].join(","),
    first,
    second
  }
  for (const text of told) {
    for (const [form, secret] of Object.entries(secrets)) {
      if (text.replace(/\s+/g, " ").includes(secret)) assert.fail(`the secret is shown as ${form}`)
    }
  }
}

/** For where no key is in the clear, and passphrases are still not to be shown. */
const unused = new Uint8Array(32).fill(7)

/** The private keys below a folder that are not encrypted. */
const storedSeeds = Effect.fnUntraced(function*(folder: string) {
  const pems = (yield* tree(folder)).flatMap(([, , text]) =>
    text.match(/-----BEGIN PRIVATE KEY-----[^"]*?-----END PRIVATE KEY-----/g) ?? []
  )
  return pems.map((pem) => seedOf(pem.replaceAll("\\n", "\n")))
})

describe("identity show and create", () => {
  it.effect("create writes a private file once, show reports it, and neither shows the key", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const stateDir = yield* stateDirectory
      yield* refused(["identity", "show", "--no-create"], { stateDir }, {
        error: "IdentityAbsent",
        says: /There is no identity at .*identity\.json\. Create one/
      })
      assert.isFalse(yield* fs.exists(stateDir))

      const created = yield* shown(["create"], { stateDir })
      const { digits, words } = compareCode(created.deviceId)
      assert.include(created, {
        created: true,
        path: `${stateDir}/identity.json`,
        compareCode: words,
        compareDigits: digits,
        encrypted: false,
        verified: true,
        createdBy: "effect-openclaw 1.2.3"
      })
      assert.deepStrictEqual(created.warnings.map(({ _tag }) => _tag), ["EphemeralPlace"])
      const before = yield* tree(stateDir)
      assert.deepStrictEqual(before.map(([name, mode]) => [name, mode]), [["identity.json", 0o600]])

      yield* refused(["identity", "create"], { stateDir }, {
        error: "IdentityExists",
        says: new RegExp(`already holds an identity \\(device ${created.deviceId}\\)\\. It was not touched`)
      })
      assert.deepStrictEqual(yield* shown(["show"], { stateDir }), { ...created, created: false })
      const human = yield* cli(["identity", "show", "--no-create"], { stateDir })
      for (
        const line of [
          `device id   ${created.deviceId}`,
          `code        ${words}`,
          `            ${digits}`,
          `platform    ${created.platform}`,
          `kept in     ${stateDir}/identity.json`,
          "encrypted   no",
          `created     ${created.createdAt} by effect-openclaw 1.2.3`
        ]
      ) assert.include(human.out.split("\n"), line)
      assert.match(human.out, /\nwarning {5}the identity is kept /)
      assert.deepStrictEqual(yield* tree(stateDir), before)
    }).pipe(Effect.provide(Cli.platform)))

  it.effect("F04: a passphrase encrypts a new identity, and no other passphrase opens it", () =>
    Effect.gen(function*() {
      const stateDir = yield* stateDirectory
      const env = { [`${prefix}PASSPHRASE`]: first }
      const created = yield* shown(["show"], { stateDir, env })
      assert.include(created, { created: true, encrypted: true, verified: true })
      const before = yield* tree(stateDir)
      assert.notInclude(JSON.stringify(before), "PRIVATE KEY")
      assert.include(yield* shown(["show"], { stateDir, env }), { deviceId: created.deviceId, verified: true })
      assert.include(yield* shown(["show"], { stateDir }), { deviceId: created.deviceId, verified: false })
      const unopened = yield* cli(["identity", "show"], { stateDir })
      assert.include(unopened.out, "encrypted   yes; not opened, as no passphrase is configured\n")
      const wrong = yield* refused(["identity", "show"], { stateDir, env: { [`${prefix}PASSPHRASE`]: second } }, {
        error: "IdentityLocked",
        says: /is encrypted and the passphrase does not open it.*The file was not touched/
      })
      assert.notInclude(wrong.everything, second)
      assert.deepStrictEqual(yield* tree(stateDir), before)
    }).pipe(Effect.provide(Cli.platform)))

  it.effect("F39: every command names an unusable file and leaves it unchanged", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* Cli.temporaryDirectory
      const env = { [`${prefix}PASSPHRASE`]: first, [`${prefix}NEW_PASSPHRASE`]: second }
      yield* fs.makeDirectory(`${directory}/state`, { mode: 0o700 })
      yield* fs.writeFileString(`${directory}/state/identity.json`, "damaged", { mode: 0o600 })
      yield* fs.writeFileString(`${directory}/ten.json`, makeKey().ten)
      const before = yield* tree(directory)
      for (
        const args of [
          ["show"],
          ["show", "--no-create"],
          ["create"],
          ["import", `${directory}/ten.json`],
          ["encrypt"],
          ["decrypt"],
          ["change-passphrase"]
        ]
      ) {
        yield* refused(["identity", ...args], { stateDir: `${directory}/state`, env }, {
          error: "IdentityInvalid",
          says:
            /identity\.json is not JSON\. The file was not touched\. Restore the file .* Command: openclaw-device identity reset --yes$/
        })
      }
      assert.deepStrictEqual(yield* tree(directory), before)
    }).pipe(Effect.provide(Cli.platform)))
})

describe("identity encrypt, decrypt, change-passphrase", () => {
  it.effect("F04: change device and operator, keep both identities, and name plain backups", () =>
    Effect.gen(function*() {
      const stateDir = yield* stateDirectory
      const operatorPath = `${stateDir}/operator-identity.json`
      const asOperator = { OPENCLAW_GATEWAY_DEVICE_IDENTITY_PATH: operatorPath }
      const files = [`${stateDir}/identity.json`, operatorPath]
      const passphrase = { [`${prefix}PASSPHRASE`]: first }

      const old = yield* shown(["create"], { stateDir })
      yield* cli(["identity", "reset", "--yes"], { stateDir })
      const device = yield* shown(["create"], { stateDir })
      const operator = yield* shown(["create"], { stateDir, env: asOperator })
      assert.lengthOf(yield* storedSeeds(stateDir), 3)
      assert.notStrictEqual(old.deviceId, device.deviceId)

      const warned = yield* shown(["show"], { stateDir, env: passphrase })
      assert.include(warned.warnings.map(({ _tag }) => _tag), "NotEncrypted")
      const sealed = yield* changed(["encrypt"], { stateDir, env: passphrase })
      assert.deepStrictEqual(sealed.files, files.map((path) => ({ path, encrypted: true, changed: true })))
      assert.lengthOf(sealed.plainBackups ?? [], 1)
      const inPlain = (yield* tree(stateDir)).filter(([, , text]) => text.includes("PRIVATE KEY"))
      assert.deepStrictEqual(inPlain.map(([name]) => `${stateDir}/${name}`), sealed.plainBackups ?? [])

      const before = yield* tree(stateDir)
      yield* refused(["identity", "encrypt"], { stateDir, env: passphrase }, {
        error: "IdentityLocked",
        says: /is encrypted already\. .* Command: openclaw-device identity change-passphrase$/
      })
      const wrong = { [`${prefix}PASSPHRASE`]: second, [`${prefix}NEW_PASSPHRASE`]: "x" }
      for (const args of [["decrypt"], ["change-passphrase"]]) {
        yield* refused(["identity", ...args], { stateDir, env: wrong }, {
          error: "IdentityLocked",
          says: /the passphrase does not open it/
        })
      }
      assert.deepStrictEqual(yield* tree(stateDir), before)

      // one of the two is changed already, as after a command that was cut off
      const both = { ...passphrase, [`${prefix}NEW_PASSPHRASE`]: second }
      const elsewhere = { stateDir: `${stateDir}/none`, env: { ...both, ...asOperator } }
      const moved = yield* changed(["change-passphrase"], elsewhere)
      assert.deepStrictEqual(moved.files, [{ path: operatorPath, encrypted: true, changed: true }])
      const rest = yield* changed(["change-passphrase"], { stateDir, env: both })
      assert.deepStrictEqual(rest.files.map((file) => file.changed), [true, false])
      const last = { [`${prefix}PASSPHRASE`]: second }
      assert.include(yield* shown(["show"], { stateDir, env: last }), { deviceId: device.deviceId, verified: true })

      const plain = yield* changed(["decrypt"], { stateDir, env: last })
      assert.deepStrictEqual(plain.files, files.map((path) => ({ path, encrypted: false, changed: true })))
      const nothing = yield* cli(["identity", "decrypt"], { stateDir })
      assert.strictEqual(nothing.code, 0)
      assert.deepStrictEqual(
        [yield* shown(["show"], { stateDir }), yield* shown(["show"], { stateDir, env: asOperator })].map((each) =>
          each.deviceId
        ),
        [device.deviceId, operator.deviceId]
      )
      yield* refused(["identity", "change-passphrase"], { stateDir, env: both }, {
        error: "IdentityLocked",
        says: /is not encrypted, so there is no passphrase to change/
      })
    }).pipe(Effect.provide(Cli.platform)))

  it.effect("a passphrase comes from the configuration only, and a wrong one is an error before any change", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const stateDir = yield* stateDirectory
      yield* shown(["create"], { stateDir })
      yield* fs.writeFileString(`${stateDir}/empty`, "\n")
      const before = yield* tree(stateDir)
      const env = { [`${prefix}PASSPHRASE`]: first }
      yield* refused(["identity", "encrypt"], { stateDir }, {
        error: "PassphraseMissing",
        says: /OPENCLAW_DEVICE_IDENTITY_PASSPHRASE.*_FILE.*_FD.*never taken from the command line.*Nothing was changed/
      })
      yield* refused(["identity", "change-passphrase"], { stateDir, env }, {
        error: "PassphraseMissing",
        says: /no passphrase to change to\. Set OPENCLAW_DEVICE_IDENTITY_NEW_PASSPHRASE/
      })
      for (
        const [more, says] of [
          [{ [`${prefix}PASSPHRASE_FILE`]: `${stateDir}/empty` }, /PASSPHRASE is one of several sources/],
          [{ [`${prefix}PASSPHRASE`]: "", [`${prefix}PASSPHRASE_FILE`]: `${stateDir}/none` }, /_FILE names a file/],
          [{ [`${prefix}PASSPHRASE`]: "", [`${prefix}PASSPHRASE_FILE`]: `${stateDir}/empty` }, /gives an empty value/],
          [{ [`${prefix}PASSPHRASE`]: "", [`${prefix}PASSPHRASE_FD`]: "-1" }, /is not the number of a file descriptor/]
        ] as const
      ) {
        for (const args of [["identity", "encrypt"], ["identity", "show"], ["run"], ["delegate", "x"]]) {
          yield* refused(args, { stateDir, env: { ...env, ...more } }, { error: "IdentitySecretInvalid", says })
        }
      }
      const typed = yield* cli(["identity", "encrypt", "typed"], { stateDir })
      assert.strictEqual(typed.code, exitCodes.usage)
      assert.deepStrictEqual(yield* tree(stateDir), before)

      // nothing that a passphrase or a key could be typed into
      for (const { name } of identity.subcommands.flatMap(({ commands }) => commands)) {
        const events: Array<CliOutput.Presenter.Event> = []
        yield* cli(["identity", name, "--help"], { stateDir, present: (event) => void events.push(event) })
        const typed = events.flatMap((event) =>
          event._tag === "Help" ? [...event.helpDoc.flags, ...(event.helpDoc.args ?? [])] : []
        )
        assert.lengthOf(events, 1)
        assert.notMatch(typed.map((each) => each.name).join(" "), /pass|secret|seed|pem|key/i)
      }
    }).pipe(Effect.provide(Cli.platform)))
})

describe("identity import", () => {
  it.effect("F40: imports files of OpenClaw and TEN and PEM files with their platform, and only reads them", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* Cli.temporaryDirectory
      const key = makeKey()
      const host = process.platform === "darwin" ? "macos" : process.platform === "win32" ? "windows" : "linux"
      for (
        const [name, text, args, format, platform] of [
          ["device.json", key.openClaw, [], "OpenClaw", process.platform],
          ["ten.json", key.ten, [], "Ten", "ten"],
          ["key.pem", key.pem, [], "Pem", host],
          ["key.pem", key.pem, ["--platform", "ten"], "Pem", "ten"]
        ] as const
      ) {
        const from = `${directory}/${name}`
        const stateDir = `${directory}/${format}${args.length}`
        yield* fs.writeFileString(from, text, { mode: 0o640 })
        const before = yield* fs.stat(from)
        const answer = yield* shown(["import", from, ...args], { stateDir })
        assert.include(answer, { imported: true, from, format, deviceId: key.deviceId, platform, encrypted: false })
        const again = yield* shown(["import", from, ...args], { stateDir })
        assert.deepStrictEqual(again, { ...answer, imported: false, verified: false })
        const after = yield* fs.stat(from)
        assert.deepStrictEqual([after.mtime, after.mode, after.ino], [before.mtime, before.mode, before.ino])
        assert.strictEqual(yield* fs.readFileString(from), text)
        assert.deepStrictEqual((yield* tree(stateDir)).map(([file, mode]) => [file, mode]), [["identity.json", 0o600]])
      }
    }).pipe(Effect.provide(Cli.platform)))

  it.effect("F39: refuses unusable files and stored identities with the reason, and changes nothing", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* Cli.temporaryDirectory
      const key = makeKey()
      const file = (name: string, text: string) =>
        Effect.as(fs.writeFileString(`${directory}/${name}`, text), `${directory}/${name}`)
      const told: Array<string> = []
      for (
        const [from, error, says] of [
          [`${directory}/none`, "IdentityUnreadable", /^There is no file .*none\. Nothing was imported\. What can be/],
          [directory, "IdentityUnreadable", /EISDIR/],
          ["/dev/zero", "IdentityExposed", /the path is not a regular file/],
          [yield* file("text", "hello"), "IdentityInvalid", /text is not JSON\. Nothing was imported/],
          [yield* file("object", "{}"), "IdentityInvalid", /Nothing was imported/],
          [
            yield* file("mixed", key.ten.replace(key.deviceId, makeKey().deviceId)),
            "IdentityInconsistent",
            /the device id does not belong to the key\. Nothing was imported/
          ]
        ] as const
      ) {
        const answer = yield* refused(["identity", "import", from], { stateDir: `${directory}/state` }, { error, says })
        assert.notInclude(answer.problem, "reset")
        told.push(answer.everything)
      }
      const platform = yield* cli(["identity", "import", yield* file("ten", key.ten), "--platform", "a|b"], {
        stateDir: `${directory}/state`
      })
      assert.strictEqual(platform.code, exitCodes.usage)
      assert.isFalse(yield* fs.exists(`${directory}/state/identity.json`))

      const own = yield* shown(["create"], { stateDir: `${directory}/state` })
      const before = yield* tree(`${directory}/state`)
      const overwrite = yield* refused(
        ["identity", "import", `${directory}/ten`],
        { stateDir: `${directory}/state` },
        { error: "IdentityExists", says: new RegExp(`already holds an identity \\(device ${own.deviceId}\\)`) }
      )
      assert.deepStrictEqual(yield* tree(`${directory}/state`), before)
      const reserved = yield* refused(
        ["identity", "import", `${directory}/ten`],
        { stateDir: `${directory}/.openclaw/identity` },
        { error: "IdentityPathReserved", says: /belongs to OpenClaw/ }
      )
      assertSilent(key.seed, ...told, overwrite.everything, reserved.everything)
    }).pipe(Effect.provide(Cli.platform)))

  it.effect("F04: an encrypted backup is imported with its passphrase and stays encrypted; a plain file gets encrypted", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* Cli.temporaryDirectory
      const key = makeKey()
      const env = { [`${prefix}PASSPHRASE`]: first }
      yield* fs.writeFileString(`${directory}/ten.json`, key.ten)
      const sealed = yield* shown(["import", `${directory}/ten.json`], { stateDir: `${directory}/a`, env })
      assert.include(sealed, { deviceId: key.deviceId, platform: "ten", encrypted: true })
      const backup = `${directory}/a/identity.json`
      for (
        const [wrong, says] of [
          [{}, /no passphrase was configured/],
          [{ [`${prefix}PASSPHRASE`]: second }, /the passphrase does not open it/]
        ] as const
      ) {
        yield* refused(["identity", "import", backup], { stateDir: `${directory}/b`, env: wrong }, {
          error: "IdentityLocked",
          says
        })
      }
      assert.isFalse(yield* fs.exists(`${directory}/b`))
      const moved = yield* shown(["import", backup], { stateDir: `${directory}/b`, env })
      assert.include(moved, { format: "Own", deviceId: key.deviceId, platform: "ten", encrypted: true })
      const plain = [...(yield* tree(`${directory}/a`)), ...(yield* tree(`${directory}/b`))]
      assert.notInclude(JSON.stringify(plain), "PRIVATE KEY")
    }).pipe(Effect.provide(Cli.platform)))

  it.effect("F40: create refuses where the settings name the identity of another program", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* Cli.temporaryDirectory
      const key = makeKey()
      const from = `${directory}/device.json`
      yield* fs.writeFileString(from, key.ten)
      const options = {
        stateDir: `${directory}/state`,
        env: { OPENCLAW_GATEWAY_DEVICE_IDENTITY_PATH: from, [`${prefix}PASSPHRASE`]: first }
      }
      yield* refused(["identity", "create"], options, {
        error: "IdentityExists",
        says: /names the identity of another program, .*device\.json\. Nothing was created\. Take it over with/
      })
      assert.isFalse(yield* fs.exists(`${directory}/state`))
      const taken = yield* shown(["show"], options)
      assert.include(taken, { deviceId: key.deviceId, platform: "ten", created: false, encrypted: true })
    }).pipe(Effect.provide(Cli.platform)))
})

describe("identity reset", () => {
  it.effect("F39: announces the reset, performs it with --yes, and keeps a backup that can be imported", () =>
    Effect.gen(function*() {
      const stateDir = yield* stateDirectory
      const { deviceId } = yield* shown(["create"], { stateDir })
      const before = yield* tree(stateDir)
      yield* refused(["identity", "reset"], { stateDir }, {
        code: exitCodes.usage,
        error: "ConfirmationMissing",
        says: new RegExp(
          `${deviceId}.* keep it as a backup .* has to be approved again\\. Nothing was changed\\. Add --yes`
        )
      })
      assert.deepStrictEqual(yield* tree(stateDir), before)
      const done = yield* cli(["identity", "reset", "--yes"], { stateDir })
      assert.strictEqual(done.code, 0)
      const backup = /^backup {6}(\S+)$/m.exec(done.out)?.[1] ?? ""
      assert.match(backup, /identity\.json\.backup-\d{8}T\d{6}Z$/)
      assert.match(done.out, new RegExp(`openclaw devices remove ${deviceId}\n`))
      assert.deepStrictEqual(
        (yield* tree(stateDir)).map(([name, mode, text]) => [`${stateDir}/${name}`, mode, text]),
        [[backup, 0o600, before[0]?.[2]]]
      )
      for (const args of [["reset"], ["reset", "--yes"]]) {
        yield* refused(["identity", ...args], { stateDir }, {
          error: "IdentityAbsent",
          says: /There is no identity at/
        })
      }
      assert.include(yield* shown(["import", backup], { stateDir }), { deviceId, imported: true })
    }).pipe(Effect.provide(Cli.platform)))

  it.effect("F39: gives up a damaged file too, and the operator's identity only with --operator", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const stateDir = yield* stateDirectory
      yield* shown(["create"], { stateDir })
      yield* fs.writeFileString(`${stateDir}/operator-identity.json`, "damaged", { mode: 0o600 })
      const env = { OPENCLAW_GATEWAY_URL: "ws://127.0.0.1:1", [`${prefix}PASSPHRASE`]: first }
      for (const args of [["devices", "list"], ["identity", "encrypt"]]) {
        yield* refused(args, { stateDir, env }, {
          error: "IdentityInvalid",
          says: /operator-identity\.json is not JSON.* Command: openclaw-device identity reset --yes --operator$/
        })
      }
      const answer = yield* cli(["identity", "reset", "--operator", "--yes", "--json"], { stateDir })
      assert.match(answer.out, /"path":"[^"]*operator-identity\.json","backup":"[^"]*operator-identity\.json\.backup-/)
      const left = (yield* tree(stateDir)).map((
        [name, , text]
      ) => [name.replace(/backup-.*/, "backup"), text === "damaged"])
      assert.deepStrictEqual(left, [["identity.json", false], ["operator-identity.json.backup", true]])
    }).pipe(Effect.provide(Cli.platform)))
})

describe("a configured key", () => {
  it.effect("G01: a seed or PEM is the identity without a file, and commands that would write one refuse", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* Cli.temporaryDirectory
      const stateDir = `${directory}/state`
      const key = makeKey()
      yield* fs.writeFileString(`${directory}/key.pem`, key.pem)
      const told: Array<string> = []
      for (
        const env of [
          { [`${prefix}SEED`]: key.seed.toString("hex") },
          { [`${prefix}SEED`]: key.seed.toString("base64url") },
          { [`${prefix}PEM_FILE`]: `${directory}/key.pem` }
        ]
      ) {
        const answer = yield* cli(["identity", "show", "--json", "--no-create"], { stateDir, env })
        assert.include(yield* decodeShown(answer.out), {
          deviceId: key.deviceId,
          created: false,
          compareCode: compareCode(key.deviceId).words
        })
        const human = yield* cli(["identity", "show"], { stateDir, env })
        assert.include(human.out, "kept in     the configuration (OPENCLAW_DEVICE_IDENTITY_SEED or ")
        told.push(answer.everything, human.everything)
        for (const args of [["create"], ["import", `${directory}/key.pem`]]) {
          const { everything } = yield* refused(["identity", ...args], { stateDir, env }, {
            error: "IdentityConfigured",
            says: /gives this device its key, so a file would not be used\. Nothing was changed/
          })
          told.push(everything)
        }
      }
      const both = { [`${prefix}SEED`]: key.seed.toString("hex"), [`${prefix}PEM`]: key.pem }
      for (const args of [["identity", "show"], ["run"], ["delegate", "x"]]) {
        const { everything } = yield* refused(args, { stateDir, env: both }, {
          error: "IdentitySecretInvalid",
          says: /one of several sources/
        })
        told.push(everything)
      }
      assert.isFalse(yield* fs.exists(stateDir))
      assertSilent(key.seed, ...told)
    }).pipe(Effect.provide(Cli.platform)))
})

describe("commands that need the identity", () => {
  it.effect("F04: an identity that cannot be opened ends them with status 78 before any output or change", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const stateDir = yield* stateDirectory
      const right = { [`${prefix}PASSPHRASE`]: first }
      yield* shown(["create"], { stateDir, env: right })
      yield* shown(["create"], {
        stateDir,
        env: { ...right, OPENCLAW_GATEWAY_DEVICE_IDENTITY_PATH: `${stateDir}/operator-identity.json` }
      })
      const before = yield* tree(stateDir)
      const { mtime } = yield* fs.stat(stateDir)
      const url = ["--gateway-url", "ws://127.0.0.1:1"]
      for (const args of [["run"], ["run", ...url], ["delegate", "x", ...url], ["devices", "list", ...url]]) {
        yield* refused(args, { stateDir }, {
          error: "IdentityLocked",
          says: /is encrypted and no passphrase was configured.*The file was not touched/
        })
        yield* refused([...args, "--json"], { stateDir, env: { [`${prefix}PASSPHRASE`]: second } }, {
          error: "IdentityLocked",
          says: /the passphrase does not open it/
        })
      }
      assert.deepStrictEqual(yield* tree(stateDir), before)
      // not even a file that was removed again
      assert.deepStrictEqual((yield* fs.stat(stateDir)).mtime, mtime)
    }).pipe(Effect.provide(Cli.platform)))
})

const decodeListed = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.Struct({
  pending: Schema.Array(Schema.Struct({ deviceId: Schema.String, compareCode: Schema.String }))
})))

describe("the code to compare", () => {
  it("is what run shows, at its start and where it asks for approval", () => {
    const { deviceId } = makeKey()
    const { words } = compareCode(deviceId)
    const at = "2026-01-02T03:04:05.678Z"
    const start = render({ at, event: "identity", deviceId, compareCode: words, created: false, path: "/x" }, plain)
    assert.strictEqual(start, `device   ${deviceId.slice(0, 16)}… from /x\ncode     ${words}`)
    const list = { argv: ["list"], text: "list" }
    const asked = {
      at,
      deviceId,
      reason: "not-paired",
      since: at,
      expiresAt: at,
      list,
      event: "pairing.required"
    } as const
    assert.include(
      (render(asked, plain) ?? "").split("\n"),
      `It is this device if they see ${deviceId.slice(0, 16)}… or this code: ${words}`
    )
  })
})

describe("README", () => {
  const section = Effect.flatMap(
    FileSystem.FileSystem,
    (fs) => fs.readFileString(`${import.meta.dirname}/../../src/identity/README.md`)
  )

  it.effect("F31: explains volumes, containers, backups and encryption", () =>
    Effect.map(section, (text) => {
      const topics = [...text.matchAll(/^- \*\*([^*]+)\*\*: /gm)].map(([, topic]) => topic)
      assert.includeMembers(topics, [
        "Volumes",
        "Containers",
        "Snapshots and backups",
        "Encryption at rest",
        "Secrets mounts",
        "Moving in",
        "Rotation"
      ])
      for (const { name } of identity.subcommands.flatMap(({ commands }) => commands)) {
        assert.include(text, `identity ${name}`)
      }
      for (const variable of text.match(/OPENCLAW_[A-Z_]+/g) ?? []) {
        assert.include(table.map((row) => row.variable), variable.replace(/_(FILE|FD)$/, ""))
      }
    }).pipe(Effect.provide(Cli.platform)))

  it.effect("F31: its commands work in the given order", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const home = yield* Cli.temporaryDirectory
      const key = makeKey()
      yield* fs.makeDirectory(`${home}/.openclaw/identity`, { recursive: true })
      yield* fs.writeFileString(`${home}/.openclaw/identity/device.json`, key.openClaw)
      for (const [name, text] of [["old", first], ["new", second], ["seed", key.seed.toString("hex")]] as const) {
        yield* fs.writeFileString(`${home}/${name}`, text)
      }
      const block = /<!-- identity -->[^]*?```sh\n([^]*?)```/.exec(yield* section)?.[1] ?? ""
      const lines = block.split("\n").map((line) => line.replace(/ +#.*/, "")).filter((line) => line !== "")
      const codes: Array<number> = []
      for (const line of lines) {
        const words = line.replaceAll("/run/secrets/", `${home}/`).replaceAll("~/", `${home}/`).split(" ")
        const at = words.indexOf("openclaw-device")
        const env = Object.fromEntries(words.slice(0, at).map((word) => word.split("=")))
        const answer = yield* cli(words.slice(at + 1), { stateDir: `${home}/state`, env })
        codes.push(answer.code)
        assertSilent(key.seed, answer.everything)
      }
      assert.deepStrictEqual(
        lines.flatMap((line, index) => codes[index] === 0 ? [] : [line]),
        ["openclaw-device identity reset"]
      )
      assert.isAbove(lines.length, 7)
      assert.include(yield* shown(["show"], { stateDir: `${home}/state` }), { deviceId: key.deviceId })
    }).pipe(Effect.provide(Cli.platform)))
})

describe("as a process", () => {
  it.live(
    "F04: run opens an encrypted identity with a mounted secret; a wrong one is status 78 and one sentence",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const directory = yield* Cli.temporaryDirectory
        const stateDir = `${directory}/state`
        yield* fs.writeFileString(`${directory}/passphrase`, `${first}\n`, { mode: 0o400 })
        const mounted = { [`${prefix}PASSPHRASE_FILE`]: `${directory}/passphrase` }
        const { compareCode: code, deviceId } = yield* shown(["create"], { stateDir, env: mounted })
        const context = yield* Layer.build(DevGateway.layerTest())
        const gateway = Context.get(context, DevGateway)
        const url = (yield* Effect.provideContext(DevGatewayWs.serve(), context)).href
        const env = { ...mounted, OPENCLAW_GATEWAY_TOKEN: "shared-token" }
        const args = ["run", "--json", "--gateway-url", url]

        const wrong = Cli.finished(args, {
          stateDir,
          env: { ...env, [`${prefix}PASSPHRASE_FILE`]: `${stateDir}/identity.json` }
        })
        const good = Effect.gen(function*() {
          const child = yield* Cli.start(args, { stateDir, env })
          assert.deepInclude(yield* child.nextEvent("identity"), { deviceId, compareCode: code, created: false })
          const { requestId } = yield* child.nextEvent("pairing.required")
          const list = ["devices", "list", "--gateway-url", url]
          const operator = { stateDir: `${directory}/operator`, env: { OPENCLAW_GATEWAY_TOKEN: "operator-token" } }
          const sentences = yield* cli(list, operator)
          assert.include(sentences.out.split("\n"), `    code: ${code}`, sentences.problem)
          const listed = yield* decodeListed((yield* cli([...list, "--json"], operator)).out)
          assert.deepStrictEqual(listed, { pending: [{ deviceId, compareCode: code }] })
          yield* gateway.approve(String(requestId))
          yield* child.stdinWrite("")
          yield* child.nextEvent("connected")
          yield* Cli.endsAt(child, "SIGTERM", stateDir)
          return child
        })
        const [refusal, child] = yield* Effect.all([wrong, good], { concurrency: 2 })
        assert.deepStrictEqual([refusal.code, refusal.stdout], [exitCodes.settings, []])
        assert.match(
          refusal.stderr,
          /^ERROR\n +\S+identity\.json is encrypted and the passphrase does not open it\. .*$/
        )
        const seen = [...child.stdout, ...child.stderr, ...refusal.stdout, refusal.stderr].join("\n")
        assert.notInclude(seen, first)
        assert.notInclude(seen, "encryptedKey")
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live("G01: a passphrase comes through a pipe that can be read only once", () =>
    Effect.gen(function*() {
      const stateDir = yield* stateDirectory
      const main = `${import.meta.dirname}/../../src/cli/Main.ts`
      const answer = yield* Cli.paste(
        `printf '%s\\n' '${first}' | ${prefix}PASSPHRASE_FD=0 '${process.execPath}' '${main}' identity show --json --state-dir '${stateDir}'`
      )
      assert.deepStrictEqual([answer.code, answer.stderr], [0, ""])
      const created = yield* decodeShown(answer.stdout.join("\n"))
      assert.include(created, { created: true, encrypted: true, verified: true })
      const env = { [`${prefix}PASSPHRASE`]: first }
      assert.include(yield* shown(["show"], { stateDir, env }), { deviceId: created.deviceId, verified: true })
    }).pipe(Effect.provide(Cli.platform)), limit)
})
