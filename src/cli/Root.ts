/**
 * The root command with the flags that every command understands.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { gatewayTable } from "../handshake/GatewayTable.ts"
import type { Told } from "./CommandAdvice.ts"
import { type CommandFailed, orSettings } from "./CommandError.ts"
import { deviceTable } from "./DeviceTable.ts"
import * as Logs from "./Logs.ts"
import { Output } from "./Output.ts"
import { settingFlag, switchFlag } from "./SettingFlag.ts"
import type { Flags } from "./Settings.ts"
import * as SettingsFile from "./SettingsFile.ts"

export const root = Command.make("openclaw-device").pipe(
  Command.withSharedFlags({
    json: Flag.Boolean("json").pipe(
      Flag.withDescription("Print one JSON object a line, for programs"),
      Flag.withDefault(false)
    ),
    gatewayUrl: settingFlag(gatewayTable.url),
    stateDir: settingFlag(deviceTable.stateDirectory),
    noState: switchFlag(deviceTable.noState),
    logFormat: Flag.Literals("log-format", Logs.formats).pipe(
      Flag.withDescription(
        "How logs on standard error look: sentences, sentences with their time, or lines of JSON or logfmt for programs"
      ),
      Flag.withDefault("text" as const)
    )
  }),
  Command.withDescription("Be a paired device of an OpenClaw gateway: connect, get approved once, delegate tasks"),
  Command.withExamples([{ command: "openclaw-device run", description: "Try it out with a gateway of its own" }])
)

/** The conversation that a command's tasks go to. */
export const session = settingFlag(deviceTable.sessionKey)

/** The file of the flight recorder. */
export const record = Flag.String("record").pipe(
  Flag.withDescription("Record the connection in this new file, without secrets and texts, for `replay`"),
  Flag.optional
)

const set = (name: string) =>
  Effect.map(Effect.orDie(Config.option(Config.String(name))), Option.exists((text) => text !== ""))

/** Nothing, and nothing is loaded, where no variable of OpenTelemetry names a collector. */
const telemetry = Layer.unwrap(Effect.gen(function*() {
  const named = yield* Effect.forEach(
    ["", "TRACES_", "METRICS_", "LOGS_"],
    (signal) => set(`OTEL_EXPORTER_OTLP_${signal}ENDPOINT`)
  )
  if (!named.includes(true)) return Layer.empty
  return (yield* Effect.promise(() => import("./Telemetry.ts"))).layer
}))

/** The file of a setup code. */
export const codeFile = Flag.String("code-file").pipe(
  Flag.withDescription("Read the setup code from this file in place of standard input"),
  Flag.optional
)

/** Runs a command with the shared flags, and with the output that they choose. */
export const onRoot = <E extends CommandFailed | Told, R>(
  body: (flags: Flags, output: Output["Service"]) => Effect.Effect<void, E, R>,
  /** `init` alone does not read the settings file, which it may replace. */
  options: { readonly readsFile: boolean } = { readsFile: true }
) =>
  Effect.gen(function*() {
    const { gatewayUrl, json, logFormat, noState, stateDir } = yield* root
    return yield* Output.pipe(
      Effect.flatMap((output) =>
        Effect.andThen(Effect.raceFirst(body({ gatewayUrl, stateDir, noState }, output), output.lost), output.delivered)
      ),
      Effect.provide(
        Layer.merge(telemetry, options.readsFile ? SettingsFile.layer(gatewayUrl) : SettingsFile.layerNone).pipe(
          Layer.provideMerge(Logs.layer(logFormat)),
          Layer.provideMerge(Output.layer(json))
        )
      ),
      Effect.mapError(orSettings)
    )
  })
