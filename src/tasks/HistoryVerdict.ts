/**
 * What the answers of a gateway mean for a task: a pure function from what is known of its run, what the gateway remembers of its
 * end, and what the history of the session shows, to what follows. The gateway is asked for the end first.
 */
import type { Finding } from "./ChatHistory.ts"
import type { RunEnd, TerminalReply } from "./RunEnd.ts"
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
  /** What the gateway remembers of the end of the run; absent where it was not asked. */
  readonly end?: RunEnd | undefined
  /** The run told an end without text. */
  readonly emptyEnd?: EmptyEnd | undefined
}

/** An end without text means less than it says: a failed run may tell it, and one that is answered in another run. */
export type EmptyEnd = "Final" | "Aborted"

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

export type Verdict =
  /** The task has this outcome. With `runOver` nothing of its run is at work any more. */
  | { readonly _tag: "Finish"; readonly outcome: TaskOutcome; readonly runOver: boolean }
  /** History shortened the reply: the gateway is asked for the whole of it. */
  | { readonly _tag: "FetchWhole"; readonly short: ShortReply; readonly messageId: string | undefined }
  /** The gateway never had the message. */
  | { readonly _tag: "SendAgain" }
  | {
    readonly _tag: "LookAgain"
    /** `Soon`: after a few seconds. `OnNews`: the run is at work, and its events tell when. */
    readonly when: "Soon" | "OnNews"
    /** The evidence of a task that ends before the next read; nothing while its run is seen at work. */
    readonly evidence: Evidence | undefined
    readonly idleReads: number
  }

/** What follows from the end alone; nothing where history has to say more. */
export const judgeEnd = (facts: Facts, end: RunEnd): Extract<Verdict, { readonly _tag: "Finish" }> | undefined => {
  const { merged, partial } = facts
  switch (end._tag) {
    case "Failed":
      return failed(facts, end.text)
    case "Ended":
      // A text may be the last part of the reply alone.
      return end.reply?.text !== "" || merged || partial !== "" ? undefined : finish(completed(end.reply))
    // History has what it had written.
    case "Aborted":
    // 2026.5 says of a failed run that it went well.
    case "Pending":
    case "NotKnown":
      return undefined
  }
}

/** The outcome by an end without text, where nothing else is known; nothing where the run told none, or another run answers. */
export const withoutText = (
  { emptyEnd, merged, partial }: Pick<Facts, "emptyEnd" | "merged" | "partial">
): TaskOutcome | undefined =>
  emptyEnd === undefined || merged
    ? undefined
    : emptyEnd === "Final"
    ? { _tag: "Completed", text: "", atMs: undefined }
    : { _tag: "Aborted", text: partial }

const completed = ({ atMs, text }: TerminalReply): TaskOutcome => ({ _tag: "Completed", text, atMs })

/** How many idle reads end a task. Gateways say that a run is over a moment before its message is in history. */
const idleReadsAtLeast = 2

/**
 * `busy` says whether anything of the session is at work, as far as the gateway tells. `restarted` means that the gateway was
 * restarted since it got the message and kept nothing of the session: it may have begun the run and forgotten it.
 */
export const judge = (facts: Facts, finding: Finding, busy: boolean | undefined, restarted: boolean): Verdict => {
  const { end } = facts
  if (end?._tag === "Aborted") {
    const written = finding._tag === "Aborted" || finding._tag === "Replied" ? finding.text : ""
    return finish({ _tag: "Aborted", text: longer(written, facts.partial) })
  }
  return end?._tag === "Ended" && end.reply !== undefined && end.reply.text !== ""
    ? judgeWithReply(facts, end.reply, finding, busy)
    : judgeHistory(facts, finding, busy, restarted)
}

/** The gateway gave the reply, or a part of it. History may have the whole. */
const judgeWithReply = (
  facts: Facts,
  reply: TerminalReply,
  finding: Finding,
  busy: boolean | undefined
): Verdict => {
  const { text } = reply
  if (finding._tag === "Replied") {
    const isWhole = finding.shortened === undefined
    if (reply.cut && !isWhole) return judgeReply({ ...finding, text: longer(finding.text, text) })
    const hasIt = reply.cut ? finding.text.includes(text) : finding.text.trimEnd().endsWith(text.trimEnd())
    if (isWhole && hasIt) return judgeReply(finding)
  }
  if (!reply.cut) return finish(completed(reply), true)
  const idleReads = busy === true ? 0 : facts.idleReads + 1
  return idleReads < idleReadsAtLeast
    ? { _tag: "LookAgain", when: "Soon", evidence: undefined, idleReads }
    : finish(completedShort({ text, atMs: reply.atMs }), true)
}

const longer = (one: string, other: string): string => one.length > other.length ? one : other

const judgeHistory = (
  facts: Facts,
  finding: Finding,
  busy: boolean | undefined,
  restarted: boolean
): Verdict => {
  switch (finding._tag) {
    case "Running":
      // Gateways say that a run is over a moment before its session is free.
      return facts.merged || facts.renamed || facts.over
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
    case "Unreadable": {
      const toldEnd = withoutText(facts)
      if (toldEnd !== undefined) return finish(toldEnd)
      return { _tag: "LookAgain", when: "Soon", evidence: unavailable(facts), idleReads: facts.idleReads }
    }
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
  if (end?._tag === "Failed") return failed(facts, end.text)
  const known = end !== undefined && end._tag !== "NotKnown"
  if (history === "Absent" && !received && !known && !facts.over && !restarted) return { _tag: "SendAgain" }
  const toldEnd = withoutText(facts)
  if (toldEnd !== undefined) return finish(toldEnd)
  const evidence: Evidence = { answered, history }
  if (end?._tag === "Pending") return { _tag: "LookAgain", when: "Soon", evidence: undefined, idleReads: 0 }
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

const finish = (outcome: TaskOutcome, runOver = false): Extract<Verdict, { readonly _tag: "Finish" }> => ({
  _tag: "Finish",
  outcome,
  runOver
})

const failed = ({ runId }: Facts, text: string) => finish({ _tag: "Failed", error: runError(runId, text) })
