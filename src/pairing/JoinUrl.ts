/**
 * Fetches the setup code of a join URL, over a connection as a link to the gateway has: through the same proxy, recognised by the same
 * certificate or pin, with the same headers. No redirect is followed.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { targetOf } from "../handshake/ConnectPlan.ts"
import type { GatewaySettings } from "../handshake/GatewayConfig.ts"
import type { DialError, FileNotGiven } from "../link/LinkError.ts"
import { Transport } from "../link/Transport.ts"
import type { JoinUrl, SetupCode, SetupCodeInvalid } from "./SetupCode.ts"
import { limits, parseContent } from "./SetupCode.ts"

/** The gateway did not give the code of a join URL. */
export class JoinUrlRefused extends Schema.TaggedError<JoinUrlRefused>()("JoinUrlRefused", {
  /**
   * `Used`: the gateway does not know the URL, as it was used, has expired, or is of another gateway (404). `Refused`: another status,
   * also a redirect. `Unreadable`: no whole answer came, or one that is too large.
   */
  reason: Schema.Literals(["Used", "Refused", "Unreadable"]),
  status: Schema.optionalKey(Schema.Int)
}) {
  override get message(): string {
    switch (this.reason) {
      case "Used":
        return "the gateway does not know the join URL any more, as it gives each code once and forgets it after ten minutes"
      case "Refused":
        return `what answers at the join URL did not give a code: HTTP status ${this.status ?? "unknown"}`
      case "Unreadable":
        return "no whole answer came from the join URL"
    }
  }
}

/** The code that the URL gives, this once. `settings` are those of its gateway URL. */
export const open = Effect.fnUntraced(function*(
  { path }: JoinUrl,
  settings: GatewaySettings
): Effect.fn.Return<SetupCode, DialError | JoinUrlRefused | SetupCodeInvalid, Transport> {
  const { fetch } = yield* Transport
  if (fetch === undefined) return yield* new JoinUrlRefused({ reason: "Unreadable" })
  const bytes = yield* fetch({ ...targetOf(settings), secrets: [path] }, Redacted.value(path), limits.code).pipe(
    Effect.catchTag("FileNotGiven", (error) => Effect.fail(refusalOf(error))),
    Effect.timeoutOrElse({
      duration: settings.helloTimeout,
      orElse: () => Effect.fail(new JoinUrlRefused({ reason: "Unreadable" }))
    })
  )
  const nowMs = yield* Clock.currentTimeMillis
  return yield* Effect.fromResult(parseContent(new TextDecoder().decode(bytes), nowMs))
})

const refusalOf = ({ reason, status }: FileNotGiven): JoinUrlRefused =>
  reason !== "Refused" || status === undefined
    ? new JoinUrlRefused({ reason: "Unreadable" })
    : new JoinUrlRefused({ reason: status === 404 ? "Used" : "Refused", status })
