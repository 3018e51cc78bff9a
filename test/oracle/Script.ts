/**
 * One script of exchanges with a gateway, as data, and the driver that plays it over a socket.
 *
 * On a real OpenClaw and on `DevGateway` it gives recordings that can be compared: of every frame the keys, the JSON types and
 * the values that clients depend on; ids, times, tokens, counts and texts are masked. The driver shares no code with `src`, so
 * that a mistake there cannot hide in it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { randomUUID } from "node:crypto"
import { type ClientOptions, WebSocket } from "ws"
import { type Device, makeDevice } from "../interop/support/RawClient.ts"

export interface Target {
  /** The URL for remote clients, which have to pair. */
  readonly url: string
  /** The shared token. */
  readonly token: Redacted.Redacted
  /** The URL and token by which a client gets the scopes of an administrator without an approval. */
  readonly administrator: { readonly url: string; readonly token: Redacted.Redacted }
  /** Stops the gateway as its owner would. */
  readonly stop: Effect.Effect<void>
}

/** A value in which everything is masked that differs from gateway to gateway. */
export type Shape = string | number | boolean | null | ReadonlyArray<Shape> | { readonly [name: string]: Shape }

/** The result of one exchange. Frames are named by their kind, and the first of each name is kept. */
export interface Recording {
  /** Names of the frames, in the order of their first arrival. */
  readonly order: ReadonlyArray<string>
  readonly frames: Readonly<Record<string, Shape>>
  /** Of the link of this exchange, and of others that end by it. */
  readonly closes: Readonly<Record<string, string>>
  /** Whether a known id or token is still the same, and counts. */
  readonly facts: Readonly<Record<string, string>>
}
export type Recordings = Readonly<Record<string, Recording>>

/** An exchange did not end in time. */
export class ScriptStuck extends Schema.TaggedError<ScriptStuck>()("ScriptStuck", {
  exchange: Schema.String,
  awaited: Schema.String,
  seen: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `"${this.exchange}" waits in vain for ${this.awaited}; it saw ${this.seen.join(", ") || "nothing"}`
  }
}

/**
 * A `connect`, by its differences from that of the device `alice` with the shared token, proof v3 and the scopes read and
 * write. In texts `<name>` stands for a value that an earlier exchange remembered.
 */
interface Connect {
  /** `null` leaves the device out. */
  readonly device?: string | null
  readonly proof?: "v1" | "v2" | "v3"
  readonly auth?: Readonly<Record<string, string>> | null
  readonly client?: { readonly id: string; readonly mode: string }
  readonly platform?: string
  readonly role?: string
  readonly scopes?: ReadonlyArray<string>
  readonly range?: readonly [min: number, max: number]
  /** Signed and sent in place of the challenge's nonce. */
  readonly nonce?: string
  /** Added to the challenge's `ts`. */
  readonly skewMs?: number
  /** Signed in the token slot in place of the token that is sent. */
  readonly signedToken?: string
  /** Changes the parameters after they were signed; `undefined` removes a property. */
  readonly over?: {
    readonly params?: Readonly<Record<string, unknown>>
    readonly client?: Readonly<Record<string, unknown>>
    readonly device?: Readonly<Record<string, unknown>>
  }
}

interface Common {
  readonly name: string
  /** Values of the answer that later exchanges use: the name, and the path joined by dots. */
  readonly remember?: Readonly<Record<string, string>>
  /** Events that the administrator gets by this exchange. */
  readonly heard?: ReadonlyArray<string>
  /** Links that end by this exchange. */
  readonly ends?: ReadonlyArray<string>
}

type Exchange =
  & Common
  & (
    /** Opens a link, waits for the challenge and sends one frame; records up to the close, or to hello-ok. */
    | {
      readonly _tag: "First"
      readonly connect?: Connect
      /** Sent in place of `connect`. */
      readonly text?: string
      readonly binary?: boolean
      readonly origin?: string
      /** Keeps a link that gets its session, under this name; any other is closed. */
      readonly keep?: string
    }
    /** One request on a link with a session; records the answer. */
    | {
      readonly _tag: "Ask"
      readonly on: string
      readonly method: string
      readonly params?: Readonly<Record<string, unknown>>
      /** Additional properties of the frame. */
      readonly extra?: Readonly<Record<string, unknown>>
      /** Sent before the request, and not answered. */
      readonly before?: string
      /** Keeps only items of this device in the lists of the answer. */
      readonly only?: string
      /** Also records the events of this run, until one of this name has come `times` times. */
      readonly run?: { readonly id: string; readonly until: string; readonly times?: number }
    }
    /** Opens a link that sends nothing. */
    | { readonly _tag: "Silent"; readonly keep: string }
    /** Waits for the end of a link. */
    | { readonly _tag: "Ended"; readonly on: string }
    /** Sends a wrong token until the address is locked out. */
    | { readonly _tag: "LockOut" }
    /** Opens silent links until the upgrade is refused. */
    | { readonly _tag: "Crowd" }
    /** Ends the gateway, seen from a link. */
    | { readonly _tag: "Stop"; readonly on: string }
  )

