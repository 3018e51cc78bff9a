/**
 * A runner on hand-driven sessions: the test takes each request, answers it, and tells events, as a gateway would.
 */
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import * as TestClock from "effect/testing/TestClock"
import type { ConnectionStatus, GatewayStatus } from "../../src/connection/ConnectionStatus.ts"
import * as RequestError from "../../src/connection/RequestError.ts"
import type { EventListener, Session, SessionFacts } from "../../src/connection/Session.ts"
import { callBy } from "../../src/connection/Session.ts"
import { Supervisor } from "../../src/connection/Supervisor.ts"
import { LinkError } from "../../src/link/LinkError.ts"
import type { TaskEvent } from "../../src/tasks/Task.ts"
import { TaskJournal } from "../../src/tasks/TaskJournal.ts"
import type { Options } from "../../src/tasks/TaskRunner.ts"
import { TaskRunner } from "../../src/tasks/TaskRunner.ts"

const Params = Schema.Struct({
  sessionKey: Schema.optionalKey(Schema.String),
  key: Schema.optionalKey(Schema.String),
  message: Schema.optionalKey(Schema.String),
  idempotencyKey: Schema.optionalKey(Schema.String),
  runId: Schema.optionalKey(Schema.String),
  deliver: Schema.optionalKey(Schema.Boolean),
  limit: Schema.optionalKey(Schema.Int),
  messageId: Schema.optionalKey(Schema.String),
  maxChars: Schema.optionalKey(Schema.Int),
  attachments: Schema.optionalKey(Schema.Array(Schema.Struct({
    type: Schema.String,
    mimeType: Schema.String,
    fileName: Schema.String,
    content: Schema.String
  })))
})

const decodeParams = Schema.decodeUnknownSync(Params)

/** A session like any other. */
export const plainFacts: SessionFacts = {
  protocol: 4,
  serverVersion: "2026.9.6",
  scopes: ["operator.read", "operator.write"],
  missingScopes: [],
  deviceTokenIssued: true,
  connectedAtMs: 0,
  clockDeltaMs: 0,
  handshakeMs: 1
}

export interface Asked {
  readonly method: string
  readonly params: typeof Params.Type
  readonly answer: (payload: unknown) => void
  readonly refuse: (error: unknown) => void
  readonly timeOut: () => void
}

export interface Gateway {
  readonly session: Session
  /** The next request, which must be this one. */
  readonly next: (method: string) => Effect.Effect<Asked>
  /** The next request, whichever it is. */
  readonly take: Effect.Effect<Asked>
  readonly tell: (event: string, payload: unknown) => void
  /** Events that never reach the subscribers. */
  readonly lose: (count: number) => void
  /** What `agent.wait` is answered for a run from now on; otherwise that it knows nothing. It is no request to be taken. */
  readonly remember: (runId: string, ended: unknown) => void
  readonly end: () => void
  /** Requests nobody took yet. */
  readonly untaken: () => number
  readonly pending: () => number
  readonly subscribers: () => number
}

export const started = (asked: Asked) => ({ runId: asked.params.idempotencyKey, status: "started" })

/** The payload of a `chat` event for the run of a request. */
export const chat = (asked: Asked, rest: Readonly<Record<string, unknown>>) => ({
  runId: asked.params.idempotencyKey,
  sessionKey: asked.params.sessionKey,
  seq: 1,
  ...rest
})

export const said = (text: string) => ({
  role: "assistant",
  content: [{ type: "text", text }],
  timestamp: 1_795_330_230_896
})

/** `ends`: what `agent.wait` is answered from the beginning, by run. */
export const makeGateway = (
  facts: Partial<Session["facts"]> = {},
  ends: Readonly<Record<string, unknown>> = {}
): Effect.Effect<Gateway> =>
  Effect.sync(() => {
    const asked = Effect.runSync(Queue.unbounded<Asked>())
    const ended = Deferred.makeUnsafe<LinkError>()
    const listeners = new Set<EventListener>()
    const pending = new Set<(error: LinkError) => void>()
    const remembered = new Map(Object.entries(ends))
    let end: LinkError | undefined
    let seq = 0
    const request: Session["request"] = (method, params) =>
      Effect.callback((resume) => {
        if (end !== undefined) return resume(Effect.fail(end))
        if (method === "agent.wait") {
          const { runId } = decodeParams({ sessionKey: "", ...Object(params) })
          return resume(Effect.succeed(remembered.get(runId ?? "") ?? { runId, status: "timeout" }))
        }
        const fail = (error: LinkError) => resume(Effect.fail(error))
        pending.add(fail)
        const finish = (result: Effect.Effect<unknown, RequestError.RequestError>) => {
          pending.delete(fail)
          resume(result)
        }
        Queue.offerUnsafe(asked, {
          method,
          params: decodeParams(params),
          answer: (payload) => finish(Effect.succeed(payload)),
          refuse: (error) => finish(Effect.fail(RequestError.fromError(method, error))),
          timeOut: () => finish(Effect.fail(new RequestError.RequestTimeout({ method, timeoutMs: 30_000 })))
        })
        return Effect.sync(() => pending.delete(fail))
      })
    const session: Session = {
      facts: {
        ...plainFacts,
        ...facts
      },
      request,
      call: callBy(request),
      subscribe: () => Effect.die("tasks listen"),
      listen: (_, listener) =>
        Effect.asVoid(Effect.acquireRelease(
          Effect.sync(() => end === undefined ? listeners.add(listener) : listener.onEnd?.()),
          () => Effect.sync(() => listeners.delete(listener))
        )),
      ended: Deferred.await(ended),
      counts: () => ({ noise: 0, missed: 0, dropped: 0, pending: pending.size })
    }
    return {
      session,
      take: Queue.take(asked),
      next: (method) =>
        Effect.filterOrElse(
          Queue.take(asked),
          (request) => request.method === method,
          (request) => Effect.die(new Error(`expected ${method}, and ${request.method} was asked`))
        ),
      tell: (event, payload) => {
        for (const { onEvent } of listeners) onEvent({ type: "event", event, payload, seq: ++seq })
      },
      lose: (count) => {
        for (const { onLost } of listeners) onLost?.(count)
      },
      remember: (runId, payload) => void remembered.set(runId, payload),
      end: () => {
        end = new LinkError({ reason: "Closed", phase: "session", closeCode: 1006 })
        for (const fail of pending) fail(end)
        pending.clear()
        for (const { onEnd } of listeners) onEnd?.()
        listeners.clear()
        Deferred.doneUnsafe(ended, Effect.succeed(end))
      },
      untaken: () => Effect.runSync(Queue.size(asked)),
      pending: () => pending.size,
      subscribers: () => listeners.size
    }
  })

