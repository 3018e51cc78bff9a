/**
 * The device tokens of a fleet in the database, each sealed with the fleet key for its gateway, device and role.
 *
 * A sealed value is different each time, so a row is replaced or removed only if it still is the one that was read. So no process
 * undoes a change that it has not seen.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as SqlClient from "effect/sql/SqlClient"
import { type StoredToken, type TokenKey, TokenStore, TokenStoreError } from "../identity/TokenStore.ts"
import { DeviceToken } from "../protocol/Connect.ts"
import { FleetKey } from "./FleetKey.ts"
import * as FleetTables from "./FleetTables.ts"
import { together } from "./Together.ts"

const place = "fleet_token"

/** A row that is lost that often in a row is a fault. */
const maxRounds = 1000

const Content = Schema.fromJsonString(Schema.Struct({
  token: Schema.RedactedFromValue(DeviceToken, { label: "device token" }),
  scopes: Schema.Array(Schema.String.check(Schema.isMaxLength(128))).check(Schema.isMaxLength(100)),
  storedAtMs: Schema.Natural
}))
const decodeContent = Schema.decodeUnknownOption(Content)

/** The text of an entry; nothing where it could not be read back. */
const encodeContent = ({ scopes, storedAtMs, token }: StoredToken): Option.Option<string> => {
  const text = JSON.stringify({ token: Redacted.value(token), scopes, storedAtMs })
  return Option.as(decodeContent(text), text)
}

const purposeOf = (
  { deviceId, gatewayScope, role }: Readonly<Record<"deviceId" | "gatewayScope" | "role", string>>
): string => `fleet_token\n${gatewayScope}\n${deviceId}\n${role}`

/** The sealed token of each row. */
const sealedOf = together(purposeOf, (keys: ReadonlyArray<TokenKey>) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const given = FleetTables.rowsOf(
      sql,
      { gateway_scope: "TEXT", device_id: "TEXT", role: "TEXT" },
      keys.map(({ deviceId, gatewayScope, role }) => ({ gateway_scope: gatewayScope, device_id: deviceId, role }))
    )
    const rows = yield* sql<
      { readonly gateway_scope: string; readonly device_id: string; readonly role: string; readonly sealed: string }
    >`SELECT gateway_scope, device_id, role, sealed FROM fleet_token
      WHERE (gateway_scope, device_id, role) IN (SELECT gateway_scope, device_id, role FROM ${given})`
    const found = new Map(
      rows.map(({ device_id: deviceId, gateway_scope: gatewayScope, role, sealed }) => [
        purposeOf({ deviceId, gatewayScope, role }),
        sealed
      ])
    )
    return (of) => found.get(purposeOf(of))
  }))

/** What a row has. `entry` is absent where it cannot be used. */
interface Row {
  readonly sealed: string
  readonly entry: StoredToken | undefined
}

const make = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const key = yield* FleetKey
  const failed = (reason: TokenStoreError["reason"]) => (cause: unknown) =>
    cause instanceof TokenStoreError ? cause : new TokenStoreError({ path: place, reason, cause })
  const isRow = (of: TokenKey) =>
    sql`gateway_scope = ${of.gatewayScope} AND device_id = ${of.deviceId} AND role = ${of.role}`

  const find = Effect.fnUntraced(function*(of: TokenKey) {
    const sealed = yield* sealedOf(of)
    if (sealed === undefined) return undefined
    const entry = yield* Effect.option(key.open(purposeOf(of), sealed))
    return {
      sealed,
      entry: Option.getOrUndefined(
        Option.flatMap(entry, (plain) => decodeContent(new TextDecoder().decode(Redacted.value(plain))))
      )
    } satisfies Row
  }, Effect.provideService(SqlClient.SqlClient, sql))

  /** Puts a sealed value in place of what was seen. False when another process was first. */
  const swap = (of: TokenKey, seen: Row | undefined, sealed: string) =>
    Effect.map(
      seen === undefined
        ? sql`INSERT INTO fleet_token (gateway_scope, device_id, role, sealed)
            VALUES (${of.gatewayScope}, ${of.deviceId}, ${of.role}, ${sealed}) ON CONFLICT DO NOTHING RETURNING role`
        : sql`UPDATE fleet_token SET sealed = ${sealed} WHERE ${isRow(of)} AND sealed = ${seen.sealed} RETURNING role`,
      (rows) => rows.length === 1
    )

  return TokenStore.of({
    get: (of) =>
      Effect.flatMap(Effect.mapError(find(of), failed("Unreadable")), (row) =>
        row === undefined
          ? Effect.succeedNone
          : row.entry === undefined
          ? Effect.fail(new TokenStoreError({ path: place, reason: "Invalid" }))
          : Effect.succeedSome(row.entry)),
    put: Effect.fn("SqlTokenStore.put")(function*(of, entry) {
      const text = encodeContent(entry)
      if (Option.isNone(text)) return yield* new TokenStoreError({ path: place, reason: "TooLarge" })
      for (let round = 0; round < maxRounds; round++) {
        const seen = yield* find(of)
        if (seen?.entry !== undefined && Redacted.value(seen.entry.token) === Redacted.value(entry.token)) {
          return seen.entry
        }
        const sealed = yield* key.seal(purposeOf(of), Redacted.make(new TextEncoder().encode(text.value)))
        if (yield* swap(of, seen, sealed)) return entry
      }
      return yield* new TokenStoreError({ path: place, reason: "Contended" })
    }, Effect.mapError(failed("Unwritable"))),
    remove: Effect.fn("SqlTokenStore.remove")(function*(of, token) {
      for (let round = 0; round < maxRounds; round++) {
        const seen = yield* find(of)
        if (seen?.entry === undefined || Redacted.value(seen.entry.token) !== Redacted.value(token)) return false
        const gone = yield* sql`DELETE FROM fleet_token WHERE ${isRow(of)} AND sealed = ${seen.sealed} RETURNING role`
        if (gone.length === 1) return true
      }
      return yield* new TokenStoreError({ path: place, reason: "Contended" })
    }, Effect.mapError(failed("Unwritable")))
  })
})

/** One store for all devices: a row names its device. */
export const layer: Layer.Layer<TokenStore, never, FleetKey | SqlClient.SqlClient> = Layer.effect(TokenStore, make)
