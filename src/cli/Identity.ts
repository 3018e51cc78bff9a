/**
 * `identity`: shows the identity of this device, and creates, imports and gives up its file. It never shows the private key.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import { compareCode } from "../identity/CompareCode.ts"
import type { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import type { IdentityInconsistent, IdentityInvalid, IdentityUnreadable } from "../identity/IdentityError.ts"
import { IdentityAbsent, IdentityExists } from "../identity/IdentityError.ts"
import * as IdentitySecrets from "../identity/IdentitySecrets.ts"
import { PlatformName } from "../protocol/Connect.ts"
import { line } from "../protocol/OutsideText.ts"
import { posixCommand } from "../protocol/ShellCommand.ts"
import { withSettings } from "./AgentLayer.ts"
import { as, CommandFailed } from "./CommandError.ts"
import { changePassphrase, decrypt, encrypt } from "./IdentityPassphrase.ts"
import * as IdentityReport from "./IdentityReport.ts"
import { Invocation } from "./Invocation.ts"
import { Output } from "./Output.ts"
import * as OwnIdentity from "./OwnIdentity.ts"
import type { Settings } from "./Settings.ts"
import { stored } from "./Stored.ts"

/** Creates or loads the identity, without its log: the report has the warnings. */
const load = Effect.fnUntraced(function*(checked: Settings, passphrase: OwnIdentity.Passphrase) {
  const { version } = yield* Invocation
  const options = { create: true, createdBy: OwnIdentity.createdBy(version) }
  const { source } = yield* OwnIdentity.load(checked, passphrase, options).pipe(
    Effect.provideService(References.MinimumLogLevel, "Error")
  )
  return { created: source._tag === "File" && source.created }
})

/** The stored identity after it was opened. */
const storedSummary = Effect.fnUntraced(function*(path: string) {
  const summary = yield* Effect.flatMap(IdentityReport.adminOf(path), (admin) => admin.inspect())
  return Option.isNone(summary) ? yield* new IdentityAbsent({ path }) : { ...summary.value, verified: true }
})

const show = Command.make("show", {
  create: Flag.Boolean("create").pipe(
    Flag.withDescription("Create the identity when there is none"),
    Flag.withDefault(true)
  )
}, ({ create }) =>
  withSettings(Effect.fnUntraced(function*(checked) {
    const configured = yield* OwnIdentity.fromSeed
    if (Option.isSome(configured)) return yield* showConfigured(configured.value)
    const secret = Option.getOrUndefined(yield* IdentitySecrets.passphrase)
    const passphrase = secret !== undefined
    const { path } = yield* OwnIdentity.places(checked)
    const found = yield* Effect.flatMap(IdentityReport.adminOf(path), (admin) => admin.inspect(secret))
    if (Option.isSome(found)) {
      return yield* IdentityReport.show(found.value, { facts: { created: false }, heading: undefined, passphrase })
    }
    if (!create) return yield* new IdentityAbsent({ path })
    const { created } = yield* load(checked, secret)
    yield* IdentityReport.show(yield* storedSummary(path), {
      facts: { created },
      heading: created ? "created just now" : undefined,
      passphrase
    })
  }))).pipe(
    Command.withDescription("Show the device identity; the private key is never shown"),
    Command.withExamples([{
      command: "openclaw-device identity show --no-create",
      description: "Fail when there is none"
    }])
  )

const showConfigured = Effect.fnUntraced(function*({ deviceId, platform, publicKey }: DeviceIdentity["Service"]) {
  const output = yield* Output
  const { digits, words } = compareCode(deviceId)
  if (output.json) {
    return yield* output.line(JSON.stringify({
      created: false,
      deviceId,
      compareCode: words,
      compareDigits: digits,
      publicKey,
      platform,
      warnings: []
    }))
  }
  yield* output.line(`device id   ${deviceId}`)
  yield* output.line(`code        ${words}`)
  yield* output.line(`            ${digits}`)
  yield* output.line(`public key  ${publicKey}`)
  yield* output.line(`platform    ${platform}`)
  yield* output.line("kept in     the configuration (OPENCLAW_DEVICE_IDENTITY_SEED or OPENCLAW_DEVICE_IDENTITY_PEM)")
})

