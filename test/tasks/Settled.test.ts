import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import type { TaskOutcome } from "../../src/tasks/Task.ts"
import type { Gateway } from "./Fixture.ts"
import { start, started } from "./Fixture.ts"
import * as RecordedRuns from "./RecordedRuns.ts"

// Recorded runs, told to a runner up to some event. Then the link is cut, and the next one begins at a later event. What it
// asks is answered as the real gateway answered at that moment.

/** The ways in which a run ends. */
const ways = ["answered", "held", "failed", "aborted", "silent", "tool", "thought", "long", "busy"] as const
type Way = (typeof ways)[number]

const at = (value: unknown, ...path: ReadonlyArray<string>): unknown =>
  path.reduce<unknown>((inner, key) => Predicate.hasProperty(inner, key) ? inner[key] : undefined, value)

/** The scene as if its run had this key. */
const withKey = (scene: RecordedRuns.Scene, way: Way, runId: string): RecordedRuns.Scene =>
  JSON.parse(JSON.stringify(scene).replaceAll(`run-${way}`, runId))

/** Answers what the runner asks, until it asks nothing more. */
const answerAll = Effect.fnUntraced(function*(gateway: Gateway, history: unknown, whole: string) {
  for (let turn = 0; turn < 25; turn++) {
    yield* TestClock.adjust(turn === 0 ? 0 : "3 seconds")
    while (gateway.untaken() > 0) {
      const asked = yield* gateway.take
      if (asked.method === "chat.history") asked.answer(history)
      else asked.answer({ ok: true, message: { role: "assistant", content: [{ type: "text", text: whole }] } })
      yield* TestClock.adjust(0)
    }
  }
})

/** The text of the final event of a run; empty where it has none. */
const textOfEnd = (scene: RecordedRuns.Scene, runId: string): string => {
  const content = at(scene.events?.[indexOfEnd(scene, runId)]?.payload, "message", "content")
  return Array.isArray(content) ? content.map((part: unknown) => String(at(part, "text"))).join("") : ""
}

/** What the gateway shows of a run that is at work; up to 2026.5 that is nothing. */
const atWork = (scenes: Readonly<Record<string, RecordedRuns.Scene>>, runId: string): unknown =>
  JSON.parse(
    JSON.stringify(RecordedRuns.payload(scenes["held"], "chat.history while it runs")).replaceAll("run-held", runId)
  )

const indexOfEnd = (scene: RecordedRuns.Scene, runId: string): number =>
  (scene.events ?? []).findIndex(({ payload }) =>
    at(payload, "runId") === runId && ["final", "error", "aborted"].includes(String(at(payload, "state")))
  )

/** Plays a run with a cut after `from` events, up to event `to`; without a cut if they are the same. */
const play = Effect.fnUntraced(function*(release: RecordedRuns.Release, way: Way, cut?: readonly [number, number]) {
  const scenes = yield* RecordedRuns.read(release)
  const recorded = scenes[way] ?? assert.fail(`${release} has no ${way}`)
  const sessionKey = `agent:main:${way}`
  const running = yield* start({ taskTimeout: "60 seconds" })
  const facts = { serverVersion: release, protocol: release < "2026.5" ? 3 : 4 }
  const before = yield* running.connect(facts)
  yield* TestClock.adjust(0)
  const { runId, taskId } = yield* running.runner.delegate(recorded.asked ?? "", { sessionKey })
  const sent = yield* before.next("chat.send")
  sent.answer(started(sent))
  yield* TestClock.adjust(0)
  const scene = withKey(recorded, way, runId)
  const events = scene.events ?? []
  const [from, to] = cut ?? [events.length, events.length]
  const tell = Effect.fnUntraced(function*(gateway: Gateway, some: typeof events) {
    for (const { event, payload } of some) gateway.tell(event, payload)
    yield* TestClock.adjust(0)
  })
  const atEnd = {
    wait: RecordedRuns.payload(scene, "agent.wait"),
    history: RecordedRuns.payload(scene, "chat.history")
  }
  before.remember(runId, atEnd.wait)
  yield* tell(before, events.slice(0, from))
  if (cut !== undefined) {
    yield* running.drop(before)
    const end = indexOfEnd(scene, runId)
    // 2026.5 tells no end of a failed run.
    const over = to > (end === -1 ? events.length - 1 : end)
    const told = over ? atEnd : { wait: undefined, history: atWork(scenes, runId) }
    const after = yield* running.connect(facts, told.wait === undefined ? {} : { [runId]: told.wait })
    yield* TestClock.adjust(0)
    if (!over) {
      while (after.untaken() > 0) (yield* after.next("chat.history")).answer(told.history)
      after.remember(runId, atEnd.wait)
      yield* tell(after, events.slice(to))
    }
    yield* answerAll(after, atEnd.history, textOfEnd(scene, runId))
  } else yield* answerAll(before, atEnd.history, textOfEnd(scene, runId))
  const ends = (yield* running.rest).filter((tag) => !["Queued", "Sent", "Phase"].includes(tag))
  return { outcome: yield* running.runner.await(taskId), ends, events: events.length }
})

