/**
 * Chat sessions and the agent runs in them.
 *
 * Two things surprise a client, and are kept as release 2026.9.6 has them: the run id is the idempotency key; a message to a
 * busy session is answered by an empty final, and its reply comes later under a run id that no client was told.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import type { ErrorShape } from "../protocol/Frame.ts"
import { type Agent, AgentFailed, type AgentFile, type AgentInput, type AgentStep } from "./Agent.ts"
import * as Media from "./Media.ts"
import * as MessageDisplay from "./MessageDisplay.ts"
import { requestError } from "./Refusals.ts"
import type { Respond } from "./Respond.ts"
import * as RunEnds from "./RunEnds.ts"
import * as RunEvents from "./RunEvents.ts"
import * as Transcript from "./Transcript.ts"

interface Run extends RunEvents.Run {
  readonly session: Session
  /** Parts of the reply that stand for files. */
  readonly files: Array<Readonly<Record<string, unknown>>>
  ended: boolean
  fiber: Fiber.Fiber<void> | undefined
}

interface Message {
  readonly text: string
  readonly attachments: ReadonlyArray<AgentFile>
}

interface Session {
  readonly transcript: Transcript.Transcript
  /** Messages that came while a run was active, with their idempotency keys. */
  readonly queue: Array<Message & { readonly key: string }>
  active: Run | undefined
}

export interface ChatRuns {
  readonly send: (
    params: {
      readonly sessionKey: string
      readonly message: string
      readonly idempotencyKey: string
      readonly attachments: ReadonlyArray<unknown>
    },
    respond: Respond
  ) => void
  readonly history: (
    params: { readonly sessionKey: string; readonly limit: number | undefined; readonly maxChars: number | undefined },
    respond: Respond
  ) => void
  /** There is a session of this key. */
  readonly knows: (sessionKey: string) => boolean
  /** Answers with one message of a session. */
  readonly message: (
    params: { readonly sessionKey: string; readonly messageId: string; readonly maxChars: number | undefined },
    respond: Respond
  ) => void
  /** Answers with the files that messages of a session show, or with one of them. */
  readonly artifacts: (
    params: Media.Query & { readonly sessionKey: string | undefined; readonly artifactId?: string | undefined },
    respond: Respond
  ) => void
  /** What is at a path of the HTTP side. */
  readonly file: Media.Media["get"]
  readonly abort: (params: { readonly sessionKey: string; readonly runId?: string }, respond: Respond) => void
  /**
   * Answers with the end of a run as soon as there is one, else with `pending` for a message in the queue and with `timeout`,
   * after 30 s unless told otherwise.
   */
  readonly wait: (params: { readonly runId: string; readonly timeoutMs?: number }, respond: Respond) => void
  /** Ends all runs without an event and forgets idempotency keys, as a process that ends does. History is kept. */
  readonly stop: () => void
  /** Idempotency key to the number of runs started for it. */
  readonly started: ReadonlyMap<string, number>
}

/** Runs the agent and sends the events of its steps. `ended` is told the error of a run that failed. */
const perform = (
  agent: (input: Omit<AgentInput, "callTool">) => ReturnType<Agent>,
  events: RunEvents.RunEvents,
  run: Run,
  { attachments, text }: Message,
  onStep: (step: AgentStep) => void,
  ended: (error: AgentFailed | undefined) => void
): Effect.Effect<void> =>
  Effect.yieldNow.pipe( // so that the answer to `chat.send` goes before the first event
    Effect.andThen(Effect.sync(() => events.begin(run))),
    Effect.andThen(
      Stream.runForEach(
        Stream.suspend(() => agent({ sessionKey: run.sessionKey, message: text, runId: run.runId, attachments })),
        (step) => Effect.sync(() => onStep(step))
      )
    ),
    Effect.matchCauseEffect({
      onSuccess: () => Effect.sync(() => ended(undefined)),
      onFailure: (cause) => {
        const error = cause.reasons.find(Cause.isFailReason)?.error
        return Effect.andThen(
          error === undefined ? Effect.logError("agent run broke", cause) : Effect.void,
          Effect.sync(() => ended(error ?? new AgentFailed({ errorMessage: "the agent broke" })))
        )
      }
    })
  )

