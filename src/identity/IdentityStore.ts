/**
 * Where the identity document lives. The document holds the private key, so it travels `Redacted`; what is in it, and
 * whether it is encrypted, is not a store's business. A keychain or a secret manager is another implementation of these few
 * operations.
 */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Redacted from "effect/Redacted"
import { detect, type EphemeralPlace } from "../storage/EphemeralPlace.ts"
import { type ParentWritable, realPathOf, writableParentOf } from "../storage/PathSafety.ts"
import { PrivateFile } from "../storage/PrivateFile.ts"
import { reserved } from "../storage/StateDirectory.ts"
import { unwritable } from "../storage/StorageError.ts"
import type { StorageWarning } from "../storage/StorageWarning.ts"
import {
  fromStorage,
  IdentityExposed,
  IdentityPathReserved,
  type IdentityUnreadable,
  type IdentityUnwritable
} from "./IdentityError.ts"

export type Document = Redacted.Redacted<Uint8Array>

/** What people should know about the place, and what did not stop it from being used. */
export type StoreWarning = StorageWarning | EphemeralPlace | ParentWritable

export type StoreError = IdentityUnreadable | IdentityUnwritable | IdentityExposed

export class IdentityStore extends Context.Service<IdentityStore, {
  readonly kind: "File" | "Other"
  /** What messages call this place: a path, or a name such as `keychain:effect-openclaw`. */
  readonly location: string
  /** The document, or nothing where there is none. Anything else that keeps it from being read is an error. */
  readonly read: Effect.Effect<
    Option.Option<{ readonly document: Document; readonly warnings: ReadonlyArray<StoreWarning> }>,
    StoreError
  >
  /** Stores the document unless there is one: of any number of writers exactly one gets `created: true`. */
  readonly create: (
    document: Document
  ) => Effect.Effect<{ readonly created: boolean; readonly warnings: ReadonlyArray<StoreWarning> }, StoreError>
  /** Puts a document in place of the stored one. A crash leaves one of the two, whole. */
  readonly replace: (
    document: Document
  ) => Effect.Effect<{ readonly warnings: ReadonlyArray<StoreWarning> }, StoreError>
  /** Takes the document away and keeps a backup; answers where the backup is, or nothing where there was no document. */
  readonly retire: Effect.Effect<Option.Option<string>, StoreError>
}>()("effect-openclaw/identity/IdentityStore") {
  /**
   * A private file. Building the layer fails when the path, or what its directory really is behind symbolic links, belongs
   * to OpenClaw itself (under a `.openclaw` directory, or under `OPENCLAW_STATE_DIR`), and when `strict`, also when
   * everybody may write a directory above it.
   */
  static readonly layerFile = (
    options: FileOptions
  ): Layer.Layer<
    IdentityStore,
    IdentityPathReserved | IdentityExposed,
    FileSystem.FileSystem | Path.Path | SecureRandom.SecureRandom
  > => Layer.effect(IdentityStore, makeFile(options)).pipe(Layer.provide(PrivateFile.layer))
}

export interface FileOptions {
  /** Absolute, or relative to the working directory. */
  readonly path: string
  /** Refuse modes that others could use instead of repairing them. */
  readonly strict?: boolean | undefined
}

/** Fails when a file of ours at this path would get in OpenClaw's way. Answers the absolute path. */
export const refuseReserved = Effect.fn("IdentityStore.refuseReserved")(function*(path: string) {
  const paths = yield* Path.Path
  const stateDirectory = Option.getOrUndefined(
    yield* Effect.option(Config.String("OPENCLAW_STATE_DIR"))
  )
  const absolute = paths.resolve(path)
  const places = [absolute, yield* realPathOf(absolute)]
  const owners = stateDirectory === undefined || stateDirectory.trim() === ""
    ? [undefined]
    : [paths.resolve(stateDirectory), yield* realPathOf(paths.resolve(stateDirectory))]
  for (const place of places) {
    for (const owner of owners) {
      const reason = reserved(place, owner)
      if (Option.isSome(reason)) return yield* new IdentityPathReserved({ path, reason: reason.value })
    }
  }
  return absolute
})

const makeFile = Effect.fnUntraced(function*(options: FileOptions) {
  const fs = yield* FileSystem.FileSystem
  const files = yield* PrivateFile
  const path = yield* refuseReserved(options.path)
  const paths = yield* Path.Path
  const real = yield* realPathOf(path)
  const ephemeral = yield* detect(real)
  const parent = yield* writableParentOf(paths.dirname(real))
  if (options.strict === true && Option.isSome(parent)) {
    const { mode, path: above } = parent.value
    return yield* new IdentityExposed({ path: above, reason: "DirectoryWritable", mode })
  }
  // what a killed process left behind is removed at the next start, which is now
  yield* files.sweep(path)
  return IdentityStore.of({
    kind: "File",
    location: path,
    read: Effect.map(
      files.read(path, options),
      Option.map(({ bytes, warnings }) => ({
        document: redactDocument(bytes),
        warnings: [...warnings, ...Option.toArray(ephemeral), ...Option.toArray(parent)]
      }))
    ).pipe(Effect.mapError(fromStorage)),
    create: (document) => Effect.mapError(files.create(path, Redacted.value(document), options), fromStorage),
    replace: (document) => Effect.mapError(files.replace(path, Redacted.value(document), options), fromStorage),
    retire: Effect.gen(function*() {
      if (Option.isNone(yield* files.read(path, options))) return Option.none<string>()
      const at = new Date(yield* Clock.currentTimeMillis).toISOString().replace(/[-:]/g, "").replace(/\.\d+/, "")
      for (let copy = 1;; copy++) {
        const backup = `${path}.backup-${at}${copy === 1 ? "" : `-${copy}`}`
        if (yield* fs.exists(backup).pipe(Effect.orElseSucceed(() => false))) continue
        yield* Effect.mapError(fs.rename(path, backup), unwritable(backup))
        return Option.some(backup)
      }
    }).pipe(Effect.mapError(fromStorage), Effect.withSpan("IdentityStore.retire"))
  })
})

/** Marks a document as secret: it prints as a label wherever it turns up. */
export const redactDocument = (bytes: Uint8Array): Document => Redacted.make(bytes, { label: "identity document" })
