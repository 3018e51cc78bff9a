/**
 * A line of standard input that answers a question about a marked tool. Pure.
 */
import type { Decision } from "../toolhost/QuestionStep.ts"

export interface Answer {
  readonly id: string
  readonly decision: Decision
}

const form = /^([yn]) (t[1-9]\d{0,8})$/

/** `y t1` allows and `n t1` refuses. A line with anything else in it is no answer. */
export const readAnswer = (text: string): Answer | undefined => {
  const [, decision, id] = form.exec(text.trim()) ?? []
  return id === undefined ? undefined : { id, decision: decision === "y" ? "allow" : "deny" }
}
