/**
 * What follows from each invocation, cancellation and end of a tool: a pure function from the state and one input to the state
 * after it and what has to be done.
 *
 * A gateway that asks again does so with another id and the same key. Both are one call: the tool runs once, and every id gets its
 * result. Times are monotonic milliseconds.
 */
import * as Hash from "effect/Hash"
import * as Option from "effect/Option"
import { toolCommand } from "../protocol/Connect.ts"
import type { InvokeRequest } from "../protocol/NodeEvent.ts"
import { decodeToolCall } from "../protocol/NodeEvent.ts"
import type { InvokeFailure, ToolOutput } from "../protocol/NodeMethod.ts"

/** How much a host takes. */
export interface Bounds {
  /** Tools that run at once. */
  readonly running: number
  /** Calls that wait for one of them to end. */
  readonly queued: number
  /** UTF-16 code units of the arguments of a call, as JSON. */
  readonly argumentsLength: number
  /** UTF-16 code units of a result, as JSON. */
  readonly resultLength: number
}

/** What a node answers to an invocation. */
export type Result =
  | { readonly ok: true; readonly payload: ToolOutput }
  | { readonly ok: false; readonly error: InvokeFailure }

/** A call of a tool, as the host runs it. */
export interface Call {
  readonly key: string
  readonly tool: string
  /** Not decoded. */
  readonly arguments: unknown
  /** What the model calls this call. */
  readonly idempotencyKey: string
  readonly sessionKey: string | undefined
  readonly endsAtMs: number
}

/** One request that waits for the result of a call. */
interface Waiting {
  readonly id: string
  readonly nodeId: string
}

interface Entry {
  readonly call: Call
  readonly waiting: ReadonlyArray<Waiting>
  /** `Stopping`: the tool was interrupted, and its finalizers run. */
  readonly stage: "Queued" | "Running" | "Stopping"
}

interface Remembered {
  readonly result: Result
  readonly length: number
  readonly untilMs: number
}

export interface State {
  readonly bounds: Bounds
  /** The handlers are up. */
  readonly ready: boolean
  /** By key, in the order of arrival. */
  readonly entries: ReadonlyMap<string, Entry>
  /** Results of calls that ended a moment ago, for a gateway that asks again. */
  readonly remembered: ReadonlyMap<string, Remembered>
}

export type Input =
  | { readonly _tag: "Requested"; readonly request: InvokeRequest; readonly nowMs: number }
  | { readonly _tag: "Cancelled"; readonly id: string }
  /** The fiber of a call has ended; without a result if it was interrupted. */
  | {
    readonly _tag: "Ended"
    readonly key: string
    readonly result: Result | undefined
    /** UTF-16 code units of the result as JSON. */
    readonly length: number
    readonly nowMs: number
  }
  /** The handlers are up, or will never be. */
  | { readonly _tag: "Started" }
  | { readonly _tag: "LinkLost"; readonly nowMs: number }

export type Action =
  | { readonly _tag: "Run"; readonly call: Call }
  | { readonly _tag: "Interrupt"; readonly key: string }
  | { readonly _tag: "Answer"; readonly id: string; readonly nodeId: string; readonly result: Result }

export const begin = (bounds: Bounds, ready: boolean): State => ({
  bounds,
  ready,
  entries: new Map(),
  remembered: new Map()
})

/** How long a result is kept for a gateway that asks again, which it does within four seconds. */
export const rememberedMs = 10_000
/** How many results are kept, and how many UTF-16 code units of them. */
export const mostRemembered = 64
export const mostRememberedLength = 4 * 1024 * 1024

const failure = (code: string, message: string): Result => ({ ok: false, error: { code, message } })

/** A refusal that the model reads, so that it can do something else. */
export const refusal = (text: string): Result => ({
  ok: true,
  payload: { content: [{ type: "text", text }], isError: true }
})

