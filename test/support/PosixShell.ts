/**
 * What a real shell makes of a command line.
 */
import { assert } from "@effect/vitest"
import { spawnSync } from "node:child_process"

/** What a script prints, split at each NUL. The shell has a path and nothing else of this process's environment. */
export const printedBy = (shell: string, options: ReadonlyArray<string>, script: string): ReadonlyArray<string> => {
  const { error, status, stderr, stdout } = spawnSync(shell, [...options, script], {
    encoding: "utf8",
    env: { HOME: "/nowhere", PATH: process.env["PATH"], LC_ALL: "C.UTF-8" }
  })
  assert.isUndefined(error)
  assert.strictEqual(status, 0, stderr)
  return stdout.split("\0").slice(0, -1)
}

/** The arguments with which a command line calls its program, in place of which a function prints them. */
export const argumentsOf = (shell: string, text: string, program = "f"): ReadonlyArray<string> =>
  printedBy(shell, ["-c"], `${program}() { for a in "$@"; do printf '%s\\0' "$a"; done; }\n${text}`)
