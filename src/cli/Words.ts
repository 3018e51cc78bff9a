/**
 * What is looked at in a command line before it is read: words of other programs that mean a flag of this one, and setup codes, which
 * must not stand there. Loaded by every start, so it imports nothing.
 */

/** The arguments with `help`, `version` and `-V` in their first place as the flags that they mean. */
export const asFlags = (args: ReadonlyArray<string>): ReadonlyArray<string> => {
  const [first, ...rest] = args
  switch (first) {
    case "help":
      return [...rest, "--help"]
    case "version":
    case "-V":
      return ["--version", ...rest]
    default:
      return args
  }
}

/** An argument that is a setup code, a link or a join URL, also behind the name of a flag. */
const isCode = (argument: string): boolean =>
  /^(?:--?[\w-]+=)?\s*(?:oc-pair:\/\/\S*|https?:\/\/\S+\/j\/[\w-]{22}|eyJ[\w-]{40,})\s*$/i.test(argument)

/** Why a command line with a code in it is not run. */
export const exposedCode = (args: ReadonlyArray<string>): string | undefined =>
  args.some(isCode)
    ? "A setup code stands on the command line, where other users of this machine can read it, and the shell keeps it."
      + " Nothing was done. Ask the person who runs the gateway for a new code, start the command without it, and paste it"
      + " when it is asked for; or name its file by --code-file or OPENCLAW_SETUP_CODE_FILE, or its descriptor by"
      + " OPENCLAW_SETUP_CODE_FD."
    : undefined
