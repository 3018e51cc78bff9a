/**
 * The gateway that a setup code paired this device with: a private file in the state directory, which commands read when neither flag
 * nor variable names a gateway. It holds no secret. Who could write it could lead this device to another gateway, so a file that others
 * may write is refused.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { GatewayInput, GatewaySettings } from "../handshake/GatewayConfig.ts"
import * as TlsTrust from "../link/TlsTrust.ts"
import { PrivateFile } from "../storage/PrivateFile.ts"
import * as StorageWarning from "../storage/StorageWarning.ts"

const PairedRole = Schema.Literals(["operator", "node"])
export type PairedRole = typeof PairedRole.Type

export const PairedGateway = Schema.Struct({
  version: Schema.Literal(1),
  url: Schema.String,
  /** Gives tasks (`operator`), offers tools (`node`), or both. */
  roles: Schema.Array(PairedRole),
  /** The fingerprint that the code had, as the setting spells it. */
  tlsPins: Schema.optionalKey(Schema.String),
  /** The host of `url`, if a person allowed to reach it unencrypted. */
  plaintextHost: Schema.optionalKey(Schema.String),
  /** Milliseconds, on this machine's clock. */
  pairedAtMs: Schema.Natural
})
export type PairedGateway = typeof PairedGateway.Type

const Document = Schema.fromJsonString(PairedGateway)
const decode = Schema.decodeUnknownOption(Document)
const encode = Schema.encodeEffect(Document)

/** The gateway that the file names; nothing for a file that is absent or invalid. */
export const read = Effect.fn("PairedGateway.read")(function*(path: string) {
  const found = yield* (yield* PrivateFile).read(path)
  if (Option.isSome(found)) yield* log(found.value.warnings)
  return Option.flatMap(found, ({ bytes }) => decode(new TextDecoder().decode(bytes)))
})

/** The settings of the gateway that the file names. */
export const inputOf = ({ plaintextHost, tlsPins, url }: PairedGateway): GatewayInput => ({
  url,
  ...(tlsPins === undefined ? {} : { tlsPins }),
  ...(plaintextHost === undefined ? {} : { plaintextHost })
})

/** Remembers a gateway, and gives the roles: those of the same gateway add up. `pin` is that of the code. */
export const remember = Effect.fn("PairedGateway.remember")(function*(
  path: string,
  { endpoint: { loopback, url }, pinned }: GatewaySettings,
  paired: { readonly roles: ReadonlyArray<PairedRole>; readonly pin: TlsTrust.Pin | undefined }
) {
  const files = yield* PrivateFile
  const before = Option.getOrUndefined(yield* Effect.orElseSucceed(read(path), () => Option.none<PairedGateway>()))
  const others = before?.url === url.href ? before.roles : []
  const roles = [...new Set([...others, ...paired.roles])]
  const text = yield* Effect.orDie(encode({
    version: 1,
    url: url.href,
    roles,
    ...(paired.pin === undefined || !pinned ? {} : { tlsPins: TlsTrust.formatPin(paired.pin) }),
    ...(url.protocol === "ws:" && !loopback ? { plaintextHost: url.hostname } : {}),
    pairedAtMs: yield* Clock.currentTimeMillis
  }))
  const { warnings } = yield* files.replace(path, new TextEncoder().encode(`${text}\n`))
  yield* log(warnings)
  return roles
})

const log = (warnings: ReadonlyArray<StorageWarning.StorageWarning>) =>
  Effect.flatMap(StorageWarning.makeLog, (logNew) => logNew(warnings))
