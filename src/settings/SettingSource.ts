/**
 * Where the texts of settings come from: flags, environment variables, and the files and descriptors that variables name.
 * Every one is read here, so that all follow the same rules:
 *
 * - A flag wins over its variable. A blank flag or variable counts as not set.
 * - `~` at the start of a path is the home directory.
 * - One line end at the end of a variable or a file is not part of the value.
 * - A problem shows neither the path nor the content. It hints at quotes, which some readers of env files leave in place.
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { readDescriptor, readRegularFile } from "../storage/RegularFile.ts"
import type { StorageError } from "../storage/StorageError.ts"
import type { Decoded, Problem, Setting, Table } from "./Setting.ts"
import { decode, suffixes } from "./Setting.ts"

/** The text of a setting, and the flag or variable that it was set by. */
export interface Text {
  readonly name: string
  readonly text: Redacted.Redacted
}

/** A flag or variable, or what it names, that cannot be used. `problem` ends a sentence that begins with `name`. */
export interface Fault {
  readonly name: string
  readonly reason: "Ambiguous" | "Empty" | "NotADescriptor" | "NotUtf8" | "Unreadable"
  readonly problem: string
}

/** What was found of one setting. */
export interface Found {
  readonly text: Text | undefined
  readonly faults: ReadonlyArray<Fault>
}

/** What was found of a table, by the names of its rows. */
export interface Texts<T extends Table> {
  readonly texts: { readonly [K in keyof T]?: Text }
  readonly faults: ReadonlyArray<Fault>
}

type Read<A> = Effect.Effect<A, Config.ConfigError, FileSystem.FileSystem>

/** Finds what is set of a table. The texts of flags are given by the names of its rows. */
export const find = <T extends Table>(
  table: T,
  flags: { readonly [K in keyof T]?: string | undefined } = {}
): Read<Texts<T>> =>
  Effect.gen(function*() {
    const texts: { [K in keyof T]?: Text } = {}
    const faults: Array<Fault> = []
    for (const name in table) {
      const row = table[name]
      if (row === undefined) continue
      const found = yield* findOne(row, flags[name])
      if (found.text !== undefined) texts[name] = found.text
      faults.push(...found.faults)
    }
    return { texts, faults }
  })

/**
 * Checks what was found, and what a program gives besides, which wins. Problems are by the names of the rows; `named`
 * gives them the names that a person knows.
 */
export const parse = <T extends Table>(
  table: T,
  texts: Texts<T>["texts"],
  own: { readonly [K in keyof T]?: unknown } = {}
): Decoded<T> =>
  decode(table, (name, row) => {
    const found = texts[name]
    if (own[name] !== undefined) return row.accept(own[name])
    return found === undefined ? undefined : row.parse(Redacted.value(found.text))
  })

/**
 * Problems by the names that a person knows: the flag or variable that was set, or else the variable that could be. What a
 * program gave keeps the name of its row.
 */
export const named = <T extends Table>(
  table: T,
  { faults, texts }: Texts<T>,
  problems: Decoded<T>["problems"],
  own: { readonly [K in keyof T]?: unknown } = {}
): ReadonlyArray<Problem> => [
  ...faults.map(({ name, problem }) => ({ setting: name, problem })),
  ...problems.map(({ problem, setting }) =>
    own[setting] === undefined
      ? {
        setting: texts[setting]?.name ?? table[setting]?.variable ?? setting,
        problem: hinted(problem, texts[setting])
      }
      : { setting, problem }
  )
]

/** One warning for each text that is in quotes. */
export const quoteWarnings = (texts: ReadonlyArray<Text | undefined>): ReadonlyArray<string> =>
  texts.filter((found) => found !== undefined).filter(({ text }) => inQuotes(Redacted.value(text)))
    .map(({ name }) => `${name} gives a value in quotes. ${quotes}.`)

/** A secret: the variable's own text, or what its `_FILE` or `_FD` leads to. More than one of them is a fault. */
export const secret = Effect.fn("SettingSource.secret")(function*(name: string): Effect.fn.Return<
  Found,
  Config.ConfigError,
  FileSystem.FileSystem
> {
  const [first, ...others] = (yield* Effect.forEach([name, ...suffixes.map((end) => `${name}${end}`)], variable))
    .filter((found) => found !== undefined)
  const faults = others.map((other): Fault => ({
    name: other.name,
    reason: "Ambiguous",
    problem: `is set beside ${first?.name ?? name}; set one of them`
  }))
  if (first === undefined || first.name === name) return { text: first, faults }
  const path = first.name.endsWith("_FD") ? descriptorPath(first) : Result.succeed(yield* expanded(first))
  if (Result.isFailure(path)) return { text: undefined, faults: [...faults, path.failure] }
  return Result.match(yield* contentOf(first, path.success, { fatal: true }), {
    onFailure: (fault) => ({ text: undefined, faults: [...faults, fault] }),
    onSuccess: (text) => ({ text: { name: first.name, text }, faults })
  })
})

