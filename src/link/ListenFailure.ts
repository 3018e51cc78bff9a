/**
 * Why a port cannot be listened on.
 */
import { errnoOf } from "./DialFailure.ts"

/**
 * `PortTaken`: another program listens there. `PortForbidden`: this program may not. `NotHere`: the address is not one of this machine.
 * `NoPort`: anything else.
 */
export type ListenReason = "PortTaken" | "PortForbidden" | "NotHere" | "NoPort"

/** `cause` is what the server reported. */
export const listenReason = (cause: unknown): ListenReason => {
  switch (errnoOf(cause)) {
    case "EADDRINUSE":
      return "PortTaken"
    case "EACCES":
    case "EPERM":
      return "PortForbidden"
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "NotHere"
    default:
      return "NoPort"
  }
}

/** The reason as the end of a sentence. */
export const listenWords: Readonly<Record<ListenReason, string>> = {
  PortTaken: "another program listens there",
  PortForbidden: "this program may not",
  NotHere: "this machine has no such address",
  NoPort: "this machine allows none"
}
