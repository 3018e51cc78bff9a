/**
 * What each method does that a client may call after hello-ok. A request is judged in this order: is the method known, may
 * the client call it, do its parameters fit.
 */
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { ErrorShape } from "../protocol/Frame.ts"
import * as Frame from "../protocol/Frame.ts"
import type { Approvals } from "./Approvals.ts"
import type { ChatRuns } from "./ChatRuns.ts"
import { health, type SuspensionPhase } from "./Hello.ts"
import type { Session } from "./Link.ts"
import type { Links } from "./Links.ts"
import * as Media from "./Media.ts"
import type { NodeBook } from "./NodeBook.ts"
import * as NodeMethods from "./NodeMethods.ts"
import type { Nodes } from "./Nodes.ts"
import { superseded } from "./Nodes.ts"
import { type PairingBook, satisfies } from "./PairingBook.ts"
import * as ParamsCheck from "./ParamsCheck.ts"
import * as Refusals from "./Refusals.ts"
import type { Respond } from "./Respond.ts"
import type { SetupCodes } from "./SetupCodes.ts"
import * as SetupMethods from "./SetupMethods.ts"
import * as Transcript from "./Transcript.ts"

export interface Methods {
  /** Takes a text message of a client that has its session. Text that is not JSON is ignored. */
  readonly receive: (session: Session, text: string, send: (text: string) => void) => void
}

/** Parameters of all methods in one: `ParamsCheck` has checked that a method's own are there and no others. */
const MethodParams = Schema.Struct({
  sessionKey: Schema.optionalKey(Schema.String),
  key: Schema.optionalKey(Schema.String),
  message: Schema.optionalKey(Schema.String),
  idempotencyKey: Schema.optionalKey(Schema.String),
  messageId: Schema.optionalKey(Schema.String),
  limit: Schema.optionalKey(Schema.Int),
  maxChars: Schema.optionalKey(Schema.Int),
  timeoutMs: Schema.optionalKey(Schema.Int),
  runId: Schema.optionalKey(Schema.String),
  requestId: Schema.optionalKey(Schema.String),
  deviceId: Schema.optionalKey(Schema.String),
  role: Schema.optionalKey(Schema.String),
  scopes: Schema.optionalKey(Schema.Array(Schema.String)),
  attachments: Schema.optionalKey(Schema.Array(Schema.Unknown)),
  artifactId: Schema.optionalKey(Schema.String),
  taskId: Schema.optionalKey(Schema.String),
  messageRole: Schema.optionalKey(Schema.String)
})
type MethodParams = typeof MethodParams.Type
const decodeMethodParams = Schema.decodeUnknownOption(MethodParams)

/** The scope that a method needs. Asking for a wider scope needs none. */
const neededScopes: Record<ParamsCheck.MethodName, string | undefined> = {
  "node.pluginTools.update": undefined,
  "node.runnerInventory.update": undefined,
  "node.invoke.result": undefined,
  "node.invoke": "operator.write",
  "node.list": "operator.read",
  "node.pair.list": "operator.pairing",
  "node.pair.approve": "operator.pairing",
  "node.pair.reject": "operator.pairing",
  "node.pair.remove": "operator.pairing",
  "tools.invoke": "operator.write",
  "tools.effective": "operator.read",
  "config.get": "operator.read",
  "health": "operator.read",
  "chat.send": "operator.write",
  "chat.history": "operator.read",
  "chat.message.get": "operator.read",
  "chat.abort": "operator.write",
  "agent.wait": "operator.write",
  "artifacts.list": "operator.read",
  "artifacts.download": "operator.read",
  "sessions.messages.subscribe": "operator.read",
  "sessions.messages.unsubscribe": "operator.read",
  "device.pair.list": "operator.pairing",
  "device.pair.approve": "operator.pairing",
  "device.pair.reject": "operator.pairing",
  "device.pair.remove": "operator.pairing",
  "device.pair.setupCode": "operator.admin",
  "device.pair.setupStatus": "operator.admin",
  "device.token.rotate": "operator.pairing",
  "device.token.revoke": "operator.pairing",
  "device.scopes.requestUpgrade": undefined,
  "device.scopes.waitUpgrade": undefined
}

/** What only a node may call. */
const ownMethods: ReadonlySet<string> = new Set(ParamsCheck.nodeMethods)

const admin = "operator.admin"

const knownScopes: ReadonlySet<string> = new Set(
  ["read", "write", "admin", "approvals", "questions", "pairing", "talk", "talk.secrets"].map((name) =>
    `operator.${name}`
  )
)

