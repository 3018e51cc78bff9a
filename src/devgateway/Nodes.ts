/**
 * The nodes that are connected: what they offer, who approves it, and how their commands are called.
 *
 * As 2026.9.6 has it (test/vectors/node-2026.9.6.json): a later connection of a node takes the place of an earlier one, which
 * stays open and is told so when it asks for something; a node learns of an approval, and not of a rejection.
 */
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { ErrorShape } from "../protocol/Frame.ts"
import * as Invocations from "./Invocations.ts"
import type { Session } from "./Link.ts"
import type { NodeBook, SurfaceRequest } from "./NodeBook.ts"
import * as NodeTools from "./NodeTools.ts"
import { requestError } from "./Refusals.ts"
import type { Respond } from "./Respond.ts"

/** How an older release treats nodes. */
export interface Older {
  /** Nodes may publish tools, as from 2026.8 on. True unless given. */
  readonly tools?: boolean
  /** A node is told that its request was approved. 2026.8.2 does not. True unless given. */
  readonly told?: boolean
}

/** How the call of a tool ended, as the agent gets it. */
export type ToolOutcome =
  | { readonly ok: true; readonly content: ReadonlyArray<unknown>; readonly details: Readonly<Record<string, unknown>> }
  | { readonly ok: false; readonly code: string; readonly message: string }

export interface ToolCall {
  readonly name: string
  readonly args: unknown
  readonly idempotencyKey: string
  readonly sessionKey?: string
}

export interface Nodes {
  readonly joined: (session: Session) => void
  readonly left: (node: Session) => void
  /** Whether the session is the node's present one. */
  readonly isCurrent: (node: Session) => boolean
  readonly publish: (node: Session, tools: ReadonlyArray<NodeTools.Descriptor>, respond: Respond) => void
  readonly inventory: (node: Session, respond: Respond) => void
  readonly settle: (node: Session, nodeId: string, result: Invocations.Result, respond: Respond) => void
  readonly invoke: (
    call: Omit<Invocations.Call, "timeoutMs"> & { readonly timeoutMs: number | undefined },
    respond: Respond
  ) => void
  /** Gives what cancels the call. */
  readonly call: (call: ToolCall, done: (outcome: ToolOutcome) => void) => () => void
  readonly tools: () => ReadonlyArray<NodeTools.NodeTool>
  readonly list: () => ReadonlyArray<unknown>
  readonly paired: () => ReadonlyArray<unknown>
  readonly approve: (requestId: string) => { readonly requestId: string; readonly node: unknown } | undefined
  readonly reject: (requestId: string) => SurfaceRequest | undefined
}

const pairingChanged = (when: string): ErrorShape => ({
  code: "UNAVAILABLE",
  message: `node pairing changed ${when}`,
  retryable: true,
  details: { code: "PAIRING_CHANGED" }
})

/** To a node that was replaced by a later connection. */
export const superseded = pairingChanged("before request dispatch")

const nodeError = (code: string, message: string, nodeCommandDispatched: boolean): ErrorShape => ({
  code: "UNAVAILABLE",
  message: nodeCommandDispatched ? `${code}: ${message}` : message,
  details: { ...(nodeCommandDispatched ? {} : { code }), nodeError: { code, message }, nodeCommandDispatched }
})

const isAwaited =
  "node capability surface is awaiting operator approval; run `openclaw nodes approve <id>` (see `openclaw nodes"
  + " pending`), then this node retries automatically"
const isNotAwaited = "node runner inventory publication is not current; retry after pairing completes"
const defaultTimeoutMs = 30_000
const toolTimeoutMs = 120_000

/** Commands that a node may offer without a setting of the gateway. */
const allowed: ReadonlySet<string> = new Set([
  "system.run",
  "system.run.prepare",
  "system.which",
  "fs.listDir",
  "mcp.tools.call.v1"
])

interface Connection {
  readonly session: Session
  readonly nodeId: string
  readonly joinedAtMs: number
  tools: ReadonlyArray<NodeTools.Descriptor>
}

const outcomeOf = (tool: NodeTools.NodeTool, outcome: Invocations.Outcome): ToolOutcome => {
  if (!outcome.ok) return { ok: false, code: "internal_error", message: "tool execution failed" }
  const { content, isError, structuredContent } = readOutput(outcome.payload)
  return {
    ok: true,
    content: [
      ...(structuredContent === undefined
        ? []
        : [{ type: "text", text: `structuredContent:\n${JSON.stringify(structuredContent, null, 2)}` }]),
      ...content
    ],
    details: {
      mcpServer: tool.descriptor.mcp?.server,
      mcpTool: tool.descriptor.mcp?.tool,
      ...(structuredContent === undefined ? {} : { structuredContent }),
      ...(isError ? { status: "error" } : {})
    }
  }
}

