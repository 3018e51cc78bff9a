/**
 * The server side of the gateway protocol, for development and for tests.
 *
 * It behaves as OpenClaw 2026.9.6 does where a client can tell (OpenClaw docs, gateway protocol; recorded frames in
 * test/vectors), with two decisions of its own: it approves nobody silently, and unless told otherwise it treats a client on
 * loopback as a remote one, because its purpose is to show pairing. Like a real gateway it never tells a waiting client about
 * an approval.
 *
 * The core is synchronous: a link is a pair of callbacks, and what a frame causes has happened when `onText` returns. Time
 * is Effect's `Clock`; everything that waits (a challenge that is due later, the handshake deadline, ticks, agent runs) is a
 * fiber of the service's scope. So it runs behind a socket (`DevGatewayWs`) or joined to a client in memory on one
 * `TestClock`.
 *
 * `Link` is one client link. `Handshake` takes its messages up to hello-ok or a refusal, which `Connect` decides; `Methods`
 * answers its requests after that. `Links`, `PairingBook`, `Approvals`, `Nodes` and `ChatRuns` are shared by all links.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Accept from "./Accept.ts"
import * as Agent from "./Agent.ts"
import * as Approvals from "./Approvals.ts"
import * as ChatRuns from "./ChatRuns.ts"
import * as Connect from "./Connect.ts"
import * as CredentialCheck from "./CredentialCheck.ts"
import * as Fault from "./Fault.ts"
import * as Handshake from "./Handshake.ts"
import type { SuspensionPhase } from "./Hello.ts"
import * as Ids from "./Ids.ts"
import type * as Link from "./Link.ts"
import * as Links from "./Links.ts"
import type * as Media from "./Media.ts"
import * as Methods from "./Methods.ts"
import * as NodeBook from "./NodeBook.ts"
import * as Nodes from "./Nodes.ts"
import type * as NodeTools from "./NodeTools.ts"
import * as Observation from "./Observation.ts"
import * as PairingBook from "./PairingBook.ts"
import * as SetupCodes from "./SetupCodes.ts"
import * as ToolCalls from "./ToolCalls.ts"

/** How the gateway behaves. Only `auth` is required. */
export interface Options {
  readonly auth: CredentialCheck.Auth
  /**
   * Sent as `auth.token` with a valid proof, it admits any device without pairing, with the scopes it asks for and without a
   * device token. For the program that owns this gateway; real gateways have no such token.
   */
  readonly operatorToken?: Redacted.Redacted
  /** Treats loopback clients as remote ones. True unless given. */
  readonly remoteByDefault?: boolean
  readonly version?: string
  /** A client is accepted when its range includes `current`. 4 and 3 unless given. */
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
  /** What an older release does not do for nodes. */
  readonly nodes?: Nodes.Older
  /** Origins that browser clients may come from. None unless given. */
  readonly allowedOrigins?: ReadonlyArray<string>
  /** Keeps the last 10,000 frames. They hold tokens: for tests. */
  readonly recordFrames?: boolean
  /** Draws ids, nonces and tokens from Effect's `Random`, repeatable under a seed, instead of the system's generator. */
  readonly seeded?: boolean
  /** One per connection, from the first on. */
  readonly faults?: ReadonlyArray<Fault.Fault>
}

/** `approve` or `reject` got an id that no pending request has: it was decided, replaced or has expired. */
export class UnknownRequest extends Schema.TaggedError<UnknownRequest>()("UnknownRequest", {
  requestId: Schema.String
}) {
  override get message(): string {
    return `no pending device request ${this.requestId}`
  }
}

/** No device with this id is paired, or it has no valid token for the role that was named. */
export class UnknownDevice extends Schema.TaggedError<UnknownDevice>()("UnknownDevice", { deviceId: Schema.String }) {
  override get message(): string {
    return `no paired device ${this.deviceId}, or no valid token of it`
  }
}

/**
 * A gateway as its host sees it: links come in, an operator decides on devices and tokens, and tests script faults and
 * observe.
 */
