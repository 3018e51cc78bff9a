/**
 * The server side of the gateway protocol, for development and for tests.
 *
 * It behaves as OpenClaw 2026.9.6 does where a client can tell (OpenClaw docs, gateway protocol; recorded frames in
 * test/vectors), with two decisions of its own: it approves nobody silently, and unless told otherwise it treats a client on
 * loopback as a remote one, because showing pairing is what it is for. Like a real gateway it never tells a waiting client
 * about an approval.
 *
 * The core is synchronous: a link is a pair of callbacks, and what a frame causes has happened when `onText` returns. Time
 * is Effect's `Clock`; whatever waits (a challenge that is due later, the handshake deadline, ticks, agent runs) is a fiber
 * of the service's scope. So it runs behind a socket (`DevGatewayWs`) or joined to a client in memory on one `TestClock`.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { randomBytes } from "node:crypto"
import * as Frame from "../protocol/Frame.ts"
import * as Agent from "./Agent.ts"
import * as ChatRuns from "./ChatRuns.ts"
import * as ConnectCheck from "./ConnectCheck.ts"
import * as CredentialCheck from "./CredentialCheck.ts"
import { type Fault, type FaultPhase, noiseBytes, noiseTexts, type UpgradeRefusal } from "./Fault.ts"
import { health, hello } from "./Hello.ts"
import * as Methods from "./Methods.ts"
import * as PairingBook from "./PairingBook.ts"
import * as ParamsCheck from "./ParamsCheck.ts"
import * as Refusals from "./Refusals.ts"

/** One client link as the gateway sees it. */
export interface Peer {
  readonly sendUnsafe: (text: string) => void
  /** Only the noise fault sends binary. */
  readonly sendBinaryUnsafe?: (bytes: Uint8Array) => void
  /** Code 1006 asks for a link that breaks without a close frame. */
  readonly close: (code: number, reason: string) => void
  /** Not on loopback. */
  readonly remote: boolean
  /** Lock-out, the limit of silent links and `remoteIp` go by it. `127.0.0.1` unless given. */
  readonly address?: string
  /** Headers of the upgrade request by lower-case name. Only `origin` is read. */
  readonly headers?: Readonly<Record<string, string>>
}

export interface PeerHandler {
  readonly onText: (text: string) => void
  /** The link is gone. Calling it twice, or after the gateway closed the link, does nothing. */
  readonly onClose: () => void
}

export interface Options {
  readonly auth: CredentialCheck.Auth
  /**
   * Sent as `auth.token` with a valid proof, it admits any device without pairing, with the scopes it asks for and without a
   * device token. For the program that owns this gateway; a real gateway has no such thing.
   */
  readonly operatorToken?: Redacted.Redacted
  /** Treats loopback clients as remote ones. True unless given. */
  readonly remoteByDefault?: boolean
  readonly version?: string
  /** A client is let in when its range holds `current`. 4 and 3 unless given. */
  readonly protocol?: { readonly current: number; readonly minimumProbe: number }
  /** 30 s unless given. */
  readonly tickInterval?: Duration.Input
  /** How long a pending request outlives its last ask. 300 s unless given. */
  readonly pendingLife?: Duration.Input
  /** A link without `connect` is closed after this, with 1000 and no reason. 15 s unless given. */
  readonly handshakeDeadline?: Duration.Input
  /** 10 wrong credentials of one address within 60 s lock it out for 300 s, unless given. */
  readonly wrongCredentials?: {
    readonly limit: number
    readonly window: Duration.Input
    readonly lockout: Duration.Input
  }
  readonly agent?: Agent.Agent
  /**
   * Whether a session may ask for wider scopes (`device.scopes.*`), as from 2026.8 on. Older releases do not have the methods,
   * and give an ask for other scopes a new request in place of the pending one instead of adding to it. True unless given.
   */
  readonly scopeUpgrades?: boolean
  /** Origins that browser clients may come from. None unless given. */
  readonly allowedOrigins?: ReadonlyArray<string>
  /** Keeps the last 10,000 frames. They hold tokens: for tests. */
  readonly recordFrames?: boolean
  /** Draws ids, nonces and tokens from Effect's `Random`, repeatable under a seed, instead of the system's generator. */
  readonly seeded?: boolean
  /** One per connection, from the first on. */
  readonly faults?: ReadonlyArray<Fault>
}

