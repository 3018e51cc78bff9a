/**
 * What `doctor` does, apart from the command so that the other commands start without it.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import process from "node:process"
import type { Approval } from "../connection/ConnectionStatus.ts"
import { type CheckId, checkIds } from "../doctor/Check.ts"
import type { Examination, Subject } from "../doctor/Doctor.ts"
import * as Doctor from "../doctor/Doctor.ts"
import type { About } from "../doctor/DoctorReport.ts"
import { mendsOf, toJson, toLines } from "../doctor/DoctorReport.ts"
import * as Mending from "../doctor/Mending.ts"
import { diagnose } from "../doctor/Order.ts"
import { SettingsInvalid } from "../handshake/GatewayConfig.ts"
import * as IdentitySecrets from "../identity/IdentitySecrets.ts"
import { ApproveCommands, commandFor } from "../pairing/ApproveCommand.ts"
import { chosenGateway, quietSettings } from "./AgentLayer.ts"
import { exitOf } from "./CommandError.ts"
import { exitCodes } from "./ExitCode.ts"
import { Invocation, Processes } from "./Invocation.ts"
import type { Output } from "./Output.ts"
import { now } from "./Output.ts"
import * as OwnIdentity from "./OwnIdentity.ts"
import type * as Settings from "./Settings.ts"

export interface Flags {
  readonly verbose: boolean
  readonly fix: boolean
  readonly bundle: Option.Option<string>
  readonly recording: Option.Option<string>
}

/** Looks once, and once more after a mend. */
export const look = Effect.fnUntraced(function*(root: Settings.Flags, { fix }: { readonly fix: boolean }) {
  const invocation = yield* Invocation
  const host: Doctor.Host = { nodejs: process.version, processes: yield* Processes }
  const settings = yield* Effect.result(quietSettings(root))
  const subject = Result.isSuccess(settings) ? yield* subjectOf(settings.success) : undefined
  const once = subject === undefined
    ? Effect.suspend(() =>
      Doctor.withoutSettings(
        Result.isFailure(settings) && settings.failure._tag !== "ConfigError" ? settings.failure : unreadable,
        host
      )
    )
    : Doctor.run(subject, host)
  const first = yield* once
  const mended = fix ? yield* Mending.apply(mendsOf(first.results)) : []
  const examination = mended.length === 0 ? first : yield* once
  const about = { program: invocation.version, nodejs: process.version, at: yield* now, mended }
  return { settings, subject, examination, about, report: toJson(examination, about) }
})

/** What was found, as a person reads it. */
export const linesOf = (
  { about, examination }: { readonly about: About; readonly examination: Examination },
  { style }: Output["Service"],
  verbose: boolean
): ReadonlyArray<string> =>
  toLines(examination, about, { paint: (status, text) => style[tones[status]](text), verbose })

const tones = { ok: "good", warn: "attention", fail: "bad", skipped: "dim", unknown: "dim", dim: "dim" } as const

/** Tells what was found, and gives the exit status. */
export const examine = Effect.fnUntraced(function*(root: Settings.Flags, output: Output["Service"], flags: Flags) {
  const found = yield* look(root, flags)
  const { examination, report, settings, subject } = found
  if (Option.isSome(flags.bundle)) {
    const { write } = yield* Effect.promise(() => import("./DoctorBundle.ts"))
    yield* write(flags.bundle.value, {
      report,
      subject,
      checked: Result.isSuccess(settings) ? settings.success : undefined,
      recording: flags.recording
    })
  }
  if (output.json) yield* output.line(JSON.stringify(report))
  else for (const text of linesOf(found, output, flags.verbose)) yield* output.line(text)
  return exitOfExamination(examination)
})

/** The status of the root cause; 1 after warnings alone. */
const exitOfExamination = ({ results }: Examination): number => {
  const { root, worst } = diagnose(results)
  if (worst === "ok" || root === undefined) return 0
  if (worst === "warn") return exitCodes.failed
  const error = root.finding.error?.error
  return error !== undefined && isOfConnection(root.id) ? exitCodes[exitOf(error)] : exitCodes.settings
}

/** Whether the failure of a check has the exit status of a connection: from the proxy to the scopes. */
const isOfConnection = (id: CheckId): boolean => {
  const at = checkIds.indexOf(id)
  return at >= checkIds.indexOf("proxy") && at <= checkIds.indexOf("scopes")
}

const subjectOf = Effect.fnUntraced(function*(checked: Settings.Settings) {
  const { commands, gateway } = yield* chosenGateway(checked, "sharedToken")
  const ways = yield* Effect.provide(ApproveCommands, commands)
  const passphrase = yield* Effect.result(IdentitySecrets.passphrase)
  return {
    files: checked.files,
    identityPath: checked.identityPath,
    configured: Effect.andThen(Effect.fromResult(passphrase), OwnIdentity.fromSeed),
    passphrase: Result.isSuccess(passphrase) ? Option.getOrUndefined(passphrase.success) : undefined,
    gateway,
    urlGiven: checked.urlGiven,
    warnings: checked.warnings,
    toolsOnly: checked.toolsOnly,
    approve: ({ requestId }: Approval) => commandFor(ways, requestId).text
  } satisfies Subject
})

/** A `ConfigError` says itself which setting cannot be read. */
const unreadable = new SettingsInvalid({
  problems: [{ setting: "settings", problem: "the environment cannot be read" }]
})