const readOutput = (output: unknown) => {
  const object = typeof output === "object" && output !== null ? output : {}
  const content: ReadonlyArray<unknown> = "content" in object && Array.isArray(object.content) ? object.content : []
  return {
    content,
    structuredContent: "structuredContent" in object ? object.structuredContent : undefined,
    isError: "isError" in object && object.isError === true
  }
}

interface Options {
  readonly book: NodeBook
  readonly older: Older
  readonly nowMs: () => number
  readonly newId: () => string
  readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  /** Sends an event to one session. */
  readonly tell: (session: Session, event: string, payload: unknown) => void
  /** Sends an event to the operators who may pair devices. */
  readonly publish: (event: string, payload: unknown) => void
  readonly changed: () => void
}

interface State extends Options {
  readonly connections: Map<string, Connection>
  readonly invocations: Invocations.Invocations
}

const commandsOf = ({ book }: State, { nodeId, session }: Connection): ReadonlyArray<string> => {
  const approved = book.approved(nodeId)?.commands ?? []
  return (session.claim?.commands ?? []).filter((command) => approved.includes(command) && allowed.has(command))
}

const connectionOf = ({ connections }: State, session: Session) => {
  const connection = session.asker === undefined ? undefined : connections.get(session.asker.deviceId)
  return connection?.session === session ? connection : undefined
}

const toolsOf = ({ connections }: State) =>
  NodeTools.offered(
    [...connections.values()].map(({ nodeId, session, tools }) => ({
      nodeId,
      label: session.asker?.displayName ?? nodeId,
      tools
    }))
  )

const resolved = (self: State, { nodeId, requestId }: SurfaceRequest, decision: "approved" | "rejected") => {
  const event = { requestId, nodeId, decision, ts: self.nowMs() }
  const node = self.connections.get(nodeId)
  if (node !== undefined && decision === "approved" && self.older.told !== false) {
    self.tell(node.session, "node.pair.resolved", event)
  }
  self.publish("node.pair.resolved", event)
  self.changed()
}

const descriptionOf = ({ nodeId, session: { asker, claim } }: Connection) => ({
  nodeId,
  clientId: asker?.clientId ?? "",
  clientMode: asker?.clientMode ?? "",
  ...(asker?.displayName === undefined ? {} : { displayName: asker.displayName }),
  platform: asker?.platform ?? "",
  version: claim?.version ?? "",
  ...(asker?.deviceFamily === undefined ? {} : { deviceFamily: asker.deviceFamily }),
  remoteIp: asker?.remoteIp ?? ""
})

/** As `node.list` shows it. */
const rowOf = (self: State, connection: Connection) => {
  const { joinedAtMs, nodeId, session, tools } = connection
  const approved = self.book.approved(nodeId)
  const pending = self.book.pending().find((request) => request.nodeId === nodeId)
  return {
    ...descriptionOf(connection),
    caps: approved === undefined ? [] : session.claim?.caps ?? [],
    commands: commandsOf(self, connection),
    sessionHost: false,
    nodePluginTools: tools,
    approvalState: approved !== undefined ? "approved" : pending === undefined ? "unapproved" : "pending-approval",
    ...(pending === undefined ? {} : {
      pendingRequestId: pending.requestId,
      pendingDeclaredCaps: pending.caps,
      pendingDeclaredCommands: pending.commands
    }),
    connectedAtMs: joinedAtMs,
    lastConnectedAtMs: joinedAtMs,
    lastSeenAtMs: joinedAtMs,
    lastSeenReason: "connect",
    ...(approved === undefined ? {} : { approvedAtMs: approved.approvedAtMs }),
    paired: true,
    connected: true
  }
}

/** The node that may be called, or why not. */
const target = (self: State, call: Omit<Invocations.Call, "timeoutMs">): ErrorShape | Connection => {
  const connection = self.connections.get(call.nodeId)
  if (self.book.approved(call.nodeId) === undefined) return pairingChanged("while invocation was active")
  if (connection === undefined) return nodeError("NOT_CONNECTED", "node not connected", false)
  if (commandsOf(self, connection).includes(call.command)) return connection
  const platform = connection.session.asker?.platform
  return {
    code: "INVALID_REQUEST",
    message: `node command not allowed: "${call.command}" is not in the allowlist for platform "${platform}"`,
    details: { reason: "command not allowlisted", command: call.command }
  }
}

