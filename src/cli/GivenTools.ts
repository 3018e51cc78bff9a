/**
 * The tools that `run` was given, and the questions to a person about those that are marked.
 */
import * as Toolkit from "effect/ai/Toolkit"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { field, lengths, names } from "../protocol/OutsideText.ts"
import { ToolQuestions } from "../toolhost/ToolQuestions.ts"
import type { ToolSource } from "../toolhost/ToolSource.ts"
import { CommandFailed } from "./CommandError.ts"
import type { ToolFlags } from "./ToolFlags.ts"
import type { ToolModule } from "./ToolModule.ts"
import { load } from "./ToolModule.ts"

export interface GivenTools extends ToolModule {
  readonly sources: ReadonlyArray<ToolSource>
  readonly questions: ToolQuestions["Service"]
}

const none: ToolModule = { toolkit: Toolkit.make(), handlers: Layer.succeedContext(Context.makeUnsafe(new Map())) }

/** Loaded when there are servers. */
const servers = Effect.promise(() => import("./McpServers.ts"))

/** Loads the tools and starts the servers. A flag for a tool that is not there ends the command: it may be a mistyped name. */
export const read = Effect.fnUntraced(function*(given: ToolFlags) {
  const { allowTool, mcpEnv, mcpServer, tools } = given
  const module = Option.isNone(tools) ? none : yield* load(tools.value)
  const known = Object.keys(module.toolkit.tools)
  // Names of the tools of servers are known later, and change.
  const unknown = mcpServer.length > 0 ? undefined : allowTool.find((name) => !known.includes(name))
  if (unknown !== undefined) {
    return yield* new CommandFailed({
      exit: "settings",
      error: "ToolUnknown",
      problem: `--allow-tool: there is no tool ${field(unknown, { maxLength: lengths.name })}. ${
        known.length === 0 ? "Give --tools or --mcp-server, too" : `The tools are ${names(known)}`
      }`
    })
  }
  const sources = mcpServer.length + mcpEnv.length === 0 ? [] : yield* (yield* servers).start(given)
  return { ...module, sources, questions: yield* ToolQuestions.make({ allow: allowTool }) } satisfies GivenTools
})
