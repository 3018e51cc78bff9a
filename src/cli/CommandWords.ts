/**
 * A command as one text, taken apart without a shell: nothing is substituted, expanded or run.
 *
 * Words stand between blanks. Quotation marks, single or double, keep blanks in a word, and go; outside single ones a backslash
 * before a blank, a quotation mark or a backslash goes and that stays. Every other character, also every other backslash, is itself.
 */
import * as Result from "effect/Result"

/** The words of a command, or why it has none. Pure. */
export const parse = (text: string): Result.Result<ReadonlyArray<string>, string> => {
  const words: Array<string> = []
  let word: string | undefined
  let quote: string | undefined
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? ""
    const next = text[at + 1] ?? ""
    if (character === "\\" && quote !== "'" && /^[\s"'\\]$/.test(next)) {
      word = `${word ?? ""}${next}`
      at++
    } else if (quote !== undefined) {
      if (character === quote) quote = undefined
      else word = `${word ?? ""}${character}`
    } else if (character === '"' || character === "'") {
      quote = character
      word ??= ""
    } else if (/\s/.test(character)) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else word = `${word ?? ""}${character}`
  }
  if (quote !== undefined) return Result.fail(`a quotation mark ${quote} has no end`)
  if (word !== undefined) words.push(word)
  return words[0] === undefined || words[0] === "" ? Result.fail("there is no command") : Result.succeed(words)
}

/** Such a text for these words. */
export const format = (words: ReadonlyArray<string>): string =>
  words.map((word) => `"${word.replace(/[\\"]/g, "\\$&")}"`).join(" ")
