/**
 * Invocations of the commands of nodes: sent, answered, cancelled, and sent again to a node that is not ready.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Session } from "./Link.ts"

export interface Call {
  readonly nodeId: string
  readonly command: string
  /** JSON as text. */
  readonly paramsJSON: string | null
  readonly timeoutMs: number
  readonly idempotencyKey: string
  readonly sessionKey?: string
}

export type Outcome =
  | { readonly ok: true; readonly payload: unknown; readonly payloadJSON: string | null }
  | { readonly ok: false; readonly code: string; readonly message: string }

export interface Result {
  readonly id: string
  readonly ok: boolean
  readonly payload?: unknown
  readonly payloadJSON?: string
  readonly error?: { readonly code?: string; readonly message?: string }
}

export interface Invocations {
  /** Sends a call to a node. `done` is told the outcome once, unless the call is cancelled by what this gives. */
  readonly send: (node: Session, call: Call, done: (outcome: Outcome) => void) => () => void
  /** False when nobody waits for it. */
  readonly settle: (node: Session, result: Result) => boolean
  /** The node is gone. */
  readonly left: (node: Session) => void
  readonly count: () => number
}

interface Invocation {
  readonly id: string
  readonly node: Session
  readonly call: Call
  readonly done: (outcome: Outcome) => void
  readonly endsAtMs: number
  readonly attempt: number
  readonly timer: Fiber.Fiber<void>
}

/** Before the second attempt to the fifth, in milliseconds. */
const againAfterMs = [100, 250, 500, 1000]

const payloadOf = ({ payload, payloadJSON }: Result): Outcome => {
  if (payloadJSON === undefined) return { ok: true, payload: payload ?? null, payloadJSON: null }
  try {
    return { ok: true, payload: JSON.parse(payloadJSON), payloadJSON }
  } catch {
    return { ok: true, payload: payload ?? null, payloadJSON }
  }
}

export const make = (options: {
  readonly nowMs: () => number
  readonly newId: () => string
  readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  readonly tell: (node: Session, event: string, payload: unknown) => void
}): Invocations => {
  const { fork, newId, nowMs, tell } = options
  const pending = new Map<string, Invocation>()

  const forget = ({ id, timer }: Invocation) => {
    timer.interruptUnsafe()
    return pending.delete(id)
  }
  const cancel = (invocation: Invocation) => {
    if (forget(invocation)) {
      tell(invocation.node, "node.invoke.cancel", { invokeId: invocation.id, nodeId: invocation.call.nodeId })
    }
  }
  const expire = (invocation: Invocation) => {
    if (pending.get(invocation.id) !== invocation) return
    cancel(invocation)
    invocation.done({ ok: false, code: "TIMEOUT", message: "node invoke timed out" })
  }

  /** The id changes with each attempt. */
  const attempt = (
    node: Session,
    call: Call,
    done: Invocation["done"],
    endsAtMs: number,
    number: number,
    current: { id: string }
  ) => {
    const id = newId()
    const leftMs = Math.max(1, endsAtMs - nowMs())
    const timer = fork(Effect.delay(
      Effect.sync(() => {
        const invocation = pending.get(id)
        if (invocation !== undefined) expire(invocation)
      }),
      leftMs
    ))
    current.id = id
    pending.set(id, { id, node, call, done, endsAtMs, attempt: number, timer })
    tell(node, "node.invoke.request", { id, ...call, timeoutMs: leftMs })
  }

  const again = (invocation: Invocation, current: { id: string }) => {
    const { attempt: number, call, done, endsAtMs, node } = invocation
    const waitMs = againAfterMs[number - 1] ?? 0
    const id = newId()
    current.id = id
    const timer = fork(Effect.delay(
      Effect.sync(() => {
        if (pending.delete(id)) attempt(node, call, done, endsAtMs, number + 1, current)
      }),
      waitMs
    ))
    pending.set(id, { ...invocation, id, timer })
  }

  const currents = new WeakMap<Invocation["done"], { id: string }>()

  return {
    send: (node, call, done) => {
      const current = { id: "" }
      currents.set(done, current)
      attempt(node, call, done, nowMs() + call.timeoutMs, 1, current)
      return () => {
        const invocation = pending.get(current.id)
        if (invocation !== undefined) cancel(invocation)
      }
    },

    settle: (node, result) => {
      const invocation = pending.get(result.id)
      if (invocation === undefined || invocation.node !== node) return false
      forget(invocation)
      const { code = "UNAVAILABLE", message = "node invoke failed" } = result.error ?? {}
      const current = currents.get(invocation.done)
      if (!result.ok && code === "NODE_NOT_READY" && invocation.attempt <= againAfterMs.length && current) {
        again(invocation, current)
      } else invocation.done(result.ok ? payloadOf(result) : { ok: false, code, message })
      return true
    },

    left: (node) => {
      for (const invocation of Array.from(pending.values())) {
        if (invocation.node !== node || !forget(invocation)) continue
        invocation.done({
          ok: false,
          code: "MCP_SERVER_UNAVAILABLE",
          message: "node host disconnected during MCP tool call"
        })
      }
    },

    count: () => pending.size
  }
}
