import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import type { ConnectionStatus } from "../../src/connection/ConnectionStatus.ts"
import { Supervisor } from "../../src/connection/Supervisor.ts"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { ApproveCommands } from "../../src/pairing/ApproveCommand.ts"
import type { Options } from "../../src/pairing/PairingNotifier.ts"
import { PairingNotifier } from "../../src/pairing/PairingNotifier.ts"
import { idle, step } from "../../src/pairing/PairingStep.ts"
import { PlatformName } from "../../src/protocol/Connect.ts"
import type { PairingNotice } from "../../src/protocol/PairingNotice.ts"
import * as Census from "../support/Census.ts"
import * as WallClock from "../support/WallClock.ts"
import * as NoticeLaw from "./NoticeLaw.ts"
import * as Statuses from "./Statuses.ts"
import { approval, awaiting, connected, connecting, waiting } from "./Statuses.ts"

/** Turns enough for every fiber here to come to rest: all of them run on this scheduler, so their number is fixed. */
const settled = Effect.repeat(Effect.yieldNow, { times: 30 })

/** A notifier whose supervisor says what the test wants, at once or in a burst. */
const start = Effect.fnUntraced(function*(options?: Options) {
  const statuses = yield* Queue.unbounded<ConnectionStatus>()
  const scope = yield* Scope.fork(yield* Effect.scope)
  const notifier = Context.get(
    yield* PairingNotifier.layer(options).pipe(
      Layer.provide([
        Layer.mock(Supervisor, {
          changes: Stream.map(Stream.fromQueue(statuses), (status) => ({ gatewayScope: Statuses.gateway, status }))
        }),
        Layer.mock(DeviceIdentity, {
          deviceId: Statuses.deviceId,
          publicKey: "",
          platform: PlatformName.make("linux"),
          source: { _tag: "Ephemeral" },
          warnings: [],
          sign: () => "",
          verify: () => false
        }),
        ApproveCommands.layerOf(Statuses.commands)
      ]),
      Layer.buildWithScope(scope)
    ),
    PairingNotifier
  )
  const told: Array<{ readonly atMs: number; readonly notice: PairingNotice }> = []
  const reading = yield* Effect.forkScoped(Stream.runForEach(
    notifier.notices,
    (notice) => Effect.map(Clock.currentTimeMillis, (atMs) => void told.push({ atMs, notice }))
  ))
  yield* settled
  return {
    notifier,
    told,
    reading,
    tags: () => told.map(({ notice }) => notice._tag),
    /** Reports statuses, and comes back when all fibers have come to rest. */
    report: (...all: ReadonlyArray<ConnectionStatus>) => Effect.andThen(Queue.offerAll(statuses, all), settled),
    close: Scope.close(scope, Exit.void)
  }
})

const asked = (id: string, atMs = 0) => awaiting(approval({ id, lastAskedAtMs: atMs }))

