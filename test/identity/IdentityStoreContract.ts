/**
 * What every store of an identity document does, wherever it keeps it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { inspect } from "node:util"
import type { IdentityStore } from "../../src/identity/IdentityStore.ts"
import { redactDocument } from "../../src/identity/IdentityStore.ts"

const document = (text: string) => redactDocument(new TextEncoder().encode(text))

/** `make` gives a store with nothing in it. */
export const identityStoreContract = <E>(
  name: string,
  make: Effect.Effect<IdentityStore["Service"], E, Scope.Scope>
) =>
  describe(name, () => {
    const textIn = (store: IdentityStore["Service"]) =>
      Effect.map(
        store.read,
        Option.map((found) => new TextDecoder().decode(Redacted.value(found.document)))
      )

    it.effect("F17: is empty, then has what was created, and creates nothing over it", () =>
      Effect.gen(function*() {
        const store = yield* make
        assert.deepStrictEqual(yield* textIn(store), Option.none())
        assert.isTrue((yield* store.create(document("first"))).created)
        assert.isFalse((yield* store.create(document("second"))).created)
        assert.deepStrictEqual(yield* textIn(store), Option.some("first"))
      }))

    it.effect("of several creators at once one is told so, and all read its document", () =>
      Effect.gen(function*() {
        const store = yield* make
        const created = yield* Effect.forEach(
          ["a", "b", "c", "d"],
          (text) => Effect.map(store.create(document(text)), (result) => result.created ? [text] : []),
          { concurrency: "unbounded" }
        )
        assert.lengthOf(created.flat(), 1)
        assert.deepStrictEqual(yield* textIn(store), Option.some(created.flat()[0] ?? ""))
      }))

    it.effect("replaces the document", () =>
      Effect.gen(function*() {
        const store = yield* make
        yield* store.create(document("first"))
        yield* store.replace(document("second"))
        assert.deepStrictEqual(yield* textIn(store), Option.some("second"))
      }))

    it.effect("retires the document to a place of its own, each time another", () =>
      Effect.gen(function*() {
        const store = yield* make
        assert.deepStrictEqual(yield* store.retire, Option.none())
        yield* store.create(document("first"))
        const one = yield* store.retire
        assert.deepStrictEqual(yield* textIn(store), Option.none())
        assert.isTrue((yield* store.create(document("second"))).created)
        const two = yield* store.retire
        assert.isTrue(Option.isSome(one) && Option.isSome(two))
        assert.notDeepEqual(one, two)
        assert.deepStrictEqual(yield* store.retire, Option.none())
      }))

    it.effect("G13: what it gives does not print the document", () =>
      Effect.gen(function*() {
        const store = yield* make
        yield* store.create(document("the-private-key"))
        assert.notInclude(inspect(yield* store.read, { depth: 10 }), "the-private-key")
      }))
  })
