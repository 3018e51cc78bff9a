/**
 * What every store of device tokens does, wherever it keeps them.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { StoredToken, TokenKey, TokenStore } from "../../src/identity/TokenStore.ts"
import { AuthToken, DeviceId } from "../../src/protocol/Connect.ts"

export const key: TokenKey = {
  gatewayScope: "wss://gateway.example:443/",
  deviceId: DeviceId.make("a".repeat(64)),
  role: "operator"
}
export const token = (value: string) => Redacted.make(AuthToken.make(value), { label: "token" })
export const entry = (
  value: string,
  scopes: ReadonlyArray<string> = ["operator.read"],
  storedAtMs = 1
): StoredToken => ({
  token: token(value),
  scopes,
  storedAtMs
})
export const shown = (found: Option.Option<StoredToken>): ReadonlyArray<unknown> | undefined =>
  Option.getOrUndefined(
    Option.map(found, ({ scopes, storedAtMs, token }) => [Redacted.value(token), scopes, storedAtMs])
  )

/** `make` gives a store with nothing in it. */
export const tokenStoreContract = (name: string, make: Effect.Effect<TokenStore["Service"], never, Scope.Scope>) =>
  describe(name, () => {
    it.effect("returns the stored token with its scopes and time", () =>
      Effect.gen(function*() {
        const store = yield* make
        assert.deepStrictEqual(yield* store.get(key), Option.none())
        yield* store.put(key, entry("one", ["operator.read", "operator.write"], 7))
        assert.deepStrictEqual(shown(yield* store.get(key)), ["one", ["operator.read", "operator.write"], 7])
        yield* store.put(key, entry("two", [], 8))
        assert.deepStrictEqual(shown(yield* store.get(key)), ["two", [], 8])
      }))

    it.effect("refuses a token or scopes that it could not read back", () =>
      Effect.gen(function*() {
        const store = yield* make
        yield* store.put(key, entry("one"))
        const many = (length: number, of: string) => Array.from({ length }, (_, index) => `${of}${index}`)
        for (
          const large of [
            { ...entry("x"), token: Redacted.make("x".repeat(70_000) as AuthToken) },
            { ...entry("x"), token: Redacted.make("x".repeat(2 * 1024 * 1024) as AuthToken) },
            entry("x", ["x".repeat(2 * 1024 * 1024)]),
            entry("x", many(50_000, "operator.read.")),
            entry("x", many(101, "a"))
          ]
        ) {
          const error = yield* Effect.flip(store.put(key, large))
          assert.deepStrictEqual([error._tag, error.reason], ["TokenStoreError", "TooLarge"])
          assert.notInclude(JSON.stringify(error) + error.message, "xxxx")
          assert.deepStrictEqual(shown(yield* store.get(key))?.[0], "one")
        }
        const largest = entry("x".repeat(8192), many(100, "s".repeat(125)).map((scope) => scope.slice(-128)))
        yield* store.put(key, largest)
        assert.deepStrictEqual(shown(yield* store.get(key)), shown(Option.some(largest)))
      }))

    it.effect("G23: a token belongs to one gateway, one device and one role", () =>
      Effect.gen(function*() {
        const store = yield* make
        const keys: ReadonlyArray<TokenKey> = [
          key,
          { ...key, gatewayScope: "ws://gateway.example:443/" },
          { ...key, gatewayScope: "wss://gateway.example:444/" },
          { ...key, gatewayScope: "wss://gateway.example:443/path" },
          { ...key, deviceId: DeviceId.make("b".repeat(64)) },
          { ...key, role: "node" }
        ]
        yield* Effect.forEach(keys, (each, index) => store.put(each, entry(`token ${index}`)))
        const found = yield* Effect.forEach(keys, (each) => store.get(each))
        assert.deepStrictEqual(found.map((each) => shown(each)?.[0]), keys.map((_, index) => `token ${index}`))
      }))

    it.effect("an equal token keeps its stored scopes and time", () =>
      Effect.gen(function*() {
        const store = yield* make
        yield* store.put(key, entry("one", ["operator.read", "operator.write"], 7))
        const kept = yield* store.put(key, entry("one", ["operator.read"], 9))
        assert.deepStrictEqual(shown(Option.some(kept)), ["one", ["operator.read", "operator.write"], 7])
        assert.deepStrictEqual(shown(yield* store.get(key)), ["one", ["operator.read", "operator.write"], 7])
      }))

    it.effect("G03: removes a token only when it is the stored one", () =>
      Effect.gen(function*() {
        const store = yield* make
        assert.isFalse(yield* store.remove(key, token("one")))
        yield* store.put(key, entry("one"))
        yield* store.put(key, entry("two"))
        assert.isFalse(yield* store.remove(key, token("one")))
        assert.deepStrictEqual(shown(yield* store.get(key))?.[0], "two")
        assert.isTrue(yield* store.remove(key, token("two")))
        assert.deepStrictEqual(yield* store.get(key), Option.none())
        assert.isFalse(yield* store.remove(key, token("two")))
        yield* store.put(key, entry("two", ["operator.write"]))
        assert.deepStrictEqual(shown(yield* store.get(key))?.[1], ["operator.write"])
      }))
  })
