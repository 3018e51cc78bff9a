import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as GatewayFile from "../../src/cli/GatewayFile.ts"
import { Processes } from "../../src/cli/Invocation.ts"
import { PrivateFile } from "../../src/storage/PrivateFile.ts"

const gateway: GatewayFile.RunningGateway = {
  version: 1,
  pid: 4711,
  url: "ws://127.0.0.1:18789",
  sharedToken: Redacted.make("shared"),
  operatorToken: Redacted.make("operator")
}

const machine = PrivateFile.layer.pipe(
  Layer.provideMerge(Layer.merge(NodeServices.layer, SecureRandom.layerWebCrypto))
)

describe("GatewayFile", () => {
  it.effect("a file with an impossible process id names no gateway, and no process is asked for", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = `${yield* fs.makeTempDirectoryScoped()}/state/gateway.json`
      const asked: Array<number> = []
      const read = Effect.provideService(GatewayFile.read(path), Processes, {
        own: 1,
        isAlive: (pid) => asked.push(pid) > 0
      })
      yield* GatewayFile.publish(path, gateway)
      assert.strictEqual(Option.getOrThrow(yield* read).url, gateway.url)
      const text = yield* fs.readFileString(path)
      for (const pid of [0, -1, 0.5, 2 ** 31, Number.MAX_SAFE_INTEGER]) {
        yield* fs.writeFileString(path, text.replace("4711", String(pid)))
        assert.isTrue(Option.isNone(yield* read), String(pid))
      }
      assert.deepStrictEqual(asked, [4711])
    }).pipe(Effect.scoped, Effect.provide(machine)))
})
