/**
 * `replay`: runs a recording of the flight recorder again, and says whether the client does the same.
 *
 * There is no connection: the recording plays the gateway. A clock of its own makes days pass in seconds.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as References from "effect/References"
import { isoTime } from "../protocol/AgentEvent.ts"
import { field, line } from "../protocol/OutsideText.ts"
import type { Recording } from "../recorder/Recording.ts"
import type { Outcome } from "../recorder/Replay.ts"
import { readDescriptor, readRegularFile } from "../storage/RegularFile.ts"
import { as, CommandFailed } from "./CommandError.ts"
import type { Output } from "./Output.ts"
import { onRoot } from "./Root.ts"

/** Loaded when they are needed: the other commands start faster without them. */
const load = Effect.all({
  Recording: Effect.promise(() => import("../recorder/Recording.ts")),
  Replay: Effect.promise(() => import("../recorder/Replay.ts")),
  StateRecord: Effect.promise(() => import("../recorder/StateRecord.ts"))
})

export const replay = Command.make("replay", {
  file: Argument.String("file").pipe(Argument.withDescription("What `run --record` or `delegate --record` has written"))
}, ({ file }) =>
  onRoot(Effect.fnUntraced(function*(_flags, output) {
    const modules = yield* load
    const { maxBytes, parse } = modules.Recording
    // A shell gives the path of a descriptor for the output of a command: `<(command)`.
    const read = file.startsWith("/dev/fd/") ? readDescriptor : readRegularFile
    const bytes = yield* Effect.mapError(read(file, maxBytes), ({ _tag, errno, reason }) =>
      new CommandFailed({
        exit: "settings",
        error: _tag,
        problem: errno === "EFBIG"
          ? `${line(file)} holds more than a recording, which has at most ${maxBytes / 1024 / 1024} MiB`
          : `${line(file)} cannot be read (${
            reason === "NotRegularFile" ? "no regular file" : errno ?? "unknown error"
          })`
      }))
    const recording = yield* Effect.mapError(parse(new TextDecoder().decode(bytes)), as("settings"))
    // The replayed client logs nothing, as its events are not of now.
    const outcome = yield* Effect.provideService(modules.Replay.run(recording), References.MinimumLogLevel, "None")
    yield* output.json
      ? output.line(asJson(recording, outcome))
      : tell(recording, outcome, output, modules.StateRecord.summary)
    if (outcome.difference !== undefined) {
      return yield* new CommandFailed({
        exit: "failed",
        error: "ReplayDiffers",
        problem: "the replay differs from the recording"
      })
    }
  }))).pipe(
    Command.withDescription("Run a recording again and compare, without any connection"),
    Command.withExamples([{
      command: "openclaw-device replay agent.ndjson",
      description: "The states with their times, and the first difference if there is one"
    }])
  )

const asJson = ({ entries, header }: Recording, outcome: Outcome): string => {
  const { difference, incomplete, links, messages, recorded, replayed } = outcome
  return JSON.stringify({
    same: difference === undefined,
    recordedAt: isoTime(header.at),
    program: header.program,
    entries: entries.length,
    links,
    messages,
    ...(incomplete === undefined ? {} : { incomplete }),
    ...(difference === undefined ? {} : { difference }),
    recorded: recorded.map(({ at, state }) => ({ afterMs: at - header.at, ...state })),
    replayed: replayed.map(({ at, state }) => ({ afterMs: at - header.at, ...state }))
  })
}

const tell = Effect.fnUntraced(function*(
  { entries, header }: Recording,
  { difference, incomplete, links, messages, replayed }: Outcome,
  output: Output["Service"],
  summary: (state: Outcome["replayed"][number]["state"]) => string
) {
  const after = (ms: number) => `+${(ms / 1000).toFixed(3)} s`
  const lastMs = (entries.at(-1)?.at ?? header.at) - header.at
  yield* output.line(
    `recorded ${isoTime(header.at)} by release ${field(header.program)}: ${entries.length} entries in ${
      (lastMs / 1000).toFixed(1)
    } s`
  )
  for (const { at, state } of replayed) {
    yield* output.line(`${after(at - header.at).padStart(14)}  ${field(summary(state))}`)
  }
  if (incomplete !== undefined) {
    yield* output.line(
      incomplete === "full"
        ? "the recording ends here, as its file was full"
        : "the recording has a gap here; what comes after it cannot be replayed"
    )
  }
  if (difference === undefined) {
    return yield* output.line(
      `same: ${[counted(replayed.length, "state"), counted(links, "link"), counted(messages, "message")].join(", ")}`
    )
  }
  yield* output.line(`different at ${after(difference.afterMs)} (${difference.what})`)
  yield* output.line(`  recorded  ${field(difference.recorded)}`)
  yield* output.line(`  replayed  ${field(difference.replayed)}`)
})

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`
