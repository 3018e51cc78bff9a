import { assert, describe, it } from "@effect/vitest"
import { Admission } from "effect-openclaw/connection/Admission"
import { DevGateway } from "effect-openclaw/devgateway/DevGateway"
import { GatewayConfig } from "effect-openclaw/handshake/GatewayConfig"
import { DeviceIdentity } from "effect-openclaw/identity/DeviceIdentity"
import { Signer } from "effect-openclaw/identity/Signer"
import { TokenStore } from "effect-openclaw/identity/TokenStore"
import { ApproveCommands } from "effect-openclaw/pairing/ApproveCommand"
import { TaskJournal } from "effect-openclaw/tasks/TaskJournal"
import * as MemoryGateway from "effect-openclaw/testing/MemoryGateway"
import * as MemoryTransport from "effect-openclaw/testing/MemoryTransport"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import { ask, fleet } from "./Fleet.ts"

const names = ["ada", "bob", "cleo"] as const

describe("agents of one process", () => {
  it.effect("three devices share one admission, and each gets its own replies", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      let admissions = 0
      const counted = Layer.effect(
        Admission,
        Effect.tap(Admission, () => Effect.sync(() => void admissions++))
      ).pipe(Layer.provide(Admission.layer))
      const shared = Layer.mergeAll(
        counted,
        MemoryTransport.layer,
        GatewayConfig.layer({ token: MemoryGateway.sharedToken }),
        ApproveCommands.layer({ _tag: "host" }),
        TokenStore.layerMemory,
        SecureRandom.layerWebCrypto
      )
      const host = (_name: string) =>
        Layer.mergeAll(
          shared,
          TaskJournal.layerMemory,
          DeviceIdentity.layerEphemeral().pipe(Layer.provide([Signer.layerNodejs, SecureRandom.layerWebCrypto]))
        )
      const agents = yield* fleet(host)

      const asking = yield* Effect.forkChild(
        Effect.forEach(names, (name) => Effect.provide(ask(`I am ${name}`), agents.get(name)), {
          concurrency: "unbounded"
        })
      )
      const { pending } = yield* gateway.awaitState(({ pending }) => pending.length === names.length)
      assert.lengthOf(new Set(pending.map(({ deviceId }) => deviceId)), names.length)
      for (const { requestId } of pending) yield* gateway.approve(requestId)
      yield* TestClock.adjust("15 seconds")

      const outcomes = yield* Fiber.join(asking)
      assert.deepStrictEqual(
        outcomes.map((outcome) => outcome._tag === "Completed" ? outcome.text : outcome._tag),
        names.map((name) => `echo: I am ${name}`)
      )
      assert.deepStrictEqual([...(yield* gateway.stats).runs.values()], [1, 1, 1])
      assert.strictEqual(admissions, 1)
    }).pipe(Effect.provide(DevGateway.layerTest())))
})
