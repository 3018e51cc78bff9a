/**
 * A client that does everything by hand: signed text written out, frames as plain JSON, callbacks as they come. It shares no
 * code with the product, so that the gateway is tested against the published protocol and not against our own client.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign } from "node:crypto"
import type { Peer, PeerHandler } from "../../src/devgateway/Link.ts"

export interface Json {
  readonly [name: string]: unknown
}

export interface Device {
  readonly id: string
  readonly publicKey: string
  readonly key: KeyObject
}

/** A device from a seed byte, the same on every run. */
export const device = (seed: number): Device => {
  const key = createPrivateKey({
    key: Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), Buffer.alloc(32, seed)]),
    format: "der",
    type: "pkcs8"
  })
  const der = createPublicKey(key).export({ format: "der", type: "spki" })
  const raw = der.subarray(der.length - 32)
  return { id: createHash("sha256").update(raw).digest("hex"), publicKey: raw.toString("base64url"), key }
}

export const signText = (owner: Device, text: string): string =>
  sign(null, Buffer.from(text, "utf8"), owner.key).toString("base64url")

export const isJson = (value: unknown): value is Json => typeof value === "object" && value !== null

/** The value at a path of names. A missing one is `undefined`, so that an assertion fails and nothing throws. */
export const at = (value: unknown, ...path: ReadonlyArray<string>): unknown =>
  path.reduce<unknown>((inner, name) => isJson(inner) ? inner[name] : undefined, value)

export interface ConnectOptions {
  readonly version?: "v1" | "v2" | "v3"
  readonly token?: string | undefined
  readonly auth?: Json
  /** Signed in the token slot in place of `token`. */
  readonly signedToken?: string
  readonly scopes?: ReadonlyArray<string>
  readonly role?: string
  readonly client?: Json
  readonly params?: Json
  readonly device?: Json
  readonly signedAt?: number
  readonly platform?: string
  readonly deviceFamily?: string
  readonly withoutDevice?: boolean
}

export interface FakeLink {
  readonly texts: Array<string>
  readonly binary: Array<Uint8Array>
  readonly closes: Array<{ readonly code: number; readonly reason: string }>
  /** All frames that are JSON objects, in order. */
  readonly frames: () => ReadonlyArray<Json>
  readonly events: (event: string) => ReadonlyArray<Json>
  readonly response: (id: string) => Json | undefined
  readonly send: (frame: unknown) => void
  readonly sendText: (text: string) => void
  readonly close: () => void
  /** Sends a signed `connect` and gives the answer. */
  readonly connect: (owner: Device, options?: ConnectOptions) => Json | undefined
  /** Sends a request and gives the answer, if it came at once. */
  readonly request: (method: string, params?: unknown) => Json | undefined
}

export const sharedToken = "shared-token"

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export const link = (
  gateway: { readonly accept: (peer: Peer) => Pick<PeerHandler, "onText" | "onClose"> },
  peer: Partial<Omit<Peer, "sendUnsafe" | "close">> = {}
): FakeLink => {
  const texts: Array<string> = []
  const binary: Array<Uint8Array> = []
  const closes: Array<{ readonly code: number; readonly reason: string }> = []
  const handler = gateway.accept({
    remote: true,
    ...peer,
    sendUnsafe: (text) => texts.push(text),
    sendBinaryUnsafe: (bytes) => binary.push(bytes),
    close: (code, reason) => closes.push({ code, reason })
  })
  const frames = () => texts.map(parse).filter(isJson)
  const response = (id: string) => frames().find((frame) => frame["type"] === "res" && frame["id"] === id)
  let requests = 0
  const request = (method: string, params?: unknown) => {
    const id = `r${++requests}`
    handler.onText(JSON.stringify({ type: "req", id, method, params }))
    return response(id)
  }
  return {
    texts,
    binary,
    closes,
    frames,
    events: (event) => frames().filter((frame) => frame["type"] === "event" && frame["event"] === event),
    response,
    send: (frame) => handler.onText(JSON.stringify(frame)),
    sendText: handler.onText,
    close: handler.onClose,
    request,
    connect: (owner, options = {}) => {
      const challenge = frames().find((frame) => frame["event"] === "connect.challenge")
      const nonce = String(at(challenge, "payload", "nonce") ?? "none")
      const signedAt = options.signedAt ?? Number(at(challenge, "payload", "ts") ?? 0)
      const token = "token" in options ? options.token : sharedToken
      const auth = options.auth ?? (token === undefined ? undefined : { token })
      const scopes = options.scopes ?? ["operator.read", "operator.write"]
      const role = options.role ?? "operator"
      const platform = options.platform ?? "linux"
      const signedToken = options.signedToken ?? token ?? ""
      const version = options.version ?? "v3"
      const clientId = String(options.client?.["id"] ?? "gateway-client")
      const mode = String(options.client?.["mode"] ?? "backend")
      const common = `${owner.id}|${clientId}|${mode}|${role}|${scopes.join(",")}|${signedAt}|${signedToken}`
      const text = {
        v1: `v1|${common}`,
        v2: `v2|${common}|${nonce}`,
        v3: `v3|${common}|${nonce}|${platform.toLowerCase()}|${(options.deviceFamily ?? "").toLowerCase()}`
      }[version]
      const signed = {
        id: owner.id,
        publicKey: owner.publicKey,
        signature: signText(owner, text),
        signedAt,
        ...(version === "v1" ? {} : { nonce }),
        ...options.device
      }
      return request("connect", {
        minProtocol: 3,
        maxProtocol: 4,
        client: {
          id: clientId,
          version: "1.0.0",
          platform,
          mode,
          ...(options.deviceFamily === undefined ? {} : { deviceFamily: options.deviceFamily }),
          ...options.client
        },
        role,
        scopes,
        caps: [],
        ...(auth === undefined ? {} : { auth }),
        ...(options.withoutDevice === true ? {} : { device: signed }),
        ...options.params
      })
    }
  }
}

/** The detail code of a refusal, else its message, else `hello-ok`. */
export const outcome = (answer: Json | undefined): unknown =>
  at(answer, "payload", "type") ?? at(answer, "error", "details", "code") ?? at(answer, "error", "message")

/**
 * The keys and types of a value, with arrays reduced to the shapes of their items. Two values of equal shape differ only in
 * their contents.
 */
export const shapeOf = (value: unknown): unknown => {
  if (Array.isArray(value)) return [...new Set(value.map((item) => JSON.stringify(shapeOf(item))))].sort()
  if (isJson(value)) {
    return Object.fromEntries(Object.keys(value).sort().map((name) => [name, shapeOf(value[name])]))
  }
  return value === null ? "null" : typeof value
}
