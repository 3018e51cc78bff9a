/**
 * One link after hello-ok: requests, their answers, and events.
 *
 * The frame path is synchronous: `Receiver` has it.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type * as Tracer from "effect/Tracer"
import type { Established } from "../handshake/Handshake.ts"
import { tracerOf } from "../handshake/Timeline.ts"
import { LinkError } from "../link/LinkError.ts"
import type { Link, LinkHandler } from "../link/Transport.ts"
import type { Policy, Suspension } from "../protocol/Connect.ts"
import { covers } from "../protocol/Connect.ts"
import * as Frame from "../protocol/Frame.ts"
import * as FrameLimit from "../protocol/FrameLimit.ts"
import type { Method } from "../protocol/Method.ts"
import { scopeOf } from "../protocol/Method.ts"
import * as Deadlines from "./Deadlines.ts"
import * as EventSubscribers from "./EventSubscribers.ts"
import * as Metrics from "./Metrics.ts"
import * as ReadGate from "./ReadGate.ts"
import * as Receiver from "./Receiver.ts"
import type { RequestError } from "./RequestError.ts"
import { AnswerInvalid, MissingScope } from "./RequestError.ts"
import * as RequestTrace from "./RequestTrace.ts"

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
  /** The limits that the gateway told. Equal ones are kept once in a process. */
  readonly policy?: Policy | undefined
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

/**
 * Takes a session's events in the callback of the socket, with no queue and no fiber between. Its functions return soon and
 * start no work of their own; one that throws is logged and called no more.
 */
export interface EventListener {
  readonly onEvent: (event: Frame.EventFrame) => void
  /** How many events are missing before the one that came last, of any name, by the sequence numbers of the link. */
  readonly onLost?: (events: number) => void
  /** The link has ended. */
  readonly onEnd?: () => void
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
   * Events with one of these names, from now on. Those of `chat` and `agent` are told of all sessions or, from 2026.8 on and
   * with the capability `session-scoped-events`, of those that were asked for by `sessions.messages.subscribe`. Up to
   * `capacity` of them (1024 unless given) wait for the subscriber; more
   * are lost and counted. With `backpressure` none is lost: a full queue stops the reading of the whole link, until the
   * subscriber has taken half of it. While the link is not read, no request times out, and neither silence nor the end of the
   * link is noticed.
   */
  readonly subscribe: (
    names: ReadonlyArray<string>,
    options?: { readonly capacity?: number; readonly backpressure?: boolean }
  ) => Effect.Effect<Subscription, never, Scope.Scope>
  /**
   * The same events, one by one and at once: for what only files them. Events are read as a stream by `subscribe` wherever
   * an effect runs for each. Until the scope closes or the link ends; after the end `onEnd` is called at once.
   */
  readonly listen: (names: ReadonlyArray<string>, listener: EventListener) => Effect.Effect<void, never, Scope.Scope>
  /** Waits for the end of the link and says why it ended. */
  readonly ended: Effect.Effect<LinkError>
  readonly counts: () => SessionCounts
}

/** The receiving side of a session, before and after its link is established. */
export interface Prepared {
  /** Given to the handshake: takes every frame after hello-ok. */
  readonly handler: LinkHandler
  /** Turns the established link into a session, which ends with the scope at the latest. */
  readonly open: (
    established: Pick<Established, "hello" | "link" | "secrets">,
    facts: SessionFacts,
    options: { readonly requestTimeout: Duration.Duration }
  ) => Effect.Effect<LiveSession, never, Scope.Scope>
}

/** The gateway sends a tick at a steady interval. After this many intervals without any frame the link counts as dead. */
const silentIntervals = 2
const silentCode = 4000

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

type Limit = Pick<Receiver.PendingRequest, "deadlineMs" | "timeoutMs">

/** A session as its owner has it. Callers have the part that `Session` names. */
export class LiveSession implements Session {
  readonly facts: SessionFacts
  readonly secrets: ReadonlyArray<Redacted.Redacted>
  readonly #receiver: Receiver.Receiver
  readonly #link: Link
  readonly #deadlines: Deadlines.Deadlines
  readonly #limitBytes: number
  readonly #scopesTold: boolean
  readonly #requestTimeout: Duration.Duration
  /** Without any message for so long the link counts as dead. */
  readonly #silentMs: number
  /** Whether the gateway takes `traceparent`. One that refuses it has not begun the request. */
  #takesTrace = true

