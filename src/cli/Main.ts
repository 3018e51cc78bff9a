#!/usr/bin/env node
/**
 * The command line program: the one place that knows the platform and runs effects.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as CliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as Runtime from "effect/Runtime"
import process from "node:process"
import { nodejsProcesses } from "../agent/NodejsProcesses.ts"
import { packageVersion } from "../handshake/PackageVersion.ts"
import { PrivateFile } from "../storage/PrivateFile.ts"
import { exitCodes } from "./CommandError.ts"
import { delegate } from "./Delegate.ts"
import { devices } from "./Devices.ts"
import { gateway } from "./Gateway.ts"
import { identity } from "./Identity.ts"
import { Invocation, Processes } from "./Invocation.ts"
import { mcp } from "./Mcp.ts"
import { replay } from "./Replay.ts"
import { root } from "./Root.ts"
import { run } from "./Run.ts"
import { tasks } from "./Tasks.ts"
import { presenter } from "./Usage.ts"

const platform = Layer.mergeAll(
  PrivateFile.layer,
  Layer.succeed(Invocation, {
    program: [process.execPath, ...process.execArgv, ...process.argv.slice(1, 2)],
    platform: process.platform,
    version: packageVersion
  })
).pipe(Layer.provideMerge(Layer.mergeAll(NodeServices.layer, SecureRandom.layerWebCrypto)))

const main = root.pipe(
  Command.withSubcommands([run, delegate, tasks, mcp, devices, identity, gateway, replay]),
  Command.run({ version: packageVersion }),
  Effect.provideService(CliOutput.Presenter, presenter),
  Effect.provide(platform),
  Effect.provideService(Processes, nodejsProcesses),
  // By default people see only what they have to act on; `--log-level info` shows every attempt, one line each.
  Effect.provideService(References.MinimumLogLevel, "Warn"),
  Effect.provideService(References.LogToStderr, true)
)

/**
 * Ends by letting go: no `process.exit`, so that output is flushed. Being interrupted is the ordinary way to end `run`.
 * Standard input is released, as an open one would keep the process alive.
 */
const teardown: Runtime.Teardown = (exit) => {
  process.stdin.destroy()
  process.exitCode = Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)
    ? 0
    : exitCodeOf(Cause.squash(exit.cause))
}

const exitCodeOf = (error: unknown): number =>
  CliError.isCliError(error) ? exitCodes.usage : Runtime.getErrorExitCode(error)

NodeRuntime.runMain(main, { teardown })
