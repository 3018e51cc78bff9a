/**
 * Compares clients of a gateway: `npm run bench`, or `npm run bench -- --quick` in under a minute.
 *
 * One stub gateway serves all of them from a process of its own. Each sample is a process of its own; the clients take turns
 * within a round, a ratio is taken within its round, and medians are shown. Figures are of this machine at this time: only the
 * ratios mean something elsewhere.
 *
 * `--rounds N` takes another number of rounds than the usual 5, or 1 with `--quick`.
 * `--json FILE` and `--svg FILE` write the result and its chart, `--readme` writes them into the pages of this project.
 * `--from FILE` shows a result that `--json` wrote, and measures nothing. The exit status is 1 if this library failed a probe.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { chart } from "./Chart.ts"
import { importCosts } from "./Imports.ts"
import { measure, type Plan } from "./Measure.ts"
import { writePages } from "./Pages.ts"
import { prepare, versions } from "./Prepare.ts"
import { startStub } from "./Process.ts"
import { type Result, summarise } from "./Result.ts"
import { markdown } from "./Table.ts"

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    rounds: { type: "string" },
    json: { type: "string" },
    svg: { type: "string" },
    readme: { type: "boolean", default: false },
    from: { type: "string" }
  }
})

const plans: Readonly<Record<"full" | "quick", Plan>> = {
  full: {
    rounds: 5,
    scale: 1,
    agents: [
      { count: 100, rounds: 5, idleMs: 2000 },
      { count: 1000, rounds: 5, idleMs: 2000 },
      { count: 10_000, rounds: 1, idleMs: 5000 }
    ]
  },
  quick: {
    rounds: 1,
    scale: 0.1,
    agents: [{ count: 100, rounds: 1, idleMs: 500 }, { count: 1000, rounds: 1, idleMs: 500 }]
  }
}

const startedMs = performance.now()
const tell = (line: string): void =>
  console.error(`bench: ${line} (after ${Math.round((performance.now() - startedMs) / 1000)} s)`)

const measured = async (quick: boolean, rounds: number | undefined): Promise<Result> => {
  prepare(tell)
  const { build } = await import("./Programs.ts")
  const programs = await build()
  process.once("exit", programs.remove)
  const stub = await startStub()
  process.once("exit", stub.stop)
  const usual = quick ? plans.quick : plans.full
  const plan = { ...usual, rounds: rounds ?? usual.rounds }
  const samples = await measure(plan, programs, stub, tell)
  const imports = await importCosts(quick, Math.min(3, plan.rounds), tell)
  stub.stop()
  if (samples.broken || imports.missing.length > 0) process.exitCode = 1
  return summarise(samples, imports, { quick, rounds: plan.rounds, versions: versions() })
}

// What this run wrote and started goes with it, also after Ctrl-C.
process.once("SIGINT", () => process.exit(130))
process.once("SIGTERM", () => process.exit(143))

const result: Result = options.from === undefined
  ? await measured(options.quick, options.rounds === undefined ? undefined : Number(options.rounds))
  : JSON.parse(readFileSync(options.from, "utf8"))
console.log(markdown(result))
if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(result, undefined, 2)}\n`)
if (options.svg !== undefined) writeFileSync(options.svg, chart(result))
if (options.readme) writePages(result)
