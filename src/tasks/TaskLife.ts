/**
 * Everything that is known of a delegated task, from its acceptance to the last word of its run: the stages of its life, what
 * happens to it, and what has to be done then. `TaskStep` says what follows from what.
 */
import type * as Result from "effect/Result"
import type { AnswerInvalid, MissingScope, RequestError, RequestRejected } from "../connection/RequestError.ts"
import type { FrameTooLarge } from "../protocol/FrameLimit.ts"
import type * as Method from "../protocol/Method.ts"
import type { AgentPhase, ChatEvent } from "./ChatEvent.ts"
import type { HistoryView, Sought } from "./ChatHistory.ts"
import type { EmptyEnd, ShortReply, Whole } from "./HistoryVerdict.ts"
import type { RunEnd } from "./RunEnd.ts"
import type { Evidence, QueuedReason, Task, TaskEvent, TaskOutcome, TaskState } from "./Task.ts"
import type { AttachmentRefused } from "./TaskError.ts"
import type { JournalEntry, JournalRecord } from "./TaskJournal.ts"

/** The settings of a runner that the step reads. */
export interface Rules {
  readonly timeoutMs: number
  /** The run of a task whose time is up is stopped at the gateway. */
  readonly abortExpired: boolean
}

/** What does not change during the life of a task. */
export interface Subject extends Omit<JournalEntry, "sentAtMs" | "answeredRunId" | "merged"> {
  /** An earlier process accepted it. */
  readonly inherited: boolean
}

export interface TaskLife {
  readonly subject: Subject
  /** Why tasks of the connection's gateway have to wait; nothing while there is a session whose gateway takes work. */
  readonly waitsFor: QueuedReason | undefined
  /** The settings name another gateway than the task's. */
  readonly away: boolean
  /** There is a link to the task's gateway, and its events are read. */
  readonly linked: boolean
  /** The gateway does not tell of the session, so that only questions settle the task. */
  readonly deaf: boolean
  /** No earlier task of the session is in its way. */
  readonly turn: boolean
  /** Its time runs: the timer `deadline` is armed. */
  readonly timed: boolean
  /** Recent reads of history. They are limited, because a gateway can give reason for one at any time. */
  readonly reads: Reads
  readonly stage: Stage
}

/** Reads since a moment on this process's clock. */
export interface Reads {
  readonly sinceMs: number
  readonly count: number
}

export type Stage = Waiting | Unanswered | Answered | Failing | Ended
export type OpenStage = Exclude<Stage, Ended>
/** The stages in which something may be asked of the gateway. */
export type ActiveStage = Waiting | Unanswered | Answered

/** How an open task stands for others. */
export type OpenState = Exclude<TaskState, TaskOutcome>

/** No link has it yet. */
export interface Waiting {
  readonly _tag: "Waiting"
  readonly shown: OpenState
  readonly activity: Activity
}

/** What is known of a task that was given to a link. */
interface Delivery {
  readonly shown: OpenState
  readonly activity: Activity
  /** When it was first given to a link, or about to be. No message of its run is older. */
  readonly sentAtMs: number
  /** When this process last gave it to a link. */
  readonly lastSentAtMs: number | undefined
  readonly abort: Abort
  /** The abort that another process asks for was begun. The request stays in the journal until the task has ended. */
  readonly requestSeen: boolean
  /** Events of the run that named a session that is not known to be ours. */
  readonly misaddressed: Misaddressed | undefined
  /** What it has to show if it ends before more is known. */
  readonly evidence: Evidence | undefined
  /** The reply as far as the gateway gave it. It is the outcome if the task ends before the whole of it is there. */
  readonly short: ShortReply | undefined
  /** The gateway said that the run is over. */
  readonly over: boolean
  /** The run told an end without text, and the gateway was not asked yet what that means. */
  readonly emptyEnd: EmptyEnd | undefined
  /** The time is up. What is asked now is the last, and the task ends with the answer. */
  readonly expiring: boolean
  /** How many reads of history in a row showed no reply and nothing at work. */
  readonly idleReads: number
}

