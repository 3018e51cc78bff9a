/**
 * One link after hello-ok: requests, their answers, and events.
 *
 * The frame path is synchronous. A frame is parsed once, in the socket's callback, and goes from there to the request that
 * waits for it or to the queues of those who subscribed. What is neither is noise: counted and ignored.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Established } from "../handshake/Handshake.ts"
import { tracerOf } from "../handshake/Timeline.ts"
import { LinkError } from "../link/LinkError.ts"
import type { LinkHandler } from "../link/Transport.ts"
import { covers } from "../protocol/Connect.ts"
import * as Frame from "../protocol/Frame.ts"
import * as FrameLimit from "../protocol/FrameLimit.ts"
import type { Method } from "../protocol/Method.ts"
import { scopeOf } from "../protocol/Method.ts"
import * as Deadlines from "./Deadlines.ts"
import * as EventSubscribers from "./EventSubscribers.ts"
import * as Metrics from "./Metrics.ts"
import * as ReadGate from "./ReadGate.ts"
import type { RequestError } from "./RequestError.ts"
import { AnswerInvalid, fromError, MissingScope, RequestTimeout } from "./RequestError.ts"

/** What is known of a session from its hello-ok. */
export interface SessionFacts {
  readonly protocol: number
  readonly serverVersion: string | undefined
  /** What the gateway says it granted; what was asked for, on releases that say nothing. */
  readonly scopes: ReadonlyArray<string>
  /** What was asked for and not granted. A method that needs one of them fails with `MissingScope`. */
  readonly missingScopes: ReadonlyArray<string>
  /** False is a success too: local backends and some releases get no device token. */
  readonly deviceTokenIssued: boolean
  /** Milliseconds on this process's clock. */
  readonly connectedAtMs: number
  /** The gateway's clock minus ours, in milliseconds. */
  readonly clockDeltaMs: number | undefined
  /** When the gateway's process began, in milliseconds on this process's clock; absent when it did not tell. */
  readonly gatewayStartedAtMs?: number | undefined
  readonly handshakeMs: number
}

/** What a session has counted since its hello-ok, and how many requests are open now. */
export interface SessionCounts {
  /** Messages that were no frame, and answers that nobody waited for. */
  readonly noise: number
  /** Events that the connection's sequence numbers say are missing. */
  readonly missed: number
  /** Events dropped because a subscriber was too slow. */
  readonly dropped: number
  /** Requests that wait for an answer. */
  readonly pending: number
}

/** One subscriber's view of a session's events, made by `Session.subscribe`. */
export interface Subscription {
  /** The events since the subscription began. Ends with the session. */
  readonly events: Stream.Stream<Frame.EventFrame>
  /** Events this subscriber lost: its own queue was full, or the connection's numbers had a gap. */
  readonly lost: () => number
}

/** Options of a single request or call. */
export interface RequestOptions {
  /** Instead of the session's `requestTimeout`. */
  readonly timeout?: Duration.Duration
}

/**
 * A link after hello-ok: requests, calls and events. `Supervisor` makes one for each link and gives it in the status
 * `Connected`.
 */
export interface Session {
  readonly facts: SessionFacts
  /**
   * The payload of the answer, as it came: for methods that `protocol/Method` does not describe. Fails at once when the link ends; interruption leaves no registration. A frame above
   * the gateway's limit, and a method whose scope is known not to be granted, fail before anything is sent.
   *
   * One span, `gateway.request`, where a tracer is installed and tracing is on; otherwise none is made. The span has the
   * method and how it ended, never parameters or payload.
   */
  readonly request: (
    method: string,
    params: unknown,
    options?: RequestOptions
  ) => Effect.Effect<unknown, RequestError>
  /**
   * Calls a method that `protocol/Method` describes: its scope is checked before anything is sent, and its answer is decoded
   * once. An answer of another shape fails with `AnswerInvalid`; the gateway has done what was asked then.
   */
  readonly call: <Params, Answer>(
    method: Method<Params, Answer>,
    params: Params,
    options?: RequestOptions
  ) => Effect.Effect<Answer, RequestError | AnswerInvalid>
  /**
   * Events with one of these names, from now on; 1024 wait for their subscriber unless `capacity` says otherwise. What does
   * not fit is lost and counted. With `backpressure` it stops the reading of the link instead, for everybody, until half of
   * it is taken, and nothing is lost. While the link is not read, no request times out, silence is not noticed, and neither
   * is the end of the link.
   */
  readonly subscribe: (
    names: ReadonlyArray<string>,
    options?: { readonly capacity?: number; readonly backpressure?: boolean }
  ) => Effect.Effect<Subscription, never, Scope.Scope>
  /** Waits for the end of the link and says why it ended. */
  readonly ended: Effect.Effect<LinkError>
  readonly counts: () => SessionCounts
}

