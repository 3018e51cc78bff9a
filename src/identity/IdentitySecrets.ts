/**
 * Passphrase and key material from the configuration: a variable, a file (such as a mounted secret) or a file descriptor,
 * and never a command line, which every user of a machine can read.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { exactSecret, setting } from "../settings/Setting.ts"
import * as SettingSource from "../settings/SettingSource.ts"
import * as IdentityDocument from "./IdentityDocument.ts"
import { IdentitySecretInvalid } from "./IdentityError.ts"
import * as KeyText from "./KeyText.ts"

/** `OPENCLAW_DEVICE_IDENTITY_PASSPHRASE`, `..._PASSPHRASE_FILE` or `..._PASSPHRASE_FD`; nothing when none is set. */
export const passphrase = Effect.suspend(() => secretOf(identityTable.passphrase.variable))

/** `OPENCLAW_DEVICE_IDENTITY_NEW_PASSPHRASE`, `..._FILE` or `..._FD`: what a changed passphrase becomes. */
export const newPassphrase = Effect.suspend(() => secretOf(identityTable.newPassphrase.variable))

/**
 * The Ed25519 seed of `OPENCLAW_DEVICE_IDENTITY_SEED`, or of the PKCS#8 PEM of `OPENCLAW_DEVICE_IDENTITY_PEM`, each also
 * with `_FILE` or `_FD`; nothing when none is set. A seed is 32 bytes in hex, base64 or base64url.
 */
export const seed = Effect.gen(function*() {
  const seedText = yield* secretOf(seedVariable)
  const pem = yield* secretOf(pemVariable)
  if (Option.isSome(seedText) && Option.isSome(pem)) {
    return yield* new IdentitySecretInvalid({ variable: seedVariable, reason: "Ambiguous" })
  }
  if (Option.isSome(pem)) {
    // in a variable line ends often stand as two characters
    const text = Redacted.make(Redacted.value(pem.value).replaceAll("\\n", "\n"))
    return Option.some(yield* Effect.fromResult(IdentityDocument.seedOfPem(text, pemVariable)))
  }
  if (Option.isNone(seedText)) return Option.none<Redacted.Redacted<Uint8Array>>()
  const bytes = KeyText.bytesOf(Redacted.value(seedText.value).trim())
  if (bytes === undefined) return yield* new IdentitySecretInvalid({ variable: seedVariable, reason: "NotASeed" })
  return Option.some(Redacted.make(bytes, { label: "seed" }))
})

/** The settings that hold secrets of the identity. */
export const identityTable = {
  passphrase: setting(exactSecret("any text", Result.succeed), {
    variable: "OPENCLAW_DEVICE_IDENTITY_PASSPHRASE",
    about: "opens the identity; a new one is encrypted with it"
  }),
  newPassphrase: setting(exactSecret("any text", Result.succeed), {
    variable: "OPENCLAW_DEVICE_IDENTITY_NEW_PASSPHRASE",
    about: "the next one, for identity change-passphrase"
  }),
  seed: setting(exactSecret("32 bytes in hex or base64", Result.succeed), {
    variable: "OPENCLAW_DEVICE_IDENTITY_SEED",
    about: "the private key itself; no file is used then"
  }),
  pem: setting(exactSecret("an Ed25519 key in PKCS#8", Result.succeed), {
    variable: "OPENCLAW_DEVICE_IDENTITY_PEM",
    about: "the same in another form; set one of the two"
  })
}

const seedVariable = identityTable.seed.variable
const pemVariable = identityTable.pem.variable

const secretOf = Effect.fn("IdentitySecrets.read")(function*(variable: string) {
  const nothing: SettingSource.Found = { text: undefined, faults: [] }
  const { faults: [fault], text } = yield* Effect.catchTag(
    SettingSource.secret(variable),
    "ConfigError",
    () => Effect.succeed(nothing)
  )
  if (fault !== undefined) {
    const name = fault.reason === "Ambiguous" ? variable : fault.name
    return yield* new IdentitySecretInvalid({ variable: name, reason: fault.reason })
  }
  return Option.fromUndefinedOr(text?.text)
})
