/**
 * How wide text is on a terminal, and where to break it so that the terminal does not: what a terminal wraps begins at the
 * margin, where only this program's own lines begin.
 */

/** Sets colour and weight, and takes no room. Nothing else that begins with an escape is expected here. */
const style = /\p{Cc}\[[\d;]*m/gu

/**
 * Columns of one line. A character that could take two counts as two, so that text is never wider than this says; marks that
 * combine and joiners take none.
 */
export const columnsOf = (text: string): number => {
  let columns = 0
  for (const character of text.replace(style, "")) columns += columnsOfCharacter(character)
  return columns
}

const columnsOfCharacter = (character: string): number => {
  const point = character.codePointAt(0) ?? 0
  // The scripts before Hangul are one column wide; behind it come East Asian ones, symbols and emoji.
  if (point < 0x300) return 1
  if (/[\p{M}\u200c\u200d]/u.test(character)) return 0
  return point < 0x1100 ? 1 : 2
}

/** The longest beginning of a line that takes no more columns. */
export const fit = (text: string, columns: number): string => {
  let fitting = ""
  let width = 0
  for (const part of parts(text)) {
    width += columnsOf(part)
    if (width > columns) break
    fitting += part
  }
  return fitting
}

/**
 * The lines of one line on a terminal of so many columns: broken at the last blank that fits, or anywhere in a word that is
 * longer than a line. Every line but the first begins with `indent` blanks. No columns mean that nothing is broken.
 */
export const wrap = (text: string, columns: number, indent = 0): ReadonlyArray<string> => {
  if (columns <= 0 || columnsOf(text) <= columns) return [text]
  const margin = " ".repeat(Math.min(indent, columns - 1))
  const lines: Array<string> = []
  let line = ""
  let width = 0
  /** Where the last blank of the line stands, and how wide the line is up to it. */
  let blank: { readonly index: number; readonly width: number } | undefined
  const end = (rest: string, restWidth: number) => {
    lines.push(line)
    line = margin + rest
    width = margin.length + restWidth
    blank = undefined
  }
  for (const part of parts(text)) {
    const room = columnsOf(part)
    if (width + room > columns && width > margin.length) {
      if (part === " ") {
        end("", 0)
        continue
      }
      if (blank === undefined) end("", 0)
      else {
        const rest = line.slice(blank.index + 1)
        const restWidth = width - blank.width - 1
        line = line.slice(0, blank.index)
        end(rest, restWidth)
      }
    }
    if (part === " " && width > margin.length) blank = { index: line.length, width }
    line += part
    width += room
  }
  return [...lines, line]
}

/** Characters as a reader sees them, and styles. */
const parts = function*(text: string): Generator<string> {
  let at = 0
  for (const { 0: code, index } of text.matchAll(style)) {
    yield* characters(text.slice(at, index))
    yield code
    at = index + code.length
  }
  yield* characters(text.slice(at))
}

let segmenter: Intl.Segmenter | undefined
/** Made at its first use: the first one of a process reads the tables of ICU, 10 ms. */
export const graphemes = (): Intl.Segmenter => segmenter ??= new Intl.Segmenter("en", { granularity: "grapheme" })

const characters = function*(text: string): Generator<string> {
  for (const { segment } of graphemes().segment(text)) yield segment
}
