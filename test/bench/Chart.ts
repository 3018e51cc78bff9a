/**
 * A result as one SVG: the ratio of each client to `ws` alone, and the figures of whole agents. It has its own background, for
 * light and dark, and text that can be selected.
 */
import type { AgentResultRow, ClientRow, Result } from "./Result.ts"
import { element, escaped, text } from "./Svg.ts"
import { circumstances, withUnit } from "./Table.ts"

const width = 1000
const margin = 24
const rowHeight = 27
const plot = { left: 350, right: 690 }
/** Right edges of the columns with figures. */
const columns = { value: 800, ratio: 862, reference: 922, atMost: width - margin }

const style = `
text { font: 14px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; fill: #1f2328 }
.heading { font-size: 19px; font-weight: 600 } .strong { font-weight: 600 } .quiet { fill: #59636e } .small { font-size: 12px }
.back { fill: #ffffff } .stripe { fill: #f6f8fa } .line { stroke: #d1d9e0 } .floor { stroke: #59636e; stroke-width: 1.5 }
.within { fill: #1a7f37; fill-opacity: .13 } .bound { stroke: #1a7f37; stroke-width: 2 } .over { fill: #bc4c00; font-weight: 600 }
.ours { fill: #0969da; stroke: #0969da } .reach { stroke: #0969da; stroke-width: 2; stroke-opacity: .35 }
.reference { fill: none; stroke: #bc4c00; stroke-width: 2 } .other { fill: none; stroke: #6e7781; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .quiet { fill: #9198a1 }
.back { fill: #0d1117 } .stripe { fill: #151b23 } .line { stroke: #3d444d } .floor { stroke: #9198a1 }
.within { fill: #3fb950; fill-opacity: .18 } .bound { stroke: #3fb950 } .over { fill: #f0883e }
.ours { fill: #4493f8; stroke: #4493f8 } .reach { stroke: #4493f8 }
.reference { stroke: #f0883e } .other { stroke: #9198a1 }
}`

/** Titles are Markdown elsewhere. */
const plain = (title: string): string => title.replaceAll("`", "")

/** Ratios on a logarithmic axis, between powers of two, with room to the left of the lowest. */
const axis = (rows: ReadonlyArray<ClientRow>) => {
  const ratios = rows.flatMap(({ atMost, cells }) => [
    ...(atMost === undefined ? [] : [atMost]),
    ...Object.values(cells).flatMap(({ ratio }) => (ratio === undefined ? [] : [ratio]))
  ])
  const low = Math.min(-1, Math.floor(Math.log2(Math.min(1, ...ratios)) - 0.2))
  const high = Math.max(1, Math.ceil(Math.log2(Math.max(1, ...ratios))))
  const x = (ratio: number) => plot.left + (Math.log2(ratio) - low) / (high - low) * (plot.right - plot.left)
  return { x, ticks: Array.from({ length: high - low + 1 }, (_, at) => 2 ** (low + at)) }
}
type Axis = ReturnType<typeof axis>

const marker = {
  ours: (x: number, y: number) => element("circle", { class: "ours", cx: x, cy: y, r: 6 }),
  reference: (x: number, y: number) => element("circle", { class: "reference", cx: x, cy: y, r: 5 }),
  other: (x: number, y: number) => element("rect", { class: "other", x: x - 4.5, y: y - 4.5, width: 9, height: 9 }),
  bound: (x: number, y: number) =>
    element("line", { class: "bound", x1: x, x2: x, y1: y - rowHeight / 2 + 3, y2: y + rowHeight / 2 - 3 })
}

const ratioText = (ratio: number | undefined): string => (ratio === undefined ? "" : ratio.toFixed(2))

const clientLine = (row: ClientRow, { x }: Axis, y: number): string => {
  const { above, atMost, behind, cells, title, unit } = row
  const ours = cells.Ours
  const reference = cells.Reference?.ratio
  const other = cells.OpenclawNode?.ratio
  const said = [
    ours === undefined
      ? "not measured"
      : `effect-openclaw ${withUnit(ours.value, unit)}, ratio ${ratioText(ours.ratio)}`,
    ...(reference === undefined ? [] : [`reference client ${ratioText(reference)}`]),
    ...(atMost === undefined ? [] : [`at most ${ratioText(atMost)}`])
  ].join(", ")
  const middle = y + 5
  return element(
    "g",
    {},
    `<title>${escaped(`${plain(title)}: ${said}`)}</title>`,
    ...(atMost === undefined
      ? []
      : [
        element("rect", {
          class: "within",
          x: plot.left,
          y: y - rowHeight / 2 + 3,
          width: x(atMost) - plot.left,
          height: rowHeight - 6
        }),
        marker.bound(x(atMost), y)
      ]),
    ...(ours?.ratio === undefined
      ? []
      : [element("line", { class: "reach", x1: x(1), x2: x(ours.ratio), y1: y, y2: y })]),
    ...(other === undefined ? [] : [marker.other(x(other), y)]),
    ...(reference === undefined ? [] : [marker.reference(x(reference), y)]),
    ...(ours?.ratio === undefined ? [] : [marker.ours(x(ours.ratio), y)]),
    text(margin, middle, plain(title)),
    text(columns.value, middle, ours === undefined ? "-" : withUnit(ours.value, unit), "", "end"),
    text(columns.ratio, middle, ratioText(ours?.ratio), above || behind ? "over" : "strong", "end"),
    text(columns.reference, middle, ratioText(reference), "quiet", "end"),
    text(columns.atMost, middle, ratioText(atMost), "quiet", "end")
  )
}

