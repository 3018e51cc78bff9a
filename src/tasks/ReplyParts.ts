/**
 * What a run says in several messages, as its final event tells it. Pure.
 *
 * Releases differ in which messages belong to the reply: the last alone up to 2026.4, those before calls of tools too up to 2026.7,
 * and later those that came to an end, which are several where other messages were merged into the run. (Recorded:
 * test/vectors/runs-*.json.)
 */
import { isBefore } from "../protocol/Connect.ts"

/** An earlier message of the run. */
export interface Part {
  readonly text: string
  /** It went on with a call of a tool. */
  readonly step: boolean
}

/** The reply whose last message is `last`. `heard`: how it begins, as far as that is known. */
export const join = (
  parts: ReadonlyArray<Part>,
  last: string,
  { heard = "", release }: { readonly heard?: string; readonly release?: string | undefined }
): string => {
  const beginning = heard.trimEnd()
  const whole = joined(parts, last, release)
  return whole.startsWith(beginning) || !last.startsWith(beginning) ? whole : last
}

const joined = (parts: ReadonlyArray<Part>, last: string, release: string | undefined): string => {
  const texts = (wanted: ReadonlyArray<Part>) => [...wanted.map(({ text }) => text), last]
  // One that does not say what it is counts as early.
  if (isBefore(release, "2026.5") !== false) return last
  if (isBefore(release, "2026.8") === true) return texts(parts).join("")
  return texts(parts.filter(({ step }) => !step)).join(isBefore(release, "2026.9") === true ? "" : "\n\n")
}
