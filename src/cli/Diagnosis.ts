/**
 * `status` and `doctor`: how the running programs stand, and every known trouble between this machine and its gateway.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"
import { withSettings } from "./AgentLayer.ts"
import { onRoot } from "./Root.ts"

/** The exit status of a command that has told its answer, where that answer is no failure of the command itself. */
export class Outcome extends Schema.TaggedError<Outcome>()("Outcome", { status: Schema.Int }) {
  override readonly [Runtime.errorReported] = false
  override get [Runtime.errorExitCode](): number {
    return this.status
  }
}

/** Ends with this status, and says nothing more. */
const endWith = (status: number): Effect.Effect<void, Outcome> =>
  status === 0 ? Effect.void : Effect.fail(new Outcome({ status }))

/** Ends with the status that a command found, once all that it told is delivered. */
const ending = <E, R>(command: (end: (status: number) => void) => Effect.Effect<void, E, R>) =>
  Effect.suspend(() => {
    let exit = 0
    return Effect.andThen(
      command((status) => {
        exit = status
      }),
      Effect.suspend(() => endWith(exit))
    )
  })

/** Loaded when it is asked for: the other commands start faster without it. */
const loadStatus = Effect.promise(() => import("./StatusShow.ts"))

export const status = Command.make(
  "status",
  {
    watch: Flag.Boolean("watch").pipe(
      Flag.withDescription("Go on, and print a line for each change"),
      Flag.withDefault(false)
    ),
    all: Flag.String("all").pipe(
      Flag.withDescription("Every state directory directly below this directory, one line each"),
      Flag.optional
    )
  },
  ({ all, watch }) =>
    ending((end) =>
      withSettings((checked, output) =>
        Effect.flatMap(loadStatus, ({ show }) => Effect.map(show(checked, output, { all, watch }), end))
      )
    )
).pipe(
  Command.withDescription(
    "Show how the running programs of a state directory stand; ends with 0 connected, 75 awaiting approval, 69 not connected,"
      + " 3 not running"
  ),
  Command.withExamples([
    { command: "openclaw-device status", description: "Device, gateway, session, tasks, last error" },
    { command: "openclaw-device status --watch --json", description: "A line of JSON for each change" },
    { command: "openclaw-device status --all /var/lib/agents", description: "One line for each of several agents" }
  ])
)

/** Loaded when it is asked for: the other commands start faster without it. */
const loadDoctor = Effect.promise(() => import("./DoctorRun.ts"))

export const doctor = Command.make(
  "doctor",
  {
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
  },
  (flags) =>
    ending((end) =>
      onRoot((root, output) =>
        Effect.flatMap(loadDoctor, ({ examine }) => Effect.map(examine(root, output, flags), end))
      )
    )
).pipe(
  Command.withDescription(
    "Look for every known trouble, the root cause first; ends with 0, with 1 after warnings, else with the failure's status"
  ),
  Command.withExamples([
    { command: "openclaw-device doctor", description: "One line where all is well" },
    { command: "openclaw-device doctor --verbose", description: "Every check, and the phases of the handshake" },
    { command: "openclaw-device doctor --bundle report.json.gz", description: "What to attach to a report" }
  ])
)