/** What was heard under a name of a session that history may show to be the gateway's name of ours. */
export interface Misaddressed {
  /** The session that the last of them named. */
  readonly told: string
  /** The end that the run told; nothing while it goes on. */
  readonly end: ChatEvent | undefined
  /** The run told something besides its end. */
  readonly begun: boolean
  /** All of it since the link was made was heard, so that the end is still to come if there is none. */
  readonly complete: boolean
}

/** It was given to a link, and nothing from the gateway says that it arrived. */
export interface Unanswered extends Delivery {
  readonly _tag: "Unanswered"
  /** The gateway refused it for now. */
  readonly refusal: SendRefusal | undefined
}

export interface SendRefusal {
  readonly error: RequestRejected
  /** How often in all. */
  readonly times: number
}

/** The gateway has it. */
export interface Answered extends Delivery {
  readonly _tag: "Answered"
  /** The run that the answer to `chat.send` named; absent as long as only events or history tell of it. */
  readonly answeredRunId: string | undefined
  /** The run told something besides its end. */
  readonly begun: boolean
  /** It tells its phases by chat status, so that those of its lifecycle are left out. */
  readonly hasStatus: boolean
  /** The run ended before it began: its text met a busy session, and is answered in another run. */
  readonly merged: boolean
  /** What the agent has written until now. */
  readonly partial: string
  /** The pause is for the end of the run, which was to be told by now. */
  readonly untoldEnd: boolean
}

/** Its run told an error. A second one, with a longer text, may follow at once. */
export interface Failing {
  readonly _tag: "Failing"
  readonly shown: OpenState
  readonly text: string
}

export interface Ended {
  readonly _tag: "Ended"
  readonly outcome: TaskOutcome
  readonly run: RunAfterEnd
  /** The answer that came after the end. */
  readonly lateReply: LateReply | undefined
}

export interface LateReply extends ShortReply {
  readonly truncated?: true | undefined
}

/** What is left of the run of a task that has ended. */
export type RunAfterEnd =
  /** Nothing more comes of it. */
  | { readonly _tag: "Over" }
  /** It may be at work and keep the session busy. The next task of the session waits for it, until the timer `hold`. */
  | { readonly _tag: "Holding"; readonly stop: Stop }
  /** Nothing waits for it, and a late answer is still told. With `stopped` there is nothing left to stop. */
  | { readonly _tag: "Listening"; readonly stopped: boolean; readonly asked: boolean }

/** The request to stop a run that outlived its task. `Paused`: it is made again with the timer `pause`. */
export type Stop = "NotWanted" | "Due" | "Asked" | "Paused"

/**
 * What is done next, as soon as there is a link and it is the task's turn. `Settle`: the gateway is asked what became of the run,
 * first how it ended, then for the history of the session.
 */
export type Next = "Send" | "Settle"

/** What is under way for an open task: one thing at a time. */
export type Activity =
  /** Waits for events of the run. After a lost link the task is to be settled. */
  | { readonly _tag: "Idle" }
  | { readonly _tag: "Due"; readonly next: Next }
  /** Until the timer `pause`. */
  | { readonly _tag: "Paused"; readonly next: Next }
  /** The journal is being told that the task is about to be sent. */
  | { readonly _tag: "Saving"; readonly sentAtMs: number }
  | { readonly _tag: "Sending"; readonly news: boolean }
  /** The gateway is asked to abort. To be settled after that. */
  | { readonly _tag: "Aborting"; readonly news: boolean }
  /** The gateway is asked how the run ended. */
  | { readonly _tag: "Asking"; readonly news: boolean }
  /** `end`: what it answered to that; absent where it was not asked. */
  | { readonly _tag: "ReadingHistory"; readonly news: boolean; readonly end: RunEnd | undefined }
  /** The gateway is asked for the whole of a reply that history shortened. */
  | { readonly _tag: "Fetching"; readonly news: boolean }
// `news`: since the request was made, something happened that only the gateway explains.

