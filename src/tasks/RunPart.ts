/**
 * What a run tells while it is at work, part by part.
 */
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
