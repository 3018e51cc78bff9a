/** What is measured, and the bound of each figure. */
import type { ClientName } from "./Programs.ts"

export const clientNames = ["Floor", "Reference", "OpenclawNode", "Ours"] as const satisfies ReadonlyArray<ClientName>

export const clientTitles: Readonly<Record<ClientName, string>> = {
  Floor: "`ws` alone",
  Reference: "@openclaw/gateway-client",
  OpenclawNode: "openclaw-node",
  Ours: "effect-openclaw"
}

/** What one process measures; it may give several figures. */
export type Probe =
  | "start"
  | "embedding"
  | "cli"
  | "connect"
  | "many"
  | "one"
  | "inFlight"
  | "paced"
  | "pacedStream"
  | "small"
  | "smallStream"
  | "large"
  | "deltas"

/** The probes of every client, each a row name of `Sample.ts`. The others are of this library alone. */
export const clientProbes = ["start", "connect", "many", "one", "inFlight", "paced", "small", "large"] as const

export interface Row {
  readonly probe: Probe
  /** The name of the figure in the sample. */
  readonly figure: string
  readonly title: string
  readonly unit: "ms" | "µs" | "kB"
  /** The highest ratio to `ws` alone that this library aims for. */
  readonly atMost?: number
}

/** What this library alone offers is compared with the nearest that the other clients do. */
const nearest: Partial<Readonly<Record<Probe, Probe>>> = {
  embedding: "start",
  cli: "start",
  pacedStream: "paced",
  smallStream: "small",
  deltas: "small"
}

/** The probe whose figures of the other clients a figure is compared with. */
export const comparedWith = (probe: Probe): Probe => nearest[probe] ?? probe

export const rows: ReadonlyArray<Row> = [
  { probe: "start", figure: "ms", title: "process start to hello-ok, unbundled", unit: "ms", atMost: 3 },
  { probe: "embedding", figure: "ms", title: "the same, bundled, with Node's compile cache", unit: "ms", atMost: 1.2 },
  { probe: "cli", figure: "ms", title: "the same, `openclaw-device delegate`", unit: "ms", atMost: 1.2 },
  { probe: "connect", figure: "cpuMs", title: "connect and close: CPU", unit: "ms", atMost: 1.2 },
  { probe: "many", figure: "cpuMs", title: "1,000 connections at once: CPU each", unit: "ms", atMost: 1.35 },
  { probe: "many", figure: "allUpMs", title: "1,000 connections at once: until all are up", unit: "ms", atMost: 1.25 },
  { probe: "many", figure: "heldKb", title: "heap per connection, after GC", unit: "kB", atMost: 0.5 },
  { probe: "many", figure: "droppedKb", title: "the same, hello-ok dropped by its user", unit: "kB" },
  { probe: "one", figure: "cpuUs", title: "request and answer, one in flight: CPU", unit: "µs", atMost: 1.05 },
  { probe: "inFlight", figure: "cpuUs", title: "request and answer, 64 in flight: CPU", unit: "µs", atMost: 1.15 },
  { probe: "paced", figure: "cpuUs", title: "one event a millisecond: CPU", unit: "µs", atMost: 1.15 },
  { probe: "paced", figure: "p50Us", title: "one event a millisecond: latency p50", unit: "µs", atMost: 1.1 },
  { probe: "paced", figure: "p99Us", title: "one event a millisecond: latency p99", unit: "µs", atMost: 1.2 },
  { probe: "pacedStream", figure: "cpuUs", title: "the same, as a `Stream`: CPU", unit: "µs" },
  { probe: "small", figure: "cpuUs", title: "events of 200 bytes: CPU", unit: "µs", atMost: 1.05 },
  { probe: "smallStream", figure: "cpuUs", title: "the same, as a `Stream`: CPU", unit: "µs", atMost: 1.05 },
  { probe: "large", figure: "cpuUs", title: "events of 4 KiB: CPU", unit: "µs", atMost: 1 },
  { probe: "deltas", figure: "plainUs", title: "pieces of a reply, as events: CPU", unit: "µs" },
  // The aim is 1.25 times the row before.
  { probe: "deltas", figure: "cpuUs", title: "the same, followed as parts of a task: CPU", unit: "µs" }
]

/** A figure of whole agents, and the highest value that this library aims for. */
export interface AgentRow {
  readonly figure: string
  readonly title: string
  readonly unit: "kB" | "ms" | "s" | "%" | ""
  readonly atMost: number
}

export const agentRows: ReadonlyArray<AgentRow> = [
  { figure: "heapKb", title: "heap per agent, after GC", unit: "kB", atMost: 45 },
  { figure: "cpuMs", title: "CPU per agent, until connected", unit: "ms", atMost: 2.5 },
  { figure: "allUpS", title: "until all are connected", unit: "s", atMost: 40 },
  { figure: "failures", title: "failures", unit: "", atMost: 0 },
  { figure: "idlePercent", title: "CPU when idle, of one core", unit: "%", atMost: 5 }
]

/** Those of `--quick`. */
export const mainExports: ReadonlyArray<string> = [".", "./agent/Agent", "./agent/NodejsHost", "./protocol/AgentEvent"]