/** The receiving side of a session, before and after its link is established. */
export interface Prepared {
  /** Given to the handshake: takes every frame after hello-ok. */
  readonly handler: LinkHandler
  /** Turns the established link into a session, whose fibers live as long as the scope. */
  readonly open: (
    established: Established,
    facts: SessionFacts,
    options: { readonly requestTimeout: Duration.Duration }
  ) => Effect.Effect<Session, never, Scope.Scope>
}

/** The gateway ticks at a steady interval; two of them without any frame mean that the link is dead. */
const silentIntervals = 2
const silentCode = 4000

interface PendingRequest extends Deadlines.Pending {
  readonly method: string
  readonly resume: (result: Effect.Effect<unknown, RequestError>) => void
}

/** Typed calls on top of requests. */
export const callBy = (request: Session["request"]): Session["call"] => (method, params, options) =>
  Effect.flatMap(
    // The type of `params` says what is allowed, so that what cannot be encoded is a bug.
    Effect.orDie(Schema.encodeEffect(method.params)(params)),
    (encoded) =>
      Effect.flatMap(request(method.name, encoded, options), (payload) =>
        Effect.mapError(
          Schema.decodeUnknownEffect(method.answer)(payload),
          () => new AnswerInvalid({ method: method.name })
        ))
  )

