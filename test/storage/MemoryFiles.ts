/**
 * A POSIX file system in memory: inodes with modes, hard links, symbolic links, one clock. Each operation passes a gate
 * first, by which a test can delay it, fail it, or end the process there. Several services can share one disk, as processes
 * do.
 */
import * as ByteSize from "effect/ByteSize"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import { type PlatformError, systemError, type SystemErrorTag } from "effect/PlatformError"

export interface Inode {
  readonly number: bigint
  readonly type: FileSystem.File.Type
  mode: number
  uid: number
  bytes: Uint8Array
  mtimeMs: number
  readonly target?: string
}

export interface Disk {
  readonly entries: Map<string, Inode>
  inodes: bigint
}

export interface Behaviour {
  /** Runs before each operation. */
  readonly gate?: (operation: string, path: string) => Effect.Effect<void, PlatformError>
  /** Bits taken from the mode of what is created. */
  readonly umask?: number
  /** False: like a DOS file system, everything shows this mode and a change of mode does nothing. */
  readonly fixedMode?: number
  readonly links?: boolean
  /** The error with which this file system answers a hard link. */
  readonly linkErrno?: string | undefined
  readonly chmod?: boolean
  /** Owner of what is created, as this file system shows it. */
  readonly uid?: number
}

/** Who owns what processes create, unless they say otherwise. */
export const user = 1000

export const makeDisk = (): Disk => {
  const disk: Disk = { entries: new Map(), inodes: 1n }
  disk.entries.set("/", { number: 1n, type: "Directory", mode: 0o755, uid: 0, bytes: new Uint8Array(), mtimeMs: 0 })
  return disk
}

export const copyDisk = (disk: Disk): Disk => {
  const copies = new Map([...new Set(disk.entries.values())].map((inode) => [inode, { ...inode }]))
  return {
    entries: new Map([...disk.entries].map(([path, inode]) => [path, copies.get(inode) ?? inode])),
    inodes: disk.inodes
  }
}

export const failure = (tag: SystemErrorTag, code: string, method: string, path: string): PlatformError =>
  systemError({
    _tag: tag,
    module: "FileSystem",
    method,
    pathOrDescriptor: path,
    cause: Object.assign(new Error(code), { code })
  })

/** The files of a disk as text, for comparisons. */
export const snapshot = (disk: Disk): Record<string, string> =>
  Object.fromEntries(
    [...disk.entries].flatMap(([path, inode]) =>
      inode.type === "File" ? [[path, new TextDecoder().decode(inode.bytes)]] : []
    )
  )

