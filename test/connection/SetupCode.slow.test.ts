import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as TestClock from "effect/testing/TestClock"
import { inspect } from "node:util"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import type { Wish } from "../../src/devgateway/SetupCodes.ts"
import { check, GatewayConfig, nodeSettings } from "../../src/handshake/GatewayConfig.ts"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { Signer } from "../../src/identity/Signer.ts"
import { TokenStore } from "../../src/identity/TokenStore.ts"
import * as SetupCode from "../../src/pairing/SetupCode.ts"
import * as Census from "../support/Census.ts"
import * as Interrupting from "../support/Interrupting.ts"
import * as MemoryAgent from "../support/MemoryAgent.ts"

const publicUrl = "ws://127.0.0.1:18789"
const layer = MemoryAgent.layer({ gateway: { recordFrames: true } })

const otherDevice = Layer.orDie(DeviceIdentity.layerEphemeral()).pipe(
  Layer.provide([Signer.layerNodejs, SecureRandom.layerWebCrypto])
)

/** Settings by a new code, as what pastes it has them. */
const pasted = Effect.fnUntraced(function*(wish: Wish, role: "node" | "operator" = "operator") {
  const gateway = yield* DevGateway
  const { setupCode } = yield* gateway.setupCode({ publicUrl, ...wish })
  const parsed = SetupCode.parse(Redacted.make(setupCode), yield* Clock.currentTimeMillis)
  const code = Result.getOrThrow(parsed)
  if (code._tag !== "Code") return assert.fail(code._tag)
  const settings = Result.getOrThrow(check(SetupCode.inputsOf(code.code)[0] ?? {}))
  return {
    code: code.code,
    settings: role === "node" ? nodeSettings(settings, "linux") : settings
  }
})

const started = ({ settings }: { readonly settings: GatewayConfig["Service"] }) =>
  Effect.provideService(MemoryAgent.start, GatewayConfig, settings)

/** What each `connect` presented, oldest first. */
const presented = Effect.gen(function*() {
  const frames = yield* (yield* DevGateway).frames
  return frames.flatMap(({ direction, text }) => {
    const { auth } = direction === "in" ? Object(JSON.parse(text).params) : {}
    return auth === undefined ? [] : Object.keys(auth)
  })
})

const storedFor = Effect.fnUntraced(function*(role: "node" | "operator") {
  const { deviceId } = yield* DeviceIdentity
  return yield* (yield* TokenStore).get({ gatewayScope: "ws://127.0.0.1:18789/", deviceId, role })
})

const causeOf = (halted: { readonly cause: { readonly _tag: string } }) =>
  "reason" in halted.cause ? `${halted.cause._tag} ${String(halted.cause.reason)}` : halted.cause._tag

