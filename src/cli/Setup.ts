/**
 * `init` and `settings`: the settings file, and what holds.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { deviceTable } from "./DeviceTable.ts"
import { onRoot } from "./Root.ts"
import { settingFlag } from "./SettingFlag.ts"

/** Both are loaded when they are asked for. */
export const init = Command.make("init", {
  tokenFile: Flag.String("token-file").pipe(
    Flag.withDescription("A file with the gateway's token, which is read at each start and not copied"),
    Flag.optional
  ),
  place: settingFlag(
    deviceTable.gatewayPlace,
    "how you reach the gateway host, for the commands that approve this device"
  ),
  check: Flag.Boolean("check").pipe(
    Flag.withDescription("Look by doctor whether it works; --no-check does without it"),
    Flag.withDefault(true)
  ),
  yes: Flag.Boolean("yes").pipe(
    Flag.withAlias("y"),
    Flag.withDescription("Ask nothing, and replace a file that is there"),
    Flag.withDefault(false)
  )
}, ({ check, place, tokenFile, yes }) =>
  onRoot((flags) =>
    Effect.flatMap(
      Effect.promise(() => import("./Init.ts")),
      ({ init }) =>
        init(flags, { check, place: Option.getOrUndefined(place), tokenFile: Option.getOrUndefined(tokenFile), yes })
    ), { readsFile: false })).pipe(
    Command.withDescription(
      "Ask for the gateway and write the settings file, which every command reads; then look by doctor whether it works"
    ),
    Command.withExamples([
      { command: "openclaw-device init", description: "Asks on the terminal" },
      {
        command: "openclaw-device init --yes --gateway-url ws://127.0.0.1:18789",
        description: "Asks nothing, for scripts"
      }
    ])
  )

export const settings = Command.make(
  "settings",
  {},
  () =>
    onRoot((flags) => Effect.flatMap(Effect.promise(() => import("./SettingsReport.ts")), ({ show }) => show(flags)))
).pipe(
  Command.withDescription("Show each setting, its value and where it comes from: flag, variable, file or default"),
  Command.withExamples([{ command: "openclaw-device settings", description: "Secrets are not shown" }])
)
