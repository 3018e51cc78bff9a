import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import type { WebSocket } from "ws"
import * as Sessions from "../../src/connection/Session.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import { Transport } from "../../src/link/Transport.ts"
import * as TransportWs from "../../src/link/TransportWs.ts"
import * as Frame from "../../src/protocol/Frame.ts"
import * as Loopback from "../support/LoopbackServer.ts"
import * as MemoryAgent from "../support/MemoryAgent.ts"

describe("a subscriber with backpressure", () => {
  it.effect("loses nothing of a burst that is a hundred times its queue, and is told of the end behind it", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const running = yield* MemoryAgent.start
      const { session } = yield* running.reached("Connected")
      const { events, lost } = yield* session.subscribe(["burst"], { backpressure: true, capacity: 10 })
      const taken: Array<unknown> = []
      yield* Effect.forkScoped(
        Stream.runForEach(
          events,
          ({ payload }) => Effect.andThen(Effect.sync(() => void taken.push(payload)), Effect.sleep("1 second"))
        )
      )
      for (let index = 0; index < 1000; index++) yield* gateway.broadcast("burst", index)
      // Answered at once, and not read before what came first.
      const request = yield* Effect.forkScoped(session.request("health", {}), { startImmediately: true })
      yield* gateway.dropAll(1012)
      yield* TestClock.adjust("900 seconds")
      assert.isUndefined(request.pollUnsafe())
      assert.strictEqual((yield* running.supervisor.status)._tag, "Connected")
      yield* TestClock.adjust("100 seconds")
      assert.deepStrictEqual(taken, Array.from({ length: 1000 }, (_, index) => index))
      assert.strictEqual(lost(), 0)
      assert.isObject(yield* Fiber.join(request))
      assert.strictEqual((yield* session.ended).closeCode, 1012)
    }).pipe(Effect.provide(MemoryAgent.layer({ client: { token: MemoryAgent.operatorToken } }))))

  it.live("holds a real socket back until it has caught up, and loses nothing", () =>
    Effect.gen(function*() {
      const arrived = yield* Deferred.make<WebSocket>()
      const url = yield* Loopback.links((link) => Deferred.doneUnsafe(arrived, Effect.succeed(link)))
      const prepared = yield* Sessions.prepare
      const transport = yield* Transport
      const link = yield* transport.dial({ url, origin: undefined }, prepared.handler)
      // As the handshake does after hello-ok.
      link.limitUnsafe?.({ messageBytes: 1024 * 1024 })
      const session = yield* prepared.open(
        { link, hello: { type: "hello-ok", protocol: 4 } },
        {
          protocol: 4,
          serverVersion: undefined,
          scopes: [],
          missingScopes: [],
          deviceTokenIssued: false,
          connectedAtMs: 0,
          clockDeltaMs: 0,
          handshakeMs: 0
        },
        { requestTimeout: Duration.seconds(30) }
      )
      const subscription = yield* session.subscribe(["flood"], { backpressure: true, capacity: 16 })
      const peer = yield* Deferred.await(arrived)
      const count = 2000
      const padding = "x".repeat(16_384)
      for (let index = 0; index < count; index++) {
        peer.send(Frame.encodeEvent("flood", { index, padding }, index + 1))
      }
      // Thirty megabytes are more than sockets keep: the rest waits at the sender for as long as nobody takes anything.
      const backlog = () => peer.bufferedAmount
      const before = yield* settled(backlog)
      assert.isAbove(before, 1_000_000)
      const indices = yield* subscription.events.pipe(
        Stream.map(({ payload }) => indexOf(payload)),
        Stream.take(count),
        Stream.runCollect
      )
      assert.deepStrictEqual(indices, Array.from({ length: count }, (_, index) => index))
      assert.deepStrictEqual([subscription.lost(), session.counts().missed, backlog()], [0, 0, 0])
    }).pipe(Effect.provide(TransportWs.layer)))
})

const indexOf = (payload: unknown) =>
  typeof payload === "object" && payload !== null && "index" in payload ? payload.index : undefined

/** The value once it has stayed the same over many turns of the event loop. */
const settled = Effect.fnUntraced(function*(read: () => number) {
  let value = read()
  for (let same = 0; same < 200; same++) {
    yield* Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
    if (read() === value) continue
    value = read()
    same = 0
  }
  return value
})
