/**
 * Advice on errors of the room `tasks`: why a task was not taken, and why one that was taken came to nothing.
 */
import type { RequestError } from "../connection/RequestError.ts"
import type { AttachmentUnreadable } from "../tasks/AttachmentFile.ts"
import type { ArtifactError } from "../tasks/RunArtifacts.ts"
import type { TaskError, TaskNotFound, TaskRefused } from "../tasks/TaskError.ts"
import type { TaskJournalError } from "../tasks/TaskJournal.ts"
import type { EndWords, NamedEnd } from "../tasks/TaskWords.ts"
import { endWords, over } from "../tasks/TaskWords.ts"
import type { Table } from "./Entry.ts"
import * as NextStep from "./NextStep.ts"

const told = ({ next, problem }: EndWords) => ({ problem, next })

const shorten = "Shorten it, or put the material where OpenClaw can read it and name the place."
const checkPlace = "Check the space, the owner and the mode of the state directory."

export const taskAdvice = {
  TaskRefused: {
    Empty: {
      problem: "The task has no words.",
      owner: "you",
      action: "Say what is to be done.",
      command: 'openclaw-device delegate "<what to do>"',
      next: NextStep.taskNotTaken
    },
    NotText: {
      problem:
        "The text of the task has a character that gateways refuse or drop: NUL (U+0000), or half of a surrogate pair.",
      owner: "you",
      action: "Remove it. A file that is no text, for example UTF-16 or an archive, has such characters.",
      next: NextStep.taskNotTaken
    },
    TooLarge: {
      problem: "The text of the task is too long.",
      owner: "you",
      action: shorten,
      next: NextStep.taskNotTaken
    },
    TooMany: {
      problem: "As many tasks as may wait for a connection are waiting already.",
      owner: "gateway host",
      action: "See what keeps them: mostly an approval that nobody gave, or a gateway that is down.",
      command: "openclaw-device tasks list",
      next: NextStep.taskNotTaken
    },
    Stopped: {
      problem: "The connection to the gateway has been stopped for good.",
      owner: "this program",
      action: "Delegate the task to an agent that is connected.",
      next: NextStep.taskNotTaken
    },
    NotKept: {
      problem: "The task could not be written to the journal, so that a crash might have lost or doubled it.",
      owner: "you",
      action: checkPlace,
      next: NextStep.taskNotTaken
    },
    Attachment: {
      problem: "The gateway would not take a file of the task.",
      owner: "you",
      action: "Leave the file out, or make it smaller.",
      next: NextStep.taskNotTaken
    }
  },
  AttachmentRefused: {
    TooMany: {
      problem: "The task has more files than one task may have.",
      owner: "you",
      action: "Put them into one archive, or delegate several tasks.",
      next: NextStep.nothingSent
    },
    Name: {
      problem: "A file of the task has no name that OpenClaw could keep it under.",
      owner: "you",
      action: "Give it a name of at most 255 characters, without a directory and without control characters.",
      next: NextStep.nothingSent
    },
    Type: {
      problem: "The type of a file of the task is no MIME type.",
      owner: "you",
      action: "State one such as image/png, or application/octet-stream if it is not known.",
      next: NextStep.nothingSent
    },
    Empty: {
      problem: "A file of the task is empty, and gateways refuse that.",
      owner: "you",
      action: "Leave it out, or see whether the right file was named.",
      next: NextStep.nothingSent
    },
    TooLarge: {
      problem: "A file of the task is larger than the gateway takes.",
      owner: "you",
      action: "Make it smaller, or put it where OpenClaw can read it and name the place.",
      next: NextStep.nothingSent
    },
    ImageTooLarge: {
      problem: "An image of the task is larger than the gateway takes.",
      owner: "you",
      action: "Scale it down: models see less than that anyway.",
      next: NextStep.nothingSent
    },
    ImagesOnly: {
      problem: "This release of OpenClaw takes images with a task, and drops every other file without a word.",
      owner: "gateway host",
      action: "Update OpenClaw to 2026.5 or later, or put the text of the file into the task.",
      command: "openclaw update",
      next: NextStep.nothingSent
    },
    TogetherTooLarge: {
      problem: "The files of the task are together larger than the gateway takes in one message.",
      owner: "you",
      action: "Leave some out, make them smaller, or delegate several tasks.",
      next: NextStep.nothingSent
    },
    Lost: {
      problem:
        "A file of the task is not in the task journal any more, so that the task cannot be sent as it was meant.",
      owner: "you",
      action: "See who removes files from the state directory, and delegate the task anew.",
      next: NextStep.nothingSent
    },
    NotKept: {
      problem: "The task journal that this program was given keeps no files.",
      owner: "this program",
      action: "Use TaskJournal.layerFile or layerMemory, or give the journal `contents`.",
      next: NextStep.nothingSent
    }
  },
  AttachmentUnreadable: {
    Missing: {
      problem: "A file that was to go with the task is not there, or was removed while it was read.",
      owner: "you",
      action: "Compare the path; a relative one counts from the directory in which the command runs.",
      next: NextStep.nothingSent
    },
    NotRegularFile: {
      problem: "What was to go with the task is a directory, a device or a pipe.",
      owner: "you",
      action: "Name a file. Pack a directory into an archive, and write to a file what comes from a pipe.",
      next: NextStep.nothingSent
    },
    TooLarge: {
      problem: "A file that was to go with the task is larger than any gateway takes.",
      owner: "you",
      action: "Make it smaller, or put it where OpenClaw can read it and name the place.",
      next: NextStep.nothingSent
    },
    Changed: {
      problem:
        "A file that was to go with the task was written to while it was read, so that part of it may be old and part new.",
      owner: "you",
      action: "Wait until the program that writes it is done, or attach a copy.",
      next: NextStep.nothingSent
    },
    Unreadable: {
      problem: "A file that was to go with the task could not be read.",
      owner: "you",
      action: "Check its owner and its mode.",
      next: NextStep.nothingSent
    }
  },
  ArtifactError: {
    NotConnected: {
      problem: "The connection to the gateway was lost before the files of the run were there.",
      owner: "network",
      action: "Ask OpenClaw for them again; they stay in the session.",
      next: over
    },
    NotSupported: {
      problem: "This release of OpenClaw does not give the files of a run to a device.",
      owner: "gateway host",
      action: "Update OpenClaw to 2026.8 or later.",
      command: "openclaw update",
      next: over
    },
    Refused: {
      problem: "The gateway listed a file of the run and did not give it.",
      owner: "gateway host",
      action: "See that a proxy before the gateway lets paths below /api/ through, and look into the gateway's log.",
      command: "openclaw logs",
      next: over
    },
    Elsewhere: {
      problem: "A file of the run is on another host than the gateway's, and this program asks no other.",
      owner: "you",
      action: "Open it in the gateway's own page.",
      next: over
    },
    TooLarge: {
      problem: "A file of the run is larger than what is taken.",
      owner: "you",
      action: "Open it in the gateway's own page.",
      next: over
    },
    Invalid: {
      problem: "What the gateway gave for a file of the run is no file.",
      owner: "gateway host",
      action: "Look into the gateway's log.",
      command: "openclaw logs",
      next: over
    },
    TimedOut: {
      problem: "A file of the run did not come within a minute.",
      owner: "network",
      action: "Ask OpenClaw for it again; it stays in the session.",
      next: over
    }
  },
  TaskNotFound: {
    problem: "No task of this name is known here, or it ended long ago.",
    owner: "you",
    action: "Compare the name with those of the open tasks.",
    command: "openclaw-device tasks list",
    next: NextStep.nothingChanged
  },
  RunFailed: {
    problem: "OpenClaw's agent began the task and could not finish it, for example because its model provider failed.",
    owner: "gateway host",
    action: "Look into the gateway's log, then delegate the task anew.",
    command: "openclaw logs",
    next: over
  },
  TakenAsCommand: {
    problem: "The gateway read the task's text as its own stop command, and no agent got it.",
    owner: "you",
    action: "Delegate it in a whole sentence.",
    next: over
  },
  SessionConflicted: {
    problem: "The session was in use by other work at that very moment, and the gateway did not begin the task.",
    owner: "gateway host",
    action: "Delegate it anew, to a session of its own if this happens often; newer gateways try by themselves.",
    command: 'openclaw-device delegate --session agent:main:<name> "<what to do>"',
    next: "The task is over; nothing ran, and it is not sent by itself."
  },
  Aborted: {
    ...told(endWords.Aborted),
    owner: "you",
    action: "Nothing, if that was meant. Otherwise delegate it anew."
  },
  Expired: {
    sent: {
      ...told(endWords.Expired.sent),
      owner: "gateway host",
      action: "Give such tasks more time with --timeout or OPENCLAW_TASK_TIMEOUT, or look into the gateway's log.",
      command: "openclaw logs"
    },
    kept: {
      ...told(endWords.Expired.kept),
      owner: "gateway host",
      action: "Delegate it anew, to a session of its own if it need not wait for the others.",
      command: 'openclaw-device delegate --session agent:main:<name> "<what to do>"'
    }
  },
  Unknown: {
    NoReply: {
      ...told(endWords.Unknown.NoReply),
      owner: "gateway host",
      action: "Look at the session on the gateway before the task is delegated anew.",
      command: "openclaw logs"
    },
    Absent: {
      ...told(endWords.Unknown.Absent),
      owner: "gateway host",
      action: "See whether the session was reset, and delegate the task anew if it was not done.",
      command: "openclaw logs"
    },
    Unavailable: {
      ...told(endWords.Unknown.Unavailable),
      owner: "network",
      action: "See that the gateway can be reached, and look at the session before the task is delegated anew.",
      command: "openclaw gateway status"
    }
  },
  TaskJournalError: {
    Unreadable: {
      problem: "The task journal could not be read.",
      owner: "you",
      action: "Check the owner and the mode of the state directory.",
      next: NextStep.nothingChanged
    },
    Unwritable: {
      problem: "The task journal could not be written.",
      owner: "you",
      action: checkPlace,
      next: NextStep.taskNotTaken
    },
    Exposed: {
      problem: "Other users may read or replace the task journal, so it was not used.",
      owner: "you",
      action: "Make the state directory private to the user that runs this program.",
      next: NextStep.nothingChanged
    },
    Invalid: {
      problem: "A field of the task is out of bounds, so that the journal would not read it again.",
      owner: "this program",
      action: "Delegate the task again. If that fails too, report it with the log.",
      next: NextStep.taskNotTaken
    },
    TooLarge: {
      problem: "The task is too large for the journal.",
      owner: "you",
      action: shorten,
      next: NextStep.taskNotTaken
    },
    Full: {
      problem: "The tasks that wait to be sent have as many files as the task journal keeps.",
      owner: "gateway host",
      action: "See what keeps them: mostly an approval that nobody gave, or a gateway that is down.",
      command: "openclaw-device tasks list",
      next: NextStep.taskNotTaken
    }
  }
} satisfies Table<
  | Exclude<TaskError, RequestError>
  | ArtifactError
  | AttachmentUnreadable
  | NamedEnd
  | TaskJournalError
  | TaskNotFound
  | TaskRefused
>
