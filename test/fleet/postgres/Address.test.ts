/**
 * What becomes of a runner whose address another one has: another program, another machine of the fleet, or a process before it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { createServer } from "node:net"
import { listening } from "../../support/Listening.ts"
import { tell } from "./Figures.ts"
import * as FleetWorld from "./FleetWorld.ts"

const names = ["door", "lamp"]

const failure = (start: Effect.Effect<void>) =>
  Effect.map(Effect.exit(start), (exit) => Exit.isFailure(exit) ? String(exit.cause) : assert.fail("it started"))

describe("the address of a runner", () => {
  it.live("that another program listens on is told, with the setting to change", () =>
    Effect.gen(function*() {
      const { runner } = yield* FleetWorld.make
      const port = yield* listening(createServer())
      const taken = yield* failure((yield* runner({ port })).start)
      assert.include(taken, `cannot listen on 127.0.0.1:${port} for the other runners: another program listens there`)
      assert.include(taken, "OPENCLAW_FLEET_PORT")
      const elsewhere = yield* failure((yield* runner({ listenHost: "192.0.2.1" })).start)
      assert.include(elsewhere, "OPENCLAW_FLEET_LISTEN_HOST")
    }), 60_000)

  it.live(
    "is that of one process: a second one fails and disturbs no device, and one after a kill waits and has them all",
    () =>
      Effect.gen(function*() {
        const { connected, fleet, runner, watched } = yield* FleetWorld.make
        const allConnected = Effect.timeout(connected(names.length), "40 seconds")
        const first = yield* runner()
        yield* first.start
        yield* Effect.forEach(names, (name) => fleet.register(name))
        yield* allConnected
        watched.reset()
        // As on another machine whose address was not set either.
        const second = yield* runner({ port: first.port, listenHost: "127.0.0.2" })
        const [told, refused] = yield* Effect.timed(failure(second.start))
        assert.include(refused, `is the runner 127.0.0.1:${first.port} already`)
        assert.include(refused, "OPENCLAW_FLEET_HOST")
        yield* Effect.sleep("3 seconds")
        assert.deepStrictEqual([watched.counts().drops, watched.connected()], [0, names.length])
        first.signal("SIGKILL")
        yield* first.ended
        const [waited] = yield* Effect.timed(second.start)
        yield* allConnected
        tell("second process", { toldMs: Duration.toMillis(told), afterKillMs: Duration.toMillis(waited) })
      }),
    120_000
  )
})
