/**
 * The tools that `run` was given, and the questions to a person about those that are marked.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Path from "effect/Path"
import type * as Scope from "effect/Scope"
import { field, lengths, names } from "../protocol/OutsideText.ts"
import { ToolQuestions } from "../toolhost/ToolQuestions.ts"
import { CommandFailed } from "./CommandError.ts"
import type { ToolFlags } from "./ToolFlags.ts"
import type { ToolModule } from "./ToolModule.ts"
import { load } from "./ToolModule.ts"

export interface GivenTools extends ToolModule {
  readonly questions: ToolQuestions["Service"]
}

/** Loads the tools. A flag for a tool that is not there ends the command: it may be a mistyped name. */
export const read = Effect.fnUntraced(
  function*({ allowTool, tools }: ToolFlags): Effect.fn.Return<GivenTools, CommandFailed, Path.Path | Scope.Scope> {
    const module = Option.isNone(tools) ? undefined : yield* load(tools.value)
    const known = Object.keys(module?.toolkit.tools ?? {})
    const unknown = allowTool.find((name) => !known.includes(name))
    if (module === undefined || unknown !== undefined) {
      return yield* new CommandFailed({
        exit: "settings",
        error: "ToolUnknown",
        problem: `--allow-tool: there is no tool ${field(unknown ?? "", { maxLength: lengths.name })}. ${
          known.length === 0 ? "Give --tools, too" : `The tools are ${names(known)}`
        }`
      })
    }
    return { ...module, questions: yield* ToolQuestions.make({ allow: allowTool }) }
  }
)
