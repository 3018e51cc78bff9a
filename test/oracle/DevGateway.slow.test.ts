import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { type Agent, AgentFailed, echo } from "../../src/devgateway/Agent.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import { serve } from "../../src/devgateway/DevGatewayWs.ts"
import recorded from "../vectors/script-2026.9.6.json" with { type: "json" }
import {
  compare,
  deliberate,
  describe as describeDifference,
  isDeliberate,
  play,
  type Recording,
  type Shape,
  shapeOf
} from "./Script.ts"

/** Follows these marks as the model provider of the real gateway does. */
const agent: Agent = (input) => {
  if (input.message.includes("[fail]")) return Stream.fail(new AgentFailed({ errorMessage: "told to fail" }))
  return input.message.includes("[hold]") ? Stream.concat(Stream.take(echo(input), 1), Stream.never) : echo(input)
}

/** The handshake deadline is short because the script waits for it. */
const layer = DevGateway.layerTest({ seeded: false, agent, handshakeDeadline: "5 seconds" })

const playOnDevGateway = Effect.gen(function*() {
  const gateway = yield* DevGateway
  const url = (yield* serve()).href
  return yield* play({
    url,
    token: Redacted.make("shared-token"),
    administrator: { url, token: Redacted.make("operator-token") },
    stop: gateway.stop
  })
}).pipe(Effect.scoped, Effect.provide(layer))

describe("DevGateway beside OpenClaw 2026.9.6", () => {
  it.live("answers the script of exchanges with frames of the same shape", () =>
    Effect.gen(function*() {
      const differences = compare(recorded.exchanges, yield* playOnDevGateway)
      const unknown = differences.filter((difference) => !deliberate.some((known) => isDeliberate(known, difference)))
      assert.deepStrictEqual(unknown.map(describeDifference), [])
      const gone = deliberate.filter((known) => !differences.some((difference) => isDeliberate(known, difference)))
      assert.deepStrictEqual(gone.map(({ reason }) => reason), [], "no longer a difference")
    }), 60_000)
})

describe("compare", () => {
  const recording = {
    order: ["res", "chat final"],
    frames: { res: shapeOf({ ok: true, payload: { ts: 1, scopes: ["a"] } }) }
  }
  const base = {
    ...recording,
    frames: { ...recording.frames, "chat final": "<text>" },
    closes: { this: "1008 x" },
    facts: {}
  }
  const lines = (changed: Partial<Recording>) =>
    compare({ "an exchange": base }, { "an exchange": { ...base, ...changed } }).map(describeDifference)

  it("masks ids, times and texts, and keeps keys, types and values that clients depend on", () => {
    const frame = (id: string, ts: unknown) => ({
      type: "res",
      id,
      error: { code: "NOT_PAIRED", message: `wait for ${id}`, details: { requestId: id, retryable: false, ts } }
    })
    const [one, two] = ["0b3f0d5e-6a42-4ba6-9a2e-0d3f5a1b7c01", "7d1f0d5e-6a42-4ba6-9a2e-0d3f5a1b7cff"]
    assert.deepStrictEqual(shapeOf(frame(one, 1)), shapeOf(frame(two, 2)))
    assert.notDeepEqual(shapeOf(frame(one, 1)), shapeOf(frame(one, "1")))
    assert.deepStrictEqual(shapeOf(frame(one, 1)), {
      type: "res",
      id: "<text>",
      error: {
        code: "NOT_PAIRED",
        message: "wait for <id>",
        details: { requestId: "<text>", retryable: false, ts: "<number>" }
      }
    })
  })

  it("names each difference by exchange and place", () => {
    assert.deepStrictEqual(lines({}), [])
    const res = shapeOf({ ok: true, payload: { ts: "1", scopes: ["a", "b"], more: null } })
    assert.deepStrictEqual(lines({ frames: { ...base.frames, res } }), [
      `"an exchange" at frames / res / payload / scopes: recorded ["a"], played ["a","b"]`,
      `"an exchange" at frames / res / payload / ts: recorded "<number>", played "<text>"`,
      `"an exchange" at frames / res / payload / more: recorded nothing, played null`
    ])
    assert.lengthOf(lines({ order: ["chat final", "res"] }), 2)
    assert.deepStrictEqual(lines({ closes: { this: "1000" } }), [
      `"an exchange" at closes / this: recorded "1008 x", played "1000"`
    ])
    assert.deepStrictEqual(lines({ order: ["res"], frames: { res: base.frames.res } }), [
      `"an exchange" at frames / chat final: recorded "<text>", played nothing`
    ])
    assert.lengthOf(compare({ "an exchange": base }, {}), 1)
  })

  it("a deliberate absence excuses no other value", () => {
    const known = { reason: "x", paths: ["frames/res"], absent: true }
    const at = (path: ReadonlyArray<string>, played: Shape | undefined) => ({
      exchange: "y",
      path,
      recorded: 1,
      played
    })
    assert.isTrue(isDeliberate(known, at(["frames", "res", "a"], undefined)))
    assert.isFalse(isDeliberate(known, at(["frames", "res", "a"], 2)))
    assert.isFalse(isDeliberate(known, at(["frames", "result"], undefined)))
    assert.isFalse(isDeliberate({ ...known, exchange: "z" }, at(["frames", "res"], undefined)))
  })
})