describe("a setup code", () => {
  it.effect("of a node lets it in at once, and its device token takes the place of the code", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const { reached } = yield* started(yield* pasted({ bootstrapProfile: "node" }, "node"))
      yield* reached("Connected")
      assert.isTrue(Option.isSome(yield* storedFor("node")))
      assert.deepStrictEqual(yield* gateway.surfaces, [])
      assert.deepStrictEqual((yield* gateway.paired).map(({ approvedVia, roles }) => [approvedVia, roles]), [
        ["bootstrap", ["node"]]
      ])
      yield* gateway.dropAll(1006)
      yield* reached("Waiting")
      yield* TestClock.adjust("2 seconds")
      yield* reached("Connected")
      assert.deepStrictEqual(yield* presented, ["bootstrapToken", "token"])
    }).pipe(Effect.provide(layer)))

  it.effect("of an operator waits for a person, and needs no shared token then or later", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const { reached } = yield* started(yield* pasted({}))
      const { approval } = yield* reached("AwaitingApproval")
      yield* TestClock.adjust("1 minute")
      yield* gateway.approve(String(approval.requestId))
      yield* TestClock.adjust("15 seconds")
      yield* reached("Connected")
      yield* gateway.dropAll(1006)
      yield* reached("Waiting")
      yield* TestClock.adjust("2 seconds")
      yield* reached("Connected")
      const sent = yield* presented
      assert.strictEqual(sent.at(-1), "token")
      assert.deepStrictEqual(new Set(sent.slice(0, -1)), new Set(["bootstrapToken"]))
    }).pipe(Effect.provide(layer)))

  it.effect("for both roles serves one after the other", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const { settings } = yield* pasted({ bootstrapProfile: "limited" })
      const approved = Effect.flatMap(
        gateway.pending,
        ([request]) => gateway.approve(request?.requestId ?? "")
      )
      for (const role of ["operator", "node"] as const) {
        const { reached } = yield* started({ settings: role === "node" ? nodeSettings(settings, "linux") : settings })
        yield* reached("AwaitingApproval")
        yield* approved
        yield* TestClock.adjust("15 seconds")
        yield* reached("Connected")
        assert.isTrue(Option.isSome(yield* storedFor(role)))
      }
    }).pipe(Effect.provide(layer)))

  it.effect("is forgotten when the gateway has given a device token, although it would still be taken", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const { reached } = yield* started(yield* pasted({ bootstrapProfile: "limited" }))
      yield* reached("AwaitingApproval")
      for (const { requestId } of yield* gateway.pending) yield* gateway.approve(requestId)
      yield* TestClock.adjust("15 seconds")
      yield* reached("Connected")
      yield* gateway.remove((yield* DeviceIdentity).deviceId)
      yield* reached("Waiting")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(causeOf(yield* reached("Halted")), "AuthRejected TokenMismatch")
    }).pipe(Effect.provide(layer)))

  it.effect("is not used where the device has a token, unless that is refused", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const first = yield* started(yield* pasted({ bootstrapProfile: "node" }, "node"))
      yield* first.reached("Connected")
      yield* first.stop
      const again = yield* pasted({ bootstrapProfile: "node" }, "node")
      const second = yield* started(again)
      yield* second.reached("Connected")
      yield* second.stop
      assert.deepStrictEqual(yield* presented, ["bootstrapToken", "token"])
      // The gateway forgets the device: its token is refused and forgotten, and the code is still good.
      const { deviceId } = yield* DeviceIdentity
      yield* gateway.remove(deviceId)
      const third = yield* started(again)
      yield* third.reached("Connected")
      assert.deepStrictEqual(yield* presented, ["bootstrapToken", "token", "token", "bootstrapToken"])
    }).pipe(Effect.provide(layer)))

  const refusals: ReadonlyArray<
    readonly [string, (code: SetupCode.SetupCode) => Effect.Effect<void, unknown, DevGateway | MemoryAgent.Host>]
  > = [
    ["expired on the gateway", () => TestClock.adjust("10 minutes")],
    [
      "was used by another device",
      ({ token }) =>
        Effect.gen(function*() {
          const settings = nodeSettings(Result.getOrThrow(check({ url: publicUrl, bootstrapToken: token })), "linux")
          const other = yield* started({ settings }).pipe(Effect.provide([otherDevice, TokenStore.layerMemory]))
          yield* other.reached("Connected")
        }).pipe(Effect.scoped)
    ]
  ]
  it.effect.each(refusals)(
    "that %s is refused, and no other credential is tried",
    ([, spoil]) =>
      Effect.gen(function*() {
        const { code, settings } = yield* pasted({ bootstrapProfile: "node" }, "node")
        yield* spoil(code)
        const { reached, seen } = yield* started({ settings })
        assert.strictEqual(causeOf(yield* reached("Halted")), "AuthRejected BootstrapTokenInvalid")
        assert.notInclude(inspect(seen, { depth: 9 }), Redacted.value(code.token))
      }).pipe(Effect.provide(layer))
  )

  it.effect("of another gateway, or of a node for an operator, is refused", () =>
    Effect.gen(function*() {
      const foreign = yield* started({
        settings: Result.getOrThrow(check({ url: publicUrl, bootstrapToken: Redacted.make("x".repeat(43)) }))
      })
      assert.strictEqual(causeOf(yield* foreign.reached("Halted")), "AuthRejected BootstrapTokenInvalid")
      const operator = yield* started(yield* pasted({ bootstrapProfile: "node" }))
      assert.strictEqual(causeOf(yield* operator.reached("Halted")), "AuthRejected BootstrapTokenInvalid")
    }).pipe(Effect.provide(layer)))

  it.effect("is not used by a connection that is paused from the start", () =>
    Effect.gen(function*() {
      const { settings } = yield* pasted({ bootstrapProfile: "node" }, "node")
      const { reached, supervisor } = yield* started({ settings: { ...settings, paused: true } })
      yield* reached("Paused")
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* presented, [])
      yield* supervisor.resume
      assert.deepStrictEqual((yield* supervisor.status)._tag, "Connecting")
    }).pipe(Effect.provide(layer)))

  it.effect("leaves no fiber, no sleep and no link, wherever its use is interrupted", () =>
    Effect.gen(function*() {
      const life = Effect.fnUntraced(function*(k: number) {
        const gateway = yield* DevGateway
        const code = yield* pasted({ bootstrapProfile: "node" }, "node")
        const before = yield* gateway.stats
        const interrupting = yield* Interrupting.at(k)
        yield* Census.taken((census) =>
          Effect.gen(function*() {
            const used = Effect.gen(function*() {
              const { reached } = yield* started(code)
              yield* reached("Connected")
              yield* gateway.dropAll(1006)
              yield* reached("Waiting")
            })
            yield* Effect.flatMap(interrupting.fork(Effect.scoped(used)), Fiber.await)
            yield* TestClock.adjust(0)
            assert.deepStrictEqual([census.fibers(), census.sleeps()], [0, 0], `step ${k}`)
          })
        )
        assert.strictEqual((yield* gateway.stats).openPeers, before.openPeers, `step ${k}`)
        return interrupting.steps()
      })
      let steps = 1
      for (let k = 1; k <= steps; k++) {
        steps = Math.max(steps, yield* Effect.provide(life(k), Layer.fresh(layer)))
      }
      assert.isAbove(steps, 50)
    }), 60_000)
})
