/**
 * The checks of what is on this machine: settings, Node.js, the state directory and what is in it. They change nothing, neither a mode
 * nor a file.
 */
import type * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as References from "effect/References"
import { doctorAdvice } from "../advice/DoctorAdvice.ts"
import type { AdvisedError } from "../advice/ErrorCatalogue.ts"
import * as ErrorCatalogue from "../advice/ErrorCatalogue.ts"
import { describeWarning } from "../identity/DeviceIdentity.ts"
import { field, line } from "../protocol/OutsideText.ts"
import type { Found } from "../status/StatusClient.ts"
import { detect } from "../storage/EphemeralPlace.ts"
import { errnoOf } from "../storage/Errno.ts"
import { HostUser } from "../storage/HostUser.ts"
import { realPathOf, writableParentOf } from "../storage/PathSafety.ts"
import type { PrivateFile } from "../storage/PrivateFile.ts"
import { StorageError } from "../storage/StorageError.ts"
import type { JournalRecord, TaskJournalError } from "../tasks/TaskJournal.ts"
import type { Check, Finding, Mend } from "./Check.ts"
import { ok, unknown, warn } from "./Check.ts"

type Machine = FileSystem.FileSystem | Path.Path | PrivateFile | SecureRandom.SecureRandom

/** An error of this program as a finding. */
export const failed = (
  error: AdvisedError & { readonly message: string },
  mends: ReadonlyArray<Mend> = []
): Finding => ({
  status: "fail",
  what: line(error.message),
  error: { error: error._tag, reason: "reason" in error ? error.reason : undefined },
  advice: ErrorCatalogue.adviceOn(error),
  mends
})

/** The oldest release of Node.js, as `engines` of the package has it. */
const oldestNodejs = [22, 19] as const

export const nodejs = (version: string): Check => ({
  id: "nodejs",
  needs: [],
  make: Effect.sync(() => {
    const [major = 0, minor = 0] = version.replace(/^v/, "").split(".").map(Number)
    const [oldest, oldestMinor] = oldestNodejs
    const isOld = major < oldest || (major === oldest && minor < oldestMinor)
    return isOld
      ? {
        status: "fail",
        what: `Node.js ${version} is older than ${oldestNodejs.join(".")}`,
        advice: doctorAdvice.NodejsTooOld
      }
      : ok(`Node.js ${version}`)
  })
})

export const settingNames = (warnings: ReadonlyArray<string>): Check => ({
  id: "setting-names",
  needs: ["settings"],
  make: Effect.sync(() =>
    warnings.length === 0
      ? ok("every setting is known, set once and used")
      : warn(warnings.map((one) => line(one)).join(" "), doctorAdvice.SettingSuspicious)
  )
})

/** The directory may be absent: then the nearest one above it counts. */
export const stateDirectory = (directory: string | undefined): Check<Machine> => ({
  id: "state-directory",
  needs: ["settings"],
  make: directory === undefined
    ? Effect.succeed(ok("nothing is stored, as the settings say"))
    : Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const paths = yield* Path.Path
      const found = yield* Effect.option(fs.stat(directory))
      if (Option.isNone(found)) {
        let above = paths.dirname(directory)
        while (above !== paths.dirname(above) && !(yield* exists(above))) above = paths.dirname(above)
        const obstacle = yield* notWritable(above)
        return obstacle === undefined
          ? ok(`${line(directory)} does not exist yet, and can be created`)
          : failed(obstacle)
      }
      const { mode, type, uid } = found.value
      if (type !== "Directory") {
        return failed(new StorageError({ path: directory, reason: "Unwritable", errno: "ENOTDIR" }))
      }
      const us = yield* HostUser
      if (us !== undefined && Option.isSome(uid) && uid.value !== us && uid.value !== 0 && us !== 0) {
        return failed(new StorageError({ path: directory, reason: "ForeignOwner", owner: uid.value }))
      }
      const obstacle = yield* notWritable(directory)
      if (obstacle !== undefined) return failed(obstacle)
      if ((mode & 0o022) !== 0 && (mode & 0o1000) === 0) {
        return failed(
          new StorageError({ path: directory, reason: "DirectoryWritable", mode: mode & 0o7777 }),
          [{ _tag: "Chmod", path: directory, mode: mode & 0o7755 }]
        )
      }
      return ok(`${line(directory)} is yours and can be written`)
    })
})

const exists = (path: string) =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => Effect.orElseSucceed(fs.exists(path), () => false))

const notWritable = (path: string) =>
  Effect.flatMap(FileSystem.FileSystem, (fs) =>
    Effect.match(fs.access(path, { writable: true }), {
      onFailure: (cause) => new StorageError({ path, reason: "Unwritable", errno: errnoOf(cause) ?? "EACCES" }),
      onSuccess: () => undefined
    }))

export const durablePlace = (identityPath: string | undefined): Check<Machine> => ({
  id: "durable-place",
  needs: ["settings"],
  make: identityPath === undefined
    ? Effect.succeed(ok("the key comes from the settings"))
    : Effect.gen(function*() {
      const real = yield* realPathOf(identityPath)
      const parent = yield* writableParentOf((yield* Path.Path).dirname(real))
      if (Option.isSome(parent)) {
        return warn(`every user may write to ${line(parent.value.path)}`, doctorAdvice.ParentWritable)
      }
      const place = yield* detect(real)
      return Option.match(place, {
        onNone: () => ok("files last where the identity is kept"),
        onSome: (ephemeral) => warn(`${line(real)}: ${describeWarning(ephemeral)}`, doctorAdvice.EphemeralPlace)
      })
    })
})

