/**
 * Texts that are made to keep a renderer of Markdown busy, each of a length that can be chosen.
 */
type Made = (length: number) => string

const repeat = (unit: string): Made => (length) => unit.repeat(Math.ceil(length / unit.length)).slice(0, length)
const halves = (one: string, other: string): Made => (length) => repeat(one)(length / 2) + repeat(other)(length / 2)
/** Lines, each by its number, until the length is reached. */
const lines = (line: (index: number) => string): Made => (length) => {
  const all: Array<string> = []
  for (let characters = 0, index = 0; characters < length; index++) {
    const next = line(index)
    all.push(next)
    characters += next.length + 1
  }
  return all.join("\n")
}

/** Those that took `marked` longest, or made it throw, by themselves or with what others know of its relatives. */
export const hostileTexts: Readonly<Record<string, Made>> = {
  "a link without brackets and its closing parentheses": (length) =>
    `www.${repeat("a.")(length / 2)}${")".repeat(length / 2)}`,
  "a link without brackets and its entities": (length) => `www.a${repeat("&a;")(length)}`,
  "a link without brackets and its punctuation": (length) => `http://a${repeat("?!.,")(length)}`,
  "a mail address that never comes": (length) => `${repeat("a-")(length)}@`,
  "exclamation marks": repeat("!a"),
  quotes: repeat("> "),
  "quotes without spaces": repeat(">"),
  "lists in lists on a line": repeat("- "),
  "numbered lists on a line": repeat("1. "),
  "lists and quotes on a line": repeat(">- "),
  "a rule that is none": (length) => `${repeat("- - ")(length)}x`,
  "lists in lists, line by line": lines((index) => `${"  ".repeat(index)}- a`),
  "lists in lists, with lines that fall back": lines((index) => `${"  ".repeat((index * 7) % 60)}- > a`),
  "quotes of every depth": lines((index) => `${">".repeat((index * 7) % 49)}a b`),
  "an item of many lines": (length) => `- a\n${repeat("  b\n")(length)}`,
  "loose items": repeat("- a\n\n  b\n\n"),
  "emphasis that does not end": repeat("***a"),
  "emphasis in emphasis": (length) => repeat("*a **b ")(length / 2) + repeat("c** d* ")(length / 2),
  "emphasis beside symbols": repeat("😀*a"),
  "underscores beside letters": repeat("_a."),
  "one run of stars": (length) => `${"*".repeat(length / 2)}a${"*".repeat(length / 2)}`,
  strikes: repeat("~~a"),
  "brackets that do not close": repeat("["),
  "links in links": repeat("[a]("),
  "images in images": repeat("!["),
  "brackets that close": halves("[", "]"),
  backticks: lines((index) => `${"`".repeat(index)}a`),
  "tags that do not close": repeat("<a "),
  "comments that do not close": repeat("<!--"),
  "a wide table with many rows": (length) =>
    `${repeat("|a")(length / 8)}|\n${repeat("|-")(length / 8)}|\n${repeat("|\n")(length / 2)}`,
  "a long definition that is used often": (length) => `[a]: ${repeat("x")(length / 2)}\n\n${repeat("[a]")(length / 2)}`,
  "a long title that is used often": (length) =>
    `[a]: x "${repeat("y ".repeat(500))(length / 2)}"\n\n${repeat("[a] ")(length / 2)}`,
  "spaces within a line": (length) => `a${" ".repeat(length)}b`,
  "line ends": repeat("\n"),
  "short lines": repeat("a\n"),
  "no direction": repeat("( "),
  "marks upon a letter": (length) => `a${"\u0301".repeat(length)}`
}
