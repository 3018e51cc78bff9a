/**
 * What `status` does, apart from the command so that the other commands start without it.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import { line } from "../protocol/OutsideText.ts"
import type { Found } from "../status/StatusClient.ts"
import * as StatusClient from "../status/StatusClient.ts"
import type { StatusReport } from "../status/StatusReport.ts"
import * as StatusText from "../status/StatusText.ts"
import { CommandFailed } from "./CommandError.ts"
import { exitCodes } from "./ExitCode.ts"
import { now } from "./Output.ts"
import type { Output } from "./Output.ts"
import type { Settings } from "./Settings.ts"
import { serving } from "./Signals.ts"
import { stored } from "./Stored.ts"

/** No program runs: as `systemctl status` says it. */
export const notRunning = 3

/** The exit status for how one program stands. */
export const exitOf = ({ cause, state }: StatusReport): number =>
  state === "connected"
    ? 0
    : state === "awaiting-approval" || cause?.error === "ApprovalTimedOut"
    ? exitCodes.pairing
    : exitCodes.unreachable

/** From best to worst. */
const severity: ReadonlyArray<number> = [0, exitCodes.pairing, exitCodes.unreachable, notRunning]

const worst = (exits: ReadonlyArray<number>): number =>
  exits.reduce((one, other) => severity.indexOf(other) > severity.indexOf(one) ? other : one, 0)

/** The exit status of one state directory. A socket that a killed program left behind counts only where no program answers. */
const exitOfAll = (found: ReadonlyArray<Found>): number => {
  const alive = found.filter((one) => one._tag === "Answered" || one.error.reason !== "Gone")
  return alive.length === 0
    ? notRunning
    : worst(alive.map((one) => one._tag === "Answered" ? exitOf(one.report) : exitCodes.unreachable))
}

export interface Flags {
  readonly watch: boolean
  readonly all: Option.Option<string>
}

/** Tells how the programs stand, and gives the exit status. */
export const show = Effect.fnUntraced(function*(checked: Settings, output: Output["Service"], { all, watch }: Flags) {
  if (Option.isSome(all)) {
    if (watch) return yield* both
    return yield* showAll(all.value, output)
  }
  const { directory } = yield* stored(checked)
  const found = yield* StatusClient.find(directory)
  if (watch) return yield* watchAll(directory, found, output)
  yield* tell(directory, found, output)
  return exitOfAll(found)
})

const both = Effect.fail(
  new CommandFailed({ exit: "usage", error: "Usage", problem: "--watch and --all do not go together" })
)

const json = (stateDirectory: string, found: Found | undefined): string =>
  JSON.stringify(
    found?._tag === "Answered"
      ? { stateDirectory, running: true, ...found.report }
      : found === undefined
      ? { stateDirectory, running: false }
      : { stateDirectory, running: found.error.reason !== "Gone", pid: found.socket.pid, problem: found.error.message }
  )

const tell = Effect.fnUntraced(function*(
  directory: string,
  found: ReadonlyArray<Found>,
  output: Output["Service"]
) {
  if (output.json) {
    if (found.length === 0) yield* output.line(json(directory, undefined))
    for (const one of found) yield* output.line(json(directory, one))
    return
  }
  for (const [index, one] of found.entries()) {
    if (index > 0) yield* output.line("")
    if (one._tag === "NotAnswered") yield* output.line(problemOf(one))
    else for (const text of StatusText.lines(one.report)) yield* output.line(text)
  }
  if (found.length === 0) {
    yield* output.line(`not running: no program runs on ${line(directory)}. Start one: openclaw-device run`)
  }
})

const problemOf = ({ error, socket }: Extract<Found, { readonly _tag: "NotAnswered" }>): string =>
  error.reason === "Gone"
    ? `not running: process ${socket.pid} was killed, or its machine went down; the next run goes on with its tasks`
    : `unknown: ${error.message}`

/** Each directory below `parent` that a program has used. */
const showAll = Effect.fnUntraced(function*(parent: string, output: Output["Service"]) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const above = paths.resolve(parent)
  const names = yield* Effect.mapError(
    fs.readDirectory(above),
    () => new CommandFailed({ exit: "settings", error: "StorageError", problem: `${line(above)} cannot be read` })
  )
  const exits: Array<number> = []
  for (const name of names.toSorted()) {
    const directory = paths.join(above, name)
    const isState = yield* Effect.map(
      Effect.forEach(marks, (mark) => Effect.orElseSucceed(fs.exists(paths.join(directory, mark)), () => false)),
      (found) => found.includes(true)
    )
    if (!isState) continue
    const found = yield* Effect.result(StatusClient.find(directory))
    if (found._tag === "Failure") {
      exits.push(exitCodes.unreachable)
      yield* output.line(
        output.json
          ? JSON.stringify({ stateDirectory: directory, problem: found.failure.message })
          : `${line(directory)}  unknown: ${line(found.failure.message)}`
      )
      continue
    }
    exits.push(exitOfAll(found.success))
    if (output.json) yield* tell(directory, found.success, output)
    else {
      const texts = found.success.map((one) => one._tag === "Answered" ? StatusText.short(one.report) : problemOf(one))
      for (const text of texts.length === 0 ? ["not running"] : texts) yield* output.line(`${line(directory)}  ${text}`)
    }
  }
  if (exits.length === 0 && !output.json) yield* output.line(`no state directory is directly below ${line(above)}`)
  return exits.length === 0 ? notRunning : worst(exits)
})

/** Names in a directory that show that it is a state directory. */
const marks = ["identity.json", "live", "tokens", "tasks"]

const watchAll = Effect.fnUntraced(function*(
  directory: string,
  found: ReadonlyArray<Found>,
  output: Output["Service"]
) {
  const alive = found.filter((one) => one._tag === "Answered")
  if (alive.length === 0) {
    yield* tell(directory, found, output)
    return notRunning
  }
  yield* serving
  yield* Effect.forEach(alive, ({ socket }) =>
    Effect.gen(function*() {
      const conversation = yield* StatusClient.ask(socket, "watch")
      while (true) {
        const { report } = yield* conversation
        if (report === undefined) continue
        const at = yield* now
        yield* output.line(
          output.json
            ? JSON.stringify({ at, stateDirectory: directory, running: true, ...report })
            : `${at}  ${StatusText.short(report)}`
        )
      }
    }).pipe(
      Effect.scoped,
      Effect.catch(({ message }) =>
        Effect.flatMap(now, (at) =>
          output.line(
            output.json
              ? JSON.stringify({ at, stateDirectory: directory, running: false, pid: socket.pid })
              : `${at}  ended: ${line(message)}`
          ))
      )
    ), { concurrency: "unbounded", discard: true })
  return notRunning
})
