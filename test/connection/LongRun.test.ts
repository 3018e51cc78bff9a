import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as TestClock from "effect/testing/TestClock"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import * as Census from "../support/Census.ts"
import * as MemoryAgent from "../support/MemoryAgent.ts"

/** One hour of trouble: links cut at any moment, restarts short and long, and a gateway that is slow or odd now and then. */
const hour = Effect.gen(function*() {
  const gateway = yield* DevGateway
  const minutes = (most: number) =>
    Effect.flatMap(Random.nextIntBetween(1, most), (n) => TestClock.adjust(`${n} minutes`))
  yield* minutes(10)
  yield* gateway.dropAll(1006)
  yield* minutes(10)
  yield* gateway.stop
  yield* minutes(20)
  yield* gateway.script({ noChallenge: true }, { dropAt: "connect" }, { unavailable: 500 }, { noiseFrames: true })
  yield* gateway.start
  yield* minutes(10)
  yield* gateway.dropAll(1012)
  yield* TestClock.adjust("10 minutes")
})

it.effect("24 hours of outages: connected at the end of each, and no growth of fibers, timers or registrations", () =>
  Census.taken((census) =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const running = yield* MemoryAgent.start
      yield* running.reached("AwaitingApproval")
      const { pending: [request] } = yield* gateway.awaitState(({ pending }) => pending.length === 1)
      yield* gateway.approve(request?.requestId ?? "")
      yield* running.supervisor.checkNow
      const taken: Array<unknown> = []
      for (let n = 0; n < 24; n++) {
        yield* hour
        const { session } = yield* running.reached("Connected")
        const { pending } = session.counts()
        const { openPeers } = yield* gateway.stats
        taken.push({ fibers: census.fibers(), sleeps: census.sleeps(), pending, openPeers })
      }
      assert.deepStrictEqual(taken, taken.map(() => taken[0]))
      assert.deepInclude(taken[0], { pending: 0, openPeers: 1 })
      // Some ten links an hour were made anew; a leak of one of them an hour would have shown above.
      assert.isAbove((yield* gateway.stats).hellos, 48)
    })
  ).pipe(Effect.provide(MemoryAgent.layer()), Random.withSeed("a day")))
