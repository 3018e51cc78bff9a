/**
 * The identity of this device: an Ed25519 key pair, the id that OpenClaw derives from it, and the platform name that it
 * pairs with. The private key is in a closure: printing, logging or encoding this service does not show it.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Base64Url from "effect/encoding/Base64Url"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Path from "effect/Path"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { DeviceId, PlatformName } from "../protocol/Connect.ts"
import { line } from "../protocol/OutsideText.ts"
import * as StorageWarning from "../storage/StorageWarning.ts"
import { HostPlatform } from "./HostPlatform.ts"
import * as IdentityDocument from "./IdentityDocument.ts"
import { IdentityAbsent, type IdentityError, type SignerError } from "./IdentityError.ts"
import { IdentityStore, type StoreWarning } from "./IdentityStore.ts"
import { Signer } from "./Signer.ts"

/**
 * Where the identity came from. `created`: this process generated it, so no gateway knows the device yet. An `Ephemeral` one
 * is gone with the process.
 */
export type IdentitySource =
  | { readonly _tag: "File"; readonly path: string; readonly created: boolean }
  | { readonly _tag: "Store"; readonly location: string; readonly created: boolean }
  | { readonly _tag: "Seed" }
  | { readonly _tag: "Ephemeral" }

/** A weakness of an identity that did not stop it from being used. */
export type IdentityWarning =
  | StoreWarning
  /** A passphrase is configured, but the private key in the file is not encrypted. */
  | { readonly _tag: "NotEncrypted"; readonly path: string }

/** How an identity is opened, or created where there is none. */
export interface StoreOptions {
  /** The platform of a new identity. A stored identity keeps its own. */
  readonly platform?: PlatformName | undefined
  /** False: fail with `IdentityAbsent` instead of creating one. Default true. */
  readonly create?: boolean | undefined
  /** A comment in a new file: the program and its release. */
  readonly createdBy?: string | undefined
  /** Opens an encrypted identity, and encrypts a new one. */
  readonly passphrase?: Redacted.Redacted | undefined
}

/** An identity in a private file; see `IdentityStore.FileOptions` for `path`. */
export interface FileOptions extends StoreOptions {
  readonly path: string
  /** Refuse a file that others could read instead of repairing its mode. */
  readonly strict?: boolean | undefined
}

/**
 * The device that an agent connects as. The program provides it from a file, a store or a seed, or generates one for this
 * process.
 */
export class DeviceIdentity extends Context.Service<DeviceIdentity, {
  /** Lower-case hex SHA-256 of the raw public key. */
  readonly deviceId: DeviceId
  /** The 32 raw bytes, base64url without padding. */
  readonly publicKey: string
  readonly platform: PlatformName
  readonly source: IdentitySource
  readonly warnings: ReadonlyArray<IdentityWarning>
  /** The signature over the UTF-8 bytes of the text, base64url without padding. Synchronous. */
  readonly sign: (text: string) => string
  /** Whether this identity made `signature` over the text. False for malformed input; it never throws. */
  readonly verify: (text: string, signature: string) => boolean
}>()("effect-openclaw/identity/DeviceIdentity") {
  /** Loads the identity from the store, or creates one where there is none. Every other obstacle is an error. */
  static readonly makeStore = (
    options: StoreOptions = {}
  ): Effect.Effect<DeviceIdentity["Service"], IdentityError, Signer | IdentityStore | SecureRandom.SecureRandom> =>
    loadOrCreate(options)

  /** `makeStore` as a layer. */
  static readonly layerStore = (
    options?: StoreOptions
  ): Layer.Layer<DeviceIdentity, IdentityError, Signer | IdentityStore | SecureRandom.SecureRandom> =>
    Layer.effect(DeviceIdentity, DeviceIdentity.makeStore(options))

  /** `layerStore` on a private file: mode 0600, in a directory that only its owner may write. */
  static readonly layerFile = (
    options: FileOptions
  ): Layer.Layer<
    DeviceIdentity,
    IdentityError,
    Signer | FileSystem.FileSystem | Path.Path | SecureRandom.SecureRandom
  > => DeviceIdentity.layerStore(options).pipe(Layer.provide(IdentityStore.layerFile(options)))

  /** A new identity that is kept nowhere. Each needs an approval of its own. */
  static readonly makeEphemeral = (
    options?: { readonly platform?: PlatformName | undefined }
  ): Effect.Effect<DeviceIdentity["Service"], never, Signer | SecureRandom.SecureRandom> => ephemeral(options?.platform)

  /** A new identity that ends with the layer. Each build of the layer needs a new approval. */
  static readonly layerEphemeral = (
    options?: { readonly platform?: PlatformName | undefined }
  ): Layer.Layer<DeviceIdentity, never, Signer | SecureRandom.SecureRandom> =>
    Layer.effect(DeviceIdentity, DeviceIdentity.makeEphemeral(options))

  /** The identity of a given 32-byte Ed25519 seed, for example from a secret manager. Nothing is stored. */
  static readonly layerSeed = (options: {
    readonly seed: Redacted.Redacted<Uint8Array>
    readonly platform?: PlatformName | undefined
  }): Layer.Layer<DeviceIdentity, SignerError, Signer> =>
    Layer.effect(DeviceIdentity, fromSeed(options.seed, options.platform, { _tag: "Seed" }))
}

const newSeed = Effect.gen(function*() {
  const random = yield* SecureRandom.SecureRandom
  return Redacted.make(yield* random.randomBytes(32), { label: "seed" })
})

const ephemeral = Effect.fnUntraced(function*(platform: PlatformName | undefined) {
  const { generateKey, importKey } = yield* Signer
  const key = generateKey === undefined
    ? yield* Effect.orDie(importKey(yield* newSeed))
    : yield* generateKey
  const deviceId = yield* IdentityDocument.deviceIdOf(key)
  return yield* serviceOf({ key, deviceId, platform: platform ?? (yield* HostPlatform) }, { _tag: "Ephemeral" }, [])
})

