/**
 * How this program was started, so that a printed command starts it the same way from any folder.
 */
import * as Context from "effect/Context"

/** The processes of this machine, as far as a file that names one needs them. */
export const Processes = Context.Reference<{
  readonly own: number
  readonly isAlive: (pid: number) => boolean
}>("effect-openclaw/cli/Processes", { defaultValue: () => ({ own: 1, isAlive: () => true }) })

export class Invocation extends Context.Service<Invocation, {
  /** Executable, its own options and the script, all absolute: what comes before our arguments. */
  readonly program: ReadonlyArray<string>
  /** Node's `process.platform`. */
  readonly platform: string
  readonly version: string
  /** The user's home directory by the system's list of users, for a start without `HOME`. */
  readonly home?: string | undefined
}>()("effect-openclaw/cli/Invocation") {}
