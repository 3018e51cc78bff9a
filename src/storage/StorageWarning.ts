/**
 * A weakness that did not stop an operation on a private file.
 */
import * as Effect from "effect/Effect"
import { line } from "../protocol/OutsideText.ts"

export type StorageWarning =
  /** Other users could write to the directory with this mode; they cannot any more. */
  | { readonly _tag: "DirectoryRepaired"; readonly path: string; readonly mode: number }
  /** Other users could read or write the file with this mode; it is 0600 now. */
  | { readonly _tag: "ModeRepaired"; readonly path: string; readonly mode: number }
  /** Other users can read or write the file, and its mode could not be changed. */
  | { readonly _tag: "ModeNotRepaired"; readonly path: string; readonly mode: number }
  /** The file system keeps no modes: whether the file is private is up to the mount or to access lists. */
  | { readonly _tag: "ModesUnsupported"; readonly path: string }
  /** The file system has no hard links: its renames alone keep two processes that create at the same instant apart. */
  | { readonly _tag: "LinksUnsupported"; readonly path: string }

/** The sentence for a warning, without the path. */
export const describe = (warning: StorageWarning): string => {
  switch (warning._tag) {
    case "DirectoryRepaired":
      return "other users could write to a directory of private files, and cannot any more"
    case "ModeRepaired":
      return "a private file could be used by other users, and was made private"
    case "ModeNotRepaired":
      return "a private file can be used by other users, and its mode could not be changed"
    case "ModesUnsupported":
      return "the file system keeps no modes, so a private file is only as private as the mount makes it"
    case "LinksUnsupported":
      return "the file system has no hard links, so its renames alone keep two writers at the same instant apart"
  }
}

/** The facts of a warning as log annotations, in one line each. */
export const annotationsOf = (
  { path, ...more }: { readonly path: string; readonly mode?: number }
): Readonly<Record<string, string>> => ({
  path: line(path),
  ...(more.mode === undefined ? {} : { mode: more.mode.toString(8).padStart(4, "0") })
})

/** Logs the warnings of one store: a repair each time, a weakness that stays once. */
export const makeLog = Effect.sync(() => {
  const told = new Set<string>()
  const isNew = (warning: StorageWarning): boolean => {
    if (warning._tag === "DirectoryRepaired" || warning._tag === "ModeRepaired") return true
    const key = `${warning._tag} ${warning.path}`
    return !told.has(key) && told.add(key).size > 0
  }
  return (warnings: ReadonlyArray<StorageWarning>): Effect.Effect<void> =>
    Effect.forEach(
      warnings.filter(isNew),
      (warning) => Effect.annotateLogs(Effect.logWarning(describe(warning)), annotationsOf(warning)),
      { discard: true }
    )
})
