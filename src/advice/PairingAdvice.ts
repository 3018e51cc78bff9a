/**
 * Advice on errors of the room `pairing`.
 */
import type { PlaceInvalid } from "../pairing/ApproveCommand.ts"
import type { Table } from "./Entry.ts"
import * as NextStep from "./NextStep.ts"

export const pairingAdvice = {
  PlaceInvalid: {
    problem: "The commands that approve this device cannot be built for the place that was given.",
    owner: "you",
    action: "Correct the settings of the place that the message names.",
    next: NextStep.nothingStarted
  }
} satisfies Table<PlaceInvalid>
