/**
 * Checks strictly what clients send, with the complaints of release 2026.9.6 word for word: clients see them in error
 * messages, and in old releases they are the only sign of a schema error.
 */
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"

/** The value in a text; none when the text is not JSON. JSON has no `undefined`. */
export const parseJson = Option.liftThrowable((text: string): unknown => JSON.parse(text))

export type Shape =
  | { readonly is: "any" }
  | { readonly is: "boolean" }
  | {
    readonly is: "string"
    readonly minLength?: number
    readonly maxLength?: number
    readonly oneOf?: ReadonlyArray<string>
    readonly pattern?: string
  }
  | { readonly is: "integer"; readonly minimum: number }
  | { readonly is: "array"; readonly of: Shape; readonly minItems?: number; readonly maxItems?: number }
  | {
    readonly is: "object"
    readonly required?: ReadonlyArray<string>
    readonly properties: Readonly<Record<string, Shape>>
    /** Other properties are allowed. */
    readonly open?: boolean
  }

const at = (path: string, complaint: string) => path === "" ? complaint : `at ${path}: ${complaint}`

/** Further problems of a value are not named, so that a client cannot make a complaint long. */
const maxComplaints = 20
const maxNameLength = 64

const shortened = (name: string) => name.length <= maxNameLength ? name : `${name.slice(0, maxNameLength)}…`

/** Adds to `all` what is wrong with `value`, up to one problem more than are named. */
const check = (shape: Shape, value: unknown, path: string, all: Array<string>): void => {
  const complain = (complaint: string) => void all.push(at(path, complaint))
  switch (shape.is) {
    case "any":
      return
    case "boolean":
      return typeof value === "boolean" ? undefined : complain("must be boolean")
    case "integer":
      if (typeof value !== "number" || !Number.isInteger(value)) return complain("must be integer")
      return value < shape.minimum ? complain(`must be >= ${shape.minimum}`) : undefined
    case "string":
      if (shape.oneOf !== undefined) {
        return typeof value === "string" && shape.oneOf.includes(value)
          ? undefined
          : complain("must be equal to one of the allowed values")
      }
      if (typeof value !== "string") return complain("must be string")
      if (value.length > (shape.maxLength ?? Infinity)) {
        complain(`must not have more than ${shape.maxLength} characters`)
      }
      if (value.length < (shape.minLength ?? 0)) {
        complain(`must not have fewer than ${shape.minLength} characters`)
      }
      return shape.pattern === undefined || new RegExp(shape.pattern).test(value)
        ? undefined
        : complain(`must match pattern "${shape.pattern}"`)
    case "array":
      if (!Array.isArray(value)) return complain("must be array")
      if (value.length < (shape.minItems ?? 0)) return complain(`must not have fewer than ${shape.minItems} items`)
      if (value.length > (shape.maxItems ?? Infinity)) {
        return complain(`must not have more than ${shape.maxItems} items`)
      }
      for (const [index, item] of value.entries()) {
        if (all.length > maxComplaints) return
        check(shape.of, item, `${path}/${index}`, all)
      }
      return
    case "object": {
      if (!Predicate.isObject(value)) return complain("must be object")
      const missing = shape.required?.find((name) => !Object.hasOwn(value, name))
      if (missing !== undefined) complain(`must have required property '${missing}'`)
      for (const name of Object.keys(value)) {
        if (all.length > maxComplaints) return
        if (shape.open === true || Object.hasOwn(shape.properties, name)) continue
        all.push(`at ${path === "" ? "root" : path}: unexpected property '${shortened(name)}'`)
      }
      for (const [name, inner] of Object.entries(shape.properties)) {
        const item: unknown = Object.hasOwn(value, name) && Predicate.hasProperty(value, name) ? value[name] : undefined
        if (item !== undefined) check(inner, item, `${path}/${name}`, all)
      }
    }
  }
}

/** What is wrong with `value`, or `undefined` when it fits. Of several missing properties only the first is named. */
export const complaint = (shape: Shape, value: unknown): string | undefined => {
  const all: Array<string> = []
  check(shape, value, "", all)
  if (all.length > maxComplaints) all.splice(maxComplaints, all.length, "and more")
  return all.length === 0 ? undefined : all.join("; ")
}