/** Made once: its decoder costs more than all that is read with it. */
const anyText = Config.Redacted()

/** A variable's text without one line end at its end; undefined when it is blank. */
export const variable = (name: string): Effect.Effect<Text | undefined, Config.ConfigError> => {
  // By its group, as nested configuration has it. In an environment that is the same name.
  const [, group, rest] = /^(OPENCLAW_[A-Z]+)_(.+)$/.exec(name) ?? []
  const config = group === undefined || rest === undefined
    ? Config.nested(anyText, name)
    : Config.nested(Config.nested(anyText, rest), group)
  return Effect.map(Config.option(config), (found) => {
    const text = Option.map(found, (value) => withoutLineEnd(Redacted.value(value)))
    return Option.isSome(text) && text.value.trim() !== "" ? { name, text: Redacted.make(text.value) } : undefined
  })
}

const findOne = Effect.fnUntraced(function*(row: Setting<unknown>, flag: string | undefined): Effect.fn.Return<
  Found,
  Config.ConfigError,
  FileSystem.FileSystem
> {
  const found = flag !== undefined && flag.trim() !== ""
    ? { name: `--${row.flag}`, text: Redacted.make(flag) }
    : row.variable === undefined || row.source === "secret"
    ? undefined
    : yield* variable(row.variable)
  if (found === undefined) {
    return row.variable !== undefined && row.source === "secret"
      ? yield* secret(row.variable)
      : { text: undefined, faults: [] }
  }
  if (row.source === "path") {
    return { text: { ...found, text: Redacted.make(yield* expanded(found)) }, faults: [] }
  }
  if (row.source !== "file") return { text: found, faults: [] }
  // Bundles of certificates have comments in every encoding.
  return Result.match(yield* contentOf(found, yield* expanded(found), { fatal: false }), {
    onFailure: (fault) => ({ text: undefined, faults: [fault] }),
    onSuccess: (text) => ({ text: { name: found.name, text }, faults: [] })
  })
})

/** The path that a variable holds, with `~` at its start replaced; undefined when it is blank. */
export const pathVariable = (name: string): Effect.Effect<string | undefined, Config.ConfigError> =>
  Effect.flatMap(variable(name), (found) => found === undefined ? Effect.undefined : expanded(found))

/** A path as it was set, with `~` at its start replaced by the home directory, if there is one. */
const expanded = Effect.fnUntraced(function*({ text }: Text) {
  const path = Redacted.value(text).trim()
  if (!/^~(?=$|[\\/])/.test(path)) return path
  const home = (yield* variable("HOME")) ?? (yield* variable("USERPROFILE"))
  return home === undefined ? path : `${Redacted.value(home.text).trim()}${path.slice(1)}`
})

const descriptorPath = ({ name, text }: Text): Result.Result<string, Fault> => {
  const number = Redacted.value(text).trim()
  return /^\d{1,9}$/.test(number)
    ? Result.succeed(`/dev/fd/${number}`)
    : Result.fail({ name, reason: "NotADescriptor", problem: "must be the number of an open file descriptor" })
}

const contentOf = Effect.fnUntraced(function*(named: Text, path: string, options: { readonly fatal: boolean }) {
  const what = named.name.endsWith("_FD") ? "a file descriptor" : "a file"
  const fault = (reason: Fault["reason"], problem: string): Result.Result<never, Fault> =>
    Result.fail({ name: named.name, reason, problem: hinted(`names ${what} that ${problem}`, named) })
  // A shell gives the path of a descriptor for the output of a command: `<(command)`.
  const read = path.startsWith("/dev/fd/") ? readDescriptor : readRegularFile
  const bytes = yield* Effect.result(read(path, maxBytes))
  if (Result.isFailure(bytes)) return fault("Unreadable", whyUnreadable(bytes.failure))
  const text = Result.try(() => new TextDecoder("utf-8", options).decode(bytes.success))
  if (Result.isFailure(text)) return fault("NotUtf8", "does not hold UTF-8 text")
  const value = withoutLineEnd(text.success)
  return value.trim() === "" ? fault("Empty", "holds nothing") : Result.succeed(Redacted.make(value))
})

/** More than any bundle of authorities has. */
const maxBytes = 4 * 1024 * 1024

const whyUnreadable = ({ errno, reason }: StorageError): string =>
  reason === "NotRegularFile"
    ? "is no regular file"
    : errno === "EFBIG"
    ? `holds more than ${maxBytes / 1024 / 1024} MiB`
    : "cannot be read"

const withoutLineEnd = (text: string): string => text.replace(/(?:\r?\n|\r)$/, "")

const inQuotes = (text: string): boolean => /^(["'`])[^]*\1$/.test(text.trim())
const quotes = "The quotes count as part of the value; remove them"
const hinted = (problem: string, found: Text | undefined): string =>
  found !== undefined && inQuotes(Redacted.value(found.text)) ? `${problem}. ${quotes}` : problem