const join = (self: State, session: Session) => {
  const { book } = self
  const { asker, claim } = session
  if (asker === undefined || claim === undefined) return
  const nodeId = asker.deviceId
  const before = self.connections.get(nodeId)
  if (before !== undefined) self.invocations.left(before.session)
  const connection = { session, nodeId, joinedAtMs: self.nowMs(), tools: [] }
  self.connections.set(nodeId, connection)
  const commands = claim.commands.filter((command) => allowed.has(command))
  const asked = book.ask({ ...descriptionOf(connection), caps: claim.caps, commands }, self.nowMs())
  if (asked?.replaced !== undefined) resolved(self, asked.replaced, "rejected")
  if (asked !== undefined && session.surfaceApproved === true && book.approved(nodeId) === undefined) {
    approve(self, asked.request.requestId)
  } else if (asked !== undefined) self.publish("node.pair.requested", asked.request)
  self.changed()
}

const inventory = ({ book }: State, { nodeId }: Connection, respond: Respond) => {
  if (book.approved(nodeId) !== undefined) return respond({ payload: { nodeId } })
  const request = book.pending().find((request) => request.nodeId === nodeId)
  const message = request === undefined ? isNotAwaited : isAwaited.replace("<id>", request.requestId)
  respond({ error: { code: "UNAVAILABLE", message } })
}

const call = (
  self: State,
  { args, idempotencyKey, name, sessionKey }: ToolCall,
  done: (outcome: ToolOutcome) => void
): () => void => {
  const tool = toolsOf(self).find((tool) => tool.name === name)
  const connection = tool === undefined ? undefined : self.connections.get(tool.nodeId)
  if (tool === undefined || connection === undefined) {
    done({ ok: false, code: "not_found", message: `Tool not available: ${name}` })
    return () => {}
  }
  const { command, mcp } = tool.descriptor
  const call = {
    nodeId: tool.nodeId,
    command,
    paramsJSON: JSON.stringify(mcp === undefined ? args : { ...mcp, arguments: args }),
    timeoutMs: toolTimeoutMs,
    idempotencyKey,
    ...(sessionKey === undefined ? {} : { sessionKey })
  }
  return self.invocations.send(connection.session, call, (outcome) => done(outcomeOf(tool, outcome)))
}

const approve = (self: State, requestId: string) => {
  const found = self.book.approve(requestId, self.nowMs())
  if (found === undefined) return undefined
  const { request: { requestId: _, requiredApproveScopes: __, ts: ___, ...request }, surface } = found
  resolved(self, found.request, "approved")
  const lastSeenAtMs = self.connections.get(request.nodeId)?.joinedAtMs ?? self.nowMs()
  return { requestId, node: { ...request, ...surface, lastSeenAtMs, lastSeenReason: "connect" } }
}

export const make = (options: Options): Nodes => {
  const self: State = { ...options, connections: new Map(), invocations: Invocations.make(options) }
  const { book, connections, invocations } = self
  /** Does it for the node's present connection. */
  const current = (session: Session, respond: Respond, act: (connection: Connection) => void) => {
    const connection = connectionOf(self, session)
    return connection === undefined ? respond({ error: superseded }) : act(connection)
  }
  return {
    joined: (session) => join(self, session),
    left: (session) => {
      invocations.left(session)
      const connection = connectionOf(self, session)
      if (connection !== undefined) connections.delete(connection.nodeId)
    },
    isCurrent: (session) => connectionOf(self, session) !== undefined,
    publish: (session, sent, respond) =>
      current(session, respond, (connection) => {
        connection.tools = NodeTools.accepted(sent, commandsOf(self, connection))
        respond({ payload: { nodeId: connection.nodeId, tools: connection.tools } })
        self.changed()
      }),
    inventory: (session, respond) => current(session, respond, (connection) => inventory(self, connection, respond)),
    settle: (session, nodeId, result, respond) =>
      current(session, respond, (connection) => {
        if (connection.nodeId !== nodeId) return respond({ error: requestError("nodeId mismatch") })
        respond({ payload: invocations.settle(session, result) ? { ok: true } : { ok: true, ignored: true } })
      }),
    invoke: ({ timeoutMs = defaultTimeoutMs, ...call }, respond) => {
      const node = target(self, call)
      if (!("session" in node)) return respond({ error: node })
      invocations.send(node.session, { ...call, timeoutMs }, (outcome) => {
        const { command, nodeId } = call
        if (!outcome.ok) return respond({ error: nodeError(outcome.code, outcome.message, true) })
        respond({ payload: { ok: true, nodeId, command, payload: outcome.payload, payloadJSON: outcome.payloadJSON } })
      })
    },
    call: (tool, done) => call(self, tool, done),
    tools: () => toolsOf(self),
    list: () => [...connections.values()].map((connection) => rowOf(self, connection)),
    paired: () =>
      [...connections.values()].flatMap((connection) => {
        const approved = book.approved(connection.nodeId)
        return approved === undefined ? [] : [{ ...descriptionOf(connection), ...approved }]
      }),
    approve: (requestId) => approve(self, requestId),
    reject: (requestId) => {
      const request = book.reject(requestId)
      if (request !== undefined) resolved(self, request, "rejected")
      return request
    }
  }
}
