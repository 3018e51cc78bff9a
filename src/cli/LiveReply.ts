/**
 * A reply as a terminal shows it while it is written: each line as soon as it is whole, the one that is being written on the live
 * line, and at the end what is left. Pure.
 */
import type { AgentEvent } from "../protocol/AgentEvent.ts"

export interface LiveReply {
  /** What was written so far. */
  readonly text: string
  /** How much of it was printed: whole lines. */
  readonly printed: number
}

export const empty: LiveReply = { text: "", printed: 0 }

/** What is to be printed, without the line end behind it. `first`: it is the beginning of the reply. */
export interface Piece {
  readonly text: string
  readonly first: boolean
}

/** What follows from another piece of text. */
export const write = (
  before: LiveReply,
  { from, text }: Pick<Extract<AgentEvent, { readonly event: "task.text" }>, "from" | "text">
): readonly [LiveReply, Piece | undefined] => {
  // Something before it is missing; the reply has it.
  if (from > before.text.length) return [before, undefined]
  const whole = before.text.slice(0, from) + text
  // What was printed is written anew, so it is printed anew.
  const printed = from < before.printed ? 0 : before.printed
  const end = whole.lastIndexOf("\n") + 1
  if (end <= printed) return [{ text: whole, printed }, undefined]
  return [{ text: whole, printed: end }, { text: whole.slice(printed, end - 1), first: printed === 0 }]
}

/** The line that is being written. */
export const line = ({ printed, text }: LiveReply): string => text.slice(printed)

/** What is left to be printed of the reply: all of it where what was printed is not its beginning. */
export const finish = ({ printed, text }: LiveReply, reply: string): Piece | undefined => {
  if (printed === 0 || !reply.startsWith(text.slice(0, printed))) return { text: reply, first: true }
  return reply.length === printed ? undefined : { text: reply.slice(printed), first: false }
}
