import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Context from "effect/Context"
import * as Aead from "effect/crypto/Aead"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as NodejsAead from "../../src/fleet/NodejsAead.ts"

const upTo = (maxLength: number, minLength = 0) =>
  Arbitrary.map(
    Arbitrary.schema(
      Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 }))).check(
        Schema.isMinLength(minLength),
        Schema.isMaxLength(maxLength)
      )
    ),
    (values) => Uint8Array.from(values)
  )
const bytes = (length: number) => upTo(length, length)
const built = (layer: Layer.Layer<Aead.Aead, never, SecureRandom.SecureRandom>) =>
  Effect.map(Layer.build(Layer.provide(layer, SecureRandom.layerWebCrypto)), Context.get(Aead.Aead))

describe("AES-256-GCM of node:crypto", () => {
  it.effect.prop(
    "gives what WebCrypto gives, opens what WebCrypto sealed, and refuses what was changed",
    [bytes(32), bytes(12), upTo(2000), upTo(100), Schema.Natural],
    ([keyBytes, nonce, plain, aad, flip]) =>
      Effect.gen(function*() {
        const own = yield* built(NodejsAead.layer)
        const web = yield* built(Aead.layerWebCrypto)
        const key = yield* Aead.key(Aead.aes256Gcm, keyBytes)
        const sealed = yield* own.encrypt(key, plain, { nonce, aad })
        assert.deepStrictEqual(sealed, yield* web.encrypt(key, plain, { nonce, aad }))
        assert.deepStrictEqual(yield* own.decrypt(key, sealed, { nonce, aad }), plain)
        const changed = sealed.slice()
        changed[flip % changed.length] = (changed[flip % changed.length] ?? 0) ^ (1 << flip % 8)
        const failure = yield* Effect.flip(own.decrypt(key, changed, { nonce, aad }))
        assert.deepStrictEqual(failure, yield* Effect.flip(web.decrypt(key, changed, { nonce, aad })))
      }).pipe(Effect.scoped),
    { arbitrary: { seed: 11, runs: 60 } }
  )
})
