/**
 * Whether the gateway's agent finds the tools of devices by tool search alone, as its gateway says.
 */
import * as Effect from "effect/Effect"
import type { Session } from "../connection/Session.ts"
import * as NodeMethod from "../protocol/NodeMethod.ts"

/** Undefined where the gateway does not tell. */
export const ask = (session: Session): Effect.Effect<boolean | undefined> =>
  session.call(NodeMethod.toolSearchSetting, {}).pipe(
    Effect.map(({ resolved }) =>
      NodeMethod.isBehindToolSearch(resolved.tools?.toolSearch, session.facts.serverVersion)
    ),
    Effect.orElseSucceed(() => undefined)
  )