export interface Stats {
  /** Links that were offered, let in or not. */
  readonly attempts: number
  readonly hellos: number
  /** By `details.code`, else by message. */
  readonly refusals: ReadonlyMap<string, number>
  readonly openPeers: number
  /** Runs started, by idempotency key. */
  readonly runs: ReadonlyMap<string, number>
}

export interface GatewayState {
  readonly stats: Stats
  readonly pending: ReadonlyArray<PairingBook.PendingEntry>
  readonly paired: ReadonlyArray<PairingBook.PairedEntry>
}

export interface FrameRecord {
  /** Counts links from 1. */
  readonly connection: number
  readonly atMs: number
  /** As the gateway sees it. */
  readonly direction: "in" | "out"
  readonly text: string
}

export class UnknownRequest extends Schema.TaggedError<UnknownRequest>()("UnknownRequest", {
  requestId: Schema.String
}) {
  override get message(): string {
    return `no pending device request ${this.requestId}`
  }
}

export class UnknownDevice extends Schema.TaggedError<UnknownDevice>()("UnknownDevice", { deviceId: Schema.String }) {
  override get message(): string {
    return `no paired device ${this.deviceId}, or no valid token of it`
  }
}

export interface Interface {
  /**
   * Takes over one link. Synchronous: it may send and close before it returns. Once `peer.close` was called, by either side,
   * the gateway has forgotten the link.
   */
  readonly accept: (peer: Peer) => PeerHandler
  /** Synchronous. What the HTTP upgrade is answered instead of `accept`; `undefined` lets it go on to `accept`. */
  readonly upgrade: (request: { readonly address?: string }) => UpgradeRefusal | undefined
  readonly pending: Effect.Effect<ReadonlyArray<PairingBook.PendingEntry>>
  readonly paired: Effect.Effect<ReadonlyArray<PairingBook.PairedEntry>>
  readonly approve: (requestId: string) => Effect.Effect<PairingBook.PairedEntry, UnknownRequest>
  readonly reject: (requestId: string) => Effect.Effect<void, UnknownRequest>
  /** The token of this role (`operator` unless given) is no longer valid, and live links of the device are closed. */
  readonly revoke: (deviceId: string, role?: string) => Effect.Effect<void, UnknownDevice>
  /** As `revoke`, with a new token in its place. */
  readonly rotate: (deviceId: string, role?: string) => Effect.Effect<void, UnknownDevice>
  /** The device is no longer paired, and its live links are closed. */
  readonly remove: (deviceId: string) => Effect.Effect<void, UnknownDevice>
  readonly dropAll: (code: number, reason?: string) => Effect.Effect<void>
  /** Sends an event to every client that has its hello-ok. */
  readonly broadcast: (event: string, payload: unknown) => Effect.Effect<void>
  /** Sends `shutdown`, closes with 1012. Until `start`, links are closed with 1006 as they come. */
  readonly stop: Effect.Effect<void>
  /** Pairings, tokens and history are those of before; runs and the memory of idempotency keys are gone. */
  readonly start: Effect.Effect<void>
  /** Adds a fault for each of the next connections, in order. */
  readonly script: (...faults: ReadonlyArray<Fault>) => Effect.Effect<void>
  /** Decides the fault of every connection that `script` leaves without one. Connections count from 1. */
  readonly scriptEach: (fault: (connection: number) => Fault | undefined) => Effect.Effect<void>
  readonly stats: Effect.Effect<Stats>
  /** Empty unless `recordFrames` is set. */
  readonly frames: Effect.Effect<ReadonlyArray<FrameRecord>>
  /** Waits for a state. Asked at once and after every change. */
  readonly awaitState: (holds: (state: GatewayState) => boolean) => Effect.Effect<GatewayState>
}