export interface Interface {
  /**
   * Takes over one link. Synchronous: it may send and close before it returns. Once it has called `peer.close`, the gateway
   * has forgotten the link.
   */
  readonly accept: (peer: Link.Peer) => Link.PeerHandler
  /** Synchronous. How to refuse this HTTP upgrade; `undefined` when it may go on to `accept`. */
  readonly upgrade: (request: { readonly address?: string }) => Fault.UpgradeRefusal | undefined
  /** Synchronous. What the HTTP side answers to GET at this path: the files that `artifacts.download` gives addresses of. */
  readonly file: (path: string) => Media.Answer
  readonly pending: Effect.Effect<ReadonlyArray<PairingBook.PendingEntry>>
  readonly paired: Effect.Effect<ReadonlyArray<PairingBook.PairedEntry>>
  readonly approve: (requestId: string) => Effect.Effect<PairingBook.PairedEntry, UnknownRequest>
  readonly reject: (requestId: string) => Effect.Effect<void, UnknownRequest>
  /** Makes a setup code, as `device.pair.setupCode` does. `publicUrl` is where devices reach this gateway. */
  readonly setupCode: (wish: SetupCodes.Wish) => Effect.Effect<SetupCodes.Minted, SetupCodes.SetupCodeRefused>
  /** Synchronous. What the HTTP side answers to GET at the path of a join URL. */
  readonly join: (path: string) => { readonly status: number; readonly body: string }
  /** The token of this role (`operator` unless given) is no longer valid, and live links of the device are closed. */
  readonly revoke: (deviceId: string, role?: string) => Effect.Effect<void, UnknownDevice>
  /** As `revoke`, with a new token in its place. */
  readonly rotate: (deviceId: string, role?: string) => Effect.Effect<void, UnknownDevice>
  /** The device is no longer paired, and its live links are closed. */
  readonly remove: (deviceId: string) => Effect.Effect<void, UnknownDevice>
  /** Requests to approve the commands of a node: a second approval, after that of the device. */
  readonly surfaces: Effect.Effect<ReadonlyArray<NodeBook.SurfaceRequest>>
  readonly approveSurface: (requestId: string) => Effect.Effect<void, UnknownRequest>
  readonly rejectSurface: (requestId: string) => Effect.Effect<void, UnknownRequest>
  /** The tools that nodes have published, under the names that the agent has for them. */
  readonly tools: Effect.Effect<ReadonlyArray<NodeTools.NodeTool>>
  /** Calls one of them. Interrupted, it cancels the invocation. The key tells a repeated call; a new one unless given. */
  readonly callTool: (
    name: string,
    args: unknown,
    options?: { readonly idempotencyKey?: string; readonly sessionKey?: string }
  ) => Effect.Effect<ToolCalls.ToolOutput, ToolCalls.ToolCallFailed>
  readonly dropAll: (code: number, reason?: string) => Effect.Effect<void>
  /** Sends an event to every client that has its hello-ok. */
  readonly broadcast: (event: string, payload: unknown) => Effect.Effect<void>
  /**
   * Takes no work, or takes work again (`accepting`), and tells every client so. Runs go on; every request is refused, as 2026.9.6
   * refuses it. A gateway that is started takes work.
   */
  readonly suspend: (phase: SuspensionPhase) => Effect.Effect<void>
  /** Sends `shutdown`, closes with 1012. Until `start`, every new link is closed with 1006. */
  readonly stop: Effect.Effect<void>
  /** Pairings, tokens and history are kept; runs and the memory of idempotency keys are gone. */
  readonly start: Effect.Effect<void>
  /** Adds a fault for each of the next connections, in order. */
  readonly script: (...faults: ReadonlyArray<Fault.Fault>) => Effect.Effect<void>
  /** Decides the fault of every connection that `script` leaves without one. Connections count from 1. */
  readonly scriptEach: (fault: (connection: number) => Fault.Fault | undefined) => Effect.Effect<void>
  readonly stats: Effect.Effect<Observation.Stats>
  /** Empty unless `recordFrames` is set. */
  readonly frames: Effect.Effect<ReadonlyArray<Observation.FrameRecord>>
  /** Waits for a state. `holds` is called at once and after every change. */
  readonly awaitState: (holds: (state: Observation.GatewayState) => boolean) => Effect.Effect<Observation.GatewayState>
}

