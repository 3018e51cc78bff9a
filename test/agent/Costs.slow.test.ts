import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { fileURLToPath } from "node:url"
import * as ProcessGroup from "../interop/support/ProcessGroup.ts"

/** The process has a few seconds of work, which other tests slow down. */
const limitMs = 90_000

const root = fileURLToPath(new URL("../..", import.meta.url))

const Counts = Schema.Struct({
  operations: Schema.Finite,
  begun: Schema.Finite,
  alive: Schema.Finite,
  timers: Schema.Finite
})
const Cost = Schema.Struct({ heap: Schema.Finite, connected: Counts, closed: Counts })
const decode = Schema.decodeEffect(Schema.fromJsonString(Schema.Struct({ connection: Cost, agent: Cost })))

/** Measured in a process of its own: what other tests have allocated does not count. */
const measured = Effect.gen(function*() {
  const lines: Array<string> = []
  const child = yield* ProcessGroup.spawn(
    process.execPath,
    ["--experimental-strip-types", "--no-warnings", "--expose-gc", "test/bench/AgentCosts.ts"],
    { cwd: root, env: {}, onStdout: (line) => void lines.push(line), onStderr: (line) => void lines.push(line) }
  )
  yield* child.endInput
  const { code } = yield* child.drained
  assert.strictEqual(code, 0, lines.join("\n"))
  return yield* decode(lines.join("\n"))
})

/** What one of them may cost at most. `connected` and `closed` are operations until then. */
interface Bound {
  readonly heap: number
  readonly connected: number
  readonly closed: number
  readonly begun: number
}

const assertWithin = ({ closed, connected, heap }: typeof Cost.Type, bound: Bound): void => {
  assert.isAtMost(heap, bound.heap, "bytes of heap")
  assert.isAtMost(connected.operations, bound.connected, "operations to the session")
  assert.isAtMost(closed.operations, bound.closed, "operations to the end")
  assert.isAtMost(connected.begun, bound.begun, "fibers begun")
  // One waits for the end of the session, the other for its next deadline.
  assert.isAtMost(connected.alive, 2, "fibers of an idle one")
  assert.isAtMost(connected.timers, 1, "timers of an idle one")
  assert.deepInclude(closed, { alive: 0, timers: 0 })
}

/**
 * Each figure is the same in every run, the heap within half a per cent. A hello-ok that is kept adds 29 kB, a decoded one 0.5 kB.
 * Lower a bound when the code gets cheaper, and raise one only for what every connection or every agent needs.
 */
describe("what it costs, without the socket", () => {
  it.live("a supervised connection", () =>
    Effect.gen(function*() {
      const { connection } = yield* measured
      assertWithin(connection, { heap: 20_450, connected: 217, closed: 270, begun: 6 })
    }).pipe(Effect.provide(NodeServices.layer)), limitMs)

  it.live(
    "a whole agent: its tasks, notices and events wait without a fiber and without a timer",
    () =>
      Effect.gen(function*() {
        const { agent } = yield* measured
        assertWithin(agent, { heap: 41_300, connected: 568, closed: 677, begun: 15 })
      }).pipe(Effect.provide(NodeServices.layer)),
    limitMs
  )
})