const refused = (
  name: string,
  connect: Connect,
  more: Partial<Common> & { readonly origin?: string } = {}
): Exchange => ({
  _tag: "First",
  name,
  connect,
  ...more
})
const first = (name: string, text: string, binary = false): Exchange => ({ _tag: "First", name, text, binary })
const enters = (name: string, connect: Connect, more: Partial<Common> & { readonly keep?: string } = {}): Exchange => ({
  _tag: "First",
  name,
  connect,
  ...more
})
type Ask = Extract<Exchange, { readonly _tag: "Ask" }>
const asks = (
  name: string,
  on: string,
  method: string,
  params: Readonly<Record<string, unknown>> = {},
  more: Partial<Omit<Ask, "_tag" | "name" | "on" | "method" | "params">> = {}
): Exchange => ({ _tag: "Ask", name, on, method, params, ...more })

const scopes = (...names: ReadonlyArray<string>) => names.map((name) => `operator.${name}`)
const request = (method: string, params?: unknown, id: unknown = "1") =>
  JSON.stringify({ type: "req", id, method, params })
const ticket = { requestId: "error.details.requestId" }
const token = { deviceToken: "payload.auth.deviceToken" }
const byToken = { auth: { token: "<deviceToken>" } }
const hourMs = 3_600_000
const main = { sessionKey: "agent:main:main" }
const sends = (message: string, idempotencyKey: string) => ({ ...main, message, deliver: false, idempotencyKey })
const bySomeoneElse = "http://elsewhere.example"

