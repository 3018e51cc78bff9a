/**
 * `status`: how the programs on a state directory stand, asked over their private sockets. Nothing is dialled.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { withSettings } from "./AgentLayer.ts"
import { endWith } from "./Outcome.ts"

/** Loaded when it is asked for: the other commands start faster without it. */
const load = Effect.promise(() => import("./StatusShow.ts"))

export const status = Command.make("status", {
  watch: Flag.Boolean("watch").pipe(
    Flag.withDescription("Go on, and print a line for each change"),
    Flag.withDefault(false)
  ),
  all: Flag.String("all").pipe(
    Flag.withDescription("Every state directory directly below this directory, one line each"),
    Flag.optional
  )
}, ({ all, watch }) =>
  Effect.suspend(() => {
    let exit = 0
    const told = withSettings((checked, output) =>
      Effect.flatMap(load, ({ show }) =>
        Effect.map(show(checked, output, { all, watch }), (found) => {
          exit = found
        }))
    )
    return Effect.andThen(told, Effect.suspend(() => endWith(exit)))
  })).pipe(
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
