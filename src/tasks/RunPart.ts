/**
 * What a run tells while it is at work, part by part. Pure decoding, lenient: an event that says nothing we know is no part.
 */
import * as Predicate from "effect/Predicate"
import type { TaskOutcome } from "./Task.ts"

/**
 * A part of a run, in order. The texts of all `Text` since the last `Replaced`, with that before them, are the reply so far.
 * Words of the gateway and of tools are as they came.
 */
export type RunPart =
  /** What the agent added to its reply. */
  | { readonly _tag: "Text"; readonly text: string }
  /** The reply so far, in place of all that was told of it. */
  | { readonly _tag: "Replaced"; readonly text: string }
  | { readonly _tag: "Thinking"; readonly text: string }
  | ToolPart
  /** How many tokens the run wrote so far. */
  | { readonly _tag: "Usage"; readonly outputTokens: number }
  /** Parts are missing here: this many events, or an unknown number where a link was lost. The reply itself is repaired. */
  | { readonly _tag: "Gap"; readonly events: number | undefined }
  /** The last part. */
  | { readonly _tag: "Ended"; readonly outcome: TaskOutcome }

/** A call of a tool, from its start to its result. `content` is what the gateway tells of arguments, progress or result. */
export interface ToolPart {
  readonly _tag: "ToolStarted" | "ToolUpdated" | "ToolEnded"
  readonly toolCallId: string
  readonly name: string
  readonly content: unknown
  /** Of the end. */
  readonly isError: boolean
}

/** The part in the payload of an `agent` event; nothing for text, which `chat` events tell. */
export const decode = (payload: unknown): RunPart | undefined => {
  if (!Predicate.hasProperty(payload, "stream") || !Predicate.hasProperty(payload, "data")) return undefined
  const { data, stream } = payload
  switch (stream) {
    case "thinking": {
      const delta = Predicate.hasProperty(data, "delta") ? data.delta : undefined
      return Predicate.isString(delta) && delta !== "" ? { _tag: "Thinking", text: delta } : undefined
    }
    case "usage": {
      const count = Predicate.hasProperty(data, "outputTokens") ? data.outputTokens : undefined
      return Number.isSafeInteger(count) && Number(count) >= 0
        ? { _tag: "Usage", outputTokens: Number(count) }
        : undefined
    }
    case "tool":
      return toolPart(data)
    default:
      return undefined
  }
}

const phases = { start: "ToolStarted", update: "ToolUpdated", result: "ToolEnded" } as const

const toolPart = (data: unknown): ToolPart | undefined => {
  if (!Predicate.hasProperty(data, "phase") || !Predicate.hasProperty(data, "toolCallId")) return undefined
  const { phase, toolCallId } = data
  if (!Predicate.isString(toolCallId) || (phase !== "start" && phase !== "update" && phase !== "result")) {
    return undefined
  }
  const fields: Readonly<Record<string, unknown>> = { ...data }
  const field = (name: string): unknown => fields[name]
  const name = field("name")
  return {
    _tag: phases[phase],
    toolCallId,
    name: Predicate.isString(name) ? name : "",
    content: field(phase === "start" ? "args" : phase === "update" ? "partialResult" : "result"),
    isError: field("isError") === true
  }
}
