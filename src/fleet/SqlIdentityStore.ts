/**
 * The identity documents of a fleet in the database, each sealed with the fleet key for the device that it belongs to.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as SqlClient from "effect/sql/SqlClient"
import { IdentityUnreadable, IdentityUnwritable } from "../identity/IdentityError.ts"
import { type Document, IdentityStore, redactDocument } from "../identity/IdentityStore.ts"
import { FleetKey } from "./FleetKey.ts"
import * as FleetTables from "./FleetTables.ts"
import { together } from "./Together.ts"

const purposeOf = (name: string): string => `fleet_identity\n${name}`

/** The sealed document in use of each device. */
const sealedOf = together((name: string) => name, (names) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const rows = yield* sql<{ readonly name: string; readonly sealed: string }>`SELECT name, sealed FROM fleet_identity
      WHERE slot = '' AND name IN (SELECT name FROM ${FleetTables.namesOf(sql, names)})`
    const found = new Map(rows.map(({ name, sealed }) => [name, sealed]))
    return (name) => found.get(name)
  }))

/** The identity of the device of this name. */
export const make = Effect.fnUntraced(function*(name: string) {
  const sql = yield* SqlClient.SqlClient
  const key = yield* FleetKey
  const location = `fleet_identity/${name}`
  const unreadable = (cause: unknown) => new IdentityUnreadable({ path: location, cause })
  const unwritable = (cause: unknown) => new IdentityUnwritable({ path: location, cause })
  const seal = (document: Document) => key.seal(purposeOf(name), document)
  return IdentityStore.of({
    kind: "Other",
    location,
    read: sealedOf(name).pipe(
      Effect.provideService(SqlClient.SqlClient, sql),
      Effect.flatMap((sealed) =>
        sealed === undefined ? Effect.succeedNone : Effect.map(
          key.open(purposeOf(name), sealed),
          (plain) => Option.some({ document: redactDocument(Redacted.value(plain)), warnings: [] })
        )
      ),
      Effect.mapError(unreadable)
    ),
    create: (document) =>
      Effect.flatMap(
        seal(document),
        (sealed) =>
          sql`INSERT INTO fleet_identity (name, slot, sealed) VALUES (${name}, '', ${sealed})
            ON CONFLICT DO NOTHING RETURNING name`
      ).pipe(
        Effect.map((rows) => ({ created: rows.length === 1, warnings: [] })),
        Effect.mapError(unwritable)
      ),
    replace: (document) =>
      Effect.flatMap(
        seal(document),
        (sealed) =>
          sql`INSERT INTO fleet_identity (name, slot, sealed) VALUES (${name}, '', ${sealed})
            ON CONFLICT (name, slot) DO UPDATE SET sealed = EXCLUDED.sealed`
      ).pipe(Effect.as({ warnings: [] }), Effect.mapError(unwritable)),
    retire: Effect.gen(function*() {
      const at = new Date(yield* Clock.currentTimeMillis).toISOString().replace(/[-:]/g, "").replace(/\.\d+/, "")
      for (let copy = 1;; copy++) {
        const slot = `backup-${at}${copy === 1 ? "" : `-${copy}`}`
        const taken = yield* sql`SELECT name FROM fleet_identity WHERE name = ${name} AND slot = ${slot}`
        if (taken.length > 0) continue
        const moved = yield* sql`UPDATE fleet_identity SET slot = ${slot} WHERE name = ${name} AND slot = ''
          RETURNING name`
        return moved.length === 0 ? Option.none<string>() : Option.some(`${location} ${slot}`)
      }
    }).pipe(Effect.mapError(unwritable), Effect.withSpan("SqlIdentityStore.retire"))
  })
})

/** `make` as a layer. */
export const layer = (name: string): Layer.Layer<IdentityStore, never, FleetKey | SqlClient.SqlClient> =>
  Layer.effect(IdentityStore, make(name))
