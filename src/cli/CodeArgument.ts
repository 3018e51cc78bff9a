/**
 * Keeps setup codes off the command line.
 */
import { CommandFailed } from "./CommandError.ts"
import { setupTable } from "./DeviceTable.ts"

/** Also with `_FILE` and `_FD`. */
const variable = setupTable.setupCode.variable

/** An argument that is a setup code, a link or a join URL, also behind the name of a flag. */
const isCode = (argument: string): boolean =>
  /^(?:--?[\w-]+=)?\s*(?:oc-pair:\/\/\S*|https?:\/\/\S+\/j\/[\w-]{22}|eyJ[\w-]{40,})\s*$/i.test(argument)

/** Why a command line with a code in it is not run. */
export const onCommandLine = (args: ReadonlyArray<string>): CommandFailed | undefined =>
  args.some(isCode)
    ? new CommandFailed({
      exit: "usage",
      error: "SetupCodeExposed",
      problem:
        "A setup code stands on the command line, where other users of this machine can read it, and the shell keeps it."
        + " Nothing was done. Ask the person who runs the gateway for a new code, start the command without it, and paste it"
        + ` when it is asked for; or name its file by --code-file or ${variable}_FILE, or its descriptor by ${variable}_FD.`
    })
    : undefined