export const connecting: ConnectionStatus = { _tag: "Connecting", attempt: 1 }
export const offline: ConnectionStatus = {
  _tag: "Waiting",
  cause: new LinkError({ reason: "Closed", phase: "session", closeCode: 1006 }),
  retryAtMs: 1000,
  approval: undefined
}
export const awaitingApproval: ConnectionStatus = {
  _tag: "AwaitingApproval",
  approval: {
    requestId: undefined,
    reason: "not-paired",
    requestedScopes: undefined,
    approvedScopes: undefined,
    sinceMs: 0,
    lastAskedAtMs: 0,
    replaced: 0
  },
  nextCheckAtMs: 3000,
  checking: false
}

export interface Running {
  readonly runner: TaskRunner["Service"]
  readonly become: (status: ConnectionStatus) => Effect.Effect<void>
  /** Other settings: the connection is made anew, to this gateway. */
  readonly reconfigure: (gatewayScope: string) => Effect.Effect<void>
  /** Connects to a gateway of its own. */
  readonly connect: (
    facts?: Partial<Session["facts"]>,
    ends?: Readonly<Record<string, unknown>>
  ) => Effect.Effect<Gateway>
  /** Ends the link and says so. */
  readonly drop: (gateway: Gateway) => Effect.Effect<void>
  /** The next event that was not looked at yet; it must be of this kind. */
  readonly next: <Tag extends TaskEvent["_tag"]>(tag: Tag) => Effect.Effect<Extract<TaskEvent, { readonly _tag: Tag }>>
  /** Kinds of the events that nobody looked at. */
  readonly rest: Effect.Effect<ReadonlyArray<string>>
}

/** The gateway that the settings name at first. */
export const home = "ws://127.0.0.1:18789/"

/** A runner in the test's scope, not connected yet. */
export const start = Effect.fnUntraced(function*(
  options?: Options,
  first: ConnectionStatus = connecting,
  journal: Layer.Layer<TaskJournal> = TaskJournal.layerMemory
) {
  const connection = yield* SubscriptionRef.make<GatewayStatus>({ gatewayScope: home, status: first })
  const become = (status: ConnectionStatus) => SubscriptionRef.update(connection, (now) => ({ ...now, status }))
  const supervisor = Supervisor.of({
    status: Effect.map(SubscriptionRef.get(connection), ({ status }) => status),
    changes: SubscriptionRef.changes(connection),
    gatewayScope: Effect.die(new Error("a status and its gateway are read together")),
    session: Effect.never,
    attend: Effect.void,
    checkNow: Effect.void,
    pause: Effect.void,
    resume: Effect.void,
    reconfigure: () => Effect.void,
    upgradeScopes: () => Effect.never
  })
  const context = yield* Layer.build(
    TaskRunner.layer(options).pipe(
      Layer.provide([Layer.succeed(Supervisor, supervisor), SecureRandom.layerWebCrypto, journal])
    )
  )
  const runner = Context.get(context, TaskRunner)
  const events = yield* Queue.unbounded<TaskEvent>()
  yield* Effect.forkScoped(
    Stream.runForEach(runner.events, (event) => Queue.offer(events, event)),
    { startImmediately: true }
  )
  const isA = <Tag extends TaskEvent["_tag"]>(
    event: TaskEvent,
    tag: Tag
  ): event is Extract<TaskEvent, { readonly _tag: Tag }> => event._tag === tag
  const running: Running = {
    runner,
    become,
    reconfigure: (gatewayScope) => SubscriptionRef.set(connection, { gatewayScope, status: connecting }),
    connect: Effect.fnUntraced(function*(facts, ends) {
      const gateway = yield* makeGateway(facts, ends)
      yield* become({ _tag: "Connected", session: gateway.session })
      return gateway
    }),
    drop: (gateway) => Effect.andThen(Effect.sync(gateway.end), become(offline)),
    next: (tag) =>
      Effect.filterOrElse(
        Queue.take(events),
        (event) => isA(event, tag),
        (event) => Effect.die(new Error(`expected ${tag}, and there was ${JSON.stringify(event)}`))
      ),
    rest: Effect.andThen(TestClock.adjust(0), Effect.map(Queue.clear(events), (all) => all.map(({ _tag }) => _tag)))
  }
  return running
})
