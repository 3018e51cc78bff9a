/**
 * The state of one host of tools, and what it does: it connects, publishes, runs calls and answers.
 *
 * `PublishStep` and `InvocationStep` decide. Only the functions of this module change the state.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Broadcast from "../broadcast/Broadcast.ts"
import type { GatewayStatus } from "../connection/ConnectionStatus.ts"
import type { Session } from "../connection/Session.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import { GatewayConfig, nodeSettings } from "../handshake/GatewayConfig.ts"
import { Handshake } from "../handshake/Handshake.ts"
import * as Monotonic from "../handshake/Monotonic.ts"
import { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import type { EventFrame } from "../protocol/Frame.ts"
import * as NodeEvent from "../protocol/NodeEvent.ts"
import type { ToolDescriptor } from "../protocol/NodeMethod.ts"
import * as NodeMethod from "../protocol/NodeMethod.ts"
import type { Bounds, Call, Result as CallResult } from "./InvocationStep.ts"
import * as InvocationStep from "./InvocationStep.ts"
import type { ToolHostStatus } from "./PublishStep.ts"
import * as PublishStep from "./PublishStep.ts"
import type { Approve } from "./ToolApproval.ts"
import type { Handlers } from "./ToolCall.ts"
import * as ToolCall from "./ToolCall.ts"
import type { Catalogue, Offer, ToolSource } from "./ToolSource.ts"
import { merged } from "./ToolSource.ts"

/** How a host serves its tools. */
export interface Options extends Partial<Bounds> {
  /** Decides on calls of tools that are marked as destructive or as in need of approval; without it they are refused. */
  readonly approve?: Approve
  /**
   * The node connects when this is done. A gateway keeps one request a device, so a device that waits for approval in two roles
   * at once would get a new request with every ask: give the first session of the operator here.
   */
  readonly after?: Effect.Effect<unknown>
  /** Tools from elsewhere, beside those of the toolkit. The node connects when each has told its first tools, or after 30 seconds. */
  readonly sources?: ReadonlyArray<ToolSource>
}

/** How long a connection waits for the tools of sources. */
const sourcesWithin = "30 seconds"

/** 32 at once, 128 that wait, 1 MiB of arguments, 2 MiB of result. */
export const defaultBounds: Bounds = {
  running: 32,
  queued: 128,
  argumentsLength: 1024 * 1024,
  resultLength: 2 * 1024 * 1024
}

/** Stands for handlers that did not start. */
export const broken: Handlers = {
  tools: {},
  context: Context.empty(),
  handle: () => Effect.die("the tools could not start")
}

/** State of one host. */
export interface Host {
  readonly clock: Clock.Clock
  readonly scope: Scope.Scope
  /** Those of the toolkit. */
  readonly own: ReadonlyArray<ToolDescriptor>
  /** What each source offers, in the order of the sources. */
  readonly offers: Array<Offer>
  catalogue: Catalogue
  readonly bounds: Bounds
  readonly approve: Approve
  readonly changes: Broadcast.Broadcast<ToolHostStatus>
  readonly connection: Broadcast.Broadcast<GatewayStatus>
  readonly fibers: Map<string, Fiber.Fiber<unknown>>
  handlers: Handlers
  supervisor: Supervisor["Service"] | undefined
  readonly connecting: Deferred.Deferred<Supervisor["Service"]>
  node: GatewayStatus | undefined
  memory: PublishStep.Memory
  calls: InvocationStep.State
  link: Served | undefined
  serving: Fiber.Fiber<void> | undefined
}

/** A session that is served. */
interface Served {
  readonly session: Session
  readonly scope: Scope.Scope
  /** Opens when it may be worth publishing before the time. */
  readonly news: Latch.Latch
}

const nowMs = ({ clock }: Host): number => Monotonic.nowMs(clock)

/** Does what follows from an invocation, its cancellation or its end. */
const dispatch = (self: Host, input: InvocationStep.Input): Effect.Effect<void> =>
  Effect.suspend(() => {
    const [calls, actions] = InvocationStep.step(self.calls, input)
    self.calls = calls
    return Effect.forEach(actions, (action) => perform(self, action), { discard: true })
  })

