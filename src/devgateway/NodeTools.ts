/**
 * The tools that nodes publish: what is taken of them, and how the agent sees their names.
 */

/** A tool as its node publishes it, in the shape that `ParamsCheck` has checked. */
export interface Descriptor {
  readonly pluginId: string
  readonly name: string
  readonly description: string
  readonly parameters?: unknown
  readonly command: string
  readonly mcp?: { readonly server: string; readonly tool: string }
}

/** A tool of a node as the agent has it. */
export interface NodeTool {
  readonly name: string
  /** With the name of the node behind it. */
  readonly description: string
  readonly parameters: unknown
  readonly nodeId: string
  readonly descriptor: Descriptor
}

const mostTools = 128
const descriptionLength = 1024
const anything = { type: "object", properties: {}, additionalProperties: true }

const order = (one: string, other: string) => one < other ? -1 : one > other ? 1 : 0

/** What is taken: tools of approved commands, each once, the first 128 by name, with descriptions of bounded length. */
export const accepted = (
  tools: ReadonlyArray<Descriptor>,
  commands: ReadonlyArray<string>
): ReadonlyArray<Descriptor> => {
  const taken = new Map<string, Descriptor>()
  for (const tool of tools) {
    const isMcp = tool.command === "mcp.tools.call.v1" && tool.mcp !== undefined
    if (!commands.includes(tool.command) || (tool.pluginId === "node-mcp" && !isMcp)) continue
    const key = `${tool.pluginId} ${tool.name}`
    if (taken.has(key)) continue
    taken.set(key, {
      pluginId: tool.pluginId,
      name: tool.name,
      description: tool.description.slice(0, descriptionLength),
      parameters: tool.parameters ?? anything,
      command: tool.command,
      ...(tool.mcp === undefined ? {} : { mcp: tool.mcp })
    })
  }
  return [...taken.values()]
    .toSorted((one, other) => order(one.pluginId, other.pluginId) || order(one.name, other.name))
    .slice(0, mostTools)
}

const fragmentOf = (nodeId: string) => {
  const fragment = nodeId.slice(0, 32)
  return /^\d/.test(fragment) ? `node_${fragment}` : fragment
}

/** The tools of all nodes. Of several with one name each is renamed. */
export const offered = (
  nodes: ReadonlyArray<{ readonly nodeId: string; readonly label: string; readonly tools: ReadonlyArray<Descriptor> }>
): ReadonlyArray<NodeTool> => {
  const counts = new Map<string, number>()
  for (const { tools } of nodes) for (const { name } of tools) counts.set(name, (counts.get(name) ?? 0) + 1)
  return nodes.flatMap(({ label, nodeId, tools }) =>
    tools.map((descriptor) => ({
      name: (counts.get(descriptor.name) ?? 0) > 1 ? `${fragmentOf(nodeId)}_${descriptor.name}` : descriptor.name,
      description: `${descriptor.description} (node: ${label})`,
      parameters: descriptor.parameters,
      nodeId,
      descriptor
    }))
  )
}

/** What `tools.effective` says of the tools of nodes. */
export const effective = (tools: ReadonlyArray<NodeTool>): unknown => ({
  agentId: "main",
  profile: "full",
  groups: [{
    id: "mcp",
    label: "MCP server tools",
    source: "mcp",
    tools: tools.map(({ descriptor: { pluginId }, description, name }) => ({
      id: name,
      label: name.split(/[_-]/).map((word) => word.slice(0, 1).toUpperCase() + word.slice(1)).join(" "),
      description,
      rawDescription: description,
      source: "mcp",
      pluginId
    }))
  }]
})
