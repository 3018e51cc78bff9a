/**
 * The answer to a wrong command line: sentences on standard error. Help goes to standard output only when it was asked for.
 */
import * as CliOutput from "effect/cli/CliOutput"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { posixCommand } from "../protocol/ShellCommand.ts"

export const presenter: CliOutput.Presenter = {
  present: Effect.fnUntraced(function*(event) {
    if (event._tag === "InvalidInvocation") {
      const formatter = yield* CliOutput.Formatter
      yield* Console.error(formatter.formatErrors(event.errors))
      return yield* Console.error(`\nSee: ${posixCommand([...event.commandPath, "--help"]).text}`)
    }
    if (event._tag === "Help" && event.reason === "Implicit") {
      const formatter = yield* CliOutput.Formatter
      return yield* Console.error(formatter.formatHelpDoc(event.helpDoc))
    }
    return yield* CliOutput.defaultPresenter.present(event)
  })
}