const text: Shape = { is: "string" }
const filledText: Shape = { is: "string", minLength: 1 }
const texts: Shape = { is: "array", of: filledText }
const object = (
  required: ReadonlyArray<string>,
  properties: Readonly<Record<string, Shape>>,
  open = false
): Shape => ({ is: "object", required, properties, open })

/** Ids of clients that run in a browser page and therefore need an allowed Origin. */
export const browserClientIds: ReadonlyArray<string> = ["openclaw-control-ui", "webchat-ui", "webchat"]

const clientIds = [
  ...browserClientIds,
  "openclaw-browser-copilot",
  "openclaw-tui",
  "cli",
  "gateway-client",
  "openclaw-macos",
  "openclaw-linux",
  "openclaw-ios",
  "openclaw-watchos",
  "openclaw-android",
  "node-host",
  "openclaw-worker",
  "test",
  "fingerprint",
  "openclaw-probe"
]

const clientModes = ["webchat", "cli", "ui", "backend", "node", "worker", "probe", "test"]

const frameFields = {
  type: { is: "string", oneOf: ["req"] },
  id: filledText,
  method: filledText,
  params: { is: "any" }
} as const

/** A request frame: `id` is text, and no other field is allowed. */
export const requestFrame = object(["type", "id", "method"], {
  ...frameFields,
  traceparent: { is: "string", minLength: 1, maxLength: 128 }
})
/** One of a release before 2026.8. */
export const requestFrameWithoutTrace = object(["type", "id", "method"], frameFields)

const connectShape = (nonceRequired: boolean): Shape =>
  object(["minProtocol", "maxProtocol", "client"], {
    minProtocol: { is: "integer", minimum: 1 },
    maxProtocol: { is: "integer", minimum: 1 },
    client: object(["id", "version", "platform", "mode"], {
      id: { is: "string", oneOf: clientIds },
      displayName: filledText,
      version: filledText,
      buildId: filledText,
      platform: filledText,
      deviceFamily: filledText,
      modelIdentifier: filledText,
      timeZone: filledText,
      mode: { is: "string", oneOf: clientModes },
      instanceId: filledText
    }),
    caps: texts,
    commands: texts,
    computerUse: { is: "any" },
    workerRuns: { is: "any" },
    permissions: { is: "any" },
    pathEnv: text,
    role: filledText,
    scopes: texts,
    device: object(["id", "publicKey", "signature", "signedAt", ...(nonceRequired ? ["nonce"] : [])], {
      id: filledText,
      publicKey: filledText,
      signature: filledText,
      signedAt: { is: "integer", minimum: 0 },
      nonce: filledText
    }),
    auth: object([], {
      token: text,
      bootstrapToken: text,
      deviceToken: text,
      password: text,
      approvalRuntimeToken: text,
      agentRuntimeIdentityToken: text
    }),
    locale: text,
    userAgent: text
  })

export const connectParams = connectShape(true)
/** For a gateway older than the challenge, whose clients had no nonce to sign. */
export const connectParamsWithoutNonce = connectShape(false)

const artifactQuery: Readonly<Record<string, Shape>> = {
  sessionKey: filledText,
  runId: filledText,
  taskId: filledText,
  agentId: filledText,
  messageRole: { is: "string", oneOf: ["assistant"] }
}

