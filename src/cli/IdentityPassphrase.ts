/**
 * `identity encrypt`, `decrypt` and `change-passphrase`. Device and operator share one passphrase, so each command handles
 * both files, and opens both before it changes one. A command that was interrupted between them can be repeated.
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { IdentityAdmin, Summary } from "../identity/IdentityAdmin.ts"
import * as IdentityDocument from "../identity/IdentityDocument.ts"
import { IdentityAbsent, IdentityLocked } from "../identity/IdentityError.ts"
import * as IdentitySecrets from "../identity/IdentitySecrets.ts"
import { redactDocument } from "../identity/IdentityStore.ts"
import { line } from "../protocol/OutsideText.ts"
import { readRegularFile } from "../storage/RegularFile.ts"
import { withSettings } from "./AgentLayer.ts"
import { CommandFailed } from "./CommandError.ts"
import { adminOf } from "./IdentityReport.ts"
import { Output } from "./Output.ts"
import * as OwnIdentity from "./OwnIdentity.ts"
import type { Settings } from "./Settings.ts"
import { stored } from "./Stored.ts"

interface StoredIdentity {
  readonly admin: IdentityAdmin["Service"]
  /** Read without the passphrase: the private key was not opened. */
  readonly summary: Summary
}

/** The stored identities, that of the device first. Fails with `IdentityAbsent` where there is none. */
const storedIdentities = Effect.fnUntraced(function*(checked: Settings) {
  const { path } = yield* OwnIdentity.places(checked)
  const found: Array<StoredIdentity> = []
  const inspectAt = Effect.fnUntraced(function*(at: string) {
    const admin = yield* adminOf(at)
    const summary = yield* admin.inspect()
    if (Option.isSome(summary)) found.push({ admin, summary: summary.value })
  })
  yield* inspectAt(path)
  const { operatorIdentity } = yield* stored(checked)
  if (operatorIdentity !== path) yield* Effect.mapError(inspectAt(operatorIdentity), OwnIdentity.ofOperator)
  return found.length === 0 ? yield* new IdentityAbsent({ path }) : found
})

const required = (secret: Option.Option<Redacted.Redacted>, name: "PASSPHRASE" | "NEW_PASSPHRASE", what: string) => {
  const variable = `OPENCLAW_DEVICE_IDENTITY_${name}`
  return Effect.mapError(Effect.fromOption(secret), () =>
    new CommandFailed({
      exit: "settings",
      error: "PassphraseMissing",
      problem: `There is no passphrase ${what}. Set ${variable}, or ${variable}_FILE to a file that holds it, or`
        + ` ${variable}_FD to a file descriptor. It is never taken from the command line, which other users can read.`
        + " Nothing was changed."
    }))
}

/** Reports for each file whether this command changed it. */
const report = Effect.fnUntraced(function*(
  said: string,
  all: ReadonlyArray<StoredIdentity>,
  changed: ReadonlyArray<Summary>,
  notes: ReadonlyArray<string> = [],
  facts: Readonly<Record<string, unknown>> = {}
) {
  const output = yield* Output
  const files = all.map(({ summary }) => {
    const after = changed.find(({ path }) => path === summary.path)
    const { deviceId, encrypted, path } = after ?? summary
    return { path, deviceId, encrypted, changed: after !== undefined }
  })
  if (output.json) return yield* output.line(JSON.stringify({ files, ...facts }))
  for (const { changed, deviceId, path } of files) {
    yield* output.line(
      line(`${changed ? said : `was ${said} already`}: device ${deviceId.slice(0, 16)}… in ${path}`)
    )
  }
  for (const note of notes) yield* output.line(line(note))
})

/** The backups of an identity whose private key is not encrypted. A file that cannot be read counts as one. */
const plainBackups = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const directory = paths.dirname(path)
  const names = yield* Effect.orElseSucceed(fs.readDirectory(directory), () => [])
  const backups = names.filter((name) => name.startsWith(`${paths.basename(path)}.backup-`))
    .map((name) => paths.join(directory, name))
  return yield* Effect.filter(backups, (backup) =>
    Effect.match(readRegularFile(backup, IdentityDocument.maxBytes), {
      onFailure: () => true,
      onSuccess: (bytes) =>
        Result.match(IdentityDocument.parse(redactDocument(bytes), backup), {
          onFailure: () => true,
          onSuccess: (parsed) => !IdentityDocument.isEncrypted(parsed)
        })
    }))
})