describe("PairingNotifier", () => {
  it.effect("F12: a start that has to wait for approval gives one notice and goes on; the approval resolves it", () =>
    Effect.gen(function*() {
      const { notifier, report, tags } = yield* start()
      yield* report(connecting, asked("one"))
      assert.deepStrictEqual(tags(), ["Required"])
      assert.isTrue(Option.exists(yield* notifier.current, ({ approval }) => approval.requestId === "one"))
      yield* report(connected)
      assert.deepStrictEqual(tags(), ["Required", "Resolved"])
      assert.isTrue(Option.isNone(yield* notifier.current))
    }))

  it.effect("F23: reminders come at the interval however often the gateway is asked meanwhile", () =>
    Effect.gen(function*() {
      const { report, told } = yield* start({ reminderInterval: "30 seconds", reminders: 2 })
      yield* report(asked("one"))
      for (let atMs = 3000; atMs <= 120_000; atMs += 3000) {
        yield* TestClock.adjust("3 seconds")
        yield* report(awaiting(approval({ id: "one", lastAskedAtMs: atMs - 3000 }), { checking: true }))
        yield* report(asked("one", atMs))
      }
      assert.deepStrictEqual(told.map(({ atMs, notice }) => [atMs, notice._tag]), [
        [0, "Required"],
        [30_000, "Reminder"],
        [60_000, "Reminder"]
      ])
      assert.deepStrictEqual(told.flatMap(({ notice }) => notice._tag === "Reminder" ? [notice.reminder] : []), [1, 2])
    }))

  it.effect.each([["back", -3_600_000], ["on", 3_600_000]] as const)(
    "a wall clock that is set an hour %s delays and hurries no reminder, nor what is told of an expiry",
    ([, byMs]) =>
      WallClock.settable((wall) =>
        Effect.gen(function*() {
          const { report, tags } = yield* start({ reminderInterval: "90 seconds", reminders: 2 })
          yield* report(waiting(approval({ id: "one" })))
          yield* TestClock.adjust("150 seconds")
          assert.deepStrictEqual(tags(), ["Required", "Reminder"])
          wall.step(byMs)
          yield* TestClock.adjust("29999 millis")
          assert.lengthOf(tags(), 2)
          yield* TestClock.adjust(1)
          assert.deepStrictEqual(tags().slice(2), ["Reminder"])
          yield* TestClock.adjust("59999 millis")
          assert.lengthOf(tags(), 3)
          yield* TestClock.adjust(1)
          assert.deepStrictEqual(tags().slice(3), ["Expiring"])
          yield* TestClock.adjust("60 seconds")
          assert.deepStrictEqual(tags().slice(4), ["Expired"])
        })
      )
  )

  it.effect("F25: an approval between two reminders leaves exactly one Resolved and nothing after it", () =>
    Effect.gen(function*() {
      const { report, tags } = yield* start({ reminderInterval: "10 seconds", reminders: 5 })
      yield* report(asked("one"))
      yield* TestClock.adjust("15 seconds")
      yield* report(connected)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(tags(), ["Required", "Reminder", "Resolved"])
    }))

  it.effect("G05: reminders of a replaced request end, those of the new one count from its own beginning", () =>
    Effect.gen(function*() {
      const { report, told } = yield* start({ reminderInterval: "10 seconds", reminders: 2 })
      yield* report(asked("one"))
      yield* TestClock.adjust("15 seconds")
      yield* report(asked("two", 15_000))
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(
        told.map(({ atMs, notice }): ReadonlyArray<unknown> => [atMs, notice._tag, notice.requestId]),
        [
          [0, "Required", "one"],
          [10_000, "Reminder", "one"],
          [15_000, "Superseded", "two"],
          [25_000, "Reminder", "two"],
          [35_000, "Reminder", "two"]
        ]
      )
    }))

  it.effect("B02: a request that cannot be asked for any more is told to expire and to have expired, on time", () =>
    Effect.gen(function*() {
      const { report, told } = yield* start({ reminders: 0 })
      const of = approval({ id: "one" })
      yield* report(awaiting(of))
      yield* TestClock.adjust("10 seconds")
      yield* report(waiting(of))
      yield* TestClock.adjust("200 seconds")
      yield* report(connecting, waiting(of))
      yield* TestClock.adjust("1 hour")
      yield* report(connecting, asked("two", 3_810_000), connected)
      assert.deepStrictEqual(told.map(({ atMs, notice }) => [atMs, notice._tag]), [
        [0, "Required"],
        [240_000, "Expiring"],
        [300_000, "Expired"],
        [3_810_000, "Superseded"],
        [3_810_000, "Resolved"]
      ])
    }))

  it.effect("B02: who subscribes late is told the live notice first, and everybody has a queue of their own", () =>
    Effect.gen(function*() {
      const { notifier, report, tags } = yield* start({ reminders: 0 })
      yield* report(asked("one"), asked("two"))
      const late = yield* Effect.forkChild(Stream.runCollect(Stream.take(notifier.notices, 2)))
      yield* settled
      yield* report(connected)
      const seen = yield* Fiber.join(late)
      assert.deepStrictEqual(seen.map(({ _tag, requestId }): ReadonlyArray<unknown> => [_tag, requestId]), [
        ["Required", "two"],
        ["Resolved", "two"]
      ])
      assert.deepStrictEqual(tags(), ["Required", "Superseded", "Resolved"])
    }))

  it.effect("F25: closing cancels the live notice, ends every stream and leaves no fiber and no timer", () =>
    Census.taken((census) =>
      Effect.gen(function*() {
        const { close, notifier, reading, report, tags } = yield* start()
        yield* report(asked("one"))
        assert.isAbove(census.sleeps(), 0)
        yield* close
        yield* Fiber.join(reading)
        assert.deepStrictEqual(tags(), ["Required", "Cancelled"])
        assert.deepStrictEqual(yield* Stream.runCollect(notifier.notices), [])
        assert.strictEqual(census.sleeps(), 0)
        assert.strictEqual(census.fibers(), 0)
      })
    ))

  it.effect("F25: a resolved notice leaves no timer behind", () =>
    Census.taken((census) =>
      Effect.gen(function*() {
        const { report } = yield* start()
        const of = approval({ id: "one" })
        yield* report(awaiting(of), waiting(of))
        assert.strictEqual(census.sleeps(), 2)
        yield* report(connected)
        assert.strictEqual(census.sleeps(), 0)
      })
    ))

  it.effect.prop(
    "F23: with interval i and count n reminders come at i, 2i ... ni, not later, and not after an approval",
    [Arbitrary.schema(Schema.Struct({
      intervalMs: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 120_000 })),
      count: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 6 })),
      pollMs: Schema.Int.check(Schema.isBetween({ minimum: 5000, maximum: 60_000 })),
      approvedAtMs: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 600_000 }))
    }))],
    ([{ approvedAtMs, count, intervalMs, pollMs }]) =>
      Effect.scoped(Effect.gen(function*() {
        const { report, told } = yield* start({ reminderInterval: Duration.millis(intervalMs), reminders: count })
        const beganAtMs = yield* Clock.currentTimeMillis
        yield* report(asked("one", beganAtMs))
        let atMs = 0
        while (atMs + pollMs < approvedAtMs) {
          yield* TestClock.adjust(pollMs)
          atMs += pollMs
          yield* report(asked("one", beganAtMs + atMs))
        }
        yield* TestClock.adjust(approvedAtMs - atMs)
        yield* report(connected)
        yield* TestClock.adjust("1 hour")
        const remindedAtMs = Array.from({ length: count }, (_, index) => (index + 1) * intervalMs)
          .filter((dueAtMs) => dueAtMs <= approvedAtMs)
        assert.deepStrictEqual(told.map(({ atMs, notice }) => [atMs - beganAtMs, notice._tag]), [
          [0, "Required"],
          ...remindedAtMs.map((dueAtMs) => [dueAtMs, "Reminder"]),
          [approvedAtMs, "Resolved"]
        ])
      })),
    { arbitrary: { seed: "reminders", runs: 40 } }
  )

  it.effect.prop(
    "F23, F25: over arbitrary statuses and moves of the clock the laws hold, and reminders count from their own telling",
    [Statuses.Happenings],
    ([happenings]) =>
      Effect.scoped(Effect.gen(function*() {
        const intervalMs = 20_000
        const count = 3
        const { report, told } = yield* start({ reminderInterval: Duration.millis(intervalMs), reminders: count })
        for (const { elapsedMs, status } of happenings) {
          yield* TestClock.adjust(elapsedMs)
          yield* report(status(yield* Clock.currentTimeMillis))
        }
        yield* TestClock.adjust("1 hour")
        const law = NoticeLaw.reader()
        let openedAtMs = 0
        let reminders = 0
        let died = false
        for (const { atMs, notice } of told) {
          law.read(notice)
          if (notice._tag === "Expired") died = true
          if (notice._tag === "Required" || notice._tag === "Superseded") {
            openedAtMs = atMs
            reminders = 0
            died = false
          }
          if (notice._tag !== "Reminder") continue
          // One that was due while the command was dead is left out, and no other.
          assert.isAbove(notice.reminder, reminders)
          assert.isAtMost(notice.reminder, count)
          reminders = notice.reminder
          assert.strictEqual(atMs - openedAtMs, reminders * intervalMs)
        }
        if (law.live() !== undefined && !died) assert.strictEqual(reminders, count)
      })),
    { arbitrary: { seed: "clocks", runs: 80, size: 40 } }
  )

  it.effect.prop(
    "F25: of a burst of statuses nothing is lost, in order",
    [Statuses.Happenings],
    ([happenings]) =>
      Effect.scoped(Effect.gen(function*() {
        const { report, told } = yield* start({ reminders: 0 })
        const nowMs = yield* Clock.currentTimeMillis
        const last = asked("last", nowMs)
        const statuses = [...happenings.map(({ status }) => status(nowMs)), last]
        yield* report(...statuses)
        yield* Effect.repeat(Effect.yieldNow, {
          until: () => told.at(-1)?.notice.requestId === last.approval.requestId
        })
        let pairing = idle
        const expected: Array<PairingNotice> = []
        const subject = { deviceId: Statuses.deviceId, commands: Statuses.commands }
        for (const status of statuses) {
          const event = { _tag: "StatusChanged", status, gateway: Statuses.gateway, nowMs } as const
          const [next, outcome] = step(subject, pairing, event)
          pairing = next
          if (outcome._tag === "Emitted") expected.push(...outcome.notices)
        }
        assert.deepStrictEqual(told.map(({ notice }) => notice), expected)
        const law = NoticeLaw.reader()
        for (const { notice } of told) law.read(notice)
      })),
    { arbitrary: { seed: "burst", runs: 80, size: 40 } }
  )
})
