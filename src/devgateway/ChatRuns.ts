/**
 * Chat sessions and the agent runs in them, with the events that release 2026.9.6 sends for a run, in its order
 * (test/vectors/chat-2026.9.6.json).
 *
 * Several things there surprise a client, and are kept: the run id is the idempotency key; a last delta and the final share
 * one sequence number; deltas are thinned; a failed run has two errors, the second numbered 1; a message sent to a busy
 * session is answered by an empty final, and its reply comes later under a run id that nobody was told. History has a failed
 * run's words as an assistant message with the stop reason `error`, and nothing of an agent that had nothing to say; how a
 * run ended is known to `agent.wait` until the gateway stops.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import type { ErrorShape } from "../protocol/Frame.ts"
import { type Agent, AgentFailed, type AgentStep } from "./Agent.ts"
import { mainSessionKey } from "./Hello.ts"
import { requestError } from "./Refusals.ts"

const provider = "devgateway"
const model = "agent"

/** Within this time of a chat delta further text is held back, and comes with the next delta. */
const thinningMs = 150

const usage = {
  input: 0,
  output: 0,
  totalTokens: 0,
  cacheRead: 0,
  cacheWrite: 0,
  cost: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, total: 0 }
}

interface Run {
  readonly runId: string
  readonly session: Session
  readonly message: string
  /** Answers a message that met a busy session: it has no chat status and nobody knows its id. */
  readonly followUp: boolean
  readonly itemId: string
  startedAtMs: number
  seq: number
  text: string
  /** How much of `text` chat deltas have shown. */
  shown: number
  shownAtMs: number
  ended: boolean
  fiber: Fiber.Fiber<void> | undefined
}

interface Session {
  readonly key: string
  readonly id: string
  readonly createdAtMs: number
  readonly messages: Array<Readonly<Record<string, unknown>>>
  readonly waiting: Array<string>
  active: Run | undefined
}

/** Who gets an event: everyone who may read, or only those who asked for tool events. */
export type Audience = "readers" | "tool-readers"

export type Respond = (answer: { readonly payload: unknown } | { readonly error: ErrorShape }) => void

export interface ChatRuns {
  readonly send: (
    params: { readonly sessionKey: string; readonly message: string; readonly idempotencyKey: string },
    respond: Respond
  ) => void
  readonly history: (params: { readonly sessionKey: string; readonly limit?: number }, respond: Respond) => void
  readonly abort: (params: { readonly sessionKey: string; readonly runId?: string }, respond: Respond) => void
  /** Answers with the end of a run as soon as there is one, or with `timeout`, after 30 s unless told otherwise. */
  readonly wait: (params: { readonly runId: string; readonly timeoutMs?: number }, respond: Respond) => void
  /** Ends all runs without a word and forgets idempotency keys, as a process that ends does. History is kept. */
  readonly stop: () => void
  /** Idempotency key to the number of runs started for it. */
  readonly started: ReadonlyMap<string, number>
}

const waitMs = 30_000

/** What an agent says that has nothing to say. Nobody is shown it. */
const silence = "NO_REPLY"
const spokenText = (text: string): string => text.trim() === silence ? "" : text

const textContent = (text: string) => [{ type: "text", text }]

