/**
 * Standard streams of Node.js, where a write is done when the operating system has taken it, so that a full disk is noticed.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { systemError } from "effect/PlatformError"
import * as Sink from "effect/Sink"
import * as Stdio from "effect/Stdio"
import process from "node:process"

type Name = "stderr" | "stdout"

const written = (name: Name, chunk: string | Uint8Array) =>
  Effect.callback<void, ReturnType<typeof systemError>>((resume) => {
    const done = (cause: Error | null | undefined) =>
      resume(cause ? Effect.fail(systemError({ module: "Stdio", method: name, _tag: "Unknown", cause })) : Effect.void)
    process[name].write(chunk, done)
  })

const sink = (name: Name) => () => Sink.forEach((chunk: string | Uint8Array) => written(name, chunk))

/** The streams of `Stdio` with writes that are confirmed. */
export const layer: Layer.Layer<Stdio.Stdio, never, Stdio.Stdio> = Layer.effect(
  Stdio.Stdio,
  Effect.map(Stdio.Stdio, (stdio) => ({ ...stdio, stdout: sink("stdout"), stderr: sink("stderr") }))
)
