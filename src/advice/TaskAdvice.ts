/**
 * Advice on errors of the room `tasks`: why a task was not taken, and why one that was taken came to nothing.
 */
import type { RequestError } from "../connection/RequestError.ts"
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
    }
  }
} satisfies Table<Exclude<TaskError, RequestError> | NamedEnd | TaskJournalError | TaskNotFound | TaskRefused>
