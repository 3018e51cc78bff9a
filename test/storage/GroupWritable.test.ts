import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as GatewayFile from "../../src/cli/GatewayFile.ts"
import { Processes } from "../../src/cli/Invocation.ts"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { Signer } from "../../src/identity/Signer.ts"
import { TokenStore } from "../../src/identity/TokenStore.ts"
import { AuthToken, DeviceId } from "../../src/protocol/Connect.ts"
import { PrivateFile } from "../../src/storage/PrivateFile.ts"
import { RunId, TaskId } from "../../src/tasks/Task.ts"
import { TaskJournal } from "../../src/tasks/TaskJournal.ts"

const key = {
  gatewayScope: "wss://gateway.example:443/",
  deviceId: DeviceId.make("a".repeat(64)),
  role: "operator" as const
}
const entry = {
  taskId: TaskId.make("1a2b3c4d"),
  runId: RunId.make("0b0f9bd0-6d27-4c33-9c14-3a1f7b3f4a11"),
  gatewayScope: key.gatewayScope,
  sessionKey: "agent:main:main",
  summary: "water the plants",
  position: 1,
  acceptedAtMs: 1
}

/** Starts with a state directory: identity, tokens, tasks and gateway file are read and written once. Gives the log. */
const start = Effect.fnUntraced(function*(state: string) {
  const said: Array<string> = []
  const logger = Logger.layer([Logger.make(({ message }) => void said.push(String(message)))])
  const deviceId = yield* Effect.gen(function*() {
    const { deviceId } = yield* DeviceIdentity
    const tokens = yield* TokenStore
    const tasks = yield* TaskJournal
    yield* tokens.get(key)
    yield* tokens.put(key, { token: Redacted.make(AuthToken.make("token")), scopes: [], storedAtMs: 1 })
    yield* tasks.read
    yield* tasks.put(entry)
    assert.isNotEmpty(yield* tasks.read)
    assert.isTrue(Option.isSome(yield* tokens.get(key)))
    return deviceId
  }).pipe(
    Effect.provide(
      Layer.mergeAll(
        DeviceIdentity.layerFile({ path: `${state}/identity.json` }).pipe(Layer.provide(Signer.layerNodejs)),
        TokenStore.layerFile({ directory: `${state}/tokens` }),
        TaskJournal.layerFile({ directory: `${state}/tasks` })
      ).pipe(Layer.provideMerge(logger))
    )
  )
  yield* GatewayFile.read(`${state}/gateway.json`).pipe(
    Effect.provide(Layer.merge(PrivateFile.layer, logger)),
    Effect.provideService(Processes, { own: 1, isAlive: () => true })
  )
  return { deviceId, said: said.filter((line) => !line.includes("temporary files")) }
})

describe("a volume whose files the platform makes group-writable", () => {
  it.effect("the second start repairs directories and files, logs that, and is the same device", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const state = `${yield* fs.makeTempDirectoryScoped()}/state`
      const first = yield* start(state)
      assert.deepStrictEqual(first.said, [])
      yield* fs.writeFileString(`${state}/gateway.json`, "{}")
      // What Kubernetes does with `fsGroup` before each start of a pod.
      const inside = yield* fs.readDirectory(state, { recursive: true })
      for (const name of ["", ...inside]) {
        const { mode, type } = yield* fs.stat(`${state}/${name}`)
        yield* fs.chmod(`${state}/${name}`, (mode & 0o7777) | (type === "Directory" ? 0o2770 : 0o660))
      }
      const second = yield* start(state)
      assert.strictEqual(second.deviceId, first.deviceId)
      const file = "a private file could be used by other users, and was made private"
      const directory = "other users could write to a directory of private files, and cannot any more"
      assert.deepStrictEqual(second.said, [
        directory,
        file,
        directory,
        directory,
        file,
        directory,
        file,
        file
      ])
      for (const name of ["", ...yield* fs.readDirectory(state, { recursive: true })]) {
        const { mode, type } = yield* fs.stat(`${state}/${name}`)
        assert.strictEqual(mode & (type === "Directory" ? 0o022 : 0o077), 0, name)
      }
      assert.deepStrictEqual((yield* start(state)).said, [])
    }).pipe(Effect.provide([NodeServices.layer, SecureRandom.layerWebCrypto])))
})
