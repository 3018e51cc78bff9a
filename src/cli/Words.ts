/**
 * Words of other programs that mean a flag of this one.
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