export const script: ReadonlyArray<Exchange> = [
  { _tag: "Silent", name: "a link that says nothing gets its challenge", keep: "silent" },

  // connect refused before its device is checked
  refused("protocol 5..6", { range: [5, 6] }),
  refused("protocol 3..3", { range: [3, 3] }),
  refused("an unknown parameter", { over: { params: { invented: true } } }),
  refused("an unknown client property", { over: { client: { invented: true } } }),
  refused("an unknown device property", { over: { device: { invented: true } } }),
  refused("an unknown auth property", { auth: { token: "<shared>", invented: "x" } }),
  refused("an invented client id", { client: { id: "ten-agent", mode: "backend" } }),
  refused("an invented client mode", { client: { id: "cli", mode: "operator" } }),
  refused("no client version", { over: { client: { version: undefined } } }),
  refused("an empty platform", { platform: "" }),
  refused("scopes that are no list", { over: { params: { scopes: "operator.read" } } }),
  refused("an unknown role", { role: "captain" }),
  refused("a browser client without Origin", { client: { id: "webchat-ui", mode: "webchat" } }),
  refused("a foreign Origin", {}, { origin: bySomeoneElse }),
  refused("the control page without Origin", { client: { id: "openclaw-control-ui", mode: "ui" }, device: null }),

  // first frames other than connect
  first("another request first", request("health", {})),
  first("an event first", JSON.stringify({ type: "event", event: "connect", payload: {} })),
  first("an id that is a number", request("connect", {}, 1)),
  first("a frame with an unknown property", JSON.stringify({ type: "req", id: "1", method: "connect", extra: 1 })),
  first("connect without parameters", request("connect")),
  first("connect with empty parameters", request("connect", {})),
  first("not JSON", "garbage"),
  first("JSON that is no object", "[1]"),
  first("a binary frame", request("health", {}), true),
  first("a frame of 70 KiB", request("connect", { pad: "x".repeat(70 * 1024) })),
  first("a frame of 60 KiB", request("connect", { pad: "x".repeat(60 * 1024) })),

  // credentials
  refused("a wrong token", { auth: { token: "wrong" } }),
  refused("a wrong token without a device", { auth: { token: "wrong" }, device: null }),
  refused("no credential", { auth: null }),
  refused("an empty token", { auth: { token: "" } }),
  refused("neither credential nor device", { auth: null, device: null }),
  refused("a wrong password", { auth: { password: "wrong" } }),
  refused("a device token that was never issued", { auth: { deviceToken: "wrong" } }),
  enters("the shared token without a device", { device: null }),

  // the device proof
  refused("a broken signature", { over: { device: { signature: Buffer.alloc(64).toString("base64url") } } }),
  refused("a signature that is no base64", { over: { device: { signature: "!" } } }),
  refused("signed for another token", { signedToken: "another" }),
  refused("proof v1", { proof: "v1" }),
  refused("another nonce", { nonce: "2f9b3c52-9a6d-4b9a-8b53-0c9c2f0f4b1e" }),
  refused("no nonce", { over: { device: { nonce: undefined } } }),
  refused("signed an hour ago", { skewMs: -hourMs }),
  refused("signed an hour ahead", { skewMs: hourMs }),
  refused("signedAt as text", { over: { device: { signedAt: "1795331053075" } } }),
  refused("the id of another device", { over: { device: { id: "<bob>" } } }),
  refused("a key that is none", { over: { device: { publicKey: "AAAA" } } }),

  // pairing
  refused("not paired yet", {}, { remember: ticket, heard: ["device.pair.requested"] }),
  refused("asking again keeps the request", {}, { remember: ticket }),
  refused("proof v2 is as good", { proof: "v2" }, { remember: ticket }),
  refused("asking for more replaces the request", { scopes: scopes("read", "write", "approvals") }, {
    remember: ticket,
    heard: ["device.pair.resolved", "device.pair.requested"]
  }),
  refused("asking for less keeps the wider request", {}, { remember: ticket }),
  asks("list with a pending request", "admin", "device.pair.list", {}, { only: "alice" }),
  asks("reject", "admin", "device.pair.reject", { requestId: "<requestId>" }, { heard: ["device.pair.resolved"] }),
  refused("after a rejection the request is a new one", {}, { remember: ticket, heard: ["device.pair.requested"] }),
  asks("approve a request that is gone", "admin", "device.pair.approve", { requestId: "<requestId before>" }),
  asks("reject a request that never was", "admin", "device.pair.reject", { requestId: "never" }),
  asks("approve without a request id", "admin", "device.pair.approve", {}),
  asks("approve", "admin", "device.pair.approve", { requestId: "<requestId>" }, { heard: ["device.pair.resolved"] }),
  enters("approved", {}, { keep: "alice", remember: token }),
  asks("list with a paired device", "admin", "device.pair.list", {}, { only: "alice" }),

  // requests
  asks("health", "alice", "health"),
  asks("a method that needs another scope", "alice", "device.pair.list"),
  asks("an unknown method", "alice", "no.such.method"),
  asks("an unknown method, asked by an administrator", "admin", "no.such.method"),
  asks("connect a second time", "alice", "connect", {}),
  asks("connect a second time, by an administrator", "admin", "connect", {}),
  asks("bad parameters", "alice", "chat.history", { nope: 1 }),
  asks("parameters of a wrong type", "alice", "chat.history", { sessionKey: 1 }),
  asks("a request frame with an unknown property", "alice", "health", {}, { extra: { invented: 1 } }),
  asks("text that is no JSON is passed over", "alice", "chat.history", main, { before: "garbage" }),

  // chat
  asks("chat.send without a key", "alice", "chat.send", { ...main, message: "x" }),
  asks("chat.send without text", "alice", "chat.send", sends("", "<play>-key-empty")),
  asks("chat.send to an agent that is not there", "alice", "chat.send", {
    ...sends("x", "<play>-key-nobody"),
    sessionKey: "agent:nobody:main"
  }),
  asks("a run", "alice", "chat.send", sends("hello there", "<play>-key-run"), {
    run: { id: "<play>-key-run", until: "chat final" }
  }),
  asks("the same key again", "alice", "chat.send", sends("hello there", "<play>-key-run")),
  asks("history", "alice", "chat.history", main),
  asks("abort of an unknown run", "alice", "chat.abort", { ...main, runId: "never" }),
  asks("a run that is cut short, to its first word", "alice", "chat.send", sends("[hold] a b c", "<play>-key-hold"), {
    run: { id: "<play>-key-hold", until: "chat delta" }
  }),
  asks("a key of a run in progress", "alice", "chat.send", sends("[hold] a b c", "<play>-key-hold")),
  asks("abort", "alice", "chat.abort", { ...main, runId: "<play>-key-hold" }, {
    run: { id: "<play>-key-hold", until: "agent lifecycle error" }
  }),
  asks("abort where nothing runs", "alice", "chat.abort", main),
  asks("a run that fails", "alice", "chat.send", sends("[fail]", "<play>-key-fail"), {
    run: { id: "<play>-key-fail", until: "chat error", times: 2 }
  }),

  // the device token
  enters("the device token as token", byToken, { remember: token }),
  enters("the device token as device token", { auth: { deviceToken: "<deviceToken>" } }, { remember: token }),
  enters("a wrong token beside the device token", { auth: { token: "wrong", deviceToken: "<deviceToken>" } }),
  enters("the shared token beside a stale device token", { auth: { token: "<shared>", deviceToken: "stale" } }),
  enters("the device token for less", { ...byToken, scopes: scopes("read") }, { keep: "reader" }),
  asks("chat.send without its scope", "reader", "chat.send", sends("x", "<play>-key-reader")),
  enters("the device token for no scope", { ...byToken, scopes: [] }),
  refused("the device token for more", { ...byToken, scopes: scopes("read", "write", "approvals") }),
  refused("the device token of another device", { ...byToken, device: "bob" }),
  refused("the device token without a device", { ...byToken, device: null }),
  enters("the device token from another client", { ...byToken, client: { id: "cli", mode: "cli" } }),
  refused("the device token, signed as if there were none", { ...byToken, signedToken: "" }),

  // changes of role, scopes and platform
  refused("more scopes", { scopes: scopes("read", "write", "approvals") }, {
    remember: ticket,
    heard: ["device.pair.requested"]
  }),
  enters("as before, while more is asked for", {}, { remember: token }),
  asks("list with an upgrade", "admin", "device.pair.list", {}, { only: "alice" }),
  asks("approve more scopes", "admin", "device.pair.approve", { requestId: "<requestId>" }),
  refused("the device token of before", byToken),
  enters("more scopes, approved", { scopes: scopes("read", "write", "approvals") }, { remember: token }),
  refused("another platform", { platform: "macos" }, { remember: ticket, heard: ["device.pair.requested"] }),
  refused("another role", { role: "node", scopes: [] }, {
    remember: ticket,
    heard: ["device.pair.resolved", "device.pair.requested"]
  }),
  asks("reject the change", "admin", "device.pair.reject", { requestId: "<requestId>" }),
  asks("ask for other scopes over the link", "alice", "device.scopes.requestUpgrade", { scopes: scopes("questions") }),
  asks("ask for more over the link", "alice", "device.scopes.requestUpgrade", {
    scopes: scopes("read", "write", "questions")
  }, { remember: { requestId: "payload.requestId" }, heard: ["device.pair.requested"] }),
  asks("ask for the same again", "alice", "device.scopes.requestUpgrade", {
    scopes: scopes("read", "write", "questions")
  }, { remember: { requestId: "payload.requestId" } }),
  asks("wait for what another device asked", "admin", "device.scopes.waitUpgrade", { requestId: "<requestId>" }),
  asks("list with an upgrade over the link", "admin", "device.pair.list", {}, { only: "alice" }),
  asks("approve that", "admin", "device.pair.approve", { requestId: "<requestId>" }, {
    heard: ["device.pair.resolved"]
  }),
  asks("wait for what is approved", "alice", "device.scopes.waitUpgrade", { requestId: "<requestId>" }, {
    remember: { deviceToken: "payload.deviceToken" }
  }),
  enters("the device token that came over the link", byToken, { remember: token }),
  asks("ask for yet more over the link", "alice", "device.scopes.requestUpgrade", {
    scopes: scopes("read", "write", "talk.secrets")
  }, { remember: { requestId: "payload.requestId" }, heard: ["device.pair.requested"] }),
  asks("ask for something else over the link", "alice", "device.scopes.requestUpgrade", {
    scopes: scopes("read", "write", "pairing")
  }, { remember: { requestId: "payload.requestId" }, heard: ["device.pair.resolved", "device.pair.requested"] }),
  asks("wait for what was replaced", "alice", "device.scopes.waitUpgrade", { requestId: "<requestId before>" }),
  asks("reject that", "admin", "device.pair.reject", { requestId: "<requestId>" }, { heard: ["device.pair.resolved"] }),
  asks("wait for what is rejected", "alice", "device.scopes.waitUpgrade", { requestId: "<requestId>" }),
  asks("wait for what never was", "alice", "device.scopes.waitUpgrade", { requestId: "never" }),
  asks("ask for no scope", "alice", "device.scopes.requestUpgrade", { scopes: [] }),

  // the end of a token, of a pairing
  asks("rotate by another device", "admin", "device.token.rotate", { deviceId: "<alice>", role: "operator" }, {
    ends: ["alice"]
  }),
  refused("the device token after a rotation", byToken),
  enters("the shared token after a rotation", {}, { keep: "alice", remember: token }),
  asks("revoke", "admin", "device.token.revoke", { deviceId: "<alice>", role: "operator" }, { ends: ["alice"] }),
  refused("the device token after a revocation", byToken),
  refused("the shared token after a revocation", {}, { remember: ticket, heard: ["device.pair.requested"] }),
  asks("approve again", "admin", "device.pair.approve", { requestId: "<requestId>" }),
  enters("approved again", {}, { keep: "alice", remember: token }),
  enters("a second link of the same device", byToken, { keep: "alice too" }),
  asks("remove", "admin", "device.pair.remove", { deviceId: "<alice>" }, { ends: ["alice", "alice too"] }),
  refused("the device token after a removal", byToken),
  refused("the shared token after a removal", {}, { remember: ticket, heard: ["device.pair.requested"] }),
  asks("rotate a device that is not there", "admin", "device.token.rotate", { deviceId: "<bob>", role: "operator" }),
  asks("revoke a device that is not there", "admin", "device.token.revoke", { deviceId: "<bob>", role: "operator" }),
  asks("remove a device that is not there", "admin", "device.pair.remove", { deviceId: "<bob>" }),
  asks("rotate a role that is not there", "admin", "device.token.rotate", { deviceId: "<admin>", role: "node" }),

  // ends
  { _tag: "Ended", name: "a link that says nothing is closed", on: "silent" },
  { _tag: "Crowd", name: "too many links that say nothing" },
  { _tag: "LockOut", name: "too many wrong tokens" },
  refused("the right token while locked out", {}),
  { _tag: "Stop", name: "the gateway stops", on: "admin" }
]

