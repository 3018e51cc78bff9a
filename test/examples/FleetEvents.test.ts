import { assert, describe, it } from "@effect/vitest"
import { Fleet } from "effect-openclaw/fleet/Fleet"
import type { FleetEvent, Position } from "effect-openclaw/fleet/FleetEvent"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { feed } from "./FleetEvents.ts"

const told = ["lamp", "door", "sofa"].map((device, index): FleetEvent => ({
  _tag: "DeviceEvent",
  process: "p",
  seq: index + 1,
  runner: "10.0.0.7:34431",
  device,
  epoch: 1,
  event: { at: "2026-11-27T12:00:00.000Z", event: "paused" }
}))

const fleet = Layer.mock(Fleet, {
  position: Effect.succeed({ p: 1 }),
  eventsFrom: (start) =>
    Stream.fromIterable(told.filter(({ process, seq }) => "after" in start && seq > (start.after[process] ?? 0)))
})

describe("the events of a fleet in a host's channel", () => {
  it.effect("begin now, and go on where they were after a restart", () =>
    Effect.gen(function*() {
      const sent: Array<string> = []
      let kept = Option.none<Position>()
      const channel = (limit: number) => ({
        position: Effect.sync(() => kept),
        send: (line: string, position: Position) =>
          Effect.suspend(() => {
            if (sent.length === limit) return Effect.interrupt
            sent.push(JSON.parse(line).device)
            kept = Option.some(position)
            return Effect.void
          })
      })
      yield* Effect.exit(feed(channel(1)))
      assert.deepStrictEqual(sent, ["door"])
      yield* feed(channel(9))
      assert.deepStrictEqual(sent, ["door", "sofa"])
    }).pipe(Effect.provide(fleet)))
})
