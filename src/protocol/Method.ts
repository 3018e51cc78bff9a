/**
 * The gateway's methods that this program calls: name, scope, parameters and answer of each.
 *
 * Answers are read leniently: gateways of 16 releases add, omit and null fields, so a field that this program does not need is
 * not read, and one that it can do without is `Unknown` and judged where it is used. Shapes: recorded answers in test/vectors.
 */
import * as Schema from "effect/Schema"
import { DeviceToken, GrantedScopes, RequestId, ScopeName } from "./Connect.ts"

/** What a call needs: encoded parameters go out, and the payload of the answer is decoded once. */
export interface Method<Params, Answer> {
  readonly name: string
  /** The scope that every release asks for. Absent where releases differ: then the gateway judges. */
  readonly scope: string | undefined
  readonly params: Schema.Codec<Params, unknown>
  readonly answer: Schema.Codec<Answer, unknown>
}

/**
 * The scope of each method that needs the same one in every release from 2026.1.29 to 2026.9.6 (read in the releases' method
 * tables, and tried on 2026.9.6). It also holds methods that only a host of this library calls.
 */
const scopes: ReadonlyMap<string, string> = new Map([
  ["health", "operator.read"],
  ["chat.history", "operator.read"],
  ["chat.send", "operator.write"],
  ["chat.abort", "operator.write"],
  ["agent.wait", "operator.write"],
  ["device.pair.list", "operator.pairing"],
  ["device.pair.approve", "operator.pairing"],
  ["device.pair.reject", "operator.pairing"],
  ["device.pair.remove", "operator.pairing"],
  ["device.token.rotate", "operator.pairing"],
  ["device.token.revoke", "operator.pairing"]
])

/**
 * The scope that every release asks for to call this method. `undefined` where releases differ, and for methods not in the
 * table.
 */
export const scopeOf = (method: string): string | undefined => scopes.get(method)

const method = <Params, Answer>(
  name: string,
  params: Schema.Codec<Params, unknown>,
  answer: Schema.Codec<Answer, unknown>
): Method<Params, Answer> => ({ name, scope: scopeOf(name), params, answer })

/** Runs that were stopped. `runIds` is empty when nothing of the session was at work. */
const Stopped = Schema.Struct({ aborted: Schema.Boolean, runIds: Schema.Array(Schema.String) })

/**
 * Gives a message to a session. The idempotency key becomes the run id; the same key is never run twice while the gateway
 * remembers it. `status` is `started`, `in_flight`, or `ok` for a key whose run is over; `runId` may be another run that has
 * the same text at work. A text that is a stop command is answered like `chat.abort`.
 */
export const chatSend = method(
  "chat.send",
  Schema.Struct({
    sessionKey: Schema.String,
    message: Schema.String,
    /** Whether the reply also goes to the session's channel. */
    deliver: Schema.Boolean,
    idempotencyKey: Schema.String,
    attachments: Schema.optionalKey(Schema.Array(
      Schema.Struct({
        /** `image` or `file`. */
        type: Schema.String,
        mimeType: Schema.String,
        fileName: Schema.String,
        /** Base64. */
        content: Schema.String
      })
    ))
  }),
  Schema.Union([
    Schema.Struct({ status: Schema.String, runId: Schema.optionalKey(Schema.NonEmptyString) }),
    Stopped
  ])
)

/** Stops one run of a session. */
export const chatAbort = method(
  "chat.abort",
  Schema.Struct({ sessionKey: Schema.String, runId: Schema.String }),
  Stopped
)

/**
 * The last messages of a session, oldest first, and on newer releases what is at work in it. Texts are cut at `maxChars` UTF-16
 * code units: at most 500,000, and 8,000 unless asked for. Up to 2026.3 they are cut at 12,000, and `maxChars` is refused.
 */
export const chatHistory = method(
  "chat.history",
  Schema.Struct({ sessionKey: Schema.String, limit: Schema.Int, maxChars: Schema.optionalKey(Schema.Int) }),
  Schema.Struct({
    messages: Schema.Array(Schema.Unknown),
    sessionId: Schema.optionalKey(Schema.Unknown),
    inFlightRun: Schema.optionalKey(Schema.Unknown),
    sessionInfo: Schema.optionalKey(Schema.Unknown),
    pendingInputs: Schema.optionalKey(Schema.Unknown)
  })
)

/**
 * One message of a session, with texts of up to 1,000,000 UTF-16 code units. `ok` is false for one that cannot be shown. Read in
 * 2026.6.11 and 2026.9.6; 2026.3.2 does not know the method.
 */
export const chatMessageGet = method(
  "chat.message.get",
  Schema.Struct({ sessionKey: Schema.String, messageId: Schema.String }),
  Schema.Struct({ ok: Schema.Boolean, message: Schema.optionalKey(Schema.Unknown) })
)

/**
 * How a run ended, within `timeoutMs`. Gateways remember it for some minutes and forget it when they restart. `status` is `ok`,
 * `error`, `timeout` or `pending`; `tasks/RunEnd` says what else is read.
 */
