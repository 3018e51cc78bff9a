/**
 * Advice on errors of the room `recorder`: a recording that cannot begin, and one that cannot be replayed.
 */
import type { Table } from "../advice/Entry.ts"
import * as NextStep from "../advice/NextStep.ts"
import type { RecordingRefused } from "./FlightRecorder.ts"
import type { RecordingInvalid } from "./Recording.ts"

const nothingReplayed = "Nothing was replayed."

export const recordingAdvice = {
  RecordingInvalid: {
    NoHeader: {
      problem: "The file is no recording.",
      owner: "you",
      action: "Name a file that this program recorded, or make one.",
      command: "openclaw-device run --record <new file>",
      next: nothingReplayed
    },
    Version: {
      problem: "A release that this one does not know made the recording.",
      owner: "you",
      action: "Replay it with the release that made it.",
      command: "openclaw-device --version",
      next: nothingReplayed
    },
    Unreadable: {
      problem: "A line of the recording cannot be read: the file was changed, or cut in the middle.",
      owner: "you",
      action: "Use an unchanged copy of the file, or make a new recording.",
      command: "openclaw-device run --record <new file>",
      next: nothingReplayed
    }
  },
  RecordingRefused: {
    Exists: {
      problem: "The file of the recording exists, and a recording never replaces a file.",
      owner: "you",
      action: "Name another file.",
      command: "openclaw-device run --record <new file>",
      next: NextStep.nothingStarted
    },
    Exposed: {
      problem: "Other users could read the recording, as this place keeps no file modes.",
      owner: "you",
      action: "Record to another directory.",
      command: "openclaw-device run --record <new file>",
      next: NextStep.nothingStarted
    },
    Unwritable: {
      problem: "The recording cannot be written.",
      owner: "you",
      action: "Make sure that its directory exists, that this user may write to it, and that there is space.",
      command: "df -h <directory>",
      next: NextStep.nothingStarted
    }
  }
} satisfies Table<RecordingInvalid | RecordingRefused>
