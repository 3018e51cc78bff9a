/**
 * The operations on a stored identity: inspect, encrypt, import, give up. Each change replaces the document in one step,
 * after the new document was opened and proved to hold the same identity.
 */
import * as Context from "effect/Context"
import type * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Path from "effect/Path"
import type * as Redacted from "effect/Redacted"
import type { DeviceId, PlatformName } from "../protocol/Connect.ts"
import { readRegularFile } from "../storage/RegularFile.ts"
import { type CompareCode, compareCode } from "./CompareCode.ts"
import type { IdentityWarning } from "./DeviceIdentity.ts"
import * as IdentityDocument from "./IdentityDocument.ts"
import {
  fromStorage,
  IdentityAbsent,
  IdentityExists,
  type IdentityExposed,
  type IdentityInconsistent,
  type IdentityInvalid,
  IdentityLocked,
  type IdentityPathReserved
} from "./IdentityError.ts"
import { type ImportOptions, type ImportSource, readImport } from "./IdentityImport.ts"
import { type FileOptions, IdentityStore, redactDocument, type StoreError } from "./IdentityStore.ts"
import type { Signer } from "./Signer.ts"

/** A stored identity without its private key. */
export interface Summary {
  readonly path: string
  readonly deviceId: DeviceId
  /** The 32 raw bytes, base64url without padding. */
  readonly publicKey: string
  readonly platform: PlatformName
  /** ISO 8601, UTC. A comment in the file, like `createdBy`. */
  readonly createdAt: string
  readonly createdBy: string
  readonly encrypted: boolean
  /** Whether the private key was opened and fits the rest. An encrypted key is not opened without its passphrase. */
  readonly verified: boolean
  readonly compareCode: CompareCode
  readonly warnings: ReadonlyArray<IdentityWarning>
}

/** Why an operation on a stored identity failed. */
export type AdminError = StoreError | IdentityInvalid | IdentityInconsistent | IdentityLocked | IdentityAbsent

/** Operations on the identity at one place, for the `identity` commands. `IdentityAdmin.layerFile` provides it for a file. */
export class IdentityAdmin extends Context.Service<IdentityAdmin, {
  /** The stored identity, or nothing where there is none. A wrong passphrase is `IdentityLocked`; a missing one is not. */
  readonly inspect: (passphrase?: Redacted.Redacted) => Effect.Effect<Option.Option<Summary>, AdminError>
  /** Encrypts the private key. A key that is encrypted already is `IdentityLocked`: change its passphrase instead. */
  readonly encrypt: (passphrase: Redacted.Redacted) => Effect.Effect<Summary, AdminError>
  /** Decrypts the private key. A key that is not encrypted stays unchanged. */
  readonly decrypt: (passphrase: Redacted.Redacted) => Effect.Effect<Summary, AdminError>
  /** Encrypts the private key with another passphrase. A plain key is `IdentityLocked` with reason `NotEncrypted`. */
  readonly changePassphrase: (
    from: Redacted.Redacted,
    to: Redacted.Redacted
  ) => Effect.Effect<Summary, AdminError>
  /**
   * Stores the identity of another file, which is only read: a regular file of at most one mebibyte. `sealWith` encrypts
   * the stored one. `imported` is false when the same identity is stored already. Another stored identity stays, and is
   * `IdentityExists`.
   */
  readonly importFile: (
    path: string,
    options?: ImportOptions & { readonly sealWith?: Redacted.Redacted | undefined }
  ) => Effect.Effect<
    { readonly imported: boolean; readonly source: ImportSource; readonly summary: Summary },
    AdminError | IdentityExists
  >
  /** Moves the file to a backup beside it, in whatever state it is, and gives the path of the backup. */
  readonly reset: Effect.Effect<Option.Option<string>, StoreError>
}>()("effect-openclaw/identity/IdentityAdmin") {
  static readonly layerNoDeps: Layer.Layer<
    IdentityAdmin,
    never,
    IdentityStore | Signer | SecureRandom.SecureRandom | FileSystem.FileSystem
  > = Layer.effect(IdentityAdmin, Effect.suspend(() => make))

  static readonly layerFile = (
    options: FileOptions
  ): Layer.Layer<
    IdentityAdmin,
    IdentityPathReserved | IdentityExposed,
    Signer | FileSystem.FileSystem | Path.Path | SecureRandom.SecureRandom
  > => IdentityAdmin.layerNoDeps.pipe(Layer.provide(IdentityStore.layerFile(options)))
}