const perform = (self: Host, action: InvocationStep.Action): Effect.Effect<void> => {
  switch (action._tag) {
    case "Run":
      return Effect.map(Effect.forkIn(runCall(self, action.call), self.scope), (fiber) => {
        if (fiber.pollUnsafe() === undefined) self.fibers.set(action.call.key, fiber)
      })
    case "Interrupt":
      return Effect.sync(() => self.fibers.get(action.key)?.interruptUnsafe())
    case "Answer":
      return Effect.suspend(() =>
        self.link === undefined
          ? Effect.void
          : Effect.asVoid(Effect.forkIn(answer(self, self.link, action), self.link.scope))
      )
  }
}

const runCall = (self: Host, call: Call): Effect.Effect<void> =>
  Effect.suspend(() => {
    const remote = self.catalogue.remote.get(call.tool)
    return remote === undefined
      ? ToolCall.run(self.handlers, call, self.approve)
      : ToolCall.runRemote(remote, call, self.approve)
  }).pipe(
    Effect.timeoutOption(Duration.millis(Math.max(0, call.endsAtMs - nowMs(self)))),
    Effect.map(Option.match({
      onNone: () => ({ result: InvocationStep.refusals.late as CallResult, length: 0 }),
      onSome: (payload) => bounded(payload, self.bounds)
    })),
    Effect.onExit((exit) => {
      self.fibers.delete(call.key)
      const { length, result } = Exit.isSuccess(exit) ? exit.value : { length: 0, result: undefined }
      return dispatch(self, { _tag: "Ended", key: call.key, result, length, nowMs: nowMs(self) })
    }),
    Effect.asVoid
  )

/** The result, unless it is too large. */
const bounded = (
  payload: NodeMethod.ToolOutput,
  bounds: Bounds
): { readonly result: CallResult; readonly length: number } => {
  const { length } = JSON.stringify(payload)
  return length > bounds.resultLength
    ? { result: InvocationStep.tooLargeResult(bounds), length: 0 }
    : { result: { ok: true, payload }, length }
}

/** Answers one invocation. A gateway that has another node in this one's place refuses, which publishing then finds out. */
const answer = (
  self: Host,
  { news, session }: Served,
  { id, nodeId, result }: Extract<InvocationStep.Action, { readonly _tag: "Answer" }>
): Effect.Effect<void> => {
  const send = (result: CallResult) => session.call(NodeMethod.invokeResult, { id, nodeId, ...result })
  return send(result).pipe(
    Effect.catchTag("FrameTooLarge", () => send(InvocationStep.tooLargeResult(self.bounds))),
    Effect.catch((error) =>
      Effect.andThen(
        Effect.annotateLogs(Effect.logWarning("the result of a tool was not taken", error.message), { invocation: id }),
        Effect.sync(() => void news.openUnsafe())
      )
    ),
    Effect.asVoid
  )
}

const onEvent = (self: Host, { news }: Served, { event, payload }: EventFrame): Effect.Effect<void> => {
  switch (event) {
    case NodeEvent.events.request:
      return Option.match(NodeEvent.decodeInvokeRequest(payload), {
        // Nobody could be answered, as it has no id.
        onNone: () => Effect.logWarning("an invocation of another shape was ignored"),
        onSome: (request) => dispatch(self, { _tag: "Requested", request, nowMs: nowMs(self) })
      })
    case NodeEvent.events.cancel:
      return Option.match(NodeEvent.decodeInvokeCancel(payload), {
        onNone: () => Effect.void,
        onSome: ({ invokeId }) => dispatch(self, { _tag: "Cancelled", id: invokeId })
      })
    default:
      return Effect.sync(() => void news.openUnsafe())
  }
}

/** Publishes the connection with what is to be approved beside it, and how the tools stand. */
const tell = (self: Host, before: ToolHostStatus): void => {
  const { memory: { status } } = self
  if (status !== before) self.changes.publish(status)
  if (self.node !== undefined) self.connection.publish(shown(self, self.node))
}