export const make = (options: {
  readonly agent: Agent
  readonly nowMs: () => number
  readonly newId: () => string
  readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  readonly publish: (event: string, payload: Readonly<Record<string, unknown>>, audience: Audience) => void
  readonly changed: () => void
}): ChatRuns => {
  const sessions = new Map<string, Session>()
  const started = new Map<string, number>()
  const known = new Set<string>() // idempotency keys of this life
  const ends = new Map<string, Readonly<Record<string, unknown>>>() // of runs of this life
  const waiters = new Map<string, Set<() => void>>()

  const sessionOf = (key: string): Session | ErrorShape => {
    const full = key.startsWith("agent:") ? key : key === "main" ? mainSessionKey : `agent:main:${key}`
    const agentId = full.split(":")[1]
    if (agentId !== "main") return requestError(`Agent "${agentId}" no longer exists in configuration`)
    const before = sessions.get(full)
    if (before !== undefined) return before
    const session: Session = {
      key: full,
      id: options.newId(),
      createdAtMs: options.nowMs(),
      messages: [],
      waiting: [],
      active: undefined
    }
    sessions.set(full, session)
    return session
  }

  /** `marks` tell which run a message belongs to. */
  const record = (
    session: Session,
    message: Readonly<Record<string, unknown>>,
    marks: Readonly<Record<string, string>>
  ) => {
    const seq = session.messages.length + 1
    const nowMs = options.nowMs()
    session.messages.push({
      ...message,
      timestamp: nowMs,
      __openclaw: {
        ...marks,
        id: options.newId(),
        recordTimestampMs: nowMs,
        transcriptPosition: { source: session.id, rawSeq: seq },
        seq
      }
    })
  }

  /** A question has the key it was sent with, and no run id. */
  const recordQuestion = (session: Session, key: string, text: string) => {
    const idempotencyKey = `${key}:user`
    record(session, { role: "user", content: text, idempotencyKey }, { idempotencyKey })
  }

  const recordReply = (run: Run, stopReason: string) =>
    record(run.session, {
      role: "assistant",
      content: textContent(run.text),
      api: "openai-completions",
      provider,
      model,
      usage,
      stopReason,
      responseId: run.itemId
    }, { runId: run.runId })

  const keepEnd = (runId: string, startedAt: number, end: Readonly<Record<string, unknown>>) => {
    ends.set(runId, { runId, startedAt, endedAt: options.nowMs(), ...end })
    for (const wake of waiters.get(runId) ?? []) wake()
  }

  const agentEvent = (
    run: Run,
    stream: string,
    data: unknown,
    seq: number,
    extra: Readonly<Record<string, string>> = {}
  ) =>
    options.publish("agent", {
      runId: run.runId,
      sessionKey: run.session.key,
      ...extra,
      agentId: "main",
      stream,
      data,
      seq,
      ts: options.nowMs(),
      isHeartbeat: false
    }, stream === "tool" ? "tool-readers" : "readers")

  const lifecycle = (run: Run, seq: number, data: unknown) =>
    agentEvent(run, "lifecycle", data, seq, { sessionId: run.session.id })

  const modelLeft = (run: Run, seq: number) =>
    agentEvent(run, "lifecycle", { phase: "model", provider: null, model: null }, seq, {
      sessionId: run.session.id,
      lane: "main"
    })

  const chatEvent = (run: Run, seq: number, rest: Readonly<Record<string, unknown>>) =>
    options.publish("chat", { runId: run.runId, sessionKey: run.session.key, agentId: "main", seq, ...rest }, "readers")

  const message = (run: Run) => ({ role: "assistant", content: textContent(run.text), timestamp: options.nowMs() })

  const status = (run: Run, phase: string) => {
    const seq = ++run.seq
    if (!run.followUp) chatEvent(run, seq, { state: "status", phase })
    agentEvent(run, "run_status", { phase }, seq)
  }

  const showDelta = (run: Run, seq: number) => {
    chatEvent(run, seq, { state: "delta", deltaText: run.text.slice(run.shown), message: message(run) })
    run.shown = run.text.length
    run.shownAtMs = options.nowMs()
  }

  const begin = (run: Run) => {
    run.startedAtMs = options.nowMs()
    status(run, "preparing_workspace")
    status(run, "preparing_context")
    lifecycle(run, ++run.seq, { phase: "start", startedAt: run.startedAtMs })
    status(run, "starting_model")
    lifecycle(run, ++run.seq, { phase: "model", provider, model })
  }

  const take = (run: Run, step: AgentStep) => {
    switch (step._tag) {
      case "Phase":
        return status(run, step.phase)
      case "Event":
        return agentEvent(run, step.stream, step.data, ++run.seq)
      case "Text": {
        if (step.delta === "") return
        run.text += step.delta
        const seq = ++run.seq
        agentEvent(run, "assistant", { text: run.text, delta: step.delta, itemId: `${run.itemId}:1` }, seq)
        if (silence.startsWith(run.text.trim())) return
        if (run.shown === 0 || options.nowMs() - run.shownAtMs >= thinningMs) showDelta(run, seq)
      }
    }
  }

  const succeed = (run: Run) => {
    run.text = spokenText(run.text)
    agentEvent(run, "usage", { outputTokens: run.text.length }, ++run.seq)
    const settled = { stopReason: "stop", aborted: false, livenessState: "working" }
    lifecycle(run, ++run.seq, { phase: "finishing", ...settled, endedAt: options.nowMs() })
    modelLeft(run, ++run.seq)
    const disposition = run.text === "" ? "silent" : "visible"
    const seq = ++run.seq
    lifecycle(run, seq, {
      ...settled,
      phase: "end",
      endedAt: options.nowMs(),
      startedAt: run.startedAtMs,
      replayInvalid: false,
      terminalReply: run.text === "" ? { disposition } : { disposition, text: run.text },
      terminalReceipt: {
        runId: run.runId,
        sessionId: run.session.id,
        turnId: run.runId,
        requested: { provider, model },
        effective: { provider, model, responseModel: model },
        successfulToolNames: [],
        rerouted: false,
        terminalDisposition: disposition
      },
      executionSettled: true
    })
    if (run.text !== "") recordReply(run, "stop")
    keepEnd(run.runId, run.startedAtMs, {
      status: "ok",
      stopReason: settled.stopReason,
      livenessState: settled.livenessState,
      terminalReply: run.text === "" ? { disposition } : { disposition, text: run.text }
    })
    if (!run.followUp && run.shown < run.text.length) showDelta(run, seq)
    const spoken = run.text === "" ? {} : { message: message(run) }
    if (!run.followUp) return chatEvent(run, seq, { state: "final", stopReason: "stop", ...spoken })
    options.publish("chat", {
      runId: run.runId,
      sessionKey: run.session.key,
      seq,
      state: "final",
      ...(run.text === "" ? {} : { message: { ...message(run), text: run.text, stopReason: "stop", usage } }),
      stopReason: "stop"
    }, "readers")
  }

  const fail = (run: Run, error: AgentFailed) => {
    const errorDetail = {
      provider,
      model,
      failoverReason: error.failoverReason ?? "unknown",
      providerRuntimeFailureKind: "unclassified"
    }
    const blocked = {
      aborted: false,
      livenessState: "blocked",
      errorObservation: errorDetail,
      error: error.errorMessage
    }
    lifecycle(run, ++run.seq, { phase: "finishing", ...blocked, endedAt: options.nowMs() })
    modelLeft(run, ++run.seq)
    const seq = ++run.seq
    lifecycle(run, seq, {
      ...blocked,
      phase: "error",
      endedAt: options.nowMs(),
      startedAt: run.startedAtMs,
      executionSettled: true
    })
    run.text = error.errorMessage
    recordReply(run, "error")
    keepEnd(run.runId, run.startedAtMs, { status: "error", error: error.errorMessage, livenessState: "blocked" })
    chatEvent(run, seq, { state: "error", errorMessage: error.errorMessage, errorDetail })
    options.publish("chat", {
      runId: run.runId,
      sessionKey: run.session.key,
      seq: 1,
      state: "error",
      errorMessage: `⚠️ Agent failed before reply: ${error.errorMessage}`
    }, "readers")
  }

  const finish = (run: Run, ending: () => void) => {
    if (run.ended) return
    run.ended = true
    ending()
    leave(run)
  }

  const leave = (run: Run) => {
    run.session.active = undefined
    const next = run.session.waiting.shift()
    if (next !== undefined) launch(run.session, options.newId(), next, true)
    options.changed()
  }

  const launch = (session: Session, runId: string, text: string, followUp: boolean) => {
    const run: Run = {
      runId,
      session,
      message: text,
      followUp,
      itemId: options.newId(),
      startedAtMs: options.nowMs(),
      seq: 0,
      text: "",
      shown: 0,
      shownAtMs: 0,
      ended: false,
      fiber: undefined
    }
    session.active = run
    const body = Effect.yieldNow.pipe( // the answer to `chat.send` is out of the way before the first event
      Effect.andThen(Effect.sync(() => begin(run))),
      Effect.andThen(
        Stream.runForEach(
          Stream.suspend(() => options.agent({ sessionKey: session.key, message: text, runId })),
          (step) => Effect.sync(() => take(run, step))
        )
      ),
      Effect.matchCauseEffect({
        onSuccess: () => Effect.sync(() => finish(run, () => succeed(run))),
        onFailure: (cause) => {
          const error = cause.reasons.find(Cause.isFailReason)?.error
          return Effect.andThen(
            error === undefined ? Effect.logError("agent run broke", cause) : Effect.void,
            Effect.sync(() =>
              finish(run, () => fail(run, error ?? new AgentFailed({ errorMessage: "the agent broke" })))
            )
          )
        }
      })
    )
    run.fiber = options.fork(body)
  }

  const cancel = (run: Run) => {
    run.ended = true
    run.fiber?.interruptUnsafe()
  }

  return {
    started,

    send: (params, respond) => {
      if (params.message.trim() === "") return respond({ error: requestError("message or attachment required") })
      const session = sessionOf(params.sessionKey)
      if ("code" in session) return respond({ error: session })
      const runId = params.idempotencyKey
      if (known.has(runId)) {
        const running = [...sessions.values()].some((other) => other.active?.runId === runId)
        return respond({ payload: { runId, status: running ? "in_flight" : "ok" } })
      }
      known.add(runId)
      started.set(runId, (started.get(runId) ?? 0) + 1)
      recordQuestion(session, runId, params.message)
      respond({ payload: { runId, status: "started" } })
      if (session.active === undefined) launch(session, runId, params.message, false)
      else {
        session.waiting.push(params.message)
        keepEnd(runId, options.nowMs(), { status: "ok" })
        options.publish("chat", { runId, sessionKey: session.key, seq: 1, state: "final" }, "readers")
      }
      options.changed()
    },

    history: (params, respond) => {
      const session = sessionOf(params.sessionKey)
      if ("code" in session) return respond({ error: session })
      const messages = session.messages.slice(-(params.limit ?? 1000))
      const hasMore = messages.length < session.messages.length
      const begun = session.messages.length > 0
      const deltaCursor = Buffer.from(`${session.id}:${session.messages.length}`, "utf8").toString("base64url")
      respond({
        payload: {
          sessionKey: session.key,
          ...(begun ? { sessionId: session.id, deltaCursor } : {}),
          messages,
          pendingInputs: { items: [], total: 0 },
          ...(hasMore ? { nextOffset: messages.length } : {}),
          hasMore,
          totalMessages: session.messages.length,
          defaults: { modelProvider: provider, model, contextTokens: 200_000 },
          sessionInfo: {
            key: session.key,
            kind: "direct",
            agentId: "main",
            isMain: session.key === mainSessionKey,
            ...(begun
              ? {
                visibility: "shared",
                createdAt: session.createdAtMs,
                sessionId: session.id,
                status: session.active === undefined ? "done" : "running"
              }
              : {}),
            modelProvider: provider,
            model,
            hasActiveRun: session.active !== undefined,
            activeRunIds: session.active === undefined ? [] : [session.active.runId],
            snapshotAt: options.nowMs()
          }
        }
      })
    },

    abort: (params, respond) => {
      const session = sessionOf(params.sessionKey)
      if ("code" in session) return respond({ error: session })
      const run = session.active
      if (run === undefined || (params.runId !== undefined && params.runId !== run.runId)) {
        return respond({ payload: { ok: true, aborted: false, runIds: [] } })
      }
      cancel(run)
      const seq = ++run.seq
      const endedAt = options.nowMs()
      const spoken = run.text === "" ? {} : { message: message(run) }
      if (run.text !== "") recordReply(run, "aborted")
      keepEnd(run.runId, run.startedAtMs, { status: "timeout", stopReason: "rpc" })
      chatEvent(run, seq, { state: "aborted", stopReason: "rpc", ...spoken })
      const stopped = { aborted: true, startedAt: run.startedAtMs, endedAt }
      lifecycle(run, seq, { phase: "end", status: "cancelled", stopReason: "rpc", ...stopped })
      lifecycle(run, ++run.seq, { phase: "model", provider, model })
      respond({ payload: { ok: true, aborted: true, runIds: [run.runId] } })
      modelLeft(run, ++run.seq)
      const error = "This operation was aborted"
      lifecycle(run, ++run.seq, { phase: "error", error, stopReason: "aborted", ...stopped, executionSettled: true })
      leave(run)
    },

    wait: ({ runId, timeoutMs = waitMs }, respond) => {
      const end = ends.get(runId)
      if (end !== undefined || timeoutMs === 0) return respond({ payload: end ?? { runId, status: "timeout" } })
      const waiting = waiters.get(runId) ?? new Set()
      waiters.set(runId, waiting)
      const answer = () => {
        timer.interruptUnsafe()
        if (!waiting.delete(answer)) return
        if (waiting.size === 0) waiters.delete(runId)
        respond({ payload: ends.get(runId) ?? { runId, status: "timeout" } })
      }
      waiting.add(answer)
      const timer = options.fork(Effect.delay(Effect.sync(answer), timeoutMs))
    },

    stop: () => {
      known.clear()
      ends.clear()
      for (const waiting of waiters.values()) for (const give of waiting) give()
      for (const session of sessions.values()) {
        session.waiting.length = 0
        if (session.active !== undefined) cancel(session.active)
        session.active = undefined
      }
    }
  }
}
