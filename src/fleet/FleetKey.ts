/**
 * The key of a fleet. It seals what the database keeps of identities and device tokens: AES-256-GCM with a random nonce, bound
 * to the row that it is for. The key is used as it is: a key of 32 random bytes needs no slow derivation, which would cost a
 * third of a second at each start of a device.
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Aead from "effect/crypto/Aead"
import * as Digest from "effect/crypto/Digest"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as KeyText from "../identity/KeyText.ts"
import * as NodejsAead from "./NodejsAead.ts"

/** What was given as the fleet key is not 32 bytes in hex, base64 or base64url. */
export class FleetKeyInvalid extends Schema.TaggedError<FleetKeyInvalid>()("FleetKeyInvalid", {
  /** Which of the keys: 0 is the present one. */
  index: Schema.Int
}) {
  override get message(): string {
    const which = this.index === 0 ? "The fleet key" : `Earlier fleet key ${this.index}`
    return `${which} is not 32 bytes in hex, base64 or base64url. \`openssl rand -base64 32\` makes one.`
  }
}

/**
 * A sealed value could not be opened. `OtherKey`: it was sealed with a key that is not configured. `Damaged`: it was changed, or
 * belongs to another row. `NotSealed`: it is no sealed value.
 */
export class SealBroken extends Schema.TaggedError<SealBroken>()("SealBroken", {
  reason: Schema.Literals(["OtherKey", "Damaged", "NotSealed"]),
  /** The id of the key that sealed it. */
  keyId: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    switch (this.reason) {
      case "OtherKey":
        return `sealed with the fleet key ${this.keyId}, which is not configured`
      case "Damaged":
        return "changed after it was sealed, or moved here from another row"
      case "NotSealed":
        return "no sealed value"
    }
  }
}

const sealedText = /^v1\.([0-9a-f]{8})\.([A-Za-z0-9_-]{16})\.([A-Za-z0-9_-]+)$/

/** Keys with commas between them. */
export const listOf = (texts: Redacted.Redacted): ReadonlyArray<Redacted.Redacted> =>
  Redacted.value(texts).split(",").map((text) => Redacted.make(text))

/** Which keys a fleet has, each as 32 bytes in hex, base64 or base64url. */
export interface Keys {
  readonly key: Redacted.Redacted
  /** Keys that values may still be sealed with. They open, and never seal. */
  readonly earlier?: ReadonlyArray<Redacted.Redacted> | undefined
}

/** Seals and opens what the database keeps. `FleetKey.layerConfig` provides it from `OPENCLAW_FLEET_KEY`. */
export class FleetKey extends Context.Service<FleetKey, {
  /** Eight hex characters that name the present key without giving it away. */
  readonly id: string
  /** Seals bytes for a row. `purpose` names the row, and only the same text opens it again. */
  readonly seal: (purpose: string, plain: Redacted.Redacted<Uint8Array>) => Effect.Effect<string>
  readonly open: (purpose: string, sealed: string) => Effect.Effect<Redacted.Redacted<Uint8Array>, SealBroken>
}>()("effect-openclaw/fleet/FleetKey") {
  static readonly layer = (keys: Keys): Layer.Layer<FleetKey, FleetKeyInvalid> =>
    Layer.effect(FleetKey, make(keys)).pipe(
      Layer.provide(
        Layer.mergeAll(
          NodejsAead.layer,
          Digest.layerWebCrypto
        ).pipe(Layer.provideMerge(SecureRandom.layerWebCrypto))
      )
    )

  /** From `OPENCLAW_FLEET_KEY` and, between commas, `OPENCLAW_FLEET_EARLIER_KEYS`. */
  static readonly layerConfig: Layer.Layer<FleetKey, FleetKeyInvalid | Config.ConfigError> = Layer.unwrap(
    Effect.map(
      Config.all({
        key: Config.Redacted("OPENCLAW_FLEET_KEY"),
        earlier: Config.option(Config.Redacted("OPENCLAW_FLEET_EARLIER_KEYS"))
      }),
      ({ earlier, key }) =>
        FleetKey.layer({
          key,
          earlier: Option.match(earlier, {
            onNone: () => [],
            onSome: listOf
          })
        })
    )
  )
}

const make = Effect.fnUntraced(function*({ earlier = [], key }: Keys) {
  const aead = yield* Aead.Aead
  const digest = yield* Digest.Digest
  const random = yield* SecureRandom.SecureRandom
  const ring = new Map<string, Aead.Key>()
  let id = ""
  for (const [index, given] of [key, ...earlier].entries()) {
    const bytes = KeyText.bytesOf(Redacted.value(given).trim())
    if (bytes === undefined) return yield* new FleetKeyInvalid({ index })
    const label = new TextEncoder().encode("effect-openclaw/fleet-key ")
    const hash = yield* Effect.orDie(digest.digestHex(Digest.sha256, new Uint8Array([...label, ...bytes])))
    const keyId = hash.slice(0, 8)
    if (index === 0) id = keyId
    ring.set(keyId, yield* Effect.orDie(Aead.key(Aead.aes256Gcm, bytes)))
  }
  const own = ring.get(id)
  if (own === undefined) return yield* new FleetKeyInvalid({ index: 0 })
  return FleetKey.of({
    id,
    seal: (purpose, plain) =>
      Effect.gen(function*() {
        const nonce = yield* random.randomBytes(12)
        const sealed = yield* aead.encrypt(own, Redacted.value(plain), {
          nonce,
          aad: new TextEncoder().encode(purpose)
        })
        return `v1.${id}.${Base64Url.encode(nonce)}.${Base64Url.encode(sealed)}`
      }).pipe(Effect.orDie),
    open: Effect.fnUntraced(function*(purpose, sealed) {
      const [, keyId, nonceText = "", cipherText = ""] = sealedText.exec(sealed) ?? []
      const nonce = Base64Url.decode(nonceText)
      const ciphertext = Base64Url.decode(cipherText)
      if (keyId === undefined || Result.isFailure(nonce) || Result.isFailure(ciphertext)) {
        return yield* new SealBroken({ reason: "NotSealed" })
      }
      const used = ring.get(keyId)
      if (used === undefined) return yield* new SealBroken({ reason: "OtherKey", keyId })
      const options = { nonce: nonce.success, aad: new TextEncoder().encode(purpose) }
      const plain = yield* Effect.mapError(
        aead.decrypt(used, ciphertext.success, options),
        () => new SealBroken({ reason: "Damaged", keyId })
      )
      return Redacted.make(plain, { label: "sealed by the fleet key" })
    })
  })
})
