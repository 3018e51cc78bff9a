/**
 * Advice on errors of the room `pairing`.
 */
import type { PlaceInvalid } from "../pairing/ApproveCommand.ts"
import type { SurfaceRequired } from "../pairing/PairingStep.ts"
import type { ApprovalReason } from "../protocol/Refusal.ts"
import type { Entry, Table } from "./Entry.ts"
import { handshakeAdvice } from "./HandshakeAdvice.ts"
import * as NextStep from "./NextStep.ts"

export const pairingAdvice = {
  PlaceInvalid: {
    problem: "The commands that approve this device cannot be built for the place that was given.",
    owner: "you",
    action: "Correct the settings of the place that the message names.",
    next: NextStep.nothingStarted
  },
  SurfaceRequired: {
    problem: "The gateway's agent may not use the tools of this device yet.",
    owner: "gateway host",
    action:
      "Approve on the gateway host that its agent may use them. This covers all tools of the device, also later ones.",
    command: "openclaw nodes approve <request id>",
    next: NextStep.polls
  }
} satisfies Table<PlaceInvalid | SurfaceRequired>

/** What waits for a person, and what to do about it. */
export const approvalAdvice = (reason: ApprovalReason): Entry =>
  reason === "surface" ? pairingAdvice.SurfaceRequired : handshakeAdvice.PairingRequired[reason]
