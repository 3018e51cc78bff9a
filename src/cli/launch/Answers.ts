/**
 * What the program prints for `--version`, and for `--help` behind the words of each command. The build asks the program
 * itself, so that the text has one source.
 */

/** By the arguments, with a blank between them: the text with its colours, without the last line feed. */
export type Answers = Readonly<Record<string, string>>

type Environment = Readonly<Record<string, string | undefined>>

/** Of the arguments as `asFlags` gives them; `undefined` where the program has to answer. */
export const answerTo = (
  words: ReadonlyArray<string>,
  answers: () => Answers,
  environment: Environment,
  isTerminal: boolean
): string | undefined => {
  const flag = longNames.get(words.at(-1) ?? "")
  // A variable that forces colours has values of its own, which the program knows.
  if (flag === undefined || words.some((word) => word.includes(" ")) || environment["FORCE_COLOR"]) return undefined
  const known = answers()
  const name = [...words.slice(0, -1), flag].join(" ")
  if (!Object.hasOwn(known, name)) return undefined
  const colored = isTerminal && !environment["NO_COLOR"] && environment["TERM"] !== "dumb"
  return colored ? known[name] : known[name]?.replace(style, "")
}

const longNames: ReadonlyMap<string, string> = new Map([
  ["-h", "--help"],
  ["--help", "--help"],
  ["-v", "--version"],
  ["--version", "--version"]
])

const style = /\p{Cc}\[[\d;]*m/gu