/** Fails when a key is configured: a file beside it would not be used, and would have another device id. */
const refuseConfigured = Effect.flatMap(
  OwnIdentity.fromSeed,
  (configured) =>
    Option.isNone(configured) ? Effect.void : Effect.fail(
      new CommandFailed({
        exit: "settings",
        error: "IdentityConfigured",
        problem:
          "OPENCLAW_DEVICE_IDENTITY_SEED or OPENCLAW_DEVICE_IDENTITY_PEM gives this device its key, so a file would"
          + " not be used. Nothing was changed. Unset the variable to keep the identity in a file."
      })
    )
)

const create = Command.make("create", {}, () =>
  withSettings(Effect.fnUntraced(function*(checked) {
    yield* refuseConfigured
    const secret = Option.getOrUndefined(yield* IdentitySecrets.passphrase)
    const fs = yield* FileSystem.FileSystem
    const { path, source } = yield* OwnIdentity.places(checked)
    const found = yield* Effect.flatMap(IdentityReport.adminOf(path), (admin) => admin.inspect())
    if (Option.isSome(found)) return yield* new IdentityExists({ path, deviceId: found.value.deviceId })
    if (source !== undefined && (yield* Effect.orElseSucceed(fs.exists(source), () => true))) {
      return yield* new CommandFailed({
        exit: "settings",
        error: "IdentityExists",
        problem: `OPENCLAW_GATEWAY_DEVICE_IDENTITY_PATH names the identity of another program, ${line(source)}. Nothing`
          + " was created. Take it over with `identity import`, which keeps its pairing; or unset the variable to create a"
          + " new one, which needs an approval."
      })
    }
    const { created } = yield* load(checked, secret)
    const summary = yield* storedSummary(path)
    if (!created) return yield* new IdentityExists({ path, deviceId: summary.deviceId })
    yield* IdentityReport.show(summary, { facts: { created }, heading: undefined, passphrase: secret !== undefined })
  }))).pipe(
    Command.withDescription(
      "Create the identity; fail when there is one. With a configured passphrase it is encrypted"
    ),
    Command.withExamples([{
      command: "openclaw-device identity create",
      description: "Before the first start, for example while a volume is set up"
    }])
  )

const importFile = Command.make("import", {
  file: Argument.String("file").pipe(
    Argument.withDescription("A device.json of OpenClaw or TEN, a PKCS#8 PEM file, or a file or backup of this program")
  ),
  platform: Flag.String("platform").pipe(
    Flag.withDescription("The platform that the device was approved with, where the file does not say it"),
    Flag.filterMap(
      Schema.decodeUnknownOption(PlatformName),
      () => "a platform name such as linux, macos, darwin or ten"
    ),
    Flag.optional
  )
}, ({ file, platform }) =>
  withSettings(Effect.fnUntraced(function*(checked) {
    yield* refuseConfigured
    const secret = Option.getOrUndefined(yield* IdentitySecrets.passphrase)
    const from = (yield* Path.Path).resolve(file)
    const { path } = yield* OwnIdentity.places(checked)
    const admin = yield* IdentityReport.adminOf(path)
    const { imported, source, summary } = yield* Effect.mapError(
      admin.importFile(from, {
        platform: Option.getOrUndefined(platform),
        passphrase: secret,
        sealWith: secret
      }),
      (error) => isAboutContent(error) && error.path === from ? notImported(error) : error
    )
    yield* IdentityReport.show(summary, {
      facts: { imported, from, format: source },
      heading: imported
        ? `imported from ${from} (${formats[source]}), which was only read`
        : "nothing to do: this identity is stored already",
      passphrase: secret !== undefined
    })
  }))).pipe(
    Command.withDescription("Bring an identity in from a file, which is only read, so that its device stays approved"),
    Command.withExamples([{
      command: "openclaw-device identity import ~/.openclaw/identity/device.json",
      description: "Go on as the device that OpenClaw or TEN was"
    }])
  )

