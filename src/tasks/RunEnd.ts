/**
 * What a gateway remembers of the end of a run, by its answer to `agent.wait`. Pure.
 *
 * Gateways remember it for some minutes and forget it when they restart. Releases from 2026.8 also give the reply: its first 4,096
 * UTF-16 code units and, of a run into which other messages were merged, the last part alone. (Recorded: test/vectors/runs-*.json.)
 */
import * as Predicate from "effect/Predicate"
import type * as Method from "../protocol/Method.ts"
import { timeMs } from "./ChatEvent.ts"

/** `NotKnown` also stands for releases that do not answer. Times are on the gateway's clock, in milliseconds. */
export type RunEnd =
  | { readonly _tag: "Ended"; readonly reply: TerminalReply | undefined }
  | { readonly _tag: "Failed"; readonly text: string }
  | { readonly _tag: "Aborted" }
  /** It waits for its turn behind another run of the session. */
  | { readonly _tag: "Pending" }
  | { readonly _tag: "NotKnown" }

/** What the run said; nothing in `Ended` where the release does not tell. The text is empty when it said nothing. */
export interface TerminalReply {
  readonly text: string
  readonly atMs: number | undefined
  /** The text is only the beginning. */
  readonly cut: boolean
}

export const notKnown: RunEnd = { _tag: "NotKnown" }

/** How the run ended, by the payload of an answer. */
export const fromAnswer = (answer: typeof Method.agentWait.answer.Type): RunEnd => {
  const { endedAt, error, status, stopReason, terminalReply } = answer
  const isAbort = Predicate.isString(stopReason) && stopReasonsOfAborts.has(stopReason)
  switch (status) {
    case "ok":
      return { _tag: "Ended", reply: replyIn(terminalReply, endedAt) }
    case "error":
      if (isAbort && (error === abortedError || error === undefined)) return { _tag: "Aborted" }
      return Predicate.isString(error) ? { _tag: "Failed", text: error } : notKnown
    case "pending":
      return { _tag: "Pending" }
    case "timeout":
      // A run that was aborted timed out, for some releases. Without an end it is at work, or unknown.
      return isAbort && endedAt !== undefined ? { _tag: "Aborted" } : notKnown
    default:
      return notKnown
  }
}

/** The request `chat.abort`, and the text of a stop command. */
const stopReasonsOfAborts: ReadonlySet<string> = new Set(["rpc", "stop"])
const abortedError = "aborted"

/** The length from which gateways cut the reply, with the mark behind it. */
const wholeBelow = 4096
const cutMark = "…"

const replyIn = (terminalReply: unknown, endedAt: unknown): TerminalReply | undefined => {
  if (!Predicate.hasProperty(terminalReply, "disposition")) return undefined
  const text = Predicate.hasProperty(terminalReply, "text") ? terminalReply.text : undefined
  const atMs = timeMs(endedAt)
  if (!Predicate.isString(text)) {
    return terminalReply.disposition === "silent"
      ? { text: "", atMs, cut: false }
      : undefined
  }
  const cut = text.length >= wholeBelow - 1 && text.endsWith(cutMark)
  return { text: cut ? text.slice(0, -cutMark.length) : text, atMs, cut }
}
