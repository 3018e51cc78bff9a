/**
 * Advice on errors of the room `toolhost`.
 */
import type { ToolsNotOffered, ToolsRefused } from "../toolhost/ToolError.ts"
import type { Table } from "./Entry.ts"
import * as NextStep from "./NextStep.ts"

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
