/**
 * How much of a reply is rendered as Markdown. Pure.
 *
 * The time that Markdown takes can grow with the square of the text's length: of a word for links without brackets, of a
 * paragraph for emphasis, of an item for its lines. It also grows with the depth of quotes and lists, and a table has as many
 * cells in each row as in its first. Fuzzed with `marked`, no text within these limits took a core longer than 0.3 s; without
 * them 10 kB can take minutes.
 */
export const limits = {
  characters: 40_000,
  lines: 2000,
  /** The longest word, and the longest white space within a line. */
  word: 2000,
  /** Quotes and lists in each other; ten columns of indentation count as one. */
  depth: 12,
  /** The characters that may begin or end emphasis, times all characters of their paragraph; summed over the paragraphs. */
  emphasis: 4_000_000,
  /** The columns of the widest row, times the rows, and the depths of the lines; summed over the paragraphs. */
  elements: 6000
}

/** Takes a time in proportion to the length of the text, whatever is in it. */
export const isWithinLimits = (text: string): boolean => {
  if (text.length > limits.characters) return false
  const lines = text.split(/\r\n|\r|\n/)
  if (lines.length > limits.lines) return false
  let emphasis = 0
  let elements = 0
  let paragraph = empty
  const end = () => {
    emphasis += paragraph.marks * paragraph.characters
    elements += paragraph.columns * paragraph.lines
    paragraph = empty
  }
  for (const line of lines) {
    const depth = depthOf(line)
    if (depth > limits.depth || longestWord(line) > limits.word) return false
    elements += depth
    if (/^[ \t]*$/.test(line)) end()
    else {
      paragraph = {
        lines: paragraph.lines + 1,
        characters: paragraph.characters + line.length + 1,
        marks: paragraph.marks + count(line, /[*_~]/g),
        columns: Math.max(paragraph.columns, count(line, /\|/g) + 1)
      }
    }
  }
  end()
  return emphasis <= limits.emphasis && elements <= limits.elements
}

const empty = { lines: 0, characters: 0, marks: 0, columns: 0 }

const count = (line: string, pattern: RegExp): number => line.match(pattern)?.length ?? 0

const longestWord = (line: string): number => {
  let longest = 0
  for (const [word] of line.matchAll(/\S+|\s+/g)) longest = Math.max(longest, word.length)
  return longest
}

/** Of the quotes and lists that the line can open or continue. */
const depthOf = (line: string): number => {
  const start = /^(?:[ \t>]|(?:[-*+]|\d{1,9}[.)])(?=[ \t]|$))*/.exec(line)?.[0] ?? ""
  const marks = count(start, />|[-*+]|\d+[.)]/g)
  return marks + Math.max(0, count(start, / /g) - marks + 4 * count(start, /\t/g)) / 10
}
