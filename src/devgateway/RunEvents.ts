/**
 * The events that release 2026.9.6 sends for an agent run, in its order (test/vectors/chat-2026.9.6.json).
 *
 * Several things there surprise a client, and are kept: a last delta and the final share one sequence number; deltas are
 * thinned; a failed run has two errors, the second numbered 1.
 */
import type { AgentFailed, AgentStep } from "./Agent.ts"
import * as MessageDisplay from "./MessageDisplay.ts"
import type { Transcript } from "./Transcript.ts"
import { model, provider, textContent, usage } from "./Transcript.ts"

/** One run, as its events tell it. */
export interface Run {
  readonly runId: string
  readonly sessionKey: string
  readonly sessionId: string
  /** Answers a message that met a busy session: it has no chat status, and no client knows its id. */
  readonly followUp: boolean
  readonly itemId: string
  startedAtMs: number
  /** Sequence number of the last event. */
  seq: number
  text: string
  /** How much of `text` chat deltas have shown. */
  shown: number
  shownAtMs: number
}

export const makeRun = (
  { id, key }: Transcript,
  facts: Pick<Run, "runId" | "itemId" | "followUp" | "startedAtMs">
): Run => ({ ...facts, sessionKey: key, sessionId: id, seq: 0, text: "", shown: 0, shownAtMs: 0 })

/** Who gets an event: everyone who may read, or only those who asked for tool events. */
export type Audience = "readers" | "tool-readers"

export interface RunEvents {
  readonly begin: (run: Run) => void
  /** Adds a step's text to the run. */
  readonly step: (run: Run, step: Exclude<AgentStep, { readonly _tag: "File" }>) => void
  /** Everything up to the end of a run that succeeded. Its text becomes what is shown of it. */
  readonly succeeded: (run: Run) => Settled
  /** The chat events that follow when the end is recorded. */
  readonly final: (run: Run, settled: Settled) => void
  /** Everything up to the end of a run that failed. Its text becomes the error. */
  readonly failed: (run: Run, error: AgentFailed) => Failed
  readonly error: (run: Run, failed: Failed) => void
  /** `answer` is called where the answer to `chat.abort` comes between the events. */
  readonly aborted: (run: Run, answer: () => void) => void
}

interface Settled {
  readonly seq: number
  readonly terminalReply: { readonly disposition: "silent" | "visible"; readonly text?: string }
}

interface Failed {
  readonly seq: number
  readonly errorDetail: Readonly<Record<string, string>>
}

/** Within this time of a chat delta, further text waits for the next delta. */
const thinningMs = 150

/** What an agent says that has nothing to say. Clients never see it. */
const silence = "NO_REPLY"

/** Sends an event of a session. */
export type Publish = (
  event: string,
  payload: Readonly<Record<string, unknown>> & { readonly sessionKey: string },
  audience: Audience
) => void

interface Output {
  readonly nowMs: () => number
  readonly publish: Publish
}

/** The envelopes of events. */
const envelopes = ({ nowMs, publish }: Output) => {
  const agentEvent = (
    run: Run,
    stream: string,
    data: unknown,
    seq: number,
    extra: Readonly<Record<string, string>> = {}
  ) =>
    publish("agent", {
      runId: run.runId,
      sessionKey: run.sessionKey,
      ...extra,
      agentId: "main",
      stream,
      data,
      seq,
      ts: nowMs(),
      isHeartbeat: false
    }, stream === "tool" ? "tool-readers" : "readers")

  const lifecycle = (run: Run, seq: number, data: unknown) =>
    agentEvent(run, "lifecycle", data, seq, { sessionId: run.sessionId })

  const modelLeft = (run: Run, seq: number) =>
    agentEvent(run, "lifecycle", { phase: "model", provider: null, model: null }, seq, {
      sessionId: run.sessionId,
      lane: "main"
    })

  const chatEvent = (run: Run, seq: number, rest: Readonly<Record<string, unknown>>) =>
    publish("chat", { runId: run.runId, sessionKey: run.sessionKey, agentId: "main", seq, ...rest }, "readers")

  /** A chat event without agent, as for the answer to a queued message and for the second error of a run. */
  const bareChatEvent = (run: Run, seq: number, rest: Readonly<Record<string, unknown>>) =>
    publish("chat", { runId: run.runId, sessionKey: run.sessionKey, seq, ...rest }, "readers")

  return { agentEvent, lifecycle, modelLeft, chatEvent, bareChatEvent }
}

