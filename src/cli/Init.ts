/**
 * `init`: asks for the gateway, its token, its place and the place for state, checks them, and writes the settings file. Then it looks
 * by `doctor` whether they work, and says what comes next. The file stays whatever is found.
 */
import * as Prompt from "effect/cli/Prompt"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Result from "effect/Result"
import * as Stdio from "effect/Stdio"
import type { toJson } from "../doctor/DoctorReport.ts"
import { SettingsInvalid, settingsOf } from "../handshake/GatewayConfig.ts"
import * as GatewayEnvironment from "../handshake/GatewayEnvironment.ts"
import { gatewayTable } from "../handshake/GatewayTable.ts"
import { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import { line } from "../protocol/OutsideText.ts"
import { PrivateFile } from "../storage/PrivateFile.ts"
import { ownIdentity, quietSettings } from "./AgentLayer.ts"
import { as, CommandFailed } from "./CommandError.ts"
import { agreed } from "./Confirmation.ts"
import { deviceTable } from "./DeviceTable.ts"
import * as GatewayPlace from "./GatewayPlace.ts"
import { Invocation } from "./Invocation.ts"
import { Output } from "./Output.ts"
import type * as Settings from "./Settings.ts"
import * as SettingsFile from "./SettingsFile.ts"
import type { Values } from "./SettingsFile.ts"

export interface Answers {
  readonly url: string
  readonly token: Redacted.Redacted | undefined
  readonly tokenFile: string | undefined
  readonly stateDirectory: string | undefined
  /** As the setting spells it. */
  readonly place: string | undefined
}

export interface Options {
  readonly check: boolean
  readonly place: string | undefined
  readonly tokenFile: string | undefined
  readonly yes: boolean
}

/** The file's values for these answers. Blank ones are left out. Pure. */
export const valuesOf = ({ place, stateDirectory, token, tokenFile, url }: Answers): Values => {
  const all = [
    [gatewayTable.url.variable, url],
    [gatewayTable.token.variable, token === undefined ? undefined : Redacted.value(token)],
    [`${gatewayTable.token.variable}_FILE`, tokenFile],
    [deviceTable.gatewayPlace.variable, place],
    [deviceTable.stateDirectory.variable, stateDirectory]
  ] as const
  return Object.fromEntries(
    all.flatMap(([name, text]) => text === undefined || text.trim() === "" ? [] : [[name, text.trim()] as const])
  )
}

/** Where the gateway is; undefined where the person does not know, or reaches it in another way. */
const placeAsked = Effect.gen(function*() {
  const { platform } = yield* Invocation
  const choices = GatewayPlace.choicesOn(platform)
  const choice = yield* Prompt.run(Prompt.Select<GatewayPlace.Choice | undefined>({
    message: "Where is the gateway? The command that approves this device is for that place",
    choices: [
      ...choices.map((choice) => ({ title: choice.title, value: choice })),
      { title: "Elsewhere, or I do not know: show the commands of every place", value: undefined }
    ]
  }))
  if (choice === undefined) return undefined
  if (choice.question === undefined) return GatewayPlace.textOf(choice, "")
  const name = yield* Prompt.run(Prompt.String({
    message: choice.question,
    validate: (name) =>
      Effect.mapError(
        Effect.as(Effect.fromResult(GatewayPlace.parse(GatewayPlace.textOf(choice, name))), name),
        ({ message }) => `It ${message}`
      )
  }))
  return GatewayPlace.textOf(choice, name)
})

const asked = Effect.fnUntraced(function*(flags: Settings.Flags, { place, tokenFile }: Options) {
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
  const where = place ?? (yield* placeAsked)
  const stateDirectory = Option.isSome(flags.stateDir)
    ? flags.stateDir.value
    : yield* Prompt.run(
      Prompt.String({ message: "A directory for identity and tasks, only yours (empty for the usual one)" })
    )
  return { url, token, tokenFile, stateDirectory, place: where } satisfies Answers
})

const isAsked = Effect.fnUntraced(function*({ yes }: Options) {
  const output = yield* Output
  const stdio = yield* Stdio.Stdio
  return !yes && !output.json && (yield* stdio.stdinIsTerminal) && (yield* stdio.stdoutIsTerminal)
})

/** What a person said, or flags where nobody can be asked. */
const answers = Effect.fnUntraced(function*(flags: Settings.Flags, options: Options, person: boolean) {
  if (person) return yield* Effect.catchTag(asked(flags, options), "QuitError", () => Effect.interrupt)
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
    tokenFile: options.tokenFile,
    place: options.place,
    stateDirectory: Option.getOrUndefined(flags.stateDir)
  } satisfies Answers
})