const shown = (self: Host, node: GatewayStatus): GatewayStatus => {
  const { memory: { status } } = self
  if (node.status._tag !== "Connected") return node
  const { session } = node.status
  switch (status._tag) {
    case "AwaitingApproval": {
      const aheadMs = self.clock.currentTimeMillisUnsafe() - nowMs(self)
      const { lastAskedAtMs, replaced, requestId, sinceMs } = status.approval
      const upgrade = {
        requestId,
        reason: "surface" as const,
        requestedScopes: undefined,
        approvedScopes: undefined,
        sinceMs: sinceMs + aheadMs,
        lastAskedAtMs: lastAskedAtMs + aheadMs,
        replaced
      }
      return { ...node, status: { _tag: "Connected", session, upgrade } }
    }
    case "Withheld":
      return status.reason === "Rejected"
        ? { ...node, status: { _tag: "Connected", session, declined: "rejected" } }
        : node
    default:
      return node
  }
}

const decide = (self: Host, input: PublishStep.Input): PublishStep.Decision => {
  const { status } = self.memory
  const [memory, decision] = PublishStep.step(self.memory, input)
  self.memory = memory
  tell(self, status)
  return decision
}

/** Publishes the tools over a session until it ends. */
const publishing = Effect.fnUntraced(function*(self: Host, { news, session }: Served): Effect.fn.Return<void> {
  let decision = decide(self, { _tag: "Connected", serverVersion: session.facts.serverVersion })
  while (true) {
    switch (decision._tag) {
      case "Rest":
        yield* news.await
        news.closeUnsafe()
        decision = { _tag: "Publish", afterMs: 0 }
        break
      case "Publish": {
        yield* Effect.timeoutOption(news.await, Duration.millis(decision.afterMs))
        news.closeUnsafe()
        const { descriptors } = self.catalogue
        const answered = yield* Effect.result(session.call(NodeMethod.publishTools, { tools: descriptors }))
        decision = decide(
          self,
          Result.isFailure(answered) ? { _tag: "Failed", error: answered.failure } : {
            _tag: "Taken",
            offered: descriptors.length,
            tools: answered.success.tools.map(({ name }) => name)
          }
        )
        break
      }
      case "Inquire":
        decision = decide(self, yield* inquire(self, session))
    }
  }
})

/** Asks why the gateway took no tool. */
const inquire = (self: Host, session: Session): Effect.Effect<PublishStep.Input> =>
  session.call(NodeMethod.tellInventory, { protocolFeatures: [] }).pipe(
    Effect.match({
      onSuccess: (): PublishStep.Input => ({ _tag: "NotPending", approved: true }),
      onFailure: (error): PublishStep.Input => {
        const message = error._tag === "RequestRejected" ? error.gatewayMessage : ""
        const requestId = Option.getOrUndefined(NodeMethod.awaitedRequest(message))
        if (requestId !== undefined) return { _tag: "Pending", requestId, nowMs: nowMs(self) }
        return isNotAwaited.test(message) ? { _tag: "NotPending", approved: false } : { _tag: "Failed", error }
      }
    })
  )

/** As 2026.8.2 and 2026.9.6 answer a node whose commands are neither approved nor waiting for it. */
const isNotAwaited = /^node runner inventory publication is not current/

const serve = (self: Host, session: Session): Effect.Effect<void> =>
  Effect.gen(function*() {
    const scope = yield* Scope.Scope
    const served: Served = { session, scope, news: Latch.makeUnsafe() }
    const { events } = yield* session.subscribe(Object.values(NodeEvent.events))
    self.link = served
    yield* Effect.forkScoped(Effect.ignoreCause(Stream.runForEach(events, (event) => onEvent(self, served, event)), {
      log: "Error",
      message: "invocations are no longer followed"
    }))
    yield* Effect.raceFirst(publishing(self, served), session.ended)
  }).pipe(
    Effect.scoped,
    Effect.ensuring(Effect.suspend(() => {
      self.link = undefined
      decide(self, { _tag: "Disconnected" })
      return dispatch(self, { _tag: "LinkLost", nowMs: nowMs(self) })
    }))
  )

