import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { IdentityAdmin } from "../../src/identity/IdentityAdmin.ts"
import { IdentityStore } from "../../src/identity/IdentityStore.ts"
import * as KeyEnvelope from "../../src/identity/KeyEnvelope.ts"
import { Signer } from "../../src/identity/Signer.ts"
import { TokenStore } from "../../src/identity/TokenStore.ts"
import { AuthToken } from "../../src/protocol/Connect.ts"
import { PrivateFile } from "../../src/storage/PrivateFile.ts"
import { type Disk, makeDisk, place, snapshot } from "../storage/MemoryFiles.ts"
import { observed, shown } from "../support/Observed.ts"
import { machine, path } from "./Fixture.ts"

const seed = Uint8Array.from({ length: 32 }, (_, index) => (index * 37 + 11) % 256)
const passphrase = "an unmistakable passphrase"
const token = "an-unmistakable-token"

/** Every form in which the secrets of this test could turn up. White space is left out of them and of what is searched. */
const needles = (() => {
  const bytes = Buffer.from(seed)
  const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), bytes])
  const document = new TextEncoder().encode("-----BEGIN PRIVATE KEY-----")
  return [
    bytes.toString("hex"),
    bytes.toString("hex").toUpperCase(),
    bytes.toString("base64").slice(0, 40),
    bytes.toString("base64url"),
    der.toString("base64").slice(24),
    "BEGIN PRIVATE KEY",
    [...seed.subarray(0, 8)].join(","),
    // a whole document that is shown as numbers
    [...document].join(","),
    passphrase,
    token
  ].map((needle) => needle.replace(/\s/g, ""))
})()

const assertSilent = (what: string, told: ReadonlyArray<string>) => {
  for (const text of told.map((each) => each.replace(/\s/g, ""))) {
    for (const needle of needles) {
      if (text.includes(needle)) assert.fail(`${what} shows ${needle.slice(0, 12)}...: ${text.slice(0, 400)}`)
    }
  }
}

const causeOf = (exit: Exit.Exit<unknown, unknown>): ReadonlyArray<string> =>
  exit._tag === "Failure" ? [Cause.pretty(exit.cause), shown(exit.cause)] : [shown(exit.value)]

/** A process that draws exactly this seed, and does all that can be done with an identity. */
const everything = (disk: Disk, secret: Redacted.Redacted | undefined) =>
  Effect.gen(function*() {
    let draws = 0
    const random = Layer.succeed(
      SecureRandom.SecureRandom,
      SecureRandom.make((size) =>
        size === 32 && draws++ === 0 ? new Uint8Array(seed) : new Uint8Array(size).fill(draws++)
      )
    )
    const context = yield* Layer.build(
      Layer.mergeAll(
        DeviceIdentity.layerStore({ passphrase: secret }),
        IdentityAdmin.layerNoDeps,
        TokenStore.layerFile({ directory: "/state/tokens" }),
        PrivateFile.layer
      ).pipe(
        Layer.provideMerge(IdentityStore.layerFile({ path })),
        Layer.provideMerge(random),
        Layer.provideMerge(machine(disk))
      )
    )
    const identity = Context.get(context, DeviceIdentity)
    identity.verify("text", identity.sign("text"))
    const admin = Context.get(context, IdentityAdmin)
    const tokens = Context.get(context, TokenStore)
    const key = { gatewayScope: "wss://gateway:443/", deviceId: identity.deviceId, role: "operator" } as const
    yield* tokens.put(key, { token: Redacted.make(AuthToken.make(token)), scopes: [], storedAtMs: 1 })
    const store = Context.get(context, IdentityStore)
    const signingKey = yield* Context.get(context, Signer).importKey(Redacted.make(seed))
    return [
      ...context.mapUnsafe.values(),
      signingKey,
      yield* store.read,
      yield* tokens.get(key),
      yield* admin.inspect(secret),
      yield* Effect.exit(admin.encrypt(Redacted.make(passphrase))),
      yield* Effect.exit(admin.changePassphrase(Redacted.make("wrong"), Redacted.make(passphrase))),
      yield* Effect.exit(admin.decrypt(Redacted.make(passphrase)))
    ]
  }).pipe(Effect.scoped, Effect.provideService(KeyEnvelope.Cost, 2 ** 14))

describe("Secrecy", () => {
  for (const [name, secret] of [["plain", undefined], ["sealed", Redacted.make(passphrase)]] as const) {
    it.effect(`F04: no log, span, service, answer or error of a ${name} identity shows the key, the passphrase or a token`, () =>
      Effect.gen(function*() {
        const disk = makeDisk()
        const { exit, spans, told } = yield* observed(everything(disk, secret))
        assert.strictEqual(exit._tag, "Success")
        // the test would prove nothing if another key had been drawn, or nothing had been traced
        assert.includeMembers([...spans], [
          "DeviceIdentity.loadOrCreate",
          "TokenStore.put",
          "KeyEnvelope.seal",
          "PrivateFile.create"
        ])
        assertSilent("a log or span", told)
        assertSilent("a value", exit._tag === "Success" ? exit.value.map(shown) : [])
      }))
  }

  it.effect("F04: no error about a changed file repeats what is in it", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      yield* everything(disk, undefined)
      const text = snapshot(disk)[path] ?? ""
      const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), Buffer.from(seed)])
      assert.include(text, der.toString("base64"), "the key of this test is in the file")
      const changes: ReadonlyArray<string> = [
        text.slice(0, -3),
        text.replace(`"privateKey"`, `"privateKeys"`),
        text.replace(`"privateKey": `, `"privateKey": 1, "x": `),
        text.replace(`"version": 1`, `"version": 9`),
        text.replace(`"version": 1`, `"version": "1"`),
        text.replace(`"platform": "`, `"platform": "|`),
        text.replace("BEGIN PRIVATE", "BEGIN OTHER"),
        text.replace("MC4CAQAw", "MC4CAQEw"),
        text.replace(/"publicKey": "../, `"publicKey": "AA`),
        text.replace(/"deviceId": "../, `"deviceId": "zz`),
        text.replace(/"checksum": "./, `"checksum": "`),
        `${text}${text}`,
        text.replaceAll("\n", "")
      ]
      for (const changed of changes) {
        const other = makeDisk()
        place(other, path, changed)
        const { exit, told } = yield* observed(everything(other, undefined))
        if (exit._tag === "Failure") assertSilent("an error", [...causeOf(exit), ...told])
        else assertSilent("a value", exit.value.map(shown))
      }
    }))
})