// ---- shapes

/** Texts under these names are kept: clients depend on them, or they are a closed list. */
const telling = new Set([
  "type",
  "event",
  "code",
  "reason",
  "authReason",
  "recommendedNextStep",
  "remediationHint",
  "state",
  "status",
  "phase",
  "stream",
  "method",
  "role",
  "requestedRole",
  "missingScope",
  "decision",
  "approvedVia",
  "lastSeenReason",
  "tokenDelivery",
  "disposition",
  "terminalDisposition",
  "stopReason",
  "livenessState",
  "clientId",
  "clientMode",
  "platform",
  "kind",
  "sessionKey"
])

/** Lists under these names are kept whole. */
const tellingLists = new Set([
  "scopes",
  "roles",
  "requestedScopes",
  "approvedScopes",
  "approvedRoles",
  "requiredScopes",
  "capabilities"
])

const tellingNumbers = new Set([
  "protocol",
  "expectedProtocol",
  "minimumProbeProtocol",
  "clientMinProtocol",
  "clientMaxProtocol"
])

/** Names whose values differ each time, at any depth. */
const fluid: Readonly<Record<string, string>> = {
  presence: "whoever is connected just now",
  eventLoop: "how busy the machine is",
  usage: "what the model of the moment counts",
  cost: "what the model of the moment costs"
}