export const encrypt = Command.make("encrypt", {}, () =>
  withSettings(Effect.fnUntraced(function*(checked) {
    const passphrase = yield* required(yield* IdentitySecrets.passphrase, "PASSPHRASE", "to encrypt with")
    const all = yield* storedIdentities(checked)
    const [first] = all
    const open = all.filter(({ summary }) => !summary.encrypted)
    if (open.length === 0 && first !== undefined) {
      return yield* new IdentityLocked({ path: first.summary.path, reason: "AlreadyEncrypted" })
    }
    for (const { admin, summary } of all) if (summary.encrypted) yield* admin.inspect(passphrase)
    const changed = yield* Effect.forEach(open, ({ admin }) => admin.encrypt(passphrase))
    const backups = (yield* Effect.forEach(all, ({ summary }) => plainBackups(summary.path))).flat()
    yield* report(
      "encrypted",
      all,
      changed,
      [
        "From now on every start needs this passphrase. Without it the identity is lost, and a new one has to be approved.",
        ...backups.map((backup) => `Not encrypted: the backup ${backup}. Remove it if it is not needed.`)
      ],
      { plainBackups: backups }
    )
  }))).pipe(
    Command.withDescription("Encrypt the private key with the configured passphrase"),
    Command.withExamples([{
      command: "openclaw-device identity encrypt",
      description: "With the passphrase of OPENCLAW_DEVICE_IDENTITY_PASSPHRASE, ..._FILE or ..._FD"
    }])
  )

export const decrypt = Command.make("decrypt", {}, () =>
  withSettings(Effect.fnUntraced(function*(checked) {
    const configured = yield* IdentitySecrets.passphrase
    const all = yield* storedIdentities(checked)
    const sealed = all.filter(({ summary }) => summary.encrypted)
    const [first] = sealed
    if (first === undefined) return yield* report("decrypted", all, [])
    if (Option.isNone(configured)) {
      return yield* new IdentityLocked({ path: first.summary.path, reason: "PassphraseMissing" })
    }
    const passphrase = configured.value
    if (sealed.length > 1) yield* Effect.forEach(sealed, ({ admin }) => admin.inspect(passphrase))
    const changed = yield* Effect.forEach(sealed, ({ admin }) => admin.decrypt(passphrase))
    yield* report("decrypted", all, changed, ["The private key is in the file without a passphrase now."])
  }))).pipe(
    Command.withDescription("Take the passphrase away; the private key is then protected by the file's mode alone"),
    Command.withExamples([{
      command: "openclaw-device identity decrypt",
      description: "With the passphrase of OPENCLAW_DEVICE_IDENTITY_PASSPHRASE, ..._FILE or ..._FD"
    }])
  )

export const changePassphrase = Command.make(
  "change-passphrase",
  {},
  () =>
    withSettings(Effect.fnUntraced(function*(checked) {
      const from = yield* required(yield* IdentitySecrets.passphrase, "PASSPHRASE", "to open the identity with")
      const to = yield* required(yield* IdentitySecrets.newPassphrase, "NEW_PASSPHRASE", "to change to")
      const all = yield* storedIdentities(checked)
      const [first] = all
      const sealed = all.filter(({ summary }) => summary.encrypted)
      if (sealed.length === 0 && first !== undefined) {
        return yield* new IdentityLocked({ path: first.summary.path, reason: "NotEncrypted" })
      }
      const due = sealed.length === 1 ? sealed : yield* unchangedYet(sealed, from, to)
      const changed = yield* Effect.forEach(due, ({ admin }) => admin.changePassphrase(from, to))
      yield* report(
        "encrypted with the new passphrase",
        sealed,
        changed,
        ["From now on OPENCLAW_DEVICE_IDENTITY_PASSPHRASE has to be the new one."]
      )
    }))
).pipe(
  Command.withDescription("Encrypt the private key anew, with another passphrase"),
  Command.withExamples([{
    command: "openclaw-device identity change-passphrase",
    description: "From OPENCLAW_DEVICE_IDENTITY_PASSPHRASE to OPENCLAW_DEVICE_IDENTITY_NEW_PASSPHRASE"
  }])
)

/** The identities that the old passphrase opens. An earlier, interrupted command has changed the others already. */
const unchangedYet = Effect.fnUntraced(
  function*(sealed: ReadonlyArray<StoredIdentity>, from: Redacted.Redacted, to: Redacted.Redacted) {
    const due: Array<StoredIdentity> = []
    let refused: IdentityLocked | undefined
    for (const each of sealed) {
      const opened = yield* Effect.result(each.admin.inspect(from))
      if (Result.isSuccess(opened)) {
        due.push(each)
        continue
      }
      const { failure } = opened
      if (failure._tag !== "IdentityLocked") return yield* failure
      refused = failure
      // Where neither passphrase opens the identity, the error is about the old one.
      yield* Effect.mapError(each.admin.inspect(to), () => failure)
    }
    return due.length === 0 && refused !== undefined ? yield* refused : due
  }
)
