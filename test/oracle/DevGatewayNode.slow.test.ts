import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import type { Agent } from "../../src/devgateway/Agent.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import { serve } from "../../src/devgateway/DevGatewayWs.ts"
import { administrator, readAndWrite } from "../interop/support/RawClient.ts"
import recorded from "../vectors/node-2026.9.6.json" with { type: "json" }
import * as NodeScript from "./NodeScript.ts"

/** Calls the tool that a text names, as the model provider of the real gateway does. */
const agent: Agent = ({ callTool, message }) => {
  const [, name = "", given = "{}"] = /\[use (\w+) (\{.*\})\]/.exec(message) ?? []
  return Stream.fromEffect(Effect.as(Effect.orDie(callTool(name, JSON.parse(given))), { _tag: "Text", delta: "done" }))
}

describe("DevGateway and nodes beside OpenClaw 2026.9.6", () => {
  it.live("answers the script of nodes alike", () =>
    Effect.gen(function*() {
      const url = (yield* serve()).href
      const asAdministrator = yield* administrator({ url, token: Redacted.make("operator-token") }, {
        scopes: readAndWrite
      })
      const played = yield* NodeScript.play({
        url,
        token: Redacted.make("shared-token"),
        administrator: asAdministrator
      })
      assert.deepStrictEqual(NodeScript.facts(JSON.parse(NodeScript.toJson("dev", played))), NodeScript.facts(recorded))
    }).pipe(Effect.scoped, Effect.provide(DevGateway.layerTest({ seeded: false, agent }))), 60_000)
})
