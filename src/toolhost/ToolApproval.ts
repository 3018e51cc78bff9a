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
}

/** Decides on such a call; false refuses it. */
export type Approve = (request: ApprovalRequest) => Effect.Effect<boolean>