const maskIds = (text: string) =>
  text
    .replace(/requestId: .*/g, "requestId: <id>")
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "<id>")
    .replace(/[0-9a-f]{64}/g, "<hash>")

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  Predicate.isObject(value) && !Array.isArray(value)

/** The shapes of the items of a list. */
const distinct = (items: ReadonlyArray<unknown>): ReadonlyArray<Shape> =>
  [...new Map(items.map((item) => [JSON.stringify(shapeOf(item)), shapeOf(item)])).entries()]
    .toSorted(([left], [right]) => left < right ? -1 : 1)
    .map(([, shape]) => shape)

export const shapeOf = (value: unknown, name = "", isError = false): Shape => {
  if (name in fluid) return "<fluid>"
  if (typeof value === "string") return telling.has(name) || isError ? maskIds(value) : "<text>"
  if (typeof value === "number") return tellingNumbers.has(name) ? value : "<number>"
  if (typeof value === "boolean" || value === null) return value
  if (Array.isArray(value)) return tellingLists.has(name) ? value.map(String) : distinct(value)
  if (!isRecord(value)) return "<none>"
  return Object.fromEntries(
    Object.keys(value).toSorted().map((key) => [key, shapeOf(value[key], key, name === "error" && key === "message")])
  )
}

/** One place where two recordings differ. */
export interface Difference {
  readonly exchange: string
  /** Names from the recording downwards. */
  readonly path: ReadonlyArray<string>
  readonly recorded: Shape | undefined
  readonly played: Shape | undefined
}

const places = (
  path: ReadonlyArray<string>,
  recorded: Shape | undefined,
  played: Shape | undefined
): ReadonlyArray<Omit<Difference, "exchange">> => {
  if (JSON.stringify(recorded) === JSON.stringify(played)) return []
  if (Array.isArray(recorded) && Array.isArray(played) && recorded.length === played.length) {
    return recorded.flatMap((item, index) => places([...path, `${index}`], item, played[index]))
  }
  if (isRecord(recorded) && isRecord(played)) {
    return [...new Set([...Object.keys(recorded), ...Object.keys(played)])].flatMap((key) =>
      places([...path, key], recorded[key], played[key])
    )
  }
  return [{ path, recorded, played }]
}

const toShape = (recording: Recording | undefined): Shape | undefined =>
  recording === undefined ? undefined : { ...recording }

/** Keeps the order of common frames only. A missing frame is a difference of its own. */
const beside = (recording: Recording | undefined, other: Recording | undefined): Recording | undefined =>
  recording === undefined || other === undefined
    ? recording
    : { ...recording, order: recording.order.filter((name) => name in other.frames) }

/** Every place where the played recording differs from the recorded one, by exchange. */
export const compare = (recorded: Recordings, played: Recordings): ReadonlyArray<Difference> =>
  [...new Set([...Object.keys(recorded), ...Object.keys(played)])].flatMap((exchange) =>
    places(
      [],
      toShape(beside(recorded[exchange], played[exchange])),
      toShape(beside(played[exchange], recorded[exchange]))
    ).map((place) => ({ exchange, ...place }))
  )

/** A difference in one line, for people. */
export const describe = ({ exchange, path, played, recorded }: Difference): string =>
  `"${exchange}" at ${path.join(" / ")}: recorded ${JSON.stringify(recorded) ?? "nothing"}, played ${
    JSON.stringify(played) ?? "nothing"
  }`

/** A deliberate difference between `DevGateway` and a real gateway. */
export interface Deliberate {
  readonly reason: string
  /** The exchange that differs; all unless given. */
  readonly exchange?: string
  /** The path of a difference begins with one of these, joined by slashes. */
  readonly paths: ReadonlyArray<string>
  /** `DevGateway` may leave the value out, and may not have another one. */
  readonly absent?: boolean
}

export const deliberate: ReadonlyArray<Deliberate> = [
  {
    reason: "it has no plugins, and no pages of plugins",
    paths: [
      "frames/res/payload/controlUiLinkReaders",
      "frames/res/payload/controlUiWidgetKinds",
      "frames/res/payload/pluginSurfaceUrls",
      "frames/res/payload/snapshot/health/plugins/loaded",
      "frames/res/payload/plugins/loaded"
    ]
  },
  {
    reason: "it names only the capabilities that it has",
    paths: ["frames/res/payload/features/capabilities"]
  },
  {
    reason: "its agent has no heartbeat, and its model is not loaded separately",
    paths: [
      "frames/res/payload/snapshot/health/agents/0/heartbeat/enabled",
      "frames/res/payload/agents/0/heartbeat/enabled",
      "frames/res/payload/modelRuntime"
    ]
  },
  {
    reason: "it is not a package that could be updated",
    paths: ["frames/res/payload/snapshot/updateSchedule/install"]
  },
  {
    reason: "it describes a session for a client of one agent: no routing of models, participants, placement, counts",
    paths: ["frames/res/payload/defaults", "frames/res/payload/sessionInfo"],
    absent: true
  },
  {
    reason: "it does not record which client sent a message",
    exchange: "history",
    paths: ["frames/res/payload/messages/0/__openclaw/transport"]
  },
  {
    reason: "its agent counts what it wrote; whether a real run does depends on the model provider",
    exchange: "a run",
    paths: ["frames/agent usage"]
  },
  {
    reason: "it has one model, and no other to fall back to",
    exchange: "a run that fails",
    paths: ["frames/agent lifecycle fallback_step"]
  }
]