const stripe = (y: number, at: number): string =>
  at % 2 === 0
    ? element("rect", { class: "stripe", x: 12, y: y - rowHeight / 2, width: width - 24, height: rowHeight })
    : ""

const clientPart = (rows: ReadonlyArray<ClientRow>, top: number): string => {
  const scale = axis(rows)
  const y = (at: number) => top + 30 + at * rowHeight
  const end = y(rows.length) - rowHeight / 2
  return [
    ...rows.map((_, at) => stripe(y(at), at)),
    ...scale.ticks.flatMap((tick) => [
      element("line", {
        class: tick === 1 ? "floor" : "line",
        x1: scale.x(tick),
        x2: scale.x(tick),
        y1: top + 14,
        y2: end
      }),
      text(scale.x(tick), top + 6, tick === 1 ? "1 = ws" : String(tick), "small quiet", "middle")
    ]),
    text(columns.value, top + 6, "this library", "small quiet", "end"),
    text(columns.ratio, top + 6, "ratio", "small quiet", "end"),
    text(columns.reference, top + 6, "reference", "small quiet", "end"),
    text(columns.atMost, top + 6, "at most", "small quiet", "end"),
    ...rows.map((row, at) => clientLine(row, scale, y(at)))
  ].join("\n")
}

const agentPart = (counts: ReadonlyArray<number>, rows: ReadonlyArray<AgentResultRow>, top: number): string => {
  const y = (at: number) => top + 30 + at * rowHeight
  const right = (at: number) => 470 + at * 140
  return [
    text(margin, top + 6, "whole agents in one process", "strong"),
    ...rows.map((_, at) => stripe(y(at), at)),
    ...counts.map((count, at) =>
      text(right(at), top + 6, `${count.toLocaleString("en")} agents`, "small quiet", "end")
    ),
    text(columns.atMost, top + 6, "at most", "small quiet", "end"),
    ...rows.flatMap(({ atMost, title, unit, values }, at) => [
      text(margin, y(at) + 5, title),
      ...values.map((one, column) =>
        text(
          right(column),
          y(at) + 5,
          one === null ? "-" : withUnit(one.value, unit),
          one?.above === true ? "over" : "",
          "end"
        )
      ),
      text(columns.atMost, y(at) + 5, withUnit(atMost, unit), "quiet", "end")
    ])
  ].join("\n")
}

const legend = (y: number): string => {
  const entries = [
    [marker.ours, "effect-openclaw"],
    [marker.reference, "@openclaw/gateway-client, the reference"],
    [marker.other, "openclaw-node"],
    [marker.bound, "at most"]
  ] as const
  let x = margin + 7
  return entries.map(([mark, name]) => {
    const at = x
    x += 34 + name.length * 7.2
    return mark(at, y) + text(at + 14, y + 5, name, "quiet")
  }).join("\n")
}

/** Lines of at most `length` characters, broken after `;` and `,`. */
const lines = (sentence: string, length: number): ReadonlyArray<string> =>
  sentence.split(/(?<=[;,]) /).reduce<ReadonlyArray<string>>((done, part) => {
    const last = done.at(-1)
    return last === undefined || last.length + part.length >= length
      ? [...done, part]
      : [...done.slice(0, -1), `${last} ${part}`]
  }, [])

export const chart = (result: Result): string => {
  const clientsTop = 118
  const agentsTop = clientsTop + 30 + result.clients.length * rowHeight + 22
  const withAgents = result.agentCounts.length > 0
  const footTop = withAgents ? agentsTop + 30 + result.agents.length * rowHeight + 8 : agentsTop
  const foot = lines(circumstances(result), 130)
  const height = footTop + foot.length * 17 + 10
  const title = "Cost of a gateway client, as a ratio to ws alone"
  const about = result.clients.map((row) =>
    `${plain(row.title)}: ${ratioText(row.cells.Ours?.ratio) || "not measured"}`
    + `${row.atMost === undefined ? "" : `, at most ${ratioText(row.atMost)}`}`
  ).join("; ")
  return `${
    element(
      "svg",
      {
        xmlns: "http://www.w3.org/2000/svg",
        viewBox: `0 0 ${width} ${height}`,
        width,
        height,
        role: "img",
        "aria-labelledby": "title about"
      },
      `\n<title id="title">${title}</title>\n`,
      `<desc id="about">${escaped(`Ratios of effect-openclaw. ${about}. ${circumstances(result)}.`)}</desc>\n`,
      `<style>${style}\n</style>\n`,
      element("rect", { class: "back", width, height, rx: 8 }),
      "\n",
      text(margin, 38, title, "heading"),
      text(margin, 60, "Further left is less CPU, time or memory. Green is what this library aims for.", "quiet"),
      "\n",
      legend(86),
      "\n",
      clientPart(result.clients, clientsTop),
      "\n",
      withAgents ? agentPart(result.agentCounts, result.agents, agentsTop) : "",
      "\n",
      ...foot.map((line, at) => `${text(margin, footTop + 10 + at * 17, line, "small quiet")}\n`)
    )
  }\n`
}
