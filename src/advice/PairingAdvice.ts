/**
 * Advice on errors of the rooms `pairing` and `toolhost`.
 */
import type { PlaceInvalid } from "../pairing/ApproveCommand.ts"
import type { SurfaceRequired } from "../pairing/PairingStep.ts"
import type { ToolsNotOffered, ToolsRefused } from "../toolhost/ToolError.ts"
import type { Table } from "./Entry.ts"
import { surfaceRequired } from "./HandshakeAdvice.ts"
import * as NextStep from "./NextStep.ts"

export const pairingAdvice = {
  PlaceInvalid: {
    problem: "The commands that approve this device cannot be built for the place that was given.",
    owner: "you",
    action: "Correct the settings of the place that the message names.",
    next: NextStep.nothingStarted
  },
  SurfaceRequired: surfaceRequired
} satisfies Table<PlaceInvalid | SurfaceRequired>

export const toolAdvice = {
  ToolsRefused: {
    problem: "No gateway takes these tools.",
    owner: "you",
    action: "Change the tools that the message names.",
    next: NextStep.nothingStarted
  },
  ToolsNotOffered: {
    Old: {
      problem: "This release of OpenClaw cannot use tools of a device.",
      owner: "gateway host",
      action: "Update OpenClaw on the gateway host to 2026.8 or newer.",
      command: "openclaw update",
      next: NextStep.toolsLater
    },
    Refused: {
      problem: "The gateway refuses the tools of this device.",
      owner: "this program",
      action: "Report what the gateway said, with its release and that of this program.",
      command: "openclaw-device --version",
      next: NextStep.toolsLater
    }
  }
} satisfies Table<ToolsNotOffered | ToolsRefused>
