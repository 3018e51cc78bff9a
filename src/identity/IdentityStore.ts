/**
 * The place of the identity document. The document holds the private key, so it is passed `Redacted`. A store does not look
 * into it. A keychain or a secret manager can implement the same few operations.
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

/** The bytes of the identity document. It holds the private key, encrypted or not. */
export type Document = Redacted.Redacted<Uint8Array>

/** A weakness of the place that did not stop it from being used. */
export type StoreWarning = StorageWarning | EphemeralPlace | ParentWritable

/** Why a store could not be read or written, or refused because others have access to it. */
export type StoreError = IdentityUnreadable | IdentityUnwritable | IdentityExposed

/**
 * One place for one identity document. `IdentityStore.layerFile` provides it for a file; a program with a keychain provides
 * its own.
 */
export class IdentityStore extends Context.Service<IdentityStore, {
  readonly kind: "File" | "Other"
  /** The name of this place in messages: a path, or a name such as `keychain:effect-openclaw`. */
  readonly location: string
  /** The document, or nothing where there is none. Every other obstacle is an error. */
  readonly read: Effect.Effect<
    Option.Option<{ readonly document: Document; readonly warnings: ReadonlyArray<StoreWarning> }>,
    StoreError
  >
  /** Stores the document unless one exists. Of several writers exactly one gets `created: true`. */
  readonly create: (
    document: Document
  ) => Effect.Effect<{ readonly created: boolean; readonly warnings: ReadonlyArray<StoreWarning> }, StoreError>
  /** Replaces the stored document. After a crash one of the two is there, complete. */
  readonly replace: (
    document: Document
  ) => Effect.Effect<{ readonly warnings: ReadonlyArray<StoreWarning> }, StoreError>
  /** Moves the document to a backup and gives the place of the backup; nothing where there was no document. */
  readonly retire: Effect.Effect<Option.Option<string>, StoreError>
}>()("effect-openclaw/identity/IdentityStore") {
  /**
   * A private file. Building the layer fails when the path, as given or with its symbolic links resolved, belongs to
   * OpenClaw (below a `.openclaw` directory or below `OPENCLAW_STATE_DIR`). When `strict`, it also fails when every user
   * may write to a directory above.
   */
  static readonly layerFile = (
    options: FileOptions
  ): Layer.Layer<
    IdentityStore,
    IdentityPathReserved | IdentityExposed,
    FileSystem.FileSystem | Path.Path | SecureRandom.SecureRandom
  > => Layer.effect(IdentityStore, makeFile(options)).pipe(Layer.provide(PrivateFile.layer))
}

/** Which file holds the document. */
export interface FileOptions {
  /** Absolute, or relative to the working directory. */
  readonly path: string
  /** Refuse modes that let other users in, instead of repairing them. */
  readonly strict?: boolean | undefined
}

/** The absolute path. Fails when a file of ours there would disturb OpenClaw. */
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
  // The start removes what a killed process left behind.
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

/** Marks a document as secret: it prints as a label. */
export const redactDocument = (bytes: Uint8Array): Document => Redacted.make(bytes, { label: "identity document" })
