import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { createHash, generateKeyPairSync, randomUUID, sign } from "node:crypto"
import { WebSocket } from "ws"
import { type EventLog, makeEventLog } from "./EventLog.ts"
import { InteropError } from "./InteropError.ts"

// The smallest client that a gateway takes for a paired device. It shares no code with `src`, so that a mistake there
// cannot hide in the harness, and signs v2 proofs, which every release accepts.

export const GatewayError = Schema.Struct({
  code: Schema.String,
  message: Schema.String,
  details: Schema.optionalKey(Schema.Struct({
    code: Schema.optionalKey(Schema.String),
    reason: Schema.optionalKey(Schema.String),
    requestId: Schema.optionalKey(Schema.String)
  }))
})
export type GatewayError = typeof GatewayError.Type

const Frame = Schema.Struct({
  type: Schema.String,
  id: Schema.optionalKey(Schema.String),
  ok: Schema.optionalKey(Schema.Boolean),
  payload: Schema.optionalKey(Schema.Unknown),
  error: Schema.optionalKey(GatewayError),
  event: Schema.optionalKey(Schema.String)
})
type Frame = typeof Frame.Type
const decodeFrame = Schema.decodeUnknownOption(Schema.fromJsonString(Frame))

const decodeError = Schema.decodeUnknownOption(Schema.fromJsonString(
  Schema.Struct({ id: Schema.String, error: Schema.optionalKey(Schema.Unknown) })
))

const decodeChallenge = Schema.decodeUnknownOption(Schema.Struct({ nonce: Schema.String, ts: Schema.Int }))

const Hello = Schema.Struct({
  protocol: Schema.Int,
  auth: Schema.optionalKey(Schema.Struct({
    deviceToken: Schema.optionalKey(Schema.RedactedFromValue(Schema.String)),
    scopes: Schema.optionalKey(Schema.Array(Schema.String))
  }))
})
const decodeHello = Schema.decodeUnknownEffect(Hello)

/** An Ed25519 key that exists in memory only, as a gateway knows it: lower-case hex id, base64url public key. */
export interface Device {
  readonly deviceId: string
  readonly publicKey: string
  /** Signs the UTF-8 bytes of the text; base64url. */
  readonly sign: (text: string) => string
}

export const makeDevice: Effect.Effect<Device> = Effect.sync(() => {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519")
  const raw = publicKey.export({ format: "jwk" }).x ?? ""
  return {
    deviceId: createHash("sha256").update(Buffer.from(raw, "base64url")).digest("hex"),
    publicKey: raw,
    sign: (text) => sign(null, Buffer.from(text), privateKey).toString("base64url")
  }
})

export interface ConnectOptions {
  readonly url: string
  readonly token: Redacted.Redacted
  readonly device?: Device
  readonly clientId?: string
  readonly clientMode?: string
  /** What the gateway pins at the approval; `linux` unless set. */
  readonly platform?: string
  readonly scopes?: ReadonlyArray<string>
  readonly caps?: ReadonlyArray<string>
  /** `operator` unless set. */
  readonly role?: string
  /** The commands that a node offers. */
  readonly commands?: ReadonlyArray<string>
  readonly deviceFamily?: string | undefined
  readonly displayName?: string
  /** The token of a setup code, which takes the place of the shared token. */
  readonly bootstrapToken?: string
}

export interface RawEvent {
  readonly event: string
  readonly payload: unknown
}

