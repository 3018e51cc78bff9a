/**
 * What the methods do that make setup codes and tell what became of them.
 */
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { MethodName } from "./ParamsCheck.ts"
import * as Refusals from "./Refusals.ts"
import type { Respond } from "./Respond.ts"
import type { SetupCodes } from "./SetupCodes.ts"

export type SetupMethodName = Extract<MethodName, `device.pair.setup${string}`>

export const isSetupMethod = (method: MethodName): method is SetupMethodName => method.startsWith("device.pair.setup")

/** Parameters of both methods in one: `ParamsCheck` has checked that a method's own are there and no others. */
const Params = Schema.Struct({
  publicUrl: Schema.optionalKey(Schema.String),
  bootstrapProfile: Schema.optionalKey(Schema.String),
  joinUrl: Schema.optionalKey(Schema.Boolean),
  setupId: Schema.optionalKey(Schema.String)
})
const decodeParams = Schema.decodeUnknownOption(Params)

export const make = ({ codes, nowMs }: { readonly codes: SetupCodes; readonly nowMs: () => number }) =>
(
  method: SetupMethodName,
  sent: unknown,
  respond: Respond
): void => {
  const params = Option.getOrElse(decodeParams(sent), (): typeof Params.Type => ({}))
  switch (method) {
    case "device.pair.setupCode":
      return respond(
        Result.match(codes.mint(params, nowMs()), {
          onFailure: ({ reason }) => ({ error: Refusals.requestError(reason) }),
          onSuccess: (payload) => ({ payload })
        })
      )
    case "device.pair.setupStatus": {
      const completion = codes.completion(params.setupId ?? "")
      return respond({ payload: completion === undefined ? {} : { completion } })
    }
  }
}
