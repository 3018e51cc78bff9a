/**
 * The requests of a task, each as an effect whose result is an input of the task's life.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { AnswerInvalid, RequestError } from "../connection/RequestError.ts"
import { LinkError } from "../link/LinkError.ts"
import * as Method from "../protocol/Method.ts"
import type { Finding } from "./ChatHistory.ts"
import * as ChatHistory from "./ChatHistory.ts"
import type { Whole } from "./HistoryVerdict.ts"
import * as RunEnd from "./RunEnd.ts"
import type { Cell, RunnerState } from "./RunnerState.ts"
import type { TaskJournal } from "./TaskJournal.ts"
import type { Input } from "./TaskLife.ts"
import { soughtOf } from "./TaskLife.ts"

/** How many messages of a session are read. */
const historyLimit = 200

const linkTo = ({ link }: RunnerState, { life }: Cell) =>
  link?.gatewayScope === life.subject.gatewayScope ? link : undefined

const call = <Params, Answer>(
  state: RunnerState,
  cell: Cell,
  method: Method.Method<Params, Answer>,
  params: Params
): Effect.Effect<Answer, RequestError | AnswerInvalid> => {
  const link = linkTo(state, cell)
  return link === undefined
    ? Effect.fail(new LinkError({ reason: "Closed", phase: "session" }))
    : link.session.call(method, params)
}

/** Gives the task to the gateway, with its files from the journal. */
export const send = (
  state: RunnerState,
  cell: Cell,
  journal: TaskJournal["Service"]
): Effect.Effect<Input> => {
  const { attachments = [], runId, sessionKey, summary } = cell.life.subject
  const message = { sessionKey, message: summary, deliver: false, idempotencyKey: runId }
  const link = linkTo(state, cell)
  const sent = attachments.length === 0 || link === undefined
    ? call(state, cell, Method.chatSend, message)
    : Effect.flatMap(
      Effect.promise(() => import("./TaskAttachments.ts")),
      ({ load, timeoutOf }) =>
        Effect.flatMap(
          load(journal, runId, attachments, message, link.session),
          (files) =>
            link.session.call(
              Method.chatSend,
              { ...message, attachments: files },
              { timeout: timeoutOf(attachments) }
            )
        )
    )
  return Effect.map(Effect.result(sent), (answer): Input => {
    const told = Result.isSuccess(answer) && "runId" in answer.success ? answer.success.runId : undefined
    const owner = told === undefined ? cell : state.ofRun(told) ?? cell
    return { _tag: "SendAnswered", answer, shared: owner !== cell }
  })
}

/** Reads the history of the task's session. */
export const readHistory = (state: RunnerState, cell: Cell): Effect.Effect<Input> => {
  const { sessionKey } = cell.life.subject
  const facts = linkTo(state, cell)?.session.facts
  const read = call(state, cell, Method.chatHistory, { sessionKey, limit: historyLimit })
  return Effect.map(Effect.result(read), (answer): Input => {
    if (Result.isFailure(answer) && answer.failure._tag !== "AnswerInvalid") {
      return { _tag: "HistoryFailed", linkLost: answer.failure._tag === "LinkError" }
    }
    const view = Result.isFailure(answer)
      ? ChatHistory.unreadable
      : ChatHistory.view(answer.success, soughtOf(cell.life, facts ?? {}, state.claimed))
    const renamed = state.learnName(cell, view.sessionKey)
    return { _tag: "HistoryRead", history: { ...view, renamed, gatewayStartedAtMs: facts?.gatewayStartedAtMs } }
  })
}

/** The longest texts that `chat.history` gives. */
const historyMaxChars = 500_000
/** The longest texts that `chat.message.get` gives. */
const messageMaxChars = 1_000_000

/** A way to ask for the whole of a reply. The answer is `undefined` when it has no reply. */
interface Way {
  readonly name: "message" | "history"
  readonly ask: Effect.Effect<Finding | undefined, RequestError | AnswerInvalid>
}

const waysTo = (state: RunnerState, cell: Cell, messageId: string | undefined): ReadonlyArray<Way> => {
  const { sessionKey } = cell.life.subject
  const facts = linkTo(state, cell)?.session.facts ?? {}
  const longer = { sessionKey, limit: historyLimit, maxChars: historyMaxChars }
  const history: Way = {
    name: "history",
    ask: Effect.map(
      call(state, cell, Method.chatHistory, longer),
      (answer) => ChatHistory.view(answer, soughtOf(cell.life, facts, state.claimed), historyMaxChars).finding
    )
  }
  return messageId === undefined ? [history] : [{
    name: "message",
    ask: Effect.map(
      call(state, cell, Method.chatMessageGet, { sessionKey, messageId }),
      ({ message, ok }) => ok ? ChatHistory.replyIn(message, messageMaxChars) : undefined
    )
  }, history]
}

/**
 * Asks for the whole of the reply that history shortened: by the message's id, then by a longer history. A way that the gateway
 * refuses is not tried again over this link: older releases know neither.
 */
export const fetchWhole = (state: RunnerState, cell: Cell, messageId: string | undefined): Effect.Effect<Input> =>
  Effect.gen(function*() {
    const refused = linkTo(state, cell)?.refusedWays
    for (const { ask, name } of waysTo(state, cell, messageId)) {
      if (refused?.has(name) === true) continue
      const answer = yield* Effect.result(ask)
      const whole = wholeOf(answer)
      if (whole !== undefined) return { _tag: "WholeFetched", whole } as const
      if (Result.isFailure(answer)) refused?.add(name)
    }
    return { _tag: "WholeFetched", whole: { _tag: "NotGiven" } } as const
  })

/** What an answer gives of the reply; nothing where another way may give more. */
const wholeOf = (answer: Result.Result<Finding | undefined, RequestError | AnswerInvalid>): Whole | undefined => {
  if (Result.isFailure(answer)) {
    const error = answer.failure
    switch (error._tag) {
      case "LinkError":
        return { _tag: "Failed", linkLost: true }
      case "RequestTimeout":
        return { _tag: "Failed", linkLost: false }
      case "RequestRejected":
        return error.retryable === true || error.retryAfterMs !== undefined
          ? { _tag: "Failed", linkLost: false }
          : undefined
      default:
        return undefined
    }
  }
  const found = answer.success
  if (found?._tag !== "Replied" || found.text === "") return undefined
  return { _tag: found.shortened === undefined ? "Whole" : "Short", text: found.text }
}

/** Asks what the gateway remembers of the end of a run. */
export const askHowItEnded = (state: RunnerState, cell: Cell, runId: string): Effect.Effect<Input> =>
  Effect.map(
    Effect.result(call(state, cell, Method.agentWait, { runId, timeoutMs: 0 })),
    (answer): Input =>
      Result.isSuccess(answer)
        ? { _tag: "EndAnswered", end: RunEnd.fromAnswer(answer.success), linkLost: false }
        : { _tag: "EndAnswered", end: RunEnd.notKnown, linkLost: answer.failure._tag === "LinkError" }
  )

/** Asks the gateway to stop the task's run. */
export const abort = (state: RunnerState, cell: Cell): Effect.Effect<Input> => {
  const { runId, sessionKey } = cell.life.subject
  return call(state, cell, Method.chatAbort, { sessionKey, runId }).pipe(
    Effect.map(({ aborted, runIds }) => aborted && runIds.includes(runId)),
    Effect.catchTag("AnswerInvalid", () => Effect.succeed(false)),
    Effect.result,
    Effect.map((answer): Input => ({ _tag: "AbortAnswered", answer }))
  )
}
