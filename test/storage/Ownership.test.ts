import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { adviceOn } from "../../src/advice/ErrorCatalogue.ts"
import * as GatewayFile from "../../src/cli/GatewayFile.ts"
import { Processes } from "../../src/cli/Invocation.ts"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { TokenStore } from "../../src/identity/TokenStore.ts"
import { AuthToken, DeviceId } from "../../src/protocol/Connect.ts"
import { PrivateFile } from "../../src/storage/PrivateFile.ts"
import { RunId, TaskId } from "../../src/tasks/Task.ts"
import { TaskJournal } from "../../src/tasks/TaskJournal.ts"
import { type Machine, machine } from "../identity/Fixture.ts"
import { type Disk, makeDisk, snapshot, user } from "./MemoryFiles.ts"

const stranger = 4711
const root = 0
const key = {
  gatewayScope: "wss://gateway.example:443/",
  deviceId: DeviceId.make("a".repeat(64)),
  role: "operator" as const
}
const token = Redacted.make(AuthToken.make("token"))
const entry = {
  taskId: TaskId.make("1a2b3c4d"),
  runId: RunId.make("0b0f9bd0-6d27-4c33-9c14-3a1f7b3f4a11"),
  gatewayScope: key.gatewayScope,
  sessionKey: "agent:main:main",
  summary: "water the plants",
  position: 1,
  acceptedAtMs: 1
}

/** A process of this user. */
const as = (disk: Disk, hostUser: number | undefined, on: Machine = {}) =>
  Layer.mergeAll(
    PrivateFile.layer,
    TokenStore.layerFile({ directory: "/s/tokens" }),
    TaskJournal.layerFile({ directory: "/s/tasks" })
  ).pipe(
    Layer.provideMerge(machine(disk, { hostUser, uid: hostUser ?? root, ...on }))
  )

const identity = Effect.provide(DeviceIdentity, DeviceIdentity.layerFile({ path: "/s/identity.json" }))

/** Uses each kind of private file once, and says how that failed. */
const useAll = Effect.gen(function*() {
  const tokens = yield* TokenStore
  const journal = yield* TaskJournal
  const faultOf = <E extends { readonly _tag: string }, R>(effect: Effect.Effect<unknown, E, R>) =>
    Effect.match(effect, {
      onSuccess: () => "used",
      onFailure: (error) => "reason" in error ? `${error._tag} ${String(error.reason)}` : error._tag
    })
  return {
    identity: yield* faultOf(identity),
    "token read": yield* faultOf(tokens.get(key)),
    "token stored": yield* faultOf(tokens.put(key, { token, scopes: [], storedAtMs: 2 })),
    "tasks read": yield* faultOf(journal.read),
    "task kept": yield* faultOf(journal.put(entry)),
    "gateway file": yield* faultOf(
      GatewayFile.read("/s/gateway.json")
    )
  }
}).pipe(Effect.provideService(Processes, { own: 1, isAlive: () => true }))

/** A state directory that was used by `user`, all of which belongs to `owner` now. */
const usedDisk = Effect.fnUntraced(function*(owner: number, which: (path: string) => boolean = () => true) {
  const disk = makeDisk()
  yield* Effect.gen(function*() {
    yield* identity
    yield* Effect.flatMap(TokenStore, ({ put }) => put(key, { token, scopes: [], storedAtMs: 1 }))
    yield* Effect.flatMap(TaskJournal, ({ put }) => put(entry))
    yield* GatewayFile.publish("/s/gateway.json", {
      version: 1,
      pid: 1,
      url: "ws://127.0.0.1:1",
      sharedToken: Redacted.make("s"),
      operatorToken: Redacted.make("o")
    }).pipe(Effect.provideService(Processes, { own: 1, isAlive: () => true }))
    for (const [path, inode] of disk.entries) if (path !== "/" && which(path)) inode.uid = owner
  }).pipe(Effect.provide(as(disk, user)), Effect.scoped)
  return disk
})

const used = {
  identity: "used",
  "token read": "used",
  "token stored": "used",
  "tasks read": "used",
  "task kept": "used",
  "gateway file": "used"
}
const refused = {
  identity: "IdentityExposed ForeignOwner",
  "token read": "TokenStoreError Exposed",
  "token stored": "TokenStoreError Exposed",
  "tasks read": "TaskJournalError Exposed",
  "task kept": "TaskJournalError Exposed",
  "gateway file": "StorageError ForeignOwner"
}

describe("the owner of a private file", () => {
  it.effect("may be this user or root", () =>
    Effect.gen(function*() {
      for (const [owner, hostUser] of [[user, user], [root, user], [root, root], [stranger, stranger]] as const) {
        assert.deepStrictEqual(
          yield* Effect.provide(useAll, as(yield* usedDisk(owner), hostUser)),
          used,
          `owner ${owner}, process of ${hostUser}`
        )
      }
    }))

  it.effect("may be anyone where the system has no users", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Effect.provide(useAll, as(yield* usedDisk(stranger), undefined)), used)
    }))

  it.effect("may not be another user: nothing is read, written or repaired, also by root", () =>
    Effect.gen(function*() {
      for (const hostUser of [root, user + 1]) {
        const disk = yield* usedDisk(stranger)
        const before = JSON.stringify([
          snapshot(disk),
          [...disk.entries].map(([path, { mode, uid }]) => [path, mode, uid])
        ])
        assert.deepStrictEqual(yield* Effect.provide(useAll, as(disk, hostUser)), refused)
        assert.strictEqual(
          JSON.stringify([snapshot(disk), [...disk.entries].map(([path, { mode, uid }]) => [path, mode, uid])]),
          before
        )
      }
    }))

  it.effect("is checked for the file and for its directory", () =>
    Effect.gen(function*() {
      const files = yield* usedDisk(stranger, (path) => path.endsWith(".json"))
      const { "task kept": kept, "token stored": stored, ...read } = yield* Effect.provide(useAll, as(files, user))
      // New files of ours take the place of the stranger's, which are not read.
      assert.deepStrictEqual([kept, stored], ["used", "used"])
      assert.deepStrictEqual(read, {
        identity: "IdentityExposed ForeignOwner",
        "token read": "TokenStoreError Exposed",
        // A file of another user is named in the log, and the rest is listed.
        "tasks read": "used",
        "gateway file": "StorageError ForeignOwner"
      })
      const directories = yield* usedDisk(stranger, (path) => !path.endsWith(".json"))
      assert.deepStrictEqual(yield* Effect.provide(useAll, as(directories, user)), refused)
    }))

  it.effect("is named by the error, and its advice has the command", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Effect.provide(identity, as(yield* usedDisk(stranger), root)))
      assert.deepInclude(error, { _tag: "IdentityExposed", reason: "ForeignOwner", path: "/s", owner: stranger })
      assert.include(error.message, "/s belongs to another user (user id 4711), who could put their own key there")
      assert.strictEqual(adviceOn(error)?.command, "chown -R '<user>' /s")
    }))

  it.effect("may be the one user that a mount shows for all files", () =>
    Effect.gen(function*() {
      for (const hostUser of [root, user]) {
        const disk = yield* usedDisk(stranger)
        assert.deepStrictEqual(yield* Effect.provide(useAll, as(disk, hostUser, { uid: stranger })), used)
        assert.deepStrictEqual([...disk.entries.keys()].filter((path) => path.endsWith(".tmp")), [])
      }
    }))
})
