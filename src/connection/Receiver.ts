/**
 * The receiving side of a session: what the frames of one link after hello-ok are for.
 *
 * A frame is parsed once, in the socket's callback, and goes from there to the request that waits for it or to the queues of the
 * subscribers. Everything else is noise: counted and ignored.
 */
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Redacted from "effect/Redacted"
import * as Monotonic from "../handshake/Monotonic.ts"
import type { LinkError } from "../link/LinkError.ts"
import type { LinkHandler } from "../link/Transport.ts"
import type { SuspensionPhase } from "../protocol/Connect.ts"
import { isSuspensionPhase } from "../protocol/Connect.ts"
import * as Frame from "../protocol/Frame.ts"
import * as EventSubscribers from "./EventSubscribers.ts"
import type * as Metrics from "./Metrics.ts"
import * as ReadGate from "./ReadGate.ts"
import type { RequestError } from "./RequestError.ts"
import { fromError, RequestTimeout } from "./RequestError.ts"

/** A request that waits for its answer. */
export interface PendingRequest {
  readonly method: string
  /** Milliseconds of `ReadGate.nowMs`. */
  readonly deadlineMs: number
  readonly timeoutMs: number
  /** The trace that the frame states. */
  readonly traceparent: string | undefined
  readonly resume: (result: Effect.Effect<unknown, RequestError>) => void
}

/** State of one link after hello-ok, from before its dial on. */
export interface Receiver {
  readonly meters: Metrics.Counters
  readonly gate: ReadGate.ReadGate
  readonly subscribers: EventSubscribers.EventSubscribers
  readonly pending: Map<string, PendingRequest>
  readonly ended: Deferred.Deferred<LinkError>
  noise: number
  lastId: number
  /** Since when its life is counted, in monotonic milliseconds. */
  countedSinceMs: number | undefined
  /** Why the link ended. Made when somebody asks: a link that nobody misses ends without an error. */
  end: (() => LinkError) | undefined
  /** Called once, when the link ends. */
  onEnd: (() => void) | undefined
  /** Nobody can ask anything before the session is open. */
  secrets: ReadonlyArray<Redacted.Redacted>
  /** What the gateway's events last said of a suspension; nothing before the first of them. */
  suspension: SuspensionPhase | undefined
  /** Called when that changes. */
  onSuspension: (() => void) | undefined
}

const noteNoise = (self: Receiver): void => {
  self.noise++
  self.meters.noise()
}

const settle = (self: Receiver, { error, id, ok, payload }: Frame.ResponseFrame): void => {
  const request = self.pending.get(id)
  if (request === undefined) return noteNoise(self)
  self.pending.delete(id)
  if (ok) {
    self.meters.request("ok")
    return request.resume(Effect.succeed(payload))
  }
  const refusal = fromError(request.method, error, self.secrets)
  self.meters.request(refusal._tag === "MissingScope" ? "missing_scope" : "refused")
  request.resume(Effect.fail(refusal))
}

/** Ends the session: every request that waits fails, and every subscription ends. */
export const finish = (self: Receiver, why: () => LinkError): void => {
  if (self.end !== undefined) return
  let error: LinkError | undefined
  self.end = () => error ??= why()
  const waiting = [...self.pending.values()]
  self.pending.clear()
  for (const request of waiting) {
    self.meters.request("link_lost")
    request.resume(Effect.fail(self.end()))
  }
  if (self.countedSinceMs !== undefined) {
    self.meters.sessionEnded(Monotonic.nowMs(self.gate.clock) - self.countedSinceMs)
  }
  EventSubscribers.end(self.subscribers)
  Deferred.doneUnsafe(self.ended, Effect.sync(self.end))
  self.onEnd?.()
}

/** A request timed out: it leaves the register, so that a late answer counts as noise. */
export const expire = (self: Receiver, id: string, { method, resume, timeoutMs }: PendingRequest): void => {
  self.pending.delete(id)
  self.meters.request("timeout")
  resume(Effect.fail(new RequestTimeout({ method, timeoutMs })))
}

/** The event by which a gateway tells that it takes no more work, and that it takes work again. */
const suspensionEvent = "gateway.suspension"

const noteSuspension = (self: Receiver, { payload }: Frame.EventFrame): void => {
  const phase = Predicate.hasProperty(payload, "phase") ? payload.phase : undefined
  if (!isSuspensionPhase(phase) || phase === self.suspension) return
  self.suspension = phase
  self.onSuspension?.()
}

export const make = (clock: Clock.Clock, meters: Metrics.Counters): Receiver => {
  const gate = ReadGate.make(clock)
  return {
    meters,
    gate,
    subscribers: EventSubscribers.make(gate, meters),
    pending: new Map(),
    ended: Deferred.makeUnsafe(),
    noise: 0,
    lastId: 0,
    countedSinceMs: undefined,
    end: undefined,
    onEnd: undefined,
    secrets: [],
    suspension: undefined,
    onSuspension: undefined
  }
}

/** What the link calls. */
export const handlerOf = (self: Receiver): LinkHandler => ({
  onText: (text) => {
    ReadGate.hear(self.gate)
    const frame = Frame.parse(text)
    if (frame?.type === "event") {
      if (frame.event === suspensionEvent) noteSuspension(self, frame)
      EventSubscribers.offer(self.subscribers, frame)
    } else if (frame?.type === "res") settle(self, frame)
    else noteNoise(self)
  },
  onClose: (error) => finish(self, () => error)
})
