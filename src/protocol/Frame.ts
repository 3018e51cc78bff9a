/**
 * Frames of the gateway protocol: JSON objects in WebSocket text messages.
 *
 * `parse` runs once for every frame that arrives, so it is a hand guard of the envelope and allocates nothing beyond what
 * `JSON.parse` does. Payloads stay `unknown` until their consumer decodes them with a schema.
 */
import * as Predicate from "effect/Predicate"
import * as Struct from "effect/Struct"
import { isExcessive } from "./FrameShape.ts"

/** A call of one of the gateway's methods. `id` is the client's choice and unique on its link. */
export interface RequestFrame {
  readonly type: "req"
  readonly id: string
  readonly method: string
  readonly params?: unknown
}

/** The answer to the request with the same `id`: `payload` when `ok`, otherwise `error`, which `Refusal` reads. */
export interface ResponseFrame {
  readonly type: "res"
  readonly id: string
  readonly ok: boolean
  readonly payload?: unknown
  readonly error?: unknown
}

/** What the gateway sends unasked: the challenge, ticks, chat and agent events. */
export interface EventFrame {
  readonly type: "event"
  readonly event: string
  readonly payload?: unknown
  /** Counts the events of one connection; a step other than one is a loss. Absent on the challenge and on old tool streams. */
  readonly seq?: number
}

/** One text message of the protocol. `payload`, `params` and `error` are not checked yet. */
export type Frame = RequestFrame | ResponseFrame | EventFrame

/**
 * The frame in a text message, or `undefined` when it is none: bad JSON, no object, an unknown type, a missing field, or more
 * depth or values than a frame needs (`FrameShape`). An event with a `seq` that is no safe integer is kept without it,
 * because only the count of losses depends on it.
 */
export const parse = (text: string): Frame | undefined => {
  if (isExcessive(text)) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!isEnvelope(value)) return undefined
  return value.type === "event" && "seq" in value && !Number.isSafeInteger(value.seq)
    ? Struct.omit(value, ["seq"])
    : value
}

/** Checks all but `seq`. */
const isEnvelope = (value: unknown): value is Frame => {
  if (!Predicate.isObject(value) || !("type" in value)) return false
  switch (value.type) {
    case "event":
      return "event" in value && typeof value.event === "string"
    case "res":
      return "id" in value && typeof value.id === "string" && "ok" in value && typeof value.ok === "boolean"
    case "req":
      return "id" in value && typeof value.id === "string" && "method" in value && typeof value.method === "string"
    default:
      return false
  }
}

/**
 * The `error` of a refused request. `code` is coarse (`NOT_PAIRED`, `INVALID_REQUEST`); what tells cases apart is
 * `details.code` on releases that send it. `retryAfterMs` is a duration in milliseconds.
 */
export interface ErrorShape {
  readonly code: string
  readonly message: string
  readonly details?: unknown
  readonly retryable?: boolean
  readonly retryAfterMs?: number
}

/**
 * A request as text. `params` must be JSON: `undefined` properties are left out by the encoder. `traceparent` as W3C Trace Context
 * has it; releases before 2026.8 refuse the frame.
 */
export const encodeRequest = (id: string, method: string, params: unknown, traceparent?: string): string =>
  JSON.stringify({ type: "req", id, method, params, traceparent } satisfies RequestFrame & { traceparent: unknown })

/** A successful answer as JSON text, for the gateway's side. */
export const encodeResponse = (id: string, payload: unknown): string =>
  JSON.stringify({ type: "res", id, ok: true, payload } satisfies ResponseFrame)

/** A refusal as JSON text, for the gateway's side. */
export const encodeRefusal = (id: string, error: ErrorShape): string =>
  JSON.stringify({ type: "res", id, ok: false, error } satisfies ResponseFrame)

/** An event as JSON text, for the gateway's side. `seq` counts the events of one link. */
export const encodeEvent = (event: string, payload: unknown, seq?: number): string =>
  JSON.stringify(seq === undefined ? { type: "event", event, payload } : { type: "event", event, payload, seq })
