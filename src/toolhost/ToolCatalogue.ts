/**
 * The tools of a toolkit as a node publishes them.
 */
import * as Tool from "effect/ai/Tool"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { toolCommand } from "../protocol/Connect.ts"
import type { ToolDescriptor } from "../protocol/NodeMethod.ts"
import { descriptionLength, mostTools, toolName } from "../protocol/NodeMethod.ts"
import { cut } from "../protocol/OutsideText.ts"
import { ToolsRefused } from "./ToolError.ts"

/** By what name the gateway knows this host among the MCP servers of a node. */
export const server = "effect-openclaw"

type Problem = ToolsRefused["problems"][number]

/** A schema whose root is a reference to one of its definitions, with that definition as its root. */
const inlined = (schema: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> => {
  const { $defs, $ref } = schema
  const name = typeof $ref === "string" ? /^#\/\$defs\/(.+)$/.exec($ref)?.[1] : undefined
  if (typeof $ref !== "string" || name === undefined || !Predicate.isObject($defs)) return schema
  const key = decodeURIComponent(name).replaceAll("~1", "/").replaceAll("~0", "~")
  const root: unknown = Predicate.hasProperty($defs, key) ? $defs[key] : undefined
  if (!Predicate.isObject(root)) return schema
  // A definition is kept where something still refers to it, as in a tree.
  const others = Object.fromEntries(Object.entries($defs).filter(([other]) => other !== key))
  const kept = JSON.stringify([root, others]).includes(JSON.stringify($ref)) ? $defs : others
  return Object.keys(kept).length === 0 ? { ...root } : { ...root, $defs: kept }
}

/** The JSON Schema of a tool's arguments, or why there is none. */
const parametersOf = (tool: Tool.Any): Result.Result<Readonly<Record<string, unknown>>, string> =>
  Result.flatMap(
    Result.try({
      try: () => inlined({ ...Tool.getJsonSchema(tool) }),
      catch: () => "its parameters have no JSON Schema"
    }),
    (schema) =>
      schema["type"] === "object"
        ? Result.succeed(schema)
        : Result.fail("its parameters are no object; take a Schema.Struct, or Tool.EmptyParams for none")
  )

const descriptorOf = (tool: Tool.Any): Result.Result<ToolDescriptor, string> => {
  if (Tool.isProviderDefined(tool)) return Result.fail("it is run by a provider of models, and not here")
  if (!toolName.test(tool.name)) {
    return Result.fail("a name begins with a letter and has at most 64 letters, digits, '_' and '-'")
  }
  const description = Tool.getDescription(tool)?.trim()
  return Result.map(parametersOf(tool), (parameters) =>
    descriptorFor(
      tool.name,
      // A model finds a tool by the words of its name and description.
      cut(description === undefined || description === "" ? tool.name : description, descriptionLength),
      parameters
    ))
}

/** A tool as a node publishes it. */
export const descriptorFor = (
  name: string,
  description: string,
  parameters: Readonly<Record<string, unknown>>
): ToolDescriptor => ({
  pluginId: "node-mcp",
  name,
  description,
  parameters,
  command: toolCommand,
  mcp: { server, tool: name }
})

/** The descriptors of all tools, or every reason why the gateway would not take them. Pure. */
export const describe = (
  tools: Readonly<Record<string, Tool.Any>>
): Result.Result<ReadonlyArray<ToolDescriptor>, ToolsRefused> => {
  const descriptors: Array<ToolDescriptor> = []
  const problems: Array<Problem> = []
  for (const [index, tool] of Object.values(tools).entries()) {
    const descriptor = descriptorOf(tool)
    if (Result.isFailure(descriptor)) problems.push({ tool: tool.name, problem: descriptor.failure })
    else if (index >= mostTools) {
      problems.push({
        tool: tool.name,
        problem: `a gateway takes ${mostTools} tools of a device, and this is one more`
      })
    } else descriptors.push(descriptor.success)
  }
  return problems.length === 0 ? Result.succeed(descriptors) : Result.fail(new ToolsRefused({ problems }))
}
