/**
 * The settings of a fleet, from the environment.
 */
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type { FileSystem } from "effect/FileSystem"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as FleetTiming from "../fleet/FleetTiming.ts"
import { SettingsInvalid } from "../handshake/GatewayConfig.ts"
import { anyText, count, path, secret, setting, time } from "../settings/Setting.ts"
import * as SettingSource from "../settings/SettingSource.ts"

const isPostgres = (text: string) =>
  /^postgres(ql)?:\/\/\S+$/.test(text)
    ? Result.succeed(Redacted.make(text, { label: "database URL" }))
    : Result.fail({ message: "must be a URL: postgres://user:password@host:port/database" })

export const fleetTable = {
  databaseUrl: setting(secret("postgres://user:password@host:port/database", isPostgres), {
    variable: "OPENCLAW_FLEET_DATABASE_URL",
    about: "the database that all runners have in common"
  }),
  file: setting(path("a file in a directory only you may write"), {
    variable: "OPENCLAW_FLEET_FILE",
    otherwise: "no file: the fleet has a database",
    about: "for one machine instead: a file of SQLite, and no database"
  }),
  key: setting(secret("32 bytes in hex or base64", (text) => Result.succeed(Redacted.make(text))), {
    variable: "OPENCLAW_FLEET_KEY",
    about: "seals identities and tokens in the database; the same on all runners"
  }),
  earlierKeys: setting(secret("keys with commas between them", (text) => Result.succeed(Redacted.make(text))), {
    variable: "OPENCLAW_FLEET_EARLIER_KEYS",
    about: "keys that older rows are still sealed with"
  }),
  host: setting(anyText("an address in a private network"), {
    variable: "OPENCLAW_FLEET_HOST",
    default: "127.0.0.1",
    about: "where the other runners reach this one"
  }),
  port: setting(count(1, 65_535), {
    variable: "OPENCLAW_FLEET_PORT",
    default: 34_431,
    about: "the port for the other runners"
  }),
  listenHost: setting(anyText("an address of this machine"), {
    variable: "OPENCLAW_FLEET_LISTEN_HOST",
    otherwise: "OPENCLAW_FLEET_HOST",
    about: "the address to listen on, if it is another one"
  }),
  address: setting(anyText("a name"), {
    variable: "OPENCLAW_FLEET_ADDRESS",
    otherwise: "one address for all runners",
    about: "names the address at which the gateway sees this runner; runners with one name share the gateway's limits"
  }),
  databaseAway: setting(time("4 seconds", "5 minutes"), {
    variable: "OPENCLAW_FLEET_DATABASE_AWAY",
    default: FleetTiming.absence,
    about:
      "how long the database may be away before devices are given up; a killed runner is replaced after up to three times that"
  }),
  keepOutcomes: setting(time("1 minute", "90 days"), {
    variable: "OPENCLAW_FLEET_KEEP_OUTCOMES",
    default: "1 day",
    about: "how long the outcome of a task is kept for callers that ask again"
  }),
  keepEvents: setting(time("1 minute", "7 days"), {
    variable: "OPENCLAW_FLEET_KEEP_EVENTS",
    default: "1 hour",
    about: "how long the events of devices are kept for those that read them later"
  })
}

/** What is set, checked. */
export type FleetSettings = ReturnType<typeof SettingSource.parse<typeof fleetTable>>["values"]

/** Reads and checks all of them. */
export const read: Effect.Effect<FleetSettings, SettingsInvalid | Config.ConfigError, FileSystem> = Effect.gen(
  function*() {
    const found = yield* SettingSource.find(fleetTable)
    const { problems, values } = SettingSource.parse(fleetTable, found.texts)
    const named = SettingSource.named(fleetTable, found, problems)
    const where = values.databaseUrl === undefined && values.file === undefined
      ? [{
        setting: fleetTable.databaseUrl.variable,
        problem: `is not set, and neither is ${fleetTable.file.variable}: one of them says where the fleet is kept`
      }]
      : values.databaseUrl !== undefined && values.file !== undefined
      ? [{ setting: fleetTable.file.variable, problem: `and ${fleetTable.databaseUrl.variable} are both set` }]
      : []
    const all = [...named, ...where]
    return all.length > 0 ? yield* new SettingsInvalid({ problems: all }) : values
  }
)
