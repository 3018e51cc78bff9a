/**
 * The parts that the `identity` commands share: access to an identity, and its report.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { IdentityWarning } from "../identity/DeviceIdentity.ts"
import { describeWarning } from "../identity/DeviceIdentity.ts"
import type { Summary } from "../identity/IdentityAdmin.ts"
import { IdentityAdmin } from "../identity/IdentityAdmin.ts"
import { Signer } from "../identity/Signer.ts"
import { line } from "../protocol/OutsideText.ts"
import { Output } from "./Output.ts"

/** The operations on the identity at a path. */
export const adminOf = (path: string) =>
  Effect.provide(IdentityAdmin, IdentityAdmin.layerFile({ path }).pipe(Layer.provide(Signer.layerNodejs)))

/** Shows an identity as one object that begins with `facts`, or as lines that begin with `heading`. */
export const show = Effect.fnUntraced(function*(
  summary: Summary,
  { facts, heading, passphrase }: {
    readonly facts: Readonly<Record<string, unknown>>
    readonly heading: string | undefined
    /** Whether a passphrase is configured. */
    readonly passphrase: boolean
  }
) {
  const output = yield* Output
  const { compareCode, createdAt, createdBy, deviceId, encrypted, path, platform, publicKey, verified } = summary
  const warnings: ReadonlyArray<IdentityWarning> = passphrase && !encrypted
    ? [...summary.warnings, { _tag: "NotEncrypted", path }]
    : summary.warnings
  if (output.json) {
    return yield* output.line(JSON.stringify({
      ...facts,
      deviceId,
      compareCode: compareCode.words,
      compareDigits: compareCode.digits,
      publicKey,
      platform,
      path,
      encrypted,
      verified,
      createdAt,
      createdBy,
      warnings: warnings.map((warning) => ({ ...warning, message: describeWarning(warning) }))
    }))
  }
  if (heading !== undefined) yield* output.line(line(heading))
  const lines: ReadonlyArray<readonly [string, string]> = [
    ["device id", deviceId],
    ["code", compareCode.words],
    ["", compareCode.digits],
    ["public key", publicKey],
    ["platform", platform],
    ["kept in", path],
    ["encrypted", encrypted ? (verified ? "yes" : "yes; not opened, as no passphrase is configured") : "no"],
    ["created", `${createdAt} by ${createdBy}`],
    ...warnings.map((warning) => ["warning", `${describeWarning(warning)} (${warning.path})`] as const)
  ]
  for (const [name, value] of lines) yield* output.line(`${name.padEnd(12)}${line(value)}`)
})
