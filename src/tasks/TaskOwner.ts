/**
 * The owner of a task among the programs that share a journal.
 *
 * Each runner has its own name, and a private file beside the tasks that names its process. A task has no owner when its
 * runner has no such file, or when that process is gone. Another runner may then claim it. A process that this one cannot
 * see, in another container or on another machine, counts as gone: the gateway still runs each key once, and at worst both
 * runners get the reply.
 */
import type * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { PrivateFile } from "../storage/PrivateFile.ts"

/** The processes of this machine. */
export interface Processes {
  /** The id of this process. */
  readonly own: number
  readonly isAlive: (pid: number) => boolean
}

/** The name of one runner: sixteen lower-case hex characters. */
export const OwnerId = Schema.String.check(Schema.isPattern(/^[0-9a-f]{16}$/)).pipe(Schema.brand("OwnerId"))
export type OwnerId = typeof OwnerId.Type

export const newOwnerId = (random: SecureRandom.SecureRandom["Service"]): Effect.Effect<OwnerId> =>
  Effect.map(random.randomBytes(8), (bytes) => OwnerId.make(Hex.encode(bytes)))

/** The id of a process. 0 is none: systems take it for all processes of a group. */
export const ProcessId = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 2 ** 31 - 1 }))

const OwnerFile = Schema.fromJsonString(Schema.Struct({
  format: Schema.Literal("effect-openclaw/task-runner"),
  version: Schema.Literal(1),
  pid: ProcessId,
  /** Boot and start time, which a later process with the same id does not share. Absent where the system has none. */
  started: Schema.optionalKey(Schema.String)
}))
const decodeFile = Schema.decodeUnknownOption(OwnerFile)
const encodeFile = Schema.encodeSync(OwnerFile)

/** The boot of the machine and the start time of the process. Linux only. */
const startOf = (fs: FileSystem.FileSystem, pid: number): Effect.Effect<Option.Option<string>> =>
  Effect.option(Effect.zipWith(
    fs.readFileString("/proc/sys/kernel/random/boot_id"),
    fs.readFileString(`/proc/${pid}/stat`),
    // The program's name is in brackets and may hold any text. The start time is the twentieth word after it.
    (boot, stat) => `${boot.trim()} ${stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]}`
  ))

/** The content of the file of a runner. */
export const describe = Effect.fnUntraced(function*(fs: FileSystem.FileSystem, { own }: Processes) {
  const started = Option.getOrUndefined(yield* startOf(fs, own))
  const text = encodeFile({
    format: "effect-openclaw/task-runner",
    version: 1,
    pid: own,
    ...(started === undefined ? {} : { started })
  })
  return `${text}\n`
})

/** The process that the file of a runner names, if it lives; undefined for a file that cannot be read. */
export const livingPid = Effect.fnUntraced(function*(
  fs: FileSystem.FileSystem,
  files: PrivateFile["Service"],
  path: string,
  { isAlive }: Processes
) {
  const found = Option.flatten(yield* Effect.option(files.read(path)))
  const told = Option.getOrUndefined(
    Option.flatMap(found, ({ bytes }) => decodeFile(new TextDecoder().decode(bytes)))
  )
  if (told === undefined || !isAlive(told.pid)) return undefined
  if (told.started === undefined) return told.pid
  const started = yield* startOf(fs, told.pid)
  return Option.getOrElse(started, () => told.started) === told.started ? told.pid : undefined
})