/** The programs that use the state directory. */
export const programs = (found: Effect.Effect<ReadonlyArray<Found>, StorageError, Machine>): Check<Machine> => ({
  id: "programs",
  needs: ["settings"],
  make: Effect.match(found, {
    onFailure: (error) => failed(error),
    onSuccess: (all) => {
      const alive = all.flatMap((one) => one._tag === "Answered" ? [one.report] : [])
      const silent = all.flatMap((one) => one._tag === "NotAnswered" && one.error.reason !== "Gone" ? [one.error] : [])
      const mends = all.flatMap((one): ReadonlyArray<Mend> =>
        one._tag === "NotAnswered" && one.error.reason === "Gone"
          ? [{ _tag: "RemoveSocket", path: one.socket.path }]
          : []
      )
      const runs = alive.filter(({ command }) => command === "run")
      if (runs.length > 1) {
        return warn(
          `${runs.length} runs use this state directory: ${runs.map(({ pid }) => `process ${pid}`).join(" and ")}`,
          doctorAdvice.SecondRun,
          mends
        )
      }
      if (silent.length > 0) return warn(silent.map(({ message }) => message).join("; "), doctorAdvice.SilentRun, mends)
      const shown = alive.map(({ command, pid, state }) => `${field(command)} (process ${pid}, ${state})`).join(", ")
      const left = mends.length === 0 ? "" : `; ${mends.length} killed before left a socket behind`
      return { ...ok(`${shown === "" ? "no program runs" : shown}${left}`), mends }
    }
  })
})

/** The modes of all files below a directory that others may read, as mends. */
const exposedBelow = Effect.fnUntraced(function*(directory: string) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const names = yield* Effect.orElseSucceed(fs.readDirectory(directory, { recursive: true }), () => [])
  const mends: Array<Mend> = []
  for (const name of names) {
    const path = paths.join(directory, name)
    const info = yield* Effect.option(fs.stat(path))
    if (Option.isNone(info) || info.value.type !== "File" || (info.value.mode & 0o077) === 0) continue
    mends.push({ _tag: "Chmod", path, mode: 0o600 })
  }
  return mends
})

/** The stored device tokens. `stored` reads that of the present gateway. */
export const tokenStore = (
  directory: string | undefined,
  stored: Effect.Effect<boolean, AdvisedError & { readonly message: string }, Machine>
): Check<Machine> => ({
  id: "token-store",
  needs: ["settings", "identity"],
  make: directory === undefined
    ? Effect.succeed(ok("device tokens are not stored"))
    : Effect.gen(function*() {
      const mends = yield* exposedBelow(directory)
      const [first] = mends
      if (first !== undefined) {
        const error = new StorageError({ path: first.path, reason: "FileAccessible" })
        return failed(error, mends)
      }
      return yield* Effect.match(stored, {
        onFailure: (error) => warn(line(error.message), ErrorCatalogue.adviceOn(error)),
        onSuccess: (isStored) =>
          ok(isStored ? "a device token of this gateway is stored" : "no device token of this gateway is stored")
      })
    })
})

/** What the journal has, and what was logged while it was read: a file that is no entry is left alone. */
export interface Journal {
  readonly tasks: ReadonlyArray<JournalRecord>
  readonly damaged: ReadonlyArray<string>
}

/** Reads the journal, and keeps what it logs. */
export const readJournal = <R>(
  read: Effect.Effect<ReadonlyArray<JournalRecord>, TaskJournalError, R>
): Effect.Effect<Journal, TaskJournalError, R> =>
  Effect.suspend(() => {
    const damaged: Array<string> = []
    const keep = Logger.make(({ fiber, message }) => {
      const { path } = fiber.getRef(References.CurrentLogAnnotations)
      damaged.push(line([message].flat().map(String).concat(path === undefined ? [] : [String(path)]).join(" ")))
    })
    return Effect.map(read, (tasks) => ({ tasks, damaged })).pipe(
      Effect.provide(Logger.layer([keep])),
      Effect.provideService(References.MinimumLogLevel, "Warn")
    )
  })

export const journal = (read: Effect.Effect<Journal, TaskJournalError, Machine>): Check<Machine> => ({
  id: "journal",
  needs: ["settings"],
  make: Effect.match(read, {
    onFailure: (error) => failed(error),
    onSuccess: ({ damaged, tasks }) =>
      damaged.length > 0
        ? warn(damaged.join("; "), doctorAdvice.JournalDamaged)
        : ok(tasks.length === 0 ? "no task is open" : `open tasks: ${tasks.length}`)
  })
})

export const orphanedTasks = (
  read: Effect.Effect<Journal, TaskJournalError, Machine>,
  isAlive: Effect.Effect<boolean, never, Machine>
): Check<Machine> => ({
  id: "orphaned-tasks",
  needs: ["journal"],
  make: Effect.gen(function*() {
    const found = yield* Effect.option(read)
    if (Option.isNone(found)) return unknown("the journal cannot be read")
    const orphans = found.value.tasks.filter(({ ownerPid }) => ownerPid === undefined)
    if (orphans.length === 0) return ok("every open task has a program that works on it")
    const ids = orphans.slice(0, 5).map(({ taskId }) => field(taskId, { maxLength: 16 })).join(", ")
    return (yield* isAlive)
      ? ok(`tasks that the running program takes over: ${ids}`)
      : warn(`open tasks that no program works on: ${orphans.length} (${ids})`, doctorAdvice.OrphanedTasks)
  })
})
