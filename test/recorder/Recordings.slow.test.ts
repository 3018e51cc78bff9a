import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Predicate from "effect/Predicate"
import { fileURLToPath } from "node:url"
import type { Entry, Recording } from "../../src/recorder/Recording.ts"
import * as Recordings from "../../src/recorder/Recording.ts"
import * as Replay from "../../src/recorder/Replay.ts"
import * as Scenarios from "./Scenarios.ts"

const directory = fileURLToPath(new URL("../recordings", import.meta.url))

const recording = Effect.fnUntraced(function*(name: string) {
  const fs = yield* FileSystem.FileSystem
  return yield* Effect.flatMap(fs.readFileString(`${directory}/${name}.ndjson`), Recordings.parse)
}, Effect.provide(NodeServices.layer))

describe("the recordings in test/recordings", () => {
  for (const { name } of Scenarios.scenarios) {
    it.effect(`B16: ${name} still leads to the states that were recorded`, () =>
      Effect.gen(function*() {
        const outcome = yield* Replay.run(yield* recording(name), { toleranceMs: 0 })
        assert.deepStrictEqual([outcome.difference, outcome.incomplete], [undefined, undefined])
        assert.isAbove(outcome.recorded.length, 1)
        assert.deepStrictEqual(outcome.replayed.slice(0, outcome.recorded.length), outcome.recorded)
      }))
  }

  it.effect("each scenario has a recording, and there is no other", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const names = Scenarios.scenarios.map(({ name }) => `${name}.ndjson`)
      assert.deepStrictEqual((yield* fs.readDirectory(directory)).toSorted(), names.toSorted())
    }).pipe(Effect.provide(NodeServices.layer)))
})

/** A recording with one entry changed, or left out. */
const changed = (
  { entries, header }: Recording,
  pick: (entry: Entry) => boolean,
  change: (entry: Entry) => ReadonlyArray<Entry>
): Recording => {
  const index = entries.findIndex(pick)
  assert.notStrictEqual(index, -1)
  return { header, entries: entries.flatMap((entry, at) => at === index ? change(entry) : [entry]) }
}

const statusOf = (frame: Readonly<Record<string, unknown>>): unknown =>
  Predicate.hasProperty(frame["payload"], "status") ? frame["payload"].status : undefined
const answered = (frame: Readonly<Record<string, unknown>>, status: string) => ({
  ...frame,
  payload: { ...(Predicate.isObject(frame["payload"]) ? frame["payload"] : {}), status }
})

const differs = Effect.fnUntraced(function*(
  name: string,
  pick: (entry: Entry) => boolean,
  change: (entry: Entry) => ReadonlyArray<Entry>
) {
  const { difference } = yield* Replay.run(changed(yield* recording(name), pick, change), { toleranceMs: 0 })
  assert.isDefined(difference)
  return difference
})
const gone = (): ReadonlyArray<Entry> => []

describe("a replay that differs says where", () => {
  it.effect("another cause of a wait", () =>
    Effect.gen(function*() {
      const difference = yield* differs("drop-at-challenge", ({ kind }) =>
        kind === "closed", (entry) =>
        entry.kind === "closed" && entry.end.error === "LinkError"
          ? [{ ...entry, end: { ...entry.end, closeCode: 1012 } }]
          : [entry])
      assert.strictEqual(difference?.what, "state")
      assert.match(difference?.recorded ?? "", /closeCode 1006/)
      assert.match(difference?.replayed ?? "", /closeCode 1012/)
    }))

  it.effect("a wait of another length", () =>
    Effect.gen(function*() {
      const difference = yield* differs("drop-at-challenge", ({ kind }) =>
        kind === "draw", (entry) =>
        entry.kind === "draw" ? [{ ...entry, value: (entry.value + 0.3) % 1 }] : [entry])
      assert.strictEqual(difference?.what, "state")
    }))

  it.effect("a challenge that did not come, so the client sends nothing", () =>
    Effect.gen(function*() {
      const difference = yield* differs("hello", ({ kind }) => kind === "in", gone)
      assert.deepInclude(difference, { what: "message", replayed: "nothing of the kind" })
    }))

  it.effect("another message", () =>
    Effect.gen(function*() {
      const difference = yield* differs("approval", ({ kind }) =>
        kind === "delegated", (entry) =>
        entry.kind === "delegated" ? [{ ...entry, text: "~5~1" }] : [entry])
      assert.strictEqual(difference?.what, "message")
      assert.match(difference?.recorded ?? "", /~22~1/)
      assert.match(difference?.replayed ?? "", /~5~1/)
    }))

  it.effect("wider scopes that were declined in another way", () =>
    Effect.gen(function*() {
      const difference = yield* differs("upgrade-rejected", (entry) =>
        entry.kind === "in" && statusOf(entry.frame) === "rejected", (entry) =>
        entry.kind === "in" ? [{ ...entry, frame: answered(entry.frame, "expired") }] : [entry])
      assert.strictEqual(difference?.what, "state")
      assert.match(difference?.recorded ?? "", /wider scopes declined \(rejected\)/)
      assert.match(difference?.replayed ?? "", /wider scopes declined \(expired\)/)
    }))

  it.effect("wider scopes that nobody asked for", () =>
    Effect.gen(function*() {
      const difference = yield* differs("upgrade-over-session", ({ kind }) => kind === "upgradeScopes", gone)
      assert.deepInclude(difference, { what: "message", replayed: "nothing of the kind" })
      assert.match(difference?.recorded ?? "", /device\.scopes\.requestUpgrade/)
    }))

  it.effect("another end of a task", () =>
    Effect.gen(function*() {
      const difference = yield* differs("approval", ({ kind }) =>
        kind === "ended", (entry) =>
        entry.kind === "ended" ? [{ ...entry, end: { outcome: "Expired", sent: true } }] : [entry])
      assert.strictEqual(difference?.what, "task")
      assert.match(difference?.recorded ?? "", /Expired/)
      assert.match(difference?.replayed ?? "", /Completed.*~22~1/)
    }))

  it.effect("a gateway without pins, which does not get the device token", () =>
    Effect.gen(function*() {
      const { entries, header } = yield* recording("pinned-own-token")
      const { difference } = yield* Replay.run({
        header: { ...header, settings: { ...header.settings, pinned: false } },
        entries: entries.map((entry) =>
          entry.kind === "reconfigured" ? { ...entry, settings: { ...entry.settings, pinned: false } } : entry
        )
      })
      assert.match(difference?.replayed ?? "", /^Halted/)
    }))

  it.effect("a reconfiguration to the same gateway, which gets the device token", () =>
    Effect.gen(function*() {
      const { entries, header } = yield* recording("another-gateway")
      const { difference } = yield* Replay.run({
        header,
        entries: entries.map((entry) =>
          entry.kind === "reconfigured" ? { ...entry, settings: { ...entry.settings, gateway: "g1" } } : entry
        )
      })
      assert.strictEqual(difference?.what, "message")
      assert.notInclude(difference?.recorded ?? "", '"auth"')
      assert.include(difference?.replayed ?? "", '"auth":{"token":"secret-2"}')
    }))

  it.effect("a state that the recording does not have", () =>
    Effect.gen(function*() {
      const difference = yield* differs(
        "hello",
        (entry) => entry.kind === "state" && entry.state.state === "Connected",
        gone
      )
      assert.strictEqual(difference?.what, "state")
      assert.match(difference?.replayed ?? "", /^Connected/)
    }))

  it.effect("a dial that the recording does not have", () =>
    Effect.gen(function*() {
      const { entries, header } = yield* recording("drop-at-open")
      const second = entries.findIndex((entry) => entry.kind === "dial" && entry.link === 2)
      const end = entries.slice(-1)
      const cut = { header, entries: [...entries.slice(0, second), ...end] }
      const { difference } = yield* Replay.run(cut, { toleranceMs: 0 })
      assert.deepInclude(difference, { what: "dial", recorded: "nothing of the kind" })
    }))
})