/** The outcome in one line. */
const line = (outcome: TaskOutcome): string => {
  switch (outcome._tag) {
    case "Completed":
    case "Aborted":
      return [outcome._tag, ...(outcome.text === "" ? [] : [outcome.text.slice(0, 40).trim().replaceAll("\n", "|")])]
        .join(" ")
    case "Failed":
      return "Failed"
    default:
      return outcome._tag
  }
}

const plain: Readonly<Record<Way, string>> = {
  answered: "Completed echo: hello there",
  held: "Completed echo: [hold one] a b c",
  failed: "Failed",
  aborted: "Aborted echo:",
  silent: "Completed",
  tool: "Completed echo: [tool] what is there",
  thought: "Completed echo: [think] twice",
  long: `Completed echo: [long 9000]${"x".repeat(23)}`,
  busy: "Completed echo: [hold three] first"
}

/** What each release comes to, by the way in which the run ended. */
const table: Readonly<Record<RecordedRuns.Release, Readonly<Record<Way, string>>>> = {
  "2026.3.2": plain,
  // What was said before the call of a tool, and what was said to another message, stands before the answer.
  "2026.5.12": {
    ...plain,
    tool: "Completed lookingecho: [tool] what is there",
    busy: "Completed echo: [hold three] firstecho: second"
  },
  "2026.6.11": { ...plain, tool: "Completed lookingecho: [tool] what is there" },
  "2026.8.2": { ...plain, busy: "Completed echo: [hold three] firstecho: second" },
  // It takes silence for a failure.
  "2026.9.6": { ...plain, silent: "Failed", busy: "Completed echo: [hold three] first||echo: second" }
}

describe("a run whose end was told to nobody", () => {
  for (const release of RecordedRuns.releases) {
    it.effect(`G14 B20: is settled as ${release} remembers it, wherever it was last heard`, () =>
      Effect.gen(function*() {
        const seen: Record<string, ReadonlyArray<string>> = {}
        for (const way of ways) {
          const whole = yield* Effect.scoped(play(release, way))
          const lines = [line(whole.outcome)]
          // Before 2026.6 nothing says whose the last message is.
          const cuts = way === "busy" && release < "2026.6"
            ? []
            : [0, 3, Math.floor(whole.events / 2), whole.events - 1]
          for (const from of cuts) {
            const cut = yield* Effect.scoped(play(release, way, [from, whole.events]))
            lines.push(line(cut.outcome))
          }
          seen[way] = [...new Set(lines)]
        }
        const expected = Object.entries(table[release]).map(([way, outcome]) => [way, [outcome]])
        assert.deepStrictEqual<unknown>(seen, Object.fromEntries(expected))
      }))
  }

  for (const release of RecordedRuns.releases) {
    it.effect(`G14: is told by ${release} also when that was started again after the run`, () =>
      Effect.gen(function*() {
        const scenes = yield* RecordedRuns.read(release)
        const running = yield* start({ taskTimeout: "60 seconds" })
        const facts = { serverVersion: release, protocol: release < "2026.5" ? 3 : 4 }
        const before = yield* running.connect(facts)
        const asked = scenes["answered"]?.asked ?? assert.fail()
        const { runId, taskId } = yield* running.runner.delegate(asked, { sessionKey: "agent:main:answered" })
        const sent = yield* before.next("chat.send")
        sent.answer(started(sent))
        yield* TestClock.adjust("1 second")
        yield* running.drop(before)
        const later = withKey(scenes["after a restart"] ?? assert.fail(), "answered", runId)
        const wait = RecordedRuns.payload(later, "agent.wait")
        // It forgot the end of the run, and kept the history.
        assert.notInclude(["ok", "error"], at(wait, "status"))
        const after = yield* running.connect({ ...facts, gatewayStartedAtMs: 1500 }, { [runId]: wait })
        yield* answerAll(after, RecordedRuns.payload(later, "chat.history"), "")
        assert.include(yield* running.runner.await(taskId), { _tag: "Completed", text: `echo: ${asked}` })
      }))
  }

  const Place = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 999 }))
  for (const release of RecordedRuns.releases) {
    it.effect.prop(
      `G14 B20: a run of ${release} that is cut at any two places ends once, with the same text`,
      [Place, Place, Place],
      ([pick, one, other]) =>
        Effect.gen(function*() {
          const way = ways[pick % ways.length] ?? "answered"
          const { events = [] } = (yield* RecordedRuns.read(release))[way] ?? {}
          // Before 2026.6 nothing says whose the last message is.
          if (way === "busy" && release < "2026.6") return
          const places = [one % (events.length + 1), other % (events.length + 1)].toSorted((left, right) =>
            left - right
          )
          // There an end without text, of a run of which nothing else was heard, may be that of a merged message.
          const endAlone = places[0] === 0 && places[1] === events.length - 1
          if (way === "silent" && release < "2026.6" && endAlone) return
          const { ends, outcome } = yield* Effect.scoped(play(release, way, [places[0] ?? 0, places[1] ?? 0]))
          assert.deepStrictEqual([way, line(outcome)], [way, table[release][way]])
          assert.lengthOf(ends, 1)
        }),
      { arbitrary: { seed: 1, runs: 60 } }
    )
  }
})
