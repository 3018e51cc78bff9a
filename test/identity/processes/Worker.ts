/**
 * A process of its own on the real file system, for what only processes show: starts at the same instant, kills at any
 * moment, modes under a umask. Run by `Processes.slow.test.ts`; each line on standard output is a fact that has come true.
 *
 * - `start PATH` says `ready`, waits for a line, and then has an identity: `identity ID CREATED`.
 * - `churn DIRECTORY` says `ready` and makes identities, stores tokens and seals keys until it is killed.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import { writeSync } from "node:fs"
import { DeviceIdentity } from "../../../src/identity/DeviceIdentity.ts"
import { IdentityAdmin } from "../../../src/identity/IdentityAdmin.ts"
import * as KeyEnvelope from "../../../src/identity/KeyEnvelope.ts"
import { Signer } from "../../../src/identity/Signer.ts"
import { TokenStore } from "../../../src/identity/TokenStore.ts"
import { AuthToken } from "../../../src/protocol/Connect.ts"

const [command = "", place = ""] = process.argv.slice(2)
const machine = Layer.mergeAll(NodeServices.layer, SecureRandom.layerWebCrypto, Signer.layerNodejs, Logger.layer([]))
// a pipe that is not written at once would lose what came true just before a kill
const say = (...words: ReadonlyArray<unknown>) => Effect.sync(() => void writeSync(1, `${words.join(" ")}\n`))

const identityAt = (path: string) =>
  Effect.scoped(Effect.map(Layer.build(DeviceIdentity.layerFile({ path })), Context.get(DeviceIdentity)))

const start = Effect.gen(function*() {
  yield* say("ready")
  yield* Effect.callback<void>((resume) => {
    process.stdin.once("data", () => resume(Effect.void))
  })
  process.stdin.destroy()
  const { deviceId, source } = yield* identityAt(place)
  yield* say("identity", deviceId, source._tag === "File" && source.created)
})

const churn = Effect.gen(function*() {
  yield* say("ready")
  for (let round = 0;; round++) {
    const path = `${place}/${round}/identity.json`
    const { deviceId } = yield* identityAt(path)
    yield* say("identity", round, deviceId)
    const context = yield* Layer.build(Layer.merge(
      TokenStore.layerFile({ directory: `${place}/${round}/tokens` }),
      IdentityAdmin.layerFile({ path })
    ))
    const tokens = Context.get(context, TokenStore)
    const key = { gatewayScope: "wss://gateway:443/", deviceId, role: "operator" } as const
    for (let number = 1; number <= 12; number++) {
      yield* tokens.put(key, {
        token: Redacted.make(AuthToken.make(`token-${number}`)),
        scopes: [],
        storedAtMs: number
      })
      yield* say("token", round, number)
    }
    yield* Context.get(context, IdentityAdmin).encrypt(Redacted.make("passphrase"))
    yield* say("sealed", round)
  }
}).pipe(Effect.scoped, Effect.provideService(KeyEnvelope.Cost, 2 ** 14))

NodeRuntime.runMain((command === "start" ? start : churn).pipe(Effect.provide(machine)))
