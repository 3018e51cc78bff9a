/**
 * A bound on the depth and on the number of values of a message, checked before it is parsed.
 *
 * A small text can make a large value: 25 MiB of `[`, of `{},` or of short properties keep `JSON.parse` busy for seconds and
 * take up to a gigabyte. The scan takes up to half as long as the parsing of structured text, so that only a long text is
 * scanned. A shorter one has too few characters to do harm.
 */

/** UTF-16 code units up to which a text is not scanned. */
export const unscannedLength = 64 * 1024
/** How deep a scanned text may nest. */
export const maxDepth = 256
/** How many values a scanned text may have, give or take one for each object and array. A hello-ok has some thousand. */
export const maxValues = 1_000_000

/** Whether a text nests deeper than `maxDepth`, or has more than `maxValues`: brackets that open, and commas. */
export const isExcessive = (text: string): boolean => text.length > unscannedLength && scan(text)

const scan = (text: string): boolean => {
  let depth = 0
  let values = 0
  for (let index = 0; index < text.length; index++) {
    switch (text.charCodeAt(index)) {
      case quote:
        index = endOfString(text, index)
        break
      case openBracket:
      case openBrace:
        if (++depth > maxDepth || ++values > maxValues) return true
        break
      case comma:
        if (++values > maxValues) return true
        break
      case closeBracket:
      case closeBrace:
        depth--
    }
  }
  return false
}

/** The index of the quotation mark that ends the string that begins at `start`; the text's length if none does. */
const endOfString = (text: string, start: number): number => {
  let end = text.indexOf('"', start + 1)
  while (end !== -1) {
    let backslashes = 0
    while (text.charCodeAt(end - 1 - backslashes) === backslash) backslashes++
    if (backslashes % 2 === 0) return end
    end = text.indexOf('"', end + 1)
  }
  return text.length
}

const quote = 0x22
const comma = 0x2c
const backslash = 0x5c
const openBracket = 0x5b
const closeBracket = 0x5d
const openBrace = 0x7b
const closeBrace = 0x7d
