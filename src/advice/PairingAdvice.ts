/**
 * Advice on errors of the rooms `pairing` and `toolhost`.
 */
import type { PlaceInvalid } from "../pairing/ApproveCommand.ts"
import type { JoinUrlRefused } from "../pairing/JoinUrl.ts"
import type { SurfaceRequired } from "../pairing/PairingStep.ts"
import type { SetupCodeInvalid } from "../pairing/SetupCode.ts"
import type { ToolsNotOffered, ToolsRefused } from "../toolhost/ToolError.ts"
import type { Entry, Table } from "./Entry.ts"
import { newCode, surfaceRequired } from "./HandshakeAdvice.ts"
import * as NextStep from "./NextStep.ts"

const pasteAgain = (problem: string): Entry => ({
  problem,
  owner: "you",
  action: "Paste it again, whole and on one line.",
  next: NextStep.nothingStarted
})

export const pairingAdvice = {
  PlaceInvalid: {
    problem: "The commands that approve this device cannot be built for the place that was given.",
    owner: "you",
    action: "Correct the settings of the place that the message names.",
    next: NextStep.nothingStarted
  },
  SurfaceRequired: surfaceRequired,
  SetupCodeInvalid: {
    Empty: {
      problem: "No setup code was given.",
      owner: "you",
      action: "Paste the code, the oc-pair:// link or the join URL that the person who runs the gateway gave you.",
      next: NextStep.nothingStarted
    },
    TooLong: pasteAgain("What was pasted is longer than any setup code."),
    NotACode: pasteAgain("What was pasted is no setup code, no oc-pair:// link and no join URL."),
    Incomplete: pasteAgain("The setup code is damaged."),
    Malformed: {
      problem: "The setup code has not the form that this program knows.",
      owner: "gateway host",
      action: "Ask for a code of this gateway's own command; update this program if the gateway is newer.",
      command: "openclaw qr --setup-code-only",
      next: NextStep.nothingStarted
    },
    PlaintextJoin: {
      problem: "The join URL would send the code unencrypted.",
      owner: "gateway host",
      action: "Ask the person who runs the gateway for a setup code, or for a join URL that begins with https://.",
      command: "openclaw qr --setup-code-only",
      next: NextStep.nothingStarted
    },
    Expired: {
      problem: "The setup code has expired. Codes last ten minutes.",
      owner: "gateway host",
      action: "Ask the person who runs the gateway for a new setup code. If it is new, set the clock of this machine.",
      command: "openclaw qr --setup-code-only",
      next: NextStep.nothingStarted
    }
  },
  JoinUrlRefused: {
    Used: {
      problem: "The join URL was used, has expired, or is another gateway's.",
      ...newCode,
      next: NextStep.nothingStarted
    },
    Refused: {
      problem: "What answers at the join URL is not the gateway, or stands in front of it.",
      owner: "gateway host",
      action: "Let paths below /j/ through to the gateway, or paste a setup code in place of the join URL.",
      command: "openclaw qr --setup-code-only",
      next: NextStep.nothingStarted
    },
    Unreadable: {
      problem: "The join URL gave no whole answer. It may be used up all the same.",
      ...newCode,
      next: NextStep.nothingStarted
    }
  }
} satisfies Table<PlaceInvalid | SurfaceRequired | SetupCodeInvalid | JoinUrlRefused>

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