/** Serves the session of each link, one after another. */
const follow = Effect.fnUntraced(function*(self: Host, now: GatewayStatus) {
  const { status } = now
  const isNew = status._tag === "Connected" && status.session !== self.link?.session
  if (isNew && self.serving !== undefined) yield* Fiber.interrupt(self.serving)
  self.node = now
  self.connection.publish(shown(self, now))
  if (isNew) self.serving = yield* Effect.forkIn(serve(self, status.session), self.scope)
})

const connect = Effect.fnUntraced(function*(self: Host, after: Effect.Effect<unknown>) {
  yield* after
  const { platform } = yield* DeviceIdentity
  const settings = nodeSettings(yield* GatewayConfig, platform)
  const supervisor = yield* Supervisor.make.pipe(
    Effect.provideService(GatewayConfig, settings),
    Effect.provideServiceEffect(Handshake, Handshake.make),
    Effect.provideService(Scope.Scope, self.scope)
  )
  self.supervisor = supervisor
  Deferred.doneUnsafe(self.connecting, Effect.succeed(supervisor))
  yield* Stream.runForEach(supervisor.changes, (status) => follow(self, status))
})

/** Publishes the tools of a source as they change. Gives what is done when the first are known, or never will be. */
const adopting = Effect.fnUntraced(function*(self: Host, { name, tools }: ToolSource, index: number) {
  const known = yield* Deferred.make<void>()
  yield* tools.pipe(
    Stream.runForEach((offered) =>
      Effect.andThen(adopt(self, { source: name, tools: offered }, index), Deferred.succeed(known, undefined))
    ),
    Effect.ignoreCause({ log: "Error", message: "the tools of a source are no longer followed" }),
    Effect.ensuring(Deferred.succeed(known, undefined)),
    Effect.forkScoped
  )
  return Deferred.await(known)
})

const adopt = (self: Host, offer: Offer, index: number): Effect.Effect<void> =>
  Effect.suspend(() => {
    self.offers[index] = offer
    self.catalogue = merged(self.own, self.offers)
    self.link?.news.openUnsafe()
    return Effect.forEach(
      self.catalogue.leftOut.filter(({ source }) => source === offer.source),
      (left) => Effect.annotateLogs(Effect.logWarning("a tool of a source is not published"), left),
      { discard: true }
    )
  })

/** Starts a host, which ends with the scope. Its handlers may be up or not. */
export const start = Effect.fnUntraced(function*(
  own: ReadonlyArray<ToolDescriptor>,
  { after = Effect.void, approve = () => Effect.succeed(false), sources = [], ...given }: Options,
  handlers: Handlers | undefined
) {
  const scope = yield* Scope.Scope
  const bounds: Bounds = { ...defaultBounds, ...given }
  const self: Host = {
    clock: yield* Clock.Clock,
    scope,
    own,
    offers: sources.map(({ name }) => ({ source: name, tools: [] })),
    catalogue: merged(own, []),
    bounds,
    approve,
    changes: Broadcast.make({ snapshot: () => [self.memory.status] }),
    connection: Broadcast.make({ snapshot: () => self.node === undefined ? [] : [shown(self, self.node)] }),
    fibers: new Map(),
    handlers: handlers ?? broken,
    supervisor: undefined,
    connecting: Deferred.makeUnsafe(),
    node: undefined,
    memory: PublishStep.idle,
    calls: InvocationStep.begin(bounds, handlers !== undefined),
    link: undefined,
    serving: undefined
  }
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      self.changes.end()
      self.connection.end()
    })
  )
  const known = yield* Effect.forEach(sources, (source, index) => adopting(self, source, index))
  const first = Effect.timeoutOption(Effect.all(known, { concurrency: "unbounded", discard: true }), sourcesWithin)
  const ready = sources.length === 0 ? after : Effect.andThen(first, after)
  yield* Effect.forkScoped(
    Effect.tapDefect(connect(self, ready), (defect) => Effect.logError("the tool host died", defect))
  )
  return self
})

/** The handlers are up. */
export const started = (self: Host, handlers: Handlers): Effect.Effect<void> =>
  Effect.suspend(() => {
    self.handlers = handlers
    return dispatch(self, { _tag: "Started" })
  })