export const isDeliberate = (known: Deliberate, { exchange, path, played }: Difference): boolean =>
  (known.exchange ?? exchange) === exchange
  && (known.absent !== true || played === undefined)
  && known.paths.some((prefix) => `${path.join("/")}/`.startsWith(`${prefix}/`))

// ---- the driver

const handshakePatience = Duration.seconds(30)
const runPatience = Duration.seconds(60)
const mostTries = 40

interface Link {
  readonly frames: Array<unknown>
  readonly send: (data: string | Uint8Array) => void
  readonly close: () => void
  /** Code and reason, once the link has ended. */
  readonly ended: () => string | undefined
  /** The answer that refused the HTTP upgrade. */
  readonly refusal: () => string | undefined
  /** Calls `look` after every frame and at the end, until the returned function is called. */
  readonly watch: (look: () => void) => () => void
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

const dial = (url: string, options: ClientOptions) =>
  Effect.acquireRelease(
    Effect.sync((): Link => {
      const ws = new WebSocket(url, { perMessageDeflate: false, ...options })
      const frames: Array<unknown> = []
      const watchers = new Set<() => void>()
      let ended: string | undefined
      let refusal: string | undefined
      const tell = () => {
        for (const look of Array.from(watchers)) look()
      }
      ws.on("message", (data) => {
        frames.push(parse(data.toString()))
        tell()
      })
      ws.on("close", (code, reason) => {
        ended ??= `${code} ${maskIds(reason.toString())}`.trim()
        tell()
      })
      ws.on("error", () => {}) // the close that follows tells
      ws.on("unexpected-response", (_, response) => {
        let body = ""
        response.on("data", (chunk) => {
          body += String(chunk)
        })
        response.on("end", () => {
          refusal = `HTTP ${response.statusCode} ${body.trim()}`
          tell()
        })
      })
      return {
        frames,
        send: (data) => ws.send(data, { binary: typeof data !== "string" }),
        close: () => ws.terminate(),
        ended: () => ended,
        refusal: () => refusal,
        watch: (look) => {
          watchers.add(look)
          return () => watchers.delete(look)
        }
      }
    }),
    (link) => Effect.sync(link.close)
  )

const at = (value: unknown, path: string): unknown =>
  path.split(".").reduce<unknown>((inner, name) => isRecord(inner) ? inner[name] : undefined, value)

const words = (...parts: ReadonlyArray<unknown>) => parts.filter((part) => typeof part === "string").join(" ")

/** The name of a frame: `res`, or its event with state, stream and phase. */
const nameOf = (frame: unknown): string => {
  const payload = at(frame, "payload")
  if (at(frame, "type") !== "event") return words(at(frame, "type"))
  return words(
    at(frame, "event"),
    at(payload, "state") ?? at(payload, "stream"),
    at(payload, "phase") ?? at(payload, "data.phase") ?? at(payload, "decision")
  )
}

interface Draft {
  readonly order: Array<string>
  readonly frames: Record<string, Shape>
  readonly closes: Record<string, string>
  readonly facts: Record<string, string>
}

const keep = (draft: Draft, frame: unknown, name = nameOf(frame)) => {
  if (name in draft.frames) return
  draft.order.push(name)
  draft.frames[name] = shapeOf(frame)
}

/** The state of a play. */
interface Scene {
  readonly target: Target
  /** Open links, by the script's name for them. */
  readonly links: Map<string, Link>
  readonly devices: ReadonlyMap<string, Device>
  /** Values that the script calls by name, such as ids and tokens of earlier answers. */
  readonly memory: Map<string, string>
  requests: number
}

const recall = ({ memory }: Scene, text: string) =>
  text.replace(/<([^<>]+)>/g, (whole, name: string) => memory.get(name) ?? whole)
const recallAll = (scene: Scene, value: unknown): unknown => {
  if (typeof value === "string") return recall(scene, value)
  if (!isRecord(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, recallAll(scene, inner)]))
}

const until = (exchange: string, link: Link, awaited: string, holds: () => boolean, patience = handshakePatience) => {
  const stuck = Effect.suspend(() =>
    Effect.fail(new ScriptStuck({ exchange, awaited, seen: [...link.frames.map(nameOf), link.ended() ?? "no end"] }))
  )
  return Effect.callback<void, ScriptStuck>((resume) => {
    const look = () => {
      if (holds()) resume(Effect.void)
      else if (link.ended() !== undefined) resume(stuck)
    }
    const unwatch = link.watch(look)
    look()
    return Effect.sync(unwatch)
  }).pipe(Effect.timeoutOrElse({ duration: patience, orElse: () => stuck }))
}

