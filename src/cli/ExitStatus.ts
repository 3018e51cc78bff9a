/**
 * What each exit status means, as the README says it. Nothing of the program loads this: the README is compared with it.
 */
import { type ExitCode, exitCodes } from "./ExitCode.ts"
import { statusOf } from "./Signals.ts"
import { notRunning } from "./StatusShow.ts"

const meanings: Readonly<Record<ExitCode, string>> = {
  failed: "anything else",
  usage: "the command line cannot be read, or `--yes` is missing where nobody can be asked",
  truncated: "the reply is not whole: the gateway shortened it and gave no more. What it gave is on standard output",
  unreachable: "no gateway answers",
  output:
    "standard output cannot be written, for example on a full disk. A reader that left (`\\| head`) is no failure, and"
    + " ends `run` and `gateway` with 0. A task whose reply was lost stays open, and the next program tells it",
  pairing: "a person has to approve this device first, or the task did not end in time; `run` ends so with"
    + " `--exit-on-pairing` alone",
  refused: "the gateway refused this client, or does not know what was asked of it",
  credential: "the gateway refused the credential",
  settings: "a setting is wrong, or a file cannot be used"
}

const isName = (name: string): name is ExitCode => Object.hasOwn(exitCodes, name)

/** Every status and its meaning. Anything else comes last, as it is what remains. */
export const rows: ReadonlyArray<readonly [status: string, meaning: string]> = [
  ["0", "done; also when `run`, `gateway` or `mcp` is stopped by a signal"],
  [String(notRunning), "`status`: no program runs on this state directory"],
  ...Object.keys(exitCodes).filter(isName).filter((name) => name !== "failed")
    .toSorted((one, other) => exitCodes[one] - exitCodes[other])
    .map((name) => [String(exitCodes[name]), meanings[name]] as const),
  [
    Object.values(statusOf).toSorted((one, other) => one - other).join(", "),
    "SIGHUP, SIGINT (Ctrl-C) or SIGTERM ended a command before it was done"
  ],
  [String(exitCodes.failed), meanings.failed]
]

export const markdown = (): string =>
  ["| exit status | means |", "| --- | --- |", ...rows.map(([status, meaning]) => `| ${status} | ${meaning} |`)].join(
    "\n"
  )
