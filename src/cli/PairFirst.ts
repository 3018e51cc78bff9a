/**
 * `run --pair`: pairs with the gateway of a setup code, and goes on with it.
 */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { Supervisor } from "../connection/Supervisor.ts"
import { chosenGateway } from "./AgentLayer.ts"
import type { CommandFailed } from "./CommandError.ts"
import { enter, firstOf, parse, remember } from "./Pairing.ts"
import type { Settings } from "./Settings.ts"
import * as SetupInput from "./SetupInput.ts"

/** Reads the code. The scope holds standard input, of which the rest is tasks. */
export const begin = Effect.fnUntraced(function*(file: Option.Option<string>) {
  const { code, stdin } = yield* SetupInput.read(file)
  const pasted = yield* parse(code)
  const stdio = yield* Stdio.Stdio
  return {
    /** The gateway for the check of the settings. */
    input: firstOf(pasted),
    stdio: { ...stdio, stdin },
    gateway: (checked: Settings) => gatewayOf(checked, pasted)
  }
})

const gatewayOf = Effect.fnUntraced(function*(checked: Settings, pasted: Parameters<typeof enter>[1]) {
  const { code, gateway, input, roles: now } = yield* enter(checked, pasted)
  const roles = now.length === 0 ? now : yield* remember(checked, gateway, now, code)
  const isNode = now.includes("node")
  const chosen = yield* chosenGateway(checked, "sharedToken", isNode ? { ...input, bootstrapToken: undefined } : input)
  const { password, token } = chosen.gateway
  return {
    ...chosen,
    toolsOnly: isNode && !roles.includes("operator") && token === undefined && password === undefined,
    /** Remembers the gateway as soon as a person has approved the device. Until then somebody waits for it. */
    whenConnected: now.length > 0
      ? Effect.void
      : Effect.flatMap(Supervisor, ({ attend, changes }) =>
        Stream.unwrap(Effect.as(attend, changes)).pipe(
          Stream.filter(({ status }) => status._tag === "Connected"),
          Stream.runHead,
          Effect.andThen(remember(checked, gateway, ["operator"], code)),
          Effect.catch((error: CommandFailed) => Effect.logWarning(error.message)),
          Effect.asVoid
        ))
  }
})
