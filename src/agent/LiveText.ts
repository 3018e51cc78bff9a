/**
 * The events that a batch of parts of a run becomes: at most one of text, and one for each step of a tool. Pure.
 *
 * Credentials that the gateway knows are left out, also one that comes in pieces: the end of a text that may be the beginning of
 * one waits for what follows.
 */
import * as Redacted from "effect/Redacted"
import type { AgentEvent } from "../protocol/AgentEvent.ts"
import * as OutsideText from "../protocol/OutsideText.ts"
import { textOf } from "../tasks/MessageText.ts"
import type { RunPart, ToolPart } from "../tasks/RunPart.ts"

export interface LiveText {
  /** The reply so far, as the agent wrote it. */
  readonly whole: string
  /** What was told of it. */
  readonly told: string
}

export const empty: LiveText = { whole: "", told: "" }

type Told = Extract<AgentEvent, { readonly event: "task.text" | "task.tool" }>

export const step = (
  before: LiveText,
  parts: ReadonlyArray<RunPart>,
  { at, secrets, taskId }: {
    readonly at: string
    readonly taskId: string
    readonly secrets: ReadonlyArray<Redacted.Redacted>
  }
): readonly [LiveText, ReadonlyArray<Told>] => {
  let whole = before.whole
  const tools: Array<Told> = []
  for (const part of parts) {
    switch (part._tag) {
      case "Text":
        whole += part.text
        break
      case "Replaced":
        whole = part.text
        break
      case "ToolStarted":
      case "ToolUpdated":
      case "ToolEnded":
        tools.push(toolEvent(part, taskId, at, secrets))
        break
      case "Thinking":
      case "Usage":
      case "Gap":
      case "Ended":
    }
  }
  const told = visible(whole, secrets)
  const from = common(before.told, told)
  const text: ReadonlyArray<Told> = told === before.told
    ? []
    : [{ at, event: "task.text", taskId, from, text: told.slice(from) }]
  return [{ whole, told }, [...text, ...tools]]
}

/** The text without credentials, up to what may be the beginning of one. */
const visible = (whole: string, secrets: ReadonlyArray<Redacted.Redacted>): string => {
  if (secrets.length === 0) return whole
  const clean = OutsideText.redact(whole, secrets)
  let held = 0
  for (const secret of secrets.map(Redacted.value)) {
    for (let length = Math.min(secret.length - 1, clean.length); length > held; length--) {
      if (clean.endsWith(secret.slice(0, length))) held = length
    }
  }
  return held === 0 ? clean : clean.slice(0, -held)
}

/** How many code units two texts have in common at their beginning; no half of a pair. */
const common = (one: string, other: string): number => {
  if (other.startsWith(one)) return one.length
  let length = 0
  while (length < one.length && one[length] === other[length]) length++
  return /[\ud800-\udbff]$/u.test(one.slice(0, length)) ? length - 1 : length
}

const phases = { ToolStarted: "start", ToolUpdated: "update", ToolEnded: "result" } as const

const toolEvent = (part: ToolPart, taskId: string, at: string, secrets: ReadonlyArray<Redacted.Redacted>): Told => {
  const detail = OutsideText.field(contentOf(part.content), { secrets })
  return {
    at,
    event: "task.tool",
    taskId,
    toolCallId: OutsideText.field(part.toolCallId, { maxLength: OutsideText.lengths.name, secrets }),
    tool: OutsideText.field(part.name, { maxLength: OutsideText.lengths.name, secrets }),
    phase: phases[part._tag],
    ...(part.isError ? { failed: true } : {}),
    ...(detail === "" ? {} : { detail })
  }
}

/** Arguments or results as text: the texts of a result, and anything else as JSON. */
const contentOf = (content: unknown): string => {
  if (content === undefined || content === null) return ""
  if (typeof content === "string") return content
  const text = textOf(content)
  return text === "" ? JSON.stringify(content) : text
}
