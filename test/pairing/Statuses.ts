/**
 * Statuses of a connection as a supervisor would report them, built by hand for tests of what follows from them.
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Approval, ConnectionStatus } from "../../src/connection/ConnectionStatus.ts"
import { AuthRejected, GatewayRejected, PairingRequired } from "../../src/handshake/HandshakeError.ts"
import { LinkError } from "../../src/link/LinkError.ts"
import type { Commands } from "../../src/pairing/ApproveCommand.ts"
import { DeviceId, RequestId } from "../../src/protocol/Connect.ts"
import type { UpgradeEnd } from "../../src/protocol/PairingNotice.ts"
import { posixCommand } from "../../src/protocol/ShellCommand.ts"

export const gateway = "ws://127.0.0.1:18789/"
export const otherGateway = "wss://gateway.example:443/"
export const deviceId = DeviceId.make("0123456789abcdef".repeat(4))

export const commands: Commands = {
  list: posixCommand(["openclaw", "devices", "list"]),
  approve: (requestId) => posixCommand(["openclaw", "devices", "approve", requestId])
}

export const approval = (fields: Partial<Approval> & { readonly id?: string } = {}): Approval => {
  const { id, ...others } = fields
  return {
    requestId: id === undefined ? undefined : RequestId.make(id),
    reason: "not-paired",
    requestedScopes: ["operator.read", "operator.write"],
    approvedScopes: undefined,
    sinceMs: 0,
    lastAskedAtMs: 0,
    replaced: 0,
    ...others
  }
}

export const lost = new LinkError({ reason: "Closed", phase: "session", closeCode: 1006 })
export const missingScope = new GatewayRejected({
  reason: "Refused",
  code: "INVALID_REQUEST",
  gatewayMessage: "missing scope: operator.write"
})
const pairingRequired = new PairingRequired({ reason: "not-paired", pauseReconnect: true })
const authRejected = new AuthRejected({ reason: "TokenMismatch", sent: "SharedToken" })

export const connecting: ConnectionStatus = { _tag: "Connecting", attempt: 1 }
const connectedWith = (scopes: ReadonlyArray<string>) =>
  ({
    _tag: "Connected" as const,
    session: {
      facts: {
        protocol: 4,
        serverVersion: undefined,
        scopes,
        missingScopes: [],
        deviceTokenIssued: false,
        connectedAtMs: 0,
        clockDeltaMs: undefined,
        handshakeMs: 0
      },
      request: () => Effect.never,
      call: () => Effect.never,
      subscribe: () => Effect.succeed({ events: Stream.empty, lost: () => 0 }),
      listen: () => Effect.void,
      ended: Effect.never,
      counts: () => ({ noise: 0, missed: 0, dropped: 0, pending: 0 })
    }
  }) satisfies ConnectionStatus
export const connected: ConnectionStatus = connectedWith([])
/** Connected with all that was asked for. */
export const widened: ConnectionStatus = connectedWith(["operator.read", "operator.write"])
/** Connected with less, while more waits for a person. */
export const upgrading = (of: Approval): ConnectionStatus => ({ ...connectedWith(["operator.read"]), upgrade: of })
export const declined = (outcome: UpgradeEnd): ConnectionStatus => ({
  ...connectedWith(["operator.read"]),
  declined: outcome
})
export const paused: ConnectionStatus = { _tag: "Paused" }
export const stopped: ConnectionStatus = { _tag: "Stopped" }

export const awaiting = (of: Approval, more: { readonly checking?: boolean; readonly everyMs?: number } = {}) =>
  ({
    _tag: "AwaitingApproval",
    approval: of,
    nextCheckAtMs: of.lastAskedAtMs + (more.everyMs ?? 15_000),
    checking: more.checking ?? false
  }) satisfies ConnectionStatus

export const waiting = (of: Approval | undefined) =>
  ({ _tag: "Waiting", cause: lost, retryAtMs: 1000, approval: of }) satisfies ConnectionStatus

export const timedOut = (of: Approval | undefined) =>
  ({
    _tag: "Halted",
    cause: { _tag: "ApprovalTimedOut", waitedMs: 3_600_000, replaced: 0 },
    approval: of
  }) satisfies ConnectionStatus
export const toldToPause = (of: Approval) =>
  ({ _tag: "Halted", cause: pairingRequired, approval: of }) satisfies ConnectionStatus
export const halted = (of: Approval | undefined) =>
  ({ _tag: "Halted", cause: authRejected, approval: of }) satisfies ConnectionStatus

/** One arbitrary happening: a status that may follow any other, some time after the one before. */
export interface Happening {
  readonly elapsedMs: number
  readonly gateway: string
  /** Builds the status from the time it happens at. */
  readonly status: (nowMs: number) => ConnectionStatus
}

const Draw = Schema.Struct({
  kind: Schema.Literals([
    "awaiting",
    "awaiting",
    "awaiting",
    "checking",
    "rare",
    "connecting",
    "connected",
    "upgrading",
    "upgrading",
    "declined",
    "waiting",
    "waitingForNothing",
    "timedOut",
    "toldToPause",
    "halted",
    "paused",
    "stopped"
  ]),
  id: Schema.Literals(["one", "two", "three", ""]),
  reason: Schema.Literals(["not-paired", "scope-upgrade"]),
  scopes: Schema.Literals(["operator.read", "operator.admin"]),
  gateway: Schema.Literals([gateway, gateway, gateway, gateway, otherGateway]),
  elapsedMs: Schema.Literals([0, 0, 1, 15_000, 60_000, 240_000, 300_000, 400_000]),
  askedAgoMs: Schema.Literals([0, 0, 0, 20_000, 250_000, 300_000, 500_000])
})

const happening = (draw: typeof Draw.Type): Happening => ({
  elapsedMs: draw.elapsedMs,
  gateway: draw.gateway,
  status: (nowMs) => {
    const of = approval({
      ...(draw.id === "" ? {} : { id: draw.id }),
      reason: draw.reason,
      requestedScopes: [draw.scopes],
      lastAskedAtMs: nowMs - draw.askedAgoMs
    })
    switch (draw.kind) {
      case "awaiting":
        return awaiting(of)
      case "checking":
        return awaiting(of, { checking: true })
      case "rare":
        return awaiting(of, { everyMs: 600_000 })
      case "connecting":
        return connecting
      case "connected":
        return connected
      case "upgrading":
        return upgrading(of)
      case "declined":
        return declined("rejected")
      case "waiting":
        return waiting(of)
      case "waitingForNothing":
        return waiting(undefined)
      case "timedOut":
        return timedOut(of)
      case "toldToPause":
        return toldToPause(of)
      case "halted":
        return halted(of)
      case "paused":
        return paused
      case "stopped":
        return stopped
    }
  }
})

export const Happenings: Arbitrary.Arbitrary<ReadonlyArray<Happening>> = Arbitrary.array(
  Arbitrary.map(Arbitrary.schema(Draw), happening),
  { maxLength: 40 }
)
