/**
 * The lines that go over the private socket of a program: one JSON object for the request, one for each answer.
 */
import * as Schema from "effect/Schema"
import { AgentEvent } from "../protocol/AgentEvent.ts"
import { StatusReport } from "./StatusReport.ts"

/**
 * `report`: how the program stands. `watch`: the same now and after each change. `recent`: what its connection went through.
 * `tool-search`: whether the gateway's agent has tools of devices by tool search alone, which the program asks its gateway.
 */
export const Ask = Schema.Literals(["report", "watch", "recent", "tool-search"])
export type Ask = typeof Ask.Type

const Request = Schema.Struct({ version: Schema.Literal(1), ask: Ask })

/** Why a program refused a request. `Busy`: too many others ask it now. */
export const RefusedReason = Schema.Literals(["UnknownRequest", "TooLarge", "Busy"])

export const Answer = Schema.Struct({
  version: Schema.Literal(1),
  report: Schema.optionalKey(StatusReport),
  recent: Schema.optionalKey(Schema.Array(AgentEvent)),
  /** Absent where the gateway does not tell. */
  toolSearch: Schema.optionalKey(Schema.Boolean),
  refused: Schema.optionalKey(RefusedReason)
})
export type Answer = typeof Answer.Type

/** The longest request, in UTF-16 code units without its line end. */
export const maxRequest = 256
/** The longest answer that a client reads, in UTF-16 code units. */
export const maxAnswer = 1024 * 1024

export const encodeRequest = (ask: Ask): string => `${JSON.stringify({ version: 1, ask })}\n`
export const decodeRequest = Schema.decodeUnknownOption(Schema.fromJsonString(Request))

const encode = Schema.encodeSync(Schema.fromJsonString(Answer))
export const encodeAnswer = (answer: Omit<Answer, "version">): string => `${encode({ version: 1, ...answer })}\n`
export const decodeAnswer = Schema.decodeUnknownOption(Schema.fromJsonString(Answer))

/** The first line of a text, and what follows it; undefined while no line is whole. */
export const cutLine = (text: string): readonly [line: string, rest: string] | undefined => {
  const end = text.indexOf("\n")
  return end === -1 ? undefined : [text.slice(0, end), text.slice(end + 1)]
}