/** Prepares the receiving side of a session before its link is dialled, so that no frame finds nobody. */
export const prepare: Effect.Effect<Prepared> = Effect.gen(function*() {
  const clock = yield* Clock.Clock
  const pending = new Map<string, PendingRequest>()
  const ended = Deferred.makeUnsafe<LinkError>()
  let noise = 0
  const meters = yield* Metrics.counters
  let end: LinkError | undefined
  const gate = ReadGate.make(clock)
  const subscribers = EventSubscribers.make(gate, meters)

  const onNoise = () => {
    noise++
    meters.noise()
  }
  const onResponse = (frame: Frame.ResponseFrame) => {
    const request = pending.get(frame.id)
    if (request === undefined) return onNoise()
    pending.delete(frame.id)
    if (frame.ok) {
      meters.request("ok")
      return request.resume(Effect.succeed(frame.payload))
    }
    const error = fromError(request.method, frame.error)
    meters.request(error._tag === "MissingScope" ? "missing_scope" : "refused")
    request.resume(Effect.fail(error))
  }
  const finish = (error: LinkError) => {
    if (end !== undefined) return
    end = error
    const waiting = [...pending.values()]
    pending.clear()
    for (const request of waiting) {
      meters.request("link_lost")
      request.resume(Effect.fail(error))
    }
    subscribers.end()
    Deferred.doneUnsafe(ended, Effect.succeed(error))
  }

  const open: Prepared["open"] = Effect.fnUntraced(function*({ hello, link }, facts, { requestTimeout }) {
    const deadlines = yield* Deadlines.watch(pending, gate)
    const limitBytes = hello.policy?.maxPayload ?? FrameLimit.sessionLimitBytes
    const scopesTold = hello.auth?.scopes !== undefined
    let lastId = 0
    gate.link = link
    // The handshake, however long it took, is no silence of this session.
    ReadGate.hear(gate)

    const ask: Session["request"] = (method, params, options) =>
      Effect.callback((resume) => {
        if (end !== undefined) {
          meters.request("link_lost")
          return resume(Effect.fail(end))
        }
        const scope = scopesTold ? scopeOf(method) : undefined
        if (scope !== undefined && !covers(facts.scopes, scope)) {
          meters.request("missing_scope")
          return resume(Effect.fail(new MissingScope({ method, scope })))
        }
        const timeoutMs = Duration.toMillis(options?.timeout ?? requestTimeout)
        const deadlineMs = ReadGate.nowMs(gate) + timeoutMs
        const id = String(++lastId)
        // Before the registration: parameters that are no JSON must not leave one behind.
        const text = Frame.encodeRequest(id, method, params)
        const tooLarge = FrameLimit.check(method, text, limitBytes)
        if (tooLarge !== undefined) {
          meters.request("too_large")
          return resume(Effect.fail(tooLarge))
        }
        pending.set(id, {
          method,
          deadlineMs,
          resume,
          expire: () => {
            pending.delete(id)
            meters.request("timeout")
            resume(Effect.fail(new RequestTimeout({ method, timeoutMs })))
          }
        })
        if (!link.sendUnsafe(text)) {
          pending.delete(id)
          meters.request("link_lost")
          return resume(Effect.fail(new LinkError({ reason: "Closed", phase: "session" })))
        }
        deadlines.arm(deadlineMs)
        return Effect.sync(() => {
          if (pending.delete(id)) meters.request("interrupted")
        })
      })
    const request: Session["request"] = (method, params, options) =>
      Effect.withFiber((fiber) =>
        tracerOf(fiber) === undefined ? ask(method, params, options) : traced(method, ask(method, params, options))
      )

    const tickMs = hello.policy?.tickIntervalMs
    if (tickMs !== undefined) {
      const limitMs = silentIntervals * tickMs
      const watch = Effect.suspend(() => {
        if (ReadGate.isClosed(gate)) return Effect.as(ReadGate.awaitOpen(gate), true)
        const leftMs = ReadGate.heardAtMs(gate) + limitMs - ReadGate.nowMs(gate)
        if (leftMs > 0) return Effect.as(Effect.sleep(Duration.millis(leftMs)), true)
        finish(new LinkError({ reason: "Silent", phase: "session", closeCode: silentCode }))
        link.closeUnsafe(silentCode, "tick timeout")
        return Effect.succeed(false)
      })
      yield* Effect.forkScoped(Effect.repeat(watch, { while: (alive) => alive }))
    }
    yield* Effect.addFinalizer(() => Effect.sync(() => finish(new LinkError({ reason: "Ended", phase: "session" }))))

    return {
      facts,
      request,
      call: callBy(request),
      subscribe: subscribers.subscribe,
      ended: Deferred.await(ended),
      counts: () => ({ noise, ...subscribers.counts, pending: pending.size })
    }
  })

  return {
    handler: {
      onText: (text) => {
        ReadGate.hear(gate)
        const frame = Frame.parse(text)
        if (frame?.type === "event") subscribers.offer(frame)
        else if (frame?.type === "res") onResponse(frame)
        else onNoise()
      },
      onClose: finish
    },
    open
  }
})

/** A tracer keeps what a span ended with, and an answer may hold a credential or a conversation: so it passes beside it. */
const traced = (method: string, asked: Effect.Effect<unknown, RequestError>): Effect.Effect<unknown, RequestError> =>
  Effect.suspend(() => {
    let payload: unknown
    const options = { kind: "client", attributes: { "rpc.system": "openclaw", "rpc.method": method } } as const
    return Effect.map(
      Effect.useSpan("gateway.request", options, (span) =>
        asked.pipe(
          Effect.tapError((error) =>
            Effect.sync(() => {
              span.attribute("error.type", error._tag)
              if ("code" in error) span.attribute("rpc.response.status_code", error.code)
            })
          ),
          Effect.map((answer) => {
            payload = answer
          })
        )),
      () => payload
    )
  })
