/**
 * Why a request on an open session did not get its answer.
 */
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { LinkError } from "../link/LinkError.ts"
import type { FrameTooLarge } from "../protocol/FrameLimit.ts"
import * as Refusal from "../protocol/Refusal.ts"

/** The device is paired, but not for this. Never a pairing matter by itself. */
export class MissingScope extends Schema.TaggedError<MissingScope>()("MissingScope", {
  method: Schema.String,
  scope: Schema.String
}) {
  override get message(): string {
    return `${this.method} needs the scope ${this.scope}, which this device was not granted`
  }
}

/** No answer in time. The gateway may still have done what was asked. */
export class RequestTimeout extends Schema.TaggedError<RequestTimeout>()("RequestTimeout", {
  method: Schema.String,
  timeoutMs: Schema.Finite
}) {
  override get message(): string {
    return `the gateway did not answer ${this.method} within ${this.timeoutMs} ms`
  }
}

/** The gateway refused the request. */
export class RequestRejected extends Schema.TaggedError<RequestRejected>()("RequestRejected", {
  method: Schema.String,
  code: Schema.String,
  detailCode: Schema.optional(Schema.String),
  gatewayMessage: Schema.String,
  /** Milliseconds after which the gateway asks to be asked again, within `Bounds.retryAfterMs`. */
  retryAfterMs: Schema.optional(Schema.Finite),
  /** The gateway did nothing, and says that the same request may be made again. */
  retryable: Schema.optionalKey(Schema.Boolean)
}) {
  override get message(): string {
    return `the gateway refused ${this.method}: ${this.gatewayMessage} (${this.detailCode ?? this.code})`
  }
}

/** The gateway did what was asked, and answered with something that this program does not understand. */
export class AnswerInvalid extends Schema.TaggedError<AnswerInvalid>()("AnswerInvalid", {
  method: Schema.String
}) {
  override get message(): string {
    return `the gateway's answer to ${this.method} has a shape that this program does not know`
  }
}

/** Why `Session.request` failed. After `RequestTimeout` or `LinkError` the gateway may have done what was asked. */
export type RequestError = FrameTooLarge | MissingScope | RequestTimeout | RequestRejected | LinkError

/** Reads the `error` of a refused request. None of the `secrets` stands in its texts. */
export const fromError = (
  method: string,
  error: unknown,
  secrets: ReadonlyArray<Redacted.Redacted> = []
): MissingScope | RequestRejected => {
  const { code, detailCode, message, missingScope, retryAfterMs, retryable } = Refusal.read(error, secrets)
  if (missingScope !== undefined) return new MissingScope({ method, scope: missingScope })
  return new RequestRejected({
    method,
    code,
    detailCode,
    gatewayMessage: message,
    retryAfterMs,
    ...(retryable ? { retryable } : {})
  })
}
