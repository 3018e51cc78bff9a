import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import type { TestContext } from "vitest"
import { InteropError } from "./InteropError.ts"

// What each release did in the interop run, as a table for people. Tests note what they saw; a row is written only when
// every capability of a release was seen in one run without a failure, so that its date holds for all its cells.

/** The columns, in order, with their titles. */
export const capabilities = {
  protocol: "Protocol",
  proof: "Proof",
  pairing: "Asks for pairing",
  deviceToken: "Device token",
  reconnect: "Connects by it alone",
  delegate: "Delegates",
  restart: "Restart survived",
  rotate: "After rotate",
  revoke: "After revoke",
  remove: "After remove"
} as const
export type Capability = keyof typeof capabilities
export type Facts = { readonly [Name in Capability]?: string }

/** What one test says of one release. */
export interface Note {
  readonly release: string
  readonly facts: Facts
}

declare module "vitest" {
  interface TaskMeta {
    compatibility?: Note
  }
}

/** Begins the note of a test; what it gives adds to it. A test that has begun one and fails takes its release's row away. */
export const note = (context: TestContext, release: string): (facts: Facts) => void => {
  const { meta } = context.task
  meta.compatibility = { release, facts: {} }
  return (facts) => {
    meta.compatibility = { release, facts: { ...meta.compatibility?.facts, ...facts } }
  }
}

/** One line of the table. `tested` is the day, in UTC, as `2026-11-22`. */
export interface Row {
  readonly release: string
  readonly tested: string
  readonly cells: ReadonlyArray<string>
}

const names: ReadonlyArray<string> = Object.keys(capabilities)
const titles = ["OpenClaw", "Tested", ...Object.values(capabilities)]

/** The row of a release, or the names of what nobody saw. */
export const rowOf = (
  release: string,
  tested: string,
  facts: Facts
): Result.Result<Row, ReadonlyArray<string>> => {
  const seen = new Map<string, string>(Object.entries(facts))
  const missing = names.filter((name) => !seen.has(name))
  return missing.length > 0
    ? Result.fail(missing)
    : Result.succeed({ release, tested, cells: names.map((name) => seen.get(name) ?? "") })
}

/** Newest release first. */
const newestFirst = (left: Row, right: Row): number => {
  const [a, b] = [left, right].map(({ release }) => release.split(/[.-]/).map(Number))
  const index = (a ?? []).findIndex((part, index) => part !== b?.[index])
  return index < 0 ? 0 : (b?.[index] ?? 0) - (a?.[index] ?? 0)
}

/** The rows of the table in a text; those of an earlier set of columns are not taken over. */
export const parse = (table: string): ReadonlyArray<Row> => {
  const lines = table.split("\n").filter((line) => line.startsWith("|")).map((line) =>
    line.split("|").slice(1, -1).map((cell) => cell.trim())
  )
  if (lines[0]?.join() !== titles.join()) return []
  return lines.slice(2).flatMap(([release, tested, ...cells]) =>
    release === undefined || tested === undefined ? [] : [{ release, tested, cells }]
  )
}

/** The new rows and, for releases that were not run, the old ones with their own dates. */
export const merge = (old: ReadonlyArray<Row>, fresh: ReadonlyArray<Row>): ReadonlyArray<Row> => {
  const ran = new Set(fresh.map(({ release }) => release))
  return [...fresh, ...old.filter(({ release }) => !ran.has(release))].toSorted(newestFirst)
}

const render = (rows: ReadonlyArray<Row>): string => {
  const lines = [titles, ...rows.map(({ cells, release, tested }) => [release, tested, ...cells])]
  const widths = titles.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  const line = (cells: ReadonlyArray<string>) =>
    `| ${widths.map((width, column) => (cells[column] ?? "").padEnd(width)).join(" | ")} |`
  const [head = "", ...body] = lines.map(line)
  return [head, line(widths.map((width) => "-".repeat(width))), ...body].join("\n")
}

const begin = "<!-- compatibility -->"
const end = "<!-- /compatibility -->"

const emptyDocument = `# OpenClaw releases

Written by \`npm run test:interop\` from what the real gateways did. The client was a remote one, with the shared token
unless the column says otherwise. A release that admits the client without pairing gives no device token.

- \`cut\`: the gateway closed the live connection. \`kept\`: it stayed open, and what is told happened at the next connect.
- \`new token\`: the shared token got a new device token at once. \`approval\`: a person has to approve the device again.
- \`not offered\`: the release has no such request.
- \`with failures\`: after its restart the gateway fails messages to a session from before, of every client, until another
  session is used.

${begin}
${end}
`

/** Puts the rows between the markers of a document, merged with those that stand there. Fails without both markers. */
export const update = (document: string, fresh: ReadonlyArray<Row>): Result.Result<string, string> => {
  const from = document.indexOf(begin)
  const to = document.indexOf(end, from)
  if (from < 0 || to < 0) return Result.fail(`it has no ${begin} before a ${end}`)
  const head = document.slice(0, from + begin.length)
  const rows = merge(parse(document.slice(from + begin.length, to)), fresh)
  return Result.succeed(`${head}\n\n${render(rows)}\n\n${document.slice(to)}`)
}

/** Where the table is kept: `OPENCLAW_COMPATIBILITY_FILE`, or a file of its own beside the tests. */
const path = Config.withDefault(Config.String("OPENCLAW_COMPATIBILITY_FILE"), "test/interop/COMPATIBILITY.md")

/** Writes the rows into the table's file, and answers its path. A file that is not there is begun. */
export const write = Effect.fn("Compatibility.write")(function*(fresh: ReadonlyArray<Row>) {
  const fs = yield* FileSystem.FileSystem
  const file = yield* path
  const document = (yield* fs.exists(file)) ? yield* fs.readFileString(file) : emptyDocument
  const next = update(document, fresh)
  if (Result.isFailure(next)) {
    return yield* new InteropError({ step: "table", detail: `${file} is left as it is: ${next.failure}` })
  }
  yield* fs.writeFileString(file, next.success)
  return file
})
