/**
 * What a node asks of its gateway: publishing tools, telling what is left to approve, and answering invocations.
 *
 * A node is OpenClaw's name for a device that offers commands. Shapes: recorded answers in test/vectors/node-*.json.
 */
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { isBefore, RequestId, toolCommand } from "./Connect.ts"
import type { Method } from "./Method.ts"

/** How a tool may be named. A gateway refuses the whole publication that has another name in it. */
export const toolName = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/
/** How many tools of one node a gateway takes. It drops the others without a word. */
export const mostTools = 128
/** UTF-16 code units of a description. A gateway cuts the rest off. */
export const descriptionLength = 1024

/** A tool as a node publishes it. `parameters` is a JSON Schema whose root is an object. */
export const ToolDescriptor = Schema.Struct({
  pluginId: Schema.Literal("node-mcp"),
  name: Schema.String.check(Schema.isPattern(toolName)),
  description: Schema.NonEmptyString.check(Schema.isMaxLength(descriptionLength)),
  parameters: Schema.Record(Schema.String, Schema.Unknown),
  command: Schema.Literal(toolCommand),
  mcp: Schema.Struct({ server: Schema.NonEmptyString, tool: Schema.NonEmptyString })
})
export type ToolDescriptor = typeof ToolDescriptor.Type

const method = <Params, Answer>(
  name: string,
  params: Schema.Codec<Params, unknown>,
  answer: Schema.Codec<Answer, unknown>
): Method<Params, Answer> => ({ name, scope: undefined, params, answer })

/**
 * Replaces all tools of this connection. The answer has those that the gateway took: none before a person has approved the
 * command. From 2026.8 on.
 */
export const publishTools = method(
  "node.pluginTools.update",
  Schema.Struct({ tools: Schema.Array(ToolDescriptor) }),
  Schema.Struct({ tools: Schema.Array(Schema.Struct({ name: Schema.String })) })
)

/**
 * Says that this node hosts no sessions. A gateway that waits for a person's approval of this node's commands refuses, and
 * names the request in its message: see `awaitedRequest`. From 2026.8 on.
 */
export const tellInventory = method(
  "node.runnerInventory.update",
  Schema.Struct({ protocolFeatures: Schema.Array(Schema.Never) }),
  Schema.Unknown
)

const asRequestId = Schema.decodeUnknownOption(RequestId)

