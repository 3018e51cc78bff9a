/**
 * Collects what goes wrong in a page.
 */
import type { Page } from "playwright-core"

/** A text, as this file is compiled without the types of a browser. */
const reportViolations = `
  addEventListener("securitypolicyviolation", ({ blockedURI, sample, violatedDirective }) => {
    reportViolation([violatedDirective, blockedURI, sample].join(" "))
  })
`

/** What the page writes to the console, throws, or is refused by its policy, from now on. */
export const listenForTrouble = async (page: Page): Promise<ReadonlyArray<string>> => {
  const trouble: Array<string> = []
  page.on("console", (message) => trouble.push(`console.${message.type()}: ${message.text()}`))
  page.on("pageerror", (error) => trouble.push(`thrown: ${error.message}`))
  await page.exposeFunction("reportViolation", (what: string) => void trouble.push(`policy: ${what}`))
  await page.addInitScript(reportViolations)
  return trouble
}
