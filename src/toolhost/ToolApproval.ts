/**
 * The decision of a host on calls of marked tools.
 */
import type * as Effect from "effect/Effect"

/** A call that somebody has to allow, because its tool is marked as destructive or as in need of approval. */
export interface ApprovalRequest {
  readonly tool: string
  readonly title: string | undefined
  /** As the model gave them, not decoded. */
  readonly arguments: unknown
  /** The conversation of the gateway from which the call comes. */
  readonly sessionKey: string | undefined
  /** Milliseconds until the call ends by itself, decided or not. */
  readonly endsInMs: number
}

/** True calls the tool; false refuses the call, and so does a reason, which the model is told as "The tool was not called: ...". */
export type Verdict = boolean | { readonly because: string }

/** Decides on such a call. It is interrupted when the call ends. */
export type Approve = (request: ApprovalRequest) => Effect.Effect<Verdict>
