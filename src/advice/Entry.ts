/**
 * What a person is told about a failure, as data: what happened, who can end it, what to do and where, and what comes next.
 *
 * `Table` is typed by the errors that it is about. A tag or a reason without an entry does not compile, and neither does an
 * entry for a tag or a reason that no error has.
 */

/** Who can end the failure: the person who runs this program, the one who runs the gateway, the network, or our authors. */
export type Owner = "you" | "gateway host" | "network" | "this program"

export interface Entry {
  /** What happened, in one sentence or two. */
  readonly problem: string
  readonly owner: Owner
  readonly action: string
  /** A command to run, where one helps. Words in angle brackets are to be filled in. */
  readonly command?: string
  /** What this program does by itself afterwards. */
  readonly next: string
}

type ReasonOf<E> = E extends { readonly reason: infer Reason extends string } ? Reason : never

type EntriesOf<E> = [ReasonOf<E>] extends [never] ? Entry : Entry | Readonly<Record<ReasonOf<E>, Entry>>

/** Entries by tag. A class with reasons has an entry for each of them, or one that holds for all. */
export type Table<E extends { readonly _tag: string }> = {
  readonly [Tag in E["_tag"]]: EntriesOf<Extract<E, { readonly _tag: Tag }>>
}

/** Entries by names that are known at run time only. */
export type Entries = Readonly<Record<string, Entry | Readonly<Record<string, Entry>>>>

const isEntry = (found: Entry | Readonly<Record<string, Entry>>): found is Entry => typeof found["problem"] === "string"

const own = <A>(record: Readonly<Record<string, A>>, name: string): A | undefined =>
  Object.hasOwn(record, name) ? record[name] : undefined

/** The entry for a failure by its names, which may come from outside: `undefined` when there is none. */
export const find = (entries: Entries, tag: string, reason?: string): Entry | undefined => {
  const found = own(entries, tag)
  if (found === undefined || isEntry(found)) return found
  return reason === undefined ? undefined : own(found, reason)
}

/** What to do, as sentences: for a place where the failure's own message says what happened. */
export const toDo = ({ action, command }: Entry): string =>
  `${action}${command === undefined ? "" : ` Command: ${command}`}`

/** What happened and what to do, as sentences. What comes next is left out: it holds only where the program stays up. */
export const sentences = (entry: Entry): string => `${entry.problem} ${toDo(entry)}`
