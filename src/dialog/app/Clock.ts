/**
 * Times in words: how long ago, how long still.
 */

const units = [["day", 86_400], ["hour", 3600], ["minute", 60]] as const

/** Making one costs far more than using it. */
const formats = new Map<string, Intl.RelativeTimeFormat>()

/** "3 minutes ago", in the words of the language; to the minute, so that it does not flicker. */
export const ago = (language: string, atMs: number, nowMs: number): string => {
  const seconds = Math.max(0, Math.round((nowMs - atMs) / 1000))
  const format = formats.get(language) ?? new Intl.RelativeTimeFormat(language, { numeric: "auto" })
  formats.set(language, format)
  const unit = units.find(([, size]) => seconds >= size)
  return unit === undefined
    ? format.format(0, seconds < 10 ? "second" : "minute")
    : format.format(-Math.floor(seconds / unit[1]), unit[0])
}

/** "0:07", "4:59": minutes and seconds. */
export const left = (atMs: number, nowMs: number): string => {
  const seconds = Math.max(0, Math.ceil((atMs - nowMs) / 1000))
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`
}