const linkOf = ({ links }: Scene, name: string) => {
  const link = links.get(name)
  return link === undefined ? Effect.die(`the script has no link ${name}`) : Effect.succeed(link)
}

const isChallenge = (frame: unknown) => at(frame, "event") === "connect.challenge"

const isHello = (frame: unknown) => at(frame, "payload.type") === "hello-ok"

const open = Effect.fnUntraced(function*(exchange: string, url: string, options: ClientOptions = {}) {
  const link = yield* dial(url, options)
  yield* until(exchange, link, "a challenge", () => link.frames.some(isChallenge))
  return link
})

const connectFrame = (scene: Scene, connect: Connect, challenge: unknown): string => {
  const { client = { id: "gateway-client", mode: "backend" }, over = {}, platform = "linux", role = "operator" } =
    connect
  const { proof = "v3", range = [3, 4], scopes: asked = scopes("read", "write") } = connect
  const auth: unknown = recallAll(scene, connect.auth === undefined ? { token: "<shared>" } : connect.auth ?? undefined)
  const sentToken = at(auth, "token") ?? at(auth, "deviceToken") ?? ""
  const nonce = connect.nonce ?? at(challenge, "payload.nonce")
  const signedAt = Number(at(challenge, "payload.ts")) + (connect.skewMs ?? 0)
  const device = connect.device === null ? undefined : scene.devices.get(connect.device ?? "alice")
  const text = [
    proof,
    device?.deviceId,
    client.id,
    client.mode,
    role,
    asked.join(","),
    signedAt,
    connect.signedToken ?? sentToken,
    ...(proof === "v1" ? [] : [nonce]),
    ...(proof === "v3" ? [platform, ""] : [])
  ].join("|")
  return request("connect", {
    minProtocol: range[0],
    maxProtocol: range[1],
    client: { ...client, version: "1.0.0", platform, ...over.client },
    role,
    scopes: asked,
    caps: [],
    auth,
    device: device === undefined ? undefined : {
      id: device.deviceId,
      publicKey: device.publicKey,
      signature: device.sign(text),
      signedAt,
      nonce,
      ...Object(recallAll(scene, over.device))
    },
    ...over.params
  })
}

const firstFrame = Effect.fnUntraced(
  function*(scene: Scene, exchange: Extract<Exchange, { readonly _tag: "First" }>, draft: Draft) {
    const link = yield* open(
      exchange.name,
      scene.target.url,
      exchange.origin === undefined ? {} : { origin: exchange.origin }
    )
    const text = exchange.text ?? connectFrame(scene, exchange.connect ?? {}, link.frames.find(isChallenge))
    link.send(exchange.binary === true ? Buffer.from(text, "utf8") : text)
    yield* until(
      exchange.name,
      link,
      "hello-ok or the end",
      () => link.ended() !== undefined || link.frames.some(isHello)
    )
    const answers = link.frames.filter((frame) => at(frame, "type") === "res")
    for (const frame of answers) keep(draft, frame)
    const ended = link.ended()
    if (ended !== undefined) draft.closes["this"] = ended
    if (exchange.keep === undefined) link.close()
    else scene.links.set(exchange.keep, link)
    return answers[0]
  }
)

/** The frame with only the items of one device in the lists of its payload. */
const about = (scene: Scene, name: string | undefined, frame: unknown): unknown => {
  const payload = at(frame, "payload")
  if (name === undefined || !isRecord(frame) || !isRecord(payload)) return frame
  const filtered = Object.entries(payload).map(([key, value]) => [
    key,
    Array.isArray(value) ? value.filter((item) => at(item, "deviceId") === scene.memory.get(name)) : value
  ])
  return { ...frame, payload: Object.fromEntries(filtered) }
}

const ask = Effect.fnUntraced(function*(scene: Scene, exchange: Ask, draft: Draft) {
  const link = yield* linkOf(scene, exchange.on)
  const id = `r${++scene.requests}`
  const since = link.frames.length
  if (exchange.before !== undefined) link.send(exchange.before)
  link.send(JSON.stringify({
    type: "req",
    id,
    method: exchange.method,
    params: recallAll(scene, exchange.params),
    ...exchange.extra
  }))
  const run = exchange.run === undefined ? undefined : { ...exchange.run, id: recall(scene, exchange.run.id) }
  const ours = () =>
    link.frames.slice(since).filter((frame) =>
      at(frame, "id") === id
      || (run !== undefined && at(frame, "payload.runId") === run.id && at(frame, "type") === "event")
    )
  const complete = () => {
    const frames = ours()
    const answered = frames.some((frame) => at(frame, "id") === id)
    if (!answered || run === undefined) return answered
    return at(frames.find((frame) => at(frame, "id") === id), "ok") === false
      || frames.filter((frame) => nameOf(frame) === run.until).length >= (run.times ?? 1)
  }
  yield* until(exchange.name, link, run?.until ?? "an answer", complete, runPatience)
  const frames = ours()
  for (const frame of frames) keep(draft, about(scene, exchange.only, frame))
  return frames.find((frame) => at(frame, "id") === id)
})

