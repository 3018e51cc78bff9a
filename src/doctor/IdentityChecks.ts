/**
 * The checks of the device identity, and the identity itself, read without changing its file: a start would repair its mode.
 */
import type * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Path from "effect/Path"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { doctorAdvice } from "../advice/DoctorAdvice.ts"
import type { AdvisedError } from "../advice/ErrorCatalogue.ts"
import { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import * as IdentityDocument from "../identity/IdentityDocument.ts"
import { fromStorage, IdentityAbsent } from "../identity/IdentityError.ts"
import { IdentityStore, redactDocument } from "../identity/IdentityStore.ts"
import { Signer } from "../identity/Signer.ts"
import { line } from "../protocol/OutsideText.ts"
import { PrivateFile } from "../storage/PrivateFile.ts"
import { readRegularFile } from "../storage/RegularFile.ts"
import type { StorageError } from "../storage/StorageError.ts"
import type { Check, Finding, Mend } from "./Check.ts"
import { ok, warn } from "./Check.ts"
import { failed } from "./StateChecks.ts"

type Machine = FileSystem.FileSystem | Path.Path | PrivateFile | SecureRandom.SecureRandom

/** The identity, or why there is none; and what is to say of its file. */
export interface Opened {
  readonly identity: Result.Result<DeviceIdentity["Service"], AdvisedError & { readonly message: string }>
  /** Others may read the file, or write to its directory. */
  readonly exposed: StorageError | undefined
  readonly encrypted: boolean | undefined
}

/** Of a key that the settings hold. */
export const ofSettings = (identity: DeviceIdentity["Service"]): Opened => ({
  identity: Result.succeed(identity),
  exposed: undefined,
  encrypted: undefined
})

/** What another user can do is a finding of its own; the file is read all the same. */
const repairable: ReadonlySet<StorageError["reason"]> = new Set(["FileAccessible", "DirectoryWritable"])

/** Opens the identity of a file. */
export const open = (
  path: string,
  passphrase: Redacted.Redacted | undefined
): Effect.Effect<Opened, never, Machine> =>
  Effect.gen(function*() {
    const files = yield* PrivateFile
    const strict = yield* Effect.result(files.read(path, { strict: true, maxBytes: IdentityDocument.maxBytes }))
    const exposed = Result.isFailure(strict) && repairable.has(strict.failure.reason) ? strict.failure : undefined
    if (Result.isFailure(strict) && exposed === undefined) {
      return { identity: Result.fail(fromStorage(strict.failure)), exposed: undefined, encrypted: undefined }
    }
    const bytes = Result.isSuccess(strict)
      ? Result.succeed(Option.map(strict.success, (found) => found.bytes))
      : yield* Effect.result(Effect.map(readRegularFile(path, IdentityDocument.maxBytes), Option.some))
    if (Result.isFailure(bytes)) {
      return { identity: Result.fail(fromStorage(bytes.failure)), exposed, encrypted: undefined }
    }
    if (Option.isNone(bytes.success)) {
      return { identity: Result.fail(new IdentityAbsent({ path })), exposed, encrypted: undefined }
    }
    const document = redactDocument(bytes.success.value)
    const parsed = IdentityDocument.parse(document, path)
    const never = Effect.die("doctor does not write an identity")
    const store = Layer.succeed(
      IdentityStore,
      IdentityStore.of({
        kind: "File",
        location: path,
        read: Effect.succeedSome({ document, warnings: [] }),
        create: () => never,
        replace: () => never,
        retire: never
      })
    )
    const identity = yield* Effect.result(
      Effect.provide(
        DeviceIdentity,
        DeviceIdentity.layerStore({ create: false, passphrase }).pipe(Layer.provide([store, Signer.layerNodejs]))
      )
    )
    return {
      identity,
      exposed,
      encrypted: Result.isSuccess(parsed) ? IdentityDocument.isEncrypted(parsed.success) : undefined
    }
  })

export const identityChecks = <R>(
  opened: Effect.Effect<Opened, never, R>,
  passphraseGiven: boolean
): ReadonlyArray<Check<R>> => [
  {
    id: "identity",
    needs: ["settings"],
    make: Effect.map(opened, ({ identity }) =>
      Result.match(identity, {
        onFailure: (error) => failed(error),
        onSuccess: ({ deviceId, source }) =>
          ok(
            `device ${deviceId.slice(0, 16)}…, ${
              source._tag === "File" ? `kept in ${line(source.path)}` : "of the settings"
            }`
          )
      }))
  },
  { id: "identity-file", needs: ["settings"], make: Effect.map(opened, fileFinding) },
  {
    id: "encryption",
    needs: ["identity"],
    make: Effect.map(opened, ({ encrypted }) =>
      encrypted === undefined
        ? ok("the key is not in a file")
        : encrypted
        ? ok("the private key is encrypted")
        : passphraseGiven
        ? warn("a passphrase is set, and the private key is plain", doctorAdvice.NotEncrypted)
        : ok("the private key is plain, in a file of your own"))
  }
]

const fileFinding = ({ exposed }: Opened): Finding => {
  if (exposed === undefined) return ok("nobody else may read or replace the key")
  const { mode = 0, path, reason } = exposed
  const mend: Mend = { _tag: "Chmod", path, mode: reason === "FileAccessible" ? 0o600 : mode & 0o7755 }
  return failed(fromStorage(exposed), [mend])
}