/** A gateway with no paired device. Its fibers, and with them its links, end with the scope. */
export const make = Effect.fnUntraced(function*(options: Options): Effect.fn.Return<Interface, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const fork = yield* FiberSet.runtime(yield* FiberSet.make<void>())<never>()
  const nowMs = () => clock.currentTimeMillisUnsafe()
  const { newId, newToken } = Ids.make(options.seeded === true ? yield* Random.Random : undefined)
  const tickInterval = Duration.fromInputUnsafe(options.tickInterval ?? "30 seconds")
  const pendingLifeMs = Duration.toMillis(options.pendingLife ?? "300 seconds")
  const scopeUpgrades = options.scopeUpgrades ?? true
  const protocol = options.protocol ?? { current: 4, minimumProbe: 3 }

  const script = Fault.makeScript(options.faults ?? [])
  const begin = () => ({ bootId: newId(), atMs: nowMs() })
  let stopped = false
  let suspension: SuspensionPhase = "accepting"
  let life = begin()

  const book = PairingBook.make({ pendingLifeMs, merges: scopeUpgrades, newRequestId: newId, newToken })
  const codes = SetupCodes.make({ auth: options.auth.mode, newId, newToken })
  const observation: Observation.Observation = Observation.make({
    recordFrames: options.recordFrames ?? false,
    nowMs,
    present: () => ({
      openPeers: links.count(),
      runs: chat.started,
      pending: book.pending(nowMs()),
      paired: book.paired(),
      surfaces: surfaces.pending(),
      tools: nodes.tools()
    })
  })
  const { changed } = observation
  const failed: Link.Host["failed"] = (link, cause) => void fork(logFailure(link, cause))
  const links: Links.Links = Links.make({
    fork,
    recordFrame: observation.recordFrame,
    failed,
    changed,
    left: (session) => nodes.left(session)
  })
  const publishToApprovers = (event: string, payload: unknown) => links.publish(event, payload, Links.approvers)
  const surfaces = NodeBook.make(newId)
  const nodes: Nodes.Nodes = Nodes.make({
    book: surfaces,
    older: options.nodes ?? {},
    nowMs,
    newId,
    fork,
    tell: links.tell,
    publish: publishToApprovers,
    changed
  })
  const callTool = callToolOf(nodes, newId)
  const chat = ChatRuns.make({
    agent: withTools(options.agent ?? Agent.echo, callTool),
    nowMs,
    newId,
    fork,
    publish: (event, payload, audience) =>
      links.publish(
        event,
        payload,
        Links.ofSession(audience === "readers" ? Links.readers : Links.toolReaders, payload.sessionKey)
      ),
    changed
  })
  const approvals = Approvals.make({ book, nowMs, pendingLifeMs, fork, publish: publishToApprovers, changed })
  const books = { book, codes, approvals, nowMs }
  const shared = { ...books, chat, links, scopeUpgrades, surfaces, nodes, suspension: () => suspension }
  const methods = Methods.make({ ...shared, nodeTools: options.nodes?.tools ?? true })
  const settings = { ...judged(options), protocol }
  const judge = Connect.makeJudge({ ...books, settings, credentials: credentialsOf(options, book, codes) })
  const handshake = Handshake.make({
    judge,
    version: options.version ?? "2026.9.6-dev",
    protocol: protocol.current,
    tickIntervalMs: Duration.toMillis(tickInterval),
    scopeUpgrades,
    suspension: () => suspension,
    deadline: options.handshakeDeadline ?? "15 seconds",
    started: () => life,
    joined: (session, code) => {
      nodes.joined(session)
      const completion = codes.redeem(code, session.asker, nowMs())
      if (completion !== undefined) publishToApprovers("device.pair.setup.completed", completion)
    },
    observation,
    nowMs,
    newId
  })

  const accept = Accept.acceptBy({ links, script, observation, handshake, methods, newId, isStopped: () => stopped })

  const tick = () => links.publish("tick", { ts: nowMs() }, (_, { fault }) => fault.tickLoss !== true)

  const stop = () => {
    if (stopped) return
    stopped = true
    chat.stop()
    approvals.stop()
    links.publish("shutdown", { reason: "gateway stopping" }, Links.everyone)
    links.endAll(1012, "service restart")
    changed()
  }

  const start = () => {
    if (!stopped) return
    stopped = false
    suspension = "accepting"
    life = begin()
    changed()
  }

  yield* Effect.forkScoped(Effect.forever(Effect.delay(Effect.sync(tick), tickInterval)))
  yield* Effect.addFinalizer(() => Effect.sync(stop))

  return {
    accept,
    upgrade: Accept.upgradeOf(links, script, observation, () => stopped),
    file: chat.file,
    ...ownerOf(book, approvals, links, nowMs),
    setupCode: (wish) => Effect.suspend(() => Effect.fromResult(codes.mint(wish, nowMs()))),
    join: (path) => codes.join(path, nowMs()),
    ...nodesOf(surfaces, nodes),
    callTool,
    dropAll: (code, reason = "") => Effect.sync(() => links.endAll(code, reason)),
    broadcast: (event, payload) => Effect.sync(() => links.publish(event, payload, Links.everyone)),
    suspend: (phase) =>
      Effect.sync(() => {
        suspension = phase
        links.publish("gateway.suspension", { phase }, Links.everyone)
      }),
    stop: Effect.sync(stop),
    start: Effect.sync(start),
    script: (...faults) => Effect.sync(() => script.add(faults)),
    scriptEach: (fault) => Effect.sync(() => script.each(fault)),
    stats: observation.stats,
    frames: observation.frames,
    awaitState: observation.awaitState
  }
})

