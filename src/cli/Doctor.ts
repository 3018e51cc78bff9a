/**
 * `doctor`: looks for every known trouble between this machine and its gateway.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { endWith } from "./Outcome.ts"
import { onRoot } from "./Root.ts"

/** Loaded when it is asked for: the other commands start faster without it. */
const load = Effect.promise(() => import("./DoctorRun.ts"))

export const doctor = Command.make("doctor", {
  verbose: Flag.Boolean("verbose").pipe(
    Flag.withDescription("Show every check, and how long each phase of the handshake took"),
    Flag.withDefault(false)
  ),
  fix: Flag.Boolean("fix").pipe(
    Flag.withDescription("Mend what is safe to mend: modes that let other users in, sockets of killed programs"),
    Flag.withDefault(false)
  ),
  bundle: Flag.String("bundle").pipe(
    Flag.withDescription("Write all that is known, without secrets, to this new file, for a report"),
    Flag.optional
  ),
  recording: Flag.String("recording").pipe(
    Flag.withDescription("Put this recording of `run --record` into the bundle"),
    Flag.optional
  )
}, (flags) =>
  Effect.suspend(() => {
    let exit = 0
    const told = onRoot((root, output) =>
      Effect.flatMap(load, ({ examine }) =>
        Effect.map(examine(root, output, flags), (found) => {
          exit = found
        }))
    )
    return Effect.andThen(told, Effect.suspend(() => endWith(exit)))
  })).pipe(
    Command.withDescription(
      "Look for every known trouble, the root cause first; ends with 0, with 1 after warnings, else with the failure's status"
    ),
    Command.withExamples([
      { command: "openclaw-device doctor", description: "One line where all is well" },
      { command: "openclaw-device doctor --verbose", description: "Every check, and the phases of the handshake" },
      { command: "openclaw-device doctor --bundle report.json.gz", description: "What to attach to a report" }
    ])
  )
