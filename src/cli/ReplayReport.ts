/**
 * What `replay` does, apart from the command so that the other commands start without it.
 */
import * as Effect from "effect/Effect"
import * as References from "effect/References"
import { isoTime } from "../protocol/AgentEvent.ts"
import { field, line } from "../protocol/OutsideText.ts"
import { maxBytes, parse, type Recording } from "../recorder/Recording.ts"
import { type Outcome, run } from "../recorder/Replay.ts"
import { summary } from "../recorder/StateRecord.ts"
import { readDescriptor, readRegularFile } from "../storage/RegularFile.ts"
import { as, CommandFailed } from "./CommandError.ts"
import type { Output } from "./Output.ts"

/** Runs the recording in the file, and tells whether the client did the same. Fails when it did not. */
export const report = Effect.fnUntraced(function*(file: string, output: Output["Service"]) {
  // A shell gives the path of a descriptor for the output of a command: `<(command)`.
  const read = file.startsWith("/dev/fd/") ? readDescriptor : readRegularFile
  const bytes = yield* Effect.mapError(read(file, maxBytes), ({ _tag, errno, reason }) =>
    new CommandFailed({
      exit: "settings",
      error: _tag,
      problem: errno === "EFBIG"
        ? `${line(file)} holds more than a recording, which has at most ${maxBytes / 1024 / 1024} MiB`
        : `${line(file)} cannot be read (${reason === "NotRegularFile" ? "no regular file" : errno ?? "unknown error"})`
    }))
  const recording = yield* Effect.mapError(parse(new TextDecoder().decode(bytes)), as("settings"))
  // The replayed client logs nothing, as its events are not of now.
  const outcome = yield* Effect.provideService(run(recording), References.MinimumLogLevel, "None")
  yield* output.json ? output.line(asJson(recording, outcome)) : tell(recording, outcome, output)
  if (outcome.difference !== undefined) {
    return yield* new CommandFailed({
      exit: "failed",
      error: "ReplayDiffers",
      problem: "the replay differs from the recording"
    })
  }
})

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
  output: Output["Service"]
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
