/**
 * What is said about a task that ended without a reply, or with a shortened one, and about one that is kept. Events, follow-ups, tools and advice all
 * read it here.
 */
import type { Evidence, QueuedReason, TaskOutcome } from "./Task.ts"

/** The ends that have no error class, named as `task.failed` names them. */
export type NamedEnd =
  | { readonly _tag: "Aborted" }
  | { readonly _tag: "Expired"; readonly reason: "sent" | "kept" }
  | { readonly _tag: "Unknown"; readonly reason: Evidence["history"] }

export interface EndWords {
  /** A clause like the message of an error, for logs and events. */
  readonly message: string
  /** What happened, as sentences. */
  readonly problem: string
  /** What this program still does, as a sentence. */
  readonly next: string
}

export const over = "The task is over; it is not sent by itself."
const lateReplyIsTold = "The task is over; a reply that comes later is told as late."

export const endWords = {
  Aborted: {
    message: "the task was aborted",
    problem: "The task was aborted, here or at the gateway. What it had done by then stays done.",
    next: over
  },
  Expired: {
    sent: {
      message: "no reply in time; the gateway may still be at work",
      problem: "OpenClaw did not answer in time, and may still be at work.",
      next: "The task is over; an answer that comes later is told as late where the program stays up."
    },
    kept: {
      message: "it could not be sent in time",
      problem: "The task's turn did not come in time: earlier tasks of its session took too long."
        + " It was not sent, so nothing was done.",
      next: over
    }
  },
  Unknown: {
    NoReply: {
      message: "the link was lost; the gateway has the task, and no reply to it was found",
      problem: "The link was lost, and the gateway has the task and no reply to it: it may have been done.",
      next: lateReplyIsTold
    },
    Absent: {
      message: "the link was lost, and the gateway's history does not hold the task",
      problem: "The link was lost, and the gateway took the task and does not have it in its history any more.",
      next: lateReplyIsTold
    },
    Unavailable: {
      message: "the link was lost, and the gateway's history could not be read",
      problem: "The link was lost, and the gateway's history could not be read: the task may have been done.",
      next: lateReplyIsTold
    }
  }
} satisfies WordsOf<NamedEnd>

type WordsOf<E extends { readonly _tag: string }> = {
  readonly [Tag in E["_tag"]]: Extract<E, { readonly _tag: Tag }> extends
    { readonly reason: infer Reason extends string } ? Readonly<Record<Reason, EndWords>>
    : EndWords
}

/** The name of an end that has no error class, with its words. */
export const namedEnd = (
  outcome: Exclude<TaskOutcome, { readonly _tag: "Completed" | "Failed" }>
): NamedEnd & EndWords => {
  switch (outcome._tag) {
    case "Aborted":
      return { _tag: "Aborted", ...endWords.Aborted }
    case "Expired": {
      const reason = outcome.sent ? "sent" : "kept"
      return { _tag: "Expired", reason, ...endWords.Expired[reason] }
    }
    case "Unknown": {
      const reason = outcome.evidence.history
      return { _tag: "Unknown", reason, ...endWords.Unknown[reason] }
    }
  }
}

/** What is said of a reply that the gateway did not give whole, as a sentence. */
export const truncatedWords = (text: string): string =>
  text === ""
    ? "The gateway gave no text of this reply, because it is too long. The reply is in the session on the gateway."
    : "This reply is not whole: the gateway shortened it. The rest is in the session on the gateway."

/** What has to happen before a kept task is sent, as a sentence. */
export const queuedWords: Readonly<Record<QueuedReason, string>> = {
  AwaitingApproval: "It is sent as soon as the device is approved.",
  Offline: "It is sent as soon as the gateway is back.",
  Paused: "It is sent when the connection is resumed.",
  Halted: "It is sent when the connection works again; that needs somebody to act.",
  Suspended: "The gateway is suspended; the task is sent as soon as it takes work again.",
  Busy: "An earlier task of the same conversation is not done; this one is sent after it.",
  OtherGateway: "It is for another gateway than the one that the connection goes to now;"
    + " it waits until the settings name its own again."
}
