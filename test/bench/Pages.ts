/**
 * The pages that show a result: the chart of the README and what it says of the measurement, and all figures in a page of
 * their own.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { chart } from "./Chart.ts"
import type { Result } from "./Result.ts"
import { circumstances, markdown } from "./Table.ts"

const readme = join(import.meta.dirname, "../../README.md")
const file = (name: string) => join(import.meta.dirname, name)

/** The page with other text between its marks `<!-- name -->` and `<!-- /name -->`. Throws where they are not there. */
export const withText = (page: string, name: string, text: string): string => {
  const [start, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`]
  const from = page.indexOf(start) + start.length
  const to = page.indexOf(end)
  if (from < start.length || to < from) throw new Error(`the page has no place for ${name}`)
  return page.slice(0, from) + text + page.slice(to)
}

/** Writes the result into the pages of this project. */
export const writePages = (result: Result): void => {
  writeFileSync(readme, withText(readFileSync(readme, "utf8"), "speed", circumstances(result)))
  writeFileSync(file("result.svg"), chart(result))
  writeFileSync(
    file("RESULT.md"),
    `# What a gateway client costs\n\nWritten by \`npm run bench -- --readme\`.\n\n${markdown(result)}\n`
  )
}
