import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import { serve } from "../../src/devgateway/DevGatewayWs.ts"
import { administrator, readAndWrite } from "../interop/support/RawClient.ts"
import recorded from "../vectors/setup-2026.9.6.json" with { type: "json" }
import * as SetupScript from "./SetupScript.ts"

describe("DevGateway and setup codes beside OpenClaw 2026.9.6", () => {
  it.live("answers the script of setup codes alike", () =>
    Effect.gen(function*() {
      const url = (yield* serve()).href.replace(/\/$/, "")
      const asAdministrator = yield* administrator({ url, token: Redacted.make("operator-token") }, {
        scopes: readAndWrite
      })
      const played = yield* SetupScript.play({
        url,
        token: Redacted.make("shared-token"),
        administrator: asAdministrator
      })
      assert.deepStrictEqual(
        SetupScript.facts(JSON.parse(SetupScript.toJson("dev", played))),
        SetupScript.facts(recorded)
      )
    }).pipe(Effect.scoped, Effect.provide(DevGateway.layerTest({ seeded: false }))), 60_000)
})
