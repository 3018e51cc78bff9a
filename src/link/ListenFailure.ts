/**
 * Why a port cannot be listened on.
 */
import * as Schema from "effect/Schema"
import { errnoOf } from "./DialFailure.ts"

/**
 * `PortTaken`: another program listens there. `PortForbidden`: this program may not. `NotHere`: the address is not one of this machine.
 * `NoPort`: anything else.
 */
export const ListenReason = Schema.Literals(["PortTaken", "PortForbidden", "NotHere", "NoPort"])
export type ListenReason = typeof ListenReason.Type

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
