/**
 * Compares clients of a gateway: `npm run bench`, or `npm run bench -- --quick` in under a minute.
 *
 * One stub gateway serves all of them from a process of its own. Each sample is a process of its own; the clients take turns
 * within a round, a ratio is taken within its round, and medians are shown. Figures are of this machine at this time: only the
 * ratios mean something elsewhere.
 */
import { spawn } from "node:child_process"
import { cpus } from "node:os"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

const quick = process.argv.includes("--quick")
const rounds = quick ? 1 : 5
const scale = quick ? 0.1 : 1

const clients = { Floor: "`ws` alone", Reference: "@openclaw/gateway-client", Ours: "effect-openclaw" } as const
type Name = keyof typeof clients
const names: ReadonlyArray<Name> = ["Floor", "Reference", "Ours"]

const rows: ReadonlyArray<
  { readonly row: string; readonly value: string; readonly title: string; readonly unit: string }
> = [
  { row: "start", value: "ms", title: "process start to hello-ok", unit: "ms" },
  { row: "connect", value: "cpuMs", title: "connect and close: CPU", unit: "ms" },
  { row: "many", value: "cpuMs", title: "many connections at once: CPU each", unit: "ms" },
  { row: "many", value: "allUpMs", title: "many connections at once: until all are up", unit: "ms" },
  { row: "many", value: "heapKb", title: "heap per connection, after GC", unit: "kB" },
  { row: "one", value: "cpuUs", title: "request and answer, one in flight: CPU", unit: "µs" },
  { row: "inFlight", value: "cpuUs", title: "request and answer, 64 in flight: CPU", unit: "µs" },
  { row: "paced", value: "cpuUs", title: "one event a millisecond: CPU", unit: "µs" },
  { row: "paced", value: "p50Us", title: "one event a millisecond: latency p50", unit: "µs" },
  { row: "paced", value: "p99Us", title: "one event a millisecond: latency p99", unit: "µs" },
  { row: "small", value: "cpuUs", title: "events of 200 bytes: CPU", unit: "µs" },
  { row: "large", value: "cpuUs", title: "events of 4 KiB: CPU", unit: "µs" }
]

const file = (name: string) => fileURLToPath(new URL(name, import.meta.url))

const start = (name: string, args: ReadonlyArray<string>) => {
  const child = spawn(process.execPath, ["--expose-gc", "--no-warnings", file(name), ...args], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, STARTED_AT: String(performance.timeOrigin + performance.now()) }
  })
  const line = new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).once("line", resolve)
    child.once("exit", (code) => reject(new Error(`${name} ${args.join(" ")} ended with ${code} and said nothing`)))
  })
  return { child, line }
}

const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

type Samples = Map<string, Array<Readonly<Record<string, number>>>>

const measure = async (url: string): Promise<Samples> => {
  const samples: Samples = new Map()
  for (let round = 0; round < rounds; round++) {
    for (const row of new Set(rows.map((one) => one.row))) {
      // Every client is once the first.
      for (let turn = 0; turn < names.length; turn++) {
        const name = names[(turn + round) % names.length] ?? "Floor"
        const text = await start("Sample.ts", [name, row, url, String(scale)]).line
        const key = `${name} ${row}`
        samples.set(key, [...(samples.get(key) ?? []), JSON.parse(text)])
      }
    }
    console.error(`round ${round + 1} of ${rounds} done`)
  }
  return samples
}

const stub = start("Stub.ts", [])
const samples = await measure(await stub.line)
stub.child.kill()

const values = (name: Name, row: string, value: string): ReadonlyArray<number> =>
  (samples.get(`${name} ${row}`) ?? []).map((sample) => sample[value] ?? Number.NaN)
const shown = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)

console.log(`| | ${names.map((name) => clients[name]).join(" | ")} |\n| --- | ${names.map(() => "---").join(" | ")} |`)
for (const { row, title, unit, value } of rows) {
  const floor = values("Floor", row, value)
  const cells = names.map((name) => {
    const own = values(name, row, value)
    const ratio = median(own.map((one, round) => one / (floor[round] ?? Number.NaN)))
    return `${shown(median(own))} ${unit}${name === "Floor" ? "" : ` (${ratio.toFixed(2)})`}`
  })
  console.log(`| ${title} | ${cells.join(" | ")} |`)
}
const [{ model = "an unknown processor" } = {}] = cpus()
console.log(
  `\nIn brackets: the ratio to \`ws\` alone. ${rounds} interleaved ${
    rounds === 1 ? "round" : "rounds"
  }, medians; Node.js ${process.version},`
    + ` ${cpus().length} cores of ${model}, ${new Date().toISOString().slice(0, 10)}.`
)
