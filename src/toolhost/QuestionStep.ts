/**
 * Which calls of marked tools wait for a person, and what an answer does: pure functions of the state.
 *
 * Numbers of questions go up, so an answer to a question that has ended is told from one to a question that never was.
 */
import { cut, field, lengths, line } from "../protocol/OutsideText.ts"
import type { ApprovalRequest, Verdict } from "./ToolApproval.ts"

/** A call that waits for a person. Every text is safe to show: on one line, with nothing hidden. */
export interface Question {
  /** `t1`, `t2` and so on: short, as a person types it. */
  readonly id: string
  readonly tool: string
  readonly title: string | undefined
  /** The arguments as JSON, as the model gave them, or their beginning. */
  readonly arguments: string
  /** How many UTF-16 code units of the arguments are not shown. */
  readonly leftOut: number
  readonly sessionKey: string | undefined
  /** Milliseconds since 1970. */
  readonly endsAtMs: number
}

/** What a person says. */
export type Decision = "allow" | "deny"

/** `late`: the question has ended. `unknown`: there never was one of this id. */
export type Answered = "taken" | "late" | "unknown"

/** What is told of questions, each asked once and settled once. `ended`: the call ended before somebody decided. */
export type Change =
  | { readonly _tag: "Asked"; readonly question: Question }
  | { readonly _tag: "Settled"; readonly question: Question; readonly outcome: "allowed" | "denied" | "ended" }

/** The questions that wait, and who could answer. */
export interface State {
  /** How many questions were asked. */
  readonly asked: number
  readonly pending: ReadonlyMap<string, Question>
  /** How many places there are where a person could answer. */
  readonly audience: number
}

/** Before the first question. */
export const none: State = { asked: 0, pending: new Map(), audience: 0 }

/** How many questions wait at once. A person does not read more. */
export const mostPending = 8
/** UTF-16 code units of arguments that are shown. */
export const shownArguments = 2000

const refused = {
  nobody: {
    because:
      "it needs the permission of a person, and nobody is there who could decide. Its host has no terminal and no open page"
  },
  tooMany: { because: `it needs the permission of a person, and ${mostPending} other calls wait for one` },
  denied: { because: "a person has refused this call" }
} as const satisfies Record<string, Verdict>

/** How a call ends that a person has refused, or that nobody can decide. */
export const refusals: Readonly<Record<"nobody" | "tooMany" | "denied", Exclude<Verdict, boolean>>> = refused

const questionOf = (id: string, request: ApprovalRequest, nowMs: number): Question => {
  const json = JSON.stringify(request.arguments) ?? "{}"
  const shown = cut(line(json.slice(0, shownArguments + 1)), shownArguments)
  const isWhole = json.length <= shownArguments && line(json).length <= shownArguments
  return {
    id,
    tool: field(request.tool, { maxLength: lengths.name }),
    title: request.title === undefined ? undefined : field(request.title, { maxLength: lengths.phase }),
    arguments: shown,
    leftOut: isWhole ? 0 : Math.max(1, json.length - shown.length),
    sessionKey: request.sessionKey === undefined ? undefined : field(request.sessionKey, { maxLength: lengths.phase }),
    endsAtMs: nowMs + Math.max(0, request.endsInMs)
  }
}

/** Asks, or refuses where nobody could answer. */
export const ask = (
  state: State,
  request: ApprovalRequest,
  nowMs: number
): readonly [State, Question | Exclude<Verdict, boolean>] => {
  if (state.audience === 0) return [state, refused.nobody]
  if (state.pending.size >= mostPending) return [state, refused.tooMany]
  const asked = state.asked + 1
  const question = questionOf(`t${asked}`, request, nowMs)
  return [{ ...state, asked, pending: new Map(state.pending).set(question.id, question) }, question]
}

/** Takes a question out; `undefined` where it has ended. */
export const take = (state: State, id: string): readonly [State, Question | undefined] => {
  const question = state.pending.get(id)
  if (question === undefined) return [state, undefined]
  const pending = new Map(state.pending)
  pending.delete(id)
  return [{ ...state, pending }, question]
}

/** What to say to an answer whose question is not pending. */
export const missed = ({ asked }: State, id: string): Exclude<Answered, "taken"> => {
  const number = isQuestionId(id) ? Number(id.slice(1)) : Number.POSITIVE_INFINITY
  return number <= asked ? "late" : "unknown"
}

/** Whether a text has the form of an id. */
export const isQuestionId = (text: string): boolean => /^t[1-9]\d{0,8}$/.test(text)
