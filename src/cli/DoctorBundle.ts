/**
 * The file that `doctor --bundle` writes: one JSON object, compressed by gzip, with all that helps to find a trouble and no secret.
 *
 * Secrets of the settings are named and never shown. The whole text is searched for every credential that is known here before it is
 * written, so that one that got into a message does not get into the file.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import process from "node:process"
import { gzip } from "node:zlib"
import type { Subject } from "../doctor/Doctor.ts"
import * as IdentitySecrets from "../identity/IdentitySecrets.ts"
import { redact } from "../protocol/OutsideText.ts"
import { maxBytes } from "../recorder/Recording.ts"
import type * as Setting from "../settings/Setting.ts"
import * as SettingSource from "../settings/SettingSource.ts"
import * as StatusClient from "../status/StatusClient.ts"
import { PrivateFile } from "../storage/PrivateFile.ts"
import { readRegularFile } from "../storage/RegularFile.ts"
import { as, CommandFailed } from "./CommandError.ts"
import * as GatewayFile from "./GatewayFile.ts"
import { Invocation } from "./Invocation.ts"
import * as Settings from "./Settings.ts"

export interface Content {
  readonly report: unknown
  readonly subject: Subject | undefined
  readonly checked: Settings.Settings | undefined
  readonly recording: Option.Option<string>
}

/** Writes the bundle into a new file that its owner alone may read. */
export const write = Effect.fnUntraced(function*(path: string, content: Content) {
  const { platform, version } = yield* Invocation
  const { secrets, shown } = yield* settings
  const text = JSON.stringify({
    format: "effect-openclaw/doctor-bundle",
    version: 1,
    program: version,
    nodejs: process.versions,
    platform,
    architecture: process.arch,
    doctor: content.report,
    settings: shown,
    programs: yield* programs(content.subject),
    ...(Option.isNone(content.recording) ? {} : { recording: yield* recording(content.recording.value) })
  })
  const known = [
    ...secrets,
    ...yield* identitySecrets,
    ...yield* gatewaySecrets(content.checked),
    ...(content.subject === undefined ? [] : secretsOf(content.subject))
  ]
  const bytes = yield* compressed(redact(text, known))
  const files = yield* PrivateFile
  const { created } = yield* Effect.mapError(files.create(path, bytes, { maxBytes: maxBytes * 2 }), as("settings"))
  if (!created) {
    return yield* new CommandFailed({
      exit: "settings",
      error: "FileExists",
      problem: `${path} exists already, and is not overwritten`
    })
  }
})

const compressed = (text: string): Effect.Effect<Uint8Array> =>
  Effect.callback((resume) =>
    void gzip(text, (error, bytes) => resume(error === null ? Effect.succeed(bytes) : Effect.die(error)))
  )

/** Each setting that is set: by which variable, and its value unless that is a secret or the name of a file. */
const settings = Effect.gen(function*() {
  const secrets: Array<Redacted.Redacted> = []
  const shown: Array<{ readonly setting: string; readonly value: string }> = []
  for (const row of Settings.table) {
    if (row.variable === undefined) continue
    const found = yield* Effect.option(SettingSource.find({ row }))
    const text = Option.getOrUndefined(found)?.texts.row
    if (text === undefined) continue
    const isSecret = row.source === "secret" || row.source === "file"
    if (row.source === "secret") secrets.push(text.text)
    shown.push({ setting: text.name, value: isSecret ? "[set]" : shownValue(row, text.text) })
  }
  return { secrets, shown }
})

/** A value that cannot be used is not shown: it may be a secret in the wrong place. */
const shownValue = (row: Setting.Setting<unknown>, text: Redacted.Redacted): string =>
  row.parse(Redacted.value(text))._tag === "Success" && !Redacted.value(text).includes("@")
    ? Redacted.value(text)
    : "[not usable]"

const identitySecrets = Effect.map(
  Effect.all([Effect.option(IdentitySecrets.passphrase), Effect.option(IdentitySecrets.newPassphrase)]),
  (all) => all.flatMap((one) => Option.toArray(Option.flatten(one)))
)

const gatewaySecrets = (checked: Settings.Settings | undefined) =>
  checked?.files === undefined
    ? Effect.succeed([])
    : Effect.map(Effect.option(GatewayFile.read(checked.files.gateway)), (found) =>
      Option.match(Option.flatten(found), {
        onNone: () => [],
        onSome: ({ operatorToken, sharedToken }) => [operatorToken, sharedToken]
      }))

const secretsOf = ({ gateway: { headers, password, token } }: Subject): ReadonlyArray<Redacted.Redacted> =>
  [token, password, ...headers.map(({ value }) => value)].filter((secret) => secret !== undefined)

/** What the running programs tell: how they stand, and what their connections went through. */
const programs = Effect.fnUntraced(function*(subject: Subject | undefined) {
  if (subject?.files === undefined) return []
  const found = yield* Effect.orElseSucceed(StatusClient.find(subject.files.directory), () => [])
  return yield* Effect.forEach(found, tellOf)
})

const tellOf = Effect.fnUntraced(function*(one: StatusClient.Found) {
  if (one._tag === "NotAnswered") return { pid: one.socket.pid, problem: one.error.message }
  const recent = yield* Effect.option(StatusClient.askOnce(one.socket, "recent"))
  return { report: one.report, recent: Option.getOrUndefined(recent)?.recent ?? [] }
})

const recording = (path: string) =>
  Effect.map(
    Effect.mapError(readRegularFile(path, maxBytes), as("settings")),
    (bytes) => new TextDecoder().decode(bytes)
  )
