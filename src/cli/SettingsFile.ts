/**
 * The settings file: what `init` writes and every command reads, beneath flags and variables.
 *
 * It is one JSON object of variables and their texts, for its owner alone. A variable of the environment wins over all that the
 * file says about the same setting. Credentials of the file go to the gateway of the file and to no other, and its place counts for
 * that gateway alone.
 */
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { gatewayTable } from "../handshake/GatewayTable.ts"
import { line } from "../protocol/OutsideText.ts"
import { suffixes, variables } from "../settings/Setting.ts"
import * as SettingSource from "../settings/SettingSource.ts"
import { nearest } from "../settings/UnknownVariable.ts"
import { PrivateFile } from "../storage/PrivateFile.ts"
import { conventionOf, directoryName } from "../storage/StateDirectory.ts"
import { as, CommandFailed } from "./CommandError.ts"
import { deviceTable } from "./DeviceTable.ts"
import { Invocation } from "./Invocation.ts"
import { table } from "./Settings.ts"

/** Texts by the names of their variables. */
export type Values = Readonly<Record<string, string>>

/** Where the file is, and the variables of it that count. */
export class SettingsFile extends Context.Service<SettingsFile, {
  readonly path: string | undefined
  readonly counts: ReadonlySet<string>
}>()("effect-openclaw/cli/SettingsFile") {}

const decode = Schema.decodeUnknownResult(Schema.fromJsonString(Schema.Record(Schema.String, Schema.String)))
const encode = Schema.encodeSync(
  Schema.fromJsonString(Schema.Record(Schema.String, Schema.String), { space: 2 })
)

/** The content of a file with these values. */
export const write = (values: Values): Uint8Array => new TextEncoder().encode(`${encode(values)}\n`)

/** Variables that a file may set. The file itself is named outside of it. */
const known = variables(table).filter((name) => name !== deviceTable.settings.variable)

/** The values of a file, or why it cannot be read. */
export const parse = (text: string): Result.Result<Values, string> => {
  const values = decode(text)
  if (Result.isFailure(values)) return Result.fail("is no JSON object of variables and their texts")
  const wrong = Object.keys(values.success).find((name) => !known.includes(name))
  return wrong === undefined
    ? Result.succeed(values.success)
    : Result.fail(`has ${line(wrong)}, which is no setting; the nearest is ${nearest(wrong, known)}`)
}

/** Each setting's variable with those that name a file or a descriptor of it. */
const family = (name: string): ReadonlyArray<string> => {
  const stem = suffixes.reduce(
    (rest, end) => rest.endsWith(end) && known.includes(rest.slice(0, -end.length)) ? rest.slice(0, -end.length) : rest,
    name
  )
  return [stem, ...suffixes.map((end) => `${stem}${end}`)]
}

/** What the file says of its own gateway. */
const ofGateway = [gatewayTable.token, gatewayTable.password, gatewayTable.headers, deviceTable.gatewayPlace]
  .flatMap(({ variable }) => family(variable))

/**
 * The values of the file that count. `isSet`: whether the environment has a variable; `url`: the gateway that a flag or a
 * variable names.
 */
export const counting = (values: Values, isSet: (name: string) => boolean, url: string | undefined): Values => {
  const own = values[gatewayTable.url.variable]
  const isOther = url !== undefined && own !== undefined && url !== own
  return Object.fromEntries(
    Object.entries(values).filter(([name]) => !family(name).some(isSet) && !(isOther && ofGateway.includes(name)))
  )
}

/** The platform's place for settings; undefined without a home directory. */
const usualPath = Effect.gen(function*() {
  const { home, platform } = yield* Invocation
  const text = (name: string) =>
    Effect.map(SettingSource.variable(name), (found) => found === undefined ? "" : Redacted.value(found.text).trim())
  const inHome = (yield* text("HOME")) || home
  const below = (base: string | undefined, ...rest: ReadonlyArray<string>) =>
    Effect.map(Path.Path, (path) => !base ? undefined : path.join(base, ...rest, directoryName, "settings.json"))
  switch (conventionOf(platform)) {
    case "macos":
      return yield* below(inHome, "Library", "Application Support")
    case "windows":
      return yield* below(yield* text("APPDATA"))
    default: {
      const config = yield* text("XDG_CONFIG_HOME")
      return yield* config.startsWith("/") ? below(config) : below(inHome, ".config")
    }
  }
})

/** Where the file is or would be. `named`: a variable says so. */
export const place = Effect.gen(function*() {
  const named = yield* SettingSource.pathVariable(deviceTable.settings.variable)
  const path = named === undefined ? yield* usualPath : (yield* Path.Path).resolve(named)
  return { path, named: named !== undefined }
})

const unusable = (path: string, problem: string) =>
  new CommandFailed({
    exit: "settings",
    error: "SettingsInvalid",
    problem: line(`the settings file ${path} ${problem}`)
  })

const read = Effect.fnUntraced(function*(path: string, named: boolean) {
  const fs = yield* FileSystem.FileSystem
  // Whose home is no directory, or that of somebody else, has no settings there.
  if (!named && !(yield* Effect.orElseSucceed(fs.exists(path), () => false))) return {}
  // Others may not read what may hold a token, and may not choose the gateway.
  const found = yield* Effect.flatMap(PrivateFile, (files) => files.read(path, { strict: true }))
  if (Option.isNone(found)) return named ? yield* unusable(path, "is not there") : {}
  const parsed = parse(new TextDecoder().decode(found.value.bytes))
  return Result.isSuccess(parsed) ? parsed.success : yield* unusable(path, parsed.failure)
})

/** Makes the values of the file count wherever settings are read. `gatewayUrl`: that of the flag. */
export const layer = (gatewayUrl: Option.Option<string>) =>
  Layer.unwrap(
    Effect.gen(function*() {
      const { named, path } = yield* place
      const values = path === undefined ? {} : yield* read(path, named)
      const set = new Set<string>()
      for (const name of Object.keys(values).flatMap(family)) {
        if ((yield* SettingSource.variable(name)) !== undefined) set.add(name)
      }
      const url = Option.getOrUndefined(gatewayUrl) ?? (yield* urlVariable)
      const counts = counting(values, (name) => set.has(name), url)
      return Layer.mergeAll(
        Layer.succeed(SettingsFile, { path, counts: new Set(Object.keys(counts)) }),
        Object.keys(counts).length === 0
          ? Layer.empty
          : ConfigProvider.layerAdd(ConfigProvider.fromEnvRecord(counts))
      )
    }).pipe(Effect.mapError((error) => error._tag === "CommandFailed" ? error : as("settings")(error)))
  )

/** Nothing of the file counts. */
export const layerNone = Layer.succeed(SettingsFile, { path: undefined, counts: new Set<string>() })

const urlVariable = Effect.map(
  SettingSource.variable(gatewayTable.url.variable),
  (found) => found === undefined ? undefined : Redacted.value(found.text).trim()
)
