/**
 * How a command fails: what a person reads, and the exit status that a script can act on.
 */
import * as CliError from "effect/cli/CliError"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"
import { type Entry, toDo } from "../advice/Entry.ts"
import type { HaltCause } from "../connection/ConnectionStatus.ts"
import { field } from "../protocol/OutsideText.ts"
import { adviceOn, type Told } from "./CommandAdvice.ts"
import { type ExitCode, exitCodes } from "./ExitCode.ts"

export class CommandFailed extends Schema.TaggedError<CommandFailed>()("CommandFailed", {
  exit: Schema.Literals([
    "failed",
    "usage",
    "truncated",
    "unreachable",
    "output",
    "pairing",
    "refused",
    "credential",
    "settings"
  ]),
  /** The class of what failed, for `--json`. */
  error: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return this.problem
  }
  override get [CliError.userMessage](): string {
    return this.problem
  }
  override get [Runtime.errorExitCode](): number {
    return exitCodes[this.exit]
  }
}

/** More than any message of ours has, with the path of a file in it. */
const maxMessage = 8000

/** A failure under a given exit status: what happened, and what to do. */
export const as = (exit: ExitCode) => (error: Told): CommandFailed => withAdvice(exit, error, adviceOn(error))

/** As `as`, with advice of the caller's own. */
export const withAdvice = (exit: ExitCode, error: Told, advice: Entry | undefined): CommandFailed => {
  const oneLine = (text: string): string => field(text, { maxLength: maxMessage })
  // A line for each setting, which says what to write instead. Everything else is one line, whatever others have written into it.
  const problem = error._tag === "SettingsInvalid"
    ? error.message.split("\n").map(oneLine).join("\n")
    : oneLine(advice === undefined ? error.message : `${error.message.replace(/\.$/, "")}. ${toDo(advice)}`)
  return new CommandFailed({ exit, error: error._tag, problem })
}

/** Any failure as that of a command. One that is not a `CommandFailed` yet is about settings or a file. */
export const orSettings = (error: CommandFailed | Told): CommandFailed =>
  error._tag === "CommandFailed" ? error : as("settings")(error)

const exits: Readonly<Record<string, ExitCode>> = {
  PairingRequired: "pairing",
  ApprovalTimedOut: "pairing",
  AuthRejected: "credential",
  RateLimited: "credential",
  LinkError: "unreachable",
  ChallengeTimeout: "unreachable",
  HelloTimeout: "unreachable",
  GatewayUnavailable: "unreachable",
  UpgradeRejected: "unreachable",
  ProxyRejected: "unreachable",
  EndpointInvalid: "settings",
  InsecureUrl: "settings",
  TlsPinMismatch: "settings",
  TlsUntrusted: "settings",
  ChallengeInvalid: "refused",
  ClientNotAllowed: "refused",
  DeviceProofRejected: "refused",
  FrameTooLarge: "refused",
  GatewayRejected: "refused",
  InternalError: "refused",
  OriginNotAllowed: "refused",
  ProtocolMismatch: "refused",
  ScopesNarrowed: "refused"
} satisfies Readonly<Record<HaltCause["_tag"], ExitCode>>

/** The exit status for a connection that failed, by the name of its cause. */
export const exitOf = (cause: string): ExitCode => (Object.hasOwn(exits, cause) ? exits[cause] : undefined) ?? "refused"