export interface RawClient {
  /** The answer to `connect`. */
  readonly answer:
    | { readonly _tag: "Accepted"; readonly hello: typeof Hello.Type }
    | { readonly _tag: "Refused"; readonly error: GatewayError }
  /** Fails when the gateway refuses, when 30 s pass, and when the link ends first. */
  readonly request: (method: string, params: unknown) => Effect.Effect<unknown, InteropError>
  /** The same, and a refusal is an answer. `extra`: properties of the frame. */
  readonly ask: (
    method: string,
    params: unknown,
    extra?: Readonly<Record<string, unknown>>
  ) => Effect.Effect<{ readonly payload?: unknown; readonly error?: unknown }, InteropError>
  /** The payload of hello-ok as it came. */
  readonly hello: unknown
  /** The error of a refused `connect` as it came. */
  readonly raw: unknown
  /** As `ask`, with payload and error as they came. */
  readonly askRaw: (method: string, params: unknown) => Effect.Effect<
    { readonly payload?: unknown; readonly error?: unknown },
    InteropError
  >
  /** Closes the socket. */
  readonly end: Effect.Effect<void>
  readonly events: ReadonlyArray<RawEvent>
  /** The errors of refused requests, as they came. */
  readonly refusals: ReadonlyArray<unknown>
  /** The next event for which `where` holds; events passed over stay in `events`. 60 s unless set. */
  readonly nextEvent: (
    event: string,
    where: (payload: unknown) => boolean,
    timeout?: Duration.Input
  ) => Effect.Effect<RawEvent, InteropError>
  /** The end of the link. */
  readonly closed: Effect.Effect<{ readonly closeCode: number; readonly closeReason: string }>
}

const connectParams = (options: ConnectOptions, challenge: { readonly nonce: string; readonly ts: number }) => {
  const { clientId = "gateway-client", clientMode = "backend", commands, device, deviceFamily, displayName } = options
  const { role = "operator", scopes = ["operator.read", "operator.write"] } = options
  const { bootstrapToken } = options
  const token = bootstrapToken ?? Redacted.value(options.token)
  const { nonce, ts } = challenge
  const params = {
    minProtocol: 3,
    maxProtocol: 4,
    client: {
      id: clientId,
      version: "0.0.0",
      platform: options.platform ?? "linux",
      mode: clientMode,
      ...(deviceFamily === undefined ? {} : { deviceFamily }),
      ...(displayName === undefined ? {} : { displayName })
    },
    role,
    scopes,
    caps: options.caps ?? [],
    ...(commands === undefined ? {} : { commands }),
    auth: bootstrapToken === undefined ? { token } : { bootstrapToken }
  }
  if (device === undefined) return params
  const proof = ["v2", device.deviceId, clientId, clientMode, role, scopes.join(","), ts, token, nonce].join("|")
  return {
    ...params,
    device: {
      id: device.deviceId,
      publicKey: device.publicKey,
      signature: device.sign(proof),
      signedAt: ts,
      nonce
    }
  }
}

/**
 * One connect, to its answer; a refusal is an answer. Fails with step `connect` when there is none within 15 s, for
 * instance while nothing listens. The scope closes the socket.
 */
