/**
 * Where the texts of settings come from: flags, environment variables, and the files that variables name.
 * Every one is read here, so that all follow the same rules:
 *
 * - A flag wins over its variable. A blank flag or variable counts as not set.
 * - `~` at the start of a path is the home directory.
 * - A problem shows neither the path nor the content.
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { Decoded, Problem, Setting, Table } from "./Setting.ts"
import { decode } from "./Setting.ts"

/** The text of a setting, and the flag or variable that it was set by. */
export interface Text {
  readonly name: string
  readonly text: Redacted.Redacted
}

/** A flag or variable, or what it names, that cannot be used. `problem` ends a sentence that begins with `name`. */
export interface Fault {
  readonly name: string
  readonly problem: string
}

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
  ...problems.map(({ problem, setting }) => ({
    setting: own[setting] === undefined ? texts[setting]?.name ?? table[setting]?.variable ?? setting : setting,
    problem
  }))
]

/** A variable's text; undefined when it is blank. */
export const variable = (name: string): Effect.Effect<Text | undefined, Config.ConfigError> => {
  // As the providers of both kinds have it: by its whole name, and by its group.
  const [, group, rest] = /^(OPENCLAW_[A-Z]+)_(.+)$/.exec(name) ?? []
  const config = group === undefined || rest === undefined
    ? Config.Redacted(name)
    : Config.nested(Config.Redacted(rest), group)
  return Effect.map(
    Config.option(config),
    (found) =>
      Option.isSome(found) && Redacted.value(found.value).trim() !== "" ? { name, text: found.value } : undefined
  )
}

const findOne = Effect.fnUntraced(function*(row: Setting<unknown>, flag: string | undefined): Effect.fn.Return<
  Found,
  Config.ConfigError,
  FileSystem.FileSystem
> {
  if (flag !== undefined && flag.trim() !== "") {
    return yield* followed(row, { name: `--${row.flag}`, text: Redacted.make(flag) })
  }
  if (row.variable === undefined) return { text: undefined, faults: [] }
  const found = yield* variable(row.variable)
  const file = row.source === "secretOrFile" ? yield* variable(`${row.variable}_FILE`) : undefined
  if (file === undefined) return found === undefined ? { text: found, faults: [] } : yield* followed(row, found)
  return found === undefined
    ? yield* contentOf(file)
    : { text: found, faults: [{ name: file.name, problem: `is set beside ${found.name}; set one of them` }] }
})

/** What a flag or variable stands for: itself, a path, or the content of a file. */
const followed = Effect.fnUntraced(function*({ source }: Setting<unknown>, found: Text) {
  if (source === "file") return yield* contentOf(found)
  const text = source === "path" ? Redacted.make(yield* expanded(found)) : found.text
  return { text: { ...found, text }, faults: [] }
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

const contentOf = Effect.fnUntraced(function*(named: Text) {
  const fs = yield* FileSystem.FileSystem
  const content = yield* Effect.option(fs.readFileString(yield* expanded(named)))
  return Option.match(content, {
    onNone: (): Found => ({
      text: undefined,
      faults: [{ name: named.name, problem: "names a file that cannot be read" }]
    }),
    onSome: (text): Found => ({ text: { name: named.name, text: Redacted.make(text) }, faults: [] })
  })
})