  constructor(
    receiver: Receiver.Receiver,
    { hello, link, secrets = [] }: Pick<Established, "hello" | "link" | "secrets">,
    facts: SessionFacts,
    requestTimeout: Duration.Duration,
    scope: Scope.Scope
  ) {
    this.facts = facts
    this.secrets = secrets
    this.#receiver = receiver
    this.#link = link
    this.#deadlines = Deadlines.make(receiver.gate, scope, (nowMs) => this.#sweep(nowMs))
    this.#limitBytes = hello.policy?.maxPayload ?? FrameLimit.sessionLimitBytes
    this.#scopesTold = hello.auth?.scopes !== undefined
    this.#requestTimeout = requestTimeout
    const tickMs = hello.policy?.tickIntervalMs
    this.#silentMs = tickMs === undefined ? Number.POSITIVE_INFINITY : silentIntervals * tickMs
    receiver.secrets = secrets
    receiver.suspension ??= hello.snapshot?.suspension?.phase
    receiver.gate.link = link
    // The time of the handshake does not count as silence.
    ReadGate.hear(receiver.gate)
  }

  /** Watches for silence. */
  get watched(): Effect.Effect<void> {
    return this.#silentMs === Number.POSITIVE_INFINITY
      ? Effect.void
      : Deadlines.arm(this.#deadlines, ReadGate.nowMs(this.#receiver.gate) + this.#silentMs)
  }

  get request(): Session["request"] {
    return (method, params, options) =>
      Effect.withFiber((fiber) =>
        tracerOf(fiber) === undefined
          ? this.#ask(method, params, this.#limitOf(options))
          : RequestTrace.trace(method, (span) => this.#askWithin(span, method, params, options))
      )
  }

  get call(): Session["call"] {
    return callBy(this.request)
  }

  get subscribe(): Session["subscribe"] {
    return (names, options) => EventSubscribers.subscribe(this.#receiver.subscribers, names, options)
  }

  get listen(): Session["listen"] {
    return (names, listener) => EventSubscribers.listen(this.#receiver.subscribers, names, listener)
  }

  get ended(): Effect.Effect<LinkError> {
    return Deferred.await(this.#receiver.ended)
  }

  get counts(): Session["counts"] {
    return () => {
      const { noise, pending, subscribers: { dropped, missed } } = this.#receiver
      return { noise, missed, dropped, pending: pending.size }
    }
  }

  /** What the gateway last said of a suspension; nothing while it takes work, and on releases that do not tell. */
  get suspension(): Suspension | undefined {
    const phase = this.#receiver.suspension
    return phase === "accepting" ? undefined : phase
  }

  /** Calls `listener` when that changes, in place of the one before. */
  onSuspension(listener: (() => void) | undefined): void {
    this.#receiver.onSuspension = listener
  }

  /** Counts how long the session lives, because its owner uses it. */
  countLife(sinceMs: number): void {
    this.#receiver.countedSinceMs = sinceMs
  }

  hasEnded(): boolean {
    return this.#receiver.end !== undefined
  }

  /** Ends the session, whose link goes on. */
  close(): void {
    Receiver.finish(this.#receiver, () => new LinkError({ reason: "Ended", phase: "session" }))
  }

  /** Calls `listener` when the link ends, in place of the one before. At once if it has ended. */
  onEnd(listener: (() => void) | undefined): void {
    this.#receiver.onEnd = listener
    if (this.#receiver.end !== undefined) listener?.()
  }

  /** Both requests have one deadline, so that a gateway without traces does not make the caller wait longer. */
  #askWithin(
    span: Tracer.Span,
    method: string,
    params: unknown,
    options?: RequestOptions
  ): Effect.Effect<unknown, RequestError> {
    const traceparent = this.#takesTrace ? RequestTrace.traceparentOf(span) : undefined
    const limit = this.#limitOf(options)
    if (traceparent === undefined) return this.#ask(method, params, limit)
    return Effect.catchIf(this.#ask(method, params, limit, traceparent), RequestTrace.refusesTrace, () => {
      this.#takesTrace = false
      return this.#ask(method, params, limit)
    })
  }

  #limitOf(options?: RequestOptions): Limit {
    const timeoutMs = Duration.toMillis(options?.timeout ?? this.#requestTimeout)
    return { timeoutMs, deadlineMs: ReadGate.nowMs(this.#receiver.gate) + timeoutMs }
  }

  #ask(
    method: string,
    params: unknown,
    { deadlineMs, timeoutMs }: Limit,
    traceparent?: string
  ): Effect.Effect<unknown, RequestError> {
    const sent = Effect.callback<unknown, RequestError>((resume) =>
      this.#send(params, { method, deadlineMs, timeoutMs, resume, traceparent })
    )
    return this.#receiver.end === undefined && Deadlines.isLate(this.#deadlines, deadlineMs)
      ? Effect.andThen(Deadlines.arm(this.#deadlines, deadlineMs), sent)
      : sent
  }

  /** Gives what has to happen when the caller is interrupted, once the frame is on its way. */
  #send(params: unknown, request: Receiver.PendingRequest): Effect.Effect<void> | void {
    const { end, meters, pending } = this.#receiver
    const { method, resume, traceparent } = request
    if (end !== undefined) {
      meters.request("link_lost")
      return resume(Effect.fail(end()))
    }
    const scope = this.#scopesTold ? scopeOf(method) : undefined
    if (scope !== undefined && !covers(this.facts.scopes, scope)) {
      meters.request("missing_scope")
      return resume(Effect.fail(new MissingScope({ method, scope })))
    }
    const id = String(++this.#receiver.lastId)
    // Encoded before the request is registered: this throws for parameters that are no JSON, and must leave nothing behind.
    const text = Frame.encodeRequest(id, method, params, traceparent)
    const tooLarge = FrameLimit.check(method, text, this.#limitBytes)
    if (tooLarge !== undefined) {
      meters.request("too_large")
      return resume(Effect.fail(tooLarge))
    }
    pending.set(id, request)
    if (!this.#link.sendUnsafe(text)) {
      pending.delete(id)
      meters.request("link_lost")
      return resume(Effect.fail(new LinkError({ reason: "Closed", phase: "session" })))
    }
    return Effect.sync(() => {
      if (pending.delete(id)) meters.request("interrupted")
    })
  }

  /** Expires requests, and the link if it is silent. */
  #sweep(nowMs: number): number {
    const { end, gate, pending } = this.#receiver
    if (end !== undefined) return Number.POSITIVE_INFINITY
    const silentAtMs = ReadGate.heardAtMs(gate) + this.#silentMs
    if (silentAtMs <= nowMs) {
      Receiver.finish(
        this.#receiver,
        () => new LinkError({ reason: "Silent", phase: "session", closeCode: silentCode })
      )
      this.#link.closeUnsafe(silentCode, "tick timeout")
      return Number.POSITIVE_INFINITY
    }
    let next = silentAtMs
    for (const [id, request] of pending) {
      if (request.deadlineMs <= nowMs) Receiver.expire(this.#receiver, id, request)
      else next = Math.min(next, request.deadlineMs)
    }
    return next
  }
}

/** Makes the receiving side of a session before its link is dialled, so that no frame is missed. */
export const prepare: Effect.Effect<Prepared> = Effect.map(
  Effect.zip(Clock.Clock, Metrics.counters),
  ([clock, meters]) => prepareWith(clock, meters)
)

/** `prepare` for a caller that has the clock and the counters. */
export const prepareWith = (clock: Clock.Clock, meters: Metrics.Counters): Prepared => {
  const receiver = Receiver.make(clock, meters)
  return {
    handler: Receiver.handlerOf(receiver),
    open: Effect.fnUntraced(function*(established, facts, { requestTimeout }) {
      const scope = yield* Scope.Scope
      const session = new LiveSession(receiver, established, facts, requestTimeout, scope)
      yield* Scope.addFinalizer(scope, Effect.sync(() => session.close()))
      yield* session.watched
      return session
    })
  }
}
