/**
 * The answer to a wrong command line: sentences on standard error. Help goes to standard output only when it was asked for.
 */
import * as CliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import type { HelpDoc } from "effect/cli/HelpDoc"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { posixCommand } from "../protocol/ShellCommand.ts"
import { distance } from "../settings/UnknownVariable.ts"

/** More would name flags that nobody meant. */
const furthest = 2

/** An unknown flag with the nearest ones that every command has, which the parser leaves out. */
const withNearest =
  ({ flags, globalFlags = [], inheritedFlags = [] }: HelpDoc) => (error: CliError.NonShowHelpErrors) => {
    if (error._tag !== "UnrecognizedOption" || error.suggestions.length > 0) return error
    const far = ({ name }: { readonly name: string }) => distance(error.option, `--${name}`)
    const near = [...flags, ...inheritedFlags, ...globalFlags].toSorted((one, other) => far(one) - far(other))
    const suggestions = near.filter((flag) => far(flag) <= furthest).slice(0, 1).map(({ name }) => `--${name}`)
    return new CliError.UnrecognizedOption({ ...error, suggestions })
  }

export const presenter: CliOutput.Presenter = {
  present: Effect.fnUntraced(function*(event) {
    if (event._tag === "InvalidInvocation") {
      const formatter = yield* CliOutput.Formatter
      yield* Console.error(formatter.formatErrors(event.errors.map(withNearest(event.helpDoc))))
      return yield* Console.error(`\nSee: ${posixCommand([...event.commandPath, "--help"]).text}`)
    }
    if (event._tag === "Help" && event.reason === "Implicit") {
      const formatter = yield* CliOutput.Formatter
      return yield* Console.error(formatter.formatHelpDoc(event.helpDoc))
    }
    return yield* CliOutput.defaultPresenter.present(event)
  })
}