/** Parameters of each method after hello-ok. */
export const methodParams = {
  "health": object([], { probe: { is: "boolean" } }),
  "chat.send": object(["sessionKey", "message", "idempotencyKey"], {
    sessionKey: filledText,
    agentId: filledText,
    sessionId: filledText,
    message: text,
    thinking: text,
    deliver: { is: "boolean" },
    attachments: { is: "array", of: { is: "any" } },
    timeoutMs: { is: "integer", minimum: 0 },
    idempotencyKey: filledText
  }),
  "chat.history": object(["sessionKey"], {
    sessionKey: filledText,
    agentId: filledText,
    cursor: text,
    limit: { is: "integer", minimum: 1 },
    offset: { is: "integer", minimum: 0 },
    sessionId: filledText,
    maxChars: { is: "integer", minimum: 1 }
  }),
  "chat.message.get": object(["sessionKey", "messageId"], {
    sessionKey: filledText,
    agentId: filledText,
    messageId: filledText,
    maxChars: { is: "integer", minimum: 1 }
  }),
  "chat.abort": object(["sessionKey"], {
    sessionKey: filledText,
    agentId: filledText,
    runId: filledText,
    preserveSideRuns: { is: "boolean" }
  }),
  "agent.wait": object(["runId"], { runId: filledText, timeoutMs: { is: "integer", minimum: 0 } }),
  "artifacts.list": object([], artifactQuery),
  "artifacts.download": object(["artifactId"], { ...artifactQuery, artifactId: filledText }),
  "sessions.messages.subscribe": object(["key"], { key: filledText, includeApprovals: { is: "boolean" } }),
  "sessions.messages.unsubscribe": object(["key"], { key: filledText }),
  "device.pair.list": object([], {}),
  "device.pair.approve": object(["requestId"], { requestId: filledText }),
  "device.pair.reject": object(["requestId"], { requestId: filledText }),
  "device.pair.remove": object(["deviceId"], { deviceId: filledText }),
  "device.pair.setupCode": object([], {
    publicUrl: filledText,
    preferRemoteUrl: { is: "boolean" },
    includeQr: { is: "boolean" },
    bootstrapProfile: { is: "string", oneOf: ["limited", "node"] },
    joinUrl: { is: "boolean" }
  }),
  "device.pair.setupStatus": object(["setupId"], { setupId: filledText }),
  "device.token.rotate": object(["deviceId", "role"], { deviceId: filledText, role: filledText, scopes: texts }),
  "device.token.revoke": object(["deviceId", "role"], { deviceId: filledText, role: filledText }),
  "node.pluginTools.update": object(["tools"], {
    tools: {
      is: "array",
      of: object(["pluginId", "name", "description", "command"], {
        pluginId: filledText,
        name: { is: "string", maxLength: 64, pattern: "^[A-Za-z][A-Za-z0-9_-]{0,63}$" },
        description: filledText,
        parameters: object([], {}, true),
        command: filledText,
        mcp: object(["server", "tool"], { server: filledText, tool: filledText })
      })
    }
  }),
  "node.runnerInventory.update": object(["protocolFeatures"], { protocolFeatures: texts }),
  "node.invoke.result": object(["id", "nodeId", "ok"], {
    id: filledText,
    nodeId: filledText,
    ok: { is: "boolean" },
    payload: { is: "any" },
    payloadJSON: text,
    error: object([], { code: text, message: text })
  }),
  "node.invoke": object(["nodeId", "command", "idempotencyKey"], {
    nodeId: filledText,
    command: filledText,
    params: { is: "any" },
    timeoutMs: { is: "integer", minimum: 0 },
    idempotencyKey: filledText,
    sessionKey: filledText
  }),
  "node.list": object([], {}),
  "node.pair.list": object([], {}),
  "node.pair.approve": object(["requestId"], { requestId: filledText }),
  "node.pair.reject": object(["requestId"], { requestId: filledText }),
  "node.pair.remove": object(["nodeId"], { nodeId: filledText }),
  "tools.invoke": object(["name"], {
    name: filledText,
    args: { is: "any" },
    sessionKey: filledText,
    agentId: filledText,
    confirm: { is: "boolean" },
    idempotencyKey: filledText
  }),
  "config.get": object([], {}),
  "tools.effective": object(["sessionKey"], { sessionKey: filledText, agentId: filledText }),
  "device.scopes.requestUpgrade": object(["scopes"], {
    scopes: { is: "array", of: filledText, minItems: 1, maxItems: 8 }
  }),
  "device.scopes.waitUpgrade": object(["requestId"], { requestId: filledText })
} as const satisfies Readonly<Record<string, Shape>>

/** Methods that releases before 2026.8 do not have. */
export const scopeUpgradeMethods: ReadonlySet<string> = new Set([
  "device.scopes.requestUpgrade",
  "device.scopes.waitUpgrade"
])

/** Methods of nodes. No other role may call them, and a node calls no others. */
export const nodeMethods = ["node.pluginTools.update", "node.runnerInventory.update", "node.invoke.result"] as const

/** Methods by which a node publishes tools, which releases before 2026.8 do not have. */
export const toolMethods: ReadonlySet<string> = new Set([
  "node.pluginTools.update",
  "node.runnerInventory.update",
  "tools.invoke"
])

export type MethodName = keyof typeof methodParams

export const isMethodName = (name: string): name is MethodName => Object.hasOwn(methodParams, name)
