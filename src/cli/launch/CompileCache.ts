/**
 * The compiled code of this program, kept by Node.js from one start to the next.
 *
 * This process will hold a private key, and who writes the cache decides what it runs. So it is a directory of mode 0700 of
 * this user, in which and above which nobody else can put anything; otherwise there is no cache. Nothing here fails a start.
 */
import { lstatSync, mkdirSync, readdirSync, realpathSync, rmSync, statSync } from "node:fs"
import { enableCompileCache, getCompileCacheDir } from "node:module"
import { dirname, isAbsolute, join } from "node:path"
import process from "node:process"
import { packageVersion } from "../../handshake/PackageVersion.ts"

type Environment = Readonly<Record<string, string | undefined>>

/** `program` is the address of the program: each place that it is installed in has a directory of its own. */
export const enable = (words: ReadonlyArray<string>, program: string): void => {
  // The user has chosen a directory already.
  if (getCompileCacheDir() !== undefined) return
  try {
    const place = mayStore(words, process.env) ? placeOf(process.env, process.platform) : undefined
    const name = `${packageVersion}-${process.version}-${process.arch}-${digest(program)}`
    const ready = place === undefined ? undefined : prepare(join(place, name), process.env["HOME"], process.geteuid?.())
    if (ready !== undefined) enableCompileCache(ready)
  } catch {
    // A start without the cache is slower, and the same otherwise.
  }
}

/** False for a start that stores nothing, or no cache. The words are not parsed yet, so that one in a text counts too. */
export const mayStore = (words: ReadonlyArray<string>, environment: Environment): boolean =>
  !environment["NODE_DISABLE_COMPILE_CACHE"]
  && !words.some((word) => word.startsWith("--no-state"))
  && /^(|false)$/i.test(environment["OPENCLAW_DEVICE_NO_STATE"]?.trim() ?? "")

/** The platform's place for what can be made again (XDG Base Directory Specification), if the environment says where. */
export const placeOf = (environment: Environment, platform: string): string | undefined => {
  const below = (name: string, ...rest: ReadonlyArray<string>): string | undefined => {
    const base = environment[name]?.trim() ?? ""
    return isAbsolute(base) ? join(base, ...rest, "effect-openclaw", "compiled") : undefined
  }
  switch (platform) {
    case "win32":
      return below("LOCALAPPDATA")
    case "darwin":
      return below("HOME", "Library", "Caches")
    default:
      return below("XDG_CACHE_HOME") ?? below("HOME", ".cache")
  }
}

/** Makes the directory where it may be used, and answers its real path. `user` is undefined where files have no owner. */
export const prepare = (
  directory: string,
  home: string | undefined,
  user: number | undefined
): string | undefined => {
  const realHome = home === undefined ? undefined : realpathSync(home)
  const isSafe = (path: string) => user === undefined || isOutOfReach(path, realHome, user)
  // Checked first: root makes nothing in the home directory of another user.
  if (!isSafe(nearest(directory))) return undefined
  const isNew = mkdirSync(directory, { recursive: true, mode: 0o700 }) !== undefined
  const real = realpathSync(directory)
  if (!isSafe(real) || (user !== undefined && !isOwn(real, user))) return undefined
  if (isNew) prune(dirname(real))
  return real
}

/** How many directories are kept, for versions of this program and of Node.js, and for places of installation. */
const maxKept = 4

/** Removes all but the latest directories. */
const prune = (parent: string): void => {
  const byAge = readdirSync(parent).map((name) => join(parent, name))
    .map((path) => ({ path, changedAtMs: statSync(path).mtimeMs }))
    .toSorted((one, other) => other.changedAtMs - one.changedAtMs)
  for (const { path } of byAge.slice(maxKept)) rmSync(path, { recursive: true, force: true })
}

/** The real path of what exists of a path. */
const nearest = (path: string): string => {
  try {
    return realpathSync(path)
  } catch {
    return nearest(dirname(path))
  }
}

const isOwn = (path: string, user: number): boolean => {
  const { mode, uid } = lstatSync(path)
  return uid === user && (mode & 0o077) === 0
}

/**
 * Whether nobody but this user and root can replace what is at this real path: by the owners and modes of all directories up
 * to the home directory, or up to the root for a path outside of it. A directory with the sticky bit, such as `/tmp`, lets
 * only owners rename.
 */
const isOutOfReach = (path: string, home: string | undefined, user: number): boolean => {
  const { mode, uid } = lstatSync(path)
  const isShared = (mode & 0o022) !== 0 && !(uid === 0 && (mode & 0o1000) !== 0)
  if ((uid !== user && uid !== 0) || isShared) return false
  const parent = dirname(path)
  return path === home || parent === path || isOutOfReach(parent, home, user)
}

/** FNV-1a, 32 bits, as 8 digits of hex. */
const digest = (text: string): string => {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  return (hash >>> 0).toString(16).padStart(8, "0")
}