const makeSessions = ({ newId, nowMs }: { readonly nowMs: () => number; readonly newId: () => string }) => {
  const sessions = new Map<string, Session>()
  return {
    all: (): ReadonlyArray<Session> => [...sessions.values()],
    knows: (sessionKey: string): boolean => sessions.has(Transcript.fullKey(sessionKey)),
    /** Gives the session of this key, in its short or full form. It begins when it is first named. */
    of: (sessionKey: string): Session | ErrorShape => {
      const key = Transcript.fullKey(sessionKey)
      const agentId = key.split(":")[1]
      if (agentId !== "main") return requestError(`Agent "${agentId}" no longer exists in configuration`)
      const before = sessions.get(key)
      if (before !== undefined) return before
      const transcript = { key, id: newId(), createdAtMs: nowMs(), messages: [] }
      const session: Session = { transcript, queue: [], active: undefined }
      sessions.set(key, session)
      return session
    }
  }
}

/** What is asked about sessions and their files, and changes nothing. */
const makeReads = (
  sessions: ReturnType<typeof makeSessions>,
  media: Media.Media,
  nowMs: () => number
): Pick<ChatRuns, "artifacts" | "file" | "history" | "message"> => ({
  history: ({ limit = defaultHistoryLimit, maxChars = MessageDisplay.historyMaxChars, sessionKey }, respond) => {
    const session = sessions.of(sessionKey)
    if ("code" in session) return respond({ error: session })
    const facts = { activeRunId: session.active?.runId, limit, maxChars, nowMs: nowMs() }
    respond({ payload: Transcript.history(session.transcript, facts) })
  },

  message: ({ maxChars = MessageDisplay.messageMaxChars, messageId, sessionKey }, respond) => {
    const session = sessions.of(sessionKey)
    if ("code" in session) return respond({ error: session })
    respond({ payload: MessageDisplay.found(session.transcript.messages, messageId, maxChars) })
  },

  artifacts: ({ artifactId, sessionKey, ...query }, respond) => {
    if (sessionKey === undefined) return Media.refuse(respond, "no session found for artifact query")
    const session = sessions.of(sessionKey)
    if ("code" in session) return respond({ error: session })
    return artifactId === undefined
      ? media.list(session.transcript, query, respond)
      : media.download(session.transcript, { ...query, artifactId }, respond)
  },

  file: media.get
})

const defaultWaitMs = 30_000
const defaultHistoryLimit = 1000

