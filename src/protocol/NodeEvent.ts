/**
 * What a gateway tells a node: invocations, their cancellation, and that a request for approval was decided.
 *
 * Shapes: recorded events in test/vectors/node-*.json. A text longer than stated here is no id of a gateway.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Bounds from "./Bounds.ts"

export const events = {
  request: "node.invoke.request",
  cancel: "node.invoke.cancel",
  resolved: "node.pair.resolved"
} as const

const Id = Schema.NonEmptyString.check(Schema.isMaxLength(256))
const Key = Schema.NonEmptyString.check(Schema.isMaxLength(1024))

/** Milliseconds within which a gateway wants the answer of a node. */
export const invokeTimeoutMs: Bounds.Range = { floor: 1, ceiling: 600_000 }

/**
 * One invocation. A gateway that asks again gives another `id` and the same `idempotencyKey`, which is the call of the model.
 * `paramsJSON` is JSON as text; its size is for the host to judge.
 */
export const InvokeRequest = Schema.Struct({
  id: Id,
  nodeId: Id,
  command: Schema.String.check(Schema.isMaxLength(256)),
  paramsJSON: Schema.NullOr(Schema.String),
  timeoutMs: Bounds.positiveWithin(invokeTimeoutMs),
  idempotencyKey: Key,
  sessionKey: Schema.optionalKey(Key)
})
export type InvokeRequest = typeof InvokeRequest.Type

/** The gateway no longer waits: the run was aborted, or its deadline has passed. */
export const InvokeCancel = Schema.Struct({ invokeId: Id, nodeId: Id })

/** The `paramsJSON` of a call of a tool. `arguments` are not checked by the gateway. */
export const ToolCall = Schema.Struct({
  server: Schema.String,
  tool: Schema.String,
  arguments: Schema.optionalKey(Schema.Unknown)
})

export const decodeInvokeRequest = Schema.decodeUnknownOption(InvokeRequest)
export const decodeInvokeCancel = Schema.decodeUnknownOption(InvokeCancel)

const parse = Option.liftThrowable((text: string): unknown => JSON.parse(text))
const asToolCall = Schema.decodeUnknownOption(ToolCall)

/** The call in the text of an invocation; none when it is no JSON or no call. */
export const decodeToolCall = (text: string) => Option.flatMap(parse(text), asToolCall)
