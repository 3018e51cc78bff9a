/**
 * One session for one command: the connection is made, used and closed.
 */
import * as Effect from "effect/Effect"
import { failure } from "../agent/AgentEvents.ts"
import type { Session } from "../connection/Session.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import type { GatewaySettings } from "../handshake/GatewayConfig.ts"
import * as Endpoint from "../link/Endpoint.ts"
import { commandsAnywhere } from "../pairing/ApproveCommand.ts"
import type { RequestId } from "../protocol/Connect.ts"
import { connection, settled } from "./AgentLayer.ts"
import { CommandFailed, exitOf } from "./CommandError.ts"
import { failureText } from "./EventText.ts"
import type { Settings } from "./Settings.ts"

/** The command that approves a request on the gateway host, or lists the requests when there is no id. */
const approveText = (requestId: RequestId | undefined): string => {
  const { approve, list } = commandsAnywhere()
  return (requestId === undefined ? list : approve(requestId)).text
}

/** Runs `body` on the session of the supervisor, or fails with why there is none. */
export const onSession = Effect.fnUntraced(function*<R>(
  gateway: GatewaySettings,
  body: (session: Session) => Effect.Effect<void, CommandFailed, R>
) {
  const status = yield* Effect.flatMap(Supervisor, settled)
  switch (status._tag) {
    case "Connected":
      return yield* body(status.session)
    case "AwaitingApproval":
      return yield* new CommandFailed({
        exit: "pairing",
        error: "PairingRequired",
        problem: `this operator device is itself not approved yet; on the gateway host run: ${
          approveText(status.approval.requestId)
        }`
      })
    case "Waiting":
    case "Halted": {
      const why = failure(status.cause)
      const message = `${why.message} (gateway ${Endpoint.shown(gateway.endpoint.gatewayScope)})`
      return yield* new CommandFailed({
        exit: exitOf(status.cause._tag),
        error: why.error,
        problem: failureText({ ...why, message })
      })
    }
    default:
      return yield* new CommandFailed({ exit: "failed", error: "Stopped", problem: "stopped before it was done" })
  }
})

/** Runs `body` on a session of the identity that is provided. */
export const withSession = <R>(
  checked: Settings,
  gateway: GatewaySettings,
  body: (session: Session) => Effect.Effect<void, CommandFailed, R>
) => Effect.provide(onSession(gateway, body), connection(checked, gateway))