export const make = (options: {
  readonly agent: (input: Omit<AgentInput, "callTool">) => ReturnType<Agent>
  readonly nowMs: () => number
  readonly newId: () => string
  readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  readonly publish: RunEvents.Publish
  readonly changed: () => void
}): ChatRuns => {
  const { newId, nowMs } = options
  const events = RunEvents.make(options)
  const sessions = makeSessions(options)
  const isQueued = (runId: string) => sessions.all().some(({ queue }) => queue.some(({ key }) => key === runId))
  const ends = RunEnds.make({ ...options, isQueued })
  const media = Media.make(options)
  const started = new Map<string, number>()
  const known = new Set<string>() // idempotency keys since the last start

  const stamp = () => ({ id: newId(), nowMs: nowMs() })

  const addReply = ({ files, itemId, runId, session, text }: Run, stopReason: string) =>
    Transcript.addReply(session.transcript, stamp(), { runId, text, files, responseId: itemId, stopReason })

  const succeed = (run: Run) => {
    const settled = events.succeeded(run)
    if (run.text !== "" || run.files.length > 0) addReply(run, "stop")
    ends.record(run.runId, { status: "ok", terminalReply: settled.terminalReply })
    events.final(run, settled)
  }

  const fail = (run: Run, error: AgentFailed) => {
    const failed = events.failed(run, error)
    addReply(run, "error")
    ends.record(run.runId, { status: "error", error: error.errorMessage })
    events.error(run, failed)
  }

  const finish = (run: Run, ending: () => void) => {
    if (run.ended) return
    run.ended = true
    ending()
    next(run.session)
  }

  const next = (session: Session) => {
    session.active = undefined
    const queued = session.queue.shift()
    if (queued !== undefined) {
      ends.record(queued.key, { status: "ok" })
      launch(session, newId(), queued, true)
    }
    options.changed()
  }

  const launch = (session: Session, runId: string, message: Message, followUp: boolean) => {
    const told = RunEvents.makeRun(session.transcript, { runId, itemId: newId(), followUp, startedAtMs: nowMs() })
    const run: Run = { ...told, session, files: [], ended: false, fiber: undefined }
    const onStep = (step: AgentStep) =>
      step._tag === "File" ? void run.files.push(media.show(run.sessionKey, step.file)) : events.step(run, step)
    session.active = run
    run.fiber = options.fork(
      perform(
        options.agent,
        events,
        run,
        message,
        onStep,
        (error) => finish(run, () => error === undefined ? succeed(run) : fail(run, error))
      )
    )
  }

  const cancel = (run: Run) => {
    run.ended = true
    run.fiber?.interruptUnsafe()
  }

  return {
    started,

    send: (params, respond) => {
      const text = MessageDisplay.accept(params.message)
      if (text === undefined) return respond({ error: requestError("message must not contain null bytes") })
      const attachments = Media.accept(params.attachments)
      if ("code" in attachments) return respond({ error: attachments })
      if (text.trim() === "" && attachments.length === 0) {
        return respond({ error: requestError("message or attachment required") })
      }
      const session = sessions.of(params.sessionKey)
      if ("code" in session) return respond({ error: session })
      const runId = params.idempotencyKey
      if (known.has(runId)) {
        const running = sessions.all().some((other) => other.active?.runId === runId)
        return respond({ payload: { runId, status: running ? "in_flight" : "ok" } })
      }
      known.add(runId)
      started.set(runId, (started.get(runId) ?? 0) + 1)
      Transcript.addQuestion(session.transcript, stamp(), runId, text, Media.facts(attachments, newId))
      respond({ payload: { runId, status: "started" } })
      if (session.active === undefined) launch(session, runId, { text, attachments }, false)
      else {
        session.queue.push({ key: runId, text, attachments })
        options.publish("chat", { runId, sessionKey: session.transcript.key, seq: 1, state: "final" }, "readers")
      }
      options.changed()
    },

    ...makeReads(sessions, media, nowMs),
    knows: sessions.knows,

    abort: (params, respond) => {
      const session = sessions.of(params.sessionKey)
      if ("code" in session) return respond({ error: session })
      const run = session.active
      if (run === undefined || (params.runId !== undefined && params.runId !== run.runId)) {
        return respond({ payload: { ok: true, aborted: false, runIds: [] } })
      }
      cancel(run)
      if (run.text !== "") addReply(run, "aborted")
      ends.record(run.runId, { status: "error", error: "aborted", stopReason: "rpc" })
      events.aborted(run, () => respond({ payload: { ok: true, aborted: true, runIds: [run.runId] } }))
      next(session)
    },

    wait: ({ runId, timeoutMs = defaultWaitMs }, respond) => ends.wait(runId, timeoutMs, respond),

    stop: () => {
      known.clear()
      ends.clear()
      for (const session of sessions.all()) {
        session.queue.length = 0
        if (session.active !== undefined) cancel(session.active)
        session.active = undefined
      }
    }
  }
}
