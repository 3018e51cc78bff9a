/**
 * Passphrase and key material from the configuration: a variable, a file (such as a mounted secret) or a file descriptor,
 * and never a command line, which every user of a machine can read.
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Hex from "effect/encoding/Hex"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { exactSecret, setting } from "../settings/Setting.ts"
import * as IdentityDocument from "./IdentityDocument.ts"
import { IdentitySecretInvalid } from "./IdentityError.ts"

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
  const bytes = decodeSeed(Redacted.value(seedText.value).trim())
  if (bytes === undefined) return yield* new IdentitySecretInvalid({ variable: seedVariable, reason: "NotASeed" })
  return Option.some(Redacted.make(bytes, { label: "seed" }))
})

/** The settings that hold secrets of the identity. */
export const identityTable = {
  passphrase: setting(exactSecret("any text; also with `_FILE` or `_FD`", Result.succeed), {
    variable: "OPENCLAW_DEVICE_IDENTITY_PASSPHRASE",
    about: "opens the identity; a new one is encrypted with it"
  }),
  newPassphrase: setting(exactSecret("any text; also with `_FILE` or `_FD`", Result.succeed), {
    variable: "OPENCLAW_DEVICE_IDENTITY_NEW_PASSPHRASE",
    about: "the next one, for identity change-passphrase"
  }),
  seed: setting(exactSecret("32 bytes in hex or base64; also with `_FILE` or `_FD`", Result.succeed), {
    variable: "OPENCLAW_DEVICE_IDENTITY_SEED",
    about: "the private key itself; no file is used then"
  }),
  pem: setting(exactSecret("an Ed25519 key in PKCS#8; also with `_FILE` or `_FD`", Result.succeed), {
    variable: "OPENCLAW_DEVICE_IDENTITY_PEM",
    about: "the same in another form; set one of the two"
  })
}

const seedVariable = identityTable.seed.variable
const pemVariable = identityTable.pem.variable

const decodeSeed = (text: string): Uint8Array | undefined =>
  [Hex.decode(text), Base64.decode(text), Base64Url.decode(text)]
    .flatMap((decoded) => Result.isSuccess(decoded) && decoded.success.length === 32 ? [decoded.success] : [])[0]

/** A blank variable counts as unset. One line end at the end of a file belongs to the file, not to the secret. */
const secretOf = Effect.fn("IdentitySecrets.read")(function*(variable: string) {
  const setting = Effect.fnUntraced(function*(name: string) {
    const none = Effect.succeed(Option.none<Redacted.Redacted>())
    const found = yield* Effect.catch(Config.option(Config.Redacted(name)), () => none)
    return Option.filter(found, (value) => Redacted.value(value).trim() !== "")
  })
  const invalid = (name: string, reason: IdentitySecretInvalid["reason"]) =>
    new IdentitySecretInvalid({ variable: name, reason })

  const value = yield* setting(variable)
  const file = yield* setting(`${variable}_FILE`)
  const descriptor = yield* setting(`${variable}_FD`)
  const set = [value, file, descriptor].filter(Option.isSome)
  if (set.length > 1) return yield* invalid(variable, "Ambiguous")
  if (set.length === 0) return Option.none<Redacted.Redacted>()
  if (Option.isSome(value)) return Option.some(value.value)

  const name = Option.isSome(file) ? `${variable}_FILE` : `${variable}_FD`
  const place = Option.isSome(file)
    ? Redacted.value(file.value)
    : Option.match(descriptor, { onNone: () => "", onSome: (each) => Redacted.value(each).trim() })
  if (Option.isNone(file) && !/^\d{1,9}$/.test(place)) return yield* invalid(name, "NotADescriptor")
  const fs = yield* FileSystem.FileSystem
  const bytes = yield* Effect.mapError(
    fs.readFile(Option.isSome(file) ? place : `/dev/fd/${place}`),
    () => invalid(name, "Unreadable")
  )
  const text = Result.try(() => new TextDecoder("utf-8", { fatal: true }).decode(bytes))
  if (Result.isFailure(text)) return yield* invalid(name, "NotUtf8")
  const secret = text.success.replace(/\r?\n$/, "")
  if (secret === "") return yield* invalid(name, "Empty")
  return Option.some(Redacted.make(secret))
})
