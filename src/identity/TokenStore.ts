/**
 * Device tokens that gateways issued, so that a device connects again without a shared secret.
 *
 * On disk each key has a directory, named by a hash of the key, with numbered generations in it. The highest number counts.
 * A writer adds the next number, which the file system gives to one process only. The others read again before they decide.
 * So no process undoes a change that it has not seen, and there are no locks.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { AuthToken } from "../protocol/Connect.ts"
import { DeviceId, DeviceToken, Role } from "../protocol/Connect.ts"
import { PrivateFile } from "../storage/PrivateFile.ts"
import type { StorageError } from "../storage/StorageError.ts"
import * as StorageWarning from "../storage/StorageWarning.ts"
import { sha256HexOf } from "./Sha256.ts"

/** What a device token is stored by. The gateway issues one for each device and role. */
export interface TokenKey {
  /** Scheme, host, port and path of the gateway: `wss://host:443/path`. A token is for one gateway only. */
  readonly gatewayScope: string
  readonly deviceId: DeviceId
  readonly role: Role
}

/** A device token, as a gateway issued it in hello-ok. */
export interface StoredToken {
  readonly token: Redacted.Redacted<AuthToken>
  /** The scopes that the token was issued for. */
  readonly scopes: ReadonlyArray<string>
  /** When it was stored, on this machine's clock. */
  readonly storedAtMs: number
}

/**
 * A stored token could not be read or written. `Invalid`: the newest file is not a token of this key. `Contended`: other
 * processes changed the token again and again. `TooLarge`: the token or its scopes could not be read back. A caller may go
 * on without the stored token: the gateway issues a new one.
 */
export class TokenStoreError extends Schema.TaggedError<TokenStoreError>()("TokenStoreError", {
  path: Schema.String,
  reason: Schema.Literals(["Unreadable", "Unwritable", "Exposed", "Invalid", "Contended", "TooLarge"]),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    switch (this.reason) {
      case "Unreadable":
        return `The stored token at ${this.path} could not be read.`
      case "Unwritable":
        return `The token could not be stored at ${this.path}.`
      case "Exposed":
        return `${this.path} belongs to another user, or may be read or replaced by others, so the stored token was not used.`
      case "Invalid":
        return `${this.path} is not a stored token of this gateway, device and role.`
      case "TooLarge":
        return `The token or its scopes are too large to be stored at ${this.path}.`
      case "Contended":
        return `Other processes kept changing the stored token at ${this.path}.`
    }
  }
}

/**
 * The device tokens of this device, by gateway and role. A token lets the device in without the shared credential. Provided
 * in memory or as private files.
 */
export class TokenStore extends Context.Service<TokenStore, {
  readonly get: (key: TokenKey) => Effect.Effect<Option.Option<StoredToken>, TokenStoreError>
  /**
   * Stores a token and gives what is stored afterwards. A token that equals the stored one changes nothing: its scopes
   * stay, as in the reference client. A stored token that cannot be used is replaced.
   */
  readonly put: (key: TokenKey, entry: StoredToken) => Effect.Effect<StoredToken, TokenStoreError>
  /** Removes this token, and says whether it was stored. A newer token of another process stays. */
  readonly remove: (key: TokenKey, token: Redacted.Redacted<AuthToken>) => Effect.Effect<boolean, TokenStoreError>
}>()("effect-openclaw/identity/TokenStore") {
  /** Private files in this directory. Nothing is read or created before the first use. */
  static readonly layerFile = (options: {
    readonly directory: string
    readonly strict?: boolean | undefined
  }): Layer.Layer<TokenStore, never, FileSystem.FileSystem | Path.Path | SecureRandom.SecureRandom> =>
    Layer.effect(TokenStore, makeFile(options)).pipe(Layer.provide(PrivateFile.layer))

  /** Tokens that end with the process. */
  static readonly makeMemory: Effect.Effect<TokenStore["Service"]> = Effect.sync(() => new MemoryStore())
  static readonly layerMemory: Layer.Layer<TokenStore> = Layer.effect(
    TokenStore,
    Effect.suspend(() => TokenStore.makeMemory)
  )
}

const nameOf = ({ deviceId, gatewayScope, role }: TokenKey): string => `${gatewayScope}\n${deviceId}\n${role}`

const sameToken = (left: Redacted.Redacted<AuthToken>, right: Redacted.Redacted<AuthToken>): boolean =>
  Redacted.value(left) === Redacted.value(right)

