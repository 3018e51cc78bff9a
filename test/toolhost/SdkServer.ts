/**
 * An MCP server over standard input and output for tests, by the protocol's own SDK. `grow` adds a tool while the server runs.
 */
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js"

const server = new McpServer({ name: "sdk", version: "1.0.0" })
const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

server.registerTool("draw", { description: "Draws a dot.", annotations: { readOnlyHint: true } }, () => ({
  content: [{ type: "text", text: "here it is" }, { type: "image", data: pixel, mimeType: "image/png" }]
}))
server.registerTool("grow", { description: "Adds a tool.", annotations: { destructiveHint: false } }, () => {
  server.registerTool("late.tool", { description: "Came later." }, () => ({
    content: [{ type: "text", text: "late notifications/tools/list_changed" }]
  }))
  return { content: [] }
})
server.registerTool("plain", {}, () => ({ content: [{ type: "text", text: "plain" }] }))

await server.connect(new StdioServerTransport())
