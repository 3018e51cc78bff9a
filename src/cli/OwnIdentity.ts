/**
 * The identity of this device. It comes from a configured seed, or from its file. Where there is no file, it is taken over
 * from a file of OpenClaw or TEN that the settings name, or created. The file of OpenClaw or TEN is read once and never
 * written.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { resetCommand } from "../advice/IdentityAdvice.ts"
import { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import { IdentityAdmin } from "../identity/IdentityAdmin.ts"
import * as IdentityDocument from "../identity/IdentityDocument.ts"
import type { IdentityError, IdentitySecretInvalid } from "../identity/IdentityError.ts"
import * as IdentitySecrets from "../identity/IdentitySecrets.ts"
import { redactDocument } from "../identity/IdentityStore.ts"
import { Signer } from "../identity/Signer.ts"
import { readRegularFile } from "../storage/RegularFile.ts"
import { adviceOn } from "./CommandAdvice.ts"
import { type CommandFailed, withAdvice } from "./CommandError.ts"
import { Output } from "./Output.ts"
import type { Settings } from "./Settings.ts"
import { keyMissing, stored } from "./Stored.ts"

export type Passphrase = Redacted.Redacted | undefined

export interface Options {
  /** False: a missing identity is neither created nor taken over. */
  readonly create: boolean
  /** A comment in a new file. */
  readonly createdBy?: string | undefined
}

/** The identity of a configured seed, which reads and stores no file, or else that of `load`. */
export const layer = (checked: Settings, options: Options) =>
  Layer.effect(
    DeviceIdentity,
    Effect.gen(function*() {
      const configured = yield* fromSeed
      return Option.isSome(configured)
        ? configured.value
        : yield* load(checked, Option.getOrUndefined(yield* IdentitySecrets.passphrase), options)
    })
  )

/** The identity of a configured seed or PEM; nothing when none is configured. */
export const fromSeed = Effect.flatMap(
  IdentitySecrets.seed,
  Option.match({
    onNone: () => Effect.succeedNone,
    onSome: (seed) =>
      Effect.asSome(
        Effect.provide(DeviceIdentity, DeviceIdentity.layerSeed({ seed }).pipe(Layer.provide(Signer.layerNodejs)))
      )
  })
)

/** The identity of the file. The passphrase opens an encrypted one, and encrypts one that is created or taken over. */
export const load = Effect.fnUntraced(function*(
  checked: Settings,
  passphrase: Passphrase,
  { create, createdBy }: Options
) {
  const { path, source } = yield* places(checked)
  if (create && source !== undefined) yield* takeOver(path, source, passphrase)
  return yield* Effect.provide(DeviceIdentity, DeviceIdentity.layerFile({ path, create, createdBy, passphrase }))
}, Effect.provide(Signer.layerNodejs))

/** The identity of the `devices` commands: always in a file, with the same passphrase. */
export const operatorLayer = (checked: Settings) =>
  Layer.unwrap(
    Effect.gen(function*() {
      const path = (yield* stored(checked)).operatorIdentity
      const passphrase = yield* IdentitySecrets.passphrase
      return DeviceIdentity.layerFile({
        path,
        passphrase: Option.getOrUndefined(passphrase)
      })
    })
  ).pipe(
    Layer.provide(Signer.layerNodejs),
    Layer.catch((error) =>
      Layer.effect(DeviceIdentity, Effect.fail(error._tag === "CommandFailed" ? error : ofOperator(error)))
    )
  )

/** Advice that names the operator's file. The usual advice would have the person reset the identity of the device. */
export const ofOperator = (error: IdentityError | IdentitySecretInvalid): CommandFailed => {
  const advice = adviceOn(error)
  return withAdvice(
    "settings",
    error,
    advice?.command === resetCommand ? { ...advice, command: `${resetCommand} --operator` } : advice
  )
}

/** The comment in a new identity file that names the program that made it. */
export const createdBy = (version: string): string => `effect-openclaw ${version}`

/** The path of our own file, and of the file of another program that the identity may come from. */
export const places = Effect.fnUntraced(function*(checked: Settings) {
  const { files, foreignIdentityPath, identityPath } = checked
  if (identityPath === undefined) return yield* keyMissing()
  if (identityPath === files?.identity) return { path: identityPath, source: foreignIdentityPath }
  // At any other path only the content shows whose file it is. If it cannot be read, loading it fails and says why.
  const foreign = yield* Effect.match(readRegularFile(identityPath, IdentityDocument.maxBytes), {
    onFailure: () => false,
    onSuccess: (bytes) =>
      Result.match(IdentityDocument.parse(redactDocument(bytes), identityPath), {
        onFailure: (error) => error._tag === "IdentityInvalid" && error.reason === "ForeignFormat",
        onSuccess: () => false
      })
  })
  return foreign
    ? { path: (yield* stored(checked)).identity, source: identityPath }
    : { path: identityPath, source: undefined }
})

const takeOver = Effect.fnUntraced(function*(
  path: string,
  source: string,
  passphrase: Passphrase
) {
  const fs = yield* FileSystem.FileSystem
  const output = yield* Output
  // A path that cannot be checked counts as an existing file: a new identity beside that file would lose its pairing.
  const exists = (file: string) => Effect.orElseSucceed(fs.exists(file), () => true)
  if ((yield* exists(path)) || !(yield* exists(source))) return
  yield* Effect.flatMap(IdentityAdmin, (admin) => admin.importFile(source, { passphrase, sealWith: passphrase })).pipe(
    Effect.provide(IdentityAdmin.layerFile({ path })),
    Effect.flatMap(({ imported, summary }) =>
      imported
        ? output.warn(
          `warning: device ${
            summary.deviceId.slice(0, 16)
          }… was taken over from ${source}, which was only read, into ${path}.`
        )
        : Effect.void
    ),
    // Another process was first; its identity counts.
    Effect.catchTag("IdentityExists", () => Effect.void)
  )
})
