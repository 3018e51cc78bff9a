/**
 * What becomes of a write to standard output or standard error that fails, where nobody waits for it: help and the version are
 * written without a look at how that went.
 */
import process from "node:process"
import { exitCodes } from "./ExitCode.ts"

export const watch = (): void => {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") process.once("exit", () => process.exitCode ||= exitCodes.output)
  })
  // Who reads the log may leave.
  process.stderr.on("error", () => {})
}