const make = Effect.gen(function*() {
  const store = yield* IdentityStore
  const services = yield* Effect.context<
    Signer | SecureRandom.SecureRandom | FileSystem.FileSystem
  >()
  const path = store.location

  const read = Effect.gen(function*() {
    const found = yield* store.read
    if (Option.isNone(found)) return Option.none()
    const parsed = yield* Effect.fromResult(IdentityDocument.parse(found.value.document, path))
    return Option.some({ parsed, warnings: found.value.warnings })
  })

  const present = Effect.flatMap(
    read,
    Option.match({
      onNone: () => Effect.fail(new IdentityAbsent({ path })),
      onSome: (found) => Effect.succeed(found)
    })
  )

  const summaryOf = (
    parsed: IdentityDocument.Parsed,
    verified: boolean,
    warnings: ReadonlyArray<IdentityWarning>
  ): Summary => ({
    path,
    deviceId: parsed.deviceId,
    publicKey: parsed.publicKey,
    platform: parsed.platform,
    createdAt: parsed.createdAt,
    createdBy: parsed.createdBy,
    encrypted: IdentityDocument.isEncrypted(parsed),
    verified,
    compareCode: compareCode(parsed.deviceId),
    warnings
  })

  /** Encodes an identity and opens the result, so that no document is written that locks its owner out. */
  const encode = Effect.fnUntraced(function*(
    identity: IdentityDocument.Identity,
    passphrase: Redacted.Redacted | undefined
  ) {
    const document = yield* IdentityDocument.encode(identity, passphrase)
    const parsed = yield* Effect.fromResult(IdentityDocument.parse(document, path))
    yield* IdentityDocument.open(parsed, passphrase, path)
    return { document, parsed }
  })

  const rewrite = Effect.fnUntraced(function*(
    identity: IdentityDocument.Identity,
    passphrase: Redacted.Redacted | undefined
  ) {
    const { document, parsed } = yield* encode(identity, passphrase)
    const { warnings } = yield* store.replace(document)
    return summaryOf(parsed, true, warnings)
  })

  return IdentityAdmin.of({
    inspect: Effect.fn("IdentityAdmin.inspect")(function*(passphrase) {
      const found = yield* read
      if (Option.isNone(found)) return Option.none<Summary>()
      const { parsed, warnings } = found.value
      const verifiable = !IdentityDocument.isEncrypted(parsed) || passphrase !== undefined
      if (verifiable) yield* IdentityDocument.open(parsed, passphrase, path)
      return Option.some(summaryOf(parsed, verifiable, warnings))
    }, Effect.provide(services)),

    encrypt: Effect.fn("IdentityAdmin.encrypt")(function*(passphrase) {
      const { parsed } = yield* present
      if (IdentityDocument.isEncrypted(parsed)) return yield* new IdentityLocked({ path, reason: "AlreadyEncrypted" })
      return yield* rewrite(yield* IdentityDocument.open(parsed, undefined, path), passphrase)
    }, Effect.provide(services)),

    decrypt: Effect.fn("IdentityAdmin.decrypt")(function*(passphrase) {
      const { parsed, warnings } = yield* present
      const identity = yield* IdentityDocument.open(parsed, passphrase, path)
      return IdentityDocument.isEncrypted(parsed)
        ? yield* rewrite(identity, undefined)
        : summaryOf(parsed, true, warnings)
    }, Effect.provide(services)),

    changePassphrase: Effect.fn("IdentityAdmin.changePassphrase")(function*(from, to) {
      const { parsed } = yield* present
      if (!IdentityDocument.isEncrypted(parsed)) return yield* new IdentityLocked({ path, reason: "NotEncrypted" })
      return yield* rewrite(yield* IdentityDocument.open(parsed, from, path), to)
    }, Effect.provide(services)),

    importFile: Effect.fn("IdentityAdmin.importFile")(function*(from, options) {
      const bytes = yield* Effect.mapError(readRegularFile(from, IdentityDocument.maxBytes), fromStorage)
      const { identity, source } = yield* readImport(redactDocument(bytes), from, options)
      const { document } = yield* encode(identity, options?.sealWith)
      const { created } = yield* store.create(document)
      const { parsed, warnings } = yield* present
      if (parsed.deviceId !== identity.deviceId) {
        return yield* new IdentityExists({ path, deviceId: parsed.deviceId })
      }
      return { imported: created, source, summary: summaryOf(parsed, created, warnings) }
    }, Effect.provide(services)),

    reset: store.retire
  })
})
