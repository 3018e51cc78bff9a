import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import * as Net from "node:net"
import * as Patience from "../../src/handshake/Patience.ts"

/** Does nothing else for so long, as a process that starts thousands of agents. */
const beBusy = Effect.fnUntraced(function*(ms: number) {
  const clock = yield* Clock.Clock
  const until = clock.currentTimeMillisUnsafe() + ms
  while (clock.currentTimeMillisUnsafe() < until);
})

/** A peer of this machine that answers at once, and the answer as its client reads it. */
const answered = Effect.gen(function*() {
  const first = Deferred.makeUnsafe<string>()
  const server = yield* Effect.acquireRelease(
    Effect.sync(() => Net.createServer((socket) => socket.end("here"))),
    (server) => Effect.sync(() => server.close())
  )
  const port = yield* Effect.callback<number>((resume) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
    })
  })
  const socket = yield* Effect.acquireRelease(
    Effect.sync(() => Net.connect(port, "127.0.0.1")),
    (socket) => Effect.sync(() => socket.destroy())
  )
  socket.on("data", (chunk) => Deferred.doneUnsafe(first, Effect.succeed(chunk.toString())))
  return Deferred.await(first)
})

describe("Patience", () => {
  it.live("F33: what arrived while the process was busy counts, although the time is up", () =>
    Effect.gen(function*() {
      const answer = yield* answered
      const waiting = yield* Effect.forkScoped(
        Patience.within(answer, Duration.millis(100), () => Effect.succeed("too late")),
        { startImmediately: true }
      )
      // Longer than the wait, again and again: no turn of the event loop is shorter.
      for (let turn = 0; turn < 3; turn++) {
        yield* beBusy(300)
        yield* Effect.yieldNow
      }
      assert.strictEqual(yield* Fiber.join(waiting), "here")
    }))

  it.effect("F33: where every timer is late, it gives up all the same", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      let nanos = 0n
      let sleeps = 0
      const late: Clock.Clock = {
        ...clock,
        monotonicTimeNanosUnsafe: () => nanos,
        sleep: (duration) =>
          Effect.sync(() => {
            sleeps++
            nanos += BigInt(Duration.toMillis(duration) + 100) * 1_000_000n
          })
      }
      yield* Effect.provideService(Patience.served(Duration.millis(1000)), Clock.Clock, late)
      assert.strictEqual(sleeps, 11)
    }))

  it.effect("F33: a timer that is on time ends the wait at its moment", () =>
    Effect.gen(function*() {
      const waiting = yield* Effect.forkScoped(
        Patience.within(Effect.never, Duration.millis(100), () => Effect.succeed("too late")),
        { startImmediately: true }
      )
      yield* TestClock.adjust("99 millis")
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* Fiber.join(waiting), "too late")
    }))
})