/** Limits above what gateways grant. A `connect` that asks for all of these scopes is still below 64 KiB. */
const Scopes = Schema.Array(Schema.String.check(Schema.isMaxLength(128))).check(Schema.isMaxLength(100))

const isDeviceToken = Schema.is(DeviceToken)
const areScopes = Schema.is(Scopes)

/** Whether `get` would refuse it. */
const isTooLarge = ({ scopes, token }: StoredToken): boolean =>
  !isDeviceToken(Redacted.value(token)) || !areScopes(scopes)

class MemoryStore {
  readonly #entries = new Map<string, StoredToken>()

  readonly get = (key: TokenKey) => Effect.sync(() => Option.fromUndefinedOr(this.#entries.get(nameOf(key))))

  readonly put = (key: TokenKey, entry: StoredToken) =>
    Effect.suspend(() => {
      if (isTooLarge(entry)) return Effect.fail(new TokenStoreError({ path: "memory", reason: "TooLarge" }))
      const known = this.#entries.get(nameOf(key))
      if (known !== undefined && sameToken(known.token, entry.token)) return Effect.succeed(known)
      this.#entries.set(nameOf(key), entry)
      return Effect.succeed(entry)
    })

  readonly remove = (key: TokenKey, token: Redacted.Redacted<AuthToken>) =>
    Effect.sync(() => {
      const known = this.#entries.get(nameOf(key))
      return known !== undefined && sameToken(known.token, token) && this.#entries.delete(nameOf(key))
    })
}

/** One generation on disk. `token` is absent in the mark that a removal leaves. The fields of the key are compared. */
const Generation = Schema.fromJsonString(Schema.Struct({
  format: Schema.Literal("effect-openclaw/token"),
  version: Schema.Literal(1),
  gatewayScope: Schema.String,
  deviceId: DeviceId,
  role: Role,
  token: Schema.optionalKey(Schema.RedactedFromValue(DeviceToken, { label: "device token" })),
  scopes: Scopes,
  storedAtMs: Schema.Natural
}))
const decodeGeneration = Schema.decodeUnknownOption(Generation)

const encodeGeneration = (key: TokenKey, entry: StoredToken | { readonly storedAtMs: number }): Uint8Array =>
  new TextEncoder().encode(`${
    JSON.stringify(
      {
        format: "effect-openclaw/token",
        version: 1,
        gatewayScope: key.gatewayScope,
        deviceId: key.deviceId,
        role: key.role,
        ...("token" in entry ? { token: Redacted.value(entry.token), scopes: entry.scopes } : { scopes: [] }),
        storedAtMs: entry.storedAtMs
      },
      undefined,
      2
    )
  }\n`)

/** The newest generation. `Unusable`: the file cannot be read, or is not a token of this key. */
type Current =
  | { readonly _tag: "None"; readonly generation: number }
  | { readonly _tag: "Some"; readonly generation: number; readonly entry: StoredToken }
  | { readonly _tag: "Unusable"; readonly generation: number; readonly error: TokenStoreError }

// Each lost round means that another process stored something. So many in a row are a fault.
const maxRounds = 1000
/** The last number that a name has room for. */
const maxGeneration = 999_999_999_999

const makeFile = Effect.fnUntraced(function*(options: {
  readonly directory: string
  readonly strict?: boolean | undefined
}) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const files = yield* PrivateFile

  const directoryOf = (key: TokenKey) =>
    Effect.map(sha256HexOf(nameOf(key)), (hash) => paths.join(options.directory, hash))
  const fileOf = (directory: string, generation: number) =>
    paths.join(directory, `${String(generation).padStart(12, "0")}.json`)

  const log = yield* StorageWarning.makeLog
  const failed = (cause: StorageError) =>
    new TokenStoreError({ path: cause.path, reason: cause.errno === "EFBIG" ? "Invalid" : cause.fault, cause })

  const list = Effect.fnUntraced(function*(directory: string) {
    const { names, warnings } = yield* Effect.mapError(files.list(directory, options), failed)
    yield* log(warnings)
    return names
  })
  const generationsIn = Effect.fnUntraced(function*(directory: string) {
    const names = yield* list(directory)
    return names.flatMap((name) => /^\d{12}\.json$/.test(name) ? [Number(name.slice(0, 12))] : [])
  })

  const current = Effect.fnUntraced(function*(key: TokenKey, directory: string) {
    // A user who may write to the parent could replace the directory of the key.
    yield* list(options.directory)
    for (let round = 0; round < maxRounds; round++) {
      const generation = Math.max(0, ...(yield* generationsIn(directory)))
      if (generation === 0) return { _tag: "None", generation } satisfies Current
      const path = fileOf(directory, generation)
      const read = yield* Effect.result(files.read(path, options))
      if (Result.isFailure(read)) {
        const error = failed(read.failure)
        // A fault of the directory would stop the next file as well.
        return error.path === path ? { _tag: "Unusable", generation, error } satisfies Current : yield* error
      }
      const found = read.success
      // Another process stored a newer one and cleaned up between the two looks.
      if (Option.isNone(found)) continue
      yield* log(found.value.warnings)
      const decoded = Option.filter(
        decodeGeneration(new TextDecoder().decode(found.value.bytes)),
        (stored) => nameOf(stored) === nameOf(key)
      )
      if (Option.isNone(decoded)) {
        const error = new TokenStoreError({ path, reason: "Invalid" })
        return { _tag: "Unusable", generation, error } satisfies Current
      }
      const { scopes, storedAtMs, token } = decoded.value
      return token === undefined
        ? { _tag: "None", generation } satisfies Current
        : { _tag: "Some", generation, entry: { token, scopes, storedAtMs } } satisfies Current
    }
    return yield* new TokenStoreError({ path: directory, reason: "Contended" })
  })

  /** Removes what killed writers of any generation left behind. */
  const sweep = Effect.fnUntraced(function*(directory: string) {
    const names = yield* Effect.orElseSucceed(fs.readDirectory(directory), () => [])
    const written = new Set(names.flatMap((name) => /^(\d{12}\.json)\.(?:.*\.tmp|claim)$/.exec(name)?.[1] ?? []))
    yield* Effect.forEach(written, (name) => files.sweep(paths.join(directory, name)), { discard: true })
  })

  /** Adds the next generation and removes the older ones. False when another process added one since `seen`. */
  const advance = Effect.fnUntraced(function*(directory: string, seen: Current, bytes: Uint8Array) {
    if (seen.generation >= maxGeneration) {
      return yield* new TokenStoreError({ path: fileOf(directory, seen.generation), reason: "Invalid" })
    }
    const path = fileOf(directory, seen.generation + 1)
    const { created, warnings } = yield* Effect.mapError(files.create(path, bytes, options), failed)
    yield* log(warnings)
    if (!created) return false
    const older = (yield* generationsIn(directory)).filter((generation) => generation <= seen.generation)
    yield* Effect.forEach(older, (generation) => Effect.ignore(files.remove(fileOf(directory, generation))), {
      discard: true
    })
    yield* sweep(directory)
    return true
  })

  return TokenStore.of({
    get: Effect.fn("TokenStore.get")(function*(key) {
      const found = yield* current(key, yield* directoryOf(key))
      if (found._tag === "Unusable") return yield* found.error
      return found._tag === "Some" ? Option.some(found.entry) : Option.none()
    }),
    put: Effect.fn("TokenStore.put")(function*(key, entry) {
      const directory = yield* directoryOf(key)
      if (isTooLarge(entry)) return yield* new TokenStoreError({ path: directory, reason: "TooLarge" })
      for (let round = 0; round < maxRounds; round++) {
        const seen = yield* current(key, directory)
        if (seen._tag === "Some" && sameToken(seen.entry.token, entry.token)) return seen.entry
        if (!(yield* advance(directory, seen, encodeGeneration(key, entry)))) continue
        if (seen._tag === "Unusable") {
          yield* Effect.logWarning("a stored token that cannot be used was replaced", seen.error.message)
        }
        return entry
      }
      return yield* new TokenStoreError({ path: directory, reason: "Contended" })
    }),
    remove: Effect.fn("TokenStore.remove")(function*(key, token) {
      const directory = yield* directoryOf(key)
      for (let round = 0; round < maxRounds; round++) {
        const seen = yield* current(key, directory)
        if (seen._tag !== "Some" || !sameToken(seen.entry.token, token)) return false
        const mark = encodeGeneration(key, { storedAtMs: yield* Clock.currentTimeMillis })
        if (yield* advance(directory, seen, mark)) return true
      }
      return yield* new TokenStoreError({ path: directory, reason: "Contended" })
    })
  })
})
