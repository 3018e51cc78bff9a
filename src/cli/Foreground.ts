/**
 * Whether this process may read its terminal. A process in the background that reads it is stopped by the system (SIGTTIN), and
 * Node.js can neither ignore that signal nor ask whose turn it is.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as ChildProcess from "effect/process/ChildProcess"
import { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"

/** The process group of a process, and the one in the foreground of its terminal; -1 or 0 where it has no terminal. */
export interface Groups {
  readonly own: number
  readonly foreground: number
}

/** Reads `/proc/<pid>/stat` (proc_pid_stat(5)). The second field is a name in parentheses, which may hold anything. */
export const parseStat = (text: string): Option.Option<Groups> => {
  const [, , own, , , foreground] = text.slice(text.lastIndexOf(")") + 2).split(" ")
  return groups(own, foreground)
}

/** Reads the output of `ps -o pgid= -o tpgid=`, for systems without `/proc`. */
export const parsePs = (text: string): Option.Option<Groups> => {
  const [own, foreground] = text.trim().split(/\s+/)
  return groups(own, foreground)
}

const groups = (own: string | undefined, foreground: string | undefined): Option.Option<Groups> => {
  const [first, second] = [Number(own), Number(foreground)]
  return own !== undefined && foreground !== undefined && Number.isInteger(first) && Number.isInteger(second)
    ? Option.some({ own: first, foreground: second })
    : Option.none()
}

const ofProc = Effect.flatMap(
  FileSystem.FileSystem,
  (fs) => Effect.map(Effect.option(fs.readFileString("/proc/self/stat")), Option.flatMap(parseStat))
)

const ofPs = (pid: number) =>
  Effect.flatMap(
    ChildProcessSpawner,
    (spawner) =>
      spawner.string(ChildProcess.make("ps", ["-o", "pgid=", "-o", "tpgid=", "-p", String(pid)])).pipe(
        Effect.timeout("2 seconds"),
        Effect.option,
        Effect.map(Option.flatMap(parsePs))
      )
  )

/** Whether the process with this id, which is this one, is in the foreground. Where no one can tell, it counts as there. */
export const isForeground = (pid: number) =>
  ofProc.pipe(
    Effect.filterOrElse(Option.isSome, () => ofPs(pid)),
    Effect.map(Option.match({ onNone: () => true, onSome: ({ foreground, own }) => foreground === own }))
  )
