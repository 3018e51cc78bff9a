/**
 * Why tools are not offered to a gateway.
 */
import * as Schema from "effect/Schema"

/** Tools that no gateway takes. Nothing was published. */
export class ToolsRefused extends Schema.TaggedError<ToolsRefused>()("ToolsRefused", {
  /** One for each tool that cannot be offered, by its name. */
  problems: Schema.Array(Schema.Struct({ tool: Schema.String, problem: Schema.String }))
}) {
  override get message(): string {
    return `the tools cannot be offered: ${this.problems.map(({ problem, tool }) => `${tool}: ${problem}`).join("; ")}`
  }
}

/** The gateway takes no tools from a node. `Old`: its release has no such request. `Refused`: it refuses this one. */
export class ToolsNotOffered extends Schema.TaggedError<ToolsNotOffered>()("ToolsNotOffered", {
  reason: Schema.Literals(["Old", "Refused"]),
  serverVersion: Schema.optionalKey(Schema.String),
  /** What the gateway said, as one line. */
  gatewayMessage: Schema.String
}) {
  override get message(): string {
    const version = this.serverVersion === undefined ? "" : ` (this is ${this.serverVersion})`
    return this.reason === "Old"
      ? `the gateway's agent cannot use tools of a device: that needs OpenClaw 2026.8 or newer${version}`
      : `the gateway refuses the tools${version}: ${this.gatewayMessage}`
  }
}
