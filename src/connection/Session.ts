/**
 * One link after hello-ok: requests, their answers, and events.
 *
 * The frame path is synchronous. A frame is parsed once, in the socket's callback, and goes from there to the request that
 * waits for it or to the queues of those who subscribed. What is neither is noise: counted and ignored.
 */
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Established } from "../handshake/Handshake.ts"
import { LinkError } from "../link/LinkError.ts"
import type { LinkHandler } from "../link/Transport.ts"
import * as Frame from "../protocol/Frame.ts"
import * as Deadlines from "./Deadlines.ts"
import type { RequestError } from "./RequestError.ts"
import { fromError, RequestTimeout } from "./RequestError.ts"

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
  readonly handshakeMs: number
}

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

export interface Subscription {
  /** The events since the subscription began. Ends with the session. */
  readonly events: Stream.Stream<Frame.EventFrame>
  /** Events this subscriber lost: its own queue was full, or the connection's numbers had a gap. */
  readonly lost: () => number
}

export interface Session {
  readonly facts: SessionFacts
  /** The answer's payload, as it came. Fails at once when the link ends; interruption leaves no registration. */
  readonly request: (
    method: string,
    params: unknown,
    options?: { readonly timeout?: Duration.Duration }
  ) => Effect.Effect<unknown, RequestError>
  /** Events with one of these names, from now on. */
  readonly subscribe: (
    names: ReadonlyArray<string>,
    options?: { readonly capacity?: number }
  ) => Effect.Effect<Subscription, never, Scope.Scope>
  /** Waits for the end of the link and says why it ended. */
  readonly ended: Effect.Effect<LinkError>
  readonly counts: () => SessionCounts
}

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

const defaultCapacity = 1024
/** The gateway ticks at a steady interval; two of them without any frame mean that the link is dead. */
const silentIntervals = 2
const silentCode = 4000

interface PendingRequest extends Deadlines.Pending {
  readonly method: string
  readonly resume: (result: Effect.Effect<unknown, RequestError>) => void
}

interface Subscriber {
  readonly names: ReadonlySet<string>
  readonly queue: Queue.Queue<Frame.EventFrame, Cause.Done>
  lost: number
}

/** Prepares the receiving side of a session before its link is dialled, so that no frame finds nobody. */
export const prepare: Effect.Effect<Prepared> = Effect.gen(function*() {
  const clock = yield* Clock.Clock
  const pending = new Map<string, PendingRequest>()
  const subscribers = new Set<Subscriber>()
  const ended = Deferred.makeUnsafe<LinkError>()
  const counts = { noise: 0, missed: 0, dropped: 0 }
  let end: LinkError | undefined
  let lastFrameMs = clock.currentTimeMillisUnsafe()
  let lastSeq: number | undefined

  const onResponse = (frame: Frame.ResponseFrame) => {
    const request = pending.get(frame.id)
    if (request === undefined) {
      counts.noise++
      return
    }
    pending.delete(frame.id)
    request.resume(frame.ok ? Effect.succeed(frame.payload) : Effect.fail(fromError(request.method, frame.error)))
  }
  const onEvent = (frame: Frame.EventFrame) => {
    const missed = frame.seq === undefined || lastSeq === undefined ? 0 : frame.seq - lastSeq - 1
    if (frame.seq !== undefined) lastSeq = frame.seq
    if (missed > 0) counts.missed += missed
    for (const subscriber of subscribers) {
      if (missed > 0) subscriber.lost += missed
      if (!subscriber.names.has(frame.event) || Queue.offerUnsafe(subscriber.queue, frame)) continue
      subscriber.lost++
      counts.dropped++
    }
  }
  const finish = (error: LinkError) => {
    if (end !== undefined) return
    end = error
    const waiting = [...pending.values()]
    pending.clear()
    for (const request of waiting) request.resume(Effect.fail(error))
    for (const { queue } of subscribers) Queue.endUnsafe(queue)
    Deferred.doneUnsafe(ended, Effect.succeed(error))
  }

  const open: Prepared["open"] = Effect.fnUntraced(function*({ hello, link }, facts, { requestTimeout }) {
    const deadlines = yield* Deadlines.watch(pending)
    let lastId = 0
    // The handshake, however long it took, is no silence of this session.
    lastFrameMs = clock.currentTimeMillisUnsafe()

    const request: Session["request"] = (method, params, options) =>
      Effect.callback((resume) => {
        if (end !== undefined) return resume(Effect.fail(end))
        const timeoutMs = Duration.toMillis(options?.timeout ?? requestTimeout)
        const deadlineMs = clock.currentTimeMillisUnsafe() + timeoutMs
        const id = String(++lastId)
        // Before the registration: parameters that are no JSON must not leave one behind.
        const text = Frame.encodeRequest(id, method, params)
        pending.set(id, {
          method,
          deadlineMs,
          resume,
          expire: () => {
            pending.delete(id)
            resume(Effect.fail(new RequestTimeout({ method, timeoutMs })))
          }
        })
        if (!link.sendUnsafe(text)) {
          pending.delete(id)
          return resume(Effect.fail(new LinkError({ reason: "Closed", phase: "session" })))
        }
        deadlines.arm(deadlineMs)
        return Effect.sync(() => pending.delete(id))
      })

    const subscribe: Session["subscribe"] = (names, options) =>
      Effect.map(
        Effect.acquireRelease(
          Effect.map(Queue.dropping<Frame.EventFrame, Cause.Done>(options?.capacity ?? defaultCapacity), (queue) => {
            const subscriber: Subscriber = { names: new Set(names), queue, lost: 0 }
            if (end === undefined) subscribers.add(subscriber)
            else Queue.endUnsafe(queue)
            return subscriber
          }),
          (subscriber) =>
            Effect.sync(() => {
              subscribers.delete(subscriber)
              Queue.endUnsafe(subscriber.queue)
            })
        ),
        (subscriber) => ({ events: Stream.fromQueue(subscriber.queue), lost: () => subscriber.lost })
      )

    const tickMs = hello.policy?.tickIntervalMs
    if (tickMs !== undefined && tickMs > 0) {
      const limitMs = silentIntervals * tickMs
      const watch = Effect.suspend(() => {
        const leftMs = lastFrameMs + limitMs - clock.currentTimeMillisUnsafe()
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
      subscribe,
      ended: Deferred.await(ended),
      counts: () => ({ ...counts, pending: pending.size })
    }
  })

  return {
    handler: {
      onText: (text) => {
        lastFrameMs = clock.currentTimeMillisUnsafe()
        const frame = Frame.parse(text)
        if (frame?.type === "event") onEvent(frame)
        else if (frame?.type === "res") onResponse(frame)
        else counts.noise++
      },
      onClose: finish
    },
    open
  }
})
