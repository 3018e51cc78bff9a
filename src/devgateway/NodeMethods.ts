/**
 * What the methods do that concern nodes and their tools: those of a node itself, and those of operators.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { ErrorShape } from "../protocol/Frame.ts"
import type { Session } from "./Link.ts"
import type { NodeBook } from "./NodeBook.ts"
import type { Nodes } from "./Nodes.ts"
import * as NodeTools from "./NodeTools.ts"
import { satisfies } from "./PairingBook.ts"
import type { MethodName } from "./ParamsCheck.ts"
import * as Refusals from "./Refusals.ts"
import type { Respond } from "./Respond.ts"

export type NodeMethodName = Extract<MethodName, `node.${string}` | `tools.${string}` | "config.get">

export const isNodeMethod = (method: MethodName): method is NodeMethodName =>
  method.startsWith("node.") || method.startsWith("tools.") || method === "config.get"

/** Parameters of all these methods in one: `ParamsCheck` has checked that a method's own are there and no others. */
const Params = Schema.Struct({
  tools: Schema.optionalKey(Schema.Array(Schema.Struct({
    pluginId: Schema.String,
    name: Schema.String,
    description: Schema.String,
    parameters: Schema.optionalKey(Schema.Unknown),
    command: Schema.String,
    mcp: Schema.optionalKey(Schema.Struct({ server: Schema.String, tool: Schema.String }))
  }))),
  id: Schema.optionalKey(Schema.String),
  nodeId: Schema.optionalKey(Schema.String),
  ok: Schema.optionalKey(Schema.Boolean),
  payload: Schema.optionalKey(Schema.Unknown),
  payloadJSON: Schema.optionalKey(Schema.String),
  error: Schema.optionalKey(Schema.Struct({
    code: Schema.optionalKey(Schema.String),
    message: Schema.optionalKey(Schema.String)
  })),
  requestId: Schema.optionalKey(Schema.String),
  command: Schema.optionalKey(Schema.String),
  params: Schema.optionalKey(Schema.Unknown),
  timeoutMs: Schema.optionalKey(Schema.Int),
  idempotencyKey: Schema.optionalKey(Schema.String),
  sessionKey: Schema.optionalKey(Schema.String),
  name: Schema.optionalKey(Schema.String),
  args: Schema.optionalKey(Schema.Unknown)
})
const decodeParams = Schema.decodeUnknownOption(Params)

export const make = ({ book, knows, nodes, nowMs, removeRole }: {
  readonly book: NodeBook
  readonly nodes: Nodes
  /** There is a session of this key. */
  readonly knows: (sessionKey: string) => boolean
  readonly nowMs: () => number
  /** Takes the role from a device and gives what ends its sessions, or a refusal; undefined where no device has the role. */
  readonly removeRole: (session: Session, nodeId: string) => ErrorShape | (() => void) | undefined
}) =>
(session: Session, method: NodeMethodName, sent: unknown, respond: Respond): void => {
  const params = Option.getOrElse(decodeParams(sent), (): typeof Params.Type => ({}))
  const { idempotencyKey = "", nodeId = "", requestId = "" } = params
  const inSession = params.sessionKey === undefined ? {} : { sessionKey: params.sessionKey }
  const unknownRequest = { error: Refusals.requestError("unknown requestId") }
  switch (method) {
    case "node.pluginTools.update":
      return nodes.publish(session, params.tools ?? [], respond)
    case "node.runnerInventory.update":
      return nodes.inventory(session, respond)
    case "node.invoke.result": {
      const { id = "", ok = false, ...rest } = params
      return nodes.settle(session, nodeId, {
        id,
        ok,
        payload: rest.payload,
        ...(rest.payloadJSON === undefined ? {} : { payloadJSON: rest.payloadJSON }),
        ...(rest.error === undefined ? {} : { error: rest.error })
      }, respond)
    }
    case "node.invoke":
      return nodes.invoke({
        nodeId,
        command: params.command ?? "",
        paramsJSON: params.params === undefined ? null : JSON.stringify(params.params),
        timeoutMs: params.timeoutMs,
        idempotencyKey,
        ...inSession
      }, respond)
    case "node.list":
      return respond({ payload: { ts: nowMs(), nodes: nodes.list() } })
    case "node.pair.list":
      return respond({ payload: { pending: book.pending(), paired: nodes.paired() } })
    case "node.pair.approve": {
      const request = book.pending().find((pending) => pending.requestId === requestId)
      const missing = request?.requiredApproveScopes.find((scope) => !satisfies(session.scopes, scope))
      if (missing !== undefined) return respond({ error: Refusals.missingScope(missing) })
      const approved = nodes.approve(requestId)
      return respond(approved === undefined ? unknownRequest : { payload: approved })
    }
    case "node.pair.reject": {
      const rejected = nodes.reject(requestId)
      return respond(rejected === undefined ? unknownRequest : { payload: { requestId, nodeId: rejected.nodeId } })
    }
    case "node.pair.remove": {
      const removed = removeRole(session, nodeId)
      if (removed === undefined) return respond({ error: Refusals.requestError("unknown nodeId") })
      if (typeof removed !== "function") return respond({ error: removed })
      book.remove(nodeId)
      respond({ payload: { nodeId } })
      return removed()
    }
    case "config.get":
      // Its agents have every tool at hand.
      return respond({ payload: { exists: true, valid: true, resolved: { tools: { toolSearch: false } } } })
    case "tools.effective": {
      const { sessionKey = "" } = params
      return respond(
        knows(sessionKey)
          ? { payload: NodeTools.effective(nodes.tools()) }
          : { error: Refusals.requestError(`unknown session key ${JSON.stringify(sessionKey)}`) }
      )
    }
    case "tools.invoke": {
      const { args = {}, name = "" } = params
      const call = { name, args, idempotencyKey: `rpc-delegated-${nowMs()}`, ...inSession }
      nodes.call(call, (outcome) =>
        respond({
          payload: outcome.ok
            ? {
              ok: true,
              toolName: name,
              output: { content: outcome.content, details: outcome.details },
              source: "plugin"
            }
            : { ok: false, toolName: name, error: { code: outcome.code, message: outcome.message } }
        }))
    }
  }
}
