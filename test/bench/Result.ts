/** Figures of a run, as they are shown: medians over the rounds, ratios taken within a round. */
import { cpus, release, totalmem, type } from "node:os"
import type { ImportCost, ImportCosts } from "./Imports.ts"
import type { Samples } from "./Measure.ts"
import { median } from "./Median.ts"
import type { ClientName } from "./Programs.ts"
import { agentRows, clientNames, comparedWith, type Row, rows } from "./Rows.ts"

export interface Cell {
  readonly value: number
  /** To `ws` alone, in the same round. */
  readonly ratio?: number
}

/** One row of the clients: who could not be measured has no cell. */
export interface ClientRow {
  readonly title: string
  readonly unit: string
  readonly atMost?: number
  readonly cells: Readonly<Partial<Record<ClientName, Cell>>>
  /** This library is above the bound. */
  readonly above: boolean
  /** This library is behind the reference client. */
  readonly behind: boolean
}

/** One row of the whole agents, with a value for each of `Result.agentCounts`. */
export interface AgentResultRow {
  readonly title: string
  readonly unit: string
  readonly atMost: number
  readonly values: ReadonlyArray<{ readonly value: number; readonly above: boolean } | null>
}

/** Everything that is shown, and nothing else: `--json` writes it. */
export interface Result {
  /** The day, as `2026-01-31`. */
  readonly date: string
  readonly quick: boolean
  readonly rounds: number
  readonly machine: string
  readonly versions: Readonly<Record<string, string>>
  readonly clients: ReadonlyArray<ClientRow>
  readonly agentCounts: ReadonlyArray<number>
  readonly agents: ReadonlyArray<AgentResultRow>
  readonly imports: ReadonlyArray<ImportCost>
  readonly missing: ReadonlyArray<string>
}

/** What is shown has two decimals, and so has what is compared. */
const rounded = (ratio: number): number => Math.round(ratio * 100) / 100

export const clientRow = (samples: Pick<Samples, "of">, row: Row): ClientRow => {
  const { atMost, figure, probe, title, unit } = row
  const figures = (client: ClientName, of = probe) => samples.of(client, of).map((sample) => sample?.[figure])
  const ratioTo = (client: ClientName, own: ReadonlyArray<number | undefined>): number => {
    const others = figures(client, comparedWith(probe))
    return rounded(median(own.map((one, round) => {
      const other = others[round]
      return one === undefined || other === undefined ? undefined : one / other
    })))
  }
  const cells: Partial<Record<ClientName, Cell>> = {}
  for (const client of clientNames) {
    const own = figures(client)
    const value = median(own)
    if (Number.isNaN(value)) continue
    const ratio = client === "Floor" ? Number.NaN : ratioTo("Floor", own)
    cells[client] = Number.isNaN(ratio) ? { value } : { value, ratio }
  }
  const ours = cells.Ours?.ratio
  return {
    title,
    unit,
    ...(atMost === undefined ? {} : { atMost }),
    cells,
    above: ours !== undefined && atMost !== undefined && ours > atMost,
    behind: ratioTo("Reference", figures("Ours")) > 1
  }
}

const machine = (): string => {
  const [{ model = "an unknown processor" } = {}, ...others] = cpus()
  const gib = Math.round(totalmem() / 2 ** 30)
  return `${others.length + 1} cores of ${model.trim()}, ${gib} GiB, ${type()} ${release()}`
}

export const summarise = (
  samples: Samples,
  imports: ImportCosts,
  about: Pick<Result, "quick" | "rounds" | "versions">
): Result => ({
  date: new Date().toISOString().slice(0, 10),
  machine: machine(),
  ...about,
  clients: rows.map((row) => clientRow(samples, row)),
  agentCounts: samples.agents.map(({ count }) => count),
  agents: agentRows.map(({ atMost, figure, title, unit }) => ({
    title,
    unit,
    atMost,
    values: samples.agents.map(({ samples }) => {
      const value = median(samples.map((sample) => sample?.[figure]))
      return Number.isNaN(value) ? null : { value, above: value > atMost }
    })
  })),
  imports: imports.costs,
  missing: [...samples.missing, ...imports.missing]
})
