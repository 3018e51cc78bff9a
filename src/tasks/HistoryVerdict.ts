/**
 * What the history of a session means for a task: a pure function from what is known of its run, and what the history shows,
 * to what follows.
 */
import type { Finding } from "./ChatHistory.ts"
import type { Evidence, TaskOutcome } from "./Task.ts"
import { runError } from "./TaskError.ts"

/** What is known of a run when its history is read. */
export interface Facts {
  readonly runId: string
  /** The gateway answered `chat.send`. */
  readonly answered: boolean
  /** The gateway has the message: it answered, or told something of the run. It is not given the message again. */
  readonly received: boolean
  /** The gateway said that the run is over. */
  readonly over: boolean
  /** The text was merged into another run, and that one answers it. */
  readonly merged: boolean
  /** The gateway confirmed the abort of the run. */
  readonly aborted: boolean
  /** What the agent had written when it was last heard. */
  readonly partial: string
  /** How many reads in a row showed no reply and nothing at work. */
  readonly idleReads: number
  /** The session has another name than ours. */
  readonly renamed: boolean
  /** The run was heard under that name, and goes on: its end is still to come. */
  readonly heard?: boolean
  /** The reply as far as the gateway gave it. */
  readonly short?: ShortReply | undefined
  /** What the gateway remembers of the end of the run; absent as long as it was not asked. */
  readonly end?: RunEnd | undefined
}

/** A reply that is not whole. Milliseconds on the gateway's clock. */
export interface ShortReply {
  readonly text: string
  readonly atMs: number | undefined
}

/** What the gateway gave when it was asked for the whole of a reply. */
export type Whole =
  | { readonly _tag: "Whole"; readonly text: string }
  /** As much as it gives. */
  | { readonly _tag: "Short"; readonly text: string }
  /** It has no more, or does not give it. */
  | { readonly _tag: "NotGiven" }
  /** It did not answer, or asked for patience. */
  | { readonly _tag: "Failed"; readonly linkLost: boolean }

/** The outcome of a task whose reply the gateway did not give whole. */
export const completedShort = ({ atMs, text }: ShortReply): TaskOutcome => ({
  _tag: "Completed",
  text,
  atMs,
  truncated: true
})

/**
 * How the gateway says that a run ended. It remembers that for some minutes and not over a restart. `NotKnown` also stands for
 * releases that do not answer.
 */
export type RunEnd =
  | { readonly _tag: "Ended" }
  | { readonly _tag: "Failed"; readonly text: string }
  | { readonly _tag: "NotKnown" }

export type Verdict =
  /** The task has this outcome. With `runOver` nothing of its run is at work any more. */
  | { readonly _tag: "Finish"; readonly outcome: TaskOutcome; readonly runOver: boolean }
  /** History shortened the reply: the gateway is asked for the whole of it. */
  | { readonly _tag: "FetchWhole"; readonly short: ShortReply; readonly messageId: string | undefined }
  /** The gateway never had the message. */
  | { readonly _tag: "SendAgain" }
  /** History alone does not say. Judge again with `end`. */
  | { readonly _tag: "AskHowItEnded"; readonly evidence: Evidence }
  | {
    readonly _tag: "LookAgain"
    /** `Soon`: after a few seconds. `OnNews`: the run is at work, and its events tell when. */
    readonly when: "Soon" | "OnNews"
    /** The evidence of a task that ends before the next read; nothing while its run is seen at work. */
    readonly evidence: Evidence | undefined
    readonly idleReads: number
  }

/** How many idle reads end a task. Gateways say that a run is over a moment before its message is in history. */
const idleReadsAtLeast = 2

/**
 * `busy` says whether anything of the session is at work, as far as the gateway tells. `restarted` means that the gateway was
 * restarted since it got the message and kept nothing of the session: it may have begun the run and forgotten it.
 */
export const judge = (facts: Facts, finding: Finding, busy: boolean | undefined, restarted: boolean): Verdict => {
  switch (finding._tag) {
    case "Running":
      return facts.merged || facts.renamed
        ? { _tag: "LookAgain", when: "Soon", evidence: undefined, idleReads: 0 }
        : { _tag: "LookAgain", when: "OnNews", evidence: undefined, idleReads: 0 }
    case "Replied":
      // It may be the reply of the run before, while the one that answers this task is at work.
      return facts.merged && busy === true
        ? { _tag: "LookAgain", when: "Soon", evidence: undefined, idleReads: facts.idleReads }
        : judgeReply(finding)
    case "Failed":
      return failed(facts, finding.text)
    case "Aborted":
      return finish({ _tag: "Aborted", text: finding.text })
    case "Unreadable":
      return { _tag: "LookAgain", when: "Soon", evidence: unavailable(facts), idleReads: facts.idleReads }
    case "NoReply":
    case "Absent":
      return judgeSilence(facts, finding._tag, busy, restarted)
  }
}

const judgeReply = ({ atMs, shortened, text }: Extract<Finding, { readonly _tag: "Replied" }>): Verdict =>
  shortened === undefined
    ? finish({ _tag: "Completed", text, atMs })
    : { _tag: "FetchWhole", short: { text, atMs }, messageId: shortened.messageId }

/** The evidence of a task whose history could not be read. */
export const unavailable = ({ answered }: Pick<Facts, "answered">): Evidence => ({ answered, history: "Unavailable" })

/** There is no answer in history. */
const judgeSilence = (
  facts: Facts,
  history: "NoReply" | "Absent",
  busy: boolean | undefined,
  restarted: boolean
): Verdict => {
  const { aborted, answered, end, heard = false, merged, partial, received, short } = facts
  if (aborted) return finish({ _tag: "Aborted", text: partial })
  if (heard && !facts.over) return { _tag: "LookAgain", when: "OnNews", evidence: undefined, idleReads: 0 }
  if (history === "Absent" && !received && !facts.over && !restarted) return { _tag: "SendAgain" }
  const evidence: Evidence = { answered, history }
  if (!facts.over && !merged && end === undefined) return { _tag: "AskHowItEnded", evidence }
  if (end?._tag === "Failed") return failed(facts, end.text)
  const over = facts.over || end?._tag === "Ended"
  // The run came to its end, and its reply is not with another one.
  const silent = over && !merged
  const shown = merged ? undefined : evidence
  if (busy === true || (busy === undefined && !silent)) {
    return { _tag: "LookAgain", when: "Soon", evidence: shown, idleReads: 0 }
  }
  const idleReads = facts.idleReads + 1
  if (idleReads < idleReadsAtLeast) return { _tag: "LookAgain", when: "Soon", evidence: shown, idleReads }
  if (short !== undefined) return finish(completedShort(short), true)
  return silent && history === "NoReply"
    ? finish({ _tag: "Completed", text: "", atMs: undefined }, true)
    : finish({ _tag: "Unknown", evidence }, true)
}

const finish = (outcome: TaskOutcome, runOver = false): Verdict => ({ _tag: "Finish", outcome, runOver })

const failed = ({ runId }: Facts, text: string): Verdict => finish({ _tag: "Failed", error: runError(runId, text) })