export const refusals = {
  notReady: failure("NODE_NOT_READY", "the tools are starting"),
  otherCommand: failure("INVALID_REQUEST", "this node has tools and no other commands"),
  malformed: failure("INVALID_REQUEST", "the parameters are no call of a tool"),
  late: failure("TIMEOUT", "the tool did not end in time"),
  stopping: failure("ABORTED", "the call was cancelled"),
  linkLost: failure("UNAVAILABLE", "the connection was lost while the tool ran, and the tool was stopped")
} as const

export const tooLargeArguments = ({ argumentsLength }: Bounds): Result =>
  refusal(`ArgumentsTooLarge: the arguments may have ${argumentsLength} characters as JSON. The tool was not called.`)
export const tooLargeResult = ({ resultLength }: Bounds): Result =>
  refusal(`ResultTooLarge: the tool was called, and its result has more than ${resultLength} characters as JSON.`)
export const busy = ({ queued, running }: Bounds): Result =>
  refusal(`Busy: ${running} tools run and ${queued} calls wait. The tool was not called; call it again later.`)

/**
 * What tells a call from another. The key of the gateway is the model's own name of the call, which some models use again and
 * again, so the session and the arguments count too.
 */
const keyOf = ({ idempotencyKey, paramsJSON, sessionKey }: InvokeRequest): string => {
  const text = paramsJSON ?? ""
  return JSON.stringify([idempotencyKey, sessionKey ?? "", text.length, Hash.string(text)])
}

/** Total: every input has an answer in every state. */
export const step = (state: State, input: Input): readonly [State, ReadonlyArray<Action>] => {
  switch (input._tag) {
    case "Requested":
      return requested(state, input.request, input.nowMs)
    case "Cancelled":
      return cancelled(state, input.id)
    case "Ended":
      return ended(state, input)
    case "Started":
      return [{ ...state, ready: true }, []]
    case "LinkLost":
      return linkLost(state, input.nowMs)
  }
}

const count = ({ entries }: State, queued: boolean): number => {
  let found = 0
  for (const { stage } of entries.values()) if ((stage === "Queued") === queued) found++
  return found
}

const requested = (state: State, request: InvokeRequest, nowMs: number): readonly [State, ReadonlyArray<Action>] => {
  const { bounds, entries } = state
  const { id, nodeId, paramsJSON } = request
  const answer = (result: Result) => [state, [{ _tag: "Answer", id, nodeId, result }]] as const
  if (request.command !== toolCommand) return answer(refusals.otherCommand)
  if (!state.ready) return answer(refusals.notReady)
  if ((paramsJSON?.length ?? 0) > bounds.argumentsLength) return answer(tooLargeArguments(bounds))
  const key = keyOf(request)
  const known = state.remembered.get(key)
  if (known !== undefined && known.untilMs > nowMs) return answer(known.result)
  const entry = entries.get(key)
  if (entry?.stage === "Stopping") return answer(refusals.stopping)
  if (entry !== undefined) {
    if (entry.waiting.some((waiting) => waiting.id === id)) return [state, []]
    return [withEntry(state, key, { ...entry, waiting: [...entry.waiting, { id, nodeId }] }), []]
  }
  const parsed = Option.getOrUndefined(decodeToolCall(paramsJSON ?? ""))
  if (parsed === undefined) return answer(refusals.malformed)
  const runs = count(state, false) < bounds.running
  if (!runs && count(state, true) >= bounds.queued) return answer(busy(bounds))
  const call: Call = {
    key,
    tool: parsed.tool,
    arguments: parsed.arguments ?? {},
    idempotencyKey: request.idempotencyKey,
    sessionKey: request.sessionKey,
    endsAtMs: nowMs + request.timeoutMs
  }
  return [
    withEntry(state, key, { call, waiting: [{ id, nodeId }], stage: runs ? "Running" : "Queued" }),
    runs ? [{ _tag: "Run", call }] : []
  ]
}

