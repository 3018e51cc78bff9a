import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { generateKeyPairSync } from "node:crypto"
import { open } from "node:fs/promises"
import { inspect } from "node:util"
import * as IdentitySecrets from "../../src/identity/IdentitySecrets.ts"

const prefix = "OPENCLAW_DEVICE_IDENTITY_"
const environment = (variables: Record<string, string>) =>
  Layer.merge(
    NodeServices.layer,
    ConfigProvider.layer(ConfigProvider.fromEnvRecord(
      Object.fromEntries(Object.entries(variables).map(([name, value]) => [`${prefix}${name}`, value]))
    ))
  )
const passphrase = (variables: Record<string, string>) =>
  IdentitySecrets.passphrase.pipe(
    Effect.map(Option.map(Redacted.value)),
    Effect.map(Option.getOrUndefined),
    Effect.provide(environment(variables))
  )
const seed = (variables: Record<string, string>) =>
  IdentitySecrets.seed.pipe(
    Effect.map(Option.map((value) => Hex.encode(Redacted.value(value)))),
    Effect.map(Option.getOrUndefined),
    Effect.provide(environment(variables))
  )
const reasonOf = <A, E extends { readonly message: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), (error) => "reason" in error ? String(error.reason) : error.message)

const file = Effect.fnUntraced(function*(content: string | Uint8Array) {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "secret-" })
  yield* fs.writeFile(`${directory}/file`, typeof content === "string" ? new TextEncoder().encode(content) : content)
  return `${directory}/file`
}, Effect.provide(NodeServices.layer))

describe("IdentitySecrets", () => {
  it.effect("G01: a passphrase comes from a variable, a file or a descriptor", () =>
    Effect.gen(function*() {
      assert.isUndefined(yield* passphrase({}))
      assert.isUndefined(yield* passphrase({ PASSPHRASE: " " }))
      assert.strictEqual(yield* passphrase({ PASSPHRASE: " with blanks " }), " with blanks ")
      assert.strictEqual(yield* passphrase({ PASSPHRASE_FILE: yield* file("secret\n") }), "secret")
      assert.strictEqual(yield* passphrase({ PASSPHRASE_FILE: yield* file("secret \r\n") }), "secret ")
      assert.strictEqual(yield* passphrase({ PASSPHRASE_FILE: yield* file("two\n\n") }), "two\n")
      const path = yield* file("through a descriptor\n")
      const handle = yield* Effect.acquireRelease(
        Effect.promise(() => open(path)),
        (opened) => Effect.promise(() => opened.close())
      )
      assert.strictEqual(yield* passphrase({ PASSPHRASE_FD: String(handle.fd) }), "through a descriptor")
    }))

  it.effect("the error for an unusable value names the variable and does not repeat the value", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* reasonOf(passphrase({ PASSPHRASE: "a", PASSPHRASE_FILE: "/b" })), "Ambiguous")
      assert.strictEqual(yield* reasonOf(passphrase({ PASSPHRASE_FILE: "/nowhere/at/all" })), "Unreadable")
      assert.strictEqual(yield* reasonOf(passphrase({ PASSPHRASE_FILE: yield* file("\n") })), "Empty")
      assert.strictEqual(
        yield* reasonOf(passphrase({ PASSPHRASE_FILE: yield* file(Uint8Array.of(255, 0, 200)) })),
        "NotUtf8"
      )
      assert.strictEqual(yield* reasonOf(passphrase({ PASSPHRASE_FD: "../../etc/passwd" })), "NotADescriptor")
      assert.strictEqual(yield* reasonOf(passphrase({ PASSPHRASE_FD: "987654" })), "Unreadable")
      const error = yield* Effect.flip(seed({ SEED: "a-secret-that-is-no-seed" }))
      assert.include(error.message, "OPENCLAW_DEVICE_IDENTITY_SEED")
      assert.notInclude(inspect(error, { depth: 5 }) + error.message, "a-secret-that-is-no-seed")
    }))

  it.effect("G01: a seed in hex, base64 or base64url, or a PEM, gives the same key", () =>
    Effect.gen(function*() {
      const { privateKey } = generateKeyPairSync("ed25519")
      const raw = privateKey.export({ format: "der", type: "pkcs8" }).subarray(-32)
      const pem = privateKey.export({ format: "pem", type: "pkcs8" }).toString()
      const expected = raw.toString("hex")
      assert.isUndefined(yield* seed({}))
      for (
        const variables of [
          { SEED: expected },
          { SEED: expected.toUpperCase() },
          { SEED: raw.toString("base64") },
          { SEED: raw.toString("base64url") },
          { SEED_FILE: yield* file(`${raw.toString("base64url")}\n`) },
          { PEM: pem },
          { PEM: pem.replaceAll("\n", "\\n") },
          { PEM_FILE: yield* file(pem) }
        ]
      ) assert.strictEqual(yield* seed(variables), expected, Object.keys(variables)[0])
      assert.strictEqual(yield* reasonOf(seed({ SEED: expected, PEM: pem })), "Ambiguous")
      assert.strictEqual(yield* reasonOf(seed({ SEED: expected.slice(2) })), "NotASeed")
      assert.strictEqual(yield* reasonOf(seed({ PEM: "-----BEGIN" })), "DamagedKey")
    }))
})