/** `Denied`: the gateway said that nothing runs. */
export type Abort = "NotWanted" | "Wanted" | "Asked" | "Confirmed" | "Denied"

export interface HistoryRead {
  readonly finding: HistoryView["finding"]
  readonly busy: HistoryView["busy"]
  readonly unkept: HistoryView["unkept"]
  /** The gateway's name of the session, on releases that tell it. */
  readonly sessionKey?: string | undefined
  /** That name is no spelling of the task's own. */
  readonly renamed: boolean
  /** When the gateway's process began, on this process's clock. */
  readonly gatewayStartedAtMs: number | undefined
}

/**
 * `deadline`: the task's time is up. `pause`: a wait before the next request. `secondError`: no second error came. `hold`: the
 * run of a task that ended is not waited for any longer.
 */
export type Timer = "deadline" | "pause" | "secondError" | "hold"

export type Input =
  /** The first input: the task is in the journal. */
  | { readonly _tag: "Accepted" }
  | { readonly _tag: "ConnectionChanged"; readonly waitsFor: QueuedReason | undefined; readonly away: boolean }
  | { readonly _tag: "LinkUp" }
  /** Also when events of it were lost. */
  | { readonly _tag: "LinkLost" }
  /** The gateway was asked to tell of the session. */
  | { readonly _tag: "Hearing"; readonly deaf: boolean }
  | { readonly _tag: "Turn" }
  | { readonly _tag: "Saved"; readonly ok: boolean }
  | {
    readonly _tag: "SendAnswered"
    readonly answer: Result.Result<typeof Method.chatSend.answer.Type, SendError>
    /** The run that the answer names is that of another task. */
    readonly shared: boolean
  }
  | { readonly _tag: "HistoryRead"; readonly history: HistoryRead }
  | { readonly _tag: "HistoryFailed"; readonly linkLost: boolean }
  | { readonly _tag: "EndAnswered"; readonly end: RunEnd; readonly linkLost: boolean }
  | { readonly _tag: "WholeFetched"; readonly whole: Whole }
  | { readonly _tag: "ChatTold"; readonly event: ChatEvent }
  | { readonly _tag: "AgentTold"; readonly phase: AgentPhase | undefined }
  /** An event of the run named a session that is not known to be the task's. `event` is absent for an `agent` event. */
  | { readonly _tag: "Misaddressed"; readonly told: string; readonly event: ChatEvent | undefined }
  /** Another run of the session told its end. */
  | { readonly _tag: "OtherRunEnded" }
  | { readonly _tag: "TimerDue"; readonly timer: Timer }
  | { readonly _tag: "AbortWanted"; readonly by: "Caller" | "OtherProcess" }
  | { readonly _tag: "AbortAnswered"; readonly answer: Result.Result<boolean, RequestError> }
  /** An effect of the task ended in a defect and will not answer. */
  | { readonly _tag: "Broken" }

export type SendError = RequestError | AnswerInvalid | AttachmentRefused
export type AbortError = FrameTooLarge | MissingScope | RequestRejected

export type Action =
  /** `chat.send`, answered by `SendAnswered`. */
  | { readonly _tag: "Send" }
  /** `agent.wait`, answered by `EndAnswered`. */
  | { readonly _tag: "AskHowItEnded"; readonly runId: string }
  /** `chat.history`, answered by `HistoryRead` or `HistoryFailed`. */
  | { readonly _tag: "ReadHistory" }
  /** `chat.message.get` or a longer `chat.history`, answered by `WholeFetched`. */
  | { readonly _tag: "FetchWhole"; readonly messageId: string | undefined }
  /** `chat.abort`, answered by `AbortAnswered`. */
  | { readonly _tag: "Abort" }
  /** Interrupts the request under way, but not one to abort. */
  | { readonly _tag: "Cancel" }
  /** Writes the entry to the journal, after earlier writes of the task; answered by `Saved`. */
  | { readonly _tag: "Save"; readonly entry: JournalEntry }
  /** Removes the entry from the journal, after earlier writes of the task. */
  | { readonly _tag: "Forget"; readonly ended: TaskOutcome["_tag"] }
  | { readonly _tag: "Publish"; readonly event: TaskEvent }
  | { readonly _tag: "Arm"; readonly timer: Timer; readonly ms: number }
  | { readonly _tag: "Disarm"; readonly timer: Timer }
  | { readonly _tag: "LeaveLane" }
  /** Events of this run are the task's, too. */
  | { readonly _tag: "Listen"; readonly runId: string }
  | { readonly _tag: "Unlisten" }
  /** The reply of this run is the task's, and answers no other one. */
  | { readonly _tag: "Claim"; readonly runId: string }
  /** Answers the callers of `abort`: true when the run was, or is being, stopped. */
  | { readonly _tag: "AnswerAbort"; readonly answer: Result.Result<boolean, AbortError> }