/** The call goes on while another request waits for it. */
const cancelled = (state: State, id: string): readonly [State, ReadonlyArray<Action>] => {
  for (const [key, entry] of state.entries) {
    const waiting = entry.waiting.filter((waiting) => waiting.id !== id)
    if (waiting.length === entry.waiting.length) continue
    if (waiting.length > 0) return [withEntry(state, key, { ...entry, waiting }), []]
    if (entry.stage === "Queued") return [withoutEntry(state, key), []]
    return [withEntry(state, key, { ...entry, waiting, stage: "Stopping" }), [{ _tag: "Interrupt", key }]]
  }
  return [state, []]
}

const ended = (
  state: State,
  { key, length, nowMs, result }: Extract<Input, { readonly _tag: "Ended" }>
): readonly [State, ReadonlyArray<Action>] => {
  const entry = state.entries.get(key)
  if (entry === undefined || entry.stage === "Queued") return [state, []]
  // A call that was stopped may have done part of its work, so it is not made again either.
  const told = result ?? state.remembered.get(key)?.result ?? refusals.stopping
  const answers = entry.waiting.map(({ id, nodeId }): Action => ({ _tag: "Answer", id, nodeId, result: told }))
  const after = withoutEntry(state, key)
  const kept = { ...after, remembered: remember(after, key, told, result === undefined ? 0 : length, nowMs) }
  const [next, runs] = runQueued(kept, nowMs)
  return [next, [...answers, ...runs]]
}

/** Runs what waits, while there is room. What waited too long is answered. */
const runQueued = (state: State, nowMs: number): readonly [State, ReadonlyArray<Action>] => {
  const entries = new Map(state.entries)
  const actions: Array<Action> = []
  let running = count(state, false)
  for (const [key, entry] of state.entries) {
    if (entry.stage !== "Queued") continue
    if (entry.call.endsAtMs <= nowMs) {
      entries.delete(key)
      for (const { id, nodeId } of entry.waiting) actions.push({ _tag: "Answer", id, nodeId, result: refusals.late })
    } else if (running < state.bounds.running) {
      running++
      entries.set(key, { ...entry, stage: "Running" })
      actions.push({ _tag: "Run", call: entry.call })
    }
  }
  return [{ ...state, entries }, actions]
}

/** Nobody waits any more, and what runs is stopped. */
const linkLost = (state: State, nowMs: number): readonly [State, ReadonlyArray<Action>] => {
  const entries = new Map<string, Entry>()
  const actions: Array<Action> = []
  let remembered = state.remembered
  for (const [key, entry] of state.entries) {
    if (entry.stage === "Queued") continue
    entries.set(key, { ...entry, waiting: [], stage: "Stopping" })
    if (entry.stage === "Running") actions.push({ _tag: "Interrupt", key })
    remembered = remember({ ...state, remembered }, key, refusals.linkLost, 0, nowMs)
  }
  return [{ ...state, entries, remembered }, actions]
}

const withEntry = (state: State, key: string, entry: Entry): State => ({
  ...state,
  entries: new Map(state.entries).set(key, entry)
})

const withoutEntry = (state: State, key: string): State => {
  const entries = new Map(state.entries)
  entries.delete(key)
  return { ...state, entries }
}

const remember = (
  state: State,
  key: string,
  result: Result,
  length: number,
  nowMs: number
): ReadonlyMap<string, Remembered> => {
  const kept = [...state.remembered].filter(([other, { untilMs }]) => other !== key && untilMs > nowMs)
  kept.push([key, { result, length, untilMs: nowMs + rememberedMs }])
  let total = kept.reduce((sum, [, { length }]) => sum + length, 0)
  while (kept.length > mostRemembered || total > mostRememberedLength) {
    const [oldest] = kept.splice(0, 1)
    if (oldest === undefined) break
    total -= oldest[1].length
  }
  return new Map(kept)
}
