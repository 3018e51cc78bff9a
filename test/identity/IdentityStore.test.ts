import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { type Document, IdentityStore, refuseReserved } from "../../src/identity/IdentityStore.ts"
import { Signer } from "../../src/identity/Signer.ts"
import { makeDisk, snapshot } from "../storage/MemoryFiles.ts"
import { load, path } from "./Fixture.ts"
import { identityStoreContract } from "./IdentityStoreContract.ts"

/** All that a store in a keychain or a secret manager needs: one named secret that can be read, added and replaced. */
const keychain = (entries: Ref.Ref<ReadonlyMap<string, Document>>, name: string) =>
  Layer.succeed(
    IdentityStore,
    IdentityStore.of({
      kind: "Other",
      location: `keychain:${name}`,
      read: Effect.map(
        Ref.get(entries),
        (all) => Option.map(Option.fromUndefinedOr(all.get(name)), (document) => ({ document, warnings: [] }))
      ),
      create: (document) =>
        Ref.modify(entries, (all): [{ created: boolean; warnings: [] }, ReadonlyMap<string, Document>] => {
          const created = !all.has(name)
          return [{ created, warnings: [] }, created ? new Map(all).set(name, document) : all]
        }),
      replace: (document) =>
        Effect.as(Ref.update(entries, (all) => new Map(all).set(name, document)), { warnings: [] }),
      retire: Effect.succeedNone
    })
  )

describe("IdentityStore", () => {
  identityStoreContract(
    "file",
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* fs.makeTempDirectoryScoped({ prefix: "store-" })
      const layer = Layer.fresh(IdentityStore.layerFile({ path: `${directory}/own/identity.json` }))
      return Context.get(yield* Layer.build(Layer.provide(layer, SecureRandom.layerWebCrypto)), IdentityStore)
    }).pipe(Effect.provide(NodeServices.layer))
  )

  it.effect("a keychain is another implementation of the interface", () =>
    Effect.gen(function*() {
      const entries = yield* Ref.make<ReadonlyMap<string, Document>>(new Map())
      const identity = (name: string) =>
        Effect.map(
          Layer.build(
            DeviceIdentity.layerStore().pipe(
              Layer.provide([keychain(entries, name), Signer.layerNodejs, SecureRandom.layerWebCrypto])
            )
          ),
          Context.get(DeviceIdentity)
        )
      const first = yield* identity("agent")
      const again = yield* identity("agent")
      const other = yield* identity("other")
      assert.deepStrictEqual(first.source, { _tag: "Store", location: "keychain:agent", created: true })
      assert.deepStrictEqual(again.source, { _tag: "Store", location: "keychain:agent", created: false })
      assert.strictEqual(first.deviceId, again.deviceId)
      assert.notStrictEqual(first.deviceId, other.deviceId)
    }))

  it.effect("F40: a path that leads into OpenClaw's directory through a symbolic link is refused too", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* fs.makeTempDirectoryScoped({ prefix: "store-" })
      yield* fs.makeDirectory(`${directory}/.openclaw/identity`, { recursive: true })
      yield* fs.symlink(`${directory}/.openclaw`, `${directory}/innocent`)
      const reasonOf = (at: string) => Effect.map(Effect.flip(refuseReserved(at)), ({ reason }) => reason)
      assert.strictEqual(yield* reasonOf(`${directory}/innocent/identity/device.json`), "RetiredIdentityFile")
      assert.strictEqual(yield* reasonOf(`${directory}/innocent/not/yet/there.json`), "OpenClawDirectory")
      assert.strictEqual(yield* refuseReserved(`${directory}/mine/../own.json`), `${directory}/own.json`)
      assert.deepStrictEqual(yield* fs.readDirectory(`${directory}/.openclaw/identity`), [])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("F40: OpenClaw's own state directory is refused wherever OPENCLAW_STATE_DIR puts it", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* fs.makeTempDirectoryScoped({ prefix: "store-" })
      yield* fs.makeDirectory(`${directory}/oc`)
      yield* fs.symlink(`${directory}/oc`, `${directory}/link`)
      const check = (stateDirectory: string, at: string) =>
        Effect.result(refuseReserved(at)).pipe(
          Effect.map((result) => result._tag === "Success" ? "free" : result.failure.reason),
          Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord({ OPENCLAW_STATE_DIR: stateDirectory })))
        )
      assert.strictEqual(yield* check(`${directory}/oc`, `${directory}/oc/me.json`), "OpenClawStateDirectory")
      assert.strictEqual(yield* check(`${directory}/oc`, `${directory}/link/me.json`), "OpenClawStateDirectory")
      assert.strictEqual(yield* check(`${directory}/link`, `${directory}/oc/me.json`), "OpenClawStateDirectory")
      assert.strictEqual(yield* check(`${directory}/oc`, `${directory}/oc/identity/device.json`), "RetiredIdentityFile")
      assert.strictEqual(yield* check(`${directory}/oc`, `${directory}/me.json`), "free")
      assert.strictEqual(yield* check("", `${directory}/oc/me.json`), "free")
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("F18: a directory above that every user may write to is a warning, and refused when strict", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      yield* load(disk)
      const above = disk.entries.get("/state")
      if (above === undefined) return assert.fail("no directory")
      for (const [mode, warned] of [[0o777, true], [0o1777, false], [0o775, false], [0o700, false]] as const) {
        above.mode = mode
        const { warnings } = yield* load(disk)
        assert.deepStrictEqual(warnings, warned ? [{ _tag: "ParentWritable", path: "/state", mode }] : [])
      }
      above.mode = 0o777
      const error = yield* Effect.flip(load(disk, { strict: true }))
      assert.deepStrictEqual([error._tag, "path" in error && error.path], ["IdentityExposed", "/state"])
      assert.deepStrictEqual(Object.keys(snapshot(disk)), [path])
    }))
})
