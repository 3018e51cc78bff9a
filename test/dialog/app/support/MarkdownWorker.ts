/**
 * Renders texts as Markdown in a thread of its own, so that a text that takes for ever can be given up.
 */
import { parentPort } from "node:worker_threads"
import { toMarkup } from "../../../../src/dialog/app/Markdown.ts"

export interface Rendered {
  /** Characters of markup; absent where the text is shown as it is. */
  readonly markup: number | undefined
  readonly threw: boolean
  /** Time of the processor, which does not grow when the machine is busy. */
  readonly cpuMs: number
}

parentPort?.on("message", (text: string) => {
  const before = process.cpuUsage()
  let markup: number | undefined
  let threw = false
  try {
    markup = toMarkup(text)?.length
  } catch {
    threw = true
  }
  const { system, user } = process.cpuUsage(before)
  parentPort?.postMessage({ markup, threw, cpuMs: (user + system) / 1000 } satisfies Rendered, [])
})
