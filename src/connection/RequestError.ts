/**
 * Why a request on an open session did not get its answer.
 */
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type { LinkError } from "../link/LinkError.ts"
import * as Frame from "../protocol/Frame.ts"
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
  retryAfterMs: Schema.optional(Schema.Finite)
}) {
  override get message(): string {
    return `the gateway refused ${this.method}: ${this.gatewayMessage} (${this.detailCode ?? this.code})`
  }
}

export type RequestError = MissingScope | RequestTimeout | RequestRejected | LinkError

/** Reads the `error` of a refused request. */
export const fromError = (method: string, error: unknown): MissingScope | RequestRejected => {
  const shape = Option.getOrElse(Frame.decodeErrorShape(error), () => ({ code: "", message: "no error object" }))
  const refusal = Refusal.read(shape)
  const scope = missingScope(shape)
  return scope === undefined
    ? new RequestRejected({
      method,
      code: refusal.code,
      detailCode: refusal.detailCode,
      gatewayMessage: refusal.message,
      retryAfterMs: refusal.retryAfterMs
    })
    : new MissingScope({ method, scope: Refusal.printable(scope) })
}

/** Releases from 2026.8.2 name the scope in `details`; for those without details the whole message is the only sign. */
const missingScope = ({ details, message }: Frame.ErrorShape): string | undefined => {
  if (!Predicate.hasProperty(details, "code")) return /^missing scope: (\S+)$/.exec(message)?.[1]
  return details.code === "MISSING_SCOPE" && Predicate.hasProperty(details, "missingScope")
      && Predicate.isString(details.missingScope)
    ? details.missingScope
    : undefined
}