export const make = (output: Output): RunEvents => {
  const { nowMs } = output
  const { agentEvent, bareChatEvent, chatEvent, lifecycle, modelLeft } = envelopes(output)

  const message = (run: Run) => ({
    role: "assistant",
    content: textContent(MessageDisplay.live(run.text)),
    timestamp: nowMs()
  })

  const status = (run: Run, phase: string) => {
    const seq = ++run.seq
    if (!run.followUp) chatEvent(run, seq, { state: "status", phase })
    agentEvent(run, "run_status", { phase }, seq)
  }

  const delta = (run: Run, seq: number) => {
    chatEvent(run, seq, { state: "delta", deltaText: run.text.slice(run.shown), message: message(run) })
    run.shown = run.text.length
    run.shownAtMs = nowMs()
  }

  const addText = (run: Run, text: string) => {
    if (text === "") return
    run.text += text
    const seq = ++run.seq
    agentEvent(run, "assistant", { text: run.text, delta: text, itemId: `${run.itemId}:1` }, seq)
    if (silence.startsWith(run.text.trim())) return
    if (run.shown === 0 || nowMs() - run.shownAtMs >= thinningMs) delta(run, seq)
  }

  return {
    begin: (run) => {
      run.startedAtMs = nowMs()
      status(run, "preparing_workspace")
      status(run, "preparing_context")
      lifecycle(run, ++run.seq, { phase: "start", startedAt: run.startedAtMs })
      status(run, "starting_model")
      lifecycle(run, ++run.seq, { phase: "model", provider, model })
    },

    step: (run, step) => {
      switch (step._tag) {
        case "Phase":
          return status(run, step.phase)
        case "Event":
          return agentEvent(run, step.stream, step.data, ++run.seq)
        case "Text":
          return addText(run, step.delta)
      }
    },

    succeeded: (run) => {
      if (run.text.trim() === silence) run.text = ""
      agentEvent(run, "usage", { outputTokens: run.text.length }, ++run.seq)
      const settled = { stopReason: "stop", aborted: false, livenessState: "working" }
      lifecycle(run, ++run.seq, { phase: "finishing", ...settled, endedAt: nowMs() })
      modelLeft(run, ++run.seq)
      const disposition = run.text === "" ? "silent" : "visible"
      const terminalReply = run.text === ""
        ? { disposition } as const
        : { disposition, text: MessageDisplay.inEnd(run.text) } as const
      const seq = ++run.seq
      lifecycle(run, seq, {
        ...settled,
        phase: "end",
        endedAt: nowMs(),
        startedAt: run.startedAtMs,
        replayInvalid: false,
        terminalReply,
        terminalReceipt: {
          runId: run.runId,
          sessionId: run.sessionId,
          turnId: run.runId,
          requested: { provider, model },
          effective: { provider, model, responseModel: model },
          successfulToolNames: [],
          rerouted: false,
          terminalDisposition: disposition
        },
        executionSettled: true
      })
      return { seq, terminalReply }
    },

    final: (run, { seq }) => {
      const end = { state: "final", stopReason: "stop" }
      if (run.followUp) {
        const told = { message: { ...message(run), text: run.text, stopReason: "stop", usage } }
        return bareChatEvent(run, seq, { ...end, ...(run.text === "" ? {} : told) })
      }
      if (run.shown < run.text.length) delta(run, seq)
      chatEvent(run, seq, { ...end, ...(run.text === "" ? {} : { message: message(run) }) })
    },

    failed: (run, error) => {
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
      lifecycle(run, ++run.seq, { phase: "finishing", ...blocked, endedAt: nowMs() })
      modelLeft(run, ++run.seq)
      const seq = ++run.seq
      const times = { endedAt: nowMs(), startedAt: run.startedAtMs }
      lifecycle(run, seq, { ...blocked, phase: "error", ...times, executionSettled: true })
      run.text = error.errorMessage
      return { seq, errorDetail }
    },

    error: (run, { errorDetail, seq }) => {
      chatEvent(run, seq, { state: "error", errorMessage: run.text, errorDetail })
      bareChatEvent(run, 1, { state: "error", errorMessage: `⚠️ Agent failed before reply: ${run.text}` })
    },

    aborted: (run, answer) => {
      const seq = ++run.seq
      const spoken = run.text === "" ? {} : { message: message(run) }
      chatEvent(run, seq, { state: "aborted", stopReason: "rpc", ...spoken })
      const stopped = { aborted: true, startedAt: run.startedAtMs, endedAt: nowMs() }
      lifecycle(run, seq, { phase: "end", status: "cancelled", stopReason: "rpc", ...stopped })
      lifecycle(run, ++run.seq, { phase: "model", provider, model })
      answer()
      modelLeft(run, ++run.seq)
      const error = "This operation was aborted"
      lifecycle(run, ++run.seq, { phase: "error", error, stopReason: "aborted", ...stopped, executionSettled: true })
    }
  }
}
