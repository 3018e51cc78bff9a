/**
 * Where the commands get a setup code: a file, a variable that names a file or a descriptor, or standard input, where a terminal does
 * not show it. Never the command line, which other users of the machine can read.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { PlatformError } from "effect/PlatformError"
import * as Pull from "effect/Pull"
import * as Redacted from "effect/Redacted"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import process from "node:process"
import { limits } from "../pairing/SetupCode.ts"
import * as SettingSource from "../settings/SettingSource.ts"
import { readDescriptor, readRegularFile } from "../storage/RegularFile.ts"
import { CommandFailed } from "./CommandError.ts"
import { setupTable } from "./DeviceTable.ts"

/** A code, and what is left of standard input. */
export interface Given {
  readonly code: Redacted.Redacted
  readonly stdin: Stdio.Stdio["stdin"]
}

/** More than a code has, with a line end. */
const maxBytes = limits.code + 1024

/** The scope holds standard input, if the code came from there. */
export const read = Effect.fnUntraced(function*(file: Option.Option<string>) {
  const { stdin, stdinIsTerminal } = yield* Stdio.Stdio
  if (Option.isSome(file)) return { code: yield* fromFile(file.value), stdin } satisfies Given
  const { faults: [fault], text } = yield* SettingSource.secret(setupTable.setupCode.variable)
  if (fault !== undefined) {
    return yield* new CommandFailed({
      exit: "settings",
      error: "SetupCodeUnreadable",
      problem: `${fault.name} ${fault.problem}.`
    })
  }
  if (text !== undefined) return { code: text.text, stdin } satisfies Given
  return (yield* stdinIsTerminal) ? yield* hiddenLine(stdin) : yield* firstLine(stdin, plain)
})

/** The path is not repeated: it may be the code itself, in the wrong place. */
const fromFile = Effect.fnUntraced(function*(path: string) {
  const read = path.startsWith("/dev/fd/") ? readDescriptor : readRegularFile
  const bytes = yield* Effect.mapError(read(path, maxBytes), ({ errno }) =>
    new CommandFailed({
      exit: "settings",
      error: "SetupCodeUnreadable",
      problem: `The file that --code-file names cannot be read (${errno ?? "no regular file"}).`
        + " Name a file that holds the setup code and nothing else."
    }))
  return Redacted.make(new TextDecoder().decode(bytes))
})

/** What one piece of input does to the line so far: `undefined` means that it goes on. */
type Typed = (text: string, more: string) => { readonly text: string; readonly rest: string | undefined }

const plain: Typed = (text, more) => {
  const [line = "", ...rest] = more.split("\n")
  return { text: text + line, rest: rest.length === 0 ? undefined : rest.join("\n") }
}

/** As a terminal would edit it, which does nothing itself while it shows nothing. */
const edited: Typed = (text, more) => {
  let line = text
  for (const [index, key] of [...more].entries()) {
    if (key === "\r" || key === "\n" || key === "\u0004") {
      return { text: line, rest: [...more].slice(index + 1).join("") }
    }
    if (key === "\u0003") process.kill(process.pid, "SIGINT")
    else if (key === "\u007f" || key === "\b") line = line.slice(0, -1)
    else line += key
  }
  return { text: line, rest: undefined }
}

/** Reads up to the first line end, or to the end, and leaves the rest. */
const firstLine = Effect.fnUntraced(function*(stdin: Stdio.Stdio["stdin"], typed: Typed) {
  const pull = yield* Stream.toPull(stdin)
  const decoder = new TextDecoder()
  const next: Effect.Effect<string | undefined, PlatformError> = Pull.catchDone(
    Effect.map(pull, (pieces) => pieces.map((piece) => decoder.decode(piece, { stream: true })).join("")),
    () => Effect.undefined
  )
  let line = ""
  let rest: string | undefined
  while (rest === undefined && line.length <= maxBytes) {
    const more = yield* Effect.mapError(next, unreadable)
    if (more === undefined) break
    const after = typed(line, more)
    line = after.text
    rest = after.rest
  }
  const others = Stream.fromPull(Effect.succeed(pull))
  return {
    code: Redacted.make(line),
    stdin: rest === undefined || rest === ""
      ? others
      : Stream.concat(Stream.succeed(new TextEncoder().encode(rest)), others)
  } satisfies Given
})

const unreadable = (error: PlatformError) =>
  new CommandFailed({ exit: "failed", error: error._tag, problem: "standard input cannot be read" })

/** Asks at the terminal. What is typed or pasted is not shown. */
const hiddenLine = Effect.fnUntraced(function*(stdin: Stdio.Stdio["stdin"]) {
  const { stderr } = yield* Stdio.Stdio
  const say = (text: string) => Effect.ignore(Stream.run(Stream.succeed(text), stderr()))
  return yield* Effect.acquireUseRelease(
    // Before it asks: what is pasted at once is not shown either.
    Effect.andThen(Effect.sync(() => void process.stdin.setRawMode(true)), say("Setup code (not shown): ")),
    () => firstLine(stdin, edited),
    () => Effect.andThen(Effect.sync(() => void process.stdin.setRawMode(false)), say("\n"))
  )
})
