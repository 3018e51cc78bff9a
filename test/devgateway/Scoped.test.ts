import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import recorded from "../vectors/runs-2026.9.6.json" with { type: "json" }
import { at, device, type FakeLink, link } from "./FakeClient.ts"

const settle = TestClock.adjust("1 millis")
const key = "agent:main:scoped"

describe("session-scoped-events", () => {
  it.effect("B19: who hears whose runs is as recorded", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const enter = (caps: ReadonlyArray<string>) => {
        const client = link(gateway)
        client.connect(device(1), {
          token: "operator-token",
          scopes: ["operator.read", "operator.write"],
          params: { caps }
        })
        return client
      }
      const plain = enter(["tool-events"])
      const own = enter(["tool-events", "session-scoped-events"])
      const other = enter(["session-scoped-events"])
      const ask = (client: FakeLink, method: string, asked: string) => ({
        payload: at(client.request(`sessions.messages.${method}`, { key: asked }), "payload")
      })
      const later: Record<string, unknown> = {}
      const run = Effect.fnUntraced(function*(name: string) {
        own.request("chat.send", { sessionKey: key, message: "hello", deliver: false, idempotencyKey: name })
        yield* settle
        const heard = (client: FakeLink) =>
          ["chat", "agent"].filter((event) =>
            client.events(event).some((told) => at(told, "payload", "runId") === name)
          )
        later[`heard: ${name}`] = { plain: heard(plain), own: heard(own), other: heard(other) }
      })
      yield* run("not subscribed")
      later["subscribe"] = ask(own, "subscribe", key)
      later["subscribe again"] = ask(own, "subscribe", key)
      later["subscribe by a short key"] = ask(other, "subscribe", "main")
      later["subscribe to what is not there yet"] = ask(own, "subscribe", "agent:main:not-there-yet")
      yield* run("subscribed")
      later["unsubscribe"] = ask(own, "unsubscribe", key)
      later["unsubscribe again"] = ask(own, "unsubscribe", key)
      yield* run("not subscribed any more")
      ask(own, "subscribe", key.toUpperCase())
      yield* run("subscribed in capitals")
      const real: Readonly<Record<string, unknown>> = recorded.scenes.scoped.later
      // It sends no `session.message`.
      const expected = Object.keys(later).map((name) => [
        name,
        JSON.parse(JSON.stringify(real[name]).replace(',"session.message"', ""))
      ])
      assert.deepStrictEqual(later, Object.fromEntries(expected))
    }).pipe(Effect.provide(DevGateway.layerTest())))
})
