import { assert, describe, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import type { Agent } from "../../src/devgateway/Agent.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import type { Fate, Life, Moment } from "./Lives.ts"
import * as Lives from "./Lives.ts"

/** So many processes are killed; the variable asks for more. */
const rounds = Config.Int("TASK_KILLS").pipe(Config.withDefault(100))

const summaries = [
  ["agent:main:main", "water the plants"],
  ["agent:main:main", "feed the cat"],
  ["agent:main:other", "open the window"]
] as const

/** How often each moment comes in a life, about. */
const moments: ReadonlyArray<readonly [Moment, number]> = [
  ["sending", 8],
  ["sent", 8],
  ["receiving", 60],
  ["received", 60],
  ["putting", 9],
  ["put", 9],
  ["removing", 3],
  ["removed", 3]
]

const killed = Effect.gen(function*() {
  const [moment, times] = moments[yield* Random.nextIntBetween(0, moments.length)] ?? ["sent", 8]
  const nth = 1 + (yield* Random.nextIntBetween(0, times))
  let seen = 0
  const fate: Fate = (now) => now === moment && ++seen === nth ? "Die" : undefined
  return fate
})

/** One story: lives that end at random moments, until one sees all of its tasks done. */
const story = Effect.fnUntraced(function*(gatewayToo: boolean) {
  /** Runs that the gateway's agent brought to their end. */
  const done = new Set<string>()
  const agent: Agent = ({ message, runId }) =>
    Stream.make("echo:", ` ${message}`).pipe(
      Stream.mapEffect((delta) => Effect.as(Effect.sleep("2 seconds"), { _tag: "Text" as const, delta })),
      Stream.onEnd(Effect.sync(() => void done.add(runId)))
    )
  return yield* Effect.gen(function*() {
    const gateway = yield* DevGateway
    const disk: Lives.Disk = { entries: new Map() }
    const lives: Array<Life> = []
    const asked = new Map<string, string>()
    const deaths: Array<Moment> = []
    const again: Array<string> = []
    while (lives.length === 0 || disk.entries.size > 0) {
      const life = yield* Lives.begin(disk, lives.length < 4 ? yield* killed : () => undefined)
      lives.push(life)
      const delegating = yield* Effect.forkChild(
        lives.length > 1
          ? Effect.void
          : Effect.forEach(
            summaries,
            ([sessionKey, summary]) => Effect.ignore(life.runner.delegate(summary, { sessionKey })),
            { discard: true }
          ),
        { startImmediately: true }
      )
      yield* Fiber.join(delegating)
      for (const { runId, summary } of disk.entries.values()) asked.set(runId, summary)
      yield* Lives.until(() => life.diedAt() !== undefined || disk.entries.size === 0)
      yield* TestClock.adjust(0)
      // What was done at once is not on the disk any more.
      for (const { runId, summary } of yield* life.runner.list) if (lives.length === 1) asked.set(runId, summary)
      const died = life.diedAt()
      yield* life.bury
      if (died === undefined) break
      deaths.push(died)
      // Who dies between telling and forgetting is told once more.
      for (const { runId } of life.told) if (disk.entries.has(runId)) again.push(runId)
      if (gatewayToo) {
        yield* gateway.stop
        yield* TestClock.adjust("3 seconds")
        yield* gateway.start
      }
    }
    const { runs } = yield* gateway.stats
    const told = lives.flatMap((life) => life.told)
    for (const [runId, summary] of asked) {
      const ends = told.filter((event) => event.runId === runId)
      const what = JSON.stringify({ runId, summary, deaths, ends, lives: lives.length })
      if (runs.get(runId) === undefined) {
        // Refused in the moment of death, and not on the disk.
        assert.isEmpty(ends, what)
        continue
      }
      assert.strictEqual(runs.get(runId), 1, what)
      assert.strictEqual(ends.length, 1 + again.filter((told) => told === runId).length, what)
      for (const end of ends) {
        if (done.has(runId)) assert.include(end, { _tag: "Replied", text: `echo: ${summary}`, late: false }, what)
        else assert.strictEqual(end._tag, "Unknown", what)
      }
    }
    for (const runId of runs.keys()) assert.isTrue(asked.has(runId))
    return { deaths, asked: asked.size, unknown: told.filter(({ _tag }) => _tag === "Unknown").length }
  }).pipe(Effect.provide(DevGateway.layerTest({ agent })), Effect.scoped)
})

describe("a process that is killed", () => {
  for (const gatewayToo of [false, true]) {
    const where = gatewayToo ? "with the gateway, which forgets its keys" : "beside a gateway that lives on"
    it.effect(`G15 B07: at any moment, ${where}: each task is answered once and run once`, () =>
      Effect.gen(function*() {
        const total = yield* rounds
        let unknown = 0
        const deaths: Array<Moment> = []
        for (let seed = 0; deaths.length < total / 2; seed++) {
          const round = yield* Random.withSeed(story(gatewayToo), `killed ${gatewayToo} ${seed}`)
          deaths.push(...round.deaths)
          unknown += round.unknown
        }
        if (!gatewayToo) assert.strictEqual(unknown, 0)
        for (const [moment] of moments) assert.include(deaths, moment)
      }))
  }
})