export const makeFileSystem = (
  disk: Disk,
  behaviour: Behaviour = {}
): Effect.Effect<FileSystem.FileSystem, never, Path.Path> =>
  Effect.map(Path.Path, (paths) => {
    const gate = behaviour.gate ?? (() => Effect.void)
    const parentOf = (path: string) => paths.dirname(path)
    const below = (path: string) => [...disk.entries].filter(([entry]) => entry.startsWith(`${path}/`))

    const find = (method: string, path: string) =>
      Effect.suspend(() => {
        const inode = disk.entries.get(path)
        return inode === undefined ? Effect.fail(failure("NotFound", "ENOENT", method, path)) : Effect.succeed(inode)
      })
    const create = (path: string, type: FileSystem.File.Type, mode: number) =>
      Effect.map(Clock.currentTimeMillis, (mtimeMs) => {
        disk.inodes += 1n
        const inode: Inode = {
          number: disk.inodes,
          type,
          mode: behaviour.fixedMode ?? mode & ~(behaviour.umask ?? 0o022),
          uid: behaviour.uid ?? user,
          bytes: new Uint8Array(),
          mtimeMs
        }
        disk.entries.set(path, inode)
        return inode
      })
    const infoOf = (inode: Inode): FileSystem.File.Info => ({
      type: inode.type,
      mtime: Option.some(new Date(inode.mtimeMs)),
      atime: Option.none(),
      birthtime: Option.none(),
      dev: 1n,
      ino: Option.some(inode.number),
      mode: inode.mode | (inode.type === "Directory" ? 0o040000 : 0o100000),
      nlink: Option.some(BigInt([...disk.entries.values()].filter((other) => other === inode).length)),
      uid: Option.some(inode.uid),
      gid: Option.some(1000),
      rdev: Option.none(),
      size: ByteSize.bytes(BigInt(inode.bytes.length)),
      blksize: Option.none(),
      blocks: Option.none()
    })
    const fileOf = (path: string, inode: Inode): FileSystem.File => {
      let position = 0
      const read = (buffer: Uint8Array) =>
        Effect.sync(() => {
          const part = inode.bytes.subarray(position, position + buffer.length)
          buffer.set(part)
          position += part.length
          return part.length
        })
      const writeAll = (buffer: Uint8Array) =>
        // in two halves, so that a crash can tear what is written in place
        Effect.forEach([buffer.subarray(0, buffer.length >> 1), buffer.subarray(buffer.length >> 1)], (half) =>
          Effect.andThen(
            gate("write", path),
            Effect.sync(() => {
              inode.bytes = new Uint8Array([...inode.bytes, ...half])
            })
          ), { discard: true })
      return {
        [FileSystem.FileTypeId]: FileSystem.FileTypeId,
        stat: Effect.andThen(gate("fstat", path), Effect.sync(() => infoOf(inode))),
        seek: () => Effect.succeed(0n),
        sync: gate("sync", path),
        read: (buffer) => Effect.andThen(gate("read", path), read(buffer)),
        readAlloc: () => Effect.succeedNone,
        truncate: () => Effect.void,
        write: (buffer) => Effect.as(writeAll(buffer), buffer.length),
        writeAll
      }
    }
    const lookUp = (method: string) => (path: string) =>
      Effect.andThen(gate(method, path), Effect.map(find(method, path), infoOf))

    return FileSystem.makeNoop({
      access: (path) => Effect.andThen(gate("access", path), Effect.asVoid(find("access", path))),
      exists: (path) => Effect.andThen(gate("exists", path), Effect.sync(() => disk.entries.has(path))),
      lstat: lookUp("lstat"),
      stat: lookUp("stat"),
      realPath: (path) => Effect.andThen(gate("realPath", path), Effect.as(find("realPath", path), path)),
      chmod: (path, mode) =>
        Effect.andThen(
          gate("chmod", path),
          Effect.flatMap(find("chmod", path), (inode) => {
            if (behaviour.chmod === false) return Effect.fail(failure("PermissionDenied", "EPERM", "chmod", path))
            inode.mode = behaviour.fixedMode ?? mode
            return Effect.void
          })
        ),
      makeDirectory: Effect.fnUntraced(function*(path, options) {
        yield* gate("makeDirectory", path)
        if (disk.entries.has(path) && options?.recursive !== true) {
          return yield* failure("AlreadyExists", "EEXIST", "makeDirectory", path)
        }
        const missing: Array<string> = []
        for (let place = path; !disk.entries.has(place); place = parentOf(place)) missing.unshift(place)
        for (const place of missing) yield* create(place, "Directory", options?.mode ?? 0o777)
      }),
      readDirectory: (path) =>
        Effect.andThen(
          gate("readDirectory", path),
          Effect.map(
            find("readDirectory", path),
            () =>
              [...disk.entries.keys()].filter((entry) => entry !== "/" && parentOf(entry) === path).map((entry) =>
                paths.basename(entry)
              )
          )
        ),
      open: Effect.fnUntraced(function*(path, options) {
        yield* gate("open", path)
        const existing = disk.entries.get(path)
        if (options?.flag === "wx" && existing !== undefined) {
          return yield* failure("AlreadyExists", "EEXIST", "open", path)
        }
        if (options?.flag === "wx") {
          yield* find("open", parentOf(path))
          return fileOf(path, yield* create(path, "File", options.mode ?? 0o666))
        }
        return fileOf(path, yield* find("open", path))
      }),
      link: Effect.fnUntraced(function*(from, to) {
        yield* gate("link", to)
        if (behaviour.links === false) return yield* failure("PermissionDenied", "EPERM", "link", to)
        if (behaviour.linkErrno !== undefined) return yield* failure("Unknown", behaviour.linkErrno, "link", to)
        const inode = yield* find("link", from)
        if (disk.entries.has(to)) return yield* failure("AlreadyExists", "EEXIST", "link", to)
        disk.entries.set(to, inode)
      }),
      rename: Effect.fnUntraced(function*(from, to) {
        yield* gate("rename", to)
        const inode = yield* find("rename", from)
        const target = disk.entries.get(to)
        if (target !== undefined && target.type === "Directory") {
          if (inode.type !== "Directory") return yield* failure("BadResource", "EISDIR", "rename", to)
          if (below(to).length > 0) return yield* failure("Unknown", "ENOTEMPTY", "rename", to)
        } else if (target !== undefined && inode.type === "Directory") {
          return yield* failure("BadResource", "ENOTDIR", "rename", to)
        }
        for (const [path, moved] of [[from, inode] as const, ...below(from)]) {
          disk.entries.delete(path)
          disk.entries.set(`${to}${path.slice(from.length)}`, moved)
        }
      }),
      remove: Effect.fnUntraced(function*(path, options) {
        yield* gate("remove", path)
        const inode = disk.entries.get(path)
        if (inode?.type === "Directory" && options?.recursive !== true) {
          return yield* failure("Unknown", "ERR_FS_EISDIR", "remove", path)
        }
        for (const [inside] of below(path)) disk.entries.delete(inside)
        if (!disk.entries.delete(path) && options?.force !== true) {
          return yield* failure("NotFound", "ENOENT", "remove", path)
        }
      }),
      readFileString: (path) =>
        Effect.andThen(
          gate("readFile", path),
          Effect.map(find("readFile", path), (inode) => new TextDecoder().decode(inode.bytes))
        ),
      readFile: (path) =>
        Effect.andThen(gate("readFile", path), Effect.map(find("readFile", path), (inode) => inode.bytes))
    })
  })

/** Puts a file on the disk as somebody else would have left it. */
export const place = (disk: Disk, path: string, text: string, mode = 0o600, mtimeMs = 0): void => {
  const parts = path.split("/").slice(1, -1)
  parts.forEach((_, index) => {
    const directory = `/${parts.slice(0, index + 1).join("/")}`
    if (disk.entries.has(directory)) return
    disk.inodes += 1n
    disk.entries.set(directory, {
      number: disk.inodes,
      type: "Directory",
      mode: 0o700,
      uid: user,
      bytes: new Uint8Array(),
      mtimeMs
    })
  })
  disk.inodes += 1n
  disk.entries.set(path, {
    number: disk.inodes,
    type: "File",
    mode,
    uid: user,
    bytes: new TextEncoder().encode(text),
    mtimeMs
  })
}