const logFailure = ({ number }: Link.Link, cause: unknown) =>
  Effect.annotateLogs(Effect.logError("a connection failed", Cause.die(cause)), { connection: number })

const credentialsOf = (
  { auth, operatorToken, wrongCredentials }: Options,
  book: PairingBook.PairingBook,
  codes: SetupCodes.SetupCodes
) =>
  CredentialCheck.make({
    auth,
    operatorToken,
    book,
    codes,
    limit: wrongCredentials?.limit ?? 10,
    windowMs: Duration.toMillis(wrongCredentials?.window ?? "60 seconds"),
    lockoutMs: Duration.toMillis(wrongCredentials?.lockout ?? "300 seconds")
  })

const judged = ({ allowedOrigins = [], auth, remoteByDefault = true }: Options) => ({
  auth,
  allowedOrigins,
  remoteByDefault
})

/** What the owner of the gateway does with requests and devices. */
const ownerOf = (
  book: PairingBook.PairingBook,
  approvals: Approvals.Approvals,
  links: Links.Links,
  nowMs: () => number
): Pick<Interface, "pending" | "paired" | "approve" | "reject" | "revoke" | "rotate" | "remove"> => {
  const endDeviceIf = (deviceId: string, done: () => boolean) =>
    Effect.suspend(() => {
      if (!done()) return Effect.fail(new UnknownDevice({ deviceId }))
      links.endDevice(deviceId)
      return Effect.void
    })
  return {
    pending: Effect.sync(() => book.pending(nowMs())),
    paired: Effect.sync(() => book.paired()),
    approve: Effect.fnUntraced(function*(requestId: string) {
      const device = approvals.approve(requestId)
      return device ?? (yield* new UnknownRequest({ requestId }))
    }),
    reject: Effect.fnUntraced(function*(requestId: string) {
      if (approvals.reject(requestId) === undefined) return yield* new UnknownRequest({ requestId })
    }),
    revoke: (deviceId, role = "operator") => endDeviceIf(deviceId, () => book.revoke(deviceId, role, nowMs())),
    rotate: (deviceId, role = "operator") =>
      endDeviceIf(deviceId, () => book.rotate(deviceId, role, nowMs()) !== undefined),
    remove: (deviceId) => endDeviceIf(deviceId, () => book.remove(deviceId))
  }
}

const callToolOf = (nodes: Nodes.Nodes, newId: () => string): Interface["callTool"] =>
(
  name,
  args,
  { idempotencyKey, sessionKey } = {}
) =>
  Effect.suspend(() =>
    ToolCalls.call(nodes, {
      name,
      args,
      idempotencyKey: idempotencyKey ?? `call-${newId()}`,
      ...(sessionKey === undefined ? {} : { sessionKey })
    })
  )

const withTools =
  (agent: Agent.Agent, callTool: Interface["callTool"]): Parameters<typeof ChatRuns.make>[0]["agent"] => (input) =>
    agent({ ...input, callTool: (name, args) => callTool(name, args, { sessionKey: input.sessionKey }) })

/** What the owner of the gateway does with nodes. */
const nodesOf = (
  surfaces: NodeBook.NodeBook,
  nodes: Nodes.Nodes
): Pick<Interface, "surfaces" | "approveSurface" | "rejectSurface" | "tools"> => {
  const decide = (requestId: string, decided: () => unknown) =>
    Effect.suspend(() => decided() === undefined ? Effect.fail(new UnknownRequest({ requestId })) : Effect.void)
  return {
    surfaces: Effect.sync(surfaces.pending),
    approveSurface: (requestId) => decide(requestId, () => nodes.approve(requestId)),
    rejectSurface: (requestId) => decide(requestId, () => nodes.reject(requestId)),
    tools: Effect.sync(nodes.tools)
  }
}

const testOptions: Options = {
  auth: { mode: "token", token: Redacted.make("shared-token") },
  operatorToken: Redacted.make("operator-token"),
  seeded: true
}

/**
 * A gateway in this process, for development and tests. Serve it with `DevGatewayWs`, or join clients to it in memory with
 * `testing/MemoryTransport`.
 */
export class DevGateway extends Context.Service<DevGateway, Interface>()("effect-openclaw/devgateway/DevGateway") {
  static readonly layer = (options: Options) => Layer.effect(DevGateway, make(options))
  /** Shared token `shared-token`, operator token `operator-token`, everything random from Effect's `Random`. */
  static readonly layerTest = (options?: Partial<Options>) => DevGateway.layer({ ...testOptions, ...options })
}
