/**
 * The contracts of the stores, and what databases have to keep besides, for a database.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { Fence } from "../../src/fleet/Fence.ts"
import { FleetKey } from "../../src/fleet/FleetKey.ts"
import * as Registry from "../../src/fleet/Registry.ts"
import * as SqlIdentityStore from "../../src/fleet/SqlIdentityStore.ts"
import * as SqlTaskJournal from "../../src/fleet/SqlTaskJournal.ts"
import * as SqlTokenStore from "../../src/fleet/SqlTokenStore.ts"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { Signer } from "../../src/identity/Signer.ts"
import { TokenStore } from "../../src/identity/TokenStore.ts"
import { identityStoreContract } from "../identity/IdentityStoreContract.ts"
import * as Tokens from "../identity/TokenStoreContract.ts"
import { entry } from "../tasks/Journals.ts"
import { taskJournalContract } from "../tasks/TaskJournalContract.ts"
import * as Databases from "./Databases.ts"

/** `database` builds a database with the tables of a fleet and nothing in them. */
export const storeContracts = (kind: string, database: Layer.Layer<SqlClient.SqlClient, SqlError>) => {
  const sqlOf = Effect.orDie(Effect.map(Layer.build(database), Context.get(SqlClient.SqlClient)))
  const keyOf = Effect.orDie(Effect.map(Layer.build(Databases.key), Context.get(FleetKey)))
  const within = <A, E>(body: Effect.Effect<A, E, SqlClient.SqlClient | FleetKey | Scope.Scope>) =>
    Effect.flatMap(
      Effect.all([sqlOf, keyOf]),
      ([sql, key]) => body.pipe(Effect.provideService(SqlClient.SqlClient, sql), Effect.provideService(FleetKey, key))
    )
  const tokens = Effect.map(Layer.build(Layer.fresh(SqlTokenStore.layer)), Context.get(TokenStore))

  describe(`stores in ${kind}`, () => {
    identityStoreContract("identity", within(SqlIdentityStore.make("lamp")))
    Tokens.tokenStoreContract("tokens", within(tokens))
    taskJournalContract(
      kind,
      Effect.map(
        sqlOf,
        (sql) =>
          Effect.flatMap(Databases.raise("lamp"), (epoch) => SqlTaskJournal.make("lamp", epoch)).pipe(
            Effect.provideService(SqlClient.SqlClient, sql)
          )
      )
    )

    it.effect("B07: processes that take the same devices at the same time each get an epoch of their own", () =>
      within(Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const names = Array.from({ length: 60 }, (_, index) => `many-${index}`)
        yield* Effect.forEach(names, (name) => Registry.register(name))
        const process = (runner: string) =>
          Effect.map(
            Layer.build(
              Layer.fresh(Fence.layer({ runner, life: "10 seconds", renewEvery: "2 seconds" })).pipe(
                Layer.provide(SecureRandom.layerWebCrypto)
              )
            ),
            Context.get(Fence)
          )
        const fences = yield* Effect.forEach(["one:1", "two:1", "three:1"], process)
        // Each takes each twice, in different orders: neither a deadlock nor an epoch that two have.
        for (const [index, fence] of fences.entries()) {
          const order = index === 1 ? names.toReversed() : names
          for (const name of [...order, ...order]) yield* Effect.forkScoped(fence.take(name))
        }
        const epochs = Effect.map(
          sql<{ readonly epoch: number | string }>`SELECT epoch FROM fleet_device WHERE name LIKE 'many-%'`,
          (rows) => rows.map(({ epoch }) => Number(epoch))
        )
        const isWhole = (found: ReadonlyArray<number>) => found.every((epoch) => epoch === 6)
        assert.isTrue(isWhole(yield* Effect.repeat(epochs, { until: isWhole, schedule: Schedule.recurs(300) })))
      })))

    it.effect("an identity is created once and is the same for each process; each device has its own", () =>
      within(Effect.gen(function*() {
        const identity = (name: string) =>
          Effect.map(
            Layer.build(
              Layer.fresh(DeviceIdentity.layerStore()).pipe(
                Layer.provide([SqlIdentityStore.layer(name), Signer.layerNodejs, SecureRandom.layerWebCrypto])
              )
            ),
            Context.get(DeviceIdentity)
          )
        const [one, two] = yield* Effect.all([identity("lamp"), identity("lamp")], { concurrency: 2 })
        assert.strictEqual(one.deviceId, two.deviceId)
        assert.notStrictEqual((yield* identity("door")).deviceId, one.deviceId)
      })))

    it.effect("G13: no key and no token stands in a table in clear", () =>
      within(Effect.gen(function*() {
        const canary = "canary-Zx81-secret"
        const store = yield* SqlIdentityStore.make("lamp")
        yield* store.create(Redacted.make(new TextEncoder().encode(canary)))
        yield* store.retire
        yield* store.create(Redacted.make(new TextEncoder().encode(canary)))
        const kept = yield* tokens
        yield* kept.put(Tokens.key, Tokens.entry(canary))
        const text = yield* Databases.dump
        assert.include(text, "lamp")
        for (const form of [canary, Buffer.from(canary).toString("base64url").slice(0, 20), Databases.keyText]) {
          assert.notInclude(text, form)
        }
      })))

    it.effect("a sealed identity that is moved to another device, or damaged, is refused and stays", () =>
      within(Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const lamp = yield* SqlIdentityStore.make("lamp")
        yield* lamp.create(Redacted.make(new TextEncoder().encode("the key of the lamp")))
        yield* sql`INSERT INTO fleet_identity (name, slot, sealed) SELECT 'door', '', sealed FROM fleet_identity`
        const door = yield* SqlIdentityStore.make("door")
        const moved = yield* Effect.flip(door.read)
        assert.strictEqual(moved._tag, "IdentityUnreadable")
        assert.include(String("cause" in moved && moved.cause), "moved here from another row")
        yield* sql`UPDATE fleet_identity SET sealed = 'v1.00000000.AAAAAAAAAAAAAAAA.AAAA' WHERE name = 'lamp'`
        const other = yield* Effect.flip(lamp.read)
        assert.include(String("cause" in other && other.cause), "fleet key 00000000")
        assert.lengthOf(yield* sql`SELECT name FROM fleet_identity`, 2)
      })))

    it.effect("a token that cannot be opened is told, and replaced by the next", () =>
      within(Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const store = yield* tokens
        yield* store.put(Tokens.key, Tokens.entry("one"))
        yield* sql`UPDATE fleet_token SET sealed = 'broken'`
        assert.strictEqual((yield* Effect.flip(store.get(Tokens.key))).reason, "Invalid")
        yield* store.put(Tokens.key, Tokens.entry("two"))
        assert.strictEqual(Tokens.shown(yield* store.get(Tokens.key))?.[0], "two")
      })))

    it.effect("writers of one token at once leave the one that each of them reads", () =>
      within(Effect.gen(function*() {
        const store = yield* tokens
        yield* Effect.forEach(
          Array.from({ length: 12 }, (_, index) => index),
          (index) => store.put(Tokens.key, Tokens.entry(`token ${index}`)),
          { concurrency: "unbounded", discard: true }
        )
        assert.match(String(Tokens.shown(yield* store.get(Tokens.key))?.[0]), /^token \d+$/)
      })))

    it.effect("B07: a superseded activation writes, claims and ends nothing", () =>
      within(Effect.gen(function*() {
        const first = yield* SqlTaskJournal.make("lamp", yield* Databases.raise("lamp"))
        yield* first.put(entry(1))
        const second = yield* SqlTaskJournal.make("lamp", yield* Databases.raise("lamp"))
        const written = yield* Effect.flip(first.put(entry(1, { sentAtMs: 5 })))
        assert.strictEqual(written.reason, "Unwritable")
        assert.include(String(written.cause), "superseded")
        assert.strictEqual((yield* Effect.flip(first.put(entry(2)))).reason, "Unwritable")
        assert.deepStrictEqual(yield* first.claim(entry(1).gatewayScope), [])
        yield* first.remove(entry(1).runId, "Completed")
        assert.deepStrictEqual((yield* second.claim(entry(1).gatewayScope)).map(({ runId }) => runId), [entry(1).runId])
        yield* first.remove(entry(1).runId, "Completed")
        assert.deepStrictEqual((yield* second.read).map(({ sentAtMs }) => sentAtMs), [undefined])
      })))

    it.effect("the row of another device cannot be taken over by its run id", () =>
      within(Effect.gen(function*() {
        const lamp = yield* SqlTaskJournal.make("lamp", yield* Databases.raise("lamp"))
        const door = yield* SqlTaskJournal.make("door", yield* Databases.raise("door"))
        yield* lamp.put(entry(1))
        assert.strictEqual((yield* Effect.flip(door.put(entry(1, { summary: "other" })))).reason, "Unwritable")
        yield* door.remove(entry(1).runId, "Completed")
        assert.deepStrictEqual((yield* lamp.read).map(({ summary }) => summary), [entry(1).summary])
      })))

    it.effect("an ended task keeps its outcome until it is purged, and is not opened again", () =>
      within(Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const journal = yield* SqlTaskJournal.make("lamp", yield* Databases.raise("lamp"))
        const { runId } = entry(1)
        assert.strictEqual((yield* SqlTaskJournal.find("lamp", runId))._tag, "Absent")
        yield* journal.put(entry(1))
        assert.deepStrictEqual(yield* SqlTaskJournal.find("lamp", runId), {
          _tag: "Open",
          gatewayScope: entry(1).gatewayScope
        })
        yield* journal.remove(runId, "Completed", { _tag: "Completed", text: "watered", atMs: 7 })
        yield* journal.remove(runId, "Aborted", { _tag: "Aborted", text: "" })
        assert.deepStrictEqual(yield* SqlTaskJournal.find("lamp", runId), {
          _tag: "Ended",
          ended: "Completed",
          result: { _tag: "Completed", text: "watered", atMs: 7 }
        })
        assert.strictEqual((yield* Effect.flip(journal.put(entry(1)))).reason, "Unwritable")
        yield* journal.put(entry(2))
        yield* sql`UPDATE fleet_task SET ended_at_ms = ended_at_ms - 3600000`
        assert.strictEqual(yield* SqlTaskJournal.purge("2 hours"), 0)
        assert.strictEqual(yield* SqlTaskJournal.purge("30 minutes"), 1)
        assert.strictEqual((yield* SqlTaskJournal.find("lamp", runId))._tag, "Absent")
        assert.lengthOf(yield* journal.read, 1)
      })))

    it.effect("an abort that another process asks for reaches the present activation, and is answered once", () =>
      within(Effect.gen(function*() {
        const first = yield* SqlTaskJournal.make("lamp", yield* Databases.raise("lamp"))
        const { runId } = entry(1)
        yield* first.put(entry(1))
        yield* first.requestAbort(runId)
        yield* first.requestAbort(runId)
        assert.deepStrictEqual(yield* first.abortRequests, [runId])
        const second = yield* SqlTaskJournal.make("lamp", yield* Databases.raise("lamp"))
        assert.isTrue((yield* second.claim(entry(1).gatewayScope))[0]?.abortRequested)
        assert.deepStrictEqual(yield* first.abortRequests, [])
        assert.deepStrictEqual(yield* second.abortAnswer(runId), Option.none())
        yield* second.remove(runId, "Aborted")
        assert.deepStrictEqual(yield* second.abortAnswer(runId), Option.some("Aborted"))
        assert.deepStrictEqual(yield* second.abortAnswer(runId), Option.none())
      })))
  })
}
