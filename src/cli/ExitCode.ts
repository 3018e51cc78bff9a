/**
 * The exit statuses of this program.
 */

/** Exit statuses, after sysexits.h. Success is 0; `Signals.ts` has those of signals. */
export const exitCodes = {
  /** Anything without a status of its own. */
  failed: 1,
  /** The command line cannot be read. */
  usage: 64,
  /** The gateway shortened the reply, and gave no more of it. */
  truncated: 65,
  /** No gateway answers at the URL. */
  unreachable: 69,
  /** Standard output cannot be written: a full disk, for example. A reader that left is no failure. */
  output: 74,
  /** The gateway or the task did not finish in time, or a person has to approve the device first: try again later. */
  pairing: 75,
  /** The gateway refused this client: protocol, client id, origin, proof. */
  refused: 76,
  /** The credential was refused. */
  credential: 77,
  /** A setting is wrong, or a file cannot be used. */
  settings: 78
} as const
export type ExitCode = keyof typeof exitCodes
