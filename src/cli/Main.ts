#!/usr/bin/env node
/**
 * The command line program: the one place that knows the platform and runs effects.
 */
import "./NoDebugger.ts"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as CliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as Config from "effect/Config"
import * as Console from "effect/Console"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Runtime from "effect/Runtime"
import { userInfo } from "node:os"
import process from "node:process"
import { nodejsProcesses } from "../agent/NodejsProcesses.ts"
import { packageVersion } from "../handshake/PackageVersion.ts"
import { PrivateFile } from "../storage/PrivateFile.ts"
import { CommandFailed } from "./CommandError.ts"
import { exitCodes } from "./ExitCode.ts"
import { Invocation, Processes } from "./Invocation.ts"
import * as NodejsStdio from "./NodejsStdio.ts"
import * as OutputErrors from "./OutputErrors.ts"
import { program } from "./Program.ts"
import type { Signal } from "./Signals.ts"
import { OnHangup, Serving, statusOf } from "./Signals.ts"
import { presenter } from "./Usage.ts"
import { asFlags, exposedCode } from "./Words.ts"

/** A user that the system does not list has none, as in a container that was given a bare number. */
const home = (): string | undefined => {
  try {
    return userInfo().homedir || undefined
  } catch {
    return undefined
  }
}

const platform = Layer.mergeAll(
  PrivateFile.layer,
  Layer.succeed(Invocation, {
    program: [process.execPath, ...process.execArgv, ...process.argv.slice(1, 2)],
    platform: process.platform,
    version: packageVersion,
    home: home()
  })
).pipe(Layer.provideMerge(Layer.mergeAll(
  NodejsStdio.layer.pipe(Layer.provideMerge(NodeServices.layer)),
  SecureRandom.layerWebCrypto
)))

const args = process.argv.slice(2)
const exposed = exposedCode(args)
const run = Command.runWith(program, { version: packageVersion })

const refused = (problem: string) =>
  Effect.andThen(
    Console.error(problem),
    Effect.fail(new CommandFailed({ exit: "usage", error: "SetupCodeExposed", problem }))
  )

const main = (exposed === undefined ? run(asFlags(args)) : refused(exposed)).pipe(
  Effect.provideService(CliOutput.Presenter, presenter),
  Effect.provide(platform),
  Effect.provideService(Processes, nodejsProcesses),
  Effect.provideService(Serving, Effect.sync(() => void (ending.serving = true))),
  Effect.provideService(OnHangup, (handler) => void (ending.hangup = handler)),
  // What no command has told: a defect, or a failure without a sentence.
  Effect.tapCause((cause) =>
    Cause.hasInterruptsOnly(cause) || !Runtime.getErrorReported(Cause.squash(cause))
      ? Effect.void
      : Effect.logError(cause)
  ),
  // By default people see only what they have to act on; `--log-level info` shows every attempt, one line each.
  Effect.provideService(References.MinimumLogLevel, "Warn"),
  Effect.provideService(References.LogToStderr, true)
)

/** What came first, and whether the command ends by it in the ordinary way. */
const ending: {
  signal: Signal | undefined
  serving: boolean
  nohup: boolean
  over: boolean
  hangup: (() => void) | undefined
} = {
  signal: undefined,
  serving: false,
  nohup: false,
  over: false,
  hangup: undefined
}

/**
 * Node.js undoes at its start what nohup did, and does not say so. The shell tells by the variable `_`, which has the command
 * that it started.
 */
const noticeNohup = Effect.orDie(Config.option(Config.String("_"))).pipe(
  Effect.map((started) => void (ending.nohup = /(^|\/)nohup$/.test(Option.getOrElse(started, () => ""))))
)

const exitCodeOf = (exit: Exit.Exit<unknown, unknown>): number => {
  if (Exit.isSuccess(exit)) return 0
  if (Cause.hasInterruptsOnly(exit.cause)) {
    return ending.signal === undefined || ending.serving ? 0 : statusOf[ending.signal]
  }
  const error = Cause.squash(exit.cause)
  return CliError.isCliError(error) ? exitCodes.usage : Runtime.getErrorExitCode(error)
}

/**
 * Ends by letting go: no `process.exit`, so that output is flushed. Standard input is released, as an open one would keep the
 * process alive.
 */
const runMain = Runtime.makeRunMain(({ fiber }) => {
  for (const signal of ["SIGHUP", "SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      if (signal === "SIGHUP" && ending.nohup) return
      if (signal === "SIGHUP" && ending.hangup !== undefined && !ending.over) return ending.hangup()
      if (ending.over) process.exit()
      ending.signal ??= signal
      fiber.interruptUnsafe(fiber.id)
    })
  }
  fiber.addObserver((exit) => {
    ending.over = true
    process.stdin.destroy()
    process.exitCode = exitCodeOf(exit)
  })
})

OutputErrors.watch()
runMain(Effect.andThen(noticeNohup, main), { disableErrorReporting: true })
