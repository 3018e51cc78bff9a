import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Bounds from "../../src/protocol/Bounds.ts"
import { decodeHelloOk } from "../../src/protocol/Connect.ts"
import * as Refusal from "../../src/protocol/Refusal.ts"

const policy = (policy: object) => Result.getOrThrow(decodeHelloOk({ type: "hello-ok", protocol: 4, policy })).policy
const delay = (retryAfterMs: number) => Refusal.read({ code: "X", message: "m", retryAfterMs }).retryAfterMs

/** From none to the largest whole number that JSON tells exactly. */
const Named = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))
const checks = { arbitrary: { seed: "bounds", runs: 300 } }

describe("Bounds", () => {
  it.effect.prop(
    "a delay that a refusal names is half a second at least and a day at most",
    [Named],
    ([named]) =>
      Effect.sync(() => {
        const ms = delay(named) ?? Number.NaN
        assert.isTrue(ms >= 500 && ms <= 86_400_000, `${ms}`)
        if (named >= 500 && named <= 86_400_000) assert.strictEqual(ms, named)
      }),
    checks
  )

  it.effect.prop(
    "an interval of ticks is a second at least and ten minutes at most",
    [Named],
    ([named]) =>
      Effect.sync(() => {
        const ms = policy({ tickIntervalMs: named })?.tickIntervalMs
        if (named === 0) return assert.isUndefined(ms, "no interval is no interval")
        assert.isTrue(ms !== undefined && ms >= 1000 && ms <= 600_000, `${ms}`)
        if (named >= 1000 && named <= 600_000) assert.strictEqual(ms, named)
      }),
    checks
  )

  it.effect.prop("sizes and uptimes have a ceiling", [Named], ([named]) =>
    Effect.sync(() => {
      const { maxBufferedBytes, maxPayload } = policy({ maxPayload: named, maxBufferedBytes: named }) ?? {}
      assert.strictEqual(maxPayload, Math.min(named, Bounds.frameBytes.ceiling))
      assert.strictEqual(maxBufferedBytes, Math.min(named, Bounds.bufferedBytes.ceiling))
      const hello = decodeHelloOk({ type: "hello-ok", protocol: 4, snapshot: { uptimeMs: named } })
      const { uptimeMs } = Result.getOrThrow(hello).snapshot ?? {}
      assert.strictEqual(uptimeMs, Math.min(named, Bounds.uptimeMs.ceiling))
    }), checks)

  it("what recorded gateways name is taken as it is", () => {
    const recorded = { maxPayload: 26_214_400, maxBufferedBytes: 52_428_800, tickIntervalMs: 30_000 }
    assert.deepStrictEqual(policy(recorded), recorded)
    for (const ms of [500, 60_000, 299_979]) assert.strictEqual(delay(ms), ms)
  })
})
