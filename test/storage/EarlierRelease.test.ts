import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as GatewayFile from "../../src/cli/GatewayFile.ts"
import { Processes } from "../../src/cli/Invocation.ts"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { Signer } from "../../src/identity/Signer.ts"
import { TokenStore } from "../../src/identity/TokenStore.ts"
import { DeviceId } from "../../src/protocol/Connect.ts"
import { PrivateFile } from "../../src/storage/PrivateFile.ts"
import { RunId } from "../../src/tasks/Task.ts"
import { TaskJournal } from "../../src/tasks/TaskJournal.ts"
import recorded from "../vectors/state-0.1.0.json" with { type: "json" }

const deviceId = DeviceId.make(recorded.deviceId)
const gatewayScope = "wss://gateway.example:443/"
const first = RunId.make("0b0f9bd0-6d27-4c33-9c14-3a1f7b3f4a11")
const second = RunId.make("1b0f9bd0-6d27-4c33-9c14-3a1f7b3f4a11")
const done = RunId.make("2b0f9bd0-6d27-4c33-9c14-3a1f7b3f4a11")

/** The state directory as release 0.1.0 left it, with the modes that it gave. */
const stateDirectory = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const directory = `${yield* fs.makeTempDirectoryScoped()}/state`
  yield* fs.makeDirectory(directory, { mode: 0o700 })
  for (const [name, text] of Object.entries(recorded.files)) {
    const path = `${directory}/${name}`
    yield* fs.makeDirectory(path.slice(0, path.lastIndexOf("/")), { recursive: true, mode: 0o700 })
    yield* fs.writeFileString(path, text, { mode: 0o600 })
  }
  return directory
})

/** All files of a directory by their names below it. */
const contents = Effect.fnUntraced(function*(directory: string) {
  const fs = yield* FileSystem.FileSystem
  const files: Record<string, string> = {}
  for (const name of yield* fs.readDirectory(directory, { recursive: true })) {
    const path = `${directory}/${name}`
    if ((yield* fs.stat(path)).type === "File") files[name] = yield* fs.readFileString(path)
  }
  return files
})

const identityOf = (path: string, passphrase?: string) =>
  DeviceIdentity.pipe(
    Effect.provide(
      DeviceIdentity.layerFile({
        path,
        create: false,
        passphrase: passphrase === undefined ? undefined : Redacted.make(passphrase)
      }).pipe(Layer.provide(Signer.layerNodejs))
    )
  )

const journalOf = (directory: string, alive: (pid: number) => boolean) =>
  Effect.map(
    Layer.build(
      Layer.fresh(
        TaskJournal.layerFile({ directory: `${directory}/tasks`, deviceId, processes: { own: 1, isAlive: alive } })
      )
    ),
    Context.get(TaskJournal)
  )

/** The file of an entry is nobody's business outside the journal. */
const shown = (key: string, value: unknown) => key === "name" ? undefined : value

const machine = Layer.mergeAll(NodeServices.layer, SecureRandom.layerWebCrypto)

describe("the state of release 0.1.0", () => {
  it.effect("identities open, plain and sealed, and no file changes", () =>
    Effect.gen(function*() {
      const directory = yield* stateDirectory
      const device = yield* identityOf(`${directory}/identity.json`)
      assert.strictEqual(device.deviceId, recorded.deviceId)
      assert.strictEqual(device.sign("proof"), recorded.proof)
      const operator = yield* identityOf(`${directory}/operator-identity.json`, "correct horse")
      assert.strictEqual(operator.deviceId, recorded.operatorId)
      assert.strictEqual(operator.sign("proof"), recorded.operatorProof)
      assert.deepStrictEqual(yield* contents(directory), recorded.files)
    }).pipe(Effect.provide(machine)))

  it.effect("the stored token is found by its key, and a removed one stays removed", () =>
    Effect.gen(function*() {
      const directory = yield* stateDirectory
      const key = { gatewayScope, deviceId, role: "operator" as const }
      yield* Effect.gen(function*() {
        const store = yield* TokenStore
        const found = Option.getOrThrow(yield* store.get(key))
        assert.strictEqual(Redacted.value(found.token), "second token")
        assert.deepStrictEqual(found.scopes, ["operator.read", "operator.write"])
        assert.strictEqual(found.storedAtMs, 1_795_330_230_896)
        assert.deepStrictEqual(yield* store.get({ ...key, gatewayScope: "ws://127.0.0.1:18789/" }), Option.none())
        assert.deepStrictEqual(yield* contents(directory), recorded.files)
        assert.isTrue(yield* store.remove(key, found.token))
        assert.deepStrictEqual(yield* store.get(key), Option.none())
      }).pipe(Effect.provide(TokenStore.layerFile({ directory: `${directory}/tokens` })))
    }).pipe(Effect.provide(machine)))

  it.effect("open tasks are listed with their process and abort requests, and claimed when the process is gone", () =>
    Effect.gen(function*() {
      const directory = yield* stateDirectory
      const beside = yield* journalOf(directory, () => true)
      const open = yield* beside.read
      assert.deepStrictEqual(JSON.parse(JSON.stringify(open, shown)), [
        {
          taskId: "1a2b3c4d",
          runId: first,
          deviceId: recorded.deviceId,
          gatewayScope,
          sessionKey: "agent:main:main",
          summary: 'wässere die Pflanzen\n"now"',
          position: 1,
          acceptedAtMs: 1_795_330_230_896,
          sentAtMs: 1_795_330_231_000,
          answeredRunId: "another-run",
          merged: true,
          ownerPid: 4_100_000,
          abortRequested: false
        },
        {
          taskId: "5e6f7a8b",
          runId: second,
          deviceId: recorded.deviceId,
          gatewayScope,
          sessionKey: "agent:main:main",
          summary: "feed the cat",
          position: 2,
          acceptedAtMs: 1_795_330_232_000,
          ownerPid: 4_100_000,
          abortRequested: true
        }
      ])
      assert.deepStrictEqual(yield* beside.claim(gatewayScope), [])
      assert.deepStrictEqual(yield* beside.abortAnswer(done), Option.some("Aborted"))
      const next = yield* journalOf(directory, (pid) => pid !== 4_100_000)
      assert.deepStrictEqual((yield* next.claim(gatewayScope)).map(({ runId }) => runId), [first, second])
      assert.deepStrictEqual(yield* next.abortRequests, [second])
    }).pipe(Effect.provide(machine)))

  it.effect("the file of a running gateway is read", () =>
    Effect.gen(function*() {
      const directory = yield* stateDirectory
      const found = yield* GatewayFile.read(`${directory}/gateway.json`).pipe(
        Effect.provide(PrivateFile.layer),
        Effect.provideService(Processes, { own: 1, isAlive: () => true })
      )
      const { operatorToken, sharedToken, url } = Option.getOrThrow(found)
      assert.deepStrictEqual([url, Redacted.value(sharedToken), Redacted.value(operatorToken)], [
        "ws://127.0.0.1:39211",
        "shared",
        "operator"
      ])
    }).pipe(Effect.provide(machine)))
})