/** Everything is checked before anything is written. */
const checked = (values: Values) =>
  Effect.gen(function*() {
    yield* Effect.fromResult(settingsOf(yield* GatewayEnvironment.read()))
    const place = Result.mapError(
      deviceTable.gatewayPlace.parse(values[deviceTable.gatewayPlace.variable] ?? ""),
      ({ message }) =>
        new SettingsInvalid({ problems: [{ setting: deviceTable.gatewayPlace.variable, problem: message }] })
    )
    return yield* Effect.fromResult(place)
  }).pipe(
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(values)),
    Effect.mapError(as("settings"))
  )

const noFlags: Settings.Flags = { gatewayUrl: Option.none(), stateDir: Option.none() }

/**
 * What doctor finds where every setting holds as it will for the next command. A device has to have an identity to be asked for; one is
 * made for a person, and not for a script: what that writes may be an image for many devices.
 */
const examined = Effect.fnUntraced(
  function*(person: boolean) {
    const output = yield* Output
    const { linesOf, look } = yield* Effect.promise(() => import("./DoctorRun.ts"))
    // What stands in the way, or is to be said of the file, is a finding of doctor's.
    if (person) {
      yield* Effect.ignore(
        quietSettings(noFlags).pipe(
          Effect.flatMap((checked) => Effect.provide(DeviceIdentity, ownIdentity(checked))),
          Effect.provideService(References.MinimumLogLevel, "None")
        )
      )
    }
    const found = yield* look(noFlags, { fix: false })
    return { report: found.report, lines: linesOf(found, output, false), next: nextOf(found.report) }
  },
  (effect) =>
    Effect.catch(Effect.provide(effect, SettingsFile.layer(Option.none())), (error) =>
      Effect.as(
        Effect.flatMap(Output, ({ warn }) => warn(`warning: doctor could not look: ${error.message}`)),
        undefined
      ))
)

const unchecked = "Next: openclaw-device doctor, which looks whether it works; then openclaw-device run"

/** What to do after doctor's answer. */
const nextOf = ({ checks, root, verdict }: ReturnType<typeof toJson>): string => {
  if (root === "pairing") return "Next: approve this device by the command above, then openclaw-device run"
  if (checks.some(({ error, id }) => id === root && error === "IdentityAbsent")) {
    return "Next: openclaw-device run, which makes the identity of this device and asks for its approval"
  }
  return verdict === "fail"
    ? "The file is written all the same. Next: see to what doctor found, and look again by openclaw-device doctor"
    : "Next: openclaw-device run"
}

export const init = Effect.fnUntraced(function*(flags: Settings.Flags, given: Options) {
  const output = yield* Output
  const paths = yield* Path.Path
  const { path } = yield* Effect.mapError(SettingsFile.place, as("settings"))
  if (path === undefined) {
    return yield* new CommandFailed({
      exit: "settings",
      error: "PlaceUnknown",
      problem: `there is no home directory: name the file with ${deviceTable.settings.variable}`
    })
  }
  const absolute = (text: string | undefined) =>
    text === undefined || text.trim() === "" ? undefined : paths.resolve(text)
  const options = { ...given, tokenFile: absolute(given.tokenFile) }
  const person = yield* isAsked(options)
  const said = yield* answers(flags, options, person)
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
  yield* Effect.mapError(files.replace(path, SettingsFile.write(values), { strict: true }), as("settings"))
  if (!output.json) {
    yield* output.line(line(`wrote  ${path}`))
    yield* output.line(
      "Every command reads it; flags and variables win over it. `openclaw-device settings` shows what holds."
    )
  }
  const found = options.check ? yield* examined(person) : undefined
  if (output.json) {
    const doctor = found === undefined ? {} : { doctor: found.report }
    return yield* output.line(JSON.stringify({ path, settings: Object.keys(values), ...doctor }))
  }
  for (const text of found?.lines ?? []) yield* output.line(text)
  yield* output.line(found?.next ?? unchecked)
})