/** A new identity with this seed. */
export const identityOf = Effect.fnUntraced(function*(
  seed: Redacted.Redacted<Uint8Array>,
  options: { readonly platform?: PlatformName | undefined; readonly createdBy?: string | undefined }
) {
  const signer = yield* Signer
  const key = yield* signer.importKey(seed)
  return {
    seed,
    key,
    deviceId: yield* IdentityDocument.deviceIdOf(key),
    platform: options.platform ?? (yield* HostPlatform),
    createdAt: new Date(yield* Clock.currentTimeMillis).toISOString(),
    createdBy: options.createdBy ?? "effect-openclaw"
  } satisfies IdentityDocument.Identity
})

const fromSeed = Effect.fnUntraced(function*(
  seed: Redacted.Redacted<Uint8Array>,
  platform: PlatformName | undefined,
  source: IdentitySource
) {
  return yield* serviceOf(yield* identityOf(seed, { platform }), source, [])
})

const serviceOf = Effect.fnUntraced(function*(
  { deviceId, key, platform }: Pick<IdentityDocument.Identity, "deviceId" | "key" | "platform">,
  source: IdentitySource,
  warnings: ReadonlyArray<IdentityWarning>
) {
  const signer = yield* Signer
  return DeviceIdentity.of({
    deviceId,
    publicKey: Base64Url.encode(key.publicKey),
    platform,
    source,
    warnings,
    sign: (text) => Base64Url.encode(key.sign(encoder.encode(text))),
    verify: (text, signature) =>
      Result.match(Base64Url.decode(signature), {
        onFailure: () => false,
        onSuccess: (bytes) =>
          key.verify === undefined
            ? signer.verify(key.publicKey, encoder.encode(text), bytes)
            : key.verify(encoder.encode(text), bytes)
      })
  })
})

const encoder = new TextEncoder()

const loadOrCreate = Effect.fn("DeviceIdentity.loadOrCreate")(function*(options: StoreOptions) {
  const store = yield* IdentityStore
  const load = Effect.gen(function*() {
    const found = yield* store.read
    if (Option.isNone(found)) return Option.none()
    const parsed = yield* Effect.fromResult(IdentityDocument.parse(found.value.document, store.location))
    const identity = yield* IdentityDocument.open(parsed, options.passphrase, store.location)
    const plain = options.passphrase !== undefined && !IdentityDocument.isEncrypted(parsed)
    const warnings: ReadonlyArray<IdentityWarning> = plain
      ? [...found.value.warnings, { _tag: "NotEncrypted", path: store.location }]
      : found.value.warnings
    return Option.some({ identity, warnings })
  })
  const finish = Effect.fnUntraced(function*(
    { identity, warnings }: {
      readonly identity: IdentityDocument.Identity
      readonly warnings: ReadonlyArray<IdentityWarning>
    },
    created: boolean
  ) {
    yield* Effect.forEach(warnings, logWarning, { discard: true })
    const source: IdentitySource = store.kind === "File"
      ? { _tag: "File", path: store.location, created }
      : { _tag: "Store", location: store.location, created }
    return yield* serviceOf(identity, source, warnings)
  })

  const existing = yield* load
  if (Option.isSome(existing)) return yield* finish(existing.value, false)
  if (options.create === false) return yield* new IdentityAbsent({ path: store.location })
  const mine = yield* Effect.orDie(Effect.flatMap(newSeed, (seed) => identityOf(seed, options)))
  const written = yield* Effect.flatMap(IdentityDocument.encode(mine, options.passphrase), store.create)
  // Another process may have been first: the stored identity counts. Reading it also proves that the place keeps it.
  const winner = yield* load
  if (Option.isNone(winner)) return yield* new IdentityAbsent({ path: store.location })
  return yield* finish(
    { identity: winner.value.identity, warnings: dedupe([...written.warnings, ...winner.value.warnings]) },
    written.created && winner.value.identity.deviceId === mine.deviceId
  )
})

const dedupe = (warnings: ReadonlyArray<IdentityWarning>): ReadonlyArray<IdentityWarning> =>
  warnings.filter((warning, index) =>
    index === warnings.findIndex((other) => other._tag === warning._tag && other.path === warning.path)
  )

/** The sentence for a warning, without the path. */
export const describeWarning = (warning: IdentityWarning): string => {
  switch (warning._tag) {
    case "ModesUnsupported":
      return "the file system keeps no modes, so the private key is only as private as the mount makes it"
    case "LinksUnsupported":
      return "the file system has no hard links, so its renames alone keep two first starts at the same instant apart"
    case "ParentWritable":
      return "every user may write to a directory above the identity, and could put another identity in its place"
    case "NotEncrypted":
      return "a passphrase is configured, but the private key is not encrypted: run `identity encrypt`"
    case "EphemeralPlace":
      return `the identity is kept ${
        ephemeralText[warning.place]
      }; then a new one is created, which needs a new approval`
    default:
      return StorageWarning.describe(warning)
  }
}

const ephemeralText = {
  Memory: "in memory and is lost when the machine restarts",
  Container: "in the container itself and is lost when the container is replaced, unless a volume is mounted there",
  Temporary: "among temporary files, which the system clears"
} as const

const logWarning = (warning: IdentityWarning) =>
  Effect.logWarning(describeWarning(warning)).pipe(
    Effect.annotateLogs({
      ...StorageWarning.annotationsOf(warning),
      ...("mount" in warning && warning.mount !== undefined
        ? { mount: line(`${warning.mount.type} at ${warning.mount.point}`) }
        : {})
    })
  )
