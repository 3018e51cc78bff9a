/**
 * `replay`: runs a recording of the flight recorder again, and says whether the client does the same.
 *
 * There is no connection: the recording plays the gateway. A clock of its own makes days pass in seconds.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { onRoot } from "./Root.ts"

/** Loaded when it is needed: the other commands start faster without it. */
const load = Effect.promise(() => import("./ReplayReport.ts"))

export const replay = Command.make("replay", {
  file: Argument.String("file").pipe(Argument.withDescription("What `run --record` or `delegate --record` has written"))
}, ({ file }) => onRoot((_flags, output) => Effect.flatMap(load, ({ report }) => report(file, output)))).pipe(
  Command.withDescription("Run a recording again and compare, without any connection"),
  Command.withExamples([{
    command: "openclaw-device replay agent.ndjson",
    description: "The states with their times, and the first difference if there is one"
  }])
)