describe("a recording that is not whole, or was slow", () => {
  it.effect("a recording that a crash has cut is replayed to its end", () =>
    Effect.gen(function*() {
      const { entries, header } = yield* recording("approval")
      for (const length of [1, 5, 12, 20, 40]) {
        const { difference } = yield* Replay.run({ header, entries: entries.slice(0, length) }, { toleranceMs: 0 })
        assert.isUndefined(difference, `${length} entries`)
      }
    }))

  it.effect("a recording with a gap is replayed up to the gap", () =>
    Effect.gen(function*() {
      const { entries, header } = yield* recording("approval")
      const lost: Entry = { at: header.at, kind: "lost", count: 3 }
      const outcome = yield* Replay.run({ header, entries: [...entries.slice(0, 5), lost, ...entries.slice(9)] })
      assert.deepStrictEqual([outcome.difference, outcome.incomplete], [undefined, "lost"])
    }))

  it.effect("late timers and late states make no difference", () =>
    Effect.gen(function*() {
      const { entries, header } = yield* recording("drop-for-good")
      // The delays add up, as on a busy machine.
      let lateMs = 0
      const busy = entries.map((entry): Entry => {
        if (entry.kind === "state" && entry.state.state === "Connecting") lateMs += 40
        return { ...entry, at: entry.at + lateMs }
      })
      assert.isUndefined((yield* Replay.run({ header, entries: busy })).difference)
    }))

  it.effect("a machine that slept for a day makes no difference", () =>
    Effect.gen(function*() {
      const { entries, header } = yield* recording("drop-at-open")
      const second = entries.findIndex((entry) => entry.kind === "state" && entry.state.attempt === 2)
      const slept = entries.map((entry, index) => index < second ? entry : { ...entry, at: entry.at + 86_400_000 })
      const { difference } = yield* Replay.run({ header, entries: slept })
      // In this recording the gateway's clock did not sleep.
      assert.match(difference?.recorded ?? "", /^Connected/)
      const awake = slept.map((entry): Entry => {
        if (entry.kind !== "state" || entry.state.clockDeltaMs === undefined) return entry
        return { ...entry, state: { ...entry.state, clockDeltaMs: -86_400_000 } }
      })
      assert.isUndefined((yield* Replay.run({ header, entries: awake })).difference)
    }))
})

describe("reading a recording", () => {
  it.effect("another file, a recording of a later release and a changed line are distinguished", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const text = yield* fs.readFileString(`${directory}/hello.ndjson`)
      const [header = "", first = ""] = text.split("\n")
      const read = (lines: string) => Effect.flip(Recordings.parse(lines))
      assert.deepInclude(yield* read(""), { reason: "NoHeader", line: 1 })
      assert.deepInclude(yield* read("# a readme\n"), { reason: "NoHeader" })
      assert.deepInclude(yield* read(header.replace('"version":1', '"version":2') + "\n"), { reason: "Version" })
      assert.deepInclude(yield* read(`${header}\n${first}\n{"at":1}\n`), { reason: "Unreadable", line: 3 })
      assert.lengthOf((yield* Recordings.parse(`${header}\n${first}\n{"at":1,"ki`)).entries, 1)
    }).pipe(Effect.provide(NodeServices.layer)))
})
