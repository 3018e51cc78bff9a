/**
 * A setting as one row of a table. The row decides how a value is read and checked, its flag, its name in messages and its
 * line in the README.
 *
 * To add a setting, add a row: to `handshake/GatewayTable.ts` if a program that embeds the library may set it too, to
 * `cli/DeviceTable.ts` if only the commands have it.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

/** A value, undefined for blank text, or why it is refused: the end of a sentence that begins with the setting's name. */
export type Checked<A> = Result.Result<A | undefined, { readonly message: string }>

/** What a setting may be, and how its text is found. */
export interface Kind<out A> {
  /**
   * `variable`: the variable's text. `path`: the same, with `~` expanded. `file`: the content of the file that the variable
   * names. `secret`: the variable's text, the content of the file that `<variable>_FILE` names, or that of the open file
   * descriptor `<variable>_FD`.
   */
  readonly source: "file" | "path" | "secret" | "variable"
  /** Checks the text of a flag, a variable or a file. */
  readonly parse: (text: string) => Checked<A>
  /** Checks what a program gives. */
  readonly accept: (value: unknown) => Checked<A>
  /** The values that it may have, in words. */
  readonly range: string
}

/** What a setting is called, what it is about, and what holds when it is not set. */
export interface Names {
  /** The environment variable. Without one, only a program can set it. */
  readonly variable?: string
  /** The flag, without its dashes. Not for secrets: other users of a machine can read command lines. */
  readonly flag?: string
  /** As a program or a variable would give it. A change here is a change for every user: the changelog lists it. */
  readonly default?: unknown
  /** What holds without a default, in words. */
  readonly otherwise?: string
  /** What it is about, as the README and `--help` say it. */
  readonly about: string
}

export type Setting<A> = Kind<A> & Names
export type Table = Readonly<Record<string, Setting<unknown>>>

/** A row of a table. */
export const setting = <A, const N extends Names>(kind: Kind<A>, names: N): Kind<A> & N => ({ ...kind, ...names })

/** The checked values of a table. A setting without a default is undefined when it is not set. */
export type Values<T extends Table> = {
  readonly [K in keyof T]: T[K] extends Kind<infer A> ? T[K] extends { readonly default: unknown } ? A : A | undefined
    : never
}

export interface Problem<Name extends string = string> {
  readonly setting: Name
  readonly problem: string
}

/** A table's settings after their checks. */
export interface Decoded<T extends Table> {
  /** A refused value counts as not set, so that what depends on it can still be checked. */
  readonly values: Values<T>
  /** What was set, whether it was refused or not. */
  readonly given: ReadonlySet<keyof T>
  readonly problems: ReadonlyArray<Problem<keyof T & string>>
}

/** Defaults after their checks, made once: each agent has its table decoded, and few of its settings are given. */
const defaults = new WeakMap<Setting<unknown>, unknown>()

const defaultOf = (row: Setting<unknown>): unknown => {
  if (row.default === undefined) return undefined
  if (!defaults.has(row)) defaults.set(row, Result.getOrThrow(row.accept(row.default)))
  return defaults.get(row)
}

/** Checks each setting of a table by `check`, which answers undefined where nothing is given. */
export const decode = <T extends Table>(
  table: T,
  check: (name: keyof T & string, row: Setting<unknown>) => Checked<unknown> | undefined
): Decoded<T> => {
  const values: Record<string, unknown> = {}
  const given = new Set<keyof T>()
  const problems: Array<Problem<keyof T & string>> = []
  for (const name in table) {
    const row = table[name]
    if (row === undefined) continue
    const checked = check(name, row) ?? notSet
    const value = Result.getOrUndefined(checked)
    if (Result.isFailure(checked)) {
      problems.push({ setting: name, problem: checked.failure.message.replace(/\s*\n\s*/g, "; ") })
    }
    if (Result.isFailure(checked) || value !== undefined) given.add(name)
    values[name] = value ?? defaultOf(row)
  }
  // Each value has come from the row of its name.
  return { values: values as Values<T>, given, problems }
}

/** Checks what a program gives, by the names of the rows. */
export const accept = <T extends Table>(table: T, input: { readonly [K in keyof T]?: unknown }): Decoded<T> =>
  decode(table, (name, row) => input[name] === undefined ? undefined : row.accept(input[name]))

/** The rows as the README shows them, without those that only a program can set. */
export const markdown = (rows: ReadonlyArray<Setting<unknown>>): string => {
  const code = (text: string | undefined) => text === undefined ? "" : `\`${text}\``
  return [
    "| flag | variable | default | range | what it is |",
    "| --- | --- | --- | --- | --- |",
    ...rows.filter(({ variable }) => variable !== undefined).map((row) =>
      `| ${code(row.flag === undefined ? undefined : `--${row.flag}`)} | ${code(row.variable)} | ${
        row.default === undefined ? row.otherwise ?? "" : code(String(row.default))
      } | ${row.range}${row.source === "secret" ? "; also with `_FILE` or `_FD`" : ""} | ${row.about} |`
    )
  ].join("\n")
}

/** Every variable that the rows read. */
export const variables = (rows: ReadonlyArray<Setting<unknown>>): ReadonlyArray<string> =>
  rows.flatMap(({ source, variable }) =>
    variable === undefined
      ? []
      : source === "secret"
      ? [variable, ...suffixes.map((end) => `${variable}${end}`)]
      : [variable]
  )

/** The ends of the variables that name a secret's file and its open file descriptor. */
export const suffixes = ["_FILE", "_FD"] as const

const ofText = <A>(parse: (text: string) => Checked<A>): Pick<Kind<A>, "accept" | "parse"> => ({
  parse,
  accept: (value) => typeof value === "string" ? parse(value) : refused("must be text")
})

