/** A result as Markdown. */
import type { Cell, Result } from "./Result.ts"
import { clientNames, clientTitles } from "./Rows.ts"

/** Three figures, or whole ones. */
const shown = (value: number): string =>
  value === 0 ? "0" : Math.abs(value) >= 100
    ? Math.round(value).toLocaleString("en")
    : value >= 10
    ? value.toFixed(1)
    : value.toFixed(2)

/** What has no unit is a count. */
export const withUnit = (value: number, unit: string): string =>
  unit === "" ? Math.round(value).toLocaleString("en") : `${shown(value)} ${unit}`

const cellText = (cell: Cell | undefined, unit: string): string =>
  cell === undefined
    ? "-"
    : `${withUnit(cell.value, unit)}${cell.ratio === undefined ? "" : ` (${cell.ratio.toFixed(2)})`}`

/** Columns as wide as their widest cell, as the formatter of this project has them. */
const table = (header: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = header.map((title, column) =>
    Math.max(3, title.length, ...rows.map((row) => (row[column] ?? "").length))
  )
  const line = (cells: ReadonlyArray<string>) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`
  return [line(header), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n")
}

const marks = ({ above, behind }: { readonly above: boolean; readonly behind?: boolean }): string =>
  `${above ? " ▲" : ""}${behind === true ? " ◆" : ""}`

export const clientTable = ({ clients }: Result): string =>
  table(
    ["", "at most", ...clientNames.map((name) => clientTitles[name])],
    clients.map((row) => [
      row.title,
      row.atMost === undefined ? "" : row.atMost.toFixed(2),
      ...clientNames.map((name) => cellText(row.cells[name], row.unit) + (name === "Ours" ? marks(row) : ""))
    ])
  )

export const agentTable = ({ agentCounts, agents }: Result): string =>
  table(
    ["whole agents in one process", "at most", ...agentCounts.map((count) => `${count.toLocaleString("en")} agents`)],
    agents.map(({ atMost, title, unit, values }) => [
      title,
      withUnit(atMost, unit),
      ...values.map((value) => value === null ? "-" : withUnit(value.value, unit) + marks(value))
    ])
  )

export const importTable = ({ imports }: Result): string =>
  table(["import", "CPU"], imports.map(({ cpuMs, specifier }) => [`\`${specifier}\``, `${cpuMs.toFixed(0)} ms`]))

/** When, where and with what it was measured. */
export const circumstances = ({ date, machine, quick, rounds, versions }: Result): string =>
  `${date}, ${machine}; ${Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", ")}; ${
    rounds === 1 ? "1 round" : `medians of ${rounds} rounds`
  }${quick ? ", with a tenth of the repetitions and connections: for a look, not for a comparison" : ""}`

export const legend = [
  'In brackets: the ratio to `ws` alone in the same round; "at most" is the ratio that this library aims for.',
  "▲ above that, ◆ behind @openclaw/gateway-client, - not measured."
].join(" ")

/** The whole result. */
export const markdown = (result: Result): string =>
  [
    clientTable(result),
    legend,
    ...(result.agentCounts.length === 0 ? [] : [agentTable(result)]),
    ...(result.imports.length === 0 ? [] : [importTable(result)]),
    ...(result.missing.length === 0
      ? []
      : ["Not measured:", result.missing.map((line) => `- ${line}`).join("\n")]),
    `${circumstances(result)}.`
  ].join("\n\n")
