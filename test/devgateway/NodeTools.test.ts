import { assert, describe, it } from "@effect/vitest"
import type { Descriptor } from "../../src/devgateway/NodeTools.ts"
import { accepted, effective, offered } from "../../src/devgateway/NodeTools.ts"

const command = "mcp.tools.call.v1"
const tool = (name: string, more: Partial<Descriptor> = {}): Descriptor => ({
  pluginId: "node-mcp",
  name,
  description: `the tool ${name}`,
  command,
  mcp: { server: "effect", tool: name },
  ...more
})
const names = (tools: ReadonlyArray<Descriptor>) => tools.map(({ name }) => name)

describe("tools of nodes on the development gateway", () => {
  it("of those that a node publishes the approved ones are taken, each once, by name, 128 at most", () => {
    const { mcp: _, ...bare } = tool("bare")
    const taken = accepted([
      tool("b"),
      tool("a"),
      tool("b", { description: "again" }),
      tool("x", { command: "other" }),
      bare
    ], [
      command
    ])
    assert.deepStrictEqual(names(taken), ["a", "b"])
    assert.strictEqual(taken[1]?.description, "the tool b", "the first counts")
    assert.deepStrictEqual(accepted([tool("a")], []), [])
    const many = accepted(Array.from({ length: 200 }, (_, index) => tool(`t${1000 - index}`)), [command])
    assert.deepStrictEqual([many.length, many[0]?.name, many.at(-1)?.name], [128, "t1000", "t927"])
    assert.lengthOf(accepted([tool("long", { description: "x".repeat(2000) })], [command])[0]?.description ?? "", 1024)
  })

  it("a name that two nodes have gets the beginning of the node id in each, and the others stay", () => {
    const nodes = ["3".repeat(64), "b".repeat(64)].map((nodeId, index) => ({
      nodeId,
      label: `node ${index}`,
      tools: accepted([tool("both"), tool(`only_${index}`)], [command])
    }))
    const seen = offered(nodes)
    assert.deepStrictEqual(seen.map(({ description, name }) => [name, description]), [
      [`node_${"3".repeat(32)}_both`, "the tool both (node: node 0)"],
      ["only_0", "the tool only_0 (node: node 0)"],
      [`${"b".repeat(32)}_both`, "the tool both (node: node 1)"],
      ["only_1", "the tool only_1 (node: node 1)"]
    ])
    assert.deepNestedInclude(effective(seen), { "groups[0].tools[1].id": "only_0", "groups[0].source": "mcp" })
  })
})
