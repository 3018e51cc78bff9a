/**
 * Recognises places whose files do not survive a restart. On Linux the mount table of the process shows them; on other
 * systems only the well-known directories for temporary files are recognised.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"

export interface EphemeralPlace {
  readonly _tag: "EphemeralPlace"
  readonly path: string
  /**
   * `Memory`: gone when the machine restarts. `Container`: gone when the container is removed or replaced. `Temporary`:
   * cleared by the system from time to time.
   */
  readonly place: "Memory" | "Container" | "Temporary"
  /** The type of the file system and where it is mounted, where that is known. */
  readonly mount?: { readonly type: string; readonly point: string }
}

export interface Mount {
  readonly point: string
  readonly type: string
}

/** The mounts in the text of `/proc/self/mountinfo` (proc_pid_mountinfo(5)), in its order, without invalid lines. */
export const parseMountInfo = (text: string): ReadonlyArray<Mount> =>
  text.split("\n").flatMap((line) => {
    const [before = "", after = ""] = line.split(" - ")
    const point = before.split(" ")[4]
    const type = after.split(" ")[0]
    return point === undefined || type === undefined || type === "" ? [] : [{ point: unescapeMount(point), type }]
  })

/** The mount of a path: the one with the longest mount point above it, and of equal ones the last, which covers the others. */
export const mountOf = (mounts: ReadonlyArray<Mount>, path: string): Mount | undefined =>
  mounts.reduce<Mount | undefined>((best, mount) => {
    const above = mount.point === "/" || path === mount.point || path.startsWith(`${mount.point}/`)
    return above && (best === undefined || mount.point.length >= best.point.length) ? mount : best
  }, undefined)

/** Judges an absolute path whose symbolic links are resolved. */
export const judge = (mounts: ReadonlyArray<Mount>, path: string): Option.Option<EphemeralPlace> => {
  const mount = mountOf(mounts, path)
  const found = (place: EphemeralPlace["place"]) =>
    Option.some<EphemeralPlace>({ _tag: "EphemeralPlace", path, place, ...(mount === undefined ? {} : { mount }) })
  if (mount !== undefined && memoryTypes.has(mount.type)) return found("Memory")
  if (temporary.some((directory) => path.startsWith(`${directory}/`))) return found("Temporary")
  return mount !== undefined && containerTypes.has(mount.type) ? found("Container") : Option.none()
}

/** `judge` with the mounts of this process. It never fails: without a mount table fewer places are recognised. */
export const detect = Effect.fn("EphemeralPlace.detect")(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  const text = yield* Effect.orElseSucceed(fs.readFileString("/proc/self/mountinfo"), () => "")
  return judge(parseMountInfo(text), path)
})

const memoryTypes: ReadonlySet<string> = new Set(["tmpfs", "ramfs", "devtmpfs"])
const containerTypes: ReadonlySet<string> = new Set(["overlay", "aufs", "fuse-overlayfs", "fuse.fuse-overlayfs"])
const temporary = ["/tmp", "/var/tmp", "/private/tmp", "/private/var/tmp", "/var/folders", "/private/var/folders"]

/** Replaces the octal codes of blanks, tabs, line ends and backslashes. */
const unescapeMount = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