const unknownMethod = ({ role, scopes }: Session, method: string): ErrorShape => {
  if (role !== "node" && !satisfies(scopes, admin)) return Refusals.missingScope(admin)
  return Refusals.requestError(
    method === "connect" ? "connect is only valid as the first request" : `unknown method: ${method}`
  )
}

/** Why a client may not call a method so. */
const refusalOf = (
  { role, scopes }: Session,
  method: ParamsCheck.MethodName,
  sent: unknown,
  phase: SuspensionPhase
) => {
  if ((role === "node") !== ownMethods.has(method)) return Refusals.requestError(`unauthorized role: ${role}`)
  const scope = neededScopes[method]
  if (scope !== undefined && !satisfies(scopes, scope)) return Refusals.missingScope(scope)
  if (phase !== "accepting") return Refusals.suspended(method, phase)
  const complaint = ParamsCheck.complaint(ParamsCheck.methodParams[method], sent)
  return complaint === undefined ? undefined : Refusals.requestError(`invalid ${method} params: ${complaint}`)
}

const removeNode = (
  { book, links }: { readonly book: PairingBook; readonly links: Pick<Links, "endDevice"> }
): Parameters<typeof NodeMethods.make>[0]["removeRole"] =>
(session, nodeId) => {
  if (!satisfies(session.scopes, admin)) return Refusals.requestError("node pairing removal denied")
  return book.removeRole(nodeId, "node") ? () => links.endDevice(nodeId, "node") : undefined
}

interface Options {
  readonly book: PairingBook
  readonly chat: ChatRuns
  readonly approvals: Approvals
  readonly links: Pick<Links, "isConnected" | "endDevice">
  readonly nowMs: () => number
  readonly scopeUpgrades: boolean
  readonly suspension: () => SuspensionPhase
  readonly surfaces: NodeBook
  readonly codes: SetupCodes
  readonly nodes: Nodes
  /** Nodes may publish tools. */
  readonly nodeTools: boolean
}