export const agentWait = method(
  "agent.wait",
  Schema.Struct({ runId: Schema.String, timeoutMs: Schema.Int }),
  Schema.Struct({
    status: Schema.String,
    error: Schema.optionalKey(Schema.Unknown),
    endedAt: Schema.optionalKey(Schema.Unknown),
    stopReason: Schema.optionalKey(Schema.Unknown),
    terminalReply: Schema.optionalKey(Schema.Unknown)
  })
)

/** Which run's files are meant. `messageRole` is known from 2026.9 on: `assistant` leaves out what tools gave to the agent. */
const artifactQuery = {
  sessionKey: Schema.String,
  runId: Schema.String,
  messageRole: Schema.optionalKey(Schema.String)
}

/** The files that a run shows or was given. `tasks/RunArtifacts` says what is read of each. Useful from 2026.8 on. */
export const artifactsList = method(
  "artifacts.list",
  Schema.Struct(artifactQuery),
  Schema.Struct({ artifacts: Schema.Array(Schema.Unknown) })
)

/** One of them: its content, or a short-lived address of it on the gateway's HTTP side. */
export const artifactsDownload = method(
  "artifacts.download",
  Schema.Struct({ ...artifactQuery, artifactId: Schema.String }),
  Schema.Struct({
    encoding: Schema.optionalKey(Schema.String),
    data: Schema.optionalKey(Schema.String),
    url: Schema.optionalKey(Schema.String)
  })
)

const listening = (name: "subscribe" | "unsubscribe") =>
  method(
    `sessions.messages.${name}`,
    Schema.Struct({ key: Schema.String }),
    Schema.Struct({ subscribed: Schema.Boolean, key: Schema.optionalKey(Schema.String) })
  )
/**
 * Asks for the events of a session, over this connection. From 2026.8 on, one that stated the capability
 * `session-scoped-events` gets no others. The session need not exist. The answer has the gateway's key of it.
 */
export const subscribeMessages = listening("subscribe")
/** Asks for no more of them. */
export const unsubscribeMessages = listening("unsubscribe")

const Device = Schema.Struct({
  deviceId: Schema.String,
  requestId: Schema.optionalKey(Schema.String),
  displayName: Schema.optionalKey(Schema.String),
  platform: Schema.optionalKey(Schema.String),
  clientId: Schema.optionalKey(Schema.String),
  role: Schema.optionalKey(Schema.String),
  roles: Schema.optionalKey(Schema.Array(Schema.String)),
  scopes: Schema.optionalKey(Schema.Array(Schema.String)),
  isRepair: Schema.optionalKey(Schema.Boolean),
  remoteIp: Schema.optionalKey(Schema.String),
  /** When the request was made or renewed, in milliseconds on the gateway's clock. */
  ts: Schema.optionalKey(Schema.Unknown),
  connected: Schema.optionalKey(Schema.Unknown),
  /** The device tokens of a paired device, one for each role, without their values. */
  tokens: Schema.optionalKey(Schema.Array(Schema.Struct({
    role: Schema.String,
    scopes: Schema.optionalKey(Schema.Array(Schema.String)),
    /** Set when the token was revoked. */
    revokedAtMs: Schema.optionalKey(Schema.Unknown)
  })))
})
/** A device that waits for approval, or a paired one. */
export type Device = typeof Device.Type

/** Devices that wait for approval, and paired ones. */
export const devicePairList = method(
  "device.pair.list",
  Schema.Struct({}),
  Schema.Struct({ pending: Schema.Array(Device), paired: Schema.Array(Device) })
)

const decision = (name: "approve" | "reject") =>
  method(`device.pair.${name}`, Schema.Struct({ requestId: RequestId }), Schema.Unknown)
/** Approves a pending request. The gateway refuses an id that was decided, replaced or has expired. */
export const devicePairApprove = decision("approve")
/** Rejects a pending request. */
export const devicePairReject = decision("reject")

/** Forgets a paired device, and ends its sessions from 2026.3.31 on. 2026.1.29 does not know the method. */
export const devicePairRemove = method(
  "device.pair.remove",
  Schema.Struct({ deviceId: Schema.String }),
  Schema.Unknown
)

const tokenOf = Schema.Struct({ deviceId: Schema.String, role: Schema.String })
/** Replaces the device token of a role. Up to 2026.4 the answer has the new token, which is not read here. */
export const deviceTokenRotate = method(
  "device.token.rotate",
  tokenOf,
  Schema.Struct({ scopes: Schema.optionalKey(Schema.Array(Schema.String)) })
)
/** Ends the device token of a role. */
export const deviceTokenRevoke = method("device.token.revoke", tokenOf, Schema.Unknown)

/** Asks for wider scopes over the session. The same request is renewed until it is decided. From 2026.8 on. */
export const requestUpgrade = method(
  "device.scopes.requestUpgrade",
  Schema.Struct({ scopes: Schema.Array(ScopeName) }),
  Schema.Struct({ requestId: RequestId })
)

/** Waits until a person has decided on such a request. The token replaces the device's present one. From 2026.8 on. */
export const waitUpgrade = method(
  "device.scopes.waitUpgrade",
  Schema.Struct({ requestId: RequestId }),
  Schema.Struct({
    status: Schema.Literals(["approved", "rejected", "expired"]),
    deviceToken: Schema.optionalKey(Schema.RedactedFromValue(DeviceToken, { label: "deviceToken" })),
    scopes: Schema.optionalKey(GrantedScopes)
  })
)