export const connect = Effect.fn("RawClient.connect")(function*(options: ConnectOptions) {
  const waiting = new Map<string, Deferred.Deferred<Frame, InteropError>>()
  const ended = yield* Deferred.make<{ readonly closeCode: number; readonly closeReason: string }>()
  const answered = yield* Deferred.make<Frame, InteropError>()
  const log: EventLog<RawEvent> = yield* makeEventLog<RawEvent>()
  const refusals: Array<unknown> = []

  /** Errors as they came, by request. */
  const errors = new Map<string, unknown>()
  const keepError = (text: string) =>
    Option.map(decodeError(text), ({ error, id }) => error === undefined ? undefined : errors.set(id, error))

  const onFrame = (ws: WebSocket, frame: Frame) => {
    if (frame.type === "event" && frame.event === "connect.challenge") {
      return Option.map(decodeChallenge(frame.payload), (challenge) =>
        ws.send(JSON.stringify({
          type: "req",
          id: "connect",
          method: "connect",
          params: connectParams(options, challenge)
        })))
    }
    if (frame.type === "event" && frame.event !== undefined) {
      return log.offerUnsafe({ event: frame.event, payload: frame.payload })
    }
    if (frame.type !== "res" || frame.id === undefined) return
    const waiter = frame.id === "connect" ? answered : waiting.get(frame.id)
    if (waiter !== undefined) Deferred.doneUnsafe(waiter, Effect.succeed(frame))
  }
  const onEnd = (detail: string, closeCode: number, cause?: unknown) => {
    const failure = new InteropError({ step: "connect", detail, ...(cause === undefined ? {} : { cause }) })
    Deferred.doneUnsafe(answered, Effect.fail(failure))
    for (const waiter of waiting.values()) Deferred.doneUnsafe(waiter, Effect.fail(failure))
    Deferred.doneUnsafe(ended, Effect.succeed({ closeCode, closeReason: detail }))
    log.endUnsafe()
  }

  const ws = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const socket = new WebSocket(options.url, { perMessageDeflate: false, maxPayload: 25 * 1024 * 1024 })
      socket.on("message", (data) =>
        Option.map(decodeFrame(data.toString()), (frame) => {
          keepError(data.toString())
          if (frame.error !== undefined) refusals.push(JSON.parse(data.toString()).error)
          onFrame(socket, frame)
        }))
      socket.on("close", (code, reason) => onEnd(reason.toString(), code))
      socket.on("error", (cause) => onEnd(cause.message, 1006, cause))
      return socket
    }),
    (socket) => Effect.sync(() => socket.terminate())
  )

  const first = yield* Deferred.await(answered).pipe(
    Effect.timeoutOrElse({
      duration: "15 seconds",
      orElse: () => Effect.fail(new InteropError({ step: "connect", detail: "no answer within 15 s" }))
    })
  )
  const answer: RawClient["answer"] = first.error === undefined
    ? {
      _tag: "Accepted",
      hello: yield* decodeHello(first.payload).pipe(
        Effect.mapError((cause) => new InteropError({ step: "connect", detail: "hello-ok is malformed", cause }))
      )
    }
    : { _tag: "Refused", error: first.error }

  const ask = Effect.fnUntraced(
    function*(method: string, params: unknown, extra: Readonly<Record<string, unknown>> = {}, id = randomUUID()) {
      const waiter = yield* Deferred.make<Frame, InteropError>()
      waiting.set(id, waiter)
      ws.send(JSON.stringify({ type: "req", id, method, params, ...extra }))
      const { error, payload } = yield* Deferred.await(waiter).pipe(
        Effect.timeoutOrElse({
          duration: "30 seconds",
          orElse: () => Effect.fail(new InteropError({ step: "request", detail: `${method}: no answer within 30 s` }))
        }),
        Effect.ensuring(Effect.sync(() => waiting.delete(id)))
      )
      return error === undefined ? { payload } : { error }
    }
  )

  const client: RawClient = {
    answer,
    events: log.all,
    refusals,
    closed: Deferred.await(ended),
    nextEvent: (event, where, timeout = "60 seconds") =>
      log.next({
        describe: `event ${event}`,
        where: (item) => item.event === event && where(item.payload),
        timeout,
        context: () => log.all.slice(-20).map((item) => JSON.stringify(item).slice(0, 300))
      }),
    hello: first.payload,
    raw: errors.get("connect"),
    ask: (method, params, extra) => ask(method, params, extra),
    askRaw: Effect.fnUntraced(function*(method, params) {
      const id = randomUUID()
      const { payload } = yield* ask(method, params, {}, id)
      return errors.has(id) ? { error: errors.get(id) } : { payload }
    }),
    end: Effect.sync(() => ws.terminate()),
    request: Effect.fn("RawClient.request")(function*(method, params) {
      const { error, payload } = yield* ask(method, params)
      if (error === undefined) return payload
      return yield* new InteropError({ step: "request", detail: `${method}: ${error.code}: ${error.message}` })
    })
  }
  return client
})

/**
 * An administrator of the gateway: a local `cli`/`cli` client, which a gateway approves silently, with the scopes that
 * `device.pair.*` and `device.token.*` ask for, and with `scopes` besides. The scope closes its socket; a restart of the gateway ends it too.
 */
export const administrator = Effect.fn("RawClient.administrator")(
  function*(
    gateway: { readonly url: string; readonly token: Redacted.Redacted },
    { scopes = [], ...options }: Pick<ConnectOptions, "caps" | "scopes"> = {}
  ) {
    const client = yield* connect({
      url: gateway.url,
      token: gateway.token,
      device: yield* makeDevice,
      clientId: "cli",
      clientMode: "cli",
      scopes: ["operator.admin", "operator.pairing", ...scopes],
      ...options
    })
    if (client.answer._tag === "Accepted") return client
    const { code, message } = client.answer.error
    return yield* new InteropError({ step: "connect", detail: `administrator: ${code}: ${message}` })
  }
)

/** What a client needs besides to delegate and to read. */
export const readAndWrite = ["operator.write", "operator.read"]