const notSet = Result.succeed(undefined)

const refused = (message: string): Result.Result<never, { readonly message: string }> => Result.fail({ message })

type Parse<A> = (text: string) => Result.Result<A, { readonly message: string }>

/** Blank text counts as not set, and white space around other text does not count. */
const trimmed = <A>(parse: Parse<A>) => (text: string): Checked<A> => text.trim() === "" ? notSet : parse(text.trim())

/** Blank text counts as not set; other text stays as it is. */
const exact = <A>(parse: Parse<A>) => (text: string): Checked<A> => text.trim() === "" ? notSet : parse(text)

/** Text that `parse` checks. */
export const text = <A>(range: string, parse: Parse<A>): Kind<A> => ({
  source: "variable",
  range,
  ...ofText(trimmed(parse))
})

/** Any text. */
export const anyText = (range: string): Kind<string> => text(range, Result.succeed)

/** A file or directory. */
export const path = (range: string): Kind<string> => ({ ...anyText(range), source: "path" })

/** The content of a file. A program gives the content itself. */
export const file = <A>(range: string, parse: Parse<A>): Kind<A> => ({ ...text(range, parse), source: "file" })

/** Never shown. A program gives it as `Redacted`. */
export const secret = <A>(range: string, parse: Parse<A>): Kind<A> => redacted(range, trimmed(parse))

/** A secret in which white space counts. */
export const exactSecret = <A>(range: string, parse: Parse<A>): Kind<A> => redacted(range, exact(parse))

const redacted = <A>(range: string, parse: (text: string) => Checked<A>): Kind<A> => ({
  source: "secret",
  range,
  parse,
  accept: (value) =>
    Redacted.isRedacted(value) ? ofText(parse).accept(Redacted.value(value)) : refused("must be Redacted")
})

/** One of a few words. */
export const oneOf = <const A extends string>(...choices: readonly [A, A, ...ReadonlyArray<A>]): Kind<A> => {
  const range = `${choices.slice(0, -1).join(", ")} or ${choices.at(-1)}`
  return text(
    range,
    (given) => Result.fromNullishOr(choices.find((choice) => choice === given), () => ({ message: `must be ${range}` }))
  )
}

/** Text with commas or white space between its parts; a program may give an array. */
export const list = <A>(range: string, parse: (parts: ReadonlyArray<string>) => Checked<ReadonlyArray<A>>): Kind<
  ReadonlyArray<A>
> => {
  const parts = (all: ReadonlyArray<string>): Checked<ReadonlyArray<A>> => {
    const some = all.map((part) => part.trim()).filter((part) => part !== "")
    return some.length === 0 ? notSet : parse(some)
  }
  const ofWords = (text: string) => parts(text.split(/[\s,]+/))
  return {
    source: "variable",
    range,
    parse: ofWords,
    accept: (value) =>
      typeof value === "string" ? ofWords(value) : isTexts(value) ? parts(value) : refused("must be a list of texts")
  }
}

const isTexts = Schema.is(Schema.Array(Schema.String))

/** A whole number. */
export const count = (least: number, most: number): Kind<number> => {
  const range = `${least} to ${most}`
  const check = (value: unknown) =>
    Number.isInteger(value) && Number(value) >= least && Number(value) <= most
      ? Result.succeed(Number(value))
      : refused(`must be a whole number from ${range}`)
  return { source: "variable", range, parse: trimmed((given) => check(Number(given))), accept: check }
}

/** Yes or no, which only a program can say. */
export const yesOrNo: Kind<boolean> = {
  source: "variable",
  range: "true or false",
  parse: () => refused("can only be set by a program"),
  accept: (value) => typeof value === "boolean" ? Result.succeed(value) : refused("must be true or false")
}

/**
 * A time. Text is in Effect's notation, such as `15 seconds`, in the short one of the shell, such as `15s` or `5m`, or a bare
 * number of seconds, as `timeout` and `sleep` take it. A program may give any `Duration.Input` of at least a millisecond.
 */
export const time = (
  least: `${number} ${Duration.Unit}`,
  most: `${number} ${Duration.Unit}`
): Kind<Duration.Duration> => {
  const range = `${least} to ${most}`
  const inRange = Duration.between({
    minimum: Duration.fromInputUnsafe(least),
    maximum: Duration.fromInputUnsafe(most)
  })
  const found = (time: Option.Option<Duration.Duration>, message: string) =>
    Result.fromOption(time, () => ({ message }))
  return {
    source: "variable",
    range,
    parse: trimmed((given) =>
      found(
        Option.filter(decodeTime(written(given)), inRange),
        `must be a time from ${range}, written like "15 seconds", 15s or 5m`
      )
    ),
    accept: (value) =>
      found(
        // `fromInput` itself refuses what is no `Duration.Input`.
        Option.filter(Duration.fromInput(value as Duration.Input), (time) =>
          Duration.isFinite(time) && Duration.toMillis(time) >= 1),
        'must be a time of at least one millisecond, like "15 seconds"'
      )
  }
}

const units: Readonly<Record<string, Duration.Unit>> = {
  "": "seconds",
  ms: "millis",
  s: "seconds",
  sec: "seconds",
  m: "minutes",
  min: "minutes",
  h: "hours",
  d: "days"
}

/** A time in Effect's notation; other text stays as it is. */
const written = (text: string): string => {
  const [, amount = "", short = ""] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/.exec(text.toLowerCase()) ?? []
  const unit = amount !== "" && Object.hasOwn(units, short) ? units[short] : undefined
  return unit === undefined ? text : `${amount} ${unit}`
}

const decodeTime = Schema.decodeUnknownOption(Schema.DurationFromString)
