/**
 * The real place of a path, and who else could replace it.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"

/** Every user may write to this directory above ours, and could put another directory in the place of ours. */
export interface ParentWritable {
  readonly _tag: "ParentWritable"
  readonly path: string
  readonly mode: number
}

/** The path with the symbolic links of its existing part resolved. The file itself need not exist. */
export const realPathOf = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const rest: Array<string> = []
  let existing = path
  for (;;) {
    const real = yield* Effect.option(fs.realPath(existing))
    if (Option.isSome(real)) return paths.join(real.value, ...rest)
    const parent = paths.dirname(existing)
    if (parent === existing) return path
    rest.unshift(paths.basename(existing))
    existing = parent
  }
})

/**
 * The nearest directory above `directory` in which every user may write and rename. A directory with the sticky bit, such
 * as `/tmp`, is safe: only the owner of an entry may rename it. A directory that a group may write is accepted, as it is the
 * default on many systems.
 */
export const writableParentOf = Effect.fnUntraced(function*(directory: string) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  for (let below = directory, above = paths.dirname(directory); above !== below;) {
    const found = yield* Effect.option(fs.stat(above))
    const mode = Option.match(found, { onNone: () => 0, onSome: (info) => info.mode & 0o7777 })
    if ((mode & 0o002) !== 0 && (mode & 0o1000) === 0) {
      return Option.some<ParentWritable>({ _tag: "ParentWritable", path: above, mode })
    }
    below = above
    above = paths.dirname(above)
  }
  return Option.none<ParentWritable>()
})
