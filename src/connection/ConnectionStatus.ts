/**
 * Where a supervised connection stands. Supervisor is the only writer; everybody else reads.
 *
 * Times are milliseconds of this machine's wall clock, for people. What decides about them is in monotonic time.
 */
import type { ConnectError, HandshakeError } from "../handshake/HandshakeError.ts"
import type { RequestId, Suspension } from "../protocol/Connect.ts"
import type { UpgradeEnd } from "../protocol/PairingNotice.ts"
import type { ApprovalReason } from "../protocol/Refusal.ts"
import type { Request } from "./ScopeRequest.ts"
import type { Session } from "./Session.ts"

/** A wait for a person's approval. It survives polls, and links lost while waiting. */
export interface Approval {
  /** Absent when the gateway sent no id, or one that is not safe to show. */
  readonly requestId: RequestId | undefined
  readonly reason: ApprovalReason
  readonly requestedScopes: ReadonlyArray<string> | undefined
  readonly approvedScopes: ReadonlyArray<string> | undefined
  /** When this wait began. */
  readonly sinceMs: number
  /** When the gateway was last asked; it drops the request 300 s later. */
  readonly lastAskedAtMs: number
  /** How often the gateway replaced the request id during this wait. */
  readonly replaced: number
}

/** How long a gateway keeps a request that is not asked for again. */
export const requestLifeMs = 300_000

/** Nobody approved in an hour, or the request was replaced three times. `checkNow` goes on. */
export interface ApprovalTimedOut {
  readonly _tag: "ApprovalTimedOut"
  readonly waitedMs: number
  readonly replaced: number
}

/** A bug of this program, or of a service that it was given. The log has it. */
export interface InternalError {
  readonly _tag: "InternalError"
}

/**
 * Why a connection is halted: a refusal that another attempt would not change, an approval that did not come in time, or a
 * bug.
 */
export type HaltCause = ConnectError | ApprovalTimedOut | InternalError

/**
 * The state of a connection, as people see it. Names that end in `AtMs` are milliseconds since 1970 on this process's clock.
 */
export type ConnectionStatus =
  | { readonly _tag: "Connecting"; readonly attempt: number }
  | {
    readonly _tag: "AwaitingApproval"
    readonly approval: Approval
    readonly nextCheckAtMs: number
    /** An ask is on its way right now. */
    readonly checking: boolean
  }
  | {
    readonly _tag: "Connected"
    readonly session: Session
    /** Wider scopes wait for a person; the session works meanwhile with what it has. */
    readonly upgrade?: Approval | undefined
    /** How the last request for wider scopes ended, when it did not end in them. */
    readonly declined?: UpgradeEnd | undefined
    /** The gateway takes no work now; it says when it does again. */
    readonly suspension?: Suspension | undefined
  }
  | {
    readonly _tag: "Waiting"
    readonly cause: HandshakeError
    readonly retryAtMs: number
    readonly approval: Approval | undefined
  }
  | { readonly _tag: "Paused" }
  | { readonly _tag: "Halted"; readonly cause: HaltCause; readonly approval: Approval | undefined }
  | { readonly _tag: "Stopped" }

/** A status, and the gateway that it is about. */
export interface GatewayStatus {
  /** `scheme://host:port/path`. */
  readonly gatewayScope: string
  readonly status: ConnectionStatus
}

/** A session's status, with what is told of the request beside it. */
export const connected = (
  session: Session,
  request: Request,
  suspension: Suspension | undefined
): ConnectionStatus => {
  const status = { _tag: "Connected", session, ...(suspension === undefined ? {} : { suspension }) } as const
  switch (request._tag) {
    case "None":
      return status
    case "Declined":
      return { ...status, declined: request.reason }
    case "Open": {
      const { approval } = request.history
      return approval === undefined ? status : { ...status, upgrade: approval }
    }
  }
}

/** A status with its times moved by so many milliseconds. */
export const moved = (status: ConnectionStatus, byMs: number): ConnectionStatus => {
  switch (status._tag) {
    case "AwaitingApproval":
      return {
        ...status,
        approval: movedApproval(status.approval, byMs),
        nextCheckAtMs: status.nextCheckAtMs + byMs
      }
    case "Waiting":
      return {
        ...status,
        retryAtMs: status.retryAtMs + byMs,
        approval: status.approval && movedApproval(status.approval, byMs)
      }
    case "Connected":
      return status.upgrade === undefined ? status : { ...status, upgrade: movedApproval(status.upgrade, byMs) }
    case "Halted":
      return status.approval === undefined ? status : { ...status, approval: movedApproval(status.approval, byMs) }
    case "Connecting":
    case "Paused":
    case "Stopped":
      return status
  }
}

const movedApproval = (approval: Approval, byMs: number): Approval => ({
  ...approval,
  sinceMs: approval.sinceMs + byMs,
  lastAskedAtMs: approval.lastAskedAtMs + byMs
})
