import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { inspect } from "node:util"
import { FleetKey } from "../../src/fleet/FleetKey.ts"

const text = (byte: number) => Buffer.alloc(32, byte).toString("base64")
const ringOf = (key: string, ...earlier: ReadonlyArray<string>) =>
  Effect.map(
    Layer.build(FleetKey.layer({ key: Redacted.make(key), earlier: earlier.map((each) => Redacted.make(each)) })),
    Context.get(FleetKey)
  )
const plain = (value: string) => Redacted.make(new TextEncoder().encode(value))
const opened = (value: Redacted.Redacted<Uint8Array>) => new TextDecoder().decode(Redacted.value(value))

describe("FleetKey", () => {
  it.effect("opens what it sealed for the same row, each time sealed differently, and nothing else", () =>
    Effect.gen(function*() {
      const ring = yield* ringOf(text(1))
      const sealed = yield* ring.seal("row", plain("secret"))
      assert.notStrictEqual(sealed, yield* ring.seal("row", plain("secret")))
      assert.strictEqual(opened(yield* ring.open("row", sealed)), "secret")
      const reasonOf = (purpose: string, value: string) =>
        Effect.map(Effect.flip(ring.open(purpose, value)), ({ reason }) => reason)
      assert.strictEqual(yield* reasonOf("other row", sealed), "Damaged")
      for (let at = 0; at < sealed.length; at++) {
        const changed = `${sealed.slice(0, at)}${sealed[at] === "A" ? "B" : "A"}${sealed.slice(at + 1)}`
        // The last character of base64url may have bits that mean nothing.
        if (changed.slice(0, -1) === sealed.slice(0, -1)) continue
        assert.include(["Damaged", "NotSealed", "OtherKey"], yield* reasonOf("row", changed))
      }
      for (const other of ["", "v1", "secret", sealed.slice(0, 30)]) yield* reasonOf("row", other)
    }))

  it.effect("a new key opens what an earlier one sealed, as long as that is configured", () =>
    Effect.gen(function*() {
      const before = yield* ringOf(text(1))
      const sealed = yield* before.seal("row", plain("secret"))
      const after = yield* ringOf(text(2), text(1))
      assert.strictEqual(opened(yield* after.open("row", sealed)), "secret")
      assert.include(yield* after.seal("row", plain("secret")), after.id)
      const without = yield* ringOf(text(2))
      assert.deepInclude(yield* Effect.flip(without.open("row", sealed)), { reason: "OtherKey", keyId: before.id })
    }))

  it.effect("takes 32 bytes in hex, base64 and base64url, and nothing else; and prints none of them", () =>
    Effect.gen(function*() {
      const bytes = Buffer.from(Array.from({ length: 32 }, (_, index) => 255 - index * 3))
      const forms = [
        bytes.toString("hex"),
        bytes.toString("base64"),
        bytes.toString("base64url"),
        ` ${bytes.toString("hex")}\n`
      ]
      const ids = yield* Effect.forEach(forms, (form) => Effect.map(ringOf(form), ({ id }) => id))
      assert.strictEqual(new Set(ids).size, 1)
      for (const bad of ["", "short", bytes.subarray(1).toString("base64"), `${bytes.toString("hex")}00`]) {
        const error = yield* Effect.flip(ringOf(bad))
        assert.strictEqual(error._tag, "FleetKeyInvalid")
      }
      assert.strictEqual((yield* Effect.flip(ringOf(text(1), "canary"))).index, 1)
      assert.notInclude(inspect(yield* ringOf(text(1)), { depth: 8 }), text(1))
    }))

  it.effect("reads its keys from the environment", () =>
    Effect.gen(function*() {
      const built = yield* Layer.build(FleetKey.layerConfig).pipe(
        Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord({
          OPENCLAW_FLEET_KEY: text(2),
          OPENCLAW_FLEET_EARLIER_KEYS: `${text(1)},${text(3)}`
        })))
      )
      const sealed = yield* Effect.flatMap(ringOf(text(3)), (ring) => ring.seal("row", plain("secret")))
      assert.strictEqual(opened(yield* Context.get(built, FleetKey).open("row", sealed)), "secret")
    }))
})
