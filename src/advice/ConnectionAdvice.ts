/**
 * Advice on errors of the room `connection`: why a connection was given up, and why a request had no answer.
 */
import type { HaltCause } from "../connection/ConnectionStatus.ts"
import type { AnswerInvalid, RequestError } from "../connection/RequestError.ts"
import type { ScopeUpgradeRefused } from "../connection/ScopeUpgrade.ts"
import type { ConnectError } from "../handshake/HandshakeError.ts"
import { over } from "../tasks/TaskWords.ts"
import type { Table } from "./Entry.ts"
import * as NextStep from "./NextStep.ts"

export const connectionAdvice = {
  ApprovalTimedOut: {
    problem: "Nobody approved this device, or its request was replaced too often.",
    owner: "gateway host",
    action: "Ask again when somebody can approve it; make sure that only one program uses this identity.",
    command: "openclaw devices list",
    next: NextStep.stays
  },
  InternalError: {
    problem: "Something failed that must not fail; the log has the details.",
    owner: "this program",
    action: "Report it, with the log.",
    next: NextStep.stays
  },
  ScopeUpgradeRefused: {
    NotConnected: {
      problem: "Wider scopes are asked for over a session, and there is none.",
      owner: "network",
      action: "Wait until this program is connected, then ask.",
      next: NextStep.retries
    },
    UnderWay: {
      problem: "An earlier request for wider scopes still waits for a person.",
      owner: "gateway host",
      action: "Approve or reject that one first.",
      command: "openclaw devices list",
      next: NextStep.sessionStays
    },
    NeedsSharedCredential: {
      problem: "This gateway lets a device ask for wider scopes with the gateway's own token or password only.",
      owner: "you",
      action: "Set OPENCLAW_GATEWAY_TOKEN (or _PASSWORD); on the gateway host it can be read with the command.",
      command: "openclaw config get gateway.auth.token",
      next: NextStep.sessionStays
    }
  },
  MissingScope: {
    problem: "This device may not do that: a scope was not granted to it.",
    owner: "gateway host",
    action: "Approve the scope that the message names on the gateway host.",
    command: "openclaw devices list",
    next: over
  },
  RequestRejected: {
    problem: "The gateway refused the request; the message has its words.",
    owner: "gateway host",
    action: "Correct what the message names, such as the session key.",
    command: "openclaw logs",
    next: over
  },
  AnswerInvalid: {
    problem: "The gateway answered a request in a shape that this program does not know. It did what was asked.",
    owner: "this program",
    action: "Report it, with the release of the gateway.",
    command: "openclaw --version",
    next: "The connection goes on; the request is not sent again."
  },
  RequestTimeout: {
    problem: "The gateway did not answer a request in time, and may still have done what was asked.",
    owner: "gateway host",
    action: "See whether it was done before it is asked again. If this happens often, look into the gateway's log.",
    command: "openclaw logs",
    next: "The connection goes on; the request is not sent again."
  }
} satisfies Table<Exclude<HaltCause | RequestError, ConnectError> | AnswerInvalid | ScopeUpgradeRefused>
