import { assert, describe, it } from "@effect/vitest"
import { chart } from "./Chart.ts"
import type { Sample } from "./Cost.ts"
import { withText } from "./Pages.ts"
import type { ClientName } from "./Programs.ts"
import { clientRow, summarise } from "./Result.ts"
import { type Probe, type Row, rows } from "./Rows.ts"
import { clientTable, markdown } from "./Table.ts"

const row: Row = { probe: "one", figure: "cpuUs", title: "a request", unit: "µs", atMost: 1.2 }

/** Samples of the one figure, a value for each round. */
const samplesOf = (values: Partial<Record<ClientName, ReadonlyArray<number | undefined>>>, of: Probe = "one") => ({
  of: (client: ClientName, probe: Probe): ReadonlyArray<Sample | undefined> =>
    probe === of
      ? (values[client] ?? []).map((value) => (value === undefined ? undefined : { cpuUs: value, ms: value }))
      : []
})

describe("a result of the bench", () => {
  it("takes each ratio within its round, so that a slow round changes none", () => {
    const { cells } = clientRow(samplesOf({ Floor: [10, 30, 20], Ours: [12, 33, 40] }), row)
    assert.deepStrictEqual(cells.Ours, { value: 33, ratio: 1.2 })
    assert.deepStrictEqual(cells.Floor, { value: 20 })
  })

  it("marks what is above its bound, and what is behind the reference client", () => {
    const marks = (ours: number, reference: number) => {
      const { above, behind } = clientRow(samplesOf({ Floor: [10], Reference: [reference], Ours: [ours] }), row)
      return { above, behind }
    }
    assert.deepStrictEqual(marks(12, 12), { above: false, behind: false })
    assert.deepStrictEqual(marks(12, 11), { above: false, behind: true })
    assert.deepStrictEqual(marks(13, 14), { above: true, behind: false })
    assert.deepStrictEqual(marks(13, 12), { above: true, behind: true })
  })

  it("leaves a failed sample out of the medians, and a client without samples out of the row", () => {
    const { cells } = clientRow(
      samplesOf({ Floor: [10, undefined, 10], Ours: [undefined, 30, 15], OpenclawNode: [undefined] }),
      row
    )
    assert.deepStrictEqual(cells, { Floor: { value: 10 }, Ours: { value: 30, ratio: 1.5 } })
  })

  it("compares the start of a bundled program with the unbundled start of the others", () => {
    const bundled = rows.find(({ probe }) => probe === "embedding")
    assert.isDefined(bundled)
    const start = samplesOf({ Floor: [100], Reference: [130] }, "start")
    const own = samplesOf({ Ours: [120] }, "embedding")
    const { above, behind, cells } = clientRow({
      of: (client, probe) => [...start.of(client, probe), ...own.of(client, probe)]
    }, bundled)
    assert.deepStrictEqual({ above, behind, cells }, {
      above: false,
      behind: false,
      cells: { Ours: { value: 120, ratio: 1.2 } }
    })
  })

  const result = summarise(
    {
      ...samplesOf({ Floor: [10], Reference: [12], Ours: [13] }),
      agents: [{ count: 10_000, samples: [{ heapKb: 46, failures: 0 }] }],
      missing: ["openclaw-node, one: ended with 1"],
      broken: false
    },
    { costs: [{ specifier: "effect-openclaw/agent/Agent", cpuMs: 100 }], missing: [] },
    { quick: true, rounds: 1, versions: { effect: "4.1.0" } }
  )

  it("shows each figure, what is missing, and the marks", () => {
    const [line = ""] = clientTable(result).split("\n").filter((one) => one.includes("one in flight"))
    assert.deepStrictEqual(line.split("|").map((cell) => cell.trim()).slice(1, -1), [
      "request and answer, one in flight: CPU",
      "1.05",
      "10.0 µs",
      "12.0 µs (1.20)",
      "-",
      "13.0 µs (1.30) ▲ ◆"
    ])
    const page = markdown(result)
    for (const shown of ["46.0 kB ▲", "`effect-openclaw/agent/Agent`", "- openclaw-node, one: ended with 1"]) {
      assert.include(page, shown)
    }
  })

  it("is a chart whose text is text, with a title and a description", () => {
    const svg = chart(result)
    for (const shown of ['<title id="title">', '<desc id="about">', ">1.30</text>", "prefers-color-scheme: dark"]) {
      assert.include(svg, shown)
    }
    assert.notInclude(svg, "NaN")
    assert.notInclude(svg, "undefined")
  })

  it("goes between the marks of a page, and nowhere else", () => {
    const page = "a <!-- speed -->old<!-- /speed --> b"
    assert.strictEqual(withText(page, "speed", "new"), "a <!-- speed -->new<!-- /speed --> b")
    assert.throws(() => withText("a <!-- /speed --> <!-- speed --> b", "speed", "new"))
    assert.throws(() => withText("no marks", "speed", "new"))
  })
})
