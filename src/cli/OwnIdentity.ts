/**
 * The identity of this device: that of a configured seed, or loaded from its file, created where there is none, or taken
 * over from a file of OpenClaw or TEN that the settings name. Such a file is read once, and never written.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import { IdentityAdmin } from "../identity/IdentityAdmin.ts"
import * as IdentityDocument from "../identity/IdentityDocument.ts"
import { IdentityInconsistent, IdentityInvalid } from "../identity/IdentityError.ts"
import * as IdentitySecrets from "../identity/IdentitySecrets.ts"
import { redactDocument } from "../identity/IdentityStore.ts"
import { Signer } from "../identity/Signer.ts"
import { readRegularFile } from "../storage/RegularFile.ts"
import { CommandFailed } from "./CommandError.ts"
import { Output } from "./Output.ts"
import type { Settings } from "./Settings.ts"

export type Passphrase = Redacted.Redacted | undefined

export interface Options {
  /** False: an identity that is absent is neither created nor taken over. */
  readonly create: boolean
  /** A comment in a new file. */
  readonly createdBy?: string | undefined
}

/** With a configured seed nothing is read or stored; otherwise it is the one of `load`, under the configured passphrase. */
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

/** The identity that the configuration itself holds, if it does. */
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

/**
 * The identity of the file. The passphrase opens one that is stored encrypted, and what is created or taken over is
 * encrypted with it.
 */
export const load = Effect.fnUntraced(function*(
  checked: Settings,
  passphrase: Passphrase,
  { create, createdBy }: Options
) {
  const { path, source } = yield* places(checked)
  if (create && source !== undefined) yield* takeOver(path, source, passphrase)
  return yield* Effect.provide(DeviceIdentity, DeviceIdentity.layerFile({ path, create, createdBy, passphrase }))
}, Effect.provide(Signer.layerNodejs))

/** The identity of the `devices` commands: always a file, under the same passphrase. */
export const operatorLayer = (checked: Settings) =>
  Layer.unwrap(
    Effect.map(IdentitySecrets.passphrase, (passphrase) =>
      DeviceIdentity.layerFile({
        path: checked.files.operatorIdentity,
        passphrase: Option.getOrUndefined(passphrase)
      }))
  ).pipe(
    Layer.provide(Signer.layerNodejs),
    Layer.catch((error) => Layer.effect(DeviceIdentity, Effect.fail(ofOperator(error))))
  )

/** Advice that names the operator's file. The usual advice would have the person reset the identity of the device. */
export const ofOperator = (error: { readonly _tag: string; readonly message: string }): CommandFailed =>
  new CommandFailed({
    exit: "settings",
    error: error._tag,
    problem: error instanceof IdentityInvalid || error instanceof IdentityInconsistent
      ? error.told("identity reset --operator --yes")
      : error.message
  })

/** The comment in a new identity file that names the program that made it. */
export const createdBy = (version: string): string => `effect-openclaw ${version}`

/** The file that is ours, and one of another program that an identity may come from. */
export const places = Effect.fnUntraced(function*(checked: Settings) {
  const { files, foreignIdentityPath, identityPath } = checked
  if (identityPath === files.identity) return { path: identityPath, source: foreignIdentityPath }
  // At any other path only the content shows whose file it is. If it cannot be read, loading it fails and says why.
  const foreign = yield* Effect.match(readRegularFile(identityPath, IdentityDocument.maxBytes), {
    onFailure: () => false,
    onSuccess: (bytes) =>
      Result.match(IdentityDocument.parse(redactDocument(bytes), identityPath), {
        onFailure: (error) => error._tag === "IdentityInvalid" && error.reason === "ForeignFormat",
        onSuccess: () => false
      })
  })
  return foreign ? { path: files.identity, source: identityPath } : { path: identityPath, source: undefined }
})

const takeOver = Effect.fnUntraced(function*(
  path: string,
  source: string,
  passphrase: Passphrase
) {
  const fs = yield* FileSystem.FileSystem
  const output = yield* Output
  // A path that cannot be checked counts as an existing file: a new identity beside that file would lose its pairing.
  const there = (file: string) => Effect.orElseSucceed(fs.exists(file), () => true)
  if ((yield* there(path)) || !(yield* there(source))) return
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
