/**
 * Which of the programs that share a journal has a task at work.
 *
 * Each runner has a name of its own, and a private file beside the tasks that tells its process. A task whose runner has no
 * such file, or one whose process is gone, is nobody's, and may be taken up. Where processes cannot be seen, as in another
 * container or on another machine, they count as gone: the gateway still runs each key once, and at worst both are told.
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
  /** The number of this process. */
  readonly own: number
  readonly isAlive: (pid: number) => boolean
}

/** The name of one runner: sixteen lower-case hex characters. */
export const OwnerId = Schema.String.check(Schema.isPattern(/^[0-9a-f]{16}$/)).pipe(Schema.brand("OwnerId"))
export type OwnerId = typeof OwnerId.Type

export const newOwnerId = (random: SecureRandom.SecureRandom["Service"]): Effect.Effect<OwnerId> =>
  Effect.map(random.randomBytes(8), (bytes) => OwnerId.make(Hex.encode(bytes)))

/** The numbers that processes have. Asked about 0, systems answer about all processes of a group. */
export const ProcessId = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 2 ** 31 - 1 }))

const OwnerFile = Schema.fromJsonString(Schema.Struct({
  format: Schema.Literal("effect-openclaw/task-runner"),
  version: Schema.Literal(1),
  pid: ProcessId,
  /** Tells the process from a later one with the same number. Absent where the system does not say. */
  started: Schema.optionalKey(Schema.String)
}))
const decodeFile = Schema.decodeUnknownOption(OwnerFile)
const encodeFile = Schema.encodeSync(OwnerFile)

/** The boot of the machine, and when in it the process began. Linux tells; elsewhere there is nothing. */
const startOf = (fs: FileSystem.FileSystem, pid: number): Effect.Effect<Option.Option<string>> =>
  Effect.option(Effect.zipWith(
    fs.readFileString("/proc/sys/kernel/random/boot_id"),
    fs.readFileString(`/proc/${pid}/stat`),
    // The name of the program stands in brackets and may hold anything; the start is the twentieth word behind it.
    (boot, stat) => `${boot.trim()} ${stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]}`
  ))

/** What the file of a runner holds. */
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

/** The process of the runner whose file this is, if it lives. A file that cannot be read tells of nobody. */
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
