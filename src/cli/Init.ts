/**
 * `init`: asks for the gateway, its token and the place for state, checks them, and writes the settings file.
 */
import * as Prompt from "effect/cli/Prompt"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Stdio from "effect/Stdio"
import { settingsOf } from "../handshake/GatewayConfig.ts"
import * as GatewayEnvironment from "../handshake/GatewayEnvironment.ts"
import { gatewayTable } from "../handshake/GatewayTable.ts"
import { line } from "../protocol/OutsideText.ts"
import { PrivateFile } from "../storage/PrivateFile.ts"
import { as, CommandFailed } from "./CommandError.ts"
import { agreed } from "./Confirmation.ts"
import { deviceTable } from "./DeviceTable.ts"
import { Output } from "./Output.ts"
import type { Flags } from "./Settings.ts"
import { place, type Values, write } from "./SettingsFile.ts"

export interface Answers {
  readonly url: string
  readonly token: Redacted.Redacted | undefined
  readonly tokenFile: string | undefined
  readonly stateDirectory: string | undefined
}

/** The file's values for these answers. Blank ones are left out. Pure. */
export const valuesOf = ({ stateDirectory, token, tokenFile, url }: Answers): Values => {
  const all = [
    [gatewayTable.url.variable, url],
    [gatewayTable.token.variable, token === undefined ? undefined : Redacted.value(token)],
    [`${gatewayTable.token.variable}_FILE`, tokenFile],
    [deviceTable.stateDirectory.variable, stateDirectory]
  ] as const
  return Object.fromEntries(
    all.flatMap(([name, text]) => text === undefined || text.trim() === "" ? [] : [[name, text.trim()] as const])
  )
}

const asked = Effect.fnUntraced(function*(flags: Flags, tokenFile: string | undefined) {
  const url = Option.isSome(flags.gatewayUrl)
    ? flags.gatewayUrl.value
    : (yield* Prompt.run(
      Prompt.String({ message: `The gateway's address (empty for ${gatewayTable.url.default})` })
    )).trim() || gatewayTable.url.default
  const token = tokenFile !== undefined
    ? undefined
    : yield* Prompt.run(
      Prompt.Hidden({ message: "The gateway's token, if you have it (nothing is shown; empty for none)" })
    )
  const stateDirectory = Option.isSome(flags.stateDir)
    ? flags.stateDir.value
    : yield* Prompt.run(
      Prompt.String({ message: "A directory for identity and tasks, only yours (empty for the usual one)" })
    )
  return { url, token, tokenFile, stateDirectory } satisfies Answers
})

/** What a person said, or flags where nobody can be asked. */
const answers = Effect.fnUntraced(function*(flags: Flags, tokenFile: string | undefined, yes: boolean) {
  const output = yield* Output
  const stdio = yield* Stdio.Stdio
  const asks = !yes && !output.json && (yield* stdio.stdinIsTerminal) && (yield* stdio.stdoutIsTerminal)
  if (asks) return yield* Effect.catchTag(asked(flags, tokenFile), "QuitError", () => Effect.interrupt)
  if (Option.isNone(flags.gatewayUrl)) {
    return yield* new CommandFailed({
      exit: "usage",
      error: "GatewayMissing",
      problem: "there is no terminal to ask on: name the gateway with --gateway-url"
    })
  }
  return {
    url: flags.gatewayUrl.value,
    token: undefined,
    tokenFile,
    stateDirectory: Option.getOrUndefined(flags.stateDir)
  } satisfies Answers
})

/** Everything is checked before anything is written. */
const checked = (values: Values) =>
  GatewayEnvironment.read().pipe(
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(values)),
    Effect.flatMap((environment) =>
      Result.match(settingsOf(environment), { onFailure: Effect.fail, onSuccess: Effect.succeed })
    ),
    Effect.mapError(as("settings"))
  )

export const init = Effect.fnUntraced(function*(
  flags: Flags,
  options: { readonly tokenFile: string | undefined; readonly yes: boolean }
) {
  const output = yield* Output
  const paths = yield* Path.Path
  const { path } = yield* Effect.mapError(place, as("settings"))
  if (path === undefined) {
    return yield* new CommandFailed({
      exit: "settings",
      error: "PlaceUnknown",
      problem: `there is no home directory: name the file with ${deviceTable.settings.variable}`
    })
  }
  const absolute = (text: string | undefined) =>
    text === undefined || text.trim() === "" ? undefined : paths.resolve(text)
  const said = yield* answers(flags, absolute(options.tokenFile), options.yes)
  const values = valuesOf({ ...said, stateDirectory: absolute(said.stateDirectory) })
  yield* checked(values)
  const files = yield* PrivateFile
  const before = yield* Effect.mapError(files.read(path), as("settings"))
  if (Option.isSome(before)) {
    yield* agreed({
      yes: options.yes,
      lines: [],
      question: `Replace ${line(path)}?`,
      deed: `This would replace ${line(path)}`
    })
  }
  yield* Effect.mapError(files.replace(path, write(values), { strict: true }), as("settings"))
  if (output.json) return yield* output.line(JSON.stringify({ path, settings: Object.keys(values) }))
  yield* output.line(line(`wrote  ${path}`))
  yield* output.line(
    "Every command reads it; flags and variables win over it. `openclaw-device settings` shows what holds."
  )
  yield* output.line("Next: openclaw-device doctor, which looks whether it works; then openclaw-device run")
})
