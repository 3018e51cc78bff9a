import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import { build } from "esbuild"
import { fileURLToPath } from "node:url"
import type { Agent } from "../../src/devgateway/Agent.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import * as DevGatewayWs from "../../src/devgateway/DevGatewayWs.ts"
import * as ProcessGroup from "../interop/support/ProcessGroup.ts"

// The moments are drawn from a seed and counted in the process itself, so that a failure can be repeated.

/** So many processes are killed; the variable asks for more. */
const kills = Config.Int("TASK_PROCESS_KILLS").pipe(Config.withDefault(100))
/** Stories that go on at once. They mostly wait. */
const atOnce = 4
/** Lives of a story that end early; then one may live to the end. */
const shortLives = 3
/** About so many moments there are in a life that delegates, and in one that goes on with what is left. */
const [firstMoments, laterMoments] = [212, 90]

const work = [
  ["agent:main:main", "water the plants"],
  ["agent:main:main", "feed the cat"],
  ["agent:main:other", "open the window"]
] as const

/** One file, as a process that loads all the sources one by one would spend most of its life on that. */
const bundled = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const file = `${yield* fs.makeTempDirectoryScoped({ prefix: "task-worker-" })}/worker.cjs`
  const entry = fileURLToPath(new URL("processes/Worker.ts", import.meta.url))
  yield* Effect.promise(() =>
    build({
      entryPoints: [entry],
      outfile: file,
      bundle: true,
      platform: "node",
      format: "cjs",
      external: ["bufferutil", "utf-8-validate"],
      logLevel: "silent"
    })
  )
  return file
})

interface Lived {
  readonly died: boolean
  readonly ends: ReadonlyArray<{ readonly runId: string; readonly kind: string; readonly text: string }>
}

const live = Effect.fnUntraced(function*(worker: string, args: ReadonlyArray<string>) {
  const lines: Array<string> = []
  const process_ = yield* ProcessGroup.spawn(process.execPath, [worker, ...args], {
    cwd: import.meta.dirname,
    env: {},
    onStdout: (line) => void lines.push(line),
    onStderr: (line) => void lines.push(`stderr ${line}`)
  })
  const { code, signal } = yield* Effect.timeout(process_.drained, "60 seconds")
  const died = signal === "SIGKILL"
  if (!died) assert.deepStrictEqual([code, lines.at(-1)], [0, "done"], lines.join("\n"))
  const lived: Lived = {
    died,
    ends: lines.flatMap((line) => {
      const [, runId = "", kind = "", text = ""] = /^end (\S+) (\S+) (.*)$/.exec(line) ?? []
      return runId === "" ? [] : [{ runId, kind, text }]
    })
  }
  return lived
}, Effect.scoped)

const story = Effect.fnUntraced(function*(worker: string, gatewayToo: boolean) {
  const fs = yield* FileSystem.FileSystem
  const directory = `${yield* fs.makeTempDirectoryScoped({ prefix: "task-story-" })}/tasks`
  const openRuns = Effect.map(
    Effect.orElseSucceed(fs.readDirectory(directory), () => []),
    (names) => new Set(names.flatMap((name) => /^([0-9a-f-]{36})\.[0-9a-f]{16}\.json$/.exec(name)?.[1] ?? []))
  )
  /** What was asked in each run, and the runs that came to their end. */
  const asked = new Map<string, string>()
  const done = new Set<string>()
  const agent: Agent = ({ message, runId }) => {
    asked.set(runId, message)
    return Stream.make("echo:", ` ${message}`).pipe(
      Stream.mapEffect((delta) => Effect.as(Effect.sleep("15 millis"), { _tag: "Text" as const, delta })),
      Stream.onEnd(Effect.sync(() => void done.add(runId)))
    )
  }
  const context = yield* Layer.build(DevGateway.layerTest({ agent }))
  const gateway = Context.get(context, DevGateway)
  const url = yield* Effect.provideContext(DevGatewayWs.serve(), context)
  const kept = new Set<string>()
  const again: Array<string> = []
  const ends: Array<Lived["ends"][number]> = []
  const fatal: Array<number> = []
  let deaths = 0
  while (true) {
    const last = deaths >= shortLives
    fatal.push(last ? 0 : 1 + (yield* Random.nextIntBetween(0, deaths === 0 ? firstMoments : laterMoments)))
    const lived = yield* live(worker, [url.href, directory, String(fatal.at(-1)), ...deaths === 0 ? work.flat() : []])
    ends.push(...lived.ends)
    const open = yield* openRuns
    for (const runId of open) kept.add(runId)
    if (!lived.died) break
    deaths++
    // Who dies between telling and forgetting is told once more.
    for (const { runId } of lived.ends) if (open.has(runId)) again.push(runId)
    if (!gatewayToo) continue
    yield* gateway.stop
    yield* gateway.start
  }
  const { runs } = yield* gateway.stats
  const what = JSON.stringify({ fatal, ends, again, runs: [...runs] })
  assert.deepStrictEqual([...yield* openRuns], [], what)
  for (const runId of kept) assert.isTrue(runs.has(runId), `${runId} was lost: ${what}`)
  for (const [runId, times] of runs) {
    assert.strictEqual(times, 1, what)
    const told = ends.filter((end) => end.runId === runId)
    assert.lengthOf(told, 1 + again.filter((other) => other === runId).length, what)
    for (const { kind, text } of told) {
      const expected = done.has(runId) ? `Replied echo: ${asked.get(runId)}` : "Unknown "
      assert.strictEqual(`${kind} ${text}`, expected, what)
    }
  }
  for (const { runId } of ends) assert.isTrue(runs.has(runId), what)
  return { deaths, unknown: ends.filter(({ kind }) => kind === "Unknown").length }
}, Effect.scoped)

describe.concurrent("a real process that is killed", () => {
  for (const gatewayToo of [false, true]) {
    const where = gatewayToo ? "with the gateway, which forgets its keys" : "beside a gateway that lives on"
    it.live(`G15 B07: at any moment, ${where}: each task is answered once and run once`, () =>
      Effect.gen(function*() {
        const worker = yield* bundled
        const total = (yield* kills) / 2
        let deaths = 0
        let unknown = 0
        for (let seed = 0; deaths < total; seed += atOnce) {
          const some = yield* Effect.forEach(
            Array.from({ length: atOnce }, (_, index) => seed + index),
            (seed) => Random.withSeed(story(worker, gatewayToo), `killed process ${gatewayToo} ${seed}`),
            { concurrency: "unbounded" }
          )
          for (const one of some) {
            deaths += one.deaths
            unknown += one.unknown
          }
        }
        if (!gatewayToo) assert.strictEqual(unknown, 0)
      }).pipe(Effect.provide(NodeServices.layer)), 180_000)
  }
})
