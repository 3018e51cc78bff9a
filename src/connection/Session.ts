/**
 * One link after hello-ok: requests, their answers, and events.
 *
 * The frame path is synchronous. A frame is parsed once, in the socket's callback, and goes from there to the request that
 * waits for it or to the queues of the subscribers. Everything else is noise: counted and ignored.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type * as Tracer from "effect/Tracer"
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

/** What the handshake says about a session. */
export interface SessionFacts {
  readonly protocol: number
  readonly serverVersion: string | undefined
  /** The scopes that the gateway granted; on releases that do not say, those that were requested. */
  readonly scopes: ReadonlyArray<string>
  /** Scopes of the settings that were not granted. A method that needs one of them fails with `MissingScope`. */
  readonly missingScopes: ReadonlyArray<string>
  /** The capabilities that this client stated. */
  readonly caps?: ReadonlyArray<string>
  /** False is no failure: gateways give no device token to local backends, and some releases give none at all. */
  readonly deviceTokenIssued: boolean
  /** Milliseconds on this process's clock. */
  readonly connectedAtMs: number
  /** The gateway's clock minus ours, in milliseconds. */
  readonly clockDeltaMs: number | undefined
  /** When the gateway's process began, in milliseconds on this process's clock; absent when the gateway did not say. */
  readonly gatewayStartedAtMs?: number | undefined
  /** From the start of dialling to hello-ok. */
  readonly handshakeMs: number
}

/** What a session has counted since its hello-ok, and how many requests are open now. */
export interface SessionCounts {
  /** Messages that are no frame, and answers to no open request. */
  readonly noise: number
  /** Events that are missing, by the sequence numbers of the link. */
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
  /** Events this subscriber lost: its own queue was full, or the link's sequence numbers had a gap. */
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
  /** Credentials that the gateway knows. Events and answers are as they came; what is shown of them is shown without these. */
  readonly secrets?: ReadonlyArray<Redacted.Redacted>
  /**
   * Sends a request and gives the payload of the answer, not decoded: for methods that `protocol/Method` does not describe.
   * Fails at once when the link ends. A frame above the gateway's limit, and a method whose scope was not granted, fail before
   * anything is sent. After an interruption a late answer counts as noise.
   *
   * One span, `gateway.request`, where a tracer is installed and tracing is on. It has the method and how the request ended,
   * never parameters or payload.
   */
  readonly request: (
    method: string,
    params: unknown,
    options?: RequestOptions
  ) => Effect.Effect<unknown, RequestError>
  /**
   * Calls a method that `protocol/Method` describes: its scope is checked before anything is sent, and its answer is decoded
   * once. An answer of another shape fails with `AnswerInvalid`; the gateway has then done what was asked.
   */
  readonly call: <Params, Answer>(
    method: Method<Params, Answer>,
    params: Params,
    options?: RequestOptions
  ) => Effect.Effect<Answer, RequestError | AnswerInvalid>
  /**
   * Events with one of these names, from now on. Those of `chat` and `agent` are told of all sessions or, from 2026.8 on and with the
   * capability `session-scoped-events`, of those that were asked for by `sessions.messages.subscribe`. Up to `capacity` of them (1024 unless given) wait for the subscriber; more
   * are lost and counted. With `backpressure` none is lost: a full queue stops the reading of the whole link, until the
   * subscriber has taken half of it. While the link is not read, no request times out, and neither silence nor the end of the
   * link is noticed.
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

/** The gateway sends a tick at a steady interval. After this many intervals without any frame the link counts as dead. */
const silentIntervals = 2
const silentCode = 4000

interface PendingRequest extends Deadlines.Pending {
  readonly method: string
  readonly resume: (result: Effect.Effect<unknown, RequestError>) => void
}

/** Typed calls on top of requests. */
export const callBy = (request: Session["request"]): Session["call"] => (method, params, options) =>
  Effect.flatMap(
    // The type of `params` allows only what can be encoded, so a failure is a bug.
    Effect.orDie(Schema.encodeEffect(method.params)(params)),
    (encoded) =>
      Effect.flatMap(request(method.name, encoded, options), (payload) =>
        Effect.mapError(
          Schema.decodeUnknownEffect(method.answer)(payload),
          () => new AnswerInvalid({ method: method.name })
        ))
  )

/** Makes the receiving side of a session before its link is dialled, so that no frame is missed. */
export const prepare: Effect.Effect<Prepared> = Effect.gen(function*() {
  const clock = yield* Clock.Clock
  const pending = new Map<string, PendingRequest>()
  const ended = Deferred.makeUnsafe<LinkError>()
  let noise = 0
  const meters = yield* Metrics.counters
  let end: LinkError | undefined
  // Nobody can ask anything before the session is open.
  let secrets: ReadonlyArray<Redacted.Redacted> = []
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
    const error = fromError(request.method, frame.error, secrets)
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

  const open: Prepared["open"] = Effect.fnUntraced(function*(established, facts, { requestTimeout }) {
    const { hello, link } = established
    secrets = established.secrets ?? []
    const deadlines = yield* Deadlines.watch(pending, gate)
    const limitBytes = hello.policy?.maxPayload ?? FrameLimit.sessionLimitBytes
    const scopesTold = hello.auth?.scopes !== undefined
    let lastId = 0
    gate.link = link
    // The time of the handshake does not count as silence.
    ReadGate.hear(gate)

    /** Whether the gateway takes `traceparent`. One that refuses it has not begun the request. */
    let takesTrace = true
    const ask = (method: string, params: unknown, options?: RequestOptions, traceparent?: string) =>
      Effect.callback<unknown, RequestError>((resume) => {
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
        // Encoded before the request is registered: this throws for parameters that are no JSON, and must leave nothing behind.
        const text = Frame.encodeRequest(id, method, params, traceparent)
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
        tracerOf(fiber) === undefined ? ask(method, params, options) : trace(method, (span) => {
          const traceparent = takesTrace ? traceparentOf(span) : undefined
          if (traceparent === undefined) return ask(method, params, options)
          return Effect.catchIf(ask(method, params, options, traceparent), refusesTrace, () => {
            takesTrace = false
            return ask(method, params, options)
          })
        })
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
      secrets,
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

/** The trace of a span, as W3C Trace Context writes it; nothing for one that a tracer names otherwise. */
const traceparentOf = ({ sampled, spanId, traceId }: Tracer.Span): string | undefined =>
  /^(?!0{32})[0-9a-f]{32}$/.test(traceId) && /^(?!0{16})[0-9a-f]{16}$/.test(spanId)
    ? `00-${traceId}-${spanId}-0${sampled ? 1 : 0}`
    : undefined

/** What releases before 2026.8 say of a frame with a trace. (Recorded: test/vectors/runs-*.json.) */
const refusesTrace = (error: RequestError): boolean =>
  error._tag === "RequestRejected" && error.gatewayMessage.startsWith("invalid request frame")
  && error.gatewayMessage.includes("'traceparent'")

/** Runs a request in a span. Tracers keep a span's result, and an answer may hold a secret, so it passes beside the span. */
const trace = (
  method: string,
  request: (span: Tracer.Span) => Effect.Effect<unknown, RequestError>
): Effect.Effect<unknown, RequestError> =>
  Effect.suspend(() => {
    let payload: unknown
    const options = { kind: "client", attributes: { "rpc.system": "openclaw", "rpc.method": method } } as const
    return Effect.map(
      Effect.useSpan("gateway.request", options, (span) =>
        request(span).pipe(
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