/** The life after an input, and the actions that are due, in order. */
export type Stepped = readonly [TaskLife, ReadonlyArray<Action>]

/** The life of a task that was just accepted, or of one that an earlier process left in the journal. */
export const begin = (
  record: JournalRecord,
  { inherited, shared, ...place }: Pick<TaskLife, "waitsFor" | "away" | "turn"> & {
    readonly inherited: boolean
    /** The run that answers it is that of another task. */
    readonly shared: boolean
  }
): TaskLife => {
  const { answeredRunId, sentAtMs } = record
  const subject = subjectOf(record, inherited)
  const shown: OpenState = answeredRunId === undefined ? queued(undefined) : sent
  // Another process may have sent it since it was accepted.
  const activity: Activity = { _tag: "Due", next: inherited ? "Settle" : "Send" }
  return {
    subject,
    ...place,
    linked: false,
    deaf: false,
    timed: false,
    reads: { sinceMs: 0, count: 0 },
    stage: sentAtMs === undefined && answeredRunId === undefined
      ? { _tag: "Waiting", shown, activity }
      : fromJournal(record, shown, activity, shared)
  }
}

const subjectOf = (record: JournalRecord, inherited: boolean): Subject => {
  const { acceptedAtMs, attachments, gatewayScope, position, runId, sessionKey, summary, taskId } = record
  const subject = { taskId, runId, gatewayScope, sessionKey, summary, position, acceptedAtMs, inherited }
  return attachments === undefined ? subject : { ...subject, attachments }
}

const fromJournal = (
  record: JournalRecord,
  shown: OpenState,
  activity: Activity,
  shared: boolean
): Unanswered | Answered => {
  const { acceptedAtMs, answeredRunId, merged = false, sentAtMs = acceptedAtMs } = record
  const delivery: Delivery = { ...firstDelivery(shown, activity, sentAtMs, undefined), lastSentAtMs: record.sentAtMs }
  return answeredRunId === undefined && !merged
    ? { ...delivery, _tag: "Unanswered", refusal: undefined }
    : { ...delivery, ...silentRun, _tag: "Answered", answeredRunId, merged: merged || shared }
}

const firstDelivery = (
  shown: OpenState,
  activity: Activity,
  sentAtMs: number,
  lastSentAtMs: number | undefined
): Delivery => ({
  shown,
  activity,
  sentAtMs,
  lastSentAtMs,
  abort: "NotWanted",
  requestSeen: false,
  misaddressed: undefined,
  evidence: undefined,
  short: undefined,
  over: false,
  emptyEnd: undefined,
  expiring: false,
  idleReads: 0
})
const silentRun = { begun: false, hasStatus: false, merged: false, partial: "", untoldEnd: false }

/** The stage of a task that is given to a link for the first time. */
export const unanswered = ({ shown }: Waiting, activity: Activity, sentAtMs: number, nowMs: number): Unanswered => ({
  ...firstDelivery(shown, activity, sentAtMs, nowMs),
  _tag: "Unanswered",
  refusal: undefined
})