export const make = (options: Options): Methods => {
  const { approvals, book, chat, links, nowMs } = options
  const nodeMethods = NodeMethods.make({
    ...options,
    book: options.surfaces,
    knows: chat.knows,
    removeRole: removeNode(options)
  })
  const setupMethods = SetupMethods.make({ codes: options.codes, nowMs })

  const perform = (
    session: Session,
    method: Exclude<ParamsCheck.MethodName, NodeMethods.NodeMethodName | SetupMethods.SetupMethodName>,
    params: MethodParams,
    respond: Respond
  ): void => {
    const { deviceId = "", idempotencyKey = "", message = "", messageId = "" } = params
    const { requestId = "", role = "operator", sessionKey = "" } = params
    const isAdmin = satisfies(session.scopes, admin)
    const own = session.asker?.deviceId === deviceId
    const deny = (text: string) => respond({ error: Refusals.requestError(text) })
    switch (method) {
      case "health":
        return respond({ payload: health(nowMs()) })
      case "chat.send":
        return chat.send({ sessionKey, message, idempotencyKey, attachments: params.attachments ?? [] }, respond)
      case "chat.history":
        return chat.history({ sessionKey, limit: params.limit, maxChars: params.maxChars }, respond)
      case "chat.message.get":
        return chat.message({ sessionKey, messageId, maxChars: params.maxChars }, respond)
      case "chat.abort":
        return chat.abort(params.runId === undefined ? { sessionKey } : { sessionKey, runId: params.runId }, respond)
      case "agent.wait": {
        const { runId = "", timeoutMs } = params
        return chat.wait(timeoutMs === undefined ? { runId } : { runId, timeoutMs }, respond)
      }
      case "artifacts.list":
      case "artifacts.download": {
        const { artifactId, messageRole, runId, sessionKey, taskId } = params
        if (sessionKey === undefined && runId === undefined && taskId === undefined) {
          return Media.refuse(respond, "artifacts require one of sessionKey, runId, or taskId")
        }
        return chat.artifacts({ sessionKey, runId, messageRole, artifactId }, respond)
      }
      case "sessions.messages.subscribe":
      case "sessions.messages.unsubscribe": {
        const key = Transcript.fullKey((params.key ?? "").toLowerCase())
        const subscribed = method === "sessions.messages.subscribe"
        if (subscribed) session.sessions?.add(key)
        else session.sessions?.delete(key)
        return respond({ payload: { subscribed, key } })
      }
      case "device.pair.list": {
        const paired = book.paired().map((device) => ({ ...device, connected: links.isConnected(device.deviceId) }))
        return respond({ payload: { pending: book.pending(nowMs()), paired } })
      }
      case "device.pair.approve": {
        const entry = book.pending(nowMs()).find((pending) => pending.requestId === requestId)
        const missing = entry?.scopes.find((scope) => !satisfies(session.scopes, scope))
        if (missing !== undefined) return respond({ error: Refusals.missingScope(missing) })
        const device = approvals.approve(requestId)
        return device === undefined ? deny("unknown requestId") : respond({ payload: { requestId, device } })
      }
      case "device.pair.reject": {
        const entry = approvals.reject(requestId)
        return entry === undefined
          ? deny("unknown requestId")
          : respond({ payload: { requestId, deviceId: entry.deviceId } })
      }
      case "device.pair.remove":
        if (!own && !isAdmin) return deny("device pairing removal denied")
        if (!book.remove(deviceId)) return deny("unknown deviceId")
        respond({ payload: { deviceId } })
        return links.endDevice(deviceId)
      case "device.token.rotate": {
        const token = own || isAdmin ? book.rotate(deviceId, role, nowMs()) : undefined
        if (token === undefined) return deny("device token rotation denied")
        const { issuedAtMs: rotatedAtMs, scopes, value } = token
        const delivery = own
          ? { token: Redacted.value(value), tokenDelivery: "in-band" }
          : { tokenDelivery: "withheld-cross-device" }
        respond({ payload: { deviceId, role, scopes, rotatedAtMs, ...delivery } })
        return links.endDevice(deviceId)
      }
      case "device.token.revoke":
        if (!(own || isAdmin) || !book.revoke(deviceId, role, nowMs())) return deny("device token revocation denied")
        respond({ payload: { deviceId, role, revokedAtMs: nowMs() } })
        return links.endDevice(deviceId)
      case "device.scopes.requestUpgrade": {
        const scopes = (params.scopes ?? []).toSorted()
        if (session.asker === undefined || book.token(session.asker.deviceId, session.asker.role) === undefined) {
          return deny("device identity required")
        }
        if (!scopes.every((scope) => knownScopes.has(scope))) {
          return deny("requested scopes contain an unknown operator scope")
        }
        return session.scopes.every((scope) => satisfies(scopes, scope))
          ? respond({ payload: { requestId: approvals.ask({ ...session.asker, scopes }, false).requestId } })
          : deny("requested scopes must include the connection's current scopes")
      }
      case "device.scopes.waitUpgrade":
        return session.asker === undefined
          ? deny("device identity required")
          : approvals.wait(session.asker, requestId, respond)
    }
  }

  const call = (session: Session, method: string, sent: unknown, respond: Respond) => {
    const absent = (!options.scopeUpgrades && ParamsCheck.scopeUpgradeMethods.has(method))
      || (!options.nodeTools && ParamsCheck.toolMethods.has(method))
    if (absent || !ParamsCheck.isMethodName(method)) return respond({ error: unknownMethod(session, method) })
    const error = refusalOf(session, method, sent, options.suspension())
    const params = Option.getOrUndefined(decodeMethodParams(sent))
    const odd = Refusals.requestError(`invalid ${method} params: must be object`)
    if (error !== undefined || params === undefined) return respond({ error: error ?? odd })
    if (session.role === "node" && !options.nodes.isCurrent(session)) return respond({ error: superseded })
    if (NodeMethods.isNodeMethod(method)) nodeMethods(session, method, sent, respond)
    else if (SetupMethods.isSetupMethod(method)) setupMethods(method, sent, respond)
    else perform(session, method, params, respond)
  }

  return {
    receive: (session, text, send) => {
      const sent = Option.getOrUndefined(ParamsCheck.parseJson(text))
      if (sent === undefined) return
      const shape = options.scopeUpgrades ? ParamsCheck.requestFrame : ParamsCheck.requestFrameWithoutTrace
      const complaint = ParamsCheck.complaint(shape, sent)
      const frame = Frame.parse(text)
      if (complaint !== undefined || frame?.type !== "req") {
        const id = Predicate.hasProperty(sent, "id") && typeof sent.id === "string" ? sent.id : "invalid"
        const error = Refusals.requestError(`invalid request frame: ${complaint ?? "must be object"}`)
        return send(Frame.encodeRefusal(id, error))
      }
      call(session, frame.method, frame.params ?? {}, (answer) =>
        send(
          "error" in answer
            ? Frame.encodeRefusal(frame.id, answer.error)
            : Frame.encodeResponse(frame.id, answer.payload)
        ))
    }
  }
}
