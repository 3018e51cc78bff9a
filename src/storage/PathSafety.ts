/**
 * What a path really is, and who may put something else in its place.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"

/** A directory above may be written by every user, who could put a directory of their own in the place of ours. */
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
 * The nearest directory above `directory` that every user may write and rename in. One whose entries only their owners may
 * rename (the sticky bit of `/tmp`) is safe, and so is one that only a group may write, as it is on many systems by default.
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
