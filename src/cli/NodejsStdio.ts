/**
 * Standard streams of Node.js, where a write is done when the operating system has taken it, so that a full disk is noticed, and
 * where a terminal is read in the foreground only.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { type PlatformError, systemError } from "effect/PlatformError"
import type { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import * as Queue from "effect/Queue"
import * as Sink from "effect/Sink"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import process from "node:process"
import * as Foreground from "./Foreground.ts"

type Name = "stderr" | "stdout"

const written = (name: Name, chunk: string | Uint8Array) =>
  Effect.callback<void, ReturnType<typeof systemError>>((resume) => {
    const done = (cause: Error | null | undefined) =>
      resume(cause ? Effect.fail(systemError({ module: "Stdio", method: name, _tag: "Unknown", cause })) : Effect.void)
    process[name].write(chunk, done)
  })

const sink = (name: Name) => () => Sink.forEach((chunk: string | Uint8Array) => written(name, chunk))

/** How often a process in the background looks whether it has come to the foreground without a signal. */
const lookAgain = "1 second"

/**
 * The lines of the terminal while this process is in the foreground. `bg` and `fg` send SIGCONT; a job that was started in the
 * background comes to the foreground by `fg` without one in some shells, so that is looked for, too.
 */
const terminal = Stream.callback<Uint8Array, PlatformError, FileSystem.FileSystem | ChildProcessSpawner>((queue) =>
  Effect.gen(function*() {
    const { stdin } = process
    const continued = yield* Queue.sliding<void>(1)
    const listeners = {
      data: (chunk: Uint8Array) => void Queue.offerUnsafe(queue, chunk),
      end: () => void Queue.endUnsafe(queue),
      close: () => void Queue.endUnsafe(queue),
      // The terminal is gone.
      error: () => void Queue.endUnsafe(queue)
    }
    const onContinue = () => void Queue.offerUnsafe(continued, undefined)
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        stdin.pause()
        for (const [name, listener] of Object.entries(listeners)) stdin.on(name, listener)
        process.on("SIGCONT", onContinue)
      }),
      () =>
        Effect.sync(() => {
          process.off("SIGCONT", onContinue)
          for (const [name, listener] of Object.entries(listeners)) stdin.off(name, listener)
          stdin.pause()
        })
    )
    while (true) {
      const mayRead = yield* Foreground.isForeground(process.pid)
      yield* Effect.sync(() => mayRead ? stdin.resume() : stdin.pause())
      yield* mayRead ? Queue.take(continued) : Effect.timeoutOption(Queue.take(continued), lookAgain)
    }
  })
)

/** The streams of `Stdio` with writes that are confirmed, and a terminal that is not read in the background. */
export const layer: Layer.Layer<Stdio.Stdio, never, Stdio.Stdio | FileSystem.FileSystem | ChildProcessSpawner> = Layer
  .effect(
    Stdio.Stdio,
    Effect.gen(function*() {
      const stdio = yield* Stdio.Stdio
      const services = yield* Effect.context<FileSystem.FileSystem | ChildProcessSpawner>()
      return {
        ...stdio,
        stdin: Stream.unwrap(
          Effect.map(
            stdio.stdinIsTerminal,
            (isTerminal) => isTerminal ? Stream.provideContext(terminal, services) : stdio.stdin
          )
        ),
        stdout: sink("stdout"),
        stderr: sink("stderr")
      }
    })
  )