/** The stage of a task that the gateway is found to have. It is not sent again. */
export const answered = (stage: Waiting | Unanswered, { acceptedAtMs }: Subject): Answered => {
  const activity: Activity = "next" in stage.activity ? { ...stage.activity, next: "Settle" } : stage.activity
  const run = { ...silentRun, _tag: "Answered", activity, evidence: undefined, answeredRunId: undefined } as const
  if (stage._tag === "Waiting") return { ...firstDelivery(stage.shown, activity, acceptedAtMs, undefined), ...run }
  const { refusal: _, ...delivery } = stage
  return { ...delivery, ...run }
}

export const queued = (reason: QueuedReason | undefined): OpenState => ({ _tag: "Queued", reason })
export const sent: OpenState = { _tag: "Sent" }

/** Whether something of the run may still be told: it may also be answered after the end of the task. */
export const mayHear = ({ stage }: TaskLife): boolean => stage._tag !== "Ended" || stage.run._tag !== "Over"

export const isOpen = ({ stage }: TaskLife): boolean => stage._tag !== "Ended"

/** How it ended; nothing while it is open. */
export const endOf = ({ stage }: TaskLife): TaskOutcome | undefined =>
  stage._tag === "Ended" ? stage.outcome : undefined

/** The reply so far. */
export const partialOf = ({ stage }: TaskLife): string =>
  stage._tag === "Answered"
    ? stage.partial
    : stage._tag === "Ended" && (stage.outcome._tag === "Completed" || stage.outcome._tag === "Aborted")
    ? stage.outcome.text
    : ""

/** How the task stands for others. */
export const stateOf = ({ stage }: TaskLife): TaskState => stage._tag === "Ended" ? stage.outcome : stage.shown

export const taskOf = (life: TaskLife): Task => {
  const { acceptedAtMs, inherited, runId, sessionKey, summary, taskId } = life.subject
  return { taskId, runId, sessionKey, summary, acceptedAtMs, inherited, state: stateOf(life) }
}

/** Why it has to wait at this moment; nothing when it may be sent. */
export const reasonOf = ({ away, turn, waitsFor }: TaskLife): QueuedReason | undefined =>
  away ? "OtherGateway" : waitsFor ?? (turn ? undefined : "Busy")

/** Whether the gateway can be given a task now. A suspended one would refuse it, and the next status says when it ends. */
export const takesWork = ({ linked, waitsFor }: TaskLife): boolean => linked && waitsFor !== "Suspended"

/** Whether it waits for its reply in another run, whose end is news for it. */
export const isMerged = ({ stage }: TaskLife): boolean => stage._tag === "Answered" && stage.merged

/** The journal's entry of an open task. */
export const entryOf = ({ stage, subject }: TaskLife, sentAtMs: number | undefined): JournalEntry => {
  const { inherited: _, ...kept } = subject
  const isAnswered = stage._tag === "Answered"
  return {
    ...kept,
    sentAtMs,
    answeredRunId: isAnswered ? stage.answeredRunId : undefined,
    merged: isAnswered && stage.merged
  }
}

/** Measured clock differences are right to some milliseconds. */
const clockErrorMs = 250

/** What to look for in the session's history. The facts are those of the session. */
export const soughtOf = (
  { stage, subject }: TaskLife,
  { clockDeltaMs = 0, serverVersion }: {
    readonly clockDeltaMs?: number | undefined
    readonly serverVersion?: string | undefined
  },
  claimed: ReadonlySet<string>
): Sought => {
  const { acceptedAtMs, runId, summary } = subject
  const sentAtMs = "sentAtMs" in stage ? stage.sentAtMs : acceptedAtMs
  return {
    runId: stage._tag === "Answered" && stage.answeredRunId !== undefined ? stage.answeredRunId : runId,
    summary,
    notBeforeMs: sentAtMs + clockDeltaMs - clockErrorMs,
    merged: stage._tag === "Answered" && stage.merged,
    claimed,
    received: stage._tag === "Answered",
    heard: stage._tag === "Answered" ? stage.partial : "",
    release: serverVersion
  }
}