/** The request that a refusal of `tellInventory` names. A node is told it in no other way. */
export const awaitedRequest = (message: string) => asRequestId(/`openclaw nodes approve ([^\s`]+)`/.exec(message)?.[1])

/** A node that the gateway knows, and a request to approve its commands, as operators see them. */
const Node = Schema.Struct({
  nodeId: Schema.String,
  displayName: Schema.optionalKey(Schema.String),
  connected: Schema.optionalKey(Schema.Boolean),
  /** `approved`, `pending-approval` or `unapproved`. */
  approvalState: Schema.optionalKey(Schema.String),
  pendingRequestId: Schema.optionalKey(RequestId),
  nodePluginTools: Schema.optionalKey(Schema.Array(Schema.Struct({
    name: Schema.String,
    description: Schema.optionalKey(Schema.String)
  })))
})

/** All nodes with the tools that they have published. Needs `operator.read`. */
export const nodeList = method("node.list", Schema.Struct({}), Schema.Struct({ nodes: Schema.Array(Node) }))

/**
 * The tools that the agent has in a session, those of nodes with the `pluginId` of their descriptors. Refused for a session that never
 * had a task. Needs `operator.read`.
 */
export const effectiveTools = method(
  "tools.effective",
  Schema.Struct({ sessionKey: Schema.String }),
  Schema.Struct({
    groups: Schema.Array(Schema.Struct({
      tools: Schema.Array(Schema.Struct({ id: Schema.String, pluginId: Schema.optionalKey(Schema.String) }))
    }))
  })
)

/** What the settings of a gateway say of tool search: `false`, or an object whose `enabled` may be false. Needs `operator.read`. */
export const toolSearchSetting = method(
  "config.get",
  Schema.Struct({}),
  Schema.Struct({
    resolved: Schema.Struct({
      tools: Schema.optionalKey(Schema.Struct({ toolSearch: Schema.optionalKey(Schema.Unknown) }))
    })
  })
)

/**
 * Whether a model finds tools of nodes by tool search alone. Where nothing is set, 2026.9 and later do so; releases before it decide by
 * the model, and do not tell. Source: OpenClaw docs, concepts/experimental-features; recorded from 2026.8.2 and 2026.9.6.
 */
export const isBehindToolSearch = (setting: unknown, serverVersion: string | undefined): boolean | undefined => {
  if (typeof setting === "boolean") return setting
  if (Predicate.isObject(setting)) return !("enabled" in setting) || setting.enabled !== false
  return serverVersion !== undefined && isBefore(serverVersion, "2026.9") === false ? true : undefined
}

/**
 * The name under which the agent has a tool of a node. Where two have a tool of one name, the gateway puts the beginning of the node
 * id before it. `names` are those that the agent has.
 */
export const agentName = (nodeId: string, name: string, names: ReadonlySet<string>): string | undefined => {
  const fragment = nodeId.slice(0, 32)
  return [`${/^\d/.test(fragment) ? "node_" : ""}${fragment}_${name}`, name].find((one) => names.has(one))
}

const NodeRequest = Schema.Struct({
  requestId: Schema.String,
  nodeId: Schema.String,
  displayName: Schema.optionalKey(Schema.String),
  platform: Schema.optionalKey(Schema.String),
  commands: Schema.optionalKey(Schema.Array(Schema.String)),
  remoteIp: Schema.optionalKey(Schema.String),
  /** In milliseconds on the gateway's clock. */
  ts: Schema.optionalKey(Schema.Unknown)
})

/** The nodes whose commands wait for approval, and those with approved commands. Needs `operator.pairing`. */
export const nodePairList = method(
  "node.pair.list",
  Schema.Struct({}),
  Schema.Struct({
    pending: Schema.Array(NodeRequest),
    paired: Schema.optionalKey(Schema.Array(Schema.Struct({
      nodeId: Schema.String,
      displayName: Schema.optionalKey(Schema.String),
      commands: Schema.optionalKey(Schema.Array(Schema.String))
    })))
  })
)

const decision = (name: "approve" | "reject") =>
  method(`node.pair.${name}`, Schema.Struct({ requestId: RequestId }), Schema.Unknown)
/** Approves the commands of a node. Needs the scopes that the request names. */
export const nodePairApprove = decision("approve")
/** Rejects them. */
export const nodePairReject = decision("reject")

/**
 * Takes the role *node* from a device, with its approved commands, and ends its sessions as a node. Its other roles stay. Read in
 * 2026.9.6; 2026.3.2 does not know the method.
 */
export const nodePairRemove = method("node.pair.remove", Schema.Struct({ nodeId: Schema.String }), Schema.Unknown)

/** One part of what a tool gives: `text`, or a part of another type as MCP has it, such as an image with `data` and `mimeType`. */
export const ToolContent = Schema.StructWithRest(Schema.Struct({ type: Schema.String }), [
  Schema.Record(Schema.String, Schema.Unknown)
])

/** What a tool gives, as MCP has it. `isError`: the model is told what went wrong and may call again. */
export const ToolOutput = Schema.Struct({
  content: Schema.Array(ToolContent),
  structuredContent: Schema.optionalKey(Schema.Unknown),
  isError: Schema.optionalKey(Schema.Boolean)
})
export type ToolOutput = typeof ToolOutput.Type

/** Why a node could not call the tool. `NODE_NOT_READY`: the gateway asks again, up to four times within two seconds. */
export const InvokeFailure = Schema.Struct({ code: Schema.String, message: Schema.String })
export type InvokeFailure = typeof InvokeFailure.Type

const invocation = { id: Schema.String, nodeId: Schema.String }

/** Answers one invocation. `ignored`: the gateway no longer waits for it. */
export const invokeResult = method(
  "node.invoke.result",
  Schema.Union([
    Schema.Struct({ ...invocation, ok: Schema.Literal(true), payload: ToolOutput }),
    Schema.Struct({ ...invocation, ok: Schema.Literal(false), error: InvokeFailure })
  ]),
  Schema.Struct({ ignored: Schema.optionalKey(Schema.Boolean) })
)
