import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { type Agent, echo } from "../../src/devgateway/Agent.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import { serve } from "../../src/devgateway/DevGatewayWs.ts"
import { makeDevice } from "../interop/support/RawClient.ts"
import recorded from "../vectors/suspension-2026.9.6.json" with { type: "json" }
import { play } from "./SuspensionScript.ts"

describe("DevGateway beside a suspended OpenClaw 2026.9.6", () => {
  it.live(
    "tells the same phases, refuses requests alike, and goes on with its runs",
    () =>
      Effect.gen(function*() {
        const begun = Latch.makeUnsafe()
        const held = Latch.makeUnsafe()
        const agent: Agent = (input) =>
          Stream.concat(
            Stream.drain(
              Stream.fromEffect(Effect.andThen(begun.open, input.message.includes("[hold") ? held.await : Effect.void))
            ),
            echo(input)
          )
        const { source: _, ...expected } = recorded
        const played = yield* Effect.gen(function*() {
          const gateway = yield* DevGateway
          return yield* play({
            url: (yield* serve()).href,
            token: Redacted.make("operator-token"),
            device: yield* makeDevice,
            suspend: Effect.andThen(gateway.suspend("preparing"), gateway.suspend("draining")),
            look: gateway.suspend("prepared"),
            resume: gateway.suspend("accepting"),
            asked: () => begun.await,
            release: () => Effect.asVoid(held.open)
          })
        }).pipe(Effect.scoped, Effect.provide(DevGateway.layerTest({ seeded: false, agent })))
        assert.deepStrictEqual<unknown>(played, expected)
      }),
    60_000
  )
})
