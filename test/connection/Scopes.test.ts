import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import type { GatewayInput } from "../../src/handshake/GatewayConfig.ts"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { covers } from "../../src/protocol/Connect.ts"
import * as MemoryAgent from "../support/MemoryAgent.ts"
import { ScriptedTransport } from "../support/ScriptedTransport.ts"
import * as Wire from "../support/WireFrames.ts"

/** Connects to a gateway that answers with this `auth`. */
const greeted = Effect.fnUntraced(function*(auth: object | undefined) {
  const transport = yield* ScriptedTransport
  const running = yield* MemoryAgent.start
  const link = yield* transport.nth(1)
  link.send(Wire.challenge())
  yield* link.nthSent(1)
  link.send(Wire.helloOk(auth === undefined ? {} : { auth }))
  return running
})

const scripted = (client: GatewayInput = {}) =>
  Effect.provide(MemoryAgent.host(ScriptedTransport.layer, { token: MemoryAgent.sharedToken, ...client }))

describe("scopes at connect", () => {
  it("admin covers every operator scope, write covers read and talk, and nothing else covers another", () => {
    assert.isTrue(covers(["operator.admin"], "operator.pairing"))
    assert.isFalse(covers(["operator.admin"], "node.run"))
    assert.isTrue(covers(["operator.write"], "operator.read"))
    assert.isTrue(covers(["operator.write"], "operator.talk"))
    assert.isFalse(covers(["operator.read"], "operator.write"))
    assert.isFalse(covers(["operator.write"], "operator.talk.secrets"))
  })

  it.effect("G07: let in without any of the scopes it needs, it halts at connect and not at the first request", () =>
    Effect.gen(function*() {
      const running = yield* greeted({ role: "operator", scopes: [] })
      const { cause } = yield* running.reached("Halted")
      assert.deepInclude(cause, {
        _tag: "ScopesNarrowed",
        granted: [],
        missing: ["operator.read", "operator.write"]
      })
    }).pipe(scripted()))

  it.effect("G07: with fewer scopes it works with those, and says which are missing", () =>
    Effect.gen(function*() {
      const running = yield* greeted({ role: "operator", scopes: ["operator.read"] })
      const { session } = yield* running.reached("Connected")
      assert.deepStrictEqual(session.facts.missingScopes, ["operator.write"])
    }).pipe(scripted()))

  it.effect("G07: with fewer scopes it halts where the settings refuse that", () =>
    Effect.gen(function*() {
      const running = yield* greeted({ role: "operator", scopes: ["operator.read"] })
      const { cause } = yield* running.reached("Halted")
      assert.strictEqual(cause._tag, "ScopesNarrowed")
    }).pipe(scripted({ narrowedScopes: "refuse" })))

  it.effect("a wider grant, and a release that says nothing of scopes, miss nothing", () =>
    Effect.gen(function*() {
      for (const auth of [{ scopes: ["operator.admin"] }, undefined]) {
        yield* Effect.gen(function*() {
          const running = yield* greeted(auth)
          const { session } = yield* running.reached("Connected")
          assert.deepStrictEqual(session.facts.missingScopes, [])
        }).pipe(scripted({ narrowedScopes: "refuse" }))
      }
    }))
})

describe("a defect", () => {
  it.effect("F41: in a service that was given to it is no silence: it halts, logs, and goes on when asked", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const identity = yield* DeviceIdentity
      let broken = true
      const signer = DeviceIdentity.of({
        ...identity,
        sign: (text) => {
          if (broken) throw new Error("the key store went away")
          return identity.sign(text)
        }
      })
      const running = yield* Effect.provideService(MemoryAgent.start, DeviceIdentity, signer)
      const first = yield* transport.nth(1)
      first.send(Wire.challenge())
      const { cause } = yield* running.reached("Halted")
      assert.strictEqual(cause._tag, "InternalError")
      assert.isTrue(first.released())
      yield* TestClock.adjust("1 day")
      assert.strictEqual(transport.dials(), 1)
      broken = false
      yield* running.supervisor.checkNow
      const second = yield* transport.nth(2)
      second.send(Wire.challenge())
      yield* second.nthSent(1)
      second.send(Wire.helloOk())
      yield* running.reached("Connected")
    }).pipe(scripted()))
})
