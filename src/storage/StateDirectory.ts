/**
 * The place of the files that have to survive a restart, by the convention of each platform, and the places of OpenClaw,
 * which this program never uses. Pure: the caller gives platform and environment.
 */
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

/** The facts about the machine that the places depend on. */
export interface Host {
  /** Node.js's `process.platform`; `browser` where there is none. */
  readonly platform: string
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** The files inside the state directory. */
export interface StateFiles {
  readonly directory: string
  /** The device identity of the agent. */
  readonly identity: string
  /** The separate identity with which the `devices` commands approve others. */
  readonly operatorIdentity: string
  /** The directory of stored device tokens. */
  readonly tokens: string
  /** The directory of open tasks. */
  readonly tasks: string
  /** URL and operator credential of a gateway that this program runs itself. */
  readonly gateway: string
  /** URL and pin of the gateway that a setup code paired this device with. */
  readonly pairedGateway: string
}

/** The environment does not say where the state directory is. */
export class StateDirectoryUnknown extends Schema.TaggedError<StateDirectoryUnknown>()("StateDirectoryUnknown", {
  variable: Schema.String
}) {
  override get message(): string {
    return `The state directory cannot be derived: ${this.variable} is not set.`
  }
}

/** Why a path belongs to OpenClaw itself. */
export const ReservedReason = Schema.Literals([
  "RetiredIdentityFile",
  "RetiredTokenFile",
  "OpenClawDirectory",
  "OpenClawStateDirectory"
])
export type ReservedReason = typeof ReservedReason.Type

/**
 * The default state directory: `$XDG_STATE_HOME/effect-openclaw` or `~/.local/state/effect-openclaw`; on macOS
 * `~/Library/Application Support/effect-openclaw`; on Windows `%LOCALAPPDATA%\effect-openclaw`. A blank variable counts as
 * unset, and so does a relative `XDG_STATE_HOME` (XDG Base Directory Specification).
 */
export const defaultDirectory = (host: Host): Result.Result<string, StateDirectoryUnknown> => {
  const variable = (name: string): string | undefined => {
    const value = host.environment[name]?.trim()
    return value === undefined || value === "" ? undefined : value
  }
  const under = (name: string, rest: string): Result.Result<string, StateDirectoryUnknown> => {
    const base = variable(name)
    return base === undefined
      ? Result.fail(new StateDirectoryUnknown({ variable: name }))
      : Result.succeed(`${base.replace(/[\\/]+$/, "")}${rest}`)
  }
  switch (conventionOf(host.platform)) {
    case "macos":
      return under("HOME", `/Library/Application Support/${directoryName}`)
    case "windows":
      return under("LOCALAPPDATA", `\\${directoryName}`)
    default:
      return variable("XDG_STATE_HOME")?.startsWith("/") === true
        ? under("XDG_STATE_HOME", `/${directoryName}`)
        : under("HOME", `/.local/state/${directoryName}`)
  }
}

/** The files inside a state directory, joined by the separator of the platform. */
export const stateFiles = (directory: string, platform: string): StateFiles => {
  const separator = conventionOf(platform) === "windows" ? "\\" : "/"
  const inside = (name: string): string => `${directory.replace(/[\\/]+$/, "")}${separator}${name}`
  return {
    directory,
    identity: inside("identity.json"),
    operatorIdentity: inside("operator-identity.json"),
    tokens: inside("tokens"),
    tasks: inside("tasks"),
    gateway: inside("gateway.json"),
    pairedGateway: inside("paired-gateway.json")
  }
}

/**
 * Why a path belongs to OpenClaw; nothing if it does not. `path` is absolute and normalised; `openClawStateDirectory` is the
 * value of `OPENCLAW_STATE_DIR`. OpenClaw refuses to start while its old identity file exists, so a file of ours there would
 * stop the gateway and every client of that machine. Case is ignored, as some file systems do.
 */
export const reserved = (
  path: string,
  openClawStateDirectory?: string | undefined
): Option.Option<ReservedReason> => {
  const parts = segments(path)
  const owner = parts.findIndex((part) => /^\.openclaw(-.*)?$/.test(part))
  const stateDirectory = segments(openClawStateDirectory?.trim() ?? "")
  const inState = stateDirectory.length > 0 && stateDirectory.every((part, index) => parts[index] === part)
  if (owner === -1 && !inState) return Option.none()
  const rest = parts.slice(owner === -1 ? stateDirectory.length : owner + 1).join("/")
  return Option.some(
    rest === "identity/device.json"
      ? "RetiredIdentityFile"
      : rest === "identity/device-auth.json"
      ? "RetiredTokenFile"
      : owner === -1
      ? "OpenClawStateDirectory"
      : "OpenClawDirectory"
  )
}

/** The name of the directory of this program in the places of a platform. */
export const directoryName = "effect-openclaw"

/** Whose convention for places holds on a platform, by Node.js's name of it. */
export const conventionOf = (platform: string): "macos" | "windows" | "xdg" =>
  platform === "darwin" || platform === "ios"
    ? "macos"
    : platform === "win32" || platform === "cygwin"
    ? "windows"
    : "xdg"

const segments = (path: string): ReadonlyArray<string> =>
  path.toLowerCase().split(/[\\/]+/).filter((part) => part !== "" && part !== ".")
