import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { spawn as spawnChild } from "node:child_process"
import { createInterface } from "node:readline"
import { InteropError } from "./InteropError.ts"

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface ProcessGroup {
  readonly pid: number
  /** The end of the leader. Helpers that it started may still run. */
  readonly exit: Effect.Effect<Exit>
  /** The end of the leader and of its output: after this no further line comes. */
  readonly drained: Effect.Effect<Exit>
  /** Sends a signal to the leader alone, as a supervisor of services does; nothing happens when it is gone. */
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  readonly write: (text: string) => Effect.Effect<void>
  readonly endInput: Effect.Effect<void>
  /** SIGKILL to the whole group, as a crash of the machine would look to others. */
  readonly kill: Effect.Effect<void>
  /** SIGTERM to the leader, SIGKILL to the whole group after `grace`; done when no process of the group is left. */
  readonly end: (grace: Duration.Input) => Effect.Effect<void>
}

export interface Options {
  readonly cwd: string
  /** The whole environment: nothing is inherited. */
  readonly env: Readonly<Record<string, string>>
  readonly onStdout: (line: string) => void
  readonly onStderr: (line: string) => void
}

const send = (pid: number, signal: NodeJS.Signals | 0): boolean => {
  try {
    return process.kill(pid, signal)
  } catch {
    return false
  }
}

/** Whether a process of the group still exists. */
export const isAlive = (group: { readonly pid: number }): boolean => send(-group.pid, 0)

const groupIsGone = (pid: number, limit: Duration.Input) =>
  Effect.suspend(() => send(-pid, 0) ? Effect.as(Effect.sleep("25 millis"), false) : Effect.succeed(true)).pipe(
    Effect.repeat({ until: (gone) => gone }),
    Effect.timeoutOption(limit),
    Effect.asVoid
  )

/**
 * Ends the group when this process is gone. A worker of vitest that is stopped runs no finalizers, and a group of its own
 * does not get the signals of the terminal; but the end of a pipe is always seen.
 */
const spawnGuard = (pid: number) => {
  const guard = spawnChild("/bin/sh", ["-c", `read _; kill -s KILL -- -${pid}`], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"]
  })
  guard.on("error", () => {}) // without a shell there is no guard, and the scope does the work alone
  return guard
}

/**
 * Starts a command as the leader of a process group of its own; the scope ends the group. Waiting takes real time, so
 * tests use `it.live`. POSIX only.
 */
export const spawn = Effect.fn("ProcessGroup.spawn")(
  function*(command: string, args: ReadonlyArray<string>, options: Options) {
    const exited = yield* Deferred.make<Exit>()
    const drained = yield* Deferred.make<Exit>()
    const start = Effect.callback<ProcessGroup, InteropError>((resume) => {
      const child = spawnChild(command, args, { cwd: options.cwd, env: { ...options.env }, detached: true })
      child.on("error", (cause) => resume(Effect.fail(new InteropError({ step: "spawn", detail: command, cause }))))
      child.on("exit", (code, signal) => Deferred.doneUnsafe(exited, Effect.succeed({ code, signal })))
      child.on("close", (code, signal) => Deferred.doneUnsafe(drained, Effect.succeed({ code, signal })))
      child.stdin.on("error", () => {}) // a write after the end of the child; its exit tells
      createInterface({ input: child.stdout }).on("line", options.onStdout)
      createInterface({ input: child.stderr }).on("line", options.onStderr)
      child.on("spawn", () => {
        const { pid } = child
        if (pid === undefined) return
        const guard = spawnGuard(pid)
        resume(Effect.succeed({
          pid,
          exit: Deferred.await(exited),
          drained: Deferred.await(drained),
          signal: (signal) => Effect.sync(() => void (child.exitCode === null && child.kill(signal))),
          write: (text) => Effect.sync(() => void child.stdin.write(text)),
          endInput: Effect.sync(() => void child.stdin.end()),
          kill: Effect.sync(() => void send(-pid, "SIGKILL")),
          end: Effect.fnUntraced(function*(grace) {
            yield* Effect.sync(() => void child.kill("SIGTERM"))
            yield* Effect.timeoutOption(Deferred.await(exited), grace)
            yield* Effect.sync(() => void send(-pid, "SIGKILL"))
            yield* groupIsGone(pid, "10 seconds")
            yield* Effect.sync(() => void guard.kill("SIGKILL"))
          })
        }))
      })
    })
    return yield* Effect.acquireRelease(start, (group) => group.end("5 seconds"))
  }
)