const lockOut = Effect.fnUntraced(function*(scene: Scene, name: string, draft: Draft) {
  const wrong: Exchange = { _tag: "First", name, connect: { auth: { token: "wrong" } } }
  for (let tries = 0; tries < mostTries; tries++) {
    const attempt: Draft = { order: [], frames: {}, closes: {}, facts: {} }
    const answer = yield* firstFrame(scene, wrong, attempt)
    if (at(answer, "error.details.code") !== "AUTH_RATE_LIMITED") continue
    Object.assign(draft.frames, attempt.frames)
    Object.assign(draft.closes, attempt.closes)
    draft.order.push(...attempt.order)
    return
  }
})

const crowd = Effect.fnUntraced(function*({ target }: Scene, name: string, draft: Draft) {
  for (let tries = 1; tries <= mostTries; tries++) {
    const link = yield* dial(target.url, {})
    yield* until(
      name,
      link,
      "a challenge or a refusal",
      () => link.refusal() !== undefined || link.frames.some(isChallenge)
    )
    const refusal = link.refusal()
    if (refusal === undefined) continue
    draft.closes["this"] = refusal
    draft.facts["the link that is refused"] = String(tries)
    return
  }
}, Effect.scoped)

const perform = Effect.fnUntraced(function*(scene: Scene, exchange: Exchange, draft: Draft) {
  switch (exchange._tag) {
    case "First":
      return yield* firstFrame(scene, exchange, draft)
    case "Ask":
      return yield* ask(scene, exchange, draft)
    case "Silent": {
      const link = yield* open(exchange.name, scene.target.url)
      scene.links.set(exchange.keep, link)
      keep(draft, link.frames[0])
      return undefined
    }
    case "Ended": {
      const link = yield* linkOf(scene, exchange.on)
      yield* until(exchange.name, link, "the end", () => link.ended() !== undefined)
      draft.closes[exchange.on] = link.ended() ?? ""
      return undefined
    }
    case "LockOut":
      return yield* lockOut(scene, exchange.name, draft)
    case "Crowd":
      return yield* crowd(scene, exchange.name, draft)
    case "Stop": {
      const link = yield* linkOf(scene, exchange.on)
      const since = link.frames.length
      yield* scene.target.stop
      yield* until(exchange.name, link, "the end", () => link.ended() !== undefined)
      for (const frame of link.frames.slice(since)) if (at(frame, "event") === "shutdown") keep(draft, frame)
      draft.closes[exchange.on] = link.ended() ?? ""
      return undefined
    }
  }
})

const remember = ({ memory }: Scene, exchange: Exchange, answer: unknown, draft: Draft) => {
  for (const [name, path] of Object.entries(exchange.remember ?? {})) {
    const value = at(answer, path)
    const before = memory.get(name)
    if (before !== undefined) {
      draft.facts[name] = value === undefined ? "missing" : value === before ? "as before" : "new"
      if (value !== before) memory.set(`${name} before`, before)
    }
    if (typeof value === "string") memory.set(name, value)
  }
}

const enterAdministrator = Effect.fnUntraced(function*(scene: Scene) {
  const { administrator } = scene.target
  const admin = yield* open("administrator", administrator.url)
  scene.links.set("admin", admin)
  scene.memory.set("operator", Redacted.value(administrator.token))
  const connect: Connect = {
    device: "admin",
    auth: { token: "<operator>" },
    client: { id: "cli", mode: "cli" },
    scopes: scopes("admin", "pairing")
  }
  admin.send(connectFrame(scene, connect, admin.frames.find(isChallenge)))
  yield* until("administrator", admin, "hello-ok", () => admin.frames.some(isHello))
  return admin
})

/** Plays the whole script. The scope closes what is still open. */
export const play = Effect.fn("Script.play")(function*(target: Target, exchanges: ReadonlyArray<Exchange> = script) {
  const devices = new Map<string, Device>()
  const memory = new Map<string, string>([["shared", Redacted.value(target.token)]])
  for (const name of ["alice", "bob", "admin"]) {
    const device = yield* makeDevice
    devices.set(name, device)
    memory.set(name, device.deviceId)
  }
  memory.set("play", randomUUID()) // a gateway that still runs knows the idempotency keys of another play
  const scene: Scene = { target, links: new Map(), devices, memory, requests: 0 }
  const recordings: Record<string, Recording> = {}
  const admin = yield* enterAdministrator(scene)

  for (const exchange of exchanges) {
    const draft: Draft = { order: [], frames: {}, closes: {}, facts: {} }
    const heardSince = admin.frames.length
    const answer = yield* perform(scene, exchange, draft)
    for (const event of exchange.heard ?? []) {
      const heard = () => admin.frames.slice(heardSince).some((frame) => at(frame, "event") === event)
      yield* until(exchange.name, admin, event, heard)
    }
    for (const frame of exchange.heard === undefined ? [] : admin.frames.slice(heardSince)) {
      if (nameOf(frame).startsWith("device.pair.")) keep(draft, frame)
    }
    for (const name of exchange.ends ?? []) {
      const link = yield* linkOf(scene, name)
      yield* until(exchange.name, link, `the end of ${name}`, () => link.ended() !== undefined)
      draft.closes[name] = link.ended() ?? ""
    }
    remember(scene, exchange, answer, draft)
    recordings[exchange.name] = draft
  }
  return recordings
})
