import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { DevGateway, make } from "../../src/devgateway/DevGateway.ts"
import { at, device, link } from "./FakeClient.ts"

const alice = device(1)

const enter = (gateway: DevGateway["Service"]) => {
  const client = link(gateway)
  client.connect(alice, { token: "operator-token" })
  return client
}

describe("life", () => {
  it.effect("ticks every 30 s, numbered per link", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const client = enter(gateway)
      yield* TestClock.adjust("45 seconds")
      const late = enter(gateway)
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(client.events("tick").map((tick) => [at(tick, "payload", "ts"), at(tick, "seq")]), [
        [30_000, 1],
        [60_000, 2]
      ])
      assert.deepStrictEqual(late.events("tick").map((tick) => at(tick, "seq")), [1])
    }).pipe(Effect.provide(DevGateway.layerTest())))

  it.effect("a stop sends shutdown and closes with 1012; it keeps pairings, tokens and history, and ends runs", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      link(gateway).connect(alice)
      const [pending] = yield* gateway.pending
      yield* gateway.approve(pending?.requestId ?? "")
      const client = link(gateway)
      const before = at(client.connect(alice), "payload")
      const silent = link(gateway)
      client.request("chat.send", { sessionKey: "main", message: "hello", idempotencyKey: "key-1" })
      yield* TestClock.adjust("1 millis")
      yield* gateway.stop
      assert.deepStrictEqual(at(client.events("shutdown")[0], "payload"), { reason: "gateway stopping" })
      const closed = [{ code: 1012, reason: "service restart" }]
      assert.deepStrictEqual([client.closes, silent.closes], [closed, closed])
      assert.deepStrictEqual(link(gateway).closes, [{ code: 1006, reason: "" }])
      assert.deepStrictEqual(gateway.upgrade({}), { status: 0, body: "" })
      yield* gateway.start
      const token = String(at(before, "auth", "deviceToken"))
      const again = link(gateway)
      const after = at(again.connect(alice, { token }), "payload")
      assert.strictEqual(at(after, "auth", "deviceToken"), token)
      assert.notStrictEqual(at(after, "server", "bootId"), at(before, "server", "bootId"))
      const history = again.request("chat.history", { sessionKey: "main" })
      assert.strictEqual(at(history, "payload", "totalMessages"), 2)
    }).pipe(Effect.provide(DevGateway.layerTest())))

  it.effect("closing the scope closes every link and stops the ticks", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const gateway = yield* Scope.provide(
        make({ auth: { mode: "none" }, operatorToken: Redacted.make("operator-token") }),
        scope
      )
      const client = enter(gateway)
      const silent = link(gateway)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual([...client.closes, ...silent.closes].map(({ code }) => code), [1012, 1012])
      const before = client.texts.length
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(client.texts.length, before)
    }))

  it.effect("dropAll closes every link with the given code", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const clients = [enter(gateway), enter(gateway), link(gateway)]
      yield* gateway.dropAll(1001, "going away")
      assert.deepStrictEqual(
        clients.flatMap((client) => client.closes),
        Array.from({ length: 3 }, () => ({ code: 1001, reason: "going away" }))
      )
      assert.strictEqual((yield* gateway.stats).openPeers, 0)
    }).pipe(Effect.provide(DevGateway.layerTest())))

  it.effect("the same seed gives the same frames", () => {
    const run = Effect.gen(function*() {
      const gateway = yield* DevGateway
      const client = link(gateway)
      client.connect(alice)
      const [pending] = yield* gateway.pending
      yield* gateway.approve(pending?.requestId ?? "")
      link(gateway).connect(alice)
      return (yield* gateway.frames).map((frame) => [frame.connection, frame.direction, frame.text])
    }).pipe(Effect.provide(DevGateway.layerTest({ recordFrames: true })))
    return Effect.gen(function*() {
      const first = yield* Random.withSeed(run, "one")
      assert.lengthOf(first, 6)
      assert.deepStrictEqual(yield* Random.withSeed(run, "one"), first)
      assert.notDeepEqual(yield* Random.withSeed(run, "two"), first)
    })
  })
})

describe("accept", () => {
  it.effect("may answer within the call: a client may send from inside a callback", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const seen: Array<string> = []
      const waiting: Array<string> = [] // the challenge comes before `accept` returns the handler
      const handler = gateway.accept({
        remote: true,
        sendUnsafe: (text) => {
          seen.push(text)
          if (text.includes("connect.challenge")) waiting.push(`{"type":"req","id":"1","method":"connect"}`)
          else handler.onText(`{"type":"req","id":"2","method":"health"}`)
        },
        close: (code) => {
          seen.push(`close ${code}`)
          handler.onClose()
        }
      })
      for (const text of waiting) handler.onText(text)
      assert.strictEqual(seen.at(-1), "close 1008")
      assert.lengthOf(seen, 3)
    }).pipe(Effect.provide(DevGateway.layerTest())))

  it.effect("ignores a link that has ended", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const client = enter(gateway)
      client.close()
      client.close()
      const before = client.texts.length
      client.request("health")
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(client.texts.length, before)
      assert.strictEqual((yield* gateway.stats).openPeers, 0)
    }).pipe(Effect.provide(DevGateway.layerTest())))
})

describe("awaitState", () => {
  it.effect("resumes at once when the state holds, else when it comes", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const waiting = yield* Effect.forkChild(gateway.awaitState(({ pending }) => pending.length === 1))
      yield* Effect.yieldNow
      assert.isUndefined(waiting.pollUnsafe())
      link(gateway).connect(alice)
      assert.strictEqual((yield* Fiber.join(waiting)).pending[0]?.deviceId, alice.id)
      const { stats } = yield* gateway.awaitState((state) => state.stats.attempts === 1)
      assert.strictEqual(stats.refusals.get("PAIRING_REQUIRED"), 1)
    }).pipe(Effect.provide(DevGateway.layerTest())))
})