interface Connection {
  readonly number: number
  readonly peer: Peer
  readonly address: string
  readonly fault: Fault
  readonly nonce: string
  readonly connId: string
  session: Methods.Session | undefined
  state: "open" | "stalled" | "ended"
  seq: number
  /** The deadline of the handshake, and a challenge that is due later. */
  readonly timers: Array<Fiber.Fiber<void>>
}

const maxFirstFrameBytes = 64 * 1024
const maxSilentLinks = 32
const maxRecordedFrames = 10_000
const deviceRemoved = "device removed"

const parseJson = Option.liftThrowable((text: string): unknown => JSON.parse(text))

const uuidOf = (bytes: Uint8Array) => {
  const hex = Buffer.from(bytes).toString("hex")
  const variant = "89ab".charAt(Number.parseInt(hex.charAt(16), 16) % 4)
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `4${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32)
  ]
    .join("-")
}

/** As releases up to 2026.2.19 refuse: the message is all that they say. */
const withoutDetails = ({ closeCode, error: { code, message } }: Refusals.Refusal): Refusals.Refusal => ({
  error: { code, message },
  closeCode
})

export const make = Effect.fnUntraced(function*(options: Options): Effect.fn.Return<Interface, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const fork = yield* FiberSet.runtime(yield* FiberSet.make<void>())<never>()
  const nowMs = () => clock.currentTimeMillisUnsafe()
  const bytes = (size: number): Uint8Array =>
    options.seeded === true
      ? Uint8Array.from({ length: size }, () => Math.floor(random.nextDoubleUnsafe() * 256))
      : randomBytes(size)
  const newId = () => uuidOf(bytes(16))

  const remoteByDefault = options.remoteByDefault ?? true
  const version = options.version ?? "2026.9.6-dev"
  const protocol = options.protocol ?? { current: 4, minimumProbe: 3 }
  const tickIntervalMs = Duration.toMillis(options.tickInterval ?? "30 seconds")
  const pendingLifeMs = Duration.toMillis(options.pendingLife ?? "300 seconds")
  const scopeUpgrades = options.scopeUpgrades ?? true
  const handshakeDeadline = options.handshakeDeadline ?? "15 seconds"

  const connections = new Set<Connection>()
  const scripted: Array<Fault> = [...options.faults ?? []]
  let scriptedEach: (connection: number) => Fault | undefined = () => undefined
  const refusals = new Map<string, number>()
  const frames: Array<FrameRecord> = []
  const stateWaiters = new Set<() => void>()
  const decided = new Map<string, PairingBook.Decision>()
  let attempts = 0
  let hellos = 0
  let stopped = false
  let startedAtMs = nowMs()
  let bootId = newId()

  const book = PairingBook.make({
    pendingLifeMs,
    merges: scopeUpgrades,
    newRequestId: newId,
    newToken: () => Redacted.make(Buffer.from(bytes(32)).toString("base64url"), { label: "deviceToken" })
  })

  const credentials = CredentialCheck.make({
    auth: options.auth,
    operatorToken: options.operatorToken,
    book,
    limit: options.wrongCredentials?.limit ?? 10,
    windowMs: Duration.toMillis(options.wrongCredentials?.window ?? "60 seconds"),
    lockoutMs: Duration.toMillis(options.wrongCredentials?.lockout ?? "300 seconds")
  })

  const stats = (): Stats => ({
    attempts,
    hellos,
    refusals: new Map(refusals),
    openPeers: connections.size,
    runs: new Map(chat.started)
  })
  const state = (): GatewayState => ({ stats: stats(), pending: book.pending(nowMs()), paired: book.paired() })
  const changed = () => {
    for (const look of Array.from(stateWaiters)) look()
  }

  /** As they are now: what is done to one may change the set. */
  const links = () => [...connections]

  const keepFrame = (connection: Connection, direction: "in" | "out", text: string) => {
    if (options.recordFrames !== true) return
    if (frames.length === maxRecordedFrames) frames.shift()
    frames.push({ connection: connection.number, atMs: nowMs(), direction, text })
  }

  const send = (connection: Connection, text: string) => {
    if (connection.state !== "open") return
    keepFrame(connection, "out", text)
    connection.peer.sendUnsafe(text)
  }

  const sendEvent = (connection: Connection, event: string, payload: unknown) => {
    if (connection.state !== "open" || connection.session === undefined) return
    connection.seq += connection.seq === 1 && connection.fault.sequenceGap === true ? 2 : 1
    send(connection, Frame.encodeEvent(event, payload, connection.seq))
  }

  const clearTimers = (connection: Connection) => {
    for (const timer of connection.timers.splice(0)) timer.interruptUnsafe()
  }

  const forget = (connection: Connection): boolean => {
    if (connection.state === "ended") return false
    connection.state = "ended"
    connections.delete(connection)
    clearTimers(connection)
    return true
  }

  const end = (connection: Connection, code: number, reason: string) => {
    if (!forget(connection)) return
    connection.peer.close(code, reason)
    changed()
  }

  /** Breaks or silences the link if its script says so for this phase. */
  const faultAt = (connection: Connection, phase: FaultPhase) => {
    if (connection.fault.dropAt === phase) end(connection, 1006, "")
    if (connection.fault.stallAt === phase && connection.state === "open") {
      connection.state = "stalled"
      clearTimers(connection)
    }
    return connection.state === "open"
  }

  const noise = (connection: Connection) => {
    if (connection.fault.noiseFrames !== true) return
    for (const text of noiseTexts) send(connection, text)
    if (connection.state === "open") connection.peer.sendBinaryUnsafe?.(noiseBytes)
  }

  const toEach = (
    event: string,
    payload: unknown,
    gets: (session: Methods.Session, connection: Connection) => boolean
  ) => {
    for (const connection of links()) {
      if (connection.session !== undefined && gets(connection.session, connection)) {
        sendEvent(connection, event, payload)
      }
    }
  }

  const toScope = (scope: string) => (session: Methods.Session) =>
    session.role === "operator" && PairingBook.satisfies(session.scopes, scope)

  const chat = ChatRuns.make({
    agent: options.agent ?? Agent.echo,
    nowMs,
    newId,
    fork,
    publish: (event, payload, audience) =>
      toEach(
        event,
        payload,
        (session) => toScope("operator.read")(session) && (audience === "readers" || session.toolEvents)
      ),
    changed
  })

  const refuse = (connection: Connection, id: string, refusal: Refusals.Refusal) => {
    if (connection.state !== "open") return
    const name = Refusals.nameOf(refusal.error)
    refusals.set(name, (refusals.get(name) ?? 0) + 1)
    const text = Frame.encodeRefusal(id, refusal.error)
    keepFrame(connection, "out", text)
    forget(connection) // before it is sent: a client that answers from inside its callback is not heard again
    connection.peer.sendUnsafe(text)
    connection.peer.close(refusal.closeCode, Refusals.closeReasonOf(refusal))
    changed()
  }

  const ask = (asker: PairingBook.Asker, supersede: boolean) => {
    const { entry, isNew, replaced } = book.ask(asker, nowMs(), supersede)
    if (replaced !== undefined) resolve(replaced.requestId, replaced.deviceId, "rejected")
    if (isNew) {
      methods.pairingChanged()
      toEach("device.pair.requested", entry, toScope("operator.pairing"))
      changed()
    }
    return entry
  }

  const pairingRequired = (connection: Connection, asker: PairingBook.Asker, reason: Refusals.PairingReason) => {
    const entry = ask(asker, connection.fault.supersede === true)
    return Refusals.pairingRequired({
      reason,
      requestId: entry.requestId,
      deviceId: asker.deviceId,
      role: asker.role,
      scopes: asker.scopes,
      approved: book.approvedOf(asker.deviceId, asker.role),
      waitThenRetry: asker.clientId === "openclaw-tui" && asker.clientMode === "ui"
    })
  }

  const resolve = (requestId: string, deviceId: string, decision: PairingBook.Decision) => {
    decided.set(requestId, decision)
    methods.pairingChanged()
    toEach("device.pair.resolved", { requestId, deviceId, decision, ts: nowMs() }, toScope("operator.pairing"))
    changed()
  }

  const approve = (requestId: string) => {
    const device = book.approve(requestId, nowMs())
    if (device !== undefined) resolve(requestId, device.deviceId, "approved")
    return device
  }

  const reject = (requestId: string) => {
    const entry = book.reject(requestId, nowMs())
    if (entry !== undefined) resolve(requestId, entry.deviceId, "rejected")
    return entry
  }

  const closeDevice = (deviceId: string) => {
    for (const connection of links()) {
      if (connection.session?.asker?.deviceId === deviceId) end(connection, 4001, deviceRemoved)
    }
    changed()
  }

  const methods = Methods.make({
    book,
    chat,
    nowMs,
    pendingLifeMs,
    scopeUpgrades,
    fork,
    isConnected: (deviceId) => links().some((connection) => connection.session?.asker?.deviceId === deviceId),
    ask: (asker) => ask(asker, false),
    approve,
    reject,
    decisionOn: (requestId) => decided.get(requestId),
    closeDevice
  })

  const connect = (connection: Connection, id: string, sent: unknown) => {
    const { address, fault, peer } = connection
    if (fault.unavailable !== undefined) return refuse(connection, id, Refusals.stillStarting(fault.unavailable))
    if (fault.refuse !== undefined) return refuse(connection, id, { error: fault.refuse, closeCode: 1008 })
    const checked = ConnectCheck.check(sent, {
      protocol,
      nonce: fault.noChallenge === true ? undefined : connection.nonce,
      proofVersions: fault.refuseProofV3 === true ? ["v2"] : ["v3", "v2"],
      nowMs: nowMs(),
      address,
      origin: peer.headers?.["origin"],
      allowedOrigins: options.allowedOrigins ?? [],
      open: options.auth.mode === "none"
    })
    if (Result.isFailure(checked)) {
      return refuse(connection, id, fault.refuseProofV3 === true ? withoutDetails(checked.failure) : checked.failure)
    }
    const caller = checked.success
    const { asker, role, scopes } = caller
    if (fault.lockout !== undefined) return refuse(connection, id, Refusals.lockedOut(fault.lockout))
    const admitted = credentials.admit(caller, address, nowMs())
    if (Result.isFailure(admitted)) return refuse(connection, id, admitted.failure)
    const admission = admitted.success

    const local = !(peer.remote || remoteByDefault)
    const localBackend = local && caller.clientId === "gateway-client" && caller.clientMode === "backend"
    const unpaired = admission.by === "operator" || (localBackend && admission.by === "shared")
    if (asker !== undefined && !unpaired) {
      const reason = book.reasonToAsk(asker)
      if (reason !== undefined) return refuse(connection, id, pairingRequired(connection, asker, reason))
      book.seen(asker.deviceId, role, nowMs(), admission.by === "device-token")
    }

    clearTimers(connection)
    const granted = asker === undefined && !local ? [] : scopes
    connection.session = { role, scopes: granted, asker, toolEvents: caller.toolEvents }
    hellos++
    const payload = hello({
      protocol: protocol.current,
      version,
      bootId,
      connId: connection.connId,
      nowMs: nowMs(),
      startedAtMs,
      tickIntervalMs,
      scopeUpgrades,
      method: admission.method,
      role,
      scopes: granted,
      token: asker === undefined || unpaired ? undefined : book.token(asker.deviceId, role)
    })
    send(connection, Frame.encodeResponse(id, payload))
    if (fault.eventInSamePacketAsHello === true) sendEvent(connection, "health", health(nowMs()))
    noise(connection)
    if (fault.closeWith !== undefined) end(connection, fault.closeWith.code, fault.closeWith.reason ?? "")
    faultAt(connection, "hello")
    changed()
  }

  const firstFrame = (connection: Connection, text: string) => {
    if (Buffer.byteLength(text, "utf8") > maxFirstFrameBytes) return end(connection, 1009, "")
    const parsed = parseJson(text)
    if (Option.isNone(parsed)) return end(connection, 1000, "")
    const frame = Frame.parse(text)
    if (ParamsCheck.complaint(ParamsCheck.requestFrame, parsed.value) !== undefined || frame?.type !== "req") {
      return end(connection, 1008, "invalid request frame")
    }
    if (frame.method !== "connect") return refuse(connection, frame.id, Refusals.firstRequestMustBeConnect)
    if (faultAt(connection, "connect")) connect(connection, frame.id, frame.params)
  }

  const request = (connection: Connection, session: Methods.Session, text: string) => {
    const parsed = parseJson(text)
    if (Option.isNone(parsed)) return
    const complaint = ParamsCheck.complaint(ParamsCheck.requestFrame, parsed.value)
    const frame = Frame.parse(text)
    if (complaint !== undefined || frame?.type !== "req") {
      const id = Predicate.hasProperty(parsed.value, "id") && typeof parsed.value.id === "string"
        ? parsed.value.id
        : "invalid"
      return send(
        connection,
        Frame.encodeRefusal(id, Refusals.requestError(`invalid request frame: ${complaint ?? "must be object"}`))
      )
    }
    methods.call(session, frame.method, frame.params ?? {}, (answer) =>
      send(
        connection,
        "error" in answer ? Frame.encodeRefusal(frame.id, answer.error) : Frame.encodeResponse(frame.id, answer.payload)
      ))
  }

  const challengePayload = (connection: Connection): unknown => {
    const { nonce } = connection
    const capabilities = ["model-catalog-snapshot"]
    switch (connection.fault.malformedChallenge) {
      case undefined:
        return { nonce, ts: nowMs(), capabilities }
      case "missing-ts":
        return { nonce, capabilities }
      case "negative-ts":
        return { nonce, ts: -5, capabilities }
      case "missing-nonce":
        return { ts: nowMs(), capabilities }
      case "piped-nonce":
        return { nonce: nonce.replaceAll("-", "|"), ts: nowMs(), capabilities }
    }
  }

  const challenge = (connection: Connection) => {
    send(connection, Frame.encodeEvent("connect.challenge", challengePayload(connection)))
    if (connection.fault.twoChallenges === true) {
      send(connection, Frame.encodeEvent("connect.challenge", { nonce: newId(), ts: nowMs(), capabilities: [] }))
    }
    faultAt(connection, "challenge")
  }

  const later = (connection: Connection, delay: Duration.Input, act: () => void) => {
    connection.timers.push(
      fork(Effect.delay(Effect.sync(() => connection.state === "open" ? act() : undefined), delay))
    )
  }

  const takeFault = (number: number): Fault => scripted.shift() ?? scriptedEach(number) ?? {}

  const accept = (peer: Peer): PeerHandler => {
    attempts++
    const connection: Connection = {
      number: attempts,
      peer,
      address: peer.address ?? "127.0.0.1",
      fault: stopped ? {} : takeFault(attempts),
      nonce: newId(),
      connId: newId(),
      session: undefined,
      state: "open",
      seq: 0,
      timers: []
    }
    connections.add(connection)
    const handler: PeerHandler = {
      onText: (text) => {
        if (connection.state !== "open") return
        keepFrame(connection, "in", text)
        if (connection.session === undefined) firstFrame(connection, text)
        else request(connection, connection.session, text)
      },
      onClose: () => {
        if (forget(connection)) changed()
      }
    }
    const { fault } = connection
    if (stopped || fault.upgradeRefusal !== undefined) {
      end(connection, 1006, "")
      return handler
    }
    if (!faultAt(connection, "open")) return handler
    later(connection, handshakeDeadline, () => end(connection, 1000, ""))
    noise(connection)
    if (fault.noChallenge !== true) {
      if (fault.lateChallenge === undefined) challenge(connection)
      else later(connection, fault.lateChallenge, () => challenge(connection))
    }
    changed()
    return handler
  }

  const upgrade = ({ address = "127.0.0.1" }: { readonly address?: string }): UpgradeRefusal | undefined => {
    const refusal = stopped
      ? { status: 0, body: "" }
      : upgradeFault() ?? (silentLinks(address) >= maxSilentLinks
        ? { status: 503, body: "Too many unauthenticated sockets" }
        : undefined)
    if (refusal === undefined) return undefined
    attempts++
    changed()
    return refusal
  }

  const upgradeFault = (): UpgradeRefusal | undefined => {
    const fault = scripted[0] ?? scriptedEach(attempts + 1)
    if (fault?.upgradeRefusal !== undefined) scripted.shift()
    return fault?.upgradeRefusal
  }

  const silentLinks = (address: string) =>
    [...connections].filter((connection) => connection.session === undefined && connection.address === address).length

  const tick = () => toEach("tick", { ts: nowMs() }, (_, connection) => connection.fault.tickLoss !== true)

  const stop = () => {
    if (stopped) return
    stopped = true
    chat.stop()
    methods.stop()
    toEach("shutdown", { reason: "gateway stopping" }, () => true)
    for (const connection of links()) end(connection, 1012, "service restart")
    changed()
  }

  const start = () => {
    if (!stopped) return
    stopped = false
    startedAtMs = nowMs()
    bootId = newId()
    changed()
  }

  yield* Effect.forkScoped(Effect.forever(Effect.delay(Effect.sync(tick), tickIntervalMs)))
  yield* Effect.addFinalizer(() => Effect.sync(stop))

  const closing = (deviceId: string, happened: () => boolean) =>
    Effect.suspend(() => {
      if (!happened()) return Effect.fail(new UnknownDevice({ deviceId }))
      closeDevice(deviceId)
      return Effect.void
    })

  return {
    accept,
    upgrade,
    pending: Effect.sync(() => book.pending(nowMs())),
    paired: Effect.sync(() => book.paired()),
    approve: Effect.fnUntraced(function*(requestId: string) {
      const device = approve(requestId)
      return device ?? (yield* new UnknownRequest({ requestId }))
    }),
    reject: Effect.fnUntraced(function*(requestId: string) {
      if (reject(requestId) === undefined) return yield* new UnknownRequest({ requestId })
    }),
    revoke: (deviceId, role = "operator") => closing(deviceId, () => book.revoke(deviceId, role, nowMs())),
    rotate: (deviceId, role = "operator") =>
      closing(deviceId, () => book.rotate(deviceId, role, nowMs()) !== undefined),
    remove: (deviceId) => closing(deviceId, () => book.remove(deviceId)),
    dropAll: (code, reason = "") =>
      Effect.sync(() => {
        for (const connection of links()) end(connection, code, reason)
      }),
    broadcast: (event, payload) => Effect.sync(() => toEach(event, payload, () => true)),
    stop: Effect.sync(stop),
    start: Effect.sync(start),
    script: (...faults) => Effect.sync(() => void scripted.push(...faults)),
    scriptEach: (fault) =>
      Effect.sync(() => {
        scriptedEach = fault
      }),
    stats: Effect.sync(stats),
    frames: Effect.sync(() => [...frames]),
    awaitState: (holds) =>
      Effect.callback<GatewayState>((resume) => {
        const look = () => {
          const present = state()
          if (!holds(present)) return
          stateWaiters.delete(look)
          resume(Effect.as(Effect.yieldNow, present)) // never inside the callback of a link
        }
        stateWaiters.add(look)
        look()
        return Effect.sync(() => stateWaiters.delete(look))
      })
  }
})

const testOptions: Options = {
  auth: { mode: "token", token: Redacted.make("shared-token") },
  operatorToken: Redacted.make("operator-token"),
  seeded: true
}

export class DevGateway extends Context.Service<DevGateway, Interface>()("effect-openclaw/devgateway/DevGateway") {
  static readonly layer = (options: Options) => Layer.effect(DevGateway, make(options))
  /** Shared token `shared-token`, operator token `operator-token`, everything random from Effect's `Random`. */
  static readonly layerTest = (options?: Partial<Options>) => DevGateway.layer({ ...testOptions, ...options })
}
