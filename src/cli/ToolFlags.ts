/**
 * The flags of `run` that concern tools for the gateway's agent.
 */
import * as Flag from "effect/cli/Flag"
import type * as Option from "effect/Option"

export const toolFlags = {
  tools: Flag.String("tools").pipe(
    Flag.withDescription("A module with tools that the gateway's agent may use: it exports toolkit and handlers"),
    Flag.optional
  ),
  mcpServer: Flag.String("mcp-server").pipe(
    Flag.withDescription(
      'An MCP server whose tools the gateway\'s agent may use, as "command args" or "name=command args"; may be given several times'
    ),
    Flag.atLeast(0)
  ),
  mcpEnv: Flag.String("mcp-env").pipe(
    Flag.withDescription("A variable of the environment that the MCP servers get, too; may be given several times"),
    Flag.atLeast(0)
  ),
  allowTool: Flag.String("allow-tool").pipe(
    Flag.withDescription("A marked tool that may be called without asking a person; may be given several times"),
    Flag.atLeast(0)
  )
}

export interface ToolFlags {
  readonly tools: Option.Option<string>
  readonly mcpServer: ReadonlyArray<string>
  readonly mcpEnv: ReadonlyArray<string>
  readonly allowTool: ReadonlyArray<string>
}
