/**
 * Text that others wrote: what came from the wire or from a file. It is shown as one of two kinds. A *field* is one line of a
 * stated length. A *reply* may have lines, and each is set off, so that none can be taken for one of this program's own.
 *
 * In both, whatever a reader would not see is made visible: controls, marks that reorder text (U+200E, U+200F, U+061C and the
 * embeddings), invisible characters and lone surrogates appear as `\u{1b}`. Credentials that this program sent are left out
 * where a list of them is given. Lengths are UTF-16 code units.
 */
import * as Redacted from "effect/Redacted"
import { columnsOf, graphemes, wrap } from "./TextColumns.ts"

/** How long a field may be, by what it holds. */
export const lengths = {
  /** A name that others chose: a version, a scope, a host, an id. */
  name: 64,
  /** What is being done right now. */
  phase: 80,
  /** A sentence or two. */
  message: 300,
  /** Several of the others. */
  text: 1000
} as const

export interface FieldOptions {
  /** `lengths.message` unless set. */
  readonly maxLength?: number
  /** Credentials that this program sent to whoever wrote the text. */
  readonly secrets?: ReadonlyArray<Redacted.Redacted>
}

/**
 * One line of at most `maxLength` code units: white space and line ends become one blank, what is hidden becomes visible, and
 * what is too long ends with `…`. A field of a field is the same field.
 */
export const field = (
  text: string,
  { maxLength = lengths.message, secrets = [] }: FieldOptions = {}
): string => {
  // Only the beginning is shown, so only so much is read. A credential may stand across the end of that, so it goes too.
  const longest = Math.max(0, ...secrets.flatMap(spellings).map(({ length }) => length))
  const readLength = 16 * maxLength + longest
  const folded = redact(fold(redact(beginning(text, readLength), secrets)), secrets)
  if (text.length <= readLength) return cut(folded, maxLength)
  return cut(`${beginning(folded, folded.length - longest)}${ellipsis}`, maxLength)
}

/** A list of names in one line. A name with a blank in it stands between quotation marks, so that it is not taken for two. */
export const names = (values: ReadonlyArray<string>, options: FieldOptions = {}): string =>
  cut(
    values.map((value) => {
      const name = field(value, { ...options, maxLength: lengths.name })
      return name === "" || name.includes(" ") ? `"${name}"` : name
    }).join(" "),
    options.maxLength ?? lengths.text
  )

/** One line that keeps its blanks and its length, for what has to stay exact, such as a command or a path. */
export const line = (text: string): string => onlySeen.test(text) ? text : text.replace(hidden(), visible)

export interface ReplyOptions {
  /** What stands before the first line; the others have blanks and the same bar. It ends with `| `. */
  readonly lead?: string
  /** Columns of the terminal, where there is one: a longer line is wrapped, as the terminal would wrap it to the margin. */
  readonly columns?: number
  readonly secrets?: ReadonlyArray<Redacted.Redacted>
}

/** Every line behind a bar. Tabs are two blanks. */
export const reply = (text: string, { columns = 0, lead = "| ", secrets = [] }: ReplyOptions = {}): string => {
  const others = `${" ".repeat(Math.max(0, columnsOf(lead) - 2))}| `
  const shown = redact(text, secrets).split(lineEnd).flatMap((one) =>
    wrap(line(one.replaceAll("\t", "  ")), columns === 0 ? 0 : Math.max(1, columns - columnsOf(lead)))
  )
  return shown.map((one, index) => `${index === 0 ? lead : others}${one}`.trimEnd()).join("\n")
}

/** What stands in place of a credential. */
export const redacted = "[redacted]"

/**
 * The text without these credentials, as they are or as a URL or JSON spells them. One of fewer than eight code units is
 * replaced only where it stands as a word: everywhere else it would be by chance, and the gaps would spell it out.
 */
export const redact = (text: string, secrets: ReadonlyArray<Redacted.Redacted>): string => {
  let left = text
  for (const secret of secrets.flatMap(spellings).toSorted((one, other) => other.length - one.length)) {
    if (!left.includes(secret)) continue
    left = secret.length >= surelyMeant
      ? left.replaceAll(secret, redacted)
      : left.replace(new RegExp(`(?<![\\p{L}\\p{N}_])${literal(secret)}(?![\\p{L}\\p{N}_])`, "gu"), redacted)
  }
  return left
}

const surelyMeant = 8

const spellings = (secret: Redacted.Redacted): ReadonlyArray<string> => {
  const value = Redacted.value(secret)
  if (value === "") return []
  return [...new Set([value, encoded(value), JSON.stringify(value).slice(1, -1)])]
}

/** A lone surrogate has no encoding. */
const encoded = (value: string): string => encodeURIComponent(value.replace(/\p{Cs}/gu, "\ufffd"))

/** A pattern that matches just this text. */
const literal = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")

/** One line: every run of white space and line ends is one blank, and what is hidden is visible. */
export const fold = (text: string): string => line(text.replace(/[\s\u0085]+/gu, " ")).trim()

/** Line ends as some program on the way may take them. */
const lineEnd = /\r\n?|[\n\v\f\u0085\u2028\u2029]/u

/** A character that is seen, of a script or an emoji that joiners and variation selectors belong to. */
const seen = String.raw`[^\p{ASCII}\p{Cc}\p{Cf}\p{Cs}\p{Z}\p{DI}]`
/** Joiners and variation selectors in their places. Behind ASCII they would only make one name look like another. */
const kept = [
  String.raw`(?<=${seen})(?:\u200c|\u200d|\ufe0e|\ufe0f)`,
  String.raw`(?<=${seen}\ufe0f)\u200d`,
  String.raw`(?<=[0-9#*])\ufe0f(?=\u20e3)`
].join("|")
/**
 * What a reader does not see: controls, format characters, line separators, lone surrogates, characters that Unicode lets
 * programs ignore, and the blank Braille pattern.
 */
const hidden = (): RegExp =>
  hiddenMade ??= new RegExp(String.raw`(${kept})|[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{DI}\u2800]`, "gu")
/** Made for the first text that needs it: to read the pattern takes as long as a small frame. */
let hiddenMade: RegExp | undefined
/** Most text: nothing in it is hidden, and no pattern of Unicode has to look. */
const onlySeen = /^[ -~]*$/

const visible = (found: string, kept: string | undefined): string =>
  kept ?? `\\u{${(found.codePointAt(0) ?? 0).toString(16)}}`

/** The first `length` code units, less one if that would leave half a pair. */
const beginning = (text: string, length: number): string => text.slice(0, Math.max(0, length)).replace(/\p{Cs}$/u, "")

const ellipsis = "…"

/**
 * At most `max` code units, cut between two characters as a reader sees them and then ended with `…`. A single character longer
 * than that is cut between code points.
 */
export const cut = (value: string, max: number): string => {
  if (value.length <= max) return value
  const room = Math.floor(max) - ellipsis.length
  if (room < 0) return ""
  // A boundary depends on the code point behind it, and on nothing after that.
  const near = value.slice(0, room + 2)
  let end = 0
  for (const { index } of graphemes().segment(near)) if (index <= room) end = index
  if (end === 0) {
    for (const point of near) {
      if (end + point.length > room) break
      end += point.length
    }
  }
  return `${value.slice(0, end).trimEnd()}${ellipsis}`
}
