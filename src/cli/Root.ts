/**
 * The root command with the flags that every command understands.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"

export const root = Command.make("openclaw-device").pipe(
  Command.withSharedFlags({
    json: Flag.Boolean("json").pipe(
      Flag.withDescription("Print one JSON object a line, for programs"),
      Flag.withDefault(false)
    ),
    gatewayUrl: Flag.String("gateway-url").pipe(
      Flag.withDescription("The gateway, for example ws://127.0.0.1:18789"),
      Flag.optional
    ),
    stateDir: Flag.String("state-dir").pipe(
      Flag.withDescription("Where identity and device tokens are kept"),
      Flag.optional
    )
  }),
  Command.withDescription("Be a paired device of an OpenClaw gateway: connect, get approved once, delegate tasks"),
  Command.withExamples([{ command: "openclaw-device run", description: "Try it out with a gateway of its own" }])
)