const formats = {
  OpenClaw: "of OpenClaw",
  Ten: "of TEN",
  Pem: "a PEM file",
  Own: "of this program"
} as const

type AboutContent = IdentityInvalid | IdentityInconsistent | IdentityUnreadable

const isAboutContent = <E extends { readonly _tag: string }>(error: E): error is Extract<E, AboutContent> =>
  error._tag === "IdentityInvalid" || error._tag === "IdentityInconsistent" || error._tag === "IdentityUnreadable"

/** The error for a file that is only a source. The advice for an identity in use would mislead. */
const notImported = (error: AboutContent): CommandFailed => {
  if (error._tag === "IdentityUnreadable" && error.errno !== "ENOENT") return as("settings")(error)
  const what = error._tag === "IdentityUnreadable"
    ? `There is no file ${error.path}.`
    : error.problem
  return new CommandFailed({
    exit: "settings",
    error: error._tag,
    problem: `${what} Nothing was imported. What can be imported: device.json of OpenClaw or TEN, an Ed25519 key in`
      + " PKCS#8 PEM, and a file or a backup of this program."
  })
}

const reset = Command.make("reset", {
  yes: Flag.Boolean("yes").pipe(
    Flag.withDescription("Do it; without this flag it is only said what would be done"),
    Flag.withDefault(false)
  ),
  operator: Flag.Boolean("operator").pipe(
    Flag.withDescription("The identity with which `devices` approves others, instead of the device's own"),
    Flag.withDefault(false)
  )
}, ({ operator, yes }) =>
  withSettings(Effect.fnUntraced(function*(checked, output) {
    const own = yield* OwnIdentity.places(checked)
    const { path, source } = operator ? { path: (yield* stored(checked)).operatorIdentity, source: undefined } : own
    const admin = yield* IdentityReport.adminOf(path)
    // A damaged file can be given up as well.
    const found = yield* Effect.option(admin.inspect())
    const summary = Option.getOrUndefined(Option.flatten(found))
    if (Option.isSome(found) && summary === undefined) return yield* new IdentityAbsent({ path })
    const device = summary === undefined ? "" : ` (device ${summary.deviceId})`
    const after = source === undefined
      ? "The next start creates a new identity, which has to be approved again."
      : `The next start takes over the identity in ${source}, if it is still there.`
    if (!yes) {
      return yield* new CommandFailed({
        exit: "usage",
        error: "ConfirmationMissing",
        problem: line(`This would give up the identity in ${path}${device} and keep it as a backup beside it. ${after}`)
          + " Nothing was changed. Add --yes to do it."
      })
    }
    const backup = Option.getOrUndefined(yield* admin.reset)
    if (backup === undefined) return yield* new IdentityAbsent({ path })
    const deviceId = summary?.deviceId
    if (output.json) {
      return yield* output.line(JSON.stringify({ path, backup, ...(deviceId === undefined ? {} : { deviceId }) }))
    }
    yield* output.line(line(`gave up     ${path}${device}`))
    yield* output.line(line(`backup      ${backup}`))
    yield* output.line(line(after))
    if (deviceId !== undefined) {
      yield* output.line(
        `On the gateway host, to forget it: ${posixCommand(["openclaw", "devices", "remove", deviceId]).text}`
      )
    }
  }))).pipe(
    Command.withDescription("Give the identity up, whatever state its file is in, and keep a backup"),
    Command.withExamples([{
      command: "openclaw-device identity reset --yes",
      description: "The next start creates a new identity, which has to be approved again"
    }])
  )

export const identity = Command.make("identity").pipe(
  Command.withDescription("The identity of this device"),
  Command.withExamples([{ command: "openclaw-device identity show", description: "Who this device is" }]),
  Command.withSubcommands([show, create, importFile, encrypt, decrypt, changePassphrase, reset])
)
