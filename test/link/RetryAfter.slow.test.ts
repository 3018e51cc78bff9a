import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TransportWs from "../../src/link/TransportWs.ts"
import { refused } from "../support/Dialled.ts"
import * as HttpProxy from "../support/HttpProxy.ts"
import * as Loopback from "../support/LoopbackServer.ts"

describe("Retry-After", () => {
  it.live("of a front door is told with its refusal", () =>
    Effect.gen(function*() {
      const door = yield* Loopback.upgrades((_, socket) =>
        void socket.end(Loopback.answer("429 Too Many Requests", ["Retry-After: 42"], "slow down"))
      )
      const { error } = yield* refused({ url: door, origin: undefined })
      assert.deepInclude({ ...error }, { _tag: "UpgradeRejected", status: 429, retryAfterMs: 42_000 })
    }).pipe(Effect.provide(TransportWs.layer)))

  it.live("of a proxy is told with its refusal", () =>
    Effect.gen(function*() {
      const proxy = yield* HttpProxy.serve({ refuse: 503, refuseWith: "Retry-After: 42\r\n" })
      const { error } = yield* Effect.provide(
        refused({ url: new URL("ws://gateway.example:18789/x"), origin: undefined }),
        TransportWs.layerWith({ proxyFor: () => `http://127.0.0.1:${proxy.port}` })
      )
      assert.deepInclude({ ...error }, { _tag: "ProxyRejected", status: 503, retryAfterMs: 42_000 })
    }))
})
